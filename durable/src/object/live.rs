//! The object itself: the user's struct beside the bytes of it that were submitted last.

mod wake;

use std::any::type_name;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, OnceLock};

use crate::codec::{self, EncodeError};
use crate::due::Alarm;
use crate::error::{Code, Error, Outcome};
use crate::history::Cause;
use crate::host::Event;
use crate::kernel::schedule::{Deeds, changed, first_due};
use crate::kv::KvChange;
use crate::limits::{SNAPSHOT_BYTES_MAX, SNAPSHOT_WARNED_PERCENT};
use crate::object::alarm::{AlarmBase, Deed};
use crate::object::erased;
use crate::object::keyed::{self, LiveResults};
use crate::object::kv::{Base, LiveKv, Turn};
use crate::object::schedule::{ScheduleBase, schedules_unreadable};
use crate::object::send::SendBase;
use crate::object::sql::{Below, Fate, LiveSql, Seat};
use crate::object::stored::{self, Read};
use crate::object::{Context, Object, Slot, Stores};
use crate::schedule::{Schedule, ScheduleInfo, ScheduleView};
use crate::sql::SqlChange;
use crate::state::Fingerprint;
use crate::storage::frame::{self, Codec, Header};
use crate::storage::{
    AlarmWrite, Birth, Fence, Loaded, NewLetter, ObjectNo, Release, ResultWrite, ScheduleWrite,
    SendWrite, SqlWrite, StoredAlarm, StoredObject, WriteSet, schedule,
};

/// An object in memory.
pub(crate) struct Live<O: Object> {
    object: O,
    /// The framed bytes that were submitted last; for an object that was never stored, those it began with.
    framed: Arc<[u8]>,
    /// Whether what is stored is still as older code wrote it. The next commit stores it anew, whatever it changes.
    is_evolved: bool,
    /// It was brought back to before its birth, and has not committed since.
    is_gone: bool,
    object_no: ObjectNo,
    fence: Arc<Fence>,
    /// Number of the newest submitted commit of this object; 0: none yet.
    commit_no: u64,
    known: Known,
    kv: LiveKv,
    /// As the newest submitted commit left it. `None`: none is set.
    alarm: Option<StoredAlarm>,
    schedules: LiveSchedules,
    /// Empty: no turn of this activation has used SQL.
    sql: OnceLock<Box<LiveSql>>,
    /// Sends that its turns have made, kept or not.
    made: AtomicU32,
    /// `None`: no call with an idempotency key has come.
    results: Option<Box<LiveResults>>,
}

/// An object's schedules, as the newest submitted commit left them.
#[derive(Default)]
struct LiveSchedules {
    /// In the order of their names.
    all: Vec<Schedule>,
    /// The object's commit that stored them.
    set_by: u64,
}

/// What a turn leaves to be stored.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// The encoded state. `None`: it is as it was.
    pub(crate) encoded: Option<Vec<u8>>,
    /// What was done to the object's KV. Empty: nothing.
    pub(crate) kv: Vec<KvChange>,
    /// Whether something in the object's database was changed and kept.
    pub(crate) has_sql: bool,
    /// Why it is committed.
    pub(crate) cause: Cause,
    /// What became of the object's alarm. `None`: nothing.
    pub(crate) alarm: Option<AlarmChange>,
    /// What became of its schedules. `None`: nothing.
    pub(crate) schedules: Option<ScheduleChange>,
    /// What was done about sends.
    pub(crate) sends: SendWrite,
    /// What is kept of the call's result. `None`: nothing.
    pub(crate) result: Option<Arc<ResultWrite>>,
}

/// What becomes of an object's alarm.
#[derive(Clone, Debug)]
pub(crate) struct AlarmChange {
    /// The alarm from here on. `None`: none is set.
    pub(crate) alarm: Option<Alarm>,
    /// What the one before has become. `None`: no dead letter.
    pub(crate) letter: Option<NewLetter>,
}

/// What becomes of an object's schedules.
#[derive(Clone, Debug)]
pub(crate) struct ScheduleChange {
    /// All of them, from here on, in the order of their names.
    pub(crate) all: Vec<Schedule>,
    /// What a run has become that has failed. `None`: no dead letter.
    pub(crate) letter: Option<NewLetter>,
}

impl AlarmChange {
    pub(crate) fn to(alarm: Option<Alarm>) -> Self {
        AlarmChange { alarm, letter: None }
    }
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        let is_awake = self.alarm.is_none() && self.schedules.is_none();
        let has_rows = !self.kv.is_empty() || self.has_sql || !self.sends.is_empty();
        let has_rows = has_rows || self.result.is_some();
        self.encoded.is_none() && !has_rows && is_awake
    }
}

/// What storage knows of who the object is, once what was submitted is stored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    /// Nothing: it was never stored.
    Nothing,
    /// All but a name.
    Nameless,
    All,
}

impl<O: Object> Live<O> {
    /// Reads the object from storage, or creates it.
    pub(crate) async fn load(slot: &Arc<Slot<O>>) -> Result<Self, Error> {
        let group = slot.group();
        let shard = group.shard(&slot.id());
        let Loaded { object_no, stored } = shard.load(&slot.id(), group.class_no()).await?;
        let fence = Fence::new(shard.next_epoch());
        let Some(stored) = stored else { return Self::unborn(slot, object_no, fence) };
        let known = if stored.name.is_some() { Known::All } else { Known::Nameless };
        slot.learn(stored.name.as_ref(), Some(&Arc::new(stored.placement.clone())));
        slot.learn_lineage(stored.lineage.as_ref());
        let framed = stored.body.clone().ok_or_else(|| {
            Code::StateTorn.error(
                "the object is stored and its state is not; \
                 restore the shard's file from a copy, nothing was written over it",
            )
        })?;
        let state = framed.get(frame::HEADER_BYTES..).unwrap_or_default();
        let (object, epoch, commit) = (slot.id_ref(), fence.epoch.0, stored.commit_no);
        slot.host().report(|| Event::Loaded { object, epoch, commit, state });
        let (fingerprint, schemas) = (group.fingerprint(), group.schemas());
        let is_gone = frame::is_gone(&framed);
        let read = if is_gone {
            // It was brought back to before its birth, so it begins anew; its commits go on being counted.
            Read { object: O::create(&Context::of_init(slot)), is_evolved: true }
        } else {
            stored::read::<O>(&|| slot.label(), &framed, fingerprint, schemas)?
        };
        let Read { object, is_evolved } = read;
        // What turns change is seen against what this code would have written.
        let framed = if is_evolved { Self::frame(&object, fingerprint)? } else { framed };
        if is_evolved {
            let state = &framed[frame::HEADER_BYTES..];
            slot.host().report(|| Event::Evolved { object: slot.id_ref(), state });
        }
        let kv = LiveKv::new(shard, object_no, &fence, true);
        let StoredObject { commit_no, alarm, schedules, .. } = stored;
        let schedules = schedules.map_or(Ok(LiveSchedules::default()), |stored| {
            let all = schedule::decode(&stored.body).map_err(|error| schedules_unreadable(&error));
            all.map(|all| LiveSchedules { all, set_by: stored.set_by })
        })?;
        let live = Live {
            object,
            framed,
            is_evolved,
            is_gone,
            object_no,
            fence,
            commit_no,
            known,
            kv,
            alarm,
            schedules,
            sql: OnceLock::new(),
            made: AtomicU32::new(0),
            results: None,
        };
        Ok(live)
    }

    /// An object that was never stored.
    fn unborn(slot: &Arc<Slot<O>>, object_no: ObjectNo, fence: Arc<Fence>) -> Result<Self, Error> {
        let group = slot.group();
        let object = O::create(&Context::of_init(slot));
        let framed = Self::frame(&object, group.fingerprint())?;
        let live = Live {
            object,
            framed,
            is_evolved: false,
            is_gone: false,
            object_no,
            kv: LiveKv::new(group.shard(&slot.id()), object_no, &fence, false),
            fence,
            commit_no: 0,
            known: Known::Nothing,
            alarm: None,
            schedules: LiveSchedules::default(),
            sql: OnceLock::new(),
            made: AtomicU32::new(0),
            results: None,
        };
        slot.host().report(|| Event::Loaded {
            object: slot.id_ref(),
            epoch: live.fence.epoch.0,
            commit: 0,
            state: &live.framed[frame::HEADER_BYTES..],
        });
        Ok(live)
    }

    fn frame(object: &O, fingerprint: Fingerprint) -> Result<Arc<[u8]>, Error> {
        let framed = codec::encode(object, frame::HEADER_BYTES, SNAPSHOT_BYTES_MAX);
        let framed = framed.map(|framed| seal::<O>(framed, fingerprint));
        framed.map_err(|error| unencodable(&error).with_outcome(Outcome::NotStarted))
    }

    /// Ends the transaction of a turn that has used SQL. Gives whether it changed anything that is kept.
    pub(crate) fn end_sql(&self, end: Fate) -> Result<bool, Error> {
        self.sql.get().map_or(Ok(false), |sql| sql.end(end))
    }

    /// What was changed in the object's database and is not handed over, for the host's director.
    pub(crate) fn sql_change(&self) -> Option<SqlChange> {
        let sql = self.sql.get().filter(|sql| sql.has_changes());
        sql.map(|sql| sql.change())
    }

    /// Encodes the object; `None` if its bytes are those that were submitted last.
    pub(crate) fn encode(&self) -> Result<Option<Vec<u8>>, Error> {
        let last = &self.framed[frame::HEADER_BYTES..];
        codec::encode_if_changed(&self.object, last, frame::HEADER_BYTES, SNAPSHOT_BYTES_MAX)
            .map_err(|error| unencodable(&error))
    }

    /// Hands what a turn changed to the shard; the answer of `answered` leaves with its commit.
    pub(crate) fn submit(
        &mut self,
        slot: &Slot<O>,
        changes: Changes,
        (call, release): (u64, Option<Arc<dyn Release>>),
    ) {
        assert!(!changes.is_empty(), "a commit changes something");
        let Changes { encoded, kv, has_sql: _, cause, alarm, schedules, sends, result } = changes;
        // The first commit stores the state whatever it changed: rows are found through it.
        let is_evolved = std::mem::take(&mut self.is_evolved);
        self.is_gone = false;
        let has_snapshot = encoded.is_some() || self.commit_no == 0 || is_evolved;
        if let Some(encoded) = encoded {
            warn_if_large(slot, encoded.len() - frame::HEADER_BYTES);
            self.framed = seal::<O>(encoded, slot.group().fingerprint());
        }
        self.commit_no += 1;
        let birth = self.news(slot);
        let change = slot.host().director.is_some().then(|| self.sql_change()).flatten();
        let sql = self.sql.get().and_then(|sql| sql.take());
        let is_fold = sql.as_deref().map(|sql| matches!(sql, SqlWrite::Fold { .. }));
        let shard = slot.group().shard(&slot.id());
        let alarm_view = alarm.as_ref().map(|change| change.alarm.map(Alarm::view));
        let alarm = alarm.map(|change| Box::new(self.alarm_write(slot, change)));
        let schedules = schedules.map(|change| Box::new(self.schedule_write(slot, change)));
        let sends_view = slot.host().director.is_some().then(|| sends.view()).flatten();
        let views = (slot.host().director.is_some() && schedules.is_some())
            .then(|| self.schedules.all.iter().map(Schedule::view).collect::<Vec<ScheduleView>>());
        let result_view = keyed::view(slot, result.as_deref());
        let kept = result.clone();
        let place = shard.submit(WriteSet {
            fence: Arc::clone(&self.fence),
            object_no: self.object_no,
            commit_no: self.commit_no,
            birth,
            snapshot: has_snapshot.then(|| Arc::clone(&self.framed)),
            kv: kv.clone(),
            sql,
            alarm,
            schedules,
            sends: (!sends.is_empty()).then(|| Box::new(sends)),
            result,
            erases: false,
            history: O::CLASS.keeps_history.then_some(cause),
            release,
        });
        slot.host().report(|| Event::Submitted {
            object: slot.id_ref(),
            epoch: self.fence.epoch.0,
            commit: self.commit_no,
            call,
            shard: shard.index(),
            place: place.0,
            state: &self.framed[frame::HEADER_BYTES..],
            kv: &kv,
            sql: change.as_ref(),
            alarm: alarm_view,
            schedules: views.as_deref(),
            sends: sends_view.as_ref(),
            result: result_view.as_ref(),
            erases: false,
            restores: None,
        });
        self.kv.on_submit(place, kv);
        let results = self.results.iter_mut().zip(kept);
        results.for_each(|(results, kept)| results.on_submit(place, &kept));
        if let (Some(live), Some(is_fold)) = (self.sql.get(), is_fold) {
            live.on_submit(place, is_fold);
        }
    }

    /// Who the object is, if storage does not know it.
    fn news(&mut self, slot: &Slot<O>) -> Option<Box<Birth>> {
        let is_name_news = self.known == Known::Nameless && slot.name().is_some();
        let is_news = self.known == Known::Nothing || is_name_news;
        let birth = is_news.then(|| Box::new(birth_of(slot)))?;
        self.known = if birth.name.is_some() { Known::All } else { Known::Nameless };
        Some(birth)
    }

    /// The alarm that is set, as far as was handed over.
    pub(crate) fn alarm(&self) -> Option<StoredAlarm> {
        self.alarm
    }

    /// What stands for the object in its shard.
    pub(crate) fn number(&self) -> i64 {
        self.object_no.0
    }

    /// What is known of the results that it keeps. `None`: no call with an idempotency key has come.
    pub(super) fn results(&mut self) -> &mut Option<Box<LiveResults>> {
        &mut self.results
    }

    /// What a turn's deed makes of the alarm. `None`: it is as it was.
    pub(crate) fn alarm_change(&self, deed: Deed) -> Option<AlarmChange> {
        let before = self.alarm.map(|stored| stored.alarm);
        let after = match deed {
            Deed::None => return None,
            Deed::Set(at) => Some(Alarm::at(at)),
            Deed::Cancelled => None,
        };
        (before != after).then(|| AlarmChange::to(after))
    }

    /// The alarm's part of the commit that is being made.
    fn alarm_write(&mut self, slot: &Slot<O>, change: AlarmChange) -> AlarmWrite {
        let AlarmChange { alarm, letter } = change;
        self.alarm = alarm.map(|alarm| StoredAlarm { alarm, set_by: self.commit_no });
        AlarmWrite {
            id: slot.id(),
            class_no: slot.group().class_no(),
            alarm,
            letter,
            removed: None,
        }
    }

    /// Its schedules, as far as they were handed over, in the order of their names.
    pub(crate) fn schedules(&self) -> &[Schedule] {
        &self.schedules.all
    }

    /// The schedule that is due first, and the commit that set it. `None`: none is set.
    pub(crate) fn first_schedule(&self) -> Option<(&Schedule, u64)> {
        first_due(&self.schedules.all).map(|first| (first, self.schedules.set_by))
    }

    /// What a turn's deeds make of the schedules. `None`: they are as they were.
    pub(crate) fn schedule_change(&self, deeds: &Deeds) -> Option<ScheduleChange> {
        if deeds.is_empty() {
            return None;
        }
        let all = changed(&self.schedules.all, deeds);
        (all != self.schedules.all).then_some(ScheduleChange { all, letter: None })
    }

    /// The schedules' part of the commit that is being made.
    fn schedule_write(&mut self, slot: &Slot<O>, change: ScheduleChange) -> ScheduleWrite {
        let ScheduleChange { all, letter } = change;
        let row = schedule::encode(&all);
        self.schedules = LiveSchedules { all, set_by: self.commit_no };
        let (id, class_no) = (slot.id(), slot.group().class_no());
        ScheduleWrite { id, class_no, row, letter, removed: None }
    }

    /// Whether a commit of the object was ever handed over.
    pub(crate) fn is_stored(&self) -> bool {
        self.commit_no > 0
    }

    /// Hands over that nothing is left of an object that was stored. The activation must end.
    pub(crate) fn erase(
        &mut self,
        slot: &Slot<O>,
        sends: SendWrite,
        answered: (u64, Option<Arc<dyn Release>>),
    ) {
        self.commit_no += 1;
        let (object_no, commit_no) = (self.object_no, self.commit_no);
        erased::submit(slot, &self.fence, erased::Erased { object_no, commit_no, sends }, answered);
    }

    /// Builds the object anew from the bytes that were submitted last.
    pub(crate) fn restore(&mut self) {
        let payload = &self.framed[frame::HEADER_BYTES..];
        self.object = codec::decode(payload).unwrap_or_else(|reason| {
            panic!("`{}` does not decode from what it encoded: {reason}", type_name::<O>())
        });
    }

    pub(crate) fn fence(&self) -> &Arc<Fence> {
        &self.fence
    }

    /// The encoded state as it is in memory; empty if it does not encode.
    pub(crate) fn payload(&self) -> Vec<u8> {
        codec::encode(&self.object, 0, SNAPSHOT_BYTES_MAX).unwrap_or_default()
    }

    /// The object and the context for a turn that has it to itself. `call`: for the host's director.
    #[inline]
    pub(crate) fn turn<'a>(
        &'a mut self,
        slot: &'a Arc<Slot<O>>,
        call: u64,
    ) -> (&'a mut O, Context<'a, O>) {
        self.kv.settle();
        let rows = (&self.kv, &self.sql, &self.made);
        let times = (self.alarm, &self.schedules.all[..]);
        let stores = stores(slot, rows, times, Turn::Write);
        (&mut self.object, Context::new(slot, Some(&self.fence), stores, call))
    }

    /// The object and the context for its alarm's handler, to which no alarm is set.
    pub(crate) fn alarm_turn<'a>(
        &'a mut self,
        slot: &'a Arc<Slot<O>>,
        call: u64,
    ) -> (&'a mut O, Context<'a, O>) {
        self.kv.settle();
        let rows = (&self.kv, &self.sql, &self.made);
        let stores = stores(slot, rows, (None, &self.schedules.all), Turn::Write);
        (&mut self.object, Context::new(slot, Some(&self.fence), stores, call))
    }

    /// The object and the context for a call that nobody waits for. `run`: which schedule it is of, and what is left of all
    /// if it succeeds. `None`: it is of none.
    pub(crate) fn own_turn<'a>(
        &'a mut self,
        slot: &'a Arc<Slot<O>>,
        (call, turn): (u64, Turn),
        run: Option<(ScheduleInfo, &'a [Schedule])>,
    ) -> (&'a mut O, Context<'a, O>) {
        self.kv.settle();
        let (info, schedules) = run.unzip();
        let schedules = schedules.unwrap_or(&self.schedules.all);
        let rows = (&self.kv, &self.sql, &self.made);
        let stores = stores(slot, rows, (self.alarm, schedules), turn);
        (&mut self.object, Context::new(slot, Some(&self.fence), stores, call).runs(info))
    }

    /// The object and the context for a read.
    #[inline]
    pub(crate) fn read<'a>(&'a self, slot: &'a Arc<Slot<O>>, call: u64) -> (&'a O, Context<'a, O>) {
        let rows = (&self.kv, &self.sql, &self.made);
        let stores = stores(slot, rows, (self.alarm, &self.schedules.all), Turn::Read);
        (&self.object, Context::new(slot, Some(&self.fence), stores, call))
    }

    /// The object, for somebody who looks at it between two turns.
    pub(crate) fn object(&self) -> &O {
        &self.object
    }
}

#[inline]
fn stores<'a, O: Object>(
    slot: &Slot<O>,
    (kv, live, made): (&'a LiveKv, &'a OnceLock<Box<LiveSql>>, &'a AtomicU32),
    (alarm, schedules): (Option<StoredAlarm>, &'a [Schedule]),
    turn: Turn,
) -> Stores<'a> {
    let (shard, object_no, fence, is_born) = kv.place();
    let (source, epoch, waiting) = (slot.id(), fence.epoch.0, shard.outbox());
    let sends = SendBase::Is { source, shard: shard.index(), epoch, made, waiting };
    let below = Below::Shard { shard, object_no, fence, is_born };
    let sql = Some(Seat { live, below, migrations: O::CLASS.migrations });
    let alarm = AlarmBase::Is(alarm.map(|stored| stored.alarm));
    let schedules = ScheduleBase::Is(schedules);
    Stores { kv: Base::Live(kv), sql, alarm, schedules, sends, turn }
}

fn warn_if_large<O: Object>(slot: &Slot<O>, size: usize) {
    if size * 100 >= SNAPSHOT_BYTES_MAX * SNAPSHOT_WARNED_PERCENT {
        tracing::warn!(
            object = slot.label(),
            size,
            limit = SNAPSHOT_BYTES_MAX,
            "the state is close to its limit; spread it over several objects, or keep it in the object's KV"
        );
    }
}

pub(crate) fn birth_of<O: Object>(slot: &Slot<O>) -> Birth {
    Birth {
        id: slot.id(),
        class_no: slot.group().class_no(),
        name: slot.stored_name(),
        placement: slot.placement().map(|placement| (**placement).clone()).unwrap_or_default(),
        lineage: slot.lineage().cloned(),
    }
}

fn seal<O: Object>(mut framed: Vec<u8>, fingerprint: Fingerprint) -> Arc<[u8]> {
    let header = Header { codec: Codec::Postcard, state_version: O::CLASS.version, fingerprint };
    frame::finish(header, &mut framed);
    framed.into()
}

fn unencodable(error: &EncodeError) -> Error {
    match error {
        EncodeError::TooLarge(size) => Code::StateTooLarge.error(format!(
            "the state has {size} bytes once encoded, the limit is {SNAPSHOT_BYTES_MAX}; \
             spread it over several objects, or keep it in the object's KV"
        )),
        EncodeError::Refused(reason) => Code::StateUnencodable
            .error(format!("the state cannot be encoded: {reason}; mend its `Serialize`")),
    }
}
