//! What is answered where nothing is returned: statuses, and bodies of `application/problem+json`.

use axum::body::Body;
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use super::authorize::Denial;
use crate::error::{Code, Error, ErrorKind, Outcome};
use crate::exposed::Verb;

/// How much of a text a problem tells, in bytes.
const DETAIL_BYTES_MAX: usize = 1_024;

/// Why nothing is returned.
pub(super) struct Problem(Box<Said>);

/// What is said of it.
struct Said {
    status: StatusCode,
    /// What it is known by.
    code: &'static str,
    title: &'static str,
    /// For people. Empty: the title says it all.
    detail: String,
    outcome: Outcome,
    /// `None`: it is about no single object.
    object: Option<String>,
    /// The method's own error, as JSON. `None`: it is none.
    error: Option<Vec<u8>>,
    /// `None`: nothing is to be said beside the body.
    header: Option<(HeaderName, HeaderValue)>,
}

impl Problem {
    fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Problem(Box::new(Said {
            status,
            code,
            title,
            detail: detail.into(),
            outcome: Outcome::NotStarted,
            object: None,
            error: None,
            header: None,
        }))
    }

    /// The request is not one that can be understood.
    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        let title = "The request cannot be understood.";
        Self::new(StatusCode::BAD_REQUEST, "request.malformed", title, detail)
    }

    /// Nothing is served at this path.
    pub(super) fn unknown_path() -> Self {
        let detail = "a path is `/{class}/{object}/{method}`; ask for one that is served";
        Self::new(StatusCode::NOT_FOUND, "request.unknown_path", "Nothing is served there.", detail)
    }

    /// The method is called in another way.
    pub(super) fn wrong_verb(verb: Verb) -> Self {
        let (allowed, detail) = match verb {
            Verb::Get => {
                ("GET, HEAD", "the method is called by GET, with its arguments in the query")
            }
            Verb::Post => ("POST", "the method is called by POST, with its arguments in the body"),
        };
        let title = "The method is called in another way.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "request.wrong_verb", title, detail)
            .with(ALLOW, HeaderValue::from_static(allowed))
    }

    /// The body is not JSON.
    pub(super) fn wrong_type() -> Self {
        let title = "The body is not JSON.";
        let detail = "send a JSON object, `{}` if there are no arguments, with `content-type: application/json`";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "request.wrong_type", title, detail)
    }

    /// A page of another site would open a socket.
    pub(super) fn foreign_origin(origin: &str) -> Self {
        let title = "The page is of another site.";
        let origin = origin.escape_debug().take(128).collect::<String>();
        let detail = format!(
            "pages of `{origin}` may not open sockets here; say `Edge::allow_origin` if they are to"
        );
        Self::new(StatusCode::FORBIDDEN, "request.foreign_origin", title, &detail)
    }

    /// It was asked for by a name that is not this machine's own.
    pub(super) fn foreign_host(host: &str) -> Self {
        let title = "The name is not this machine's own.";
        let host = host.escape_debug().take(128).collect::<String>();
        let detail = format!(
            "`{host}` may be the name of a site whose pages would call by way of a browser here; ask for `localhost`, \
             or say who may call by `Edge::authorize`, or `Edge::allow_all` if everyone may"
        );
        Self::new(StatusCode::FORBIDDEN, "request.foreign_host", title, &detail)
    }

    /// The body has more bytes than it may.
    pub(super) fn too_large(bytes_max: usize) -> Self {
        let title = "The body is too large.";
        let detail = format!(
            "the body has more than {bytes_max} bytes, which is the limit; send it in parts"
        );
        // What is left of the body is not read.
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "request.too_large", title, detail)
            .with(CONNECTION, HeaderValue::from_static("close"))
    }

    /// The body did not come in time.
    pub(super) fn slow() -> Self {
        let title = "The body did not come in time.";
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "request.slow",
            title,
            "send it faster, or less of it",
        )
        .with(CONNECTION, HeaderValue::from_static("close"))
    }

    /// It does not pass.
    pub(super) fn denied(denial: Denial) -> Self {
        let Denial { challenge, reason } = denial;
        let Some(challenge) = challenge else {
            let title = "The call is not allowed.";
            return Self::new(StatusCode::FORBIDDEN, "request.forbidden", title, reason);
        };
        let challenge = HeaderValue::try_from(challenge);
        let challenge = challenge.unwrap_or(HeaderValue::from_static("Bearer"));
        let title = "It is not known who calls.";
        Self::new(StatusCode::UNAUTHORIZED, "request.unauthenticated", title, reason)
            .with(WWW_AUTHENTICATE, challenge)
    }

    /// The method has returned its own error.
    pub(super) fn rejected(error: Vec<u8>, object: String) -> Self {
        let title = "The method has rejected the call.";
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        let mut problem = Self::new(status, "call.rejected", title, "").about(object);
        (problem.0.outcome, problem.0.error) = (Outcome::RolledBack, Some(error));
        problem
    }

    /// The same about this object, unless it says itself what it is about.
    pub(super) fn about(mut self, object: String) -> Self {
        self.0.object.get_or_insert(object);
        self
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.header = Some((name, value));
        self
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let code = error.known_code();
        let detail = if is_of_the_server(code) {
            tracing::error!(%error, object = error.object(), "a call over HTTP has failed");
            "the server has failed; its log says why".to_owned()
        } else {
            error.message().to_owned()
        };
        let mut problem =
            Self::new(status_of(code, error.outcome()), code.as_str(), code.summary(), detail);
        problem.0.outcome = error.outcome();
        problem.0.object = error.object().map(str::to_owned);
        match error.retry_after() {
            None => problem,
            Some(wait) => {
                let rest = u64::from(wait.subsec_nanos() > 0);
                let seconds = wait.as_secs().saturating_add(rest).max(1);
                problem.with(RETRY_AFTER, HeaderValue::from(seconds))
            }
        }
    }
}

impl Problem {
    /// The body.
    pub(super) fn into_json(self) -> Vec<u8> {
        let Said { status, code, title, mut detail, outcome, object, error, .. } = *self.0;
        detail.truncate(detail.floor_char_boundary(DETAIL_BYTES_MAX));
        let mut members = Map::new();
        let mut say = |name: &str, value: Value| members.insert(name.to_owned(), value);
        say("type", format!("urn:durable:error:{code}").into());
        say("title", title.trim().into());
        say("status", status.as_u16().into());
        if !detail.is_empty() {
            say("detail", detail.into());
        }
        say("code", code.into());
        say("outcome", outcome_text(outcome).into());
        if let Some(object) = object {
            say("object", object.into());
        }
        let mut body = Value::Object(members).to_string().into_bytes();
        if let Some(error) = error {
            // It is JSON already, and its numbers may be ones that only its type knows.
            body.pop();
            body.extend_from_slice(b",\"error\":");
            body.extend_from_slice(&error);
            body.push(b'}');
        }
        body
    }
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        let (status, header) = (self.0.status, self.0.header.take());
        let mut response = plain(status, "application/problem+json", self.into_json());
        response.headers_mut().extend(header);
        response
    }
}

/// A response whose body is there.
pub(super) fn plain(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    headed(response, content_type)
}

/// The same with the headers that all have.
pub(super) fn headed(mut response: Response, content_type: &'static str) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// An outcome, as JSON has it.
fn outcome_text(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::NotStarted => "not_started",
        Outcome::RolledBack => "rolled_back",
        Outcome::Committed => "committed",
        Outcome::Unknown => "unknown",
    }
}

/// Whether the text is for those who run the server: it may tell of its files, or what a panic said.
fn is_of_the_server(code: Code) -> bool {
    matches!(code.kind(), ErrorKind::Internal | ErrorKind::Corrupt)
        || code.as_str().starts_with("storage.")
}

/// The status of an error of the system. What the caller can mend is only said of a call that has not begun: what a turn has done
/// wrong is its object's fault.
pub(super) fn status_of(code: Code, outcome: Outcome) -> StatusCode {
    match code {
        Code::ClassUnknown | Code::CallUnknownMethod | Code::IdForeign => StatusCode::NOT_FOUND,
        Code::CallRefused => StatusCode::FORBIDDEN,
        Code::CallMismatched => StatusCode::UNPROCESSABLE_ENTITY,
        Code::RateExceeded => StatusCode::TOO_MANY_REQUESTS,
        Code::CallExpired | Code::CallOverlong => StatusCode::GATEWAY_TIMEOUT,
        _ => match code.kind() {
            ErrorKind::FixCall if outcome == Outcome::NotStarted => StatusCode::BAD_REQUEST,
            ErrorKind::FixCall | ErrorKind::Corrupt | ErrorKind::Internal => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            ErrorKind::Retry | ErrorKind::Backoff | ErrorKind::Closed => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of the guide's table: a status, and the codes or kinds that have it.
    fn rows() -> Vec<(u16, String)> {
        let page = include_str!("../../docs/serve_over_http.md");
        let rows = page.lines().filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ");
            Some((cells.next()?.parse().ok()?, cells.next()?.to_owned()))
        });
        rows.collect()
    }

    #[test]
    fn the_guide_says_the_status_of_every_code() {
        let rows = rows();
        for code in Code::ALL {
            for outcome in code.outcomes() {
                let status = status_of(*code, *outcome).as_u16();
                let by_code = |(_, what): &&(u16, String)| what.contains(&format!("`{code}`"));
                let kind = match (code.kind(), outcome) {
                    (ErrorKind::FixCall, Outcome::NotStarted) => "FixCall, not started".to_owned(),
                    (kind, _) => format!("{kind:?}"),
                };
                let by_kind = |(_, what): &&(u16, String)| {
                    what.split("; ").any(|said| said == format!("any other of kind {kind}"))
                };
                let row = rows.iter().find(by_code).or_else(|| rows.iter().find(by_kind));
                let (said, _) = row.unwrap_or_else(|| panic!("no row says `{code}`, {outcome:?}"));
                assert_eq!(*said, status, "{code}, {outcome:?}");
            }
        }
    }

    #[test]
    fn whatever_is_retried_later_is_no_mistake_of_the_caller() {
        for code in Code::ALL {
            for outcome in code.outcomes() {
                let status = status_of(*code, *outcome);
                let is_later = matches!(
                    code.kind(),
                    ErrorKind::Retry | ErrorKind::Backoff | ErrorKind::Closed
                );
                let is_sayable =
                    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
                assert_eq!(is_later, is_later && is_sayable, "{code}");
                assert!(status.is_client_error() || status.is_server_error(), "{code}");
            }
        }
    }
}
