//! What a document says of answers that are problems.

use serde_json::{Map, Value, json};

use crate::exposed::Verb;

/// The name of the schema that all problems have. No type can have it.
pub(in crate::http) const PROBLEM: &str = "durable.Problem";

/// A status that problems have.
struct Status {
    code: u16,
    /// What the response is called.
    name: &'static str,
    means: &'static str,
    /// When it may be answered.
    when: When,
    /// The header that it may have.
    header: Option<(&'static str, &'static str)>,
}

/// When a status may be answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    /// A body is read.
    Body,
    /// The call may have a key.
    Keyed,
    /// It is asked who calls.
    Guarded,
    /// The class has a rate.
    Rated,
}

/// What an operation is, as far as its problems go.
#[derive(Clone, Copy)]
pub(super) struct Traits {
    pub(super) verb: Verb,
    pub(super) takes_key: bool,
    pub(super) is_guarded: bool,
    pub(super) has_rate: bool,
}

const RETRY_AFTER: Option<(&str, &str)> =
    Some(("Retry-After", "In how many seconds to come again, where that is known."));

const STATUSES: [Status; 12] = [
    Status {
        code: 400,
        name: "malformed",
        means: "The request must be mended, and nothing has begun: `request.malformed`, `call.undecodable` and others.",
        when: When::Always,
        header: None,
    },
    Status {
        code: 401,
        name: "unauthenticated",
        means: "It is not known who calls: `request.unauthenticated`.",
        when: When::Guarded,
        header: Some(("WWW-Authenticate", "What the caller may authenticate by.")),
    },
    Status {
        code: 403,
        name: "forbidden",
        means: "The call is not allowed: `request.forbidden`, `call.refused`.",
        when: When::Always,
        header: None,
    },
    Status {
        code: 404,
        name: "not_found",
        means: "There is no such thing: `id.foreign`, or whatever is asked for is served no more.",
        when: When::Always,
        header: None,
    },
    Status {
        code: 408,
        name: "slow",
        means: "The body did not come in time: `request.slow`.",
        when: When::Body,
        header: None,
    },
    Status {
        code: 413,
        name: "too_large",
        means: "The body is too large: `request.too_large`.",
        when: When::Body,
        header: None,
    },
    Status {
        code: 415,
        name: "wrong_type",
        means: "The body does not say that it is JSON: `request.wrong_type`.",
        when: When::Body,
        header: None,
    },
    Status {
        code: 422,
        name: "mismatched",
        means: "The idempotency key was used for another call: `call.mismatched`.",
        when: When::Keyed,
        header: None,
    },
    Status {
        code: 429,
        name: "too_many",
        means: "The object has taken as many calls as it may in a time: `rate.exceeded`.",
        when: When::Rated,
        header: RETRY_AFTER,
    },
    Status {
        code: 500,
        name: "failed",
        means: "The server has failed: its log says why, and `outcome` what became of the call.",
        when: When::Always,
        header: None,
    },
    Status {
        code: 503,
        name: "unavailable",
        means: "The server cannot do it now: call again, later if `Retry-After` says so.",
        when: When::Always,
        header: RETRY_AFTER,
    },
    Status {
        code: 504,
        name: "expired",
        means: "The call's time is over: `call.expired`, `call.overlong`; `outcome` says what became of it.",
        when: When::Always,
        header: None,
    },
];

/// The schema of problems.
pub(super) fn schema() -> Value {
    json!({
        "type": "object",
        "description": "Why nothing is returned (RFC 9457).",
        "properties": {
            "type": { "type": "string", "description": "`urn:durable:error:` and the code." },
            "title": { "type": "string" },
            "status": { "type": "integer", "minimum": 400, "maximum": 599 },
            "detail": { "type": "string", "description": "For people." },
            "code": { "type": "string", "description": "What programs tell it by, such as `call.expired`." },
            "outcome": {
                "enum": ["not_started", "rolled_back", "committed", "unknown"],
                "description": "What became of the call.",
            },
            "object": { "type": "string", "description": "The object that it is about." },
        },
        "required": ["type", "title", "status", "code", "outcome"],
    })
}

/// The responses that the operations of these paths share, by their names.
pub(super) fn shared(paths: &Value) -> Map<String, Value> {
    let schema = json!({ "$ref": reference("schemas", PROBLEM) });
    let said = paths.to_string();
    let is_said = |status: &&Status| {
        said.contains(&json!({ "$ref": reference("responses", status.name) }).to_string())
    };
    let said = STATUSES.iter().filter(is_said);
    said.map(|status| (status.name.to_owned(), response(status, &schema))).collect()
}

/// The problems of an operation, by their statuses. `rejection`: the schema of the method's own error, if it has one.
pub(super) fn responses(traits: Traits, rejection: Option<Value>) -> Map<String, Value> {
    let is_possible = |status: &&Status| match status.when {
        When::Always => true,
        When::Body => traits.verb == Verb::Post,
        When::Keyed => traits.takes_key,
        When::Guarded => traits.is_guarded,
        When::Rated => traits.has_rate,
    };
    let refer = |status: &Status| {
        let response = json!({ "$ref": reference("responses", status.name) });
        (status.code.to_string(), response)
    };
    let mut responses: Map<_, _> = STATUSES.iter().filter(is_possible).map(refer).collect();
    if let Some(error) = rejection {
        let also = if traits.takes_key {
            " Or its key was used for another: `call.mismatched`."
        } else {
            ""
        };
        let problem = json!({ "$ref": reference("schemas", PROBLEM) });
        let said = json!({ "type": "object", "properties": { "error": error } });
        let content =
            json!({ "application/problem+json": { "schema": { "allOf": [problem, said] } } });
        let means = format!(
            "The method has rejected the call, which is undone: `call.rejected`, with the method's own `error`.{also}"
        );
        responses.insert("422".to_owned(), json!({ "description": means, "content": content }));
    }
    responses
}

fn response(status: &Status, schema: &Value) -> Value {
    let mut response = json!({
        "description": status.means,
        "content": { "application/problem+json": { "schema": schema } },
    });
    if let Some((name, means)) = status.header {
        response["headers"] =
            json!({ name: { "description": means, "schema": { "type": "string" } } });
    }
    response
}

/// Where one of the components stands.
fn reference(of: &str, name: &str) -> String {
    format!("#/components/{of}/{name}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::error::Code;
    use crate::http::problem::status_of;

    #[test]
    fn a_document_knows_every_status_that_the_guide_says() {
        let page = include_str!("../../../docs/serve_over_http.md");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
        let mut said: BTreeSet<u16> = rows.filter_map(|cell| cell.parse().ok()).collect();
        for code in Code::ALL {
            said.extend(code.outcomes().iter().map(|outcome| status_of(*code, *outcome).as_u16()));
        }
        // Nobody who calls as the document says meets the verb that is wrong.
        assert!(said.remove(&405));
        let known: BTreeSet<u16> = STATUSES.iter().map(|status| status.code).collect();
        assert_eq!(known, said);
    }
}
