//! What callers saw: every call of a world, when it was made, when it was answered, and how.
//!
//! It knows nothing of objects, models or the scheduler; whoever makes calls tells it.

#[cfg(test)]
mod tests;

use durable::__private::decode_wire;
use serde::de::DeserializeOwned;

/// Every call of one world, in the order in which they were made. Only grows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    calls: Vec<Recorded>,
    /// How many calls were made and answered until now, both counted.
    events: u32,
}

/// Which call of a [`History`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallIndex(u32);

/// A call as its caller saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The number of the client that made it.
    pub client: u64,
    /// The object's label, `bank.Account(ada)`.
    pub object: String,
    /// The stored name of its class, `bank.Account`.
    pub class: &'static str,
    /// The name of the method.
    pub method: String,
    /// Whether the method takes `&self`, so that it changes nothing.
    pub is_read: bool,
    /// The encoded arguments.
    pub args: Vec<u8>,
    /// The world's step in which it was made.
    pub invoked: u64,
    /// The world's step in which its caller had the answer or gave up. `None`: not until now.
    pub answered: Option<u64>,
    /// What became of it.
    pub outcome: Outcome,
    /// Its place among all events of the history. Steps cannot take its place, because several
    /// calls can end and begin in one step.
    began: u32,
    /// The place of its answer. `None` while there is none.
    ended: Option<u32>,
}

impl Recorded {
    /// The arguments, as a tuple of the types that the method has: `(u64,)` for one.
    ///
    /// # Errors
    /// The arguments are not of these types.
    pub fn args_as<T: DeserializeOwned>(&self) -> Result<T, String> {
        decode_wire(&self.args)
            .map_err(|error| format!("the arguments of `{}`: {error:?}", self.method))
    }
}

/// What became of a call, as far as its caller can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered. The bytes are the encoded reply; a user's `Err` is a reply too.
    Ok(Vec<u8>),
    /// An error, given as text, that says that the call had no effect and will have none.
    NotDone(String),
    /// An error, a crash, or a caller that went away, given as text: it may have happened, and may
    /// even happen later.
    Unknown(String),
    /// Nobody has heard of it since it was made, so it may have happened too.
    Pending,
}

/// A call that is about to be made.
#[derive(Clone, Debug)]
pub(crate) struct Invoked {
    /// The number of the client that makes it.
    pub(crate) client: u64,
    /// The object's label.
    pub(crate) object: String,
    /// The stored name of its class.
    pub(crate) class: &'static str,
    /// The name of the method.
    pub(crate) method: String,
    /// Whether the method takes `&self`.
    pub(crate) is_read: bool,
    /// The encoded arguments.
    pub(crate) args: Vec<u8>,
}

impl History {
    /// Records a call. Call it before anything of the call can take effect.
    pub(crate) fn invoke(&mut self, step: u64, call: Invoked) -> CallIndex {
        let index = CallIndex(u32::try_from(self.calls.len()).expect("under four billion calls"));
        let began = self.next_event();
        let Invoked { client, object, class, method, is_read, args } = call;
        self.calls.push(Recorded {
            client,
            object,
            class,
            method,
            is_read,
            args,
            invoked: step,
            answered: None,
            outcome: Outcome::Pending,
            began,
            ended: None,
        });
        index
    }

    /// Records what a call came to. Call it when its caller knows, not earlier.
    ///
    /// # Panics
    /// If the call has an answer, or if `outcome` is that there is none.
    pub(crate) fn answer(&mut self, step: u64, call: CallIndex, outcome: Outcome) {
        assert!(outcome != Outcome::Pending, "an answer to call {} must say something", call.0);
        let ended = self.next_event();
        let recorded = &mut self.calls[call.0 as usize];
        assert!(recorded.ended.is_none(), "call {} was answered twice", call.0);
        assert!(step >= recorded.invoked, "call {} was answered before it was made", call.0);
        recorded.answered = Some(step);
        recorded.outcome = outcome;
        recorded.ended = Some(ended);
    }

    /// What the call at this place was answered may not have lasted.
    pub(crate) fn loosen(&mut self, place: usize) {
        let outcome = &mut self.calls[place].outcome;
        if let Outcome::Ok(_) = outcome {
            *outcome = Outcome::Unknown("it was relaxed, and may not have been stored".to_owned());
        }
    }

    /// All calls, in the order in which they were made.
    pub fn calls(&self) -> &[Recorded] {
        &self.calls
    }

    /// The call of that index.
    pub fn call(&self, index: CallIndex) -> &Recorded {
        &self.calls[index.0 as usize]
    }

    /// The calls to one object, in the order in which they were made.
    ///
    /// `object`: its label, `bank.Account(ada)`.
    pub fn of_object(&self, object: &str) -> impl Iterator<Item = &Recorded> {
        self.calls.iter().filter(move |call| call.object == object)
    }

    /// The labels of all objects that were called, sorted, each once.
    pub fn objects(&self) -> Vec<&str> {
        let mut objects: Vec<&str> = self.calls.iter().map(|call| &*call.object).collect();
        objects.sort_unstable();
        objects.dedup();
        objects
    }

    fn next_event(&mut self) -> u32 {
        let event = self.events;
        self.events = event.checked_add(1).expect("under four billion events");
        event
    }
}

impl Recorded {
    /// Its place in the order of all calls and answers of the history.
    pub(crate) fn began(&self) -> u32 {
        self.began
    }

    /// The place of its answer in the same order.
    pub(crate) fn ended(&self) -> Option<u32> {
        self.ended
    }
}

impl CallIndex {
    /// How many calls of the history were made before it.
    pub fn position(self) -> usize {
        self.0 as usize
    }
}
