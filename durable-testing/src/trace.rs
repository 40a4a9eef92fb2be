//! What happened in a world, in order: to be hashed, compared, searched and shown.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::time::Duration;

use durable::ObjectId;
use durable::host::Event;

use crate::chance::{hash, mix};
use crate::check::promises::Done;

/// Everything that happened in a world.
///
/// Two runs of one seed have the same trace, line by line.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    entries: Vec<Entry>,
    objects: BTreeMap<ObjectId, u32>,
    labels: Vec<String>,
}

/// One thing that happened.
#[derive(Clone, Debug)]
struct Entry {
    at_ns: u64,
    point: &'static str,
    /// Place among the labels.
    object: Option<u32>,
    method: &'static str,
    /// 0: of no call.
    call: u64,
    /// Whatever else there is to compare; 0: nothing.
    detail: u64,
    /// Empty but for what is rare.
    text: String,
}

/// One thing that happened, for those who search.
#[derive(Clone, Copy, Debug)]
pub struct Happened<'t> {
    trace: &'t Trace,
    entry: &'t Entry,
}

impl Happened<'_> {
    /// When, since the world began.
    pub fn at(&self) -> Duration {
        Duration::from_nanos(self.entry.at_ns)
    }

    /// The name of the place, such as `turn.began`, `commit.settled`, `node.crashes`.
    pub fn point(&self) -> &str {
        self.entry.point
    }

    /// The object as errors call it, such as `bank.Account(ada)`; empty if it is about none.
    pub fn object(&self) -> &str {
        self.entry.object.map_or("", |object| &self.trace.labels[object as usize])
    }

    /// The method; empty if it is about none.
    pub fn method(&self) -> &str {
        self.entry.method
    }

    /// What else there is to say; usually empty.
    pub fn text(&self) -> &str {
        &self.entry.text
    }
}

impl fmt::Display for Happened<'_> {
    /// One line, the same in every run.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Entry { at_ns, point, method, call, detail, text, .. } = self.entry;
        write!(f, "{:>6}.{:06} {point}", at_ns / 1_000_000_000, at_ns / 1_000 % 1_000_000)?;
        if self.entry.object.is_some() {
            write!(f, " {}", self.object())?;
        }
        if !method.is_empty() {
            write!(f, ".{method}")?;
        }
        if *call != 0 {
            write!(f, " #{call}")?;
        }
        if *detail != 0 {
            write!(f, " {detail:x}")?;
        }
        if !text.is_empty() {
            write!(f, " {text}")?;
        }
        Ok(())
    }
}

impl Trace {
    /// Everything, in order.
    pub fn happened(&self) -> impl DoubleEndedIterator<Item = Happened<'_>> {
        self.entries.iter().map(|entry| Happened { trace: self, entry })
    }

    /// How often the place of that name was passed.
    pub fn count(&self, point: &str) -> usize {
        self.entries.iter().filter(|entry| entry.point == point).count()
    }

    /// Whether the node crashed after a turn of method `first` had ended and before a turn of `second` began.
    pub fn crashed_between(&self, first: &str, second: &str) -> bool {
        let (mut is_after, mut has_crashed) = (false, false);
        for entry in &self.entries {
            match entry.point {
                "turn.ended" if entry.method == first => (is_after, has_crashed) = (true, false),
                "node.crashes" if is_after => has_crashed = true,
                "turn.began" if entry.method == second => {
                    if has_crashed {
                        return true;
                    }
                    is_after = false;
                }
                _ => {}
            }
        }
        has_crashed
    }

    /// A number that differs if anything differs.
    pub(crate) fn hash(&self) -> u64 {
        let mut sum = 0_u64;
        for Entry { at_ns, point, object, method, call, detail, text } in &self.entries {
            for word in [
                *at_ns,
                hash(point.as_bytes()),
                object.map_or(0, |no| u64::from(no) + 1),
                *call,
                *detail,
            ] {
                sum = mix(sum.rotate_left(17) ^ word);
            }
            sum = mix(sum ^ hash(method.as_bytes()) ^ hash(text.as_bytes()).rotate_left(1));
        }
        sum
    }

    /// All lines.
    pub(crate) fn text(&self) -> String {
        self.happened().fold(String::new(), |mut text, happened| {
            let _ = writeln!(text, "{happened}");
            text
        })
    }

    pub(crate) fn note(&mut self, at_ns: u64, point: &'static str, text: String) {
        self.entries.push(Entry {
            at_ns,
            point,
            object: None,
            method: "",
            call: 0,
            detail: 0,
            text,
        });
    }

    /// Something that a caller outside of the node did.
    pub(crate) fn call(
        &mut self,
        at_ns: u64,
        point: &'static str,
        call: u64,
        object: &str,
        method: &str,
    ) {
        let text = format!("{object}.{method}");
        self.entries.push(Entry { at_ns, point, object: None, method: "", call, detail: 0, text });
    }

    /// Something that the runtime reports.
    pub(crate) fn event(&mut self, at_ns: u64, event: &Event<'_>) {
        let point = event.point();
        let Told { object, method, call, detail, text } = self.told(event);
        self.entries.push(Entry { at_ns, point, object, method, call, detail, text });
    }

    fn object(&mut self, id: &ObjectId) -> u32 {
        let next = u32::try_from(self.labels.len()).expect("a world has few objects");
        let labels = &mut self.labels;
        *self.objects.entry(*id).or_insert_with(|| {
            labels.push(format!("{:.8}", id.to_string()));
            next
        })
    }

    fn told(&mut self, event: &Event<'_>) -> Told {
        let mut told = Told::default();
        match *event {
            Event::Sent { object, call, method, within, .. } => {
                let (method, detail) = (method.name, within.map_or(0, |turn| turn + 1));
                told = Told { method, call, detail, ..Told::of(self.object(object)) };
            }
            Event::Queued { object, call, waiting, .. } => {
                told = Told { call, detail: waiting as u64, ..Told::of(self.object(object)) };
            }
            Event::Activating { object, class, name, incarnation } => {
                let index = self.object(object);
                if let Some(name) = name {
                    self.labels[index as usize] = format!("{class}({})", name.escape_debug());
                }
                told = Told { detail: incarnation, ..Told::of(index) };
            }
            Event::Loaded { object, commit, state, .. } => {
                let detail = mix(commit ^ hash(state));
                told = Told { detail, ..Told::of(self.object(object)) };
            }
            Event::Evolved { object, state } => {
                told = Told { detail: hash(state), ..Told::of(self.object(object)) };
            }
            Event::Unstartable { object, error, tries }
            | Event::StartFailed { object, error, tries } => {
                let (text, detail) = (error.to_string(), tries.into());
                told = Told { text, detail, ..Told::of(self.object(object)) };
            }
            Event::Gone { object, incarnation } => {
                told = Told { detail: incarnation, ..Told::of(self.object(object)) };
            }
            Event::TurnBegan { object, call, method, state, .. } => {
                let detail = hash(state);
                told = Told { method: method.name, call, detail, ..Told::of(self.object(object)) };
            }
            Event::TurnTold { call, now } => (told.call, told.detail) = (call, now.0),
            Event::TurnReached { call } | Event::TurnDrew { call } | Event::Abandoned { call } => {
                told.call = call
            }
            Event::TurnEnded { object, call, method, ended, state, kv, sql } => {
                let (method, detail) = (method.name, hash(state) ^ Done { kv, sql }.digest());
                let text = format!("{ended:?}").to_lowercase();
                told = Told { method, call, detail, text, ..Told::of(self.object(object)) };
            }
            Event::KvRead { object, call, key, value } => {
                let detail = mix(hash(key)) ^ value.map_or(0, hash);
                told = Told { call, detail, ..Told::of(self.object(object)) };
            }
            Event::Submitted { object, commit, call, state, kv, sql, .. } => {
                let detail = mix(commit ^ hash(state) ^ Done { kv, sql }.digest());
                told = Told { call, detail, ..Told::of(self.object(object)) };
            }
            Event::Stored { shard } | Event::Checkpointing { shard } | Event::Copying { shard } => {
                told.detail = u64::from(shard)
            }
            Event::Settled { shard, place, is_durable } => {
                told.detail = mix(u64::from(shard) ^ place.rotate_left(16));
                told.text = if is_durable { String::new() } else { "failed".to_owned() };
            }
            Event::Stopped { error, .. } => told.text = error.to_string(),
            Event::Answered { call, outcome } => {
                told.call = call;
                told.text = outcome.map_or_else(ToString::to_string, |_| String::new());
            }
            _ => return self.told_of_alarm(event),
        }
        told
    }

    fn told_of_alarm(&mut self, event: &Event<'_>) -> Told {
        let mut told = Told::default();
        match *event {
            Event::AlarmDealt { object, call, at } => {
                let detail = mix(at.flatten().map_or(1, |at| at.0));
                told = Told { call, detail, ..Told::of(self.object(object)) };
            }
            Event::LetterTended { object, .. } | Event::WorkEnded { object, .. } => {
                told = Told::of(self.object(object));
            }
            Event::Circular { object, call, .. }
            | Event::Skipped { object, call }
            | Event::WorkBegan { object, call, .. }
            | Event::FramesLeave { object, call } => {
                told = Told { call, ..Told::of(self.object(object)) };
            }
            Event::Repeated { object, call, key, reply } => {
                let detail = reply.map_or(0, hash);
                told = Told { call, detail, ..Told::of(self.object(object)) };
                told.text = key.to_owned();
            }
            Event::AlarmFires { object, call, alarm, .. } => {
                let detail = mix(alarm.due.0) ^ u64::from(alarm.retry_count);
                told = Told { call, detail, ..Told::of(self.object(object)) };
            }
            Event::Crashed { object, is_quarantined, .. } => {
                told = Told { detail: is_quarantined.into(), ..Told::of(self.object(object)) };
            }
            Event::Quarantined { object, retry_at, failed_trials } => {
                let detail = mix(retry_at.0) ^ u64::from(failed_trials);
                told = Told { detail, ..Told::of(self.object(object)) };
            }
            Event::QuarantineTried { object }
            | Event::QuarantineEnded { object, .. }
            | Event::Held { object } => {
                told = Told::of(self.object(object));
            }
            Event::ClassFailed { class } => told.text = class.to_owned(),
            Event::Joined { object, parent, run } => {
                told = Told { detail: run, ..Told::of(self.object(object)) };
                told.text = format!("below {parent}");
            }
            Event::Died { object, exit } => {
                told = Told { text: exit.to_string(), ..Told::of(self.object(object)) };
            }
            Event::Heard { object, about, run } => {
                told = Told { detail: run, ..Told::of(self.object(object)) };
                told.text = format!("the end of {about}");
            }
            Event::ScheduleDealt { object, call, name, .. } => {
                told = Told { call, text: name.to_owned(), ..Told::of(self.object(object)) };
            }
            Event::ScheduleFires { object, call, schedule, run, .. } => {
                let aim = run.map_or(0, |run| run.scheduled_at.0);
                let detail = mix(schedule.due.0) ^ mix(aim) ^ u64::from(schedule.retry_count);
                told = Told { call, detail, ..Told::of(self.object(object)) };
            }
            _ => return self.told_of_send(event),
        }
        told
    }

    fn told_of_send(&mut self, event: &Event<'_>) -> Told {
        let mut told = Told::default();
        match *event {
            Event::SendPut { send } => {
                told = Told::of(self.object(&send.target));
                told.text = send.id.to_string();
            }
            Event::SendArrives { object, call, send, retry_count, .. } => {
                let detail = u64::from(retry_count);
                told = Told { call, detail, ..Told::of(self.object(object)) };
                told.text = send.to_string();
            }
            Event::SendRecalled { send } | Event::SendLeaves { send } => {
                told.text = send.to_string();
            }
            Event::SendTended { send, tended } => told.text = format!("{send}: {tended:?}"),
            _ => told.text = supervised(event),
        }
        told
    }
}

/// What an event of the tree tells; empty if it is none.
fn supervised(event: &Event<'_>) -> String {
    match event {
        Event::SupervisorBegan { supervisor, .. } => (*supervisor).to_owned(),
        Event::TaskBegan { supervisor, child, incarnation }
        | Event::TaskEnded { supervisor, child, incarnation } => {
            format!("{supervisor}: {child}, run {incarnation}")
        }
        Event::Supervised { supervisor, decision } => format!("{supervisor}: {decision}"),
        _ => String::new(),
    }
}

/// What an event tells.
#[derive(Default)]
struct Told {
    object: Option<u32>,
    method: &'static str,
    call: u64,
    detail: u64,
    text: String,
}

impl Told {
    fn of(object: u32) -> Self {
        Told { object: Some(object), ..Told::default() }
    }
}
