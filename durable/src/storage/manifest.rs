//! `durable.toml`: what was fixed when the data directory was created. Written last, so a directory
//! that has it is complete, and never changed afterwards.

use std::fmt::Write;
use std::path::Path;

use serde::Deserialize;

use super::rows::meta::FORMAT;
use crate::error::{Code, Error};
use crate::limits::SLOTS;

/// What was fixed when the data directory was created.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Manifest {
    /// The secret that ids are made with.
    pub(super) id_key: [u8; 32],
    pub(super) shards: u16,
}

/// What stands in the place of the manifest while the rest of a backup is written.
const COPYING: &str = "# A backup is being written here. If nobody writes it any more, it was cut \
    off: delete this directory and make another.\nformat = 1\ncopying = true\n";

/// The part that every format has.
#[derive(Deserialize)]
struct AnyFormat {
    format: u64,
    /// The rest of the directory is not whole yet.
    #[serde(default)]
    copying: bool,
}

#[derive(Deserialize)]
struct Written {
    id_key: String,
    shards: u16,
}

impl Manifest {
    pub(super) fn encode(&self) -> String {
        let Manifest { id_key, shards } = self;
        let mut text = format!(
            "# What this data directory is. Ids are made with id_key: without this file no \
             object is found any more.\n\
             format = {FORMAT}\nid_key = \""
        );
        id_key.iter().for_each(|byte| write!(text, "{byte:02x}").expect("text can be appended to"));
        write!(text, "\"\nshards = {shards}\n").expect("text can be appended to");
        text
    }

    /// What refuses everybody until it is replaced by [`encode`](Self::encode)'s text.
    pub(super) fn copying() -> &'static str {
        COPYING
    }

    /// Reads what [`encode`](Self::encode) wrote. `path`: for the errors.
    pub(super) fn decode(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let corrupt = |what: &str| {
            Code::StorageCorrupt.error(format!(
                "{} cannot be read: {}; restore it from a backup",
                path.display(),
                what.trim_end().replace('\n', " ")
            ))
        };
        let text = std::str::from_utf8(bytes).map_err(|cause| corrupt(&cause.to_string()))?;
        let any: AnyFormat = toml::from_str(text).map_err(|cause| corrupt(&cause.to_string()))?;
        check_format(path, any.format)?;
        if any.copying {
            return Err(Code::BackupIncomplete.error(format!(
                "{} says that a backup is being written there, or was cut off; wait for it, or \
                 delete that directory and make another backup",
                path.display()
            )));
        }
        let written: Written = toml::from_str(text).map_err(|cause| corrupt(&cause.to_string()))?;
        if written.shards == 0 || written.shards > SLOTS {
            let shards = written.shards;
            return Err(corrupt(&format!("it says {shards} shards, possible are 1 to {SLOTS}")));
        }
        let id_key = hex(&written.id_key).ok_or_else(|| corrupt("id_key is not 64 hex digits"))?;
        Ok(Manifest { id_key, shards: written.shards })
    }

    /// Tells this data directory from others without telling the secret.
    pub(super) fn store(&self) -> [u8; 16] {
        let mut store = [0; 16];
        let hash = blake3::keyed_hash(&self.id_key, b"durable store");
        store.copy_from_slice(&hash.as_bytes()[..16]);
        store
    }
}

/// For a fuzzer: what can be read of any bytes means the same when it is written again.
pub(crate) fn fuzz(bytes: &[u8]) {
    let path = Path::new("durable.toml");
    if let Ok(manifest) = Manifest::decode(path, bytes) {
        let again = Manifest::decode(path, manifest.encode().as_bytes());
        assert!(again.is_ok_and(|again| again == manifest), "it is written as it was read");
    }
}

/// Refuses formats that this code cannot read.
pub(super) fn check_format(path: &Path, format: u64) -> Result<(), Error> {
    let path = path.display();
    if format > u64::from(FORMAT) {
        return Err(Code::StorageNewer.error(format!(
            "{path} has format {format}, this program reads up to format {FORMAT}; start a \
             newer version of it"
        )));
    }
    if format == 0 {
        return Err(Code::StorageCorrupt.error(format!(
            "{path} has format 0, the first format is 1; restore it from a backup"
        )));
    }
    Ok(())
}

fn hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let nibble = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(nibble(pair[0])? << 4 | nibble(pair[1])?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(text: &str) -> Result<Manifest, Error> {
        Manifest::decode(Path::new("data/durable.toml"), text.as_bytes())
    }

    proptest! {
        #[test]
        fn the_file_round_trips(id_key: [u8; 32], shards in 1..=SLOTS) {
            let manifest = Manifest { id_key, shards };
            let read = decode(&manifest.encode()).expect("our own text");
            prop_assert!(read == manifest);
        }

        #[test]
        fn a_file_that_was_cut_off_is_refused(id_key: [u8; 32], cut in 0_usize..100) {
            let text = Manifest { id_key, shards: 1 }.encode();
            // Without its last newline the text is still whole.
            let bytes = text.len().saturating_sub(2 + cut);
            prop_assert!(decode(&text[..bytes]).is_err());
        }
    }

    #[test]
    fn a_backup_that_is_being_written_is_told_from_damage() {
        let error = decode(Manifest::copying()).err().expect("refused");
        assert_eq!(error.code(), "backup.incomplete");
        assert!(COPYING.contains(&format!("\nformat = {FORMAT}\n")), "it says the present format");
    }

    #[test]
    fn a_newer_format_is_told_from_damage_and_named() {
        let error = decode("format = 7\nshape = \"other\"\n").err().expect("refused");
        assert_eq!(error.code(), "storage.newer");
        assert!(error.message().contains("format 7") && error.message().contains("format 1"));
        for text in
            ["", "format = 0\nid_key = \"\"\nshards = 1\n", "format = 1\n", "format = \"x\""]
        {
            assert_eq!(decode(text).err().expect("refused").code(), "storage.corrupt", "{text}");
        }
    }
}
