//! What the model says, asked once for each state and each form of call.

use super::intern::{FoldMap, Interned};
use super::{Model, Recorded, Step};

/// A state of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct StateId(pub(super) u32);

/// An encoded reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ReplyId(u32);

/// What calls with the same method and the same arguments share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Form(u32);

/// What a call does in a state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Next {
    pub(super) state: StateId,
    pub(super) reply: ReplyId,
}

/// The model of one history's object.
pub(super) struct Table<'a, M: Model> {
    pub(super) model: &'a M,
    pub(super) calls: &'a [&'a Recorded],
    states: Interned<M::State>,
    replies: Interned<Vec<u8>>,
    /// By call.
    forms: Vec<Form>,
    /// By form: one of the calls that have it.
    samples: Vec<usize>,
    known: FoldMap<(StateId, Form), Next>,
    /// How many configurations searches may still visit, all of them together.
    pub(super) states_left: usize,
    initial: StateId,
}

impl<'a, M: Model> Table<'a, M> {
    pub(super) fn new(model: &'a M, calls: &'a [&'a Recorded], states_left: usize) -> Self {
        let mut seen = FoldMap::default();
        let mut samples = Vec::new();
        let form_of = |(index, call): (usize, &&'a Recorded)| {
            *seen.entry((&call.method, &call.args)).or_insert_with(|| {
                samples.push(index);
                Form(u32::try_from(samples.len() - 1).expect("under four billion calls"))
            })
        };
        let forms = calls.iter().enumerate().map(form_of).collect();
        let mut states = Interned::new();
        let initial = StateId(states.number(model.initial()));
        let replies = Interned::new();
        let mut known = FoldMap::default();
        known.reserve(2 * calls.len());
        Table { model, calls, states, replies, forms, samples, known, states_left, initial }
    }

    pub(super) fn initial(&self) -> StateId {
        self.initial
    }

    pub(super) fn form(&self, call: usize) -> Form {
        self.forms[call]
    }

    pub(super) fn reply_id(&mut self, reply: &[u8]) -> ReplyId {
        ReplyId(self.replies.number(reply.to_vec()))
    }

    pub(super) fn reply(&self, reply: ReplyId) -> &[u8] {
        self.replies.value(reply.0)
    }

    /// What calls of that form do in that state.
    pub(super) fn step(&mut self, state: StateId, form: Form) -> Result<Next, String> {
        if let Some(next) = self.known.get(&(state, form)) {
            return Ok(*next);
        }
        let call = self.calls[self.samples[form.0 as usize]];
        let before = self.states.value(state.0).clone();
        let Step { state: after, reply } = self.model.step(&before, call)?;
        let next = Next {
            state: StateId(self.states.number(after)),
            reply: ReplyId(self.replies.number(reply)),
        };
        if call.is_read && next.state != state {
            return Err(format!(
                "the model of {} changes the state in `{}`, which takes `&self`; let it return the \
                 state that it was given",
                call.class, call.method
            ));
        }
        self.known.insert((state, form), next);
        Ok(next)
    }
}
