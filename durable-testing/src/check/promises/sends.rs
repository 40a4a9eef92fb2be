//! P7: a send of a turn that was kept takes effect exactly once, one of a turn that was not never does, and those of one
//! object to another take effect in their order. One that still waits goes with its source when that is erased.

use std::collections::BTreeMap;

use durable::host::{Event, Tended};
use durable::{AlarmSpec, ObjectId, SendId, SendView, WallMs};

use super::{Promises, Verdict, broken};

/// All sends that were ever seen.
#[derive(Debug, Default)]
pub(super) struct Sends {
    all: BTreeMap<SendId, Sent>,
    /// By the commit that hangs on them: shard, epoch and commit.
    commits: BTreeMap<Commit, Hanging>,
}

type Commit = (ObjectId, u64, u64);

/// What a commit does about sends.
#[derive(Clone, Debug, Default)]
struct Hanging {
    made: Vec<SendId>,
    taken_back: Vec<SendId>,
    received: Option<SendId>,
    /// Those that go with the object that it erases.
    orphaned: Vec<SendId>,
    erases: bool,
}

/// Whether something is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fact {
    /// Nobody has begun to store it.
    No,
    /// It may be there, or may come to be.
    Maybe,
    Yes,
}

#[derive(Debug)]
struct Sent {
    /// Whose it is. `None`: no turn's.
    source: Option<ObjectId>,
    target: ObjectId,
    /// When it may leave. `None`: behind those of its pair.
    until: Option<WallMs>,
    /// It waits in its outbox, or did.
    is_made: Fact,
    /// It took effect, or is a dead letter.
    is_received: Fact,
    /// A commit of its source has taken it back, or somebody who was told so.
    is_taken_back: Fact,
    /// Its source was erased, by another turn than the one that made it, while it may have waited.
    is_orphaned: Fact,
    /// It stays when its source is erased: the turn that made it did that itself, or there is none.
    is_farewell: bool,
    /// Somebody has tried to take it back, and may not have heard what came of it.
    may_be_recalled: bool,
    /// It was taken back before it came anywhere, and whoever did that was told so.
    is_recalled: bool,
    /// Failures that were counted, and from when on it may be run again.
    failed: u32,
    due: WallMs,
    /// It has come to its target, and nothing was said of it since.
    is_there: bool,
    /// So it was when the node crashed: one more failure may have been counted.
    may_have_failed: bool,
    /// What follows on a failure, as it was told when it last arrived.
    spec: Option<AlarmSpec>,
}

impl Sent {
    /// Whether those behind it may go.
    fn may_be_over(&self) -> bool {
        let may_be_taken_back = self.may_be_recalled || self.is_taken_back != Fact::No;
        let may_have_gone = may_be_taken_back || self.is_orphaned != Fact::No;
        self.is_made == Fact::No || self.is_received != Fact::No || may_have_gone
    }
}

impl Sends {
    fn made(&mut self, (source, is_farewell): (Option<ObjectId>, bool), view: &SendView) {
        let sent = Sent {
            source,
            target: view.target,
            until: view.until,
            is_made: Fact::Maybe,
            is_received: Fact::No,
            is_taken_back: Fact::No,
            is_orphaned: Fact::No,
            is_farewell,
            may_be_recalled: false,
            is_recalled: false,
            failed: 0,
            due: WallMs(0),
            is_there: false,
            may_have_failed: false,
            spec: None,
        };
        self.all.insert(view.id, sent);
    }

    /// A commit was handed over. `below`: those that go with the object if it is erased.
    pub(super) fn submitted(&mut self, event: &Event<'_>, below: &[ObjectId]) {
        let Event::Submitted { object, epoch, commit, sends, erases, .. } = *event else {
            return;
        };
        if sends.is_none() && !erases {
            return;
        }
        let mut hanging = Hanging { erases, ..Hanging::default() };
        if erases {
            let goes = |sent: &Sent| {
                sent.source.is_some_and(|source| source == *object || below.contains(&source))
                    && !sent.is_farewell
                    && sent.is_made != Fact::No
            };
            let gone = self.all.iter().filter(|(_, sent)| goes(sent));
            hanging.orphaned = gone.map(|(id, _)| *id).collect();
        }
        if let Some(sends) = sends {
            let source = (Some(*object), erases);
            sends.made.iter().for_each(|view| self.made(source, view));
            hanging.made = sends.made.iter().map(|view| view.id).collect();
            hanging.taken_back.clone_from(&sends.taken_back);
            hanging.received = sends.received;
        }
        self.settle(&hanging, Fact::Maybe);
        self.commits.insert((*object, epoch, commit), hanging);
    }

    /// What hangs on a commit has become certain, or may be.
    fn settle(&mut self, hanging: &Hanging, fact: Fact) {
        let raise = |was: &mut Fact| {
            if *was != Fact::Yes {
                *was = fact;
            }
        };
        for id in &hanging.made {
            self.all.get_mut(id).into_iter().for_each(|sent| raise(&mut sent.is_made));
        }
        for id in &hanging.taken_back {
            self.all.get_mut(id).into_iter().for_each(|sent| raise(&mut sent.is_taken_back));
        }
        for id in &hanging.orphaned {
            self.all.get_mut(id).into_iter().for_each(|sent| raise(&mut sent.is_orphaned));
        }
        if let Some(id) = hanging.received {
            self.all.get_mut(&id).into_iter().for_each(|sent| raise(&mut sent.is_received));
        }
    }

    /// It is known what became of a commit.
    pub(super) fn settled(&mut self, commit: Commit, is_durable: bool) {
        if let Some(hanging) = self.commits.remove(&commit) {
            self.settle(&hanging, if is_durable { Fact::Yes } else { Fact::No });
        }
    }

    /// The node has crashed, and of an object this is the last commit that the disk has; 0: none. Those that were handed
    /// over are there up to it, and no others. `None`: there is none, and an erasure may have taken them.
    pub(super) fn found(&mut self, object: ObjectId, last: Option<u64>) {
        let unsettled: Vec<_> =
            self.commits.keys().filter(|(owner, ..)| *owner == object).copied().collect();
        for commit in unsettled {
            let is_erasure = self.commits.get(&commit).is_some_and(|hanging| hanging.erases);
            match last {
                Some(last) if !is_erasure => self.settled(commit, commit.2 <= last),
                // It was erased, or never stored, or has begun anew: each may be.
                _ => drop(self.commits.remove(&commit)),
            }
        }
    }

    /// A send is on its way.
    fn leaves(&self, id: SendId) -> Verdict {
        let gone = self.all.get(&id).filter(|sent| sent.is_orphaned == Fact::Yes);
        gone.map_or(Ok(()), |sent| {
            broken("P7", format!("send {id} leaves, and went with its source: {sent:?}"))
        })
    }

    /// A send has come to its target.
    fn arrives(
        &mut self,
        (label, object): (&str, ObjectId),
        (id, was_received): (SendId, bool),
        (retries, spec, wall): (u32, AlarmSpec, WallMs),
    ) -> Verdict {
        let Some(sent) = self.all.get(&id) else {
            return broken("P7", format!("send {id} comes to {label}, and nobody has made it"));
        };
        if sent.is_made == Fact::No {
            let text = format!("send {id} comes to {label}, and the turn that made it was undone");
            return broken("P7", text);
        }
        if sent.target != object {
            let text = format!("send {id} comes to {label}, and was for {}", sent.target);
            return broken("P7", text);
        }
        if was_received && sent.is_received == Fact::No {
            let text = format!("send {id} comes to {label}, which says that it has received it");
            return broken("P7", text);
        }
        if was_received {
            self.all.get_mut(&id).into_iter().for_each(|sent| sent.is_received = Fact::Yes);
            return Ok(());
        }
        if sent.is_recalled {
            return broken("P7", format!("send {id} comes to {label}, and was taken back"));
        }
        if sent.is_received == Fact::Yes {
            let text = format!("send {id} takes effect at {label} a second time");
            return broken("P7", text);
        }
        // It has had its time before it fails, whatever the clock is set to afterwards.
        let is_early = sent.failed == 0 && sent.until.is_some_and(|until| until > wall);
        if (is_early && retries == 0) || sent.due > wall {
            let text = format!("send {id} comes to {label} at {wall}, before its time: {sent:?}");
            return broken("P7", text);
        }
        if retries != sent.failed && !(sent.may_have_failed && retries == sent.failed + 1) {
            let text = format!("send {id} comes to {label} after {retries} failures: {sent:?}");
            return broken("P7", text);
        }
        if let Some(earlier) = self.earlier(id) {
            let text =
                format!("send {id} comes to {label} before send {earlier}, which was made first");
            return broken("P7", text);
        }
        if let Some(sent) = self.all.get_mut(&id) {
            (sent.spec, sent.failed, sent.may_have_failed) = (Some(spec), retries, false);
            sent.is_there = true;
            // What came of the try before is known now.
            sent.is_received = Fact::No;
        }
        Ok(())
    }

    /// One of the same pair that was made before and is certainly not over. `None`: there is none.
    fn earlier(&self, id: SendId) -> Option<SendId> {
        let sent = self.all.get(&id)?;
        // Those from outside are stored in an order that nobody was told.
        if sent.until.is_some() || sent.source.is_none() {
            return None;
        }
        let same = |other: &Sent| {
            (other.source, other.target) == (sent.source, sent.target) && other.until.is_none()
        };
        let waits = |other: &Sent| other.is_made == Fact::Yes && !other.may_be_over();
        let before = self.all.range(..id);
        before.filter(|(_, other)| same(other) && waits(other)).map(|(id, _)| *id).next()
    }

    /// Whether it is from outside, and so is another one to the same target that is tried again later: nobody was told which of
    /// them was stored first.
    fn may_be_behind(&self, sent: &Sent, wall: WallMs) -> bool {
        let is_outside = |sent: &Sent| sent.source.is_none() && sent.until.is_none();
        let is_later = |other: &Sent| {
            is_outside(other)
                && other.target == sent.target
                && other.due > wall
                && !other.may_be_over()
        };
        is_outside(sent) && self.all.values().any(is_later)
    }

    fn tended(&mut self, id: SendId, tended: Tended) -> Verdict {
        let Some(sent) = self.all.get_mut(&id) else { return Ok(()) };
        sent.is_there = false;
        match tended {
            Tended::Put => sent.is_made = Fact::Yes,
            Tended::Over if sent.is_received != Fact::Yes => {
                let text = format!("send {id} leaves its outbox before it took effect: {sent:?}");
                return broken("P7", text);
            }
            Tended::Over => {}
            Tended::Again { retries, due } => {
                let may_retry = sent.spec.is_none_or(|spec| retries <= spec.retries);
                if retries != sent.failed + 1 || !may_retry {
                    let text =
                        format!("send {id} is said to have failed {retries} times: {sent:?}");
                    return broken("P7", text);
                }
                (sent.failed, sent.due) = (retries, due);
            }
            Tended::TakenBack => {
                if sent.is_received == Fact::Yes {
                    let text = format!("send {id} is taken back, and has taken effect");
                    return broken("P7", text);
                }
                (sent.is_taken_back, sent.is_recalled) = (Fact::Yes, true);
            }
        }
        Ok(())
    }

    /// Somebody is about to take one back.
    fn recalled(&mut self, id: SendId) {
        self.all.get_mut(&id).into_iter().for_each(|sent| sent.may_be_recalled = true);
    }

    /// The node has crashed.
    pub(super) fn crashed(&mut self) {
        for sent in self.all.values_mut() {
            sent.may_have_failed |= std::mem::take(&mut sent.is_there);
        }
    }

    /// One that is on the disk, may leave, and has not come to its end.
    fn overdue(&self, wall: WallMs, is_startable: impl Fn(&ObjectId) -> bool) -> Option<String> {
        let waits = |id: SendId, sent: &Sent| {
            sent.is_made == Fact::Yes
                && !sent.may_be_over()
                && (sent.failed > 0 || sent.until.is_none_or(|until| until <= wall))
                && sent.due <= wall
                && is_startable(&sent.target)
                && self.earlier(id).is_none()
                && !self.may_be_behind(sent, wall)
        };
        let (id, sent) = self.all.iter().find(|(id, sent)| waits(**id, sent))?;
        Some(format!("send {id} to {} has not taken effect", sent.target))
    }
}

impl Promises {
    /// A send that is durable, is due, and has not taken effect.
    pub(super) fn overdue_send(&self, wall: WallMs) -> Option<String> {
        self.sends.overdue(wall, |target| self.is_startable(target))
    }

    /// Whether commits are on their way that make sends, or are their effects, of which others may come.
    pub(crate) fn is_sending(&self) -> bool {
        !self.sends.commits.is_empty()
    }

    /// The runtime reports something about sends.
    pub(super) fn saw_send(&mut self, event: &Event<'_>) -> Verdict {
        let wall = self.wall;
        match *event {
            Event::SendPut { send } => self.sends.made((None, true), send),
            Event::SendLeaves { send } => return self.sends.leaves(send),
            Event::SendArrives { object, send, retry_count, spec, was_received, .. } => {
                let label = self.watch(object).label.clone();
                let (at, sent) = ((label.as_str(), *object), (send, was_received));
                return self.sends.arrives(at, sent, (retry_count, spec, wall));
            }
            Event::SendRecalled { send } => self.sends.recalled(send),
            Event::SendTended { send, tended } => return self.sends.tended(send, tended),
            _ => {}
        }
        Ok(())
    }
}
