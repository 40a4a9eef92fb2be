//! What is promised of every object, checked on every run without anybody asking for it.
//!
//! It believes nobody: what the runtime reports is compared with the disk's syncs, with the stored rows, and with what was
//! reported earlier. P6 and P7 are about alarms and sends, which objects do not have yet; of P9 it checks that an error
//! reaches only those whom it concerns.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use durable::host::{Event, TurnEnd};
use durable::limits::INBOX_CALLS_MAX;
use durable::{Access, Code, Error, ObjectId, Outcome};

use crate::chance::hash;
use crate::failure::Failure;
use crate::view::States;

type Verdict = Result<(), Failure>;

/// All that is known of a world's objects and calls.
#[derive(Debug, Default)]
pub(crate) struct Promises {
    objects: BTreeMap<ObjectId, Watch>,
    calls: BTreeMap<u64, Call>,
    /// By shard and place in its order.
    submitted: BTreeMap<(u16, u64), Submitted>,
    /// Calls of each stub that were sent and have not begun, in order.
    waiting: BTreeMap<u64, Vec<u64>>,
    /// Syncs of each shard's files that succeeded.
    syncs: BTreeMap<u16, u64>,
    /// The disk was told to fail, so that its errors are no news.
    may_disk_fail: bool,
    /// The node is asked to end, so that it turns calls away.
    is_stopping: bool,
    states: States,
}

#[derive(Debug)]
struct Submitted {
    object: ObjectId,
    commit: u64,
    epoch: u64,
    /// Syncs of the shard when it was handed over.
    syncs: u64,
}

/// What is known of one object.
#[derive(Debug, Default)]
struct Watch {
    label: String,
    /// The activation that is there. `None`: none is.
    incarnation: Option<u64>,
    epoch: u64,
    /// What its next turn must begin with. `None`: not known yet.
    state: Option<Vec<u8>>,
    /// The newest commit that was handed over in this epoch.
    commit: u64,
    /// The newest commit that is durable.
    durable: u64,
    commits: BTreeMap<u64, Vec<Commit>>,
    writing: Option<u64>,
    reading: BTreeSet<u64>,
    is_unstartable: bool,
}

#[derive(Debug)]
struct Commit {
    epoch: u64,
    state: u64,
    fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Pending,
    Durable,
    Failed,
}

#[derive(Debug)]
struct Call {
    object: ObjectId,
    stub: u64,
    method: &'static str,
    has_begun: bool,
    ended: Option<Ended>,
    /// The commit that it made; 0: none.
    commit: u64,
}

#[derive(Clone, Copy, Debug)]
struct Ended {
    how: TurnEnd,
    epoch: u64,
    /// Hash of the state that it left.
    state: u64,
    has_changed: bool,
    /// The newest commit that it may have seen.
    seen: u64,
}

/// One stored row, as it was found on the disk.
pub(crate) struct Stored {
    pub(crate) object: ObjectId,
    pub(crate) commit: u64,
    pub(crate) state: Vec<u8>,
}

fn broken(promise: &'static str, text: String) -> Verdict {
    Err(Failure::promise(promise, text))
}

impl Promises {
    /// What is durable.
    pub(crate) fn states(&self) -> &States {
        &self.states
    }

    /// The objects that are in memory.
    pub(crate) fn resident(&self) -> Vec<ObjectId> {
        let resident = self.objects.iter().filter(|(_, watch)| watch.incarnation.is_some());
        resident.map(|(id, _)| *id).collect()
    }

    pub(crate) fn disk_may_fail(&mut self, may: bool) {
        self.may_disk_fail = may;
    }

    pub(crate) fn stopping(&mut self) {
        self.is_stopping = true;
    }

    /// A file was synced.
    pub(crate) fn synced(&mut self, path: &Path) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(shard) = name.get(..3).and_then(|digits| digits.parse().ok()) {
            *self.syncs.entry(shard).or_default() += 1;
        }
    }

    /// Nothing of the node's memory is left.
    pub(crate) fn crashed(&mut self) {
        for watch in self.objects.values_mut() {
            (watch.incarnation, watch.state, watch.writing) = (None, None, None);
            watch.reading.clear();
            watch.is_unstartable = false;
        }
        self.waiting.clear();
        self.submitted.clear();
        self.is_stopping = false;
    }

    /// The runtime reports something.
    pub(crate) fn saw(&mut self, event: &Event<'_>) -> Verdict {
        match *event {
            Event::Sent { object, call, stub, method, .. } => {
                let method = method.name;
                let sent = Call {
                    object: *object,
                    stub,
                    method,
                    has_begun: false,
                    ended: None,
                    commit: 0,
                };
                self.calls.insert(call, sent);
                self.waiting.entry(stub).or_default().push(call);
                Ok(())
            }
            Event::Queued { waiting, .. } if waiting > INBOX_CALLS_MAX => broken(
                "P11",
                format!("{waiting} calls wait at one object, the limit is {INBOX_CALLS_MAX}"),
            ),
            Event::Activating { object, class, name, incarnation } => {
                self.states.know(object, class, name);
                let watch = self.objects.entry(*object).or_default();
                if let Some(name) = name {
                    watch.label = format!("{class}({name})");
                } else if watch.label.is_empty() {
                    watch.label = format!("{class}({object})");
                }
                watch.activating(incarnation)
            }
            Event::Gone { object, incarnation } => self.watch(object).gone(incarnation),
            Event::Loaded { object, epoch, commit, state } => {
                if commit > 0 {
                    self.states.load(object, state);
                }
                self.watch(object).loaded(epoch, commit, state)
            }
            Event::Unstartable { object, .. } => {
                self.watch(object).is_unstartable = true;
                Ok(())
            }
            Event::TurnBegan { object, epoch, call, method, state } => {
                self.begins_in_order(object, call)?;
                self.watch(object).turn_began(epoch, call, method.access, state)
            }
            Event::TurnEnded { object, call, ended, state, .. } => {
                self.turn_ended(object, call, ended, state)
            }
            Event::Submitted { object, epoch, commit, call, shard, place, state } => {
                let syncs = self.syncs.get(&shard).copied().unwrap_or_default();
                let submitted = Submitted { object: *object, commit, epoch, syncs };
                self.submitted.insert((shard, place), submitted);
                self.submitted(object, (epoch, commit), call, state)
            }
            Event::Settled { shard, place, is_durable } => self.settled(shard, place, is_durable),
            Event::Answered { call, outcome } => self.answered(call, outcome.map(|_| ())),
            Event::Abandoned { call } => {
                self.leave_queue(call);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn watch(&mut self, object: &ObjectId) -> &mut Watch {
        self.objects.entry(*object).or_default()
    }

    fn leave_queue(&mut self, call: u64) {
        let Some(Call { stub, .. }) = self.calls.get(&call) else { return };
        if let Some(waiting) = self.waiting.get_mut(stub) {
            waiting.retain(|waiting| *waiting != call);
        }
    }

    /// P5: no call of the stub that was sent earlier still waits. And a call begins once.
    fn begins_in_order(&mut self, object: &ObjectId, call: u64) -> Verdict {
        let Some(known) = self.calls.get_mut(&call) else { return Ok(()) };
        let label = self.objects.get(object).map_or("", |watch| watch.label.as_str());
        if std::mem::replace(&mut known.has_begun, true) {
            return broken("P2", format!("call #{call} of {label}.{} began twice", known.method));
        }
        let (stub, method) = (known.stub, known.method);
        let earlier = self.waiting.get(&stub).and_then(|waiting| waiting.first().copied());
        if let Some(earlier) = earlier.filter(|earlier| *earlier != call) {
            return broken(
                "P5",
                format!(
                    "call #{call} of {label}.{method} began before call #{earlier}, which was sent through the same stub before it"
                ),
            );
        }
        self.leave_queue(call);
        Ok(())
    }

    fn turn_ended(&mut self, object: &ObjectId, call: u64, how: TurnEnd, state: &[u8]) -> Verdict {
        let watch = self.objects.entry(*object).or_default();
        let was_read = watch.reading.remove(&call);
        if !was_read {
            watch.writing = None;
        }
        let has_changed = how != TurnEnd::Panicked && watch.state.as_deref() != Some(state);
        if was_read && has_changed {
            return broken("P2", format!("read #{call} of {} changed the state", watch.label));
        }
        let ended =
            Ended { how, epoch: watch.epoch, state: hash(state), has_changed, seen: watch.commit };
        if let Some(call) = self.calls.get_mut(&call) {
            call.ended = Some(ended);
        }
        Ok(())
    }

    fn submitted(
        &mut self,
        object: &ObjectId,
        (epoch, commit): (u64, u64),
        call: u64,
        state: &[u8],
    ) -> Verdict {
        let watch = self.objects.entry(*object).or_default();
        let digest = hash(state);
        if commit != watch.commit + 1 || epoch != watch.epoch {
            return broken(
                "P2",
                format!(
                    "{} hands over commit {commit} of epoch {epoch} after commit {} of epoch {}",
                    watch.label, watch.commit, watch.epoch
                ),
            );
        }
        if call != 0 {
            let ended = self.calls.get_mut(&call);
            let kept = ended
                .as_ref()
                .and_then(|call| call.ended)
                .filter(|ended| ended.how == TurnEnd::Kept);
            if kept.is_none_or(|kept| kept.state != digest) {
                return broken(
                    "P2",
                    format!(
                        "{} stores a state that call #{call} did not leave behind and keep",
                        watch.label
                    ),
                );
            }
            if let Some(call) = ended {
                call.commit = commit;
            }
        }
        watch.commit = commit;
        watch.state = Some(state.to_vec());
        watch.commits.entry(commit).or_default().push(Commit {
            epoch,
            state: digest,
            fate: Fate::Pending,
        });
        // Only its hash is kept with the commits; what is durable is shown whole.
        self.states.prepare(object, commit, epoch, state);
        Ok(())
    }

    fn settled(&mut self, shard: u16, place: u64, is_durable: bool) -> Verdict {
        let Some(submitted) = self.submitted.remove(&(shard, place)) else {
            return broken(
                "P1",
                format!(
                    "place {place} of shard {shard} is settled and was never handed over, or twice"
                ),
            );
        };
        let Submitted { object, commit, epoch, syncs } = submitted;
        let watch = self.objects.entry(object).or_default();
        let fate = if is_durable { Fate::Durable } else { Fate::Failed };
        let commits = watch.commits.entry(commit).or_default();
        commits
            .iter_mut()
            .filter(|commit| commit.epoch == epoch)
            .for_each(|commit| commit.fate = fate);
        if !is_durable {
            return Ok(());
        }
        watch.durable = watch.durable.max(commit);
        self.states.commit(&object, commit, epoch);
        if self.syncs.get(&shard).copied().unwrap_or_default() == syncs {
            return broken(
                "P1",
                format!(
                    "commit {commit} of {} is called durable, but nothing was synced since it was handed over",
                    watch.label
                ),
            );
        }
        Ok(())
    }

    fn answered(&mut self, call: u64, outcome: Result<(), &Error>) -> Verdict {
        self.leave_queue(call);
        let Some(known) = self.calls.get(&call) else { return Ok(()) };
        let watch = self.objects.entry(known.object).or_default();
        let name = format!("call #{call} of {}.{}", watch.label, known.method);
        match outcome {
            Ok(()) => {
                let Some(ended) = known.ended else {
                    return broken("P2", format!("{name} has a reply and no turn of it has ended"));
                };
                if ended.how == TurnEnd::Kept && ended.has_changed && known.commit == 0 {
                    return broken(
                        "P1",
                        format!("{name} changed the state, was answered, and nothing was stored"),
                    );
                }
                let seen = ended.seen.max(known.commit);
                let open = watch
                    .commits
                    .range(..=seen)
                    .flat_map(|(no, commits)| commits.iter().map(move |commit| (no, commit)));
                let mut open = open.filter(|(_, commit)| {
                    commit.epoch == ended.epoch && commit.fate != Fate::Durable
                });
                if let Some((no, commit)) = open.next() {
                    return broken(
                        "P4",
                        format!(
                            "{name} has its reply while commit {no}, which it has seen, is {:?}",
                            commit.fate
                        ),
                    );
                }
                Ok(())
            }
            Err(error) => {
                let is_faulty = self.may_disk_fail;
                judge(&name, known, watch, error, is_faulty, self.is_stopping)
            }
        }
    }

    /// The rows on the disk, while nobody writes.
    pub(crate) fn audit(&mut self, stored: &[Stored]) -> Verdict {
        let found: BTreeMap<_, _> = stored.iter().map(|row| (row.object, row)).collect();
        for (object, watch) in &self.objects {
            let Some(row) = found.get(object) else {
                if watch.durable > 0 {
                    return broken(
                        "P1",
                        format!(
                            "{} was stored at commit {} and is gone",
                            watch.label, watch.durable
                        ),
                    );
                }
                continue;
            };
            watch.holds(row.commit, &row.state, "on the disk")?;
        }
        Ok(())
    }
}

impl Watch {
    fn activating(&mut self, incarnation: u64) -> Verdict {
        if let Some(other) = self.incarnation.replace(incarnation) {
            return broken(
                "P3",
                format!(
                    "{} has activation {incarnation} while activation {other} is still there",
                    self.label
                ),
            );
        }
        Ok(())
    }

    fn gone(&mut self, incarnation: u64) -> Verdict {
        if self.incarnation.take() != Some(incarnation) {
            return broken(
                "P3",
                format!("{}: activation {incarnation} goes, and was not there", self.label),
            );
        }
        (self.state, self.writing) = (None, None);
        self.reading.clear();
        Ok(())
    }

    fn loaded(&mut self, epoch: u64, commit: u64, state: &[u8]) -> Verdict {
        if epoch <= self.epoch {
            return broken(
                "P3",
                format!("{} loads in epoch {epoch} after epoch {}", self.label, self.epoch),
            );
        }
        self.epoch = epoch;
        if commit > 0 || self.durable > 0 {
            self.holds(commit, state, "in memory")?;
        }
        // What was handed over after that is lost, and was never called durable.
        self.commits.retain(|no, _| *no <= commit);
        self.commit = commit;
        self.durable = self.durable.max(commit);
        self.state = Some(state.to_vec());
        Ok(())
    }

    /// Whether this commit with this state may be what is stored.
    fn holds(&self, commit: u64, state: &[u8], place: &str) -> Verdict {
        if commit < self.durable {
            return broken(
                "P1",
                format!(
                    "commit {} of {} was durable, {place} is commit {commit}",
                    self.durable, self.label
                ),
            );
        }
        let Some(known) = self.commits.get(&commit) else {
            return broken(
                "P10",
                format!("commit {commit} of {} is {place}, and was never handed over", self.label),
            );
        };
        let digest = hash(state);
        let Some(found) = known.iter().rev().find(|commit| commit.state == digest) else {
            return broken(
                "P10",
                format!(
                    "commit {commit} of {} has other bytes {place} than were handed over",
                    self.label
                ),
            );
        };
        if found.fate == Fate::Failed {
            return broken(
                "P2",
                format!("commit {commit} of {} failed, and is {place}", self.label),
            );
        }
        Ok(())
    }

    fn turn_began(&mut self, epoch: u64, call: u64, access: Access, state: &[u8]) -> Verdict {
        let label = &self.label;
        if self.incarnation.is_none() || epoch != self.epoch {
            return broken(
                "P3",
                format!("call #{call} begins at {label} in an activation that is not there"),
            );
        }
        if let Some(other) = self.writing {
            return broken(
                "P3",
                format!("call #{call} begins at {label} while call #{other} writes"),
            );
        }
        if access == Access::Write
            && let Some(other) = self.reading.first()
        {
            return broken(
                "P3",
                format!("write #{call} begins at {label} while call #{other} reads"),
            );
        }
        if self.state.as_deref().is_some_and(|expected| expected != state) {
            return broken(
                "P2",
                format!(
                    "call #{call} begins at {label} on a state that no kept turn has left and that was not loaded"
                ),
            );
        }
        match access {
            Access::Read => drop(self.reading.insert(call)),
            Access::Write => self.writing = Some(call),
        }
        Ok(())
    }
}

/// Whether an error is the caller's, says the truth, and has a cause.
fn judge(
    name: &str,
    call: &Call,
    watch: &Watch,
    error: &Error,
    is_faulty: bool,
    is_stopping: bool,
) -> Verdict {
    if error.outcome() == Outcome::NotStarted && call.has_begun {
        return broken("P8", format!("{name} is said not to have started, and it did: {error}"));
    }
    let fates = watch.commits.get(&call.commit).map_or(&[][..], Vec::as_slice);
    if error.outcome() == Outcome::RolledBack
        && fates.iter().any(|commit| commit.fate == Fate::Durable)
    {
        return broken(
            "P2",
            format!("{name} is said to be rolled back, and it is stored: {error}"),
        );
    }
    let has_panicked = call.ended.is_some_and(|ended| ended.how == TurnEnd::Panicked);
    let is_explained = if error.is(Code::CallPanicked) {
        has_panicked
    } else if error.is(Code::CallAborted) || error.is(Code::StorageFenced) {
        false
    } else if error.is(Code::ObjectUnstartable) || error.code().starts_with("state.") {
        watch.is_unstartable || call.ended.is_some()
    } else if error.is(Code::RuntimeClosed) {
        is_stopping || is_faulty
    } else if error.code().starts_with("storage.") {
        is_faulty || watch.is_unstartable
    } else {
        true
    };
    if is_explained {
        Ok(())
    } else {
        broken("P8", format!("{name} failed without a cause of its own: {error}"))
    }
}
