//! Types of TypeScript, of schemas.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::http::openapi::SCHEMAS;

/// What a type of a program cannot be called, because the client calls something else so. Words of the language are small.
const TAKEN: [&str; 20] = [
    "AbortSignal",
    "Args",
    "Array",
    "AsyncGenerator",
    "AsyncIterable",
    "Classes",
    "Client",
    "Error",
    "Headers",
    "Options",
    "Outcome",
    "Problem",
    "Promise",
    "Record",
    "Rejections",
    "RequestInit",
    "Response",
    "Said",
    "Settings",
    "Way",
];

/// What the schemas of a document are called.
pub(super) struct Names(BTreeMap<String, String>);

impl Names {
    /// Names that are sound, for schemas of these names.
    pub(super) fn of<'a>(schemas: impl Iterator<Item = &'a String>) -> Self {
        let mut used: BTreeSet<String> = TAKEN.iter().map(|name| (*name).to_owned()).collect();
        let mut names = BTreeMap::new();
        for schema in schemas {
            let sound = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
            let mut name: String = schema.chars().map(sound).collect();
            match name.get_mut(..1) {
                Some(first) if first.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                    first.make_ascii_uppercase();
                }
                _ => name.insert(0, '_'),
            }
            while !used.insert(name.clone()) {
                name.push('_');
            }
            names.insert(schema.clone(), name);
        }
        Names(names)
    }

    /// The type of a schema of the document.
    pub(super) fn get(&self, schema: &str) -> &str {
        self.0.get(schema).map_or("unknown", String::as_str)
    }

    /// The type of a schema's values.
    pub(super) fn type_of(&self, schema: &Value) -> String {
        let Some(members) = schema.as_object() else {
            return if *schema == Value::Bool(false) { "never" } else { "unknown" }.to_owned();
        };
        let all = |name: &str| members.get(name).and_then(Value::as_array);
        let mut parts: Vec<String> = Vec::new();
        if let Some(named) = members.get("$ref").and_then(Value::as_str) {
            let name = named.strip_prefix(SCHEMAS).unwrap_or_default();
            parts.push(self.get(name).to_owned());
        }
        let literals = members.get("const").map(std::slice::from_ref);
        if let Some(values) = literals.or(all("enum").map(Vec::as_slice)) {
            parts.push(union(values.iter().map(Value::to_string)));
        } else {
            parts.extend(self.own(members));
        }
        for name in ["oneOf", "anyOf"] {
            parts.extend(all(name).map(|each| union(each.iter().map(|one| self.type_of(one)))));
        }
        parts.extend(all("allOf").into_iter().flatten().map(|part| self.type_of(part)));
        let is_one = parts.len() == 1;
        let joined =
            |part: String| if is_one || !part.contains(" | ") { part } else { format!("({part})") };
        match parts.is_empty() {
            true => "unknown".to_owned(),
            false => parts.into_iter().map(joined).collect::<Vec<_>>().join(" & "),
        }
    }

    /// What `type` says. `None`: it says nothing, or no more than that others say the members of an object.
    fn own(&self, members: &Map<String, Value>) -> Option<String> {
        let others = ["$ref", "oneOf", "anyOf", "allOf"];
        let is_told_elsewhere = others.iter().any(|name| members.contains_key(*name));
        let of = |name: &Value| match name.as_str() {
            Some("string") => "string".to_owned(),
            Some("integer" | "number") => "number".to_owned(),
            Some("boolean") => "boolean".to_owned(),
            Some("null") => "null".to_owned(),
            Some("array") => self.list(members),
            Some("object") => self.object(members),
            _ => "unknown".to_owned(),
        };
        match members.get("type") {
            Some(Value::Array(names)) => Some(union(names.iter().map(of))),
            Some(name)
                if name == "object" && is_told_elsewhere && !members.contains_key("properties") =>
            {
                None
            }
            Some(name) => Some(of(name)),
            None if members.contains_key("properties") => Some(self.object(members)),
            None => None,
        }
    }

    fn list(&self, members: &Map<String, Value>) -> String {
        if let Some(items) = members.get("prefixItems").and_then(Value::as_array) {
            let items: Vec<_> = items.iter().map(|item| self.type_of(item)).collect();
            return format!("[{}]", items.join(", "));
        }
        let item =
            members.get("items").map_or_else(|| "unknown".to_owned(), |item| self.type_of(item));
        if item.contains([' ', '{']) { format!("Array<{item}>") } else { format!("{item}[]") }
    }

    fn object(&self, members: &Map<String, Value>) -> String {
        let more = match members.get("additionalProperties") {
            Some(schema) if schema.is_object() => Some(self.type_of(schema)),
            _ => None,
        };
        let Some(properties) = members.get("properties").and_then(Value::as_object) else {
            let is_closed = members.get("additionalProperties") == Some(&Value::Bool(false));
            let any = if is_closed { "never" } else { "unknown" };
            return format!("Record<string, {}>", more.as_deref().unwrap_or(any));
        };
        if properties.is_empty() {
            return "Record<string, never>".to_owned();
        }
        let required = members.get("required").and_then(Value::as_array);
        let is_required =
            |name: &str| required.is_some_and(|all| all.iter().any(|one| one == name));
        let sorted: BTreeMap<_, _> = properties.iter().collect();
        let properties = sorted.into_iter().map(|(name, schema)| {
            let mark = if is_required(name) { "" } else { "?" };
            format!("{}{mark}: {}", property(name), self.type_of(schema))
        });
        let all: Vec<_> =
            properties.chain(more.map(|_| "[name: string]: unknown".to_owned())).collect();
        format!("{{ {} }}", all.join("; "))
    }
}

/// A name as a member of an object: in quotes, unless it needs none.
pub(super) fn property(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_word = !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty();
    if is_word && name.chars().all(is_plain) { name.to_owned() } else { text(name) }
}

/// A text in quotes.
pub(super) fn text(text: &str) -> String {
    Value::from(text).to_string()
}

/// Either of these.
fn union(parts: impl Iterator<Item = String>) -> String {
    let mut all: Vec<String> = Vec::new();
    for part in parts {
        if !all.contains(&part) {
            all.push(part);
        }
    }
    match all.is_empty() {
        true => "never".to_owned(),
        false => all.join(" | "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn schemas_are_types() {
        let schemas = ["Line", "Error", "1.x", "delete"].map(str::to_owned);
        let names = Names::of(schemas.iter());
        for (schema, expected) in [
            (json!(true), "unknown"),
            (json!({}), "unknown"),
            (json!(false), "never"),
            (json!({ "type": "integer", "format": "uint8" }), "number"),
            (json!({ "type": ["integer", "null"] }), "number | null"),
            (json!({ "type": "null" }), "null"),
            (json!({ "$ref": "#/components/schemas/Line" }), "Line"),
            (json!({ "$ref": "#/components/schemas/Error" }), "Error_"),
            (json!({ "$ref": "#/components/schemas/1.x" }), "_1_x"),
            (json!({ "$ref": "#/components/schemas/delete" }), "Delete"),
            (json!({ "enum": ["a", 1, null] }), "\"a\" | 1 | null"),
            (json!({ "type": "string", "const": "a\"b" }), r#""a\"b""#),
            (json!({ "type": "array", "items": { "type": "string" } }), "string[]"),
            (
                json!({ "type": "array", "items": { "type": ["string", "null"] } }),
                "Array<string | null>",
            ),
            (
                json!({ "type": "array", "prefixItems": [{ "type": "string" }, {}] }),
                "[string, unknown]",
            ),
            (
                json!({ "type": "object", "additionalProperties": { "type": "boolean" } }),
                "Record<string, boolean>",
            ),
            (json!({ "type": "object" }), "Record<string, unknown>"),
            (
                json!({ "type": "object", "properties": { "b c": {}, "a": { "type": "number" } }, "required": ["a"] }),
                r#"{ a: number; "b c"?: unknown }"#,
            ),
            (
                json!({ "type": "object", "properties": { "a": {} }, "oneOf": [{ "type": "string" }, { "type": "null" }] }),
                "{ a?: unknown } & (string | null)",
            ),
            (
                json!({ "type": "object", "allOf": [{ "$ref": "#/components/schemas/Line" }] }),
                "Line",
            ),
        ] {
            assert_eq!(names.type_of(&schema), expected, "{schema}");
        }
    }
}
