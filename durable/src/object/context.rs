//! What a turn knows of its object and its world.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use crate::client::Client;
use crate::error::{Code, Error};
use crate::host::Host;
use crate::id::{IntoKey, ObjectId};
use crate::object::{Object, Slot};
use crate::storage::Fence;
use crate::stub::{Origin, Stub};
use crate::time::WallMs;

/// The object that a turn runs on, and the way from it to time, randomness and other objects.
///
/// Methods take it as `cx: &mut Context<'_, Self>` (or `&Context`), `&self` methods as `cx: &Context<'_, Self>`.
///
/// ```
/// use durable::prelude::*;
///
/// #[derive(Default, DurableState)]
/// struct Visit { last_ms: u64 }
///
/// #[durable_object(name = "doc.Visit")]
/// impl Visit {
///     pub fn arrive(&mut self, cx: &mut Context<'_, Self>) -> String {
///         self.last_ms = cx.now().0;
///         format!("{} arrived", cx.name().unwrap_or("somebody"))
///     }
/// }
/// ```
pub struct Context<'a, O: Object> {
    slot: &'a Arc<Slot<O>>,
    /// Of the activation, whose commits calls to other objects wait for. `None`: there is none yet.
    fence: Option<&'a Arc<Fence>>,
    /// Empty until the turn asks for the time; then fixed for the turn.
    now: OnceLock<WallMs>,
}

impl<'a, O: Object> Context<'a, O> {
    pub(crate) fn new(slot: &'a Arc<Slot<O>>, fence: Option<&'a Arc<Fence>>) -> Self {
        Context { slot, fence, now: OnceLock::new() }
    }

    /// The object's id.
    pub fn id(&self) -> ObjectId {
        self.slot.id()
    }

    /// The object's name; `None` if it was only ever asked for by id.
    pub fn name(&self) -> Option<&str> {
        self.slot.name()
    }

    /// The object's name as the class's typed key.
    ///
    /// # Errors
    /// `key.malformed` if the object has no name, or its name does not parse as the key.
    pub fn key(&self) -> Result<O::Key, Error> {
        let parsed = self.name().and_then(|name| O::Key::from_str(name).ok());
        parsed.ok_or_else(|| {
            Code::KeyMalformed.error(format!(
                "the name of {} does not parse as its class's key; ask for the object by a key, or fix the key's `FromStr`",
                self.slot.label()
            ))
        })
    }

    /// The wall clock, in milliseconds since the Unix epoch. The same for the whole turn.
    pub fn now(&self) -> WallMs {
        *self.now.get_or_init(|| self.slot.host().clock.wall())
    }

    /// Random bytes from the host: the operating system's, or the simulation's.
    pub fn rng(&self) -> Rng {
        Rng { host: self.slot.host().clone() }
    }

    /// A stub of the object of class `C` called `key`. Making it touches nothing.
    ///
    /// A call through it leaves once every change that this turn could have seen is durable. It is not part of this
    /// turn's transaction: if this turn fails afterwards, the other object keeps what the call did. An object that awaits
    /// a call of its own, or of one that waits for it, waits for ever; give such calls a [timeout](crate::Call::timeout).
    pub fn get<C: Object>(&self, key: impl IntoKey<C::Key>) -> C::Stub {
        self.client().get::<C>(key)
    }

    /// A stub of the object with this id.
    ///
    /// # Errors
    /// `id.foreign` if the id is not one of class `C` in this data directory; `class.unknown`.
    pub fn get_by_id<C: Object>(&self, id: ObjectId) -> Result<C::Stub, Error> {
        self.client().get_by_id::<C>(id)
    }

    /// A stub of a new object that no name leads to.
    pub fn unique<C: Object>(&self) -> C::Stub {
        self.client().unique::<C>()
    }

    /// A stub of this object itself, to hand out. Awaiting a call through it inside a turn would wait for itself.
    pub fn me(&self) -> O::Stub {
        let address = self.slot.address();
        O::Stub::from_address(match self.origin() {
            Some(origin) => address.within_turn(origin),
            None => address,
        })
    }

    fn client(&self) -> Client {
        self.slot.client(self.origin())
    }

    fn origin(&self) -> Option<Origin> {
        let shard = self.slot.group().shard(&self.slot.id());
        self.fence.map(|fence| Origin::new(shard, fence))
    }
}

impl<O: Object> fmt::Debug for Context<'_, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("object", &self.slot.label()).finish_non_exhaustive()
    }
}

/// Random numbers for a turn, fit for secrets.
pub struct Rng {
    host: Host,
}

impl Rng {
    /// Fills `bytes`.
    pub fn fill(&self, bytes: &mut [u8]) {
        self.host.entropy.fill(bytes);
    }

    /// A number, each of the 2^64 as likely as any other.
    pub fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A number below `bound`, each as likely as any other.
    ///
    /// # Panics
    /// If `bound` is 0.
    pub fn below(&self, bound: u64) -> u64 {
        assert!(bound > 0, "no number is below 0");
        // Numbers past the last whole multiple of `bound` would favour the small results; draw again.
        let whole = u64::MAX - u64::MAX % bound;
        loop {
            let number = self.next_u64();
            if number < whole {
                return number % bound;
            }
        }
    }
}

impl fmt::Debug for Rng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rng").finish_non_exhaustive()
    }
}
