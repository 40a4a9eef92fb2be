//! What objects do later, who is above them, and which of them are kept from running.

use std::time::Duration;

use super::*;
use crate::id::{Ancestor, ObjectId};
use crate::keyed::{ArgsDigest, KeptResult};
use crate::metadata::Metadata;
use crate::schedule::{Misfire, Overlap, Schedule, Target};
use crate::send::SentCall;
use crate::storage::fuzz::QuarantineRow;
use crate::storage::result::Chunk;
use crate::storage::{encode_send, result, schedule};
use crate::when::When;

type Made = Vec<(&'static str, &'static str, Vec<u8>)>;

pub(super) fn made() -> Made {
    let mut made = schedules();
    made.extend(ancestors());
    made.extend(quarantines());
    made.extend(sends());
    made.extend(results());
    let crons = [
        ("every_five", "*/5 * * * *\nUTC"),
        ("mondays", "0 9 * * MON\nEurope/Berlin"),
        ("last_day", "30 4 L * *\nAsia/Tokyo"),
        ("weekday_near", "0 0 15W 1-6/2 *\nAmerica/New_York"),
        ("second_friday", "15 10,22 * * FRI#2\nAustralia/Lord_Howe"),
        ("seconds", "*/10 0 2 29 2 *\nEurope/London"),
        ("short", "@yearly\nUTC"),
        ("never", "0 0 31 2 *\nUTC"),
        ("no_zone", "0 0 * * *\nMars/Base"),
    ];
    made.extend(crons.map(|(name, text)| ("cron", name, text.as_bytes().to_vec())));
    made
}

fn one(name: &str, when: When) -> Schedule {
    Schedule {
        name: name.to_owned(),
        when,
        misfire: Misfire::Once,
        overlap: Overlap::Skip,
        jitter_ms: 0,
        target: Target::Me,
        method: "bill".to_owned(),
        args: vec![1, 2, 3],
        scheduled: WallMs(1_767_225_600_000),
        due: WallMs(1_767_225_600_000),
        retries: 0,
        put_off_to: WallMs(0),
        sent: None,
    }
}

fn schedules() -> Made {
    let every = When::every(Duration::from_secs(30)).expect("long enough").set_at(WallMs(7));
    let cron = When::cron("*/5 1 L * *", "Asia/Tokyo").expect("it is well formed");
    let once = one("once", When::once(WallMs(1_767_225_600_000)));
    let skip = Schedule { misfire: Misfire::Skip, jitter_ms: 60_000, ..one("skip", every.clone()) };
    let all = Schedule { misfire: Misfire::All(9), ..one("all", cron.clone()) };
    let queue = Schedule { overlap: Overlap::Queue, retries: 2, ..one("queue", cron) };
    let behind = Schedule { put_off_to: WallMs(1_767_225_900_000), ..one("behind", every) };
    let mut metadata = Metadata::new();
    metadata.set("tenant", "acme").expect("it may");
    let retried = Schedule { sent: Some(metadata), ..once.clone() };
    let body = |all: &[Schedule]| schedule::encode(all).expect("there are some").body.to_vec();
    vec![
        ("schedules", "once", body(std::slice::from_ref(&once))),
        ("schedules", "skip", body(std::slice::from_ref(&skip))),
        ("schedules", "all", body(std::slice::from_ref(&all))),
        ("schedules", "queue", body(std::slice::from_ref(&queue))),
        ("schedules", "behind", body(std::slice::from_ref(&behind))),
        ("schedules", "retried", body(std::slice::from_ref(&retried))),
        ("schedules", "five", body(&[all, behind, once, queue, skip])),
    ]
}

fn ancestors() -> Made {
    let id = |byte| ObjectId::from_bytes([byte; 32]);
    let lineage = |names: &[Option<&str>]| {
        let named = |(name, byte): (&Option<&str>, u8)| Ancestor {
            id: id(byte),
            name: name.map(std::sync::Arc::from),
        };
        Lineage::of(names.iter().zip(1..).map(named)).expect("there are some").encode()
    };
    let told = |names: &[Option<&str>]| {
        let parents: Vec<_> = names.iter().zip(1..).map(|(name, byte)| (id(byte), *name)).collect();
        encoded(&((id(9), Some("ada"), Some("eu"), None::<&str>, parents), None::<Bookmark>))
    };
    let bookmark = Bookmark::new(&id(9), (1 << 40, 42));
    let alone = (id(9), None::<&str>, None::<&str>, None::<&str>, ());
    let none: Vec<Parent<'_>> = Vec::new();
    let (id, name, eu, hint, ()) = alone;
    vec![
        ("lineage", "named", lineage(&[Some("hall")])),
        ("lineage", "unnamed", lineage(&[None])),
        ("lineage", "empty_name", lineage(&[Some("")])),
        ("lineage", "four", lineage(&[Some("é"), None, Some("x"), Some("hall")])),
        ("lineage", "twice", [lineage(&[Some("a")]), lineage(&[Some("a")])].concat()),
        ("lineage", "short", lineage(&[Some("hall")])[..33].to_vec()),
        ("wire", "reference", told(&[])),
        ("wire", "reference_to_a_child", told(&[Some("hall"), None])),
        ("wire", "reference_and_bookmark", encoded(&((id, name, eu, hint, none), Some(bookmark)))),
    ]
}

fn results() -> Made {
    let add = |chunk: Chunk, (key, method): (&str, &str), args: &[u8], reply: &[u8]| {
        let (key, until) = (key.to_owned(), WallMs(1 << 40));
        let (method, args, reply) = (method.to_owned(), ArgsDigest::of(args), reply.to_vec());
        let kept = KeptResult { key, until, method, args, reply };
        chunk.with(&kept, &result::encode(&kept))
    };
    let kept = |name: (&str, &str), args: &[u8], reply: &[u8]| {
        add(Chunk::default(), name, args, reply).body.to_vec()
    };
    let plain = kept(("k", "deposit"), &[3], &[128, 1]);
    let reply: Result<u64, String> = Ok(7);
    let two = add(Chunk::default(), ("a", "deposit"), &[1], &[2]);
    vec![
        ("result", "empty", kept(("k", "touch"), &[], &[])),
        ("result", "reply", kept(("k 1", "take"), b"ada", &encoded(&reply))),
        ("result", "large", kept(("k", "print"), &[9; 300], &[b'x'; 300])),
        ("result", "two", add(two, ("b", "touch"), &[1], &[]).body.to_vec()),
        ("result", "short", plain[..30].to_vec()),
        ("result", "header", plain[..20].to_vec()),
        ("result", "plain", plain),
    ]
}

fn sends() -> Made {
    let id = ObjectId::from_bytes([9; 32]);
    let parent = Ancestor { id, name: Some(std::sync::Arc::from("hall")) };
    let plain = SentCall {
        source: Some(id),
        name: Some("ada".to_owned()),
        jurisdiction: None,
        location_hint: None,
        lineage: Vec::new(),
        method: "deposit".to_owned(),
        args: vec![1, 2, 3],
        scheduled: WallMs(1_767_225_600_000),
        metadata: Metadata::new(),
    };
    let mut metadata = Metadata::new();
    metadata.set("tenant", "acme").expect("it may");
    metadata.set("principal", "ada").expect("it may");
    let carrying = SentCall { metadata, ..plain.clone() };
    let child = SentCall {
        lineage: Lineage::of([parent]).expect("there is one").encode(),
        jurisdiction: Some("eu".to_owned()),
        ..plain.clone()
    };
    let outside = SentCall { source: None, name: None, args: Vec::new(), ..plain.clone() };
    let orphan = SentCall { lineage: vec![1], ..plain.clone() };
    let body = |call: &SentCall| encode_send(call).to_vec();
    vec![
        ("send", "plain", body(&plain)),
        ("send", "child", body(&child)),
        ("send", "outside", body(&outside)),
        ("send", "orphan", body(&orphan)),
        ("send", "carrying", body(&carrying)),
        ("send", "short", body(&plain)[..30].to_vec()),
        ("send", "header", body(&plain)[..20].to_vec()),
    ]
}

type Parent<'a> = (ObjectId, Option<&'a str>);

fn quarantines() -> Made {
    let row = |name: Option<&str>, reason: &str, numbers| {
        let (id, name) = (vec![3; 32], name.map(|name| name.as_bytes().to_vec()));
        encoded(&QuarantineRow { id, class_no: 1, name, reason: reason.into(), numbers })
    };
    let short = QuarantineRow {
        id: vec![3; 31],
        class_no: 1,
        name: None,
        reason: Vec::new(),
        numbers: [0; 5],
    };
    vec![
        ("quarantine", "named", row(Some("ada"), "it panicked", [5, 9, 4, 1, -7])),
        ("quarantine", "unnamed", row(None, "state.torn: damaged", [5, 9, 4, 0, 7])),
        ("quarantine", "nothing", row(Some(""), "", [0; 5])),
        ("quarantine", "latest", row(Some("é"), "x", [i64::MAX; 5])),
        ("quarantine", "before_all_time", row(None, "x", [-1, 1, 1, 1, 1])),
        ("quarantine", "short", encoded(&short)),
    ]
}
