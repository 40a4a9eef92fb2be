//! The search for an order: depth first, one call placed at a time, no configuration twice.

use std::collections::hash_map::Entry;

use super::Model;
use super::bits::{Set, flip, has};
use super::intern::{FoldMap, FoldSet};
use super::ops::{Ops, Required, Wanted};
use super::table::{Form, Next, ReplyId, StateId, Table};
use crate::history::Outcome;

/// How many sets of optional calls are compared with for each configuration.
const SUBSETS_MAX: usize = 32;

/// A call in an order that was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub(super) call: usize,
    /// What the model answered.
    pub(super) reply: ReplyId,
    /// Whether its caller did not know that it happened.
    pub(super) is_optional: bool,
}

/// What a search came to.
#[derive(Debug)]
pub(super) enum Found {
    /// All required calls can be placed, like this.
    Order(Vec<Placed>),
    /// They cannot.
    None(Deepest),
    /// The search was given up.
    TooLarge { states: usize },
}

/// How far a search came.
#[derive(Clone, Debug)]
pub(super) struct Deepest {
    /// The longest order of required calls that was reached; the first of that length.
    pub(super) order: Vec<Placed>,
    /// The state that it left.
    pub(super) state: StateId,
    /// What the noted call would have answered in all states in which it could have been next.
    pub(super) noted: Vec<ReplyId>,
}

/// Looks for an order of `ops`, in at most `states_max` configurations, and no more than are left to
/// the table.
///
/// # Errors
/// Why the model has no answer.
pub(super) fn search<M: Model>(
    table: &mut Table<'_, M>,
    ops: &Ops,
    states_max: usize,
) -> Result<Found, String> {
    let states_max = states_max.min(table.states_left);
    let mut search = Search::new(table, ops, states_max);
    let found = search.run();
    let states = search.states;
    table.states_left = table.states_left.saturating_sub(states);
    found
}

/// A required call with what the search looks at again and again.
struct Op {
    began: u32,
    ended: u32,
    form: Form,
    /// `None`: its answer is only noted.
    reply: Option<ReplyId>,
}

/// An optional call, likewise.
struct Extra {
    began: u32,
    form: Form,
    /// The one before it with the same form. It is placed first: which of the two happened makes no
    /// difference, and the earlier one can happen wherever the later one can.
    alike: Option<u32>,
}

/// A call that can be next.
#[derive(Clone, Copy)]
struct Choice {
    which: Which,
    next: Next,
}

#[derive(Clone, Copy)]
enum Which {
    Required(usize),
    Optional(usize),
}

/// A call that was placed, and what to go back to without it.
struct Move {
    choice: Choice,
    state: StateId,
    first: usize,
    reach: usize,
}

/// The choices of one configuration, at the end of [`Search::choices`].
struct Frame {
    start: usize,
    next: usize,
}

/// What a configuration is remembered by, apart from the optional calls in it.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    state: StateId,
    first: usize,
    /// Which of the required calls from `first` on are placed.
    placed: Set,
}

/// The sets of optional calls with which a configuration was visited.
struct Visited {
    /// The first one.
    first: Set,
    /// Further ones of which none is within another, as long as there are few.
    few: Vec<Set>,
    /// The others, which only equal ones are compared with: searching them all for subsets would
    /// cost more than it saves.
    many: FoldSet<Set>,
}

struct Search<'t, 'a, M: Model> {
    table: &'t mut Table<'a, M>,
    source: &'t Ops,
    required: Vec<Op>,
    optional: Vec<Extra>,
    states_max: usize,
    states: usize,
    /// The required calls that are placed, as bits.
    done: Vec<u64>,
    /// The optional ones.
    spent: Vec<u64>,
    /// The first required call that is not placed.
    first: usize,
    /// After the last one that is.
    reach: usize,
    state: StateId,
    moves: Vec<Move>,
    frames: Vec<Frame>,
    choices: Vec<Choice>,
    /// The configurations that were visited, with the optional calls that were placed in them.
    visited: FoldMap<Key, Visited>,
    /// How many required calls are placed.
    depth: usize,
    deepest: Deepest,
    /// `None`: no way back was taken until now.
    depth_max: Option<usize>,
}

impl<'t, 'a, M: Model> Search<'t, 'a, M> {
    fn new(table: &'t mut Table<'a, M>, source: &'t Ops, states_max: usize) -> Self {
        let required: Vec<Op> = source.required.iter().map(|op| Op::new(op, table)).collect();
        let mut latest = FoldMap::default();
        let optional = source.optional.iter().enumerate().map(|(index, op)| {
            let form = table.form(op.call);
            let number = u32::try_from(index).expect("under four billion calls");
            Extra { began: op.began, form, alike: latest.insert(form, number) }
        });
        let optional: Vec<Extra> = optional.collect();
        let state = table.initial();
        let mut visited = FoldMap::default();
        visited.reserve(required.len() + optional.len());
        Search {
            done: vec![0; required.len().div_ceil(64)],
            spent: vec![0; optional.len().div_ceil(64)],
            table,
            source,
            required,
            optional,
            states_max,
            states: 0,
            first: 0,
            reach: 0,
            state,
            moves: Vec::new(),
            frames: Vec::new(),
            choices: Vec::new(),
            visited,
            depth: 0,
            deepest: Deepest { order: Vec::new(), state, noted: Vec::new() },
            depth_max: None,
        }
    }

    fn run(&mut self) -> Result<Found, String> {
        self.visit()?;
        loop {
            if self.first == self.required.len() {
                return Ok(Found::Order(self.order()));
            }
            if self.states > self.states_max {
                return Ok(Found::TooLarge { states: self.states });
            }
            let Some(frame) = self.frames.last_mut() else {
                return Ok(Found::None(self.deepest.clone()));
            };
            if let Some(choice) = self.choices.get(frame.next).copied() {
                frame.next += 1;
                self.place(choice);
                if !self.visit()? {
                    self.take_back();
                }
            } else {
                self.choices.truncate(frame.start);
                self.frames.pop();
                self.note_depth();
                self.take_back();
            }
        }
    }

    /// Lists what can follow the present configuration. `false`: it was visited before.
    fn visit(&mut self) -> Result<bool, String> {
        if self.first == self.required.len() {
            return Ok(true);
        }
        if !self.remember() {
            return Ok(false);
        }
        self.states += 1;
        let start = self.choices.len();
        self.frames.push(Frame { start, next: start });
        let limit = self.list_required(start)?;
        let is_read = |choice: &Choice| match choice.which {
            Which::Required(index) => self.source.required[index].is_read,
            Which::Optional(_) => false,
        };
        if let Some(read) = self.choices[start..].iter().position(is_read) {
            // A read that fits here can be placed here, whatever follows. A write that happens to
            // change nothing cannot, since it may be needed where it does.
            self.choices.swap(start, start + read);
            self.choices.truncate(start + 1);
            return Ok(true);
        }
        self.list_optional(limit)?;
        Ok(true)
    }

    /// Adds the required calls that can be next. Gives the first end among all that are not placed:
    /// what began after it must wait.
    fn list_required(&mut self, start: usize) -> Result<u32, String> {
        let mut limit = u32::MAX;
        for index in self.first..self.required.len() {
            let Op { began, ended, form, reply } = self.required[index];
            if began > limit {
                break;
            }
            if has(&self.done, index) {
                continue;
            }
            limit = limit.min(ended);
            let next = self.table.step(self.state, form)?;
            match reply {
                None if !self.deepest.noted.contains(&next.reply) => {
                    self.deepest.noted.push(next.reply);
                }
                Some(reply) if reply == next.reply => {
                    self.choices.push(Choice { which: Which::Required(index), next });
                }
                _ => {}
            }
        }
        // The order of the answers is often the order in which they happened.
        let required = &self.required;
        self.choices[start..].sort_by_key(|choice| match choice.which {
            Which::Required(index) => required[index].ended,
            Which::Optional(_) => u32::MAX,
        });
        Ok(limit)
    }

    /// Adds the optional calls that can be next and change something.
    fn list_optional(&mut self, limit: u32) -> Result<(), String> {
        for index in 0..self.optional.len() {
            let Extra { began, form, alike } = self.optional[index];
            if began > limit {
                break;
            }
            let waits = alike.is_some_and(|alike| !has(&self.spent, alike as usize));
            if waits || has(&self.spent, index) {
                continue;
            }
            let next = self.table.step(self.state, form)?;
            if next.state != self.state {
                self.choices.push(Choice { which: Which::Optional(index), next });
            }
        }
        Ok(())
    }

    /// Whether the present configuration is new: none was visited that differs only in that fewer
    /// optional calls, or the same ones, are placed, since that one can go on in all the same ways.
    fn remember(&mut self) -> bool {
        let placed = Set::window(&self.done, self.first, self.reach);
        let spent = Set::window(&self.spent, 0, self.optional.len());
        let key = Key { state: self.state, first: self.first, placed };
        match self.visited.entry(key) {
            Entry::Occupied(visited) => visited.into_mut().add(spent),
            Entry::Vacant(place) => {
                place.insert(Visited { first: spent, few: Vec::new(), many: FoldSet::default() });
                true
            }
        }
    }

    fn place(&mut self, choice: Choice) {
        let Search { state, first, reach, .. } = *self;
        self.moves.push(Move { choice, state, first, reach });
        self.state = choice.next.state;
        match choice.which {
            Which::Optional(index) => flip(&mut self.spent, index),
            Which::Required(index) => {
                flip(&mut self.done, index);
                self.depth += 1;
                self.reach = reach.max(index + 1);
                while self.first < self.reach && has(&self.done, self.first) {
                    self.first += 1;
                }
            }
        }
    }

    /// Undoes the latest placement, if there is one.
    fn take_back(&mut self) {
        let Some(Move { choice, state, first, reach }) = self.moves.pop() else {
            return;
        };
        (self.state, self.first, self.reach) = (state, first, reach);
        match choice.which {
            Which::Optional(index) => flip(&mut self.spent, index),
            Which::Required(index) => {
                flip(&mut self.done, index);
                self.depth -= 1;
            }
        }
    }

    /// Keeps the present order if it is the longest one. Called on the way back, so that it is not
    /// copied at every step of the way in.
    fn note_depth(&mut self) {
        if self.depth_max.is_none_or(|depth_max| self.depth > depth_max) {
            self.deepest.order = self.order();
            self.deepest.state = self.state;
            self.depth_max = Some(self.depth);
        }
    }

    fn order(&self) -> Vec<Placed> {
        let placed = |which, reply| match which {
            Which::Required(index) => {
                Placed { call: self.source.required[index].call, reply, is_optional: false }
            }
            Which::Optional(index) => {
                Placed { call: self.source.optional[index].call, reply, is_optional: true }
            }
        };
        self.moves.iter().map(|m| placed(m.choice.which, m.choice.next.reply)).collect()
    }
}

impl Visited {
    /// Adds a set unless it, or one within it, is there.
    fn add(&mut self, spent: Set) -> bool {
        let mut others = std::iter::once(&self.first).chain(&self.few);
        if others.any(|other| other.is_within(&spent)) {
            return false;
        }
        self.few.retain(|other| !spent.is_within(other));
        if self.few.len() < SUBSETS_MAX {
            self.few.push(spent);
            return true;
        }
        self.many.insert(spent)
    }
}

impl Op {
    fn new<M: Model>(op: &Required, table: &mut Table<'_, M>) -> Op {
        let Required { call, began, ended, reply, .. } = *op;
        let reply = match (reply, &table.calls[call].outcome) {
            (Wanted::Noted, _) => None,
            (Wanted::Is(reply), _) => Some(reply),
            (Wanted::Of, Outcome::Ok(bytes)) => Some(table.reply_id(bytes)),
            (Wanted::Of, outcome) => unreachable!("{outcome:?} is no reply to compare with"),
        };
        Op { began, ended, form: table.form(call), reply }
    }
}
