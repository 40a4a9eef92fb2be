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
use crate::kernel::keyed::{Fate, Match, Place, Plan, Room, Shelf, compare, is_over};
use crate::kernel::overlay::Overlay;
use crate::keyed::{KeptResult, KeyDigest, Keyed, ResultView};
use crate::limits::{RESULT_BYTES_MAX, RESULTS_BYTES_MAX, RESULTS_MAX};
use crate::object::activation::text_of;
use crate::object::live::Live;
use crate::object::{Object, Slot};
use crate::storage::result::{Chunk, StoredResults, Unreadable, decode, encode};
use crate::storage::{CommitSeq, ObjectNo, ResultWrite, Shard};
use crate::time::WallMs;

/// What an activation knows of the results that its object keeps, once a call with a key has come.
#[derive(Debug, Default)]
pub(crate) struct LiveResults {
    shelf: Shelf,
    /// Of the open chunk: empty if there are none.
    open: Arc<[u8]>,
    /// Sealed chunks that were handed over and are not known to be durable.
    overlay: Overlay<u64, Arc<[u8]>>,
}

impl LiveResults {
    /// What is stored of an object.
    ///
    /// # Errors
    /// It cannot be read, so that nobody can say which calls the object knows.
    fn load(shard: &Shard, number: ObjectNo) -> Result<Self, Error> {
        let StoredResults { open, sealed } = shard.read_results(number)?;
        let open = Chunk::of(open).map_err(|unreadable| of_unreadable(&unreadable))?;
        let sealed = sealed.into_iter().map(|(number, head)| Ok((number, head?)));
        let sealed = sealed.collect::<Result<Vec<_>, _>>();
        let sealed = sealed.map_err(|unreadable| of_unreadable(&unreadable))?;
        let Chunk { head, body } = open;
        Ok(LiveResults { shelf: Shelf::new(head, sealed), open: body, overlay: Overlay::default() })
    }

    /// A commit that keeps a result was handed over.
    pub(super) fn on_submit(&mut self, place: CommitSeq, write: &ResultWrite) {
        let ResultWrite { open, sealed, over, .. } = write;
        over.iter().for_each(|number| self.shelf.remove(*number));
        for (number, Chunk { head, .. }) in sealed {
            self.shelf.seal(*number, head.clone());
        }
        self.shelf.set_open(open.head.clone());
        self.open = Arc::clone(&open.body);
        if !sealed.is_empty() {
            let bodies =
                sealed.iter().map(|(number, chunk)| (*number, Some(Arc::clone(&chunk.body))));
            self.overlay.on_submit(place.0, bodies);
        }
    }

    /// What a commit stores that keeps one more.
    fn with(&self, kept: &KeptResult, now: WallMs) -> ResultWrite {
        let encoded = encode(kept);
        let Plan { open: fate, is_alone, over } = self.shelf.plan(encoded.len(), now);
        let mut open = Chunk { head: self.shelf.open().clone(), body: Arc::clone(&self.open) };
        let mut sealed = Vec::new();
        let mut numbers = self.shelf.next()..;
        let mut seal = |chunk| sealed.extend(numbers.next().map(|number| (number, chunk)));
        match fate {
            Fate::Stays => {}
            Fate::Sealed => seal(std::mem::take(&mut open)),
            Fate::Forgotten => open = Chunk::default(),
        }
        let filled = open.with(kept, &encoded);
        if is_alone {
            seal(filled);
        } else {
            open = filled;
        }
        ResultWrite { now, open, sealed, over }
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
    let number = ObjectNo(live.number());
    let results = known(shard, live)?;
    for place in results.shelf.places(KeyDigest::of(&keyed.key)) {
        let body = match place {
            Place::Open => Arc::clone(&results.open),
            Place::Sealed(chunk) => match results.overlay.get(&chunk).flatten() {
                Some(body) => body,
                None => shard.read_results_chunk(number, chunk)?.ok_or_else(|| {
                    of_unreadable(&Unreadable::Damaged(format!("chunk {chunk} is missing")))
                })?,
            },
        };
        let all = decode(&body).map_err(|unreadable| of_unreadable(&unreadable))?;
        // The one that was kept last, over or not: those before it were over by then.
        if let Some(kept) = all.into_iter().rfind(|kept| kept.key == *keyed.key) {
            return Ok(Some(kept).filter(|kept| !is_over(kept.until, now)));
        }
    }
    Ok(None)
}

/// What the activation knows of its object's results, which it reads when it is first asked.
fn known<'l, O: Object>(
    shard: &Shard,
    live: &'l mut Live<O>,
) -> Result<&'l mut LiveResults, Error> {
    if live.results().is_none() {
        let number = ObjectNo(live.number());
        let is_stored = live.is_stored();
        let results =
            if is_stored { LiveResults::load(shard, number)? } else { LiveResults::default() };
        *live.results() = Some(Box::new(results));
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
/// `result.overloaded`.
fn make_room<O: Object>(slot: &Slot<O>, live: &mut Live<O>, now: WallMs) -> Result<(), Error> {
    let shard = slot.group().shard(&slot.id());
    let Room::Full { results, bytes, until } = known(shard, live)?.shelf.room(now) else {
        return Ok(());
    };
    let wait = std::time::Duration::from_millis(until.0.saturating_sub(now.0));
    let error = Code::ResultOverloaded.error(format!(
        "{} keeps {results} results of {bytes} bytes for their callers, the limits are {RESULTS_MAX} and \
         {RESULTS_BYTES_MAX}; call again when the first is over, without a key, or let `keep_results` keep them shorter",
        slot.label()
    ));
    Err(error.with_retry_after(wait))
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

fn of_unreadable(unreadable: &Unreadable) -> Error {
    match unreadable {
        Unreadable::Newer(text) => Code::ResultNewer.error(format!(
            "results that are kept for calls with keys were written by newer code: {text}; run the release that wrote them"
        )),
        Unreadable::Damaged(text) => Code::ResultTorn.error(format!(
            "results that are kept for calls with keys are damaged: {text}; the bytes were left as they are, \
             read the object to see what the call did, and call without a key"
        )),
    }
}

/// What a turn leaves of its object's struct, or why it cannot be kept.
type Encoded = Result<Option<Vec<u8>>, Error>;

/// What a turn leaves whose call has a key: its struct, and what is kept of its result.
pub(super) fn with_result<O: Object>(
    slot: &Slot<O>,
    live: &mut Live<O>,
    keyed: (&Keyed, &'static MethodSpec),
    (reply, encoded): (&O::Reply, Encoded),
) -> (Encoded, Option<Arc<ResultWrite>>) {
    match (encoded, result_of(slot, live, keyed, reply)) {
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
    live: &mut Live<O>,
    (keyed, method): (&Keyed, &'static MethodSpec),
    reply: &O::Reply,
) -> Result<Arc<ResultWrite>, Error> {
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
    let keep = u64::try_from(slot.group().results_keep().as_millis()).unwrap_or(u64::MAX);
    let kept = KeptResult {
        key: keyed.key.to_string(),
        until: WallMs(now.0.saturating_add(keep)).min(WallMs::MAX),
        method: method.name.to_owned(),
        args: keyed.args,
        reply,
    };
    let results = live.results().as_deref().expect("it was looked at before the turn");
    Ok(Arc::new(results.with(&kept, now)))
}

/// What a commit keeps, for the host's director, if there is one.
pub(super) fn view<O: Object>(slot: &Slot<O>, write: Option<&ResultWrite>) -> Option<ResultView> {
    let write = write.filter(|_| slot.host().director.is_some())?;
    write.newest().map(|kept| ResultView::new(write.now, kept))
}
