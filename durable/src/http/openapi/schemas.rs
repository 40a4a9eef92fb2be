//! The schemas of types, each once, under a name of its own.
//!
//! What a type is read from and what it is written as may differ, as by `#[serde(default)]`; then it has two names.

use std::collections::{BTreeMap, BTreeSet};

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::exposed::{Shape, unescape};

/// Where schemas stand in a document.
pub(in crate::http) const SCHEMAS: &str = "#/components/schemas/";

/// Where those of arguments and of results stand until all are known.
const TAKEN: &str = "#/taken/";
const GIVEN: &str = "#/given/";

/// How many names are followed from one to the next; types do not go on for longer without saying what they are.
const REFERENCES_MAX: usize = 16;

/// The schemas of a document that is made.
pub(super) struct Schemas {
    /// Of arguments.
    taken: SchemaGenerator,
    /// Of results.
    given: SchemaGenerator,
}

/// What values of a schema are, for a place where only texts can stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Texts, numbers and the like.
    Plain,
    /// Lists and objects.
    Nested,
    /// Either, or nobody knows.
    Any,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let settings = |path: &'static str| {
            SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = path.into())
        };
        Schemas {
            taken: settings("/taken").for_deserialize().into_generator(),
            given: settings("/given").for_serialize().into_generator(),
        }
    }

    /// The schema of an argument. One of which nothing is known takes anything.
    pub(super) fn taken(&mut self, shape: Shape) -> Value {
        draw(shape, &mut self.taken)
    }

    /// The schema of a result.
    pub(super) fn given(&mut self, shape: Shape) -> Value {
        draw(shape, &mut self.given)
    }

    /// What values of the schema of an argument are.
    pub(super) fn kind(&self, schema: &Value) -> Kind {
        self.kind_within(schema, REFERENCES_MAX)
    }

    fn kind_within(&self, schema: &Value, references: usize) -> Kind {
        let of = |kinds: &mut dyn Iterator<Item = Kind>| {
            kinds.reduce(|one, other| if one == other { one } else { Kind::Any })
        };
        let of_value = |value: &Value| match value {
            Value::Array(_) | Value::Object(_) => Kind::Nested,
            _ => Kind::Plain,
        };
        let of_type = |name: &Value| match name.as_str() {
            Some("array" | "object") => Kind::Nested,
            Some(_) => Kind::Plain,
            None => Kind::Any,
        };
        let Some(members) = schema.as_object() else { return Kind::Any };
        if let Some(named) = members.get("$ref").and_then(Value::as_str) {
            let name = named.strip_prefix(TAKEN).and_then(name_of);
            let found = name.and_then(|name| self.taken.definitions().get(&name));
            return match (found, references.checked_sub(1)) {
                (Some(schema), Some(references)) => self.kind_within(schema, references),
                _ => Kind::Any,
            };
        }
        let known = match (members.get("type"), members.get("enum"), members.get("const")) {
            (Some(Value::Array(types)), ..) => of(&mut types.iter().map(of_type)),
            (Some(name), ..) => Some(of_type(name)),
            (_, Some(Value::Array(values)), _) => of(&mut values.iter().map(of_value)),
            (_, _, Some(value)) => Some(of_value(value)),
            _ => {
                let parts = ["oneOf", "anyOf", "allOf"].iter().find_map(|name| members.get(*name));
                let parts = parts.and_then(Value::as_array);
                parts.and_then(|parts| {
                    of(&mut parts.iter().map(|part| self.kind_within(part, references)))
                })
            }
        };
        known.unwrap_or(Kind::Any)
    }

    /// Names all schemas for good, in `document` too, beside those that it has. A type whose schemas are one has one name; of two
    /// that differ the one of arguments is called `…Input`.
    pub(super) fn name_in(
        mut self,
        document: &mut Value,
        names: impl Iterator<Item = String>,
    ) -> Map<String, Value> {
        let taken = self.taken.take_definitions(false);
        let given = self.given.take_definitions(false);
        let differing = differing(&taken, &given);
        let mut used: BTreeSet<String> = names.collect();
        let (mut final_names, mut schemas) = (BTreeMap::new(), Map::new());
        for (name, schema) in given {
            let named = unused(&name, &mut used);
            final_names.insert(format!("{GIVEN}{name}"), named.clone());
            if !differing.contains(&name) && taken.contains_key(&name) {
                final_names.insert(format!("{TAKEN}{name}"), named.clone());
            }
            schemas.insert(named, schema);
        }
        for (name, schema) in taken {
            let place = format!("{TAKEN}{name}");
            if final_names.contains_key(&place) {
                continue;
            }
            let wanted = if differing.contains(&name) { format!("{name}Input") } else { name };
            let named = unused(&wanted, &mut used);
            final_names.insert(place, named.clone());
            schemas.insert(named, schema);
        }
        for schema in schemas.values_mut() {
            rename(schema, &final_names);
        }
        rename(document, &final_names);
        schemas
    }
}

fn draw(shape: Shape, generator: &mut SchemaGenerator) -> Value {
    shape.map_or_else(|| json!({}), |draw| draw(generator).to_value())
}

/// The same schema for values that are there, for a parameter that is left out where it would be `null`.
pub(super) fn without_null(mut schema: Value) -> Value {
    let Some(members) = schema.as_object_mut() else { return schema };
    if let Some(Value::Array(types)) = members.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = &types[..] {
            let only = only.clone();
            members.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(values)) = members.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    let is_alone = members.len() == 1;
    if let Some(Value::Array(parts)) = members.get_mut("anyOf") {
        parts.retain(|part| *part != json!({ "type": "null" }));
        if let ([only], true) = (&parts[..], is_alone) {
            return only.clone();
        }
    }
    schema
}

/// The names that stand for two schemas: those whose own differ, and those that lead to one of them.
fn differing(taken: &Map<String, Value>, given: &Map<String, Value>) -> BTreeSet<String> {
    let shared = || taken.iter().filter_map(|(name, one)| Some((name, one, given.get(name)?)));
    let as_one = |schema: &Value| schema.to_string().replace(TAKEN, GIVEN);
    let mut differing: BTreeSet<String> = shared()
        .filter(|(_, one, other)| as_one(one) != as_one(other))
        .map(|(name, ..)| name.clone())
        .collect();
    loop {
        let found = shared().find(|(name, one, _)| {
            let leads = |named: &str| name_of(named).is_some_and(|name| differing.contains(&name));
            !differing.contains(*name) && references(one).iter().any(|named| leads(named))
        });
        let Some((name, ..)) = found else { return differing };
        differing.insert(name.clone());
    }
}

/// What a schema of an argument refers to, as it stands after the place.
fn references(schema: &Value) -> Vec<&str> {
    match schema {
        Value::Array(values) => values.iter().flat_map(references).collect(),
        Value::Object(members) => {
            let own = members.get("$ref").and_then(Value::as_str);
            let own = own.and_then(|named| named.strip_prefix(TAKEN));
            own.into_iter().chain(members.values().flat_map(references)).collect()
        }
        _ => Vec::new(),
    }
}

/// The name that a reference says with escapes.
fn name_of(escaped: &str) -> Option<String> {
    Some(unescape(escaped).ok()?.replace("~1", "/").replace("~0", "~"))
}

/// A name that may stand in a document and that nothing else has.
fn unused(wanted: &str, used: &mut BTreeSet<String>) -> String {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let wanted: String = wanted.chars().map(|c| if is_allowed(c) { c } else { '_' }).collect();
    let mut name = wanted.clone();
    let mut number = 2;
    while !used.insert(name.clone()) {
        name = format!("{wanted}{number}");
        number += 1;
    }
    name
}

/// Gives references their names.
fn rename(value: &mut Value, names: &BTreeMap<String, String>) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| rename(value, names)),
        Value::Object(members) => {
            for (key, value) in members {
                match value {
                    Value::String(named) if key == "$ref" => {
                        let name = name_of(named).and_then(|name| names.get(&name));
                        if let Some(name) = name {
                            *named = format!("{SCHEMAS}{name}");
                        }
                    }
                    value => rename(value, names),
                }
            }
        }
        _ => {}
    }
}
