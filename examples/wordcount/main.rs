//! Counts the words of a file; every distinct word is a durable object.
//!
//! `wordcount --data DIR FILE` prints `word<TAB>count` lines, sorted. It can be killed at any
//! moment: started again with the same DIR and FILE it goes on where it was, and no word is counted
//! twice or left out.
#![allow(clippy::disallowed_methods, reason = "it reads a file of the user")]

mod meter;
mod objects;
mod parts;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::ExitCode;

use durable::prelude::*;
use durable::{Client, RuntimeBuilder};
use futures_util::{StreamExt, TryStreamExt, stream};

use meter::Meter;
use objects::{Begun, Progress, Source, Span, Word};
use parts::{Part, Parts, Tally};

const USAGE: &str = "usage: wordcount [--progress] --data DIR FILE";

/// Bytes of a part. A word is written once for each part that it stands in, so longer parts are
/// fewer commits; a run that is killed loses at most the part under way.
const PART_BYTES: u64 = 1 << 20;

/// Calls under way at once. All that wait share one sync.
const CALLS: usize = 1_024;

/// Words that stay in memory. A few thousand make up most of any text; the others come and go.
const WORDS_RESIDENT: usize = 20_000;

/// Letters from which on a word is named by its hash.
const LONG_WORD_LETTERS: usize = 256;

type Failure = Box<dyn std::error::Error>;

struct Arguments {
    data: PathBuf,
    file: PathBuf,
    meter: Meter,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args_os().skip(1)) {
        Ok(arguments) => arguments,
        Err(problem) => {
            let _ = writeln!(io::stderr(), "wordcount: {problem}; {USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(io::stderr(), "wordcount: {failure}");
            ExitCode::FAILURE
        }
    }
}

impl Arguments {
    fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let (mut data, mut files, mut meter) = (None, Vec::new(), Meter::automatic());
        while let Some(arg) = args.next() {
            match arg.to_str() {
                Some("--data") => {
                    data = Some(args.next().ok_or("--data needs a directory")?.into())
                }
                Some("--progress") => meter = Meter::lines(),
                Some(flag) if flag.len() > 1 && flag.starts_with('-') => {
                    return Err(format!("`{flag}` is not known"));
                }
                _ => files.push(PathBuf::from(arg)),
            }
        }
        let data = data.ok_or("--data is missing")?;
        let count = files.len();
        let [file] = <[PathBuf; 1]>::try_from(files)
            .map_err(|_| format!("one FILE is needed, {count} are given"))?;
        Ok(Arguments { data, file, meter })
    }
}

/// What runs, here and in simulated worlds.
fn wordcount(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.register::<Word>().register::<Progress>().resident_max(WORDS_RESIDENT)
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { data, file, mut meter } = arguments;
    let path = file.display().to_string();
    let text = Text::open(file).map_err(|error| format!("{path}: {error}"))?;
    let runtime = wordcount(Runtime::builder(&data)).start().await?;
    // Also after a failure: what was counted is kept, and the next run finds the directory free.
    let counted = count(&runtime.client(), &text, PART_BYTES, &mut meter).await;
    meter.clear();
    let words = match counted {
        Ok(()) => list(&runtime, &text.file).await,
        Err(failure) => Err(failure),
    };
    runtime.shutdown().await?;
    print(words?)
}

/// A file whose words are counted.
struct Text {
    path: PathBuf,
    file: File,
    /// Which file it is.
    source: Source,
}

impl Text {
    fn open(path: PathBuf) -> io::Result<Self> {
        let file = File::open(&path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other(
                "not a regular file; a pipe cannot be read twice, store it first",
            ));
        }
        Text::of(path, file)
    }

    /// Reads the whole file to find out which one it is.
    fn of(path: PathBuf, mut file: File) -> io::Result<Self> {
        file.rewind()?;
        let mut hasher = blake3::Hasher::new();
        let bytes = io::copy(&mut file, &mut hasher)?;
        let source = Source { bytes, hash: hasher.finalize().to_hex().to_string() };
        Ok(Text { path, file, source })
    }
}

/// Counts what is not yet counted, part after part.
async fn count(
    client: &Client,
    text: &Text,
    part_bytes: u64,
    meter: &mut Meter,
) -> Result<(), Failure> {
    let Text { path, file, source } = text;
    let (path, bytes) = (path.display(), source.bytes);
    let progress = client.get::<Progress>("file");
    let Begun { counted_to: mut at, part_bytes } =
        match progress.begin(source.clone(), part_bytes).await {
            Ok(begun) => begun,
            Err(CallError::Rejected(other)) => {
                return Err(format!(
                    "the data directory counts another file ({other}), {path} is {source}; \
                     give the same file or another directory"
                )
                .into());
            }
            Err(CallError::Failed(error)) => return Err(error.into()),
        };
    let mut parts = Parts::from(file.try_clone()?, at, part_bytes)?;
    meter.show(at, bytes);
    while let Some(part) = parts.next()? {
        at = part.place.to;
        // A file that grew is found out before its new part is counted as one of the old file.
        if at > bytes {
            break;
        }
        count_part(client, part, |at| meter.show(at, bytes)).await?;
        progress.reach(at).await?;
    }
    if at == bytes {
        Ok(())
    } else {
        Err(format!("{path} changed while it was counted; count a copy").into())
    }
}

/// Counts one part. When it returns every word of the part is durable; if it is cut short, some
/// words are.
async fn count_part(client: &Client, part: Part, mut show: impl FnMut(u64)) -> Result<(), Failure> {
    let Part { place, words } = part;
    let step = (words.len() / 16).max(1);
    let calls = words.iter().map(|tally| {
        let is_long = tally.word.len() >= LONG_WORD_LETTERS;
        let word = client.get::<Word>(name(tally));
        word.count(place.into(), tally.times, is_long.then(|| tally.first.into())).into_future()
    });
    let mut calls = stream::iter(calls).buffer_unordered(CALLS).enumerate();
    while let Some((nth, counted)) = calls.next().await {
        counted?;
        if nth % step == 0 {
            show(place.from + (place.to - place.from) * nth as u64 / words.len() as u64);
        }
    }
    Ok(())
}

/// The name of a word's object: the word; of a long word its hash, behind a mark that no word
/// contains.
fn name(tally: &Tally) -> String {
    if tally.word.len() < LONG_WORD_LETTERS {
        tally.word.clone()
    } else {
        format!("~{}", blake3::hash(tally.word.as_bytes()).to_hex())
    }
}

/// Every word with its count, sorted.
async fn list(runtime: &Runtime, file: &File) -> Result<Vec<(String, u64)>, Failure> {
    let mut words = Vec::new();
    let mut page = runtime.list::<Word>().page().await?;
    while let Some(last) = page.last().cloned() {
        let tallies = page.iter().map(|entry| async move {
            let tally = runtime.get_by_id::<Word>(entry.id())?.tally().await?;
            Ok::<_, Error>((entry.name().unwrap_or_default().to_owned(), tally))
        });
        let tallies: Vec<_> = stream::iter(tallies).buffered(CALLS).try_collect().await?;
        for (name, (times, long)) in tallies {
            words.push((long.map_or(Ok(name), |span| read(file, span))?, times));
        }
        page = runtime.list::<Word>().after(&last).page().await?;
    }
    // The list is sorted by name, and the name of a long word is not the word.
    words.sort_unstable();
    Ok(words)
}

/// Reads a long word from where it stands.
fn read(file: &File, span: Span) -> io::Result<String> {
    let mut letters = vec![0; usize::try_from(span.to - span.from).map_err(io::Error::other)?];
    file.read_exact_at(&mut letters, span.from)?;
    letters.make_ascii_lowercase();
    String::from_utf8(letters).map_err(io::Error::other)
}

fn print(words: Vec<(String, u64)>) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    let printed = words
        .iter()
        .try_for_each(|(word, times)| writeln!(out, "{word}\t{times}"))
        .and_then(|()| out.flush());
    match printed {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}
