//! What a writer stores of sends, of results that are kept, and of all that has used up its retries.

use std::sync::Arc;

use super::tables::Tables;
use super::{Applied, Failure, Writer};
use crate::storage::batch::Run;
use crate::storage::rows::{self, dead_letter};
use crate::storage::{checkpoint, outbox};

impl Writer {
    /// Stores sends that no turn has made, and what has become of some, in a transaction of their own.
    pub(super) fn tend_sends(&mut self) {
        let (shared, chores) = (Arc::clone(&self.shared), self.shared.sends.take());
        let store = || {
            let applied = outbox::apply(&self.connection, (shared.index, &chores));
            let applied = applied.map_err(Failure::Before);
            let stored = applied.and_then(|done| self.commit().map(|()| done));
            stored.map_err(|failure| self.failed(&failure))
        };
        let done = match shared.stopped().cloned().map_or_else(store, Err) {
            Ok(done) => done,
            Err(error) => {
                return chores.into_iter().for_each(|(_, answer)| answer(Err(error.clone())));
            }
        };
        outbox::report(&shared.host, &chores, &done);
        shared.count_sends(done.more);
        shared.alarms.tell_sends(done.told);
        for ((_, answer), was_there) in chores.into_iter().zip(done.was_there) {
            answer(Ok(was_there));
        }
        checkpoint::tend(&self.shared, &self.connection, self.checkpointer.as_ref());
    }
}

impl Tables<'_> {
    /// What a run that erases its object has sent before its last commit goes with the object; what that one sends is
    /// nobody's, and leaves.
    pub(super) fn apply_sends(&mut self, run: &Run<'_>) -> rusqlite::Result<()> {
        let owner = (!run.erases()).then_some(run.last.object_no);
        for (commit_no, write) in &run.sends {
            if let Some(id) = write.received {
                rows::received::insert(self.connection, id)?;
            }
            let is_gone = run.erases() && *commit_no != run.last.commit_no;
            let made = if is_gone { &[][..] } else { &write.made[..] };
            if made.is_empty() && write.taken_back.is_empty() {
                continue;
            }
            let sends = match &mut self.sends {
                Some(writes) => writes,
                none => none.insert(rows::outbox::Writes::prepare(self.connection)?),
            };
            let Applied { told, more, .. } = &mut self.applied;
            for send in made {
                sends.insert(send, owner, told)?;
                *more += 1;
            }
            for id in &write.taken_back {
                *more -= i64::from(sends.remove(*id, told)?);
            }
        }
        Ok(())
    }

    pub(super) fn apply_results(&mut self, run: &Run<'_>) -> rusqlite::Result<()> {
        let object_no = run.last.object_no;
        let store = |write: &&_| rows::result::apply(self.connection, object_no, write);
        run.results.iter().try_for_each(store)
    }

    pub(super) fn apply_letters(&mut self, run: &Run<'_>) -> rusqlite::Result<()> {
        let of_alarms = run.alarms.iter().map(|(_, write)| (write.letter.as_ref(), write.removed));
        let of_schedules =
            run.schedules.iter().map(|(_, write)| (write.letter.as_ref(), write.removed));
        let is_any = |(new, removed): &(Option<_>, Option<_>)| new.is_some() || removed.is_some();
        let of_sends = run.sends.iter().map(|(_, write)| (write.letter.as_ref(), None));
        for (new, removed) in of_alarms.chain(of_schedules).chain(of_sends).filter(is_any) {
            let letters = match &mut self.letters {
                Some(writes) => writes,
                none => none.insert(dead_letter::Writes::prepare(self.connection)?),
            };
            if let Some(letter) = new {
                letters.insert(run.last.object_no, letter)?;
            }
            if let Some(letter_no) = removed {
                letters.remove(run.last.object_no, letter_no)?;
            }
        }
        Ok(())
    }
}
