//! A class run apart from every runtime: one state in, one call, the next state and the reply out.
//!
//! It is what a history of calls is compared with. The methods that run are the very same; only what surrounds them is
//! missing, so a method that calls another object cannot be run like this, and says so.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context as TaskContext, Poll, Waker};

use crate::class::Access;
use crate::codec;
use crate::host::Entropy;
use crate::id::ObjectId;
use crate::kv::{Framed, KvChange, KvKey};
use crate::limits::SNAPSHOT_BYTES_MAX;
use crate::object::alarm::AlarmBase;
use crate::object::kv::{Base, Turn};
use crate::object::schedule::ScheduleBase;
use crate::object::send::SendBase;
use crate::object::sql::{Below, Fate, LiveSql, Seat};
use crate::object::{Context, Dealt, Object, Ran, Stores};
use crate::sql::Page;
use crate::time::WallMs;

/// What a turn sees of its object and its world when there is no runtime.
pub struct Alone {
    /// The object's id.
    pub id: ObjectId,
    /// The object's name.
    pub name: Option<Arc<str>>,
    /// The time that the turn is told. `None`: it must not ask.
    pub now: Option<WallMs>,
    /// Where the turn draws from.
    pub entropy: Arc<dyn Entropy>,
    /// What the turn asked for that is not there. Empty: nothing.
    pub(crate) missing: OnceLock<&'static str>,
}

impl Alone {
    /// For one turn.
    pub fn new(id: ObjectId, name: Option<Arc<str>>, entropy: Arc<dyn Entropy>) -> Self {
        Alone { id, name, now: None, entropy, missing: OnceLock::new() }
    }

    /// The turn is told this time.
    pub fn at(mut self, now: WallMs) -> Self {
        self.now = Some(now);
        self
    }

    pub(crate) fn lacks(&self, what: &'static str) {
        self.missing.get_or_init(|| what);
    }

    fn check(&self, method: &str) -> Result<(), String> {
        match self.missing.get() {
            Some(what) => Err(format!("`{method}` {what}, so it cannot be run by itself")),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Alone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alone")
            .field("id", &self.id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What a turn came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stepped {
    /// What the object is after it, as [`birth`] gives it.
    pub state: Vec<u8>,
    /// What the method returned, encoded.
    pub reply: Vec<u8>,
}

/// An object from its encoded struct.
///
/// # Errors
/// Why the bytes are none.
pub fn decode<O: Object>(state: &[u8]) -> Result<O, String> {
    codec::decode(state)
}

/// An object's KV.
type Rows = BTreeMap<KvKey, Framed>;

/// What an object keeps beside its struct.
#[derive(Default)]
struct Kept {
    rows: Rows,
    /// Of its database.
    pages: BTreeMap<u32, Page>,
}

/// An object that was never stored: its struct, its KV and the pages of its database, encoded together.
///
/// # Errors
/// Why the class cannot be run by itself.
pub fn birth<O: Object>(alone: &Alone) -> Result<Vec<u8>, String> {
    let (alarm, turn) = (AlarmBase::Unknown, Turn::Init);
    let (schedules, sends) = (ScheduleBase::Unknown, SendBase::Unknown);
    let stores = Stores { kv: Base::Nothing, sql: None, alarm, schedules, sends, turn };
    let object = O::create(&Context::alone(alone, stores));
    alone.check("init")?;
    whole(&encode(&object)?, &Kept::default())
}

/// Runs one call on what [`birth`] or an earlier step gave. A method that panics leaves it as it was and has no reply, as in
/// a runtime.
///
/// # Errors
/// Why the method cannot be run by itself.
pub fn step<O: Object>(
    alone: &Alone,
    state: &[u8],
    method: &str,
    args: &[u8],
) -> Result<Stepped, String> {
    let (encoded, mut kept) = parts(state)?;
    let mut object: O = decode(&encoded)?;
    activate(alone, &mut object, (&encoded, &kept))?;
    let call = O::decode_call(method, args).map_err(|error| format!("{error:?}"))?;
    let spec = O::method(&call);
    let live = OnceLock::new();
    let ran = AssertUnwindSafe(|| run(alone, &mut object, (&kept, &live), method, call));
    let ran = catch_unwind(ran);
    alone.check(method)?;
    let Ok(ran) = ran else { return Ok(Stepped { state: state.to_vec(), reply: Vec::new() }) };
    let (Ran { reply, is_rejected }, Dealt { kv, sql, erases, .. }) = ran?;
    let reply = O::encode_reply(&reply).map_err(|error| format!("{error:?}"))?;
    if is_rejected || spec.access == Access::Read {
        return Ok(Stepped { state: state.to_vec(), reply });
    }
    if erases {
        return Ok(Stepped { state: birth::<O>(alone)?, reply });
    }
    for KvChange { key, value } in kv {
        match value {
            Some(value) => kept.rows.insert(key, value),
            None => kept.rows.remove(&key),
        };
    }
    let sql_live = live.get().filter(|_| sql.is_used);
    if let Some(live) = sql_live {
        // A constraint that only the end of the turn looks at: the call fails, and leaves everything as it was.
        if live.end(Fate::Keep).is_err() {
            return Ok(Stepped { state: state.to_vec(), reply: Vec::new() });
        }
        kept.pages = live.image();
    }
    Ok(Stepped { state: whole(&encode(&object)?, &kept)?, reply })
}

type Pairs<K, V> = Vec<(K, V)>;

/// Struct, KV and pages.
type Encoded = (Vec<u8>, Pairs<Vec<u8>, Vec<u8>>, Pairs<u32, Vec<u8>>);

fn whole(encoded: &[u8], kept: &Kept) -> Result<Vec<u8>, String> {
    let rows: Pairs<&[u8], &[u8]> =
        kept.rows.iter().map(|(key, value)| (&**key, &**value)).collect();
    let pages: Pairs<u32, &[u8]> =
        kept.pages.iter().map(|(number, page)| (*number, &**page)).collect();
    codec::encode(&(encoded, rows, pages), 0, usize::MAX).map_err(|error| format!("{error:?}"))
}

fn parts(whole: &[u8]) -> Result<(Vec<u8>, Kept), String> {
    let (encoded, rows, pages): Encoded = codec::decode(whole)?;
    let row = |(key, value): (Vec<u8>, Vec<u8>)| (KvKey::stored(&key), Framed::from(value));
    let page = |(number, page): (u32, Vec<u8>)| (number, Page::from(page));
    let rows = rows.into_iter().map(row).collect();
    Ok((encoded, Kept { rows, pages: pages.into_iter().map(page).collect() }))
}

/// What a turn works on. `live`: empty until it uses SQL.
fn stores<'a, O: Object>(
    (kept, live): (&'a Kept, &'a OnceLock<Box<LiveSql>>),
    turn: Turn,
) -> Stores<'a> {
    let below = Below::Image(&kept.pages);
    let sql = Some(Seat { live, below, migrations: O::CLASS.migrations });
    let (alarm, schedules) = (AlarmBase::Unknown, ScheduleBase::Unknown);
    let sends = SendBase::Unknown;
    Stores { kv: Base::Rows(&kept.rows), sql, alarm, schedules, sends, turn }
}

fn run<O: Object>(
    alone: &Alone,
    object: &mut O,
    kept: (&Kept, &OnceLock<Box<LiveSql>>),
    method: &str,
    call: O::Call,
) -> Result<(Ran<O::Reply>, Dealt), String> {
    let spec = O::method(&call);
    let turn = if spec.access == Access::Read { Turn::Read } else { Turn::Write };
    let mut cx = Context::alone(alone, stores::<O>(kept, turn));
    let ran = match (spec.access, spec.is_async) {
        (Access::Read, false) => object.read(&cx, call),
        (Access::Write, false) => object.write(&mut cx, call),
        (Access::Read, true) => at_once(method, object.read_async(&cx, call))?,
        (Access::Write, true) => at_once(method, object.write_async(&mut cx, call))?,
    };
    Ok((ran, cx.into_dealt()))
}

/// Runs `#[on_activate]`, which may fill what is not stored, and nothing else.
fn activate<O: Object>(
    alone: &Alone,
    object: &mut O,
    (encoded, kept): (&[u8], &Kept),
) -> Result<(), String> {
    let live = OnceLock::new();
    let mut cx = Context::alone(alone, stores::<O>((kept, &live), Turn::Write));
    let Some(hook) = object.on_activate(&mut cx) else { return Ok(()) };
    at_once("on_activate", hook)??;
    alone.check("on_activate")?;
    let Dealt { kv, sql, .. } = cx.into_dealt();
    if encode(object)? == encoded && kv.is_empty() && !sql.has_written {
        Ok(())
    } else {
        Err("`#[on_activate]` changes what is stored, so no call can be run by itself".to_owned())
    }
}

/// The value of a future that does not wait.
fn at_once<T>(method: &str, future: impl Future<Output = T>) -> Result<T, String> {
    match pin!(future).poll(&mut TaskContext::from_waker(Waker::noop())) {
        Poll::Ready(value) => Ok(value),
        Poll::Pending => {
            Err(format!("`{method}` waits for something, so it cannot be run by itself"))
        }
    }
}

/// An object's struct, encoded.
///
/// # Errors
/// Why it cannot be.
pub fn encode<O: Object>(object: &O) -> Result<Vec<u8>, String> {
    codec::encode(object, 0, SNAPSHOT_BYTES_MAX).map_err(|error| format!("{error:?}"))
}
