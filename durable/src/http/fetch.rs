//! Whole requests on their way to an object, and responses on their way back.

use axum::body::{Body, Bytes};
use axum::http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderName, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use axum::http::request::Parts;
use axum::http::{Method, Uri};

use crate::class::Access;
use crate::error::{Code, Error, Outcome};
use crate::exposed::{Door, ExposedMethod, Request, Response, Verb};

/// What belongs to a connection and not to what goes over it. The server says it itself.
const OF_CONNECTIONS: [HeaderName; 7] = [
    CONNECTION,
    CONTENT_LENGTH,
    HeaderName::from_static("keep-alive"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// How a request asks, for whoever decides whether it passes: one that may change the object does not only read, whatever it says.
pub(super) fn verb(door: &dyn Door, method: &ExposedMethod, given: &Method) -> Verb {
    let only_reads = door.spec(method.name).access == Access::Read;
    if only_reads && (given == Method::GET || given == Method::HEAD) {
        Verb::Get
    } else {
        Verb::Post
    }
}

/// The request as its object sees it. `rest`: what stands behind the object in its path.
pub(super) fn request(parts: &Parts, rest: &str, body: Bytes) -> Request {
    let mut request = Request::new(body);
    request.method_mut().clone_from(&parts.method);
    let query = parts.uri.query().map(|query| format!("?{query}"));
    let uri = format!("/{rest}{}", query.unwrap_or_default());
    *request.uri_mut() = Uri::try_from(uri).expect("it is a part of one");
    request.headers_mut().clone_from(&parts.headers);
    request
}

/// The response as it is sent.
///
/// # Errors
/// `call.unencodable` if it does not end its request.
pub(super) fn response(response: Response) -> Result<axum::response::Response, Error> {
    let mut response = response.into_inner();
    if response.status().is_informational() {
        let text =
            format!("a response has the status {}, which ends no request", response.status());
        return Err(Code::CallUnencodable.error(text).with_outcome(Outcome::Committed));
    }
    for name in &OF_CONNECTIONS {
        response.headers_mut().remove(name);
    }
    Ok(response.map(Body::from))
}
