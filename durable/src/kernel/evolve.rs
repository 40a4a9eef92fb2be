//! How a stored state is read by the code that finds it.

use crate::state::Fingerprint;

/// What a state is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Counted by the class.
    pub(crate) version: u32,
    pub(crate) fingerprint: Fingerprint,
}

/// How to read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// The bytes are those of the type.
    Plain,
    /// The type has changed; names say what goes where.
    ByName,
    /// The class's migrations lead from there to here.
    Migrate,
    /// Newer code wrote it, and knows what this code does not.
    Refuse,
}

/// Decides by the version first: a migration may be needed although all fields are the same.
pub(crate) fn decide(stored: Layout, ours: Layout) -> Reading {
    if stored.version > ours.version {
        Reading::Refuse
    } else if stored.version < ours.version {
        Reading::Migrate
    } else if stored.fingerprint == ours.fingerprint {
        Reading::Plain
    } else {
        Reading::ByName
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_decides_before_the_fingerprint() {
        let layout = |version, print| Layout { version, fingerprint: Fingerprint(print) };
        for (stored, expected) in [
            (layout(2, 7), Reading::Plain),
            (layout(2, 8), Reading::ByName),
            (layout(1, 7), Reading::Migrate),
            (layout(1, 8), Reading::Migrate),
            (layout(3, 7), Reading::Refuse),
            (layout(u32::MAX, 8), Reading::Refuse),
        ] {
            assert_eq!(decide(stored, layout(2, 7)), expected, "{stored:?}");
        }
    }
}
