//! P2, of calls with idempotency keys: while the result of one is kept, its key has no second effect, and whoever gets a
//! result gets the one that a commit has kept.

use std::collections::BTreeMap;

use durable::host::Event;
use durable::{ObjectId, ResultView, WallMs};

use super::{Ended, Promises, TurnEnd, Verdict, broken};
use crate::chance::hash;

/// Every result that was ever kept, by object and key, in the order of commits.
#[derive(Debug, Default)]
pub(super) struct Results(BTreeMap<(ObjectId, String), Vec<Kept>>);

#[derive(Debug)]
struct Kept {
    /// 0: what takes it away was handed over.
    epoch: u64,
    commit: u64,
    until: WallMs,
    /// Hash of the reply.
    reply: u64,
    is_stored: Fact,
}

/// Whether something is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fact {
    No,
    /// It may be: it was handed over, or something that takes it away was.
    Maybe,
    Yes,
}

impl Kept {
    /// Something takes it away, or not: nobody is told what comes of it.
    fn may_go(&mut self) {
        (self.is_stored, self.epoch) = (Fact::Maybe, 0);
    }
}

impl Results {
    /// A commit was handed over that keeps a result.
    pub(super) fn submitted(
        &mut self,
        (label, object): (&str, ObjectId),
        (epoch, commit): (u64, u64),
        view: &ResultView,
    ) -> Verdict {
        // It may sweep those that are over, which are missing then if the clock is set back.
        let is_over = |kept: &&mut Kept| kept.is_stored != Fact::No && kept.until <= view.now;
        self.of(object).filter(is_over).for_each(Kept::may_go);
        let all = self.0.entry((object, view.key.to_string())).or_default();
        let stands = |kept: &&Kept| {
            // What the activation itself has handed over it knows, stored or not.
            let is_there =
                kept.is_stored == Fact::Yes || kept.is_stored == Fact::Maybe && kept.epoch == epoch;
            is_there && kept.until > view.now
        };
        if let Some(before) = all.iter().find(stands) {
            let text = format!(
                "commit {commit} of {label} is a second effect of idempotency key `{}`, whose first is {before:?}",
                view.key
            );
            return broken("P2", text);
        }
        let (until, reply) = (view.until, hash(&view.reply));
        all.push(Kept { epoch, commit, until, reply, is_stored: Fact::Maybe });
        Ok(())
    }

    /// It is known what became of a commit.
    pub(super) fn settled(
        &mut self,
        object: ObjectId,
        (epoch, commit): (u64, u64),
        is_durable: bool,
    ) {
        for kept in self.of(object).filter(|kept| (kept.epoch, kept.commit) == (epoch, commit)) {
            if kept.is_stored == Fact::Maybe {
                kept.is_stored = if is_durable { Fact::Yes } else { Fact::No };
            }
        }
    }

    /// The node has crashed, and of an object this is the last commit that the disk has; 0: none. `None`: there is none, and
    /// an erasure may have taken them.
    pub(super) fn found(&mut self, object: ObjectId, last: Option<u64>) {
        for kept in self.of(object).filter(|kept| kept.is_stored == Fact::Maybe && kept.epoch > 0) {
            match last {
                // It was erased, or never stored, and commits are counted anew.
                None => kept.may_go(),
                Some(last) if kept.commit <= last => kept.is_stored = Fact::Yes,
                Some(_) => kept.is_stored = Fact::No,
            }
        }
    }

    /// Nothing is to be left of an object. Whether that comes to pass, nobody is told here.
    pub(super) fn erased(&mut self, object: ObjectId) {
        self.of(object).filter(|kept| kept.is_stored != Fact::No).for_each(Kept::may_go);
    }

    fn of(&mut self, object: ObjectId) -> impl Iterator<Item = &mut Kept> {
        let of = (object, String::new())..;
        let all = self.0.range_mut(of).take_while(move |((owner, _), _)| *owner == object);
        all.flat_map(|(_, all)| all)
    }

    /// A call is answered with a result that is kept.
    fn repeated(
        &self,
        (label, object): (&str, ObjectId),
        (key, reply): (&str, &[u8]),
        wall: WallMs,
    ) -> Verdict {
        let all = self.0.get(&(object, key.to_owned())).map_or(&[][..], Vec::as_slice);
        let may_be = |kept: &&Kept| kept.is_stored != Fact::No && kept.reply == hash(reply);
        match all.iter().rev().find(may_be) {
            None => broken(
                "P2",
                format!(
                    "idempotency key `{key}` of {label} is answered with a result that no commit has kept: {all:?}"
                ),
            ),
            Some(kept) if kept.until <= wall => broken(
                "P2",
                format!(
                    "idempotency key `{key}` of {label} is answered at {wall}, after its time: {kept:?}"
                ),
            ),
            Some(_) => Ok(()),
        }
    }
}

impl Promises {
    /// A call with a key does not run.
    pub(super) fn repeated(&mut self, event: &Event<'_>) -> Verdict {
        let Event::Repeated { object, call, key, reply } = *event else { return Ok(()) };
        self.is_next(object, call)?;
        let (wall, watch) = (self.wall, self.objects.entry(*object).or_default());
        let Some(reply) = reply else { return Ok(()) };
        let (label, epoch, seen) = (watch.label.clone(), watch.epoch(), watch.commit());
        if let Some(known) = self.calls.get_mut(&call) {
            known.has_begun = true;
            let (how, has_changed) = (TurnEnd::Kept, false);
            known.ended = Some(Ended { how, epoch, state: 0, rows: 0, has_changed, seen });
        }
        self.results.repeated((&label, *object), (key, reply), wall)
    }
}
