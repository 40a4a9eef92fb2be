//! What an object keeps under keys, as its methods see it.

mod desk;
mod list;

use std::any::type_name;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{self, EncodeError};
use crate::error::{Code, Error};
use crate::host::Entropy;
use crate::kv::{Framed, KvKey};
use crate::limits::KV_VALUE_BYTES_MAX;
use crate::storage::kv::{self, Codec};
use crate::storage::{Around, Asked};
use crate::time::WallMs;

pub(crate) use desk::{Base, Desk, KvDealt, LiveKv, Turn, Witness};
pub use list::KvList;

/// Values under keys, kept beside the object's struct: for what is too large, or too many, to be encoded whole after each
/// turn that changes it.
///
/// What a turn changes here, in its struct, and elsewhere in its object is one commit: all of it is kept, or, if the method
/// returns `Err` or panics, none of it. Reads see what the turn itself has written. A turn that takes `&self` only reads.
///
/// If the disk fails to read what a method asks for, the method gets the error, and its call fails with the same error
/// whatever it returns: what it did may rest on what it could not see.
///
/// Keys are text or bytes, 1 to 2,048 of them, in the order of their bytes. Values are anything that serde can encode, or
/// raw bytes, up to 2 MiB.
///
/// ```
/// use durable::prelude::*;
///
/// #[derive(Default, DurableState)]
/// struct Journal { lines: u64 }
///
/// #[durable_object(name = "doc.Journal")]
/// impl Journal {
///     pub fn write(&mut self, cx: &mut Context<'_, Self>, line: String) -> Result<u64, Error> {
///         self.lines += 1;
///         cx.kv().put(format!("line/{:08}", self.lines), &line)?;
///         Ok(self.lines)
///     }
///
///     /// The last `count` lines, the newest first.
///     pub async fn tail(&self, cx: &Context<'_, Self>, count: usize) -> Result<Vec<String>, Error> {
///         let mut list = cx.kv().list().prefix("line/").reverse().limit(count);
///         let mut lines = Vec::new();
///         while let Some((_key, line)) = list.next::<String>().await? {
///             lines.push(line);
///         }
///         Ok(lines)
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// let runtime = Runtime::builder(dir.path()).register::<Journal>().start().await?;
/// let journal = runtime.get::<Journal>("ship");
/// for line in ["left port", "fog", "whale"] {
///     journal.write(line.into()).await?;
/// }
/// assert_eq!(journal.tail(2).await?, ["whale", "fog"]);
/// # Ok(())
/// # }
/// ```
///
/// # Source
/// Cloudflare Durable Objects, the storage API. Ours has no limit on how many keys one call takes, a delete of several
/// keys is atomic too, and a list streams.
#[derive(Clone, Copy)]
pub struct Kv<'c> {
    desk: &'c Desk<'c>,
    owner: &'c dyn Owner,
}

/// Whose KV and SQL it is: the turn.
pub(crate) trait Owner: Sync {
    /// The object as errors call it.
    fn label(&self) -> String;
    /// The time, before anybody knows whether the turn asks for it. `None`: it must not.
    fn peek_now(&self) -> Option<WallMs>;
    /// The time, as the turn is told it.
    fn told_now(&self) -> WallMs;
    /// The turn asks for what is not there when its class is run alone.
    fn lacks(&self, what: &'static str);
    /// What the turn draws from, before anybody knows whether it does.
    fn entropy(&self) -> Arc<dyn Entropy>;
    /// SQL has asked for what was around it.
    fn was_asked(&self, around: &Around, asked: Asked);
}

impl<'c> Kv<'c> {
    pub(crate) fn new(desk: &'c Desk<'c>, owner: &'c dyn Owner) -> Self {
        Kv { desk, owner }
    }

    /// The value under `key`. `None`: there is none.
    ///
    /// # Errors
    /// `kv.key_empty`, `kv.key_too_long`; `kv.undecodable` if the value is not a `T`; `kv.torn`, `kv.newer`; `storage.*` if
    /// it cannot be read.
    ///
    /// # Cancel safety
    /// It changes nothing.
    pub async fn get<T: DeserializeOwned>(self, key: impl AsRef<[u8]>) -> Result<Option<T>, Error> {
        let found = self.desk.values(vec![self.key(key.as_ref())?]).await;
        let found = found.map_err(|error| self.told(error))?;
        found.first().map(|(key, value)| self.decode(key, value)).transpose()
    }

    /// The bytes under `key`; those of its encoding, if it was put as a value. `None`: there are none.
    ///
    /// # Errors
    /// As [`get`](Self::get), but for `kv.undecodable`.
    ///
    /// # Cancel safety
    /// It changes nothing.
    pub async fn get_bytes(self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, Error> {
        let found = self.desk.values(vec![self.key(key.as_ref())?]).await;
        let found = found.map_err(|error| self.told(error))?;
        found.first().map(|(key, value)| self.bytes(key, value)).transpose()
    }

    /// The values under those of `keys` that have one, in the order of keys, each once.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    ///
    /// # Cancel safety
    /// It changes nothing.
    pub async fn get_many<T: DeserializeOwned>(
        self,
        keys: impl IntoIterator<Item = impl AsRef<[u8]>>,
    ) -> Result<Vec<(KvKey, T)>, Error> {
        let found = self.desk.values(self.keys(keys)?).await.map_err(|error| self.told(error))?;
        let decode = |(key, value): (KvKey, Framed)| {
            self.decode(&key, &value).map(|value| (key.clone(), value))
        };
        found.into_iter().map(decode).collect()
    }

    /// The bytes under those of `keys` that have some, in the order of keys, each once.
    ///
    /// # Errors
    /// As [`get_bytes`](Self::get_bytes).
    ///
    /// # Cancel safety
    /// It changes nothing.
    pub async fn get_many_bytes(
        self,
        keys: impl IntoIterator<Item = impl AsRef<[u8]>>,
    ) -> Result<Vec<(KvKey, Vec<u8>)>, Error> {
        let found = self.desk.values(self.keys(keys)?).await.map_err(|error| self.told(error))?;
        let open = |(key, value): (KvKey, Framed)| {
            self.bytes(&key, &value).map(|bytes| (key.clone(), bytes))
        };
        found.into_iter().map(open).collect()
    }

    /// Keeps `value` under `key`, in place of what was there.
    ///
    /// # Errors
    /// `kv.read_only` in a turn that takes `&self`, and in `#[init]`; `kv.key_empty`, `kv.key_too_long`,
    /// `kv.value_too_large`, `kv.unencodable`. Nothing has changed then.
    pub fn put<T: Serialize + ?Sized>(self, key: impl AsRef<[u8]>, value: &T) -> Result<(), Error> {
        self.check_writable()?;
        let row = self.encode(key.as_ref(), value)?;
        self.desk.write([row]);
        Ok(())
    }

    /// Keeps `bytes` under `key`, as they are, in place of what was there.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn put_bytes(self, key: impl AsRef<[u8]>, bytes: impl AsRef<[u8]>) -> Result<(), Error> {
        self.check_writable()?;
        let row = self.frame(key.as_ref(), bytes.as_ref())?;
        self.desk.write([row]);
        Ok(())
    }

    /// Keeps all of these values, or, if one of them cannot be kept, none. Of two values for one key the later stays.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn put_many<T: Serialize>(
        self,
        values: impl IntoIterator<Item = (impl AsRef<[u8]>, T)>,
    ) -> Result<(), Error> {
        self.check_writable()?;
        let rows = values.into_iter().map(|(key, value)| self.encode(key.as_ref(), &value));
        let rows: Vec<_> = rows.collect::<Result<_, _>>()?;
        self.desk.write(rows);
        Ok(())
    }

    /// As [`put_many`](Self::put_many), for bytes as they are.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn put_many_bytes(
        self,
        values: impl IntoIterator<Item = (impl AsRef<[u8]>, impl AsRef<[u8]>)>,
    ) -> Result<(), Error> {
        self.check_writable()?;
        let rows = values.into_iter().map(|(key, bytes)| self.frame(key.as_ref(), bytes.as_ref()));
        let rows: Vec<_> = rows.collect::<Result<_, _>>()?;
        self.desk.write(rows);
        Ok(())
    }

    /// Takes away what is under `key`, and gives whether anything was there.
    ///
    /// # Errors
    /// `kv.read_only` in a turn that takes `&self`, and in `#[init]`; `kv.key_empty`, `kv.key_too_long`; `storage.*` if it
    /// cannot be read whether the key is there.
    ///
    /// # Cancel safety
    /// Dropped before it ended, it has changed nothing.
    pub async fn delete(self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        self.check_writable()?;
        Ok(self.remove(vec![self.key(key.as_ref())?]).await? > 0)
    }

    /// Takes away what is under these keys, and gives at how many of them there was anything.
    ///
    /// # Errors
    /// As [`delete`](Self::delete).
    ///
    /// # Cancel safety
    /// Dropped before it ended, it has changed nothing.
    pub async fn delete_many(
        self,
        keys: impl IntoIterator<Item = impl AsRef<[u8]>>,
    ) -> Result<usize, Error> {
        self.check_writable()?;
        self.remove(self.keys(keys)?).await
    }

    /// All that is kept, in the order of keys, or what the [`KvList`] is told to leave.
    pub fn list(self) -> KvList<'c> {
        KvList::new(self)
    }

    async fn remove(self, keys: Vec<KvKey>) -> Result<usize, Error> {
        let mut stored = self.desk.stored(&keys).await.map_err(|error| self.told(error))?;
        stored.sort_unstable();
        Ok(self.desk.remove(&keys, &stored))
    }

    fn check_writable(self) -> Result<(), Error> {
        let (turn, next) = match self.desk.turn {
            Turn::Write => return Ok(()),
            Turn::Read => ("a turn that takes `&self`", "let the method take `&mut self`"),
            Turn::Init => ("`#[init]`", "write in a method, or in `#[on_activate]`"),
        };
        let label = self.owner.label();
        let text = format!("{turn} of {label} writes to its KV and may only read; {next}");
        Err(self.told(Code::KvReadOnly.error(text)))
    }

    fn told(self, error: Error) -> Error {
        error.with_object(self.owner.label())
    }

    fn key(self, key: &[u8]) -> Result<KvKey, Error> {
        KvKey::new(key).map_err(|error| self.told(error))
    }

    /// Sorted, each once.
    fn keys(self, keys: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Result<Vec<KvKey>, Error> {
        let keys = keys.into_iter().map(|key| self.key(key.as_ref()));
        let mut keys = keys.collect::<Result<Vec<_>, _>>()?;
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }

    fn encode<T: Serialize + ?Sized>(
        self,
        key: &[u8],
        value: &T,
    ) -> Result<(KvKey, Option<Framed>), Error> {
        let key = self.key(key)?;
        let encoded = codec::encode(value, kv::HEADER_BYTES, KV_VALUE_BYTES_MAX);
        let encoded = encoded.map_err(|error| match error {
            EncodeError::TooLarge(size) => self.too_large(&key, size),
            EncodeError::Refused(reason) => self.told(Code::KvUnencodable.error(format!(
                "the value for key \"{key}\" of {} cannot be encoded: {reason}; mend the `Serialize` of `{}`",
                self.owner.label(),
                type_name::<T>()
            ))),
        })?;
        let value = kv::seal(&key, Codec::Postcard, encoded);
        Ok((key, Some(value)))
    }

    fn frame(self, key: &[u8], bytes: &[u8]) -> Result<(KvKey, Option<Framed>), Error> {
        let key = self.key(key)?;
        if bytes.len() > KV_VALUE_BYTES_MAX {
            return Err(self.too_large(&key, bytes.len()));
        }
        let mut framed = Vec::with_capacity(kv::HEADER_BYTES + bytes.len());
        framed.resize(kv::HEADER_BYTES, 0);
        framed.extend_from_slice(bytes);
        let value = kv::seal(&key, Codec::Bytes, framed);
        Ok((key, Some(value)))
    }

    fn too_large(self, key: &KvKey, size: usize) -> Error {
        self.told(Code::KvValueTooLarge.error(format!(
            "the value for key \"{key}\" of {} has {size} bytes once encoded, the limit is {KV_VALUE_BYTES_MAX}; \
             spread it over several keys",
            self.owner.label()
        )))
    }

    fn open<'v>(self, key: &KvKey, value: &'v [u8]) -> Result<(Codec, &'v [u8]), Error> {
        kv::open(key, value).map_err(|error| {
            let (code, is, next) = if error.is_newer() {
                (Code::KvNewer, "was written by newer code", "run the release that wrote it")
            } else {
                (
                    Code::KvTorn,
                    "is damaged",
                    "the bytes were left as they are, restore them from a copy",
                )
            };
            let label = self.owner.label();
            self.told(
                code.error(format!(
                    "the value under key \"{key}\" of {label} {is}: {error}; {next}"
                )),
            )
        })
    }

    fn bytes(self, key: &KvKey, value: &[u8]) -> Result<Vec<u8>, Error> {
        self.open(key, value).map(|(_, payload)| payload.to_vec())
    }

    fn decode<T: DeserializeOwned>(self, key: &KvKey, value: &[u8]) -> Result<T, Error> {
        let reason = match self.open(key, value)? {
            (Codec::Postcard, payload) => match codec::decode(payload) {
                Ok(value) => return Ok(value),
                Err(reason) => reason,
            },
            (Codec::Bytes, _) => "it was put as bytes".to_owned(),
        };
        Err(self.told(Code::KvUndecodable.error(format!(
            "the value under key \"{key}\" of {} does not decode as `{}`: {reason}; \
             the bytes were left as they are, get them as the type that was put, or with `get_bytes`",
            self.owner.label(),
            type_name::<T>()
        ))))
    }
}

impl fmt::Debug for Kv<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kv").field("object", &self.owner.label()).finish_non_exhaustive()
    }
}
