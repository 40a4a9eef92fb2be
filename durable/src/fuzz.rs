//! Every decoder of stored rows and of wires as a function of bytes, for fuzzers and for the stored corpus.
//!
//! No bytes make a decoder panic, or take memory beyond a multiple of their own length. Where a checksum guards the rest,
//! it is also put right first: damage that it finds is not worth looking for. What can be read is written again and must
//! be the same, and two readers of the same bytes must agree.

mod types;

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use self::types::{Any, State};
use crate::codec::{self, decode_wire, encode_wire};
use crate::error::{CallError, Error};
use crate::history::Bookmark;
use crate::id::Lineage;
use crate::kernel::pages::{Found, PageOverlay, Replayed};
use crate::kv::KvKey;
use crate::limits::SQL_PAGE_BYTES;
use crate::sql::Page;
use crate::state::shape::Shape;
use crate::state::{StateValue, by_name, check_schema, schema_of};
use crate::storage::fuzz::OBJECT;
pub use crate::storage::fuzz::{cron, lineage, quarantine, result, schedules, send, sql_log};
use crate::storage::rows::history as past;
use crate::storage::rows::sql;
use crate::storage::{frame, fuzz_manifest, kv};
use crate::stub::Told;
use crate::time::WallMs;

/// A decoder that is fed with any bytes. It panics if they harm it.
pub type Target = fn(&[u8]);

/// What is to be fed with bytes: the names of folders in the corpus, and the functions.
pub const TARGETS: [(&str, Target); 15] = [
    ("by_name", by_name),
    ("cron", cron),
    ("history", history),
    ("kv_value", kv_value),
    ("lineage", lineage),
    ("manifest", manifest),
    ("quarantine", quarantine),
    ("result", result),
    ("schedules", schedules),
    ("schema", schema),
    ("send", send),
    ("snapshot", snapshot),
    ("sql_log", sql_log),
    ("sql_page", sql_page),
    ("wire", wire),
];

/// The columns of the row of an object's past whose body is read.
const PAST: past::Head =
    past::Head { object_no: OBJECT, commit_no: 3, after_no: 2, at: WallMs(5), total: 9 };

/// The body of a row of `snapshots`.
pub fn snapshot(bytes: &[u8]) {
    let _ = frame::decode(bytes);
    let mut sealed = bytes.to_vec();
    frame::reseal(&mut sealed);
    let Ok((header, payload)) = frame::decode(&sealed) else { return };
    let mut again = sealed.clone();
    frame::finish(header, &mut again);
    assert_eq!(again, sealed, "a frame is written as it was read");
    // As its own code reads it, and as code would to which its schema is another one's.
    let shape = Shape::decode(&schema_of::<State>()).expect("our own schema");
    let plain = codec::decode::<State>(payload);
    let named = by_name::read::<State>(&shape, payload);
    match (plain, named) {
        (Ok(plain), Ok(named)) => assert_eq!(encoded(&plain), encoded(&named), "read by name"),
        // Postcard takes several spellings of a character, of which it writes one.
        (Ok(plain), Err(error)) if encoded(&plain) == payload => {
            panic!("{plain:?} cannot be read by name: {error}")
        }
        _ => {}
    }
}

/// A row of `kv`: the length of its key in one byte, the key, the value.
pub fn kv_value(bytes: &[u8]) {
    let Some((&length, rest)) = bytes.split_first() else { return };
    let Some((key, value)) = rest.split_at_checked(length.into()) else { return };
    let Ok(key) = KvKey::new(key) else { return };
    let _ = kv::open(&key, value);
    let mut sealed = value.to_vec();
    kv::reseal(&key, &mut sealed);
    let Ok((codec, payload)) = kv::open(&key, &sealed) else { return };
    assert_eq!(
        *kv::seal(&key, codec, sealed.clone()),
        *sealed,
        "a value is written as it was read"
    );
    round_trip(payload, codec::decode::<State>);
    round_trip(payload, codec::decode::<BTreeMap<String, Vec<Option<i64>>>>);
}

/// The body of a row of `history`.
pub fn history(bytes: &[u8]) {
    let _ = past::open(&PAST, bytes);
    let mut sealed = bytes.to_vec();
    past::seal(&PAST, &mut sealed);
    let Ok(past) = past::open(&PAST, &sealed) else { return };
    for (number, page) in past.undo.sql.iter().flat_map(|sql| &sql.pages) {
        let _ = sql::place(OBJECT, *number);
        if let Replayed::Ranges(ranges) = page {
            let is_inside =
                |(start, bytes): &(usize, Vec<u8>)| start + bytes.len() <= SQL_PAGE_BYTES;
            assert!(ranges.iter().all(is_inside), "page {number} has room for what it was");
        }
    }
    let mut again = past::encode(&past);
    past::seal(&PAST, &mut again);
    assert_eq!(again, sealed, "a row is written as it was read");
}

/// A row of `sql_pages`: as a page, and as the head in front of the pages.
pub fn sql_page(bytes: &[u8]) {
    let (head, page) = (sql::place(OBJECT, 0), sql::place(OBJECT, 1));
    let _ = (sql::open_head(head, bytes), sql::open_page(page, bytes));
    let mut sealed = bytes.to_vec();
    sql::reseal(page, &mut sealed);
    if let Ok(page) = sql::open_page(page, &sealed) {
        assert_eq!(page.len(), SQL_PAGE_BYTES, "a page is whole");
    }
    sql::reseal(head, &mut sealed);
    if let Ok(sql::Fold { count, .. }) = sql::open_head(head, &sealed) {
        let _ = sql::place(OBJECT, count);
        let overlay = PageOverlay::<Page>::new(count);
        assert_eq!(overlay.find(count + 1), Found::Beyond, "the database ends");
    }
}

/// The bytes of a row of `schemas`.
pub fn schema(bytes: &[u8]) {
    if let Ok(shape) = check_schema(bytes) {
        let again = check_schema(&shape.encode());
        assert!(again.is_ok_and(|again| again == shape), "a schema is written as it was read");
    }
}

/// A state that is read by the schema that was stored for it: the schema's length in two bytes, little-endian, the schema,
/// the state.
pub fn by_name(bytes: &[u8]) {
    let Some((length, rest)) = bytes.split_first_chunk::<2>() else { return };
    let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
    let (schema, payload) = rest.split_at(length);
    let Ok(shape) = check_schema(schema) else { return };
    let passed_over = by_name::read::<IgnoredAny>(&shape, payload);
    let shown = StateValue::read(&shape, payload);
    assert_eq!(shown.is_ok(), passed_over.is_ok(), "what is passed over is shown: {shown:?}");
    if let Ok(any) = by_name::read::<Any>(&shape, payload) {
        assert!(passed_over.is_ok(), "{} values can be read and not passed over", any.parts);
    }
    if let Ok(state) = by_name::read::<State>(&shape, payload) {
        assert!(codec::decode::<State>(&encoded(&state)).is_ok(), "what was read can be stored");
    }
}

/// `durable.toml`.
pub fn manifest(bytes: &[u8]) {
    fuzz_manifest(bytes);
}

/// What travels: arguments, and replies with both kinds of errors.
pub fn wire(bytes: &[u8]) {
    round_trip(bytes, decode_wire::<(String, u32, State)>);
    round_trip(bytes, decode_wire::<(Vec<Option<i64>>, BTreeMap<String, (bool, char)>)>);
    round_trip(bytes, decode_wire::<Result<State, CallError<String>>>);
    round_trip(bytes, decode_wire::<Result<Vec<Vec<u8>>, Error>>);
    round_trip(bytes, decode_wire::<(Told, Option<Bookmark>)>);
    if let Ok(told) = decode_wire::<Told>(bytes) {
        let lineage = told.lineage();
        let stored = lineage.as_ref().map(Lineage::encode);
        let again = stored.as_deref().and_then(Lineage::decode);
        assert_eq!(again, lineage, "an object that is born by it can be stored");
    }
}

/// What can be decoded can be encoded, and is the same when it is decoded again.
fn round_trip<T: Serialize + DeserializeOwned, E>(
    bytes: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, E>,
) {
    if let Ok(value) = decode(bytes) {
        let first = encoded(&value);
        let again = decode(&first).ok().map(|value| encoded(&value));
        assert_eq!(again, Some(first), "a value is written as it was read");
    }
}

fn encoded<T: Serialize>(value: &T) -> Vec<u8> {
    encode_wire(value).expect("what was decoded from few bytes can be encoded")
}

#[cfg(test)]
mod tests;
