//! Calls that carry an idempotency key, and what is kept of their results. Plain data.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Code, Error};
use crate::limits::IDEMPOTENCY_KEY_BYTES_MAX;
use crate::time::WallMs;

/// What a call is known again by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keyed {
    pub(crate) key: Arc<str>,
    pub(crate) args: ArgsDigest,
}

/// Stands for encoded arguments, which may be large: a hash that nobody finds two of.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ArgsDigest([u8; 16]);

impl ArgsDigest {
    pub(crate) fn of(args: &[u8]) -> Self {
        let hash = blake3::hash(args);
        ArgsDigest(*hash.as_bytes().first_chunk().expect("a hash has 32 bytes"))
    }
}

impl fmt::Debug for ArgsDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// Stands for a key among those of an object: eight bytes of its hash. Two keys hardly ever share one, and who finds one looks
/// at the key itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyDigest(pub(crate) u64);

impl KeyDigest {
    pub(crate) fn of(key: &str) -> Self {
        let hash = blake3::hash(key.as_bytes());
        KeyDigest(u64::from_le_bytes(*hash.as_bytes().first_chunk().expect("a hash has 32 bytes")))
    }
}

/// The result of a call, as it is kept for those who make it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptResult {
    pub(crate) key: String,
    /// From then on nobody gets it.
    pub(crate) until: WallMs,
    /// By its name on wires.
    pub(crate) method: String,
    pub(crate) args: ArgsDigest,
    /// Encoded.
    pub(crate) reply: Vec<u8>,
}

/// A result that a commit keeps, as one who watches sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResultView {
    /// The key of its call.
    pub key: Arc<str>,
    /// The time at which the turn that made it ended.
    pub now: WallMs,
    /// From then on nobody gets it.
    pub until: WallMs,
    /// The encoded reply.
    pub reply: Vec<u8>,
}

impl ResultView {
    pub(crate) fn new(now: WallMs, KeptResult { key, until, reply, .. }: KeptResult) -> Self {
        ResultView { key: key.into(), now, until, reply }
    }
}

/// Whether a text can be an idempotency key.
///
/// # Errors
/// `call.key_invalid`.
pub(crate) fn check_key(key: &str) -> Result<(), Error> {
    let text = match key.len() {
        0 => "an idempotency key is empty; take what tells the request from all others".to_owned(),
        bytes if bytes > IDEMPOTENCY_KEY_BYTES_MAX => format!(
            "an idempotency key has {bytes} bytes, the limit is {IDEMPOTENCY_KEY_BYTES_MAX}; take a shorter one, or a hash of it"
        ),
        _ => return Ok(()),
    };
    Err(Code::CallKeyInvalid.error(text))
}
