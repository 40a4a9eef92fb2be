//! Ids, names and keys: who an object is. Pure; the key that ids are made with is handed in.

mod lineage;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use postcard_schema::Schema;
use postcard_schema::schema::NamedType;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Code, Error};
use crate::limits::{NAME_BYTES_MAX, SLOTS};
use crate::state::DurableState;

pub(crate) use self::lineage::{Ancestor, Lineage};

/// The id of one object: 32 bytes, written as 64 hex digits.
///
/// 16 bytes say which object (a keyed hash of its name, or random), 16 bytes prove that the id belongs to its class and
/// data directory. Two ids are equal if their bytes are.
///
/// ```
/// # use durable::ObjectId;
/// let error = "goodbye".parse::<ObjectId>().unwrap_err();
/// assert_eq!(error.code(), "id.malformed");
/// ```
/// # Source
/// Cloudflare Durable Objects, `DurableObjectId`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId([u8; ObjectId::BYTES]);

impl ObjectId {
    /// Bytes of an id.
    pub const BYTES: usize = 32;

    /// Wraps stored or received bytes. Whether they belong to a class is checked where the id is used.
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        ObjectId(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// The slot that this id hashes to, below [`SLOTS`]: the unit that a shard owns ranges of.
    pub fn slot(&self) -> u16 {
        u16::from_be_bytes([self.0[0], self.0[1]]) % SLOTS
    }

    /// Eight bytes that storage looks the id up by; the base is a keyed hash, so they are spread evenly.
    pub(crate) fn lookup_hash(&self) -> i64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.0[2..10]);
        i64::from_be_bytes(bytes)
    }
}

/// As 64 hex digits where people read it, such as in JSON, and as 32 bytes elsewhere.
impl Serialize for ObjectId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for ObjectId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
        } else {
            <[u8; Self::BYTES]>::deserialize(deserializer).map(ObjectId)
        }
    }
}

impl Schema for ObjectId {
    const SCHEMA: &'static NamedType = <[u8; Self::BYTES]>::SCHEMA;
}

#[diagnostic::do_not_recommend]
impl DurableState for ObjectId {}

const HEX: &[u8; 16] = b"0123456789abcdef";

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 2 * ObjectId::BYTES];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
        f.pad(str::from_utf8(&text).expect("digits"))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectId({self})")
    }
}

impl FromStr for ObjectId {
    type Err = Error;

    /// # Errors
    /// `id.malformed` if the text is not 64 hex digits.
    fn from_str(text: &str) -> Result<Self, Error> {
        let digits = text.as_bytes();
        if digits.len() != 2 * Self::BYTES || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(Code::IdMalformed.error(format!(
                "an object id must be 64 hex digits, got {} characters `{:.80}`; pass what `ObjectId::to_string` gave",
                text.chars().count(),
                text
            )));
        }
        let nibble =
            |digit: u8| (digit as char).to_digit(16).expect("hex digits were checked") as u8;
        let mut bytes = [0; Self::BYTES];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0]) << 4 | nibble(pair[1]);
        }
        Ok(ObjectId(bytes))
    }
}

/// What the proofs of children's ids begin with.
const CHILD: &[u8] = b"mac of child\0";

/// Makes and checks the ids of one class in one data directory.
#[derive(Clone)]
pub(crate) struct ClassKey([u8; 32]);

impl ClassKey {
    const HALF: usize = ObjectId::BYTES / 2;

    /// `root`: the data directory's secret.
    pub(crate) fn new(root: &[u8; 32], class: &str) -> Self {
        ClassKey(*blake3::keyed_hash(root, class.as_bytes()).as_bytes())
    }

    /// The id of the object called `name`. The same name in another jurisdiction is another object.
    pub(crate) fn named(&self, name: &str, jurisdiction: Option<&str>) -> ObjectId {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        // The length comes first, so that no name reads like another name with a jurisdiction behind it.
        hasher.update(b"name\0").update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        if let Some(jurisdiction) = jurisdiction {
            hasher.update(b"jurisdiction\0").update(jurisdiction.as_bytes());
        }
        self.signed(hasher.finalize().as_bytes())
    }

    /// The id of an object that no name leads to. `random`: 16 bytes that were never used before.
    pub(crate) fn unique(&self, random: [u8; 16]) -> ObjectId {
        self.signed(&random)
    }

    /// The id of the child of `parent` that is called `name`. It has its parent's slot, so that both are stored in one
    /// place. Its proof is of another kind than that of an object without a parent: an id alone says which of the two it is.
    pub(crate) fn child(&self, parent: &ObjectId, name: &str) -> ObjectId {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(b"child\0").update(&parent.0).update(name.as_bytes());
        let mut base = *hasher.finalize().as_bytes();
        base[..2].copy_from_slice(&parent.0[..2]);
        self.proved(CHILD, &base)
    }

    /// Whether `id` was made by this key.
    pub(crate) fn owns(&self, id: &ObjectId) -> bool {
        self.signed(&id.0) == *id || self.owns_child(id)
    }

    /// Whether `id` was made by this key, for an object that has a parent.
    pub(crate) fn owns_child(&self, id: &ObjectId) -> bool {
        self.proved(CHILD, &id.0) == *id
    }

    /// Takes the first half of `base` and appends the proof.
    fn signed(&self, base: &[u8]) -> ObjectId {
        self.proved(b"mac\0", base)
    }

    fn proved(&self, kind: &[u8], base: &[u8]) -> ObjectId {
        let mut bytes = [0; ObjectId::BYTES];
        bytes[..Self::HALF].copy_from_slice(&base[..Self::HALF]);
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(kind).update(&bytes[..Self::HALF]);
        bytes[Self::HALF..].copy_from_slice(&hasher.finalize().as_bytes()[..Self::HALF]);
        ObjectId(bytes)
    }
}

/// The key of a class whose objects have plain names; what `Object::Key` is unless `key = …` says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = std::convert::Infallible;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Ok(Name(name.into()))
    }
}

/// What an object can be asked for by: text for a class with plain names, else a value of its typed key.
///
/// A typed key is any type with [`Display`](fmt::Display) and [`FromStr`] that agree with each other: the text that it
/// shows is the object's stored name, and parsing that text gives the key back.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a key of this class",
    label = "the class is asked for by a `{K}`",
    note = "a class without `key = …` is asked for by text, such as `\"ada\"` or a `String`; \
            one with `key = T` by a `T`, which needs `Display` and `FromStr`"
)]
pub trait IntoKey<K> {
    /// The object's name.
    fn name(&self) -> Cow<'_, str>;
}

impl<K: fmt::Display + FromStr> IntoKey<K> for K {
    fn name(&self) -> Cow<'_, str> {
        Cow::Owned(self.to_string())
    }
}

impl<K: fmt::Display + FromStr> IntoKey<K> for &K {
    fn name(&self) -> Cow<'_, str> {
        Cow::Owned(self.to_string())
    }
}

macro_rules! text_keys {
    ($($text:ty),+) => { $(
        impl IntoKey<Name> for $text {
            fn name(&self) -> Cow<'_, str> {
                Cow::Borrowed(self)
            }
        }
    )+ };
}

text_keys!(&str, String, &String, Arc<str>, &Arc<str>, Box<str>, Cow<'_, str>);

/// Checks a name's length.
pub(crate) fn check_name(class: &str, name: &str) -> Result<(), Error> {
    if name.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    Err(Code::NameTooLong.error(format!(
        "a name of {class} has {} bytes, the limit is {NAME_BYTES_MAX}; use a shorter key or a hash of it",
        name.len()
    )))
}

/// Where an object should live. Stored with the object from its first commit; opaque to a single node.
///
/// A jurisdiction is part of who the object is: the same name in another jurisdiction is another object. A location
/// hint is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Placement {
    /// A region that the object must not leave, such as `eu`; `None`: anywhere.
    pub jurisdiction: Option<Arc<str>>,
    /// A region that the object would best be near to, such as `weur`; `None`: no wish.
    pub location_hint: Option<Arc<str>>,
}

impl Placement {
    /// Anywhere.
    pub fn new() -> Self {
        Self::default()
    }

    /// Binds the object to a jurisdiction.
    pub fn jurisdiction(mut self, jurisdiction: impl Into<Arc<str>>) -> Self {
        self.jurisdiction = Some(jurisdiction.into());
        self
    }

    /// Says where the object would best be.
    pub fn location_hint(mut self, location_hint: impl Into<Arc<str>>) -> Self {
        self.location_hint = Some(location_hint.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: [u8; 32] = [7; 32];

    #[test]
    fn a_name_gives_one_id_in_a_class_and_another_in_another_class() {
        let accounts = ClassKey::new(&ROOT, "bank.Account");
        let carts = ClassKey::new(&ROOT, "shop.Cart");
        assert_eq!(accounts.named("ada", None), accounts.named("ada", None));
        assert_ne!(accounts.named("ada", None), accounts.named("bob", None));
        assert_ne!(accounts.named("ada", None), carts.named("ada", None));
        assert_ne!(accounts.named("ada", None), accounts.named("ada", Some("eu")));
    }

    #[test]
    fn no_name_reaches_into_a_jurisdiction() {
        let accounts = ClassKey::new(&ROOT, "bank.Account");
        let inside = accounts.named("x", Some("eu"));
        for name in ["xjurisdiction\0eu", "x\0jurisdiction\0eu", "xeu"] {
            assert_ne!(accounts.named(name, None), inside);
        }
    }

    #[test]
    fn only_its_own_class_owns_an_id() {
        let accounts = ClassKey::new(&ROOT, "bank.Account");
        let carts = ClassKey::new(&ROOT, "shop.Cart");
        for id in [accounts.named("ada", None), accounts.unique([1; 16])] {
            assert!(accounts.owns(&id));
            assert!(!carts.owns(&id));
        }
    }

    #[test]
    fn a_child_has_its_parents_slot_and_an_id_of_its_own_kind() {
        let rooms = ClassKey::new(&ROOT, "game.Room");
        let players = ClassKey::new(&ROOT, "game.Player");
        let (hall, yard) = (rooms.named("hall", None), rooms.named("yard", None));
        let ada = players.child(&hall, "ada");
        assert_eq!(ada, players.child(&hall, "ada"));
        assert_eq!(ada.slot(), hall.slot());
        for other in [
            players.child(&yard, "ada"),
            players.child(&hall, "bob"),
            players.child(&ada, "ada"),
            rooms.child(&hall, "ada"),
            players.named("ada", None),
        ] {
            assert_ne!(ada, other);
        }
        assert!(players.owns(&ada) && players.owns_child(&ada) && !rooms.owns(&ada));
        assert!(!players.owns_child(&players.named("ada", None)));
    }

    #[test]
    fn text_round_trips_in_either_case() {
        let id = ClassKey::new(&ROOT, "bank.Account").named("ada", None);
        assert_eq!(id.to_string().parse::<ObjectId>().expect("own text"), id);
        assert_eq!(id.to_string().to_uppercase().parse::<ObjectId>().expect("upper case"), id);
        assert!(id.to_string()[1..].parse::<ObjectId>().is_err());
        assert!("é".repeat(32).parse::<ObjectId>().is_err());
    }
}
