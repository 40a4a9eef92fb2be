//! The stored corpus and mutations of it, through every target.

#![allow(clippy::disallowed_methods, reason = "the corpus is files")]

use std::fs;
use std::path::PathBuf;

use super::types::{Kind, Kind2, Line};
use super::*;
use crate::error::{Code, Outcome};
use crate::history::Cause;
use crate::kernel::pages::Delta;
use crate::state::Fingerprint;
use crate::storage::rows::sql::log;

mod later;
mod mutate;

use mutate::{Chance, mutate};

/// Mutations of each target's corpus. They take about a second altogether.
const MUTATIONS: usize = 4_000;

fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// The files of a target, by name.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = folder(target);
    let files =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = files.map(|file| file.expect("an entry").path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("a file of the corpus")).collect()
}

#[test]
fn no_bytes_of_the_corpus_harm_a_decoder() {
    for (target, run) in TARGETS {
        let files = corpus(target);
        assert!(files.len() >= 6, "{target} has {} files", files.len());
        files.iter().for_each(|bytes| run(bytes));
    }
}

#[test]
fn no_mutation_of_the_corpus_harms_a_decoder() {
    for (index, (target, run)) in TARGETS.into_iter().enumerate() {
        let files = corpus(target);
        let mut chance = Chance(index as u64 + 1);
        for round in 0..MUTATIONS {
            let bytes = mutate(&files, &mut chance);
            if std::panic::catch_unwind(|| run(&bytes)).is_err() {
                // It stays in the corpus, to be run with every test.
                let path = folder(target).join(format!("found_{round}"));
                fs::write(&path, &bytes).expect("a file of the corpus");
                panic!("mutation {round} harms {target}; its bytes are in {}", path.display());
            }
        }
    }
}

/// Values of our own types, which rows of other programs have not. `DURABLE_WRITE_CORPUS=1` stores them.
#[test]
fn what_is_encoded_here_stands_in_the_corpus() {
    for (target, name, bytes) in made() {
        let path = folder(target).join(name);
        if std::env::var_os("DURABLE_WRITE_CORPUS").is_some() {
            fs::create_dir_all(folder(target)).expect("a folder of the corpus");
            fs::write(&path, &bytes).expect("a file of the corpus");
        }
        let stored = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(stored, bytes, "{} is what this code writes", path.display());
    }
}

fn made() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let state = state();
    let payload = encoded(&state);
    let schema = schema_of::<State>();
    let mut framed = vec![0; frame::HEADER_BYTES];
    framed.extend_from_slice(&payload);
    let fingerprint = Fingerprint::of_schema(&schema);
    let header = frame::Header { codec: frame::Codec::Postcard, state_version: 2, fingerprint };
    frame::finish(header, &mut framed);
    let mut named = u16::try_from(schema.len()).expect("it is short").to_le_bytes().to_vec();
    named.extend_from_slice(&schema);
    named.extend_from_slice(&payload);
    let reply: Result<State, CallError<String>> = Err(CallError::Rejected("no".to_owned()));
    let error = Code::KvTorn.error("text").with_object("a.B(c)").with_outcome(Outcome::Unknown);
    let failed: Result<Vec<Vec<u8>>, Error> = Err(error);
    let maps = (vec![Some(-1), None], BTreeMap::from([("é".to_owned(), (true, 'ß'))]));
    let lists = BTreeMap::from([("a", vec![Some(1_i64), None]), ("b", vec![])]);
    let mut made = pasts();
    made.extend(later::made());
    made.extend([
        ("snapshot", "state", framed),
        ("kv_value", "state", keyed("k", kv::Codec::Postcard, &payload)),
        ("kv_value", "bytes", keyed("line/1", kv::Codec::Bytes, b"\0\xff")),
        ("kv_value", "empty", keyed("n", kv::Codec::Bytes, b"")),
        ("kv_value", "map", keyed(&"k".repeat(255), kv::Codec::Postcard, &encoded(&lists))),
        ("by_name", "state", named),
        ("schema", "state", schema),
        ("sql_log", "whole_and_ranges", log_rows()),
        ("wire", "arguments", encoded(&("ada", 7_u32, &state))),
        ("wire", "maps", encoded(&maps)),
        ("wire", "reply", encoded(&Ok::<_, ()>(&state))),
        ("wire", "rejected", encoded(&reply)),
        ("wire", "failed", encoded(&failed)),
        ("wire", "lists", encoded(&Ok::<_, ()>(vec![vec![1_u8, 2], vec![]]))),
    ]);
    made
}

/// Rows of an object's past.
fn pasts() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let framed = |bytes: &[u8]| Some(crate::kv::Framed::from(bytes));
    let row = |cause, after_at, undo| {
        let past = past::Past { cause, epoch: 1 << 40, after_epoch: 0, after_at, undo };
        let mut body = past::encode(&past);
        past::seal(&PAST, &mut body);
        body
    };
    let whole: Page = vec![1; SQL_PAGE_BYTES].into();
    let ranges = Replayed::Ranges(vec![(0, vec![1, 2]), (1_020, vec![3; 4])]);
    let kv = vec![(KvKey::stored(b"k"), None), (KvKey::stored(b"line"), framed(b"value"))];
    let sql = past::UndoSql { count: 9, pages: vec![(1, Replayed::Whole(whole)), (9, ranges)] };
    let empty = past::Undo::default;
    let all = past::Undo { snapshot: framed(b"frame"), kv: kv.clone(), sql: Some(sql.clone()) };
    let method = Cause::Method("deposit".into());
    vec![
        ("history", "nothing", row(Cause::Activation, None, empty())),
        (
            "history",
            "born",
            row(method.clone(), None, past::Undo { snapshot: framed(b""), ..empty() }),
        ),
        ("history", "keys", row(Cause::Restore, Some(WallMs(7)), past::Undo { kv, ..empty() })),
        ("history", "pages", row(Cause::Fork, None, past::Undo { sql: Some(sql), ..empty() })),
        (
            "history",
            "cut",
            row(
                method.clone(),
                None,
                past::Undo { sql: Some(past::UndoSql::default()), ..empty() },
            ),
        ),
        ("history", "everything", row(method, Some(WallMs(1)), all)),
    ]
}

fn state() -> State {
    let kinds = [
        ("a", Kind::Plain),
        ("b", Kind::Number(1 << 20)),
        ("c", Kind::Pair(true, -1)),
        ("d", Kind::Named { at: -5, within: vec![Kind2::One, Kind2::Two(())] }),
    ];
    State {
        count: 300,
        lines: vec![Line { sku: "pen".to_owned(), pieces: -2 }],
        by_name: kinds.into_iter().map(|(name, kind)| (name.to_owned(), kind)).collect(),
        note: Some(Some("note".to_owned())),
        pair: (i128::MIN, 'é', [1, 2]),
        float: 0.5,
    }
}

fn keyed(key: &str, codec: kv::Codec, payload: &[u8]) -> Vec<u8> {
    let mut value = vec![0; kv::HEADER_BYTES];
    value.extend_from_slice(payload);
    let sealed = kv::seal(&KvKey::stored(key.as_bytes()), codec, value);
    let mut row = vec![u8::try_from(key.len()).expect("it is short")];
    row.extend_from_slice(key.as_bytes());
    row.extend_from_slice(&sealed);
    row
}

fn log_rows() -> Vec<u8> {
    let page: Page = vec![1; SQL_PAGE_BYTES].into();
    let ranges = Delta::Ranges(vec![0..4, 1020..1024], Page::clone(&page));
    let mut rows = [log::encode(2, &[(1, Delta::Whole(page))]), log::encode(1, &[(1, ranges)])];
    // The numbers have gaps, and the first row is folded.
    let mut bytes = [log::seal_end(OBJECT, 9), 2].map(i64::to_le_bytes).concat();
    for (row, (log_no, before_no)) in rows.iter_mut().zip([(4_i64, 2_i64), (9, 4)]) {
        let (of, commit_no) = (OBJECT, log_no.cast_unsigned());
        let before = before_no.cast_unsigned();
        let head = log::Head { log_no: commit_no, object_no: of, commit_no, before_no: before };
        log::seal(&head, row);
        bytes.extend([log_no, OBJECT.0, log_no, before_no].map(i64::to_le_bytes).concat());
        bytes.extend(u16::try_from(row.len()).expect("it is short").to_le_bytes());
        bytes.extend_from_slice(row);
    }
    bytes
}
