//! From a response to a reply, or to the error that it tells of.

use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde_json::Value;

use crate::error::{Code, Error, Outcome};
use crate::limits::WIRE_BYTES_MAX;
use crate::protocol::CALL;

/// The bytes of a reply.
pub(super) async fn read(response: Response<Incoming>) -> Result<Vec<u8>, Error> {
    let (parts, body) = response.into_parts();
    let (status, headers) = (parts.status, parts.headers);
    let body = match Limited::new(body, WIRE_BYTES_MAX).collect().await {
        Ok(body) => Vec::from(body.to_bytes()),
        Err(error) => {
            // A reply is written when its turn is durable.
            let outcome = match status {
                StatusCode::OK => Outcome::Committed,
                _ => Outcome::Unknown,
            };
            let text = format!(
                "the answer broke off: {error}; read the object to see what became of the call"
            );
            return Err(Code::ServerUnreachable.error(text).with_outcome(outcome));
        }
    };
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    match (status, kind) {
        (StatusCode::OK, CALL) => Ok(body),
        (_, "application/problem+json") => Err(problem(status, &headers, &body)),
        _ => Err(foreign(status, kind)),
    }
}

/// The error of an answer that no server of this crate gives.
fn foreign(status: StatusCode, kind: &str) -> Error {
    let outcome = if status.is_client_error() { Outcome::NotStarted } else { Outcome::Unknown };
    let kind = kind.escape_debug();
    Code::ServerForeign
        .error(format!(
            "what answers is no server of objects: {status} of type `{kind}`; correct the address"
        ))
        .with_outcome(outcome)
}

/// The error that a problem tells of.
fn problem(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Error {
    let Ok(Value::Object(members)) = serde_json::from_slice(body) else {
        return foreign(status, "application/problem+json");
    };
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let said = text("code").unwrap_or_default();
    let outcome = match text("outcome") {
        Some("not_started") => Outcome::NotStarted,
        Some("rolled_back") => Outcome::RolledBack,
        Some("committed") => Outcome::Committed,
        _ => Outcome::Unknown,
    };
    let detail = text("detail").or(text("title")).unwrap_or("nothing else was said");
    let error = match said {
        "request.unauthenticated" | "request.forbidden" => Code::CallDenied.error(detail),
        "request.too_large" => Code::CallUnencodable.error(detail),
        "request.slow" => Code::ServerUnreachable.error(detail),
        "request.wrong_type" => Code::ServerForeign
            .error("the server does not take typed calls of this version; run one version of this crate on both sides"),
        "request.unknown_path" => Code::ServerForeign
            .error("no objects are served at the path of the address; correct the address"),
        _ => match Code::ALL.iter().find(|code| code.as_str() == said) {
            Some(code) => code.error(detail),
            None => {
                let text = format!("the server says `{}`, which this version does not know: {detail}", said.escape_debug());
                Code::ServerForeign.error(text)
            }
        },
    };
    let error = error.with_outcome(outcome);
    let error = match text("object") {
        Some(object) => error.with_object(object),
        None => error,
    };
    match headers.get(RETRY_AFTER).and_then(|seconds| seconds.to_str().ok()?.parse().ok()) {
        Some(seconds) => error.with_retry_after(Duration::from_secs(seconds)),
        None => error,
    }
}
