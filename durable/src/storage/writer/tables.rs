//! One transaction of a writer: what each run of its batch stores, and in which tables.

use rusqlite::Connection;

use super::{Applied, Memory};
use crate::storage::batch::Run;
use crate::storage::history::{self, Sweep};
use crate::storage::rows::sql::Chain;
use crate::storage::rows::{self, alarm, dead_letter, kv, object, outbox, schedule, snapshot, sql};
use crate::time::WallMs;

/// The statements of one transaction.
pub(super) struct Tables<'c> {
    pub(super) connection: &'c Connection,
    sweep: &'c Sweep,
    pub(super) memory: &'c mut Memory,
    objects: object::Writes<'c>,
    snapshots: snapshot::Writes<'c>,
    /// `None`: no run so far had rows.
    kv: Option<kv::Writes<'c>>,
    /// `None`: no run so far changed a database.
    sql: Option<sql::Writes<'c>>,
    /// `None`: no run so far changed an alarm.
    alarms: Option<alarm::Writes<'c>>,
    /// `None`: no run so far changed a schedule.
    schedules: Option<schedule::Writes<'c>>,
    /// `None`: no run so far changed a dead letter.
    pub(super) letters: Option<dead_letter::Writes<'c>>,
    /// `None`: no run so far made a send, or took one back.
    pub(super) sends: Option<outbox::Writes<'c>>,
    pub(super) applied: Applied,
    /// Notices of sends, and how many more wait, before the run that is being applied.
    before_run: (usize, i64),
}

impl<'c> Tables<'c> {
    pub(super) fn prepare(
        connection: &'c Connection,
        sweep: &'c Sweep,
        memory: &'c mut Memory,
    ) -> rusqlite::Result<Self> {
        let objects = object::Writes::prepare(connection)?;
        let snapshots = snapshot::Writes::prepare(connection)?;
        Ok(Tables {
            connection,
            sweep,
            memory,
            objects,
            snapshots,
            kv: None,
            sql: None,
            alarms: None,
            schedules: None,
            letters: None,
            sends: None,
            applied: Applied::default(),
            before_run: (0, 0),
        })
    }

    /// Stores the last state of a run, and its rows. `false`: another activation was there first, and
    /// nothing was changed.
    pub(super) fn apply(&mut self, run: &Run<'_>, now: WallMs) -> rusqlite::Result<bool> {
        if !run.has_rows() {
            return self.apply_state(run, now, None);
        }
        self.before_run = (self.applied.told.len(), self.applied.more);
        // Several statements, of which a later one may fail alone: then none of them has been.
        self.connection.prepare_cached("SAVEPOINT run")?.execute([])?;
        let before = history::before(self.connection, run, &mut self.memory.present)?;
        let chain = if run.logs() > 0 { Some(self.chain(run)?) } else { None };
        let is_stored = self.apply_state(run, now, chain)?;
        if is_stored && run.erases() {
            let birth = run.birth.expect("an erasure says whose it is");
            let gone = rows::erase_tree(self.connection, run.last.object_no, &birth.id)?;
            self.applied.on_gone(gone);
            self.apply_sends(run)?;
        } else if is_stored {
            self.apply_kv(run)?;
            self.apply_sql(run, chain)?;
            self.apply_alarms(run)?;
            self.apply_schedules(run)?;
            self.apply_letters(run)?;
            self.apply_sends(run)?;
            self.apply_results(run)?;
            if let Some(before) = before {
                history::record(self.connection, run, before, (self.sweep.bounds, now))?;
                self.sweep.on_recorded();
            }
        }
        if !is_stored {
            self.memory.present.forget(run.last.object_no);
        }
        self.connection.prepare_cached("RELEASE run")?.execute([])?;
        Ok(is_stored)
    }

    /// Leaves nothing of a run that has failed alone.
    pub(super) fn take_back(&mut self, run: &Run<'_>) -> rusqlite::Result<()> {
        self.memory.present.forget(run.last.object_no);
        if run.has_rows() {
            let (told, more) = self.before_run;
            self.applied.told.truncate(told);
            self.applied.more = more;
            self.connection.prepare_cached("ROLLBACK TO run")?.execute([])?;
            self.connection.prepare_cached("RELEASE run")?.execute([])?;
        } else if run.after == 0 {
            self.objects.remove(run.last.object_no)?;
        }
        Ok(())
    }

    fn apply_kv(&mut self, run: &Run<'_>) -> rusqlite::Result<()> {
        if run.kv.is_empty() {
            return Ok(());
        }
        let writes = match &mut self.kv {
            Some(writes) => writes,
            none => none.insert(kv::Writes::prepare(self.connection)?),
        };
        for change in &run.kv {
            writes.write(run.last.object_no, &change.key, change.value.as_deref())?;
        }
        Ok(())
    }

    /// Where the run's rows of the log go on.
    fn chain(&mut self, run: &Run<'_>) -> rusqlite::Result<Chain> {
        let highest = self.memory.log.highest(self.connection)?;
        let end = match run.fence.log_end() {
            Some(end) => end,
            None if run.after == 0 => 0,
            None => {
                let end = sql::log::end(self.connection, run.last.object_no)?;
                end.map_err(|error| history::damaged(&error))?
            }
        };
        Ok(Chain { end, highest })
    }

    fn apply_sql(&mut self, run: &Run<'_>, chain: Option<Chain>) -> rusqlite::Result<()> {
        if run.sql.is_empty() {
            return Ok(());
        }
        let writes = match &mut self.sql {
            Some(writes) => writes,
            none => none.insert(sql::Writes::prepare(self.connection)?),
        };
        let mut chain = chain;
        let mut bytes = 0;
        for (commit_no, write) in &run.sql {
            writes.write(run.last.object_no, *commit_no, write, chain.as_mut())?;
            bytes += write.bytes();
        }
        if let Some(Chain { end, highest }) = chain {
            run.fence.set_log_end(end);
            self.memory.log.on_added(highest, bytes);
        }
        Ok(())
    }

    fn apply_alarms(&mut self, run: &Run<'_>) -> rusqlite::Result<()> {
        let Some((set_by, last)) = run.alarms.last() else { return Ok(()) };
        let alarms = match &mut self.alarms {
            Some(writes) => writes,
            none => none.insert(alarm::Writes::prepare(self.connection)?),
        };
        match last.alarm {
            Some(alarm) => alarms.set(run.last.object_no, alarm, *set_by),
            None => alarms.clear(run.last.object_no),
        }
    }

    fn apply_schedules(&mut self, run: &Run<'_>) -> rusqlite::Result<()> {
        let Some((set_by, last)) = run.schedules.last() else { return Ok(()) };
        let schedules = match &mut self.schedules {
            Some(writes) => writes,
            none => none.insert(schedule::Writes::prepare(self.connection)?),
        };
        schedules.set(run.last.object_no, last.row.as_ref(), *set_by)
    }

    /// Stores the last state of a run, and who the object is if that is news.
    ///
    /// `chain`: what its rows of the log are about to go on from. `None`: it has none.
    fn apply_state(
        &mut self,
        run: &Run<'_>,
        now: WallMs,
        chain: Option<Chain>,
    ) -> rusqlite::Result<bool> {
        if !run.consecutive {
            return Ok(false);
        }
        let object_no = run.last.object_no;
        let log_end = chain.map(|chain| sql::log::seal_end(object_no, chain.highest + run.logs()));
        if run.erases() && run.after == 0 && run.snapshot.is_none() {
            // Who the object is is stored, and its state is not: only damage leaves such a thing.
            return snapshot::is_missing(self.connection, object_no);
        }
        let Some(birth) = run.birth else {
            // A first commit without its birth would leave a state that no id leads to.
            return Ok(run.after > 0 && self.apply_snapshot(run, log_end)?);
        };
        match self.objects.find(&birth.id)? {
            Some(stored) if stored != object_no => Ok(false),
            Some(_) => {
                let written = self.apply_snapshot(run, log_end)?;
                if let (true, Some(name)) = (written, &birth.name) {
                    self.objects.rename(object_no, name)?;
                }
                Ok(written)
            }
            None if run.after > 0 || !self.objects.insert(object_no, birth, now)? => Ok(false),
            None => {
                let written = self.apply_snapshot(run, log_end)?;
                if !written {
                    self.objects.remove(object_no)?;
                }
                Ok(written)
            }
        }
    }

    fn apply_snapshot(&mut self, run: &Run<'_>, log_end: Option<i64>) -> rusqlite::Result<bool> {
        let (object_no, commit_no) = (run.last.object_no, run.last.commit_no);
        let epoch = run.fence.epoch;
        let results = run.results.last().map(|write| &write.open.body[..]);
        let beside = snapshot::Beside { log_end, results };
        let Some(body) = run.snapshot else {
            return self.snapshots.advance(object_no, epoch, (commit_no, run.after), beside);
        };
        let snapshot = snapshot::Snapshot { object_no, epoch, commit_no, body, beside };
        self.snapshots.write(snapshot, run.after)
    }
}
