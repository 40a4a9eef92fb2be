//! What a document says of one method.

use serde_json::{Map, Value, json};

use super::problems::{self, Traits};
use super::schemas::{Kind, Schemas, without_null};
use crate::exposed::{DescribedMethod, ExposedMethod, Verb};
use crate::limits::IDEMPOTENCY_KEY_BYTES_MAX;

/// How a method is asked for, as a document calls it.
pub(super) fn verb(method: &ExposedMethod) -> &'static str {
    match method.verb {
        Verb::Get => "get",
        Verb::Post => "post",
    }
}

/// The path of a method.
pub(super) fn path(class: &str, method: &ExposedMethod) -> String {
    format!("/{}/{{name}}/{}", escaped(class), escaped(method.name))
}

/// What is said of a method. `has_rate`: its class has one; `is_guarded`: it is asked who calls.
pub(super) fn operation(
    class: &str,
    described: &DescribedMethod,
    has_rate: bool,
    is_guarded: bool,
    schemas: &mut Schemas,
) -> Value {
    let DescribedMethod { method, shape, may_change, is_stream } = *described;
    let takes_key = may_change && !is_stream && method.verb == Verb::Post;
    let traits = Traits { verb: method.verb, takes_key, is_guarded, has_rate };
    let rejection = shape.rejection.map(|rejection| schemas.given(rejection));
    let mut responses = problems::responses(traits, rejection);
    responses.insert("200".to_owned(), returned(described, schemas));
    let mut operation = json!({
        "operationId": format!("{class}.{}", method.name),
        "tags": [class],
        "responses": responses,
    });
    let mut parameters = vec![name()];
    match method.verb {
        Verb::Get => parameters.extend(query(described, schemas)),
        Verb::Post => operation["requestBody"] = body(described, schemas),
    }
    if takes_key {
        parameters.push(key());
    }
    parameters.push(timeout());
    operation["parameters"] = parameters.into();
    let text = text(shape.docs);
    if !text.is_empty() {
        operation["description"] = text.into();
    }
    if shape.is_deprecated {
        operation["deprecated"] = true.into();
    }
    operation
}

/// What the method returns.
fn returned(described: &DescribedMethod, schemas: &mut Schemas) -> Value {
    let schema = schemas.given(described.shape.value);
    if described.is_stream {
        let means = "Each item as an event with JSON, as they come; then one event `done`, or one event `failed` with a problem.";
        // OpenAPI 3.1 has no word for the items of a stream.
        let events = json!({ "schema": { "type": "string" }, "x-item-schema": schema });
        return json!({ "description": means, "content": { "text/event-stream": events } });
    }
    let content = json!({ "application/json": { "schema": schema } });
    json!({ "description": "What the method returns.", "content": content })
}

/// The arguments, in a body.
fn body(described: &DescribedMethod, schemas: &mut Schemas) -> Value {
    let DescribedMethod { method, shape, .. } = described;
    let mut properties = Map::new();
    for (name, of) in method.args.iter().zip(shape.args) {
        properties.insert((*name).to_owned(), schemas.taken(*of));
    }
    let mut schema = json!({ "type": "object", "additionalProperties": false });
    let required: Vec<_> = needed(described).collect();
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    schema["properties"] = properties.into();
    // Required, so that clients say its type, also where it is `{}`.
    json!({ "required": true, "content": { "application/json": { "schema": schema } } })
}

/// The arguments that cannot be left out.
fn needed(described: &DescribedMethod) -> impl Iterator<Item = &'static str> {
    let may_lack = described.shape.may_lack;
    let names = described.method.args.iter().enumerate();
    names.filter(move |(index, _)| !may_lack(*index)).map(|(_, name)| *name)
}

/// The arguments, in the query.
fn query(described: &DescribedMethod, schemas: &mut Schemas) -> Vec<Value> {
    let DescribedMethod { method, shape, .. } = described;
    let all = method.args.iter().zip(shape.args).enumerate();
    let parameters = all.map(|(index, (name, of))| {
        let may_lack = (shape.may_lack)(index);
        let schema = schemas.taken(*of);
        let schema = if may_lack { without_null(schema) } else { schema };
        let mut parameter = json!({ "name": name, "in": "query", "required": !may_lack });
        match schemas.kind(&schema) {
            Kind::Plain => parameter["schema"] = schema,
            Kind::Nested => {
                parameter["content"] = json!({ "application/json": { "schema": schema } });
            }
            Kind::Any => {
                parameter["schema"] = schema;
                parameter["description"] = "A text as it is, everything else as JSON.".into();
            }
        }
        parameter
    });
    parameters.collect()
}

fn name() -> Value {
    json!({
        "name": "name",
        "in": "path",
        "required": true,
        "description": "The object's name, or `id:` and its id. `name:` goes before a name that begins with either, or is empty, \
            `.` or `..`.",
        "schema": { "type": "string", "minLength": 1 },
    })
}

fn key() -> Value {
    json!({
        "name": "Idempotency-Key",
        "in": "header",
        "description": "What the call is known again by: made again with it, it takes effect once, and gives what it gave.",
        "schema": { "type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_BYTES_MAX },
    })
}

fn timeout() -> Value {
    json!({
        "name": "Durable-Timeout",
        "in": "header",
        "description": "How much time the call has.",
        "schema": { "type": "string", "pattern": "^[0-9]+(ms|s|m|h)$" },
        "example": "500ms",
    })
}

/// Documentation as a text, without what its comments have before each line.
fn text(docs: &[&str]) -> String {
    let lines = docs.iter().flat_map(|part| part.split('\n'));
    let lines = lines.map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end());
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// A segment of a path, with escapes for all that could be taken for something else.
fn escaped(segment: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let bytes = segment.bytes();
    bytes
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
