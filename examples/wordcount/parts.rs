//! Cuts a file into parts and counts the words of each. It knows nothing of objects.
//!
//! A word is a longest run of ASCII letters, in lower case; every other byte separates. The file
//! need not be text.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

/// A place in the file: from its first byte to the byte behind its last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// The words of one part of the file.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) place: Place,
    /// Each word once.
    pub(crate) words: Vec<Tally>,
}

/// One word of a part.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) word: String,
    /// How often it stands in the part.
    pub(crate) times: u64,
    /// Where in the file it stands first.
    pub(crate) first: Place,
}

/// Reads a file part by part.
#[derive(Debug)]
pub(crate) struct Parts {
    file: BufReader<File>,
    /// Where the next part begins; never inside of a word.
    at: u64,
    part_bytes: u64,
}

impl Parts {
    /// The parts of `file` from `at` on, where an earlier part ended. Where a part ends depends
    /// only on the file, on where the part begins and on `part_bytes`, so that a part that is
    /// counted again is the same part.
    pub(crate) fn from(mut file: File, at: u64, part_bytes: u64) -> io::Result<Self> {
        file.seek(SeekFrom::Start(at))?;
        Ok(Parts { file: BufReader::new(file), at, part_bytes })
    }

    /// The next part; `None` at the end of the file.
    pub(crate) fn next(&mut self) -> io::Result<Option<Part>> {
        let mut bytes = Vec::new();
        self.file.by_ref().take(self.part_bytes).read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        if bytes.last().is_some_and(u8::is_ascii_alphabetic) {
            self.finish_word(&mut bytes)?;
        }
        let place = Place { from: self.at, to: self.at + bytes.len() as u64 };
        self.at = place.to;
        Ok(Some(Part { place, words: count(&mut bytes, place.from) }))
    }

    /// Reads on to the end of the word that `bytes` ends with.
    fn finish_word(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let ahead = self.file.fill_buf()?;
            let letters = ahead.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
            let is_end = letters < ahead.len() || ahead.is_empty();
            bytes.extend_from_slice(&ahead[..letters]);
            self.file.consume(letters);
            if is_end {
                return Ok(());
            }
        }
    }
}

/// Counts the words of `bytes`, which stand at `from` in the file, and leaves them in lower case.
fn count(bytes: &mut [u8], from: u64) -> Vec<Tally> {
    bytes.make_ascii_lowercase();
    let mut words: HashMap<&[u8], (u64, Place)> = HashMap::new();
    let mut at = from;
    for word in bytes.split(|byte| !byte.is_ascii_alphabetic()) {
        let place = Place { from: at, to: at + word.len() as u64 };
        at = place.to + 1;
        if !word.is_empty() {
            words.entry(word).or_insert((0, place)).0 += 1;
        }
    }
    let tally = |(word, (times, first)): (&[u8], _)| {
        let word = String::from_utf8(word.to_vec()).expect("letters are ASCII");
        Tally { word, times, first }
    };
    words.into_iter().map(tally).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn parts(text: &[u8], part_bytes: u64) -> Vec<Part> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        let mut parts = Parts::from(file, 0, part_bytes).unwrap();
        std::iter::from_fn(|| parts.next().unwrap()).collect()
    }

    fn sorted(mut words: Vec<Tally>) -> Vec<(String, u64)> {
        words.sort_by(|a, b| a.word.cmp(&b.word));
        words.into_iter().map(|tally| (tally.word, tally.times)).collect()
    }

    #[test]
    fn words_are_runs_of_letters_in_lower_case_between_any_other_bytes() {
        let mut parts = parts(b"One\xff\0two,ONE-two3one\xc3\xa9x\n", 1_000);
        let words = sorted(parts.remove(0).words);
        assert_eq!(words, [("one".into(), 3), ("two".into(), 2), ("x".into(), 1)]);
    }

    #[test]
    fn no_cut_goes_through_a_word_and_no_byte_is_left_out() {
        let text = b"alpha beta  gamma\n\ndelta epsilon";
        for part_bytes in 1..=text.len() as u64 + 1 {
            let parts = parts(text, part_bytes);
            let mut at = 0;
            for part in &parts {
                assert_eq!(part.place.from, at);
                at = part.place.to;
            }
            assert_eq!(at, text.len() as u64);
            let words: Vec<_> = parts.into_iter().flat_map(|part| part.words).collect();
            let words: Vec<_> = sorted(words).into_iter().map(|(word, _)| word).collect();
            assert_eq!(words, ["alpha", "beta", "delta", "epsilon", "gamma"], "{part_bytes}");
        }
    }

    #[test]
    fn a_word_is_found_again_where_it_stood_first() {
        let text = b"ab, cd ab";
        for part in parts(text, 5) {
            for tally in part.words {
                let Place { from, to } = tally.first;
                assert_eq!(&text[from as usize..to as usize], tally.word.as_bytes());
            }
        }
    }

    #[test]
    fn an_empty_file_has_no_parts() {
        assert!(parts(b"", 10).is_empty());
    }
}
