//! States of older code that are read or stored wrongly.

use crate::{Edit, Mutant, RELEASE};

pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "variant_of_the_same_shape",
        bug: "a stored variant is taken for the first that has fields like it, whatever its name",
        edits: &[Edit {
            file: "durable/src/state/by_name.rs",
            find: "                let variant = chosen(variants, self.bytes)?;",
            replace: r#"                let mut variant = chosen(variants, self.bytes)?;
                if crate::mutant("variant_of_the_same_shape") {
                    let alike = variants.iter().find(|other| other.shape == variant.shape);
                    variant = alike.unwrap_or(variant);
                }"#,
        }],
        seeds: 100,
        found_by: &["panic"],
        test: RELEASE,
    },
    Mutant {
        name: "fields_by_place",
        bug: "a stored field goes where the type has its field of the same place, whatever their names",
        edits: &[Edit {
            file: "durable/src/state/by_name/access.rs",
            find: "        seed.deserialize(StrDeserializer::new(&field.name)).map(Some)",
            replace: r#"        if crate::mutant("fields_by_place")
            && let Shape::Struct(fields) = self.of.shape
        {
            let place = fields.len() - self.left.len() - 1;
            return seed
                .deserialize(serde::de::value::U64Deserializer::new(place as u64))
                .map(Some);
        }
        seed.deserialize(StrDeserializer::new(&field.name)).map(Some)"#,
        }],
        seeds: 100,
        found_by: &["test"],
        test: RELEASE,
    },
    Mutant {
        name: "older_bytes_are_what_it_is",
        bug: "turns of an object of older code are undone to, and compared with, the bytes of that code",
        edits: &[Edit {
            file: "durable/src/object/live.rs",
            find: "        let framed = if is_evolved { Self::frame(&object, fingerprint)? } else { framed };",
            replace: r#"        let is_seen = is_evolved && !crate::mutant("older_bytes_are_what_it_is");
        let framed = if is_seen { Self::frame(&object, fingerprint)? } else { framed };"#,
        }],
        seeds: 100,
        found_by: &["P2"],
        test: RELEASE,
    },
    Mutant {
        name: "evolved_and_never_stored",
        bug: "a commit of keys alone leaves the older state where it says that the newer one is",
        edits: &[Edit {
            file: "durable/src/object/live.rs",
            find: "        let has_snapshot = encoded.is_some() || self.commit_no == 0 || is_evolved;",
            replace: r#"        let is_stored = is_evolved && !crate::mutant("evolved_and_never_stored");
        let has_snapshot = encoded.is_some() || self.commit_no == 0 || is_stored;"#,
        }],
        seeds: 100,
        found_by: &["P10"],
        test: RELEASE,
    },
    Mutant {
        name: "other_fields_read_plainly",
        bug: "a state of other fields is read as if its bytes were those of the type",
        edits: &[Edit {
            file: "durable/src/kernel/evolve.rs",
            find: "    } else if stored.fingerprint == ours.fingerprint {",
            replace: r#"    } else if stored.fingerprint == ours.fingerprint
        || crate::mutant("other_fields_read_plainly")
    {"#,
        }],
        seeds: 100,
        found_by: &["test"],
        test: RELEASE,
    },
];
