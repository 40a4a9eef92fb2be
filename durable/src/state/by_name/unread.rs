//! Why a value cannot be read by name.

use std::fmt::{self, Display};

use crate::state::bytes::Damage;

/// Why a value cannot be read by name, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unread {
    /// The innermost part last written comes first.
    path: Vec<String>,
    pub(crate) why: Why,
    text: String,
}

/// What to do about it depends on this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// A field that was never written, and has no default.
    Missing,
    /// A field that the type does not know and refuses.
    UnknownField,
    /// A variant that the type does not know.
    UnknownVariant,
    /// A value of another type, or out of range.
    Unfit,
    /// The bytes are not what the shape says.
    Damaged,
}

impl Unread {
    pub(super) fn new(why: Why, text: impl Into<String>) -> Self {
        Unread { path: Vec::new(), why, text: text.into() }
    }

    pub(super) fn inside(mut self, part: impl Into<String>) -> Self {
        self.path.push(part.into());
        self
    }

    /// The field that it is about, such as `lines[2].kind`; empty: the whole state.
    pub(crate) fn field(&self) -> String {
        let mut field = String::new();
        for part in self.path.iter().rev() {
            if !field.is_empty() && !part.starts_with(['[', ':']) {
                field.push('.');
            }
            field.push_str(part);
        }
        field
    }
}

impl Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Unread {}

impl From<Damage> for Unread {
    fn from(damage: Damage) -> Self {
        Unread::new(Why::Damaged, damage.to_string())
    }
}

impl serde::de::Error for Unread {
    fn custom<T: Display>(text: T) -> Self {
        Unread::new(Why::Unfit, text.to_string())
    }

    fn missing_field(field: &'static str) -> Self {
        Unread::new(Why::Missing, format!("missing field `{field}`")).inside(field)
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let known = expected.join("`, `");
        Unread::new(Why::UnknownField, format!("unknown field `{field}`, known are `{known}`"))
            .inside(field)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let known = expected.join("`, `");
        let text = format!("unknown variant `{variant}`, known are `{known}`");
        Unread::new(Why::UnknownVariant, text)
    }
}
