//! From a stored frame to the object: as it was written, by name, or through the class's migrations.
//!
//! Whatever is wrong with a state is told to whoever calls its object. Nothing here changes what is stored.

use std::any::type_name;
use std::fmt::Display;

use crate::codec;
use crate::error::{Code, Error};
use crate::kernel::evolve::{self, Layout, Reading};
use crate::object::Object;
use crate::state::by_name::{self, Unread, Why};
use crate::state::{DurableState, Fingerprint, SchemaFault, Schemas};
use crate::storage::frame::{self, Codec, Header};

/// What to do about a state that a migration refused.
const REFUSED: &str = "mend the migration or what it refuses";

/// A stored state, before it is known to be one of the class's present type.
pub struct OldState<'a> {
    /// The object as errors call it; most loads need no name.
    label: &'a dyn Fn() -> String,
    class: &'static str,
    layout: Layout,
    schemas: &'a Schemas,
    payload: &'a [u8],
}

/// An object that was read.
pub(crate) struct Read<O> {
    pub(crate) object: O,
    /// Whether its stored bytes are not those that this code writes.
    pub(crate) is_evolved: bool,
}

/// Reads a stored frame. `fingerprint`: of `O`.
pub(crate) fn read<O: Object>(
    label: &dyn Fn() -> String,
    framed: &[u8],
    fingerprint: Fingerprint,
    schemas: &Schemas,
) -> Result<Read<O>, Error> {
    let (header, payload) = open_frame(framed)?;
    let Header { codec, state_version, fingerprint: stored } = header;
    if codec == Codec::Nothing {
        return Err(Code::StateTorn.error(
            "the stored state says that the object does not exist; restore it to a moment of its history",
        ));
    }
    let layout = Layout { version: state_version, fingerprint: stored };
    let (class, version) = (O::CLASS.name, O::CLASS.version);
    let old = OldState { label, class, layout, schemas, payload };
    let is_evolved = true;
    match evolve::decide(layout, Layout { version, fingerprint }) {
        Reading::Plain => Ok(Read { object: old.read_plain()?, is_evolved: false }),
        Reading::ByName => Ok(Read { object: old.read_by_name(version)?, is_evolved }),
        Reading::Migrate => match O::migrate(&old) {
            Some(migrated) => migrated.map(|object| Read { object, is_evolved }),
            None => Err(Code::StateUnmigrated.error(format!(
                "the state of {} is stored with version {state_version}, this code has version {version} and no \
                 migration that begins there; add `#[migrate(from = {state_version})]` to class {class}",
                label()
            ))),
        },
        Reading::Refuse => Err(Code::StateNewer.error(format!(
            "the state of {} is stored with version {state_version}, this code has version {version}; \
             run the code that wrote it",
            label()
        ))),
    }
}

/// Checks that a frame is whole.
pub(crate) fn open_frame(body: &[u8]) -> Result<(Header, &[u8]), Error> {
    frame::decode(body).map_err(|error| {
        if error.is_newer() {
            Code::StateNewer.error(format!(
                "the stored state was written by newer code: {error}; run the release that wrote it"
            ))
        } else {
            Code::StateTorn.error(format!(
                "the stored state is damaged: {error}; the bytes were left as they are, restore them from a copy"
            ))
        }
    })
}

impl OldState<'_> {
    /// The version that it was stored with.
    pub fn version(&self) -> u32 {
        self.layout.version
    }

    /// The state as the type that its version had.
    ///
    /// # Errors
    /// As a state of that type that is read without a migration.
    pub fn read<T: DurableState>(&self) -> Result<T, Error> {
        if Fingerprint::of::<T>() == self.layout.fingerprint {
            return self.read_plain();
        }
        self.read_by_name(self.layout.version + 1)
    }

    /// What a migration gave.
    ///
    /// # Errors
    /// `state.unmigrated` if it refused.
    pub fn migrated<const FALLIBLE: bool, M: Migrated<FALLIBLE>>(
        &self,
        from: u32,
        migrated: M,
    ) -> Result<M::State, Error> {
        migrated.into_result().map_err(|reason| {
            Code::StateUnmigrated.error(format!(
                "the state of {} is stored with version {}, and `#[migrate(from = {from})]` of class {} refused it: {reason}; \
                 {REFUSED}, the bytes were left as they are",
                (self.label)(), self.layout.version, self.class
            ))
        })
    }

    /// Whether a migration refused the state, as opposed to one that is missing.
    pub(crate) fn is_refusal(error: &Error) -> bool {
        error.is(Code::StateUnmigrated) && error.message().contains(REFUSED)
    }

    fn read_plain<T: DurableState>(&self) -> Result<T, Error> {
        codec::decode(self.payload).map_err(|reason| {
            Code::StateUndecodable.error(format!(
                "the state of {} does not decode as `{}`: {reason}; \
                 the bytes were left as they are, restore them or the class's old fields",
                (self.label)(),
                type_name::<T>()
            ))
        })
    }

    /// `present`: the class's version, or the next one after an older type's.
    fn read_by_name<T: DurableState>(&self, present: u32) -> Result<T, Error> {
        let Fingerprint(print) = self.layout.fingerprint;
        let shape = self.schemas.get(self.layout.fingerprint).map_err(|fault| match fault {
            SchemaFault::Missing => Code::SchemaMissing.error(format!(
                "the state of {} was written with schema {print:016x}, which is not stored; \
                 run the code that wrote it, or restore the shard's file from a copy",
                (self.label)()
            )),
            SchemaFault::Torn(damage) => Code::SchemaTorn.error(format!(
                "the state of {} was written with schema {print:016x}, which is damaged: {damage}; \
                 run the code that wrote it, or restore the shard's file from a copy",
                (self.label)()
            )),
        })?;
        by_name::read(shape, self.payload).map_err(|unread| self.changed::<T>(&unread, present))
    }

    fn changed<T>(&self, unread: &Unread, present: u32) -> Error {
        let stored = self.layout.version;
        let place = match unread.field() {
            field if field.is_empty() => String::new(),
            field => format!(" at field `{field}`"),
        };
        let next = if present == stored {
            let migrate =
                format!("set `version = {}` and add `#[migrate(from = {stored})]`", stored + 1);
            advice(unread.why, &migrate)
        } else {
            format!("give `{}` the fields that version {stored} had", type_name::<T>())
        };
        let code = match unread.why {
            Why::Damaged => Code::StateUndecodable,
            _ => Code::StateChanged,
        };
        code.error(format!(
            "the state of {} is stored with version {stored} and other fields than `{}` has, \
             and does not fit{place}: {unread}; {next}; the bytes were left as they are",
            (self.label)(),
            type_name::<T>()
        ))
    }
}

/// What to do about a state that does not fit the type any more.
fn advice(why: Why, migrate: &dyn Display) -> String {
    match why {
        Why::Missing => format!("give it `#[serde(default)]`, or {migrate}"),
        Why::UnknownField => {
            format!("remove `#[serde(deny_unknown_fields)]`, bring the field back, or {migrate}")
        }
        Why::UnknownVariant => format!(
            "bring the variant back, say `#[serde(alias = \"…\")]` on the one that replaces it, or {migrate}"
        ),
        Why::Unfit => format!("give it the type that it had, or {migrate}"),
        Why::Damaged => "restore them from a copy".to_owned(),
    }
}

/// What a migration may return: the next state, or a `Result` of it whose error can be shown. `FALLIBLE` is
/// [`Probe::FALLIBLE`](crate::object::Probe::FALLIBLE).
#[diagnostic::on_unimplemented(
    message = "`#[migrate]` cannot return `{Self}`",
    label = "returns `{Self}`",
    note = "return the state, or `Result<state, E>` with an error `E` that implements `Display`"
)]
pub trait Migrated<const FALLIBLE: bool> {
    /// The state that is returned.
    type State;

    /// The state, or why there is none.
    fn into_result(self) -> Result<Self::State, String>;
}

impl<T> Migrated<false> for T {
    type State = T;

    fn into_result(self) -> Result<T, String> {
        Ok(self)
    }
}

#[diagnostic::do_not_recommend]
impl<T, E: Display> Migrated<true> for Result<T, E> {
    type State = T;

    fn into_result(self) -> Result<T, String> {
        self.map_err(|error| error.to_string())
    }
}

impl std::fmt::Debug for OldState<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OldState")
            .field("object", &(self.label)())
            .field("layout", &self.layout)
            .finish_non_exhaustive()
    }
}
