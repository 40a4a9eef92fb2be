//! Alarms, schedules and dead letters, from outside of their objects.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::directory::ClassGroup;
use crate::due::{AlarmView, DeadLetter, DeadLetterId, LetterFate};
use crate::error::Error;
use crate::id::ObjectId;
use crate::kernel::alarm::Kind;
use crate::limits::LIST_PAGE_MAX;
use crate::object::{Firing, LetterDeed, Rung, gone, letter_unknown, schedules_unreadable};
use crate::runtime::Runtime;
use crate::schedule::ScheduleView;
use crate::storage::schedule;

impl Runtime {
    /// The alarm that is stored of an object. `None`: none is set. It does not wake the object.
    ///
    /// # Errors
    /// `id.foreign` if the id is one of no registered class; `storage.*` if it cannot be read; `runtime.closed`.
    pub fn alarm(&self, id: ObjectId) -> Result<Option<AlarmView>, Error> {
        self.group_of(id)?;
        let stored = self.registry().shared().store.shard(&id).read_alarm(&id)?;
        Ok(stored.map(|stored| stored.alarm.view()))
    }

    /// The schedules that are stored of an object, in the order of their names. It does not wake the object.
    ///
    /// # Errors
    /// `id.foreign` if the id is one of no registered class; `schedule.torn`, `schedule.newer`; `storage.*` if they cannot be
    /// read; `runtime.closed`.
    pub fn schedules(&self, id: ObjectId) -> Result<Vec<ScheduleView>, Error> {
        self.group_of(id)?;
        let stored = self.registry().shared().store.shard(&id).read_schedules(&id)?;
        schedule::views(stored.as_ref()).map_err(|error| schedules_unreadable(&error))
    }

    /// Runs the handler of an object's alarm at once, whether the alarm is due or not. Gives whether there was an alarm. It
    /// is used up, or its failure is counted, as if it had been due.
    ///
    /// # Errors
    /// `alarm.failed` if the handler failed; what kept it from being run; `id.foreign` if the id is one of no registered
    /// class; `runtime.closed`.
    ///
    /// # Cancel safety
    /// The handler is run if the future is dropped after it was polled.
    pub async fn run_alarm(&self, id: ObjectId) -> Result<bool, Error> {
        let group = self.group_of(id)?;
        if self.registry().shared().is_closed_to(false) {
            return Err(gone());
        }
        let (told, receiver) = whoever_waits();
        Arc::clone(group).fire(id, Firing::new(Kind::Alarm, None, told));
        ran(receiver.await)
    }

    /// Runs a schedule of an object at once, whether it is due or not. Gives whether there was one of that name. The time that
    /// it would have run for next is used up, or its failure is counted, as if it had been due; one that it would have passed
    /// over because it is late is run for.
    ///
    /// # Errors
    /// `alarm.failed` if the run failed; what kept it from being run; `id.foreign` if the id is one of no registered class;
    /// `runtime.closed`.
    ///
    /// # Cancel safety
    /// It is run if the future is dropped after it was polled.
    pub async fn run_schedule(&self, id: ObjectId, name: &str) -> Result<bool, Error> {
        let group = self.group_of(id)?;
        if self.registry().shared().is_closed_to(false) {
            return Err(gone());
        }
        let (told, receiver) = whoever_waits();
        Arc::clone(group).fire(id, Firing::by_hand(name.to_owned(), told));
        ran(receiver.await)
    }

    /// One page of the dead letters of all objects, in the order of their names: at most
    /// [`LIST_PAGE_MAX`](crate::limits::LIST_PAGE_MAX). A page that is shorter is the last.
    ///
    /// `after`: the last of the page before. `None`: from the beginning.
    ///
    /// # Errors
    /// `storage.*` if they cannot be read; `runtime.closed`.
    ///
    /// # Cancel safety
    /// Nothing is changed.
    pub async fn dead_letters(
        &self,
        after: Option<DeadLetterId>,
    ) -> Result<Vec<DeadLetter>, Error> {
        let (groups, mut page) = (self.registry().groups(), Vec::new());
        let name = |class_no: u32| {
            let group = groups.iter().find(|group| group.class_no().0 == class_no);
            group.map_or_else(|| format!("class {class_no}"), |group| group.name().to_owned())
        };
        let first = after.map_or(0, |after| after.shard);
        for shard in self.registry().shared().store.shards().iter().skip(first.into()) {
            let after = after.filter(|after| after.shard == shard.index());
            let after = after.map_or(0, |after| after.number);
            let left = LIST_PAGE_MAX - page.len();
            let letters = shard.read_letters(after, left).await?;
            page.extend(letters.into_iter().filter_map(|found| found.told(shard.index(), name)));
            if page.len() >= LIST_PAGE_MAX {
                break;
            }
        }
        Ok(page)
    }

    /// Sets the alarm again that a dead letter was, as if it had never run: it fires at once, and the letter is gone. What was
    /// a run of a schedule becomes a schedule of its own that runs once, beside the one that has gone on. So does what was a
    /// send; its turn carries the [metadata](DeadLetter::metadata) of the send, and interceptors look at it as they did.
    ///
    /// # Errors
    /// `letter.unknown`; `letter.torn`, `letter.newer` if it does not say what it carries, then it stays as it is;
    /// `alarm.taken` if the object has set another alarm since; `schedule.too_many`; `schedule.torn`;
    /// `id.foreign` if its class is not registered; `storage.*` if it cannot be stored; `runtime.closed`.
    ///
    /// # Cancel safety
    /// It goes on if the future is dropped after it was polled.
    pub async fn retry_dead_letter(&self, id: DeadLetterId) -> Result<(), Error> {
        self.tend_letter(LetterDeed { id, fate: LetterFate::Retried }).await
    }

    /// Takes a dead letter away.
    ///
    /// # Errors
    /// `letter.unknown`; `id.foreign` if its class is not registered; `storage.*` if it cannot be stored;
    /// `runtime.closed`.
    ///
    /// # Cancel safety
    /// It goes on if the future is dropped after it was polled.
    pub async fn drop_dead_letter(&self, id: DeadLetterId) -> Result<(), Error> {
        self.tend_letter(LetterDeed { id, fate: LetterFate::Dropped }).await
    }

    async fn tend_letter(&self, deed: LetterDeed) -> Result<(), Error> {
        let unknown = || letter_unknown(deed.id);
        let shared = self.registry().shared();
        if shared.is_closed_to(false) {
            return Err(gone());
        }
        let shard = shared.store.shards().get(usize::from(deed.id.shard)).ok_or_else(unknown)?;
        let letter = shard.read_letter(deed.id.number)?.ok_or_else(unknown)?;
        let owner = letter.owner.ok_or_else(unknown)?;
        let group = Arc::clone(self.group_of(owner.id)?);
        group.tend_letter(owner.id, deed).await.map(drop)
    }

    fn group_of(&self, id: ObjectId) -> Result<&Arc<dyn ClassGroup>, Error> {
        self.registry().group_owning(&id)
    }
}

/// Tells what became of a firing to somebody who may have gone.
fn whoever_waits() -> (impl FnOnce(Rung) + Send + 'static, oneshot::Receiver<Rung>) {
    let (sender, receiver) = oneshot::channel();
    let told = move |rung| {
        // Whoever no longer waits does not need to be told.
        let _ = sender.send(rung);
    };
    (told, receiver)
}

/// Whether there was something to run, and it went well.
fn ran(rung: Result<Rung, oneshot::error::RecvError>) -> Result<bool, Error> {
    match rung {
        Ok(Rung::Done) => Ok(true),
        Ok(Rung::Void | Rung::Again { .. }) => Ok(false),
        Ok(Rung::Failed(error) | Rung::Postponed(error)) => Err(error),
        Err(_) => Err(gone()),
    }
}
