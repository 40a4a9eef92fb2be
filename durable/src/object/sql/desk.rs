//! A turn's dealings with its object's database: opening it when it is first used, and the turn as its transaction.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::error::{Code, Error, Outcome};
use crate::host::Entropy;
use crate::limits::SAVEPOINT_DEPTH_MAX;
use crate::object::kv::{Owner, Turn};
use crate::sql::{Migration, Page, SqlChange};
use crate::storage::{
    Around, Asked, CommitSeq, Database, Fence, ObjectNo, Pages, Savepoint, Shard, SqlFailure,
    SqlWrite, migrate,
};

/// An object's database as its activation knows it, once it was used.
pub(crate) struct LiveSql {
    pages: Arc<Pages>,
    /// `None`: it is opened anew when it is next used.
    database: Mutex<Option<Database>>,
}

impl LiveSql {
    /// Lets the database go: what it has in memory cannot be trusted, or must not outlive the turn.
    fn close(&self) {
        self.shut(&mut self.database.lock());
    }

    /// A connection that goes in the middle of a transaction undoes it, and may write pages back while it does.
    fn shut(&self, open: &mut Option<Database>) {
        *open = None;
        self.pages.undo();
    }

    /// Ends the transaction of a turn that has used the database. Gives whether the turn changed anything that is kept.
    pub(crate) fn end(&self, end: Fate) -> Result<bool, Error> {
        let mut open = self.database.lock();
        let Some(database) = open.as_mut() else { return Ok(false) };
        let committed = match end {
            Fate::Keep => database.commit(),
            Fate::Undo => Ok(false),
        };
        let is_done = end == Fate::Keep && committed.is_ok();
        let is_whole = is_done || database.roll_back();
        if !is_whole || database.is_worn() {
            self.shut(&mut open);
        }
        committed.map_err(|failure| {
            if !failure.error.is(Code::SqlConstraint) {
                return failure.error;
            }
            Code::SqlConstraint.error(format!(
                "at the end of the turn: {}, of all that the turn has written",
                failure.error.message()
            ))
        })
    }

    /// Whether anything is kept and not handed over.
    pub(crate) fn has_changes(&self) -> bool {
        self.pages.has_changes()
    }

    /// What is kept and not handed over.
    pub(crate) fn change(&self) -> SqlChange {
        self.pages.change()
    }

    /// What the next commit is to store.
    pub(crate) fn take(&self) -> Option<Box<SqlWrite>> {
        self.pages.take()
    }

    /// What was taken was handed over.
    pub(crate) fn on_submit(&self, place: CommitSeq, is_fold: bool) {
        self.pages.on_submit(place, is_fold);
    }

    /// All pages of an object that is run alone.
    pub(crate) fn image(&self) -> BTreeMap<u32, Page> {
        self.pages.image()
    }
}

/// How the transaction of a turn ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Keep,
    Undo,
}

/// Where an object's database is, for one turn.
#[derive(Clone, Copy)]
pub(crate) struct Seat<'a> {
    /// Empty: it was not used yet.
    pub(crate) live: &'a OnceLock<Box<LiveSql>>,
    pub(crate) below: Below<'a>,
    pub(crate) migrations: &'static [Migration],
}

/// Where a database that is opened begins.
#[derive(Clone, Copy)]
pub(crate) enum Below<'a> {
    /// With what the shard has stored. `is_born`: that may be something.
    Shard { shard: &'a Arc<Shard>, object_no: ObjectNo, fence: &'a Arc<Fence>, is_born: bool },
    /// With these pages.
    Image(&'a BTreeMap<u32, Page>),
}

/// A turn's view of its object's database.
pub(crate) struct SqlDesk<'a> {
    /// `None`: the object begins, and has no database yet.
    seat: Option<Seat<'a>>,
    turn: Turn,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The turn has used the database.
    is_used: bool,
    has_written: bool,
    /// Why the turn cannot be kept. `None`: it can.
    fault: Option<Error>,
    /// What its statements draw from. `None`: none has run.
    entropy: Option<Arc<dyn Entropy>>,
    /// Savepoints that are open.
    depth: usize,
    /// Those of them that the database knows. It is told when it is next used.
    depth_known: usize,
}

/// What a turn leaves of its dealings with the database.
#[derive(Debug, Default)]
pub(crate) struct SqlDealt {
    /// There is a transaction to end.
    pub(crate) is_used: bool,
    /// A statement ran that writes.
    pub(crate) has_written: bool,
    /// Why the turn cannot be kept, even if the method did without. `None`: it can.
    pub(crate) fault: Option<Error>,
}

impl<'a> SqlDesk<'a> {
    pub(crate) fn new(seat: Option<Seat<'a>>, turn: Turn) -> Self {
        SqlDesk { seat, turn, state: Mutex::default() }
    }

    pub(crate) fn has_dealt(&mut self) -> bool {
        let state = self.state.get_mut();
        state.is_used || state.fault.is_some()
    }

    pub(crate) fn take_dealt(&mut self) -> SqlDealt {
        let State { is_used, has_written, fault, .. } = std::mem::take(self.state.get_mut());
        SqlDealt { is_used, has_written, fault }
    }

    pub(crate) fn may_write(&self) -> bool {
        self.turn == Turn::Write
    }

    /// A statement ran that writes.
    pub(crate) fn wrote(&self) {
        self.state.lock().has_written = true;
    }

    /// Opens the database if it is not open, and brings its tables up to date.
    pub(crate) fn open(&self, owner: &dyn Owner) -> Result<(), Error> {
        self.with(owner, |_, _| (Ok(()), Asked::default()))
    }

    /// Works with the database, inside of the turn's transaction.
    pub(crate) fn with<T>(
        &self,
        owner: &dyn Owner,
        work: impl FnOnce(&mut Database, &Around) -> (Result<T, SqlFailure>, Asked),
    ) -> Result<T, Error> {
        let Some(seat) = &self.seat else {
            return Err(Code::SqlReadOnly.error(
                "`#[init]` uses SQL, and the object has no database yet; use it in a method, or in `#[on_activate]`",
            ));
        };
        if let Some(fault) = &self.state.lock().fault {
            return Err(fault.clone());
        }
        let around = Around { now: owner.peek_now(), entropy: self.entropy(owner) };
        let (done, asked) = match self.live(seat, &around) {
            Ok((live, asked)) => {
                let (done, more) = self.within(live, |database| work(database, &around));
                (done, asked.and(more))
            }
            Err((failure, asked)) => (Err(failure), asked),
        };
        owner.was_asked(&around, asked);
        done.map_err(|SqlFailure { error, is_fatal }| {
            // Whatever a failed read means elsewhere, here a turn has begun.
            let error = error.with_outcome(Outcome::RolledBack);
            if is_fatal {
                if let Some(live) = seat.live.get() {
                    live.close();
                }
                self.state.lock().fault = Some(error.clone());
            }
            error
        })
    }

    fn entropy(&self, owner: &dyn Owner) -> Arc<dyn Entropy> {
        let mut state = self.state.lock();
        Arc::clone(state.entropy.get_or_insert_with(|| owner.entropy()))
    }

    /// The database as the activation knows it, from its first use on.
    fn live<'s>(
        &self,
        seat: &'s Seat<'a>,
        around: &Around,
    ) -> Result<(&'s LiveSql, Asked), (SqlFailure, Asked)> {
        if let Some(live) = seat.live.get() {
            return Ok((live, Asked::default()));
        }
        let nothing = Asked::default();
        let pages = match seat.below {
            Below::Shard { shard, object_no, fence, is_born } => {
                let opened = Pages::open(shard, object_no, fence, is_born);
                opened.map_err(|error| (SqlFailure::fatal(error), nothing))?
            }
            Below::Image(image) => Pages::of_image(image),
        };
        let mut asked = nothing;
        let mut database = Database::open(Arc::clone(&pages)).map_err(|error| (error, nothing))?;
        if !seat.migrations.is_empty() {
            let (migrated, by_them) = migrate(&mut database, around, seat.migrations);
            asked = by_them;
            migrated.map_err(|failure| (failure, asked))?;
        }
        let live = Box::new(LiveSql { pages, database: Mutex::new(Some(database)) });
        Ok((seat.live.get_or_init(|| live), asked))
    }

    fn within<T>(
        &self,
        live: &LiveSql,
        work: impl FnOnce(&mut Database) -> (Result<T, SqlFailure>, Asked),
    ) -> (Result<T, SqlFailure>, Asked) {
        let mut open = live.database.lock();
        let database = match &mut *open {
            Some(database) => database,
            none => match Database::open(Arc::clone(&live.pages)) {
                Ok(database) => none.insert(database),
                Err(failure) => return (Err(failure), Asked::default()),
            },
        };
        let mut state = self.state.lock();
        if !std::mem::replace(&mut state.is_used, true) {
            live.pages.settle();
            if self.may_write()
                && let Err(failure) = database.begin()
            {
                return (Err(SqlFailure::fatal(failure.error)), Asked::default());
            }
        }
        while state.depth_known < state.depth {
            state.depth_known += 1;
            if let Err(failure) = database.savepoint(Savepoint::Begin, state.depth_known) {
                return (Err(SqlFailure::fatal(failure.error)), Asked::default());
            }
        }
        drop(state);
        work(database)
    }

    /// One more savepoint is open. `Err`: they are too many.
    pub(crate) fn begin_savepoint(&self) -> Result<(), Error> {
        let mut state = self.state.lock();
        if state.depth == SAVEPOINT_DEPTH_MAX {
            return Err(Code::SavepointTooDeep.error(format!(
                "{} savepoints are inside of each other, the limit is {SAVEPOINT_DEPTH_MAX}; end one first",
                state.depth + 1
            )));
        }
        state.depth += 1;
        Ok(())
    }

    /// The innermost savepoint ends: what was done since is kept, or not.
    pub(crate) fn end_savepoint(&self, owner: &dyn Owner, end: Fate) -> Result<(), Error> {
        let depth = {
            let mut state = self.state.lock();
            let depth = state.depth;
            assert!(depth > 0, "a savepoint ends that has begun");
            state.depth -= 1;
            if state.depth_known < depth {
                return Ok(());
            }
            state.depth_known -= 1;
            depth
        };
        let step = match end {
            Fate::Keep => Savepoint::Keep,
            Fate::Undo => Savepoint::Undo,
        };
        self.with(owner, |database, _| {
            let ended = database.savepoint(step, depth);
            (ended.map_err(|failure| SqlFailure::fatal(failure.error)), Asked::default())
        })
    }
}
