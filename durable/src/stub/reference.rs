//! A stub as data: which object, and nothing of how to reach it.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;

use postcard_schema::Schema;
use postcard_schema::schema::NamedType;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Address, Way};
use crate::caller::{Who, WhoKey};
use crate::error::Error;
use crate::id::{Ancestor, Lineage, ObjectId, Placement};
use crate::limits::{CHILD_DEPTH_MAX, NAME_BYTES_MAX};
use crate::object::Object;
use crate::state::DurableState;

/// An object of class `C` as data: it can be an argument, a result, and a field of stored state.
///
/// A stub belongs to the place where it was made, because calls through it wait for what that turn has changed; so it does
/// not travel. This does: [`Stub::to_ref`](crate::Stub::to_ref) makes one, and `bind` of a [`Context`](crate::Context::bind),
/// a [`Runtime`](crate::Runtime::bind) or a [`Client`](crate::Client::bind) makes a stub of it again. Beside the id it
/// knows the object's name, its placement and its parents, as far as the stub did: an object that is reached through it for
/// the first time is born with them. Two are equal if their ids are.
///
/// ```
/// use durable::prelude::*;
/// use durable::StubRef;
///
/// #[derive(Default, DurableState)]
/// struct Account { cents: u64 }
///
/// #[durable_object(name = "doc.Account")]
/// impl Account { pub fn deposit(&mut self, cents: u64) -> u64 { self.cents += cents; self.cents } }
///
/// #[derive(Default, DurableState)]
/// struct Order { payee: Option<StubRef<Account>> }
///
/// #[durable_object(name = "doc.Order")]
/// impl Order {
///     pub fn pay_to(&mut self, payee: StubRef<Account>) { self.payee = Some(payee); }
///
///     pub async fn pay(&mut self, cx: &mut Context<'_, Self>) -> Result<u64, Error> {
///         let payee = self.payee.as_ref().expect("somebody is to be paid");
///         cx.bind(payee)?.deposit(500).await
///     }
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let runtime = Runtime::builder(dir.path()).register::<Account>().register::<Order>().start().await?;
/// let order = runtime.get::<Order>("4711");
/// order.pay_to(runtime.get::<Account>("ada").to_ref()?).await?;
/// assert_eq!(order.pay().await.unwrap(), 500);
/// # Ok(())
/// # }
/// ```
pub struct StubRef<C: Object> {
    told: Told,
    class: PhantomData<fn() -> C>,
}

/// What is told of an object. The order of the fields is their order in stored states.
#[derive(Clone, Serialize, Deserialize, Schema)]
pub(crate) struct Told {
    id: ObjectId,
    #[serde(deserialize_with = "name")]
    name: Option<String>,
    jurisdiction: Option<String>,
    location_hint: Option<String>,
    /// The parent first. Empty: it has none, or is not known to have one.
    #[serde(deserialize_with = "parents")]
    parents: Vec<Parent>,
}

type Parent = (ObjectId, Option<String>);

/// Whoever sent it may be anybody, so a name that no object can have is refused.
fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let name = Option::<String>::deserialize(deserializer)?;
    check_name(name.as_deref()).map_or(Ok(name), |text| Err(D::Error::custom(text)))
}

fn parents<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Parent>, D::Error> {
    let parents = Vec::<Parent>::deserialize(deserializer)?;
    if parents.len() > CHILD_DEPTH_MAX {
        let count = parents.len();
        let text =
            format!("an object has {count} parents above it, the limit is {CHILD_DEPTH_MAX}");
        return Err(D::Error::custom(text));
    }
    let fault = parents.iter().find_map(|(_, name)| check_name(name.as_deref()));
    fault.map_or(Ok(parents), |text| Err(D::Error::custom(text)))
}

/// What is wrong with an object's name. `None`: nothing.
fn check_name(name: Option<&str>) -> Option<String> {
    let bytes = name.map_or(0, str::len);
    let is_long = bytes > NAME_BYTES_MAX;
    is_long.then(|| format!("an object's name has {bytes} bytes, the limit is {NAME_BYTES_MAX}"))
}

impl Told {
    pub(crate) fn lineage(&self) -> Option<Lineage> {
        let named = |name: &Option<String>| name.as_deref().map(Arc::from);
        let parents = self.parents.iter();
        Lineage::of(parents.map(|(id, name)| Ancestor { id: *id, name: named(name) }))
    }
}

impl<C: Object> StubRef<C> {
    /// The object's id.
    pub fn id(&self) -> ObjectId {
        self.told.id
    }

    /// The object's name, if the stub had one.
    pub fn name(&self) -> Option<&str> {
        self.told.name.as_deref()
    }

    pub(super) fn of(address: &Address<C>) -> Result<Self, Error> {
        let text = |text: &Arc<str>| text.to_string();
        let (id, name, placement, lineage) = match address.way()? {
            Way::Here(target) => {
                let lineage = target.lineage.as_ref().or_else(|| target.slot.get()?.lineage());
                (target.id, target.name.as_ref(), target.placement.as_ref(), lineage)
            }
            Way::Away(away) => {
                let Who { key, placement } = &away.who;
                let name = if let WhoKey::Name(name) = key { Some(name) } else { None };
                (away.caller.id(C::CLASS.name, &away.who)?, name, placement.as_ref(), None)
            }
        };
        let parents = lineage.into_iter().flat_map(|lineage| lineage.ancestors());
        let told = Told {
            id,
            name: name.map(text),
            jurisdiction: placement.and_then(|wishes| wishes.jurisdiction.as_ref()).map(text),
            location_hint: placement.and_then(|wishes| wishes.location_hint.as_ref()).map(text),
            parents: parents.map(|parent| (parent.id, parent.name.as_ref().map(text))).collect(),
        };
        Ok(StubRef { told, class: PhantomData })
    }

    pub(crate) fn lineage(&self) -> Option<Lineage> {
        self.told.lineage()
    }

    pub(crate) fn placement(&self) -> Option<Arc<Placement>> {
        let Told { jurisdiction, location_hint, .. } = &self.told;
        let mut placement = Placement::new();
        placement.jurisdiction = jurisdiction.as_deref().map(Arc::from);
        placement.location_hint = location_hint.as_deref().map(Arc::from);
        (placement != Placement::new()).then(|| Arc::new(placement))
    }
}

impl<C: Object> Clone for StubRef<C> {
    fn clone(&self) -> Self {
        StubRef { told: self.told.clone(), class: PhantomData }
    }
}

impl<C: Object> PartialEq for StubRef<C> {
    fn eq(&self, other: &Self) -> bool {
        self.told.id == other.told.id
    }
}

impl<C: Object> Eq for StubRef<C> {}

impl<C: Object> PartialOrd for StubRef<C> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<C: Object> Ord for StubRef<C> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.told.id.cmp(&other.told.id)
    }
}

impl<C: Object> Hash for StubRef<C> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.told.id.hash(state);
    }
}

impl<C: Object> fmt::Debug for StubRef<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{}({})", C::CLASS.name, name.escape_debug()),
            None => write!(f, "{}({})", C::CLASS.name, self.told.id),
        }
    }
}

impl<C: Object> Serialize for StubRef<C> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.told.serialize(serializer)
    }
}

impl<'de, C: Object> Deserialize<'de> for StubRef<C> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Told::deserialize(deserializer).map(|told| StubRef { told, class: PhantomData })
    }
}

impl<C: Object> Schema for StubRef<C> {
    const SCHEMA: &'static NamedType = Told::SCHEMA;
}

#[diagnostic::do_not_recommend]
impl<C: Object> DurableState for StubRef<C> {}
