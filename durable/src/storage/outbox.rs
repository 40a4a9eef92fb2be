//! Sends of a shard beside the commits of objects: those that no turn makes, and what becomes of those that wait.
//!
//! They have a queue and transactions of their own in the writer's lane, each for all that wait.

use rusqlite::Connection;

use super::rows::outbox::{SendNotice, Writes};
use super::rows::{outbox, received};
use super::shard::Opened;
use crate::error::Error;
use crate::host::{Event, Tended};
use crate::send::{NewSend, SendId};
use crate::time::WallMs;

/// What is to be stored.
#[derive(Clone, Debug)]
pub(crate) enum Chore {
    /// A new one.
    Put(NewSend),
    /// It is over: it took effect, or is a dead letter.
    Over(SendId),
    /// It has failed so often, and is delivered again from then on.
    Again { id: SendId, due: WallMs, retries: u32 },
    /// Somebody takes it back.
    TakeBack(SendId),
    /// It has left its outbox, which is another shard's, so that it is not delivered again.
    Forget(SendId),
}

impl Chore {
    /// What a director is told of it, if it concerns a row that is there.
    fn told(&self) -> Option<(SendId, Tended)> {
        Some(match self {
            Chore::Put(new) => (new.id, Tended::Put),
            Chore::Over(id) => (*id, Tended::Over),
            Chore::Again { id, retries, due } => {
                (*id, Tended::Again { retries: *retries, due: *due })
            }
            Chore::TakeBack(id) => (*id, Tended::TakenBack),
            Chore::Forget(_) => return None,
        })
    }
}

/// Is told whether there was something to do about, or why nothing was done.
pub(crate) type Answer = Box<dyn FnOnce(Result<bool, Error>) + Send>;

/// What waits for the writer: at most two for each delivery under way, and one for each call from outside.
pub(super) type Chores = super::chores::Chores<(Chore, Answer)>;

/// What chores have done.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Of each, whether there was something to do about.
    pub(super) was_there: Vec<bool>,
    pub(super) told: Vec<SendNotice>,
    /// How many more wait.
    pub(super) more: i64,
}

/// Opens a transaction and does them in order. The caller commits.
pub(super) fn apply(
    connection: &Connection,
    (shard, chores): (u16, &[(Chore, Answer)]),
) -> rusqlite::Result<Done> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let mut writes = Writes::prepare(connection)?;
    let mut done = Done::default();
    for (chore, _) in chores {
        let was_there = match chore {
            Chore::Put(new) => {
                writes.insert(new, None, &mut done.told)?;
                done.more += 1;
                true
            }
            Chore::Over(id) => {
                // Nobody else knows of it if it was received here.
                received::remove(connection, *id)?;
                writes.remove(*id, &mut done.told)?
            }
            Chore::TakeBack(id) => writes.remove(*id, &mut done.told)?,
            Chore::Again { id, due, retries } => {
                writes.again(*id, (*due, *retries), &mut done.told)?
            }
            Chore::Forget(id) => {
                assert!(id.shard != shard, "what is of one shard is over at once");
                received::remove(connection, *id)?;
                true
            }
        };
        if was_there && matches!(chore, Chore::Over(_) | Chore::TakeBack(_)) {
            done.more -= 1;
        }
        done.was_there.push(was_there);
    }
    Ok(done)
}

/// Tells a director what is stored, before anybody else hears of it.
pub(super) fn report(host: &crate::host::Host, chores: &[(Chore, Answer)], done: &Done) {
    for ((chore, _), was_there) in chores.iter().zip(&done.was_there) {
        if let Some((send, tended)) = chore.told().filter(|_| *was_there) {
            host.report(|| Event::SendTended { send, tended });
        }
    }
}

/// Forgets what was received and has left its outbox, when a store is opened: a crash has come before that was done.
pub(super) fn sweep(opened: &mut [Opened]) -> Result<(), Error> {
    for index in 0..opened.len() {
        let Opened { connection, place, .. } = &opened[index];
        let reading = |cause: rusqlite::Error| place.error(&cause, "opening");
        let mut gone = Vec::new();
        for id in received::all(connection).map_err(reading)? {
            let waits = match opened.get(usize::from(id.shard)) {
                Some(of) => outbox::has(&of.connection, id).map_err(reading)?,
                None => false,
            };
            if !waits {
                gone.push(id);
            }
        }
        if gone.is_empty() {
            continue;
        }
        let swept = (|| {
            let all = connection.unchecked_transaction()?;
            gone.iter().try_for_each(|id| received::remove(&all, *id))?;
            all.commit()
        })();
        swept.map_err(reading)?;
    }
    Ok(())
}
