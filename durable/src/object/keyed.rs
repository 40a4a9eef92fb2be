//! Calls with idempotency keys, in their object: one whose result is kept is answered with it, and the result of one that
//! runs is part of its turn's commit.
//!
//! Writes run one after another, so a call that is made again while the first one runs waits for it as every write does,
//! and then finds its result among what was handed over. The gate holds its answer back until that is durable.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::caller::{undecodable, unencodable};
use crate::class::MethodSpec;
use crate::error::{Code, Error, Outcome};
use crate::host::Event;
use crate::kernel::keyed::{Count, Match, Room, compare, is_over};
use crate::kernel::overlay::Overlay;
use crate::keyed::{KeptResult, Keyed, ResultView};
use crate::limits::{RESULT_BYTES_MAX, RESULTS_BYTES_MAX, RESULTS_MAX};
use crate::object::activation::text_of;
use crate::object::live::Live;
use crate::object::{Object, Slot};
use crate::storage::result::{Unreadable, decode, encode};
use crate::storage::{CommitSeq, ObjectNo, ResultWrite, Shard, StoredResult};
use crate::time::WallMs;

/// What an activation knows of the results that its object keeps, once a call with a key has come.
#[derive(Debug, Default)]
pub(crate) struct LiveResults {
    /// What was handed over and is not known to be durable.
    overlay: Overlay<Arc<str>, StoredResult>,
    count: Count,
    /// Storage has no result of the object, not even one that is over: a clock may be set back.
    is_blank: bool,
}

impl LiveResults {
    /// A commit that keeps this was handed over.
    pub(super) fn on_submit(&mut self, place: CommitSeq, write: &ResultWrite) {
        let ResultWrite { key, result, .. } = write;
        self.is_blank = false;
        self.count.add(write.bytes() as u64, result.until);
        self.overlay.on_submit(place.0, [(Arc::clone(key), Some(result.clone()))]);
    }
}

/// What becomes of a call with a key.
pub(super) enum Looked<R> {
    /// It runs.
    Fresh,
    /// It does not, and this is its answer, which tells of what may not be durable yet.
    Known(Result<R, Error>),
}

/// Looks whether a result is kept under a call's key, and if there is none, whether one more may be kept.
pub(super) fn look<O: Object>(
    slot: &Slot<O>,
    live: &mut Live<O>,
    call: u64,
    (keyed, method): (&Keyed, &'static MethodSpec),
) -> Looked<O::Reply> {
    let now = slot.host().clock.wall();
    let known = match find(slot, live, keyed, now) {
        Ok(Some(kept)) => answer(slot, &kept, keyed, method).map(|()| kept),
        Ok(None) => match make_room(slot, live, now) {
            Ok(()) => return Looked::Fresh,
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    let (object, key) = (slot.id_ref(), &*keyed.key);
    let reply = known.as_ref().ok().map(|kept| &kept.reply[..]);
    slot.host().report(|| Event::Repeated { object, call, key, reply });
    let known = known.and_then(|kept| {
        O::decode_reply(method.name, &kept.reply)
            .map_err(|error| undecodable::<O>(&error, Outcome::Committed))
    });
    Looked::Known(known.map_err(|error| error.with_object(slot.label())))
}

/// The result that is kept under a call's key. `None`: none is.
fn find<O: Object>(
    slot: &Slot<O>,
    live: &mut Live<O>,
    keyed: &Keyed,
    now: WallMs,
) -> Result<Option<KeptResult>, Error> {
    let shard = slot.group().shard(&slot.id());
    let results = known(shard, live)?;
    let stored = match results.overlay.get(&*keyed.key) {
        Some(stored) => stored,
        None if results.is_blank => None,
        None => shard.read_result(ObjectNo(live.number()), &keyed.key)?,
    };
    let Some(StoredResult { body, .. }) = stored.filter(|stored| !is_over(stored.until, now))
    else {
        return Ok(None);
    };
    decode(&body).map(Some).map_err(|unreadable| of_unreadable(keyed, &unreadable))
}

/// What the activation knows of its object's results: it counts what is stored, over or not, when it is first asked.
fn known<'l, O: Object>(
    shard: &Shard,
    live: &'l mut Live<O>,
) -> Result<&'l mut LiveResults, Error> {
    if live.results().is_none() {
        let number = ObjectNo(live.number());
        let is_stored = live.is_stored();
        let count =
            if is_stored { shard.count_results(number, WallMs(0))? } else { Count::default() };
        let (overlay, is_blank) = (Overlay::default(), count.results == 0);
        *live.results() = Some(Box::new(LiveResults { overlay, count, is_blank }));
    }
    // The watermark passes failed commits, too; who asks meanwhile goes on being told one thing, and fails with them.
    let (durable, is_broken) = (shard.durable(), live.fence().broken().is_some());
    let results = live.results().as_deref_mut().expect("it was just made");
    if !is_broken {
        results.overlay.on_durable(durable.0);
    }
    Ok(results)
}

/// Makes sure that one more result may be kept.
///
/// # Errors
/// `result.overloaded`; what fails to count those that are stored.
fn make_room<O: Object>(slot: &Slot<O>, live: &mut Live<O>, now: WallMs) -> Result<(), Error> {
    let shard = slot.group().shard(&slot.id());
    let results = known(shard, live)?;
    if results.count.room(now) == Room::Unsure {
        // One that becomes durable in between is counted twice, which only makes the room smaller.
        let mut waiting = Count::default();
        for (key, stored) in results.overlay.given() {
            waiting.add((key.len() + stored.body.len()) as u64, stored.until);
        }
        let count = shard.count_results(ObjectNo(live.number()), now)?.with(waiting);
        known(shard, live)?.count = count;
    }
    let count = known(shard, live)?.count;
    match count.room(now) {
        Room::Enough => Ok(()),
        Room::Unsure | Room::Full { .. } => {
            let until = count.first_until.unwrap_or(now);
            let wait = std::time::Duration::from_millis(until.0.saturating_sub(now.0));
            let Count { results, bytes, .. } = count;
            let error = Code::ResultOverloaded.error(format!(
                "{} keeps {results} results of {bytes} bytes for their callers, the limits are {RESULTS_MAX} and \
                 {RESULTS_BYTES_MAX}; call again when the first is over, without a key, or let `keep_results` keep them shorter",
                slot.label()
            ));
            Err(error.with_retry_after(wait))
        }
    }
}

/// Whether a result is that of this call.
///
/// # Errors
/// `call.mismatched`.
fn answer<O: Object>(
    slot: &Slot<O>,
    kept: &KeptResult,
    keyed: &Keyed,
    method: &'static MethodSpec,
) -> Result<(), Error> {
    let what = match compare(kept, (method.name, keyed.args)) {
        Match::Repeat => return Ok(()),
        Match::OtherMethod => format!("`{}`, and now for `{}`", kept.method, method.name),
        Match::OtherArgs => format!(
            "`{}` with other arguments ({:?}, and now {:?})",
            kept.method, kept.args, keyed.args
        ),
    };
    Err(Code::CallMismatched.error(format!(
        "idempotency key `{}` was used at {} for {what}; each request needs a key of its own",
        keyed.key.escape_debug(),
        slot.label()
    )))
}

fn of_unreadable(keyed: &Keyed, unreadable: &Unreadable) -> Error {
    let key = keyed.key.escape_debug();
    match unreadable {
        Unreadable::Newer(text) => Code::ResultNewer.error(format!(
            "the result that is kept under `{key}` was written by newer code: {text}; run the release that wrote it"
        )),
        Unreadable::Damaged(text) => Code::ResultTorn.error(format!(
            "the result that is kept under `{key}` is damaged: {text}; the bytes were left as they are, \
             read the object to see what the call did"
        )),
    }
}

/// What a turn leaves of its object's struct, or why it cannot be kept.
type Encoded = Result<Option<Vec<u8>>, Error>;

/// What a turn leaves whose call has a key: its struct, and what is kept of its result.
pub(super) fn with_result<O: Object>(
    slot: &Slot<O>,
    keyed: (&Keyed, &'static MethodSpec),
    reply: &O::Reply,
    encoded: Encoded,
) -> (Encoded, Option<Box<ResultWrite>>) {
    match (encoded, result_of(slot, keyed, reply)) {
        (Ok(encoded), Ok(result)) => (Ok(encoded), Some(result)),
        (Err(error), _) | (_, Err(error)) => (Err(error), None),
    }
}

/// What the commit of a turn keeps of its result.
///
/// # Errors
/// `call.unencodable`, `result.too_large`: then the turn is not kept either.
fn result_of<O: Object>(
    slot: &Slot<O>,
    (keyed, method): (&Keyed, &'static MethodSpec),
    reply: &O::Reply,
) -> Result<Box<ResultWrite>, Error> {
    let encoded = catch_unwind(AssertUnwindSafe(|| O::encode_reply(reply)));
    let encoded = encoded.map_err(|panic| {
        Code::CallUnencodable.error(format!(
            "encoding the result of `{}` panicked: {}; mend its `Serialize`",
            method.name,
            text_of(panic.as_ref())
        ))
    });
    let reply = encoded
        .and_then(|encoded| encoded.map_err(|error| unencodable::<O>(&error, Outcome::RolledBack)));
    let reply = reply.map_err(|error| error.with_outcome(Outcome::RolledBack))?;
    if reply.len() > RESULT_BYTES_MAX {
        return Err(Code::ResultTooLarge.error(format!(
            "the result of `{}` has {} bytes once encoded, the limit of one that is kept is {RESULT_BYTES_MAX}; \
             return less, or call without a key",
            method.name,
            reply.len()
        )));
    }
    let now = slot.host().clock.wall();
    let kept = KeptResult { method: method.name.to_owned(), args: keyed.args, reply };
    let keep = u64::try_from(slot.group().results_keep().as_millis()).unwrap_or(u64::MAX);
    let until = WallMs(now.0.saturating_add(keep)).min(WallMs::MAX);
    let result = StoredResult { until, body: encode(&kept) };
    Ok(Box::new(ResultWrite { key: Arc::clone(&keyed.key), now, result }))
}

/// What a commit keeps, for the host's director.
pub(super) fn view(write: &ResultWrite) -> ResultView {
    let ResultWrite { key, now, result } = write;
    let reply = decode(&result.body).map(|kept| kept.reply).unwrap_or_default();
    ResultView::new(key, (*now, result.until), &reply)
}
