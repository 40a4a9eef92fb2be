//! The schemas that the states of one class were written with, by their fingerprints.

use std::collections::BTreeMap;

use super::Fingerprint;
use super::bytes::Damage;
use super::shape::Shape;
use crate::limits::SCHEMA_BYTES_MAX;

/// The writers' schemas of one class.
#[derive(Clone, Debug, Default)]
pub(crate) struct Schemas(BTreeMap<Fingerprint, Result<Shape, Damage>>);

/// Why a writer's schema cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SchemaFault {
    /// It is not stored.
    Missing,
    /// What is stored is not it.
    Torn(Damage),
}

impl Schemas {
    /// Adds what is stored for the class. A row that is damaged harms only the states written with it, and
    /// only if no sound copy of it is added.
    pub(crate) fn add(&mut self, rows: &BTreeMap<Fingerprint, Vec<u8>>) {
        for (&print, schema) in rows {
            if let Some(Ok(_)) = self.0.get(&print) {
                continue;
            }
            let found = Fingerprint::of_schema(schema);
            let shape = match found == print {
                true => check_schema(schema),
                false => {
                    Err(Damage::new(format!("its bytes have the fingerprint {:016x}", found.0)))
                }
            };
            self.0.insert(print, shape);
        }
    }

    pub(crate) fn get(&self, print: Fingerprint) -> Result<&Shape, SchemaFault> {
        match self.0.get(&print) {
            Some(Ok(shape)) => Ok(shape),
            Some(Err(damage)) => Err(SchemaFault::Torn(damage.clone())),
            None => Err(SchemaFault::Missing),
        }
    }
}

/// The shape that encoded bytes say, within the limits.
pub(crate) fn check_schema(schema: &[u8]) -> Result<Shape, Damage> {
    match schema.len() {
        0..=SCHEMA_BYTES_MAX => Shape::decode(schema),
        bytes => Err(Damage::new(format!("it has {bytes} bytes, the limit is {SCHEMA_BYTES_MAX}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_used_only_under_its_own_fingerprint() {
        let schema = Shape::Option(Box::new(Shape::U64)).encode();
        let print = Fingerprint::of_schema(&schema);
        let other = Shape::Option(Box::new(Shape::U32)).encode();
        let mut schemas = Schemas::default();
        let mut add = |schema: &[u8]| {
            schemas.add(&BTreeMap::from([(print, schema.to_vec())]));
            schemas.get(print).cloned()
        };
        assert!(matches!(add(&other), Err(SchemaFault::Torn(_))));
        let shape = Shape::Option(Box::new(Shape::U64));
        assert_eq!(add(&schema), Ok(shape.clone()));
        assert_eq!(add(&other), Ok(shape), "a sound copy stays");
        assert_eq!(schemas.get(Fingerprint(print.0 ^ 1)), Err(SchemaFault::Missing));
    }

    #[test]
    fn a_schema_over_a_limit_is_refused() {
        let mut deep = vec![17; 100_000];
        deep.push(1);
        let text = check_schema(&deep).expect_err("too deep").to_string();
        assert!(text.contains("nested deeper than"), "{text}");
        let text = check_schema(&vec![18; SCHEMA_BYTES_MAX + 1]).expect_err("too long").to_string();
        assert!(text.contains("the limit is"), "{text}");
    }
}
