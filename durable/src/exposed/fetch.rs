//! Whole requests and responses, which a method with `#[fetch]` takes and gives.

use std::fmt;
use std::ops::{Deref, DerefMut};

use hyper::body::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode, Uri};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::query::query;
use super::{ExposedMethod, Verb};
use crate::object::Object;

/// A request, its body read. It is an `http::Request`, whose URI is what stands in the path behind the object, such as
/// `/avatar.png?size=64`.
#[derive(Clone, Debug, Default)]
pub struct Request(hyper::Request<Bytes>);

/// A response. It is an `http::Response`, and made of one whose body is bytes or a text.
///
/// ```
/// use durable::http::Response;
///
/// let mut response = Response::new("<p>hello</p>");
/// response.headers_mut().insert("content-type", "text/html".parse().unwrap());
/// assert_eq!(response.status(), 200);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Response(Box<hyper::Response<Bytes>>);

impl Request {
    /// A request with this body, by `GET` for `/`.
    pub fn new(body: impl Into<Bytes>) -> Self {
        Request(hyper::Request::new(body.into()))
    }

    /// The value of a header, if it is a plain text. `None`: there is none.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }

    /// What stands in the query, as the fields of `T`: texts as they are, everything else as in JSON. Fields that are not there are
    /// missing, others are ignored unless `T` says otherwise.
    ///
    /// ```
    /// use durable::http::Request;
    /// use serde::Deserialize;
    ///
    /// #[derive(Deserialize)]
    /// struct Wish { color: String, size: Option<u32> }
    ///
    /// let mut request = Request::default();
    /// *request.uri_mut() = "/hat?color=light+blue&size=7".parse().unwrap();
    /// let wish: Wish = request.query().unwrap();
    /// assert_eq!((&*wish.color, wish.size), ("light blue", Some(7)));
    /// ```
    ///
    /// # Errors
    /// What is to be answered: 400, and what is wrong.
    pub fn query<T: DeserializeOwned>(&self) -> Result<T, Response> {
        let text = self.uri().query().unwrap_or_default();
        let value = query(text).and_then(|pairs| {
            T::deserialize(pairs).map_err(|error: serde::de::value::Error| error.to_string())
        });
        value.map_err(|why| {
            let mut response = Response::new(format!("the query is wrong: {why}"));
            *response.status_mut() = StatusCode::BAD_REQUEST;
            response
        })
    }

    /// The request itself.
    pub fn into_inner(self) -> hyper::Request<Bytes> {
        self.0
    }
}

impl Response {
    /// A response with this body and status 200.
    pub fn new(body: impl Into<Bytes>) -> Self {
        Response(Box::new(hyper::Response::new(body.into())))
    }

    /// A response without a body, with this status; 500 if it is none from 100 to 999.
    pub fn status_only(status: u16) -> Self {
        let mut response = Response::default();
        let status = StatusCode::from_u16(status);
        *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response
    }

    /// The response itself.
    pub fn into_inner(self) -> hyper::Response<Bytes> {
        *self.0
    }
}

impl Deref for Request {
    type Target = hyper::Request<Bytes>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Request {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl Deref for Response {
    type Target = hyper::Response<Bytes>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Response {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<B: Into<Bytes>> From<hyper::Request<B>> for Request {
    fn from(request: hyper::Request<B>) -> Self {
        Request(request.map(Into::into))
    }
}

impl<B: Into<Bytes>> From<hyper::Response<B>> for Response {
    fn from(response: hyper::Response<B>) -> Self {
        Response(Box::new(response.map(Into::into)))
    }
}

/// What a method with `#[fetch]` may return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no response",
    label = "not what a method with `#[fetch]` returns",
    note = "return `durable::http::Response`, or `Result<Response, Response>`, whose `Err` is answered too and undoes the turn"
)]
pub trait Fetched {
    /// The response that it is.
    fn into_response(self) -> Response;
}

impl Fetched for Response {
    fn into_response(self) -> Response {
        self
    }
}

impl Fetched for Result<Response, Response> {
    fn into_response(self) -> Response {
        self.unwrap_or_else(|response| response)
    }
}

/// The method of a class that takes whole requests. Made by the macro.
pub struct Fetch<O: Object> {
    pub(super) method: ExposedMethod,
    pub(super) call: fn(Request) -> O::Call,
    pub(super) response: fn(O::Reply) -> Result<Response, O::Reply>,
}

impl<O: Object> Fetch<O> {
    /// `name`: the method's, on wires.
    pub const fn new(
        name: &'static str,
        call: fn(Request) -> O::Call,
        response: fn(O::Reply) -> Result<Response, O::Reply>,
    ) -> Self {
        Fetch { method: ExposedMethod::new(name, Verb::Post, &[]), call, response }
    }
}

impl<O: Object> fmt::Debug for Fetch<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetch").field("method", &self.method).finish_non_exhaustive()
    }
}

/// How either of them is encoded.
#[derive(Serialize, Deserialize)]
struct Encoded<Start> {
    start: Start,
    headers: Vec<(String, Blob)>,
    body: Blob,
}

/// Bytes, written in one piece.
struct Blob(Bytes);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Blob;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Blob, E> {
                Ok(Blob(Bytes::copy_from_slice(bytes)))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut items: A,
            ) -> Result<Blob, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = items.next_element::<u8>()? {
                    bytes.push(byte);
                }
                Ok(Blob(bytes.into()))
            }
        }

        deserializer.deserialize_bytes(Visitor)
    }
}

fn headers_out(headers: &HeaderMap) -> Vec<(String, Blob)> {
    let all = headers.iter();
    all.map(|(name, value)| (name.to_string(), Blob(Bytes::copy_from_slice(value.as_bytes()))))
        .collect()
}

fn headers_in<E: serde::de::Error>(all: Vec<(String, Blob)>) -> Result<HeaderMap, E> {
    let mut headers = HeaderMap::with_capacity(all.len());
    for (name, Blob(value)) in all {
        let name = HeaderName::try_from(name).map_err(E::custom)?;
        headers.append(name, HeaderValue::from_maybe_shared(value).map_err(E::custom)?);
    }
    Ok(headers)
}

impl Serialize for Request {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let start = (self.method().as_str(), self.uri().to_string());
        let (headers, body) = (headers_out(self.headers()), Blob(self.body().clone()));
        Encoded { start, headers, body }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Request {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Encoded { start: (method, uri), headers, body } =
            Encoded::<(String, String)>::deserialize(deserializer)?;
        let mut request = Request::new(body.0);
        *request.method_mut() = Method::try_from(&*method).map_err(D::Error::custom)?;
        *request.uri_mut() = Uri::try_from(uri).map_err(D::Error::custom)?;
        *request.headers_mut() = headers_in(headers)?;
        Ok(request)
    }
}

impl Serialize for Response {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let start = self.0.status().as_u16();
        let (headers, body) = (headers_out(self.headers()), Blob(self.body().clone()));
        Encoded { start, headers, body }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Response {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Encoded { start, headers, body } = Encoded::<u16>::deserialize(deserializer)?;
        let mut response = Response::new(body.0);
        *response.status_mut() = StatusCode::from_u16(start).map_err(D::Error::custom)?;
        *response.headers_mut() = headers_in(headers)?;
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{decode_wire, encode_wire};

    #[test]
    fn both_come_out_of_the_codec_as_they_went_in() {
        let built = hyper::Request::put("/a/b?c=%20").header("x-one", "1").header("x-one", "é");
        let request = Request::from(built.body("body").expect("it is one"));
        let back: Request =
            decode_wire(&encode_wire(&request).expect("it encodes")).expect("it decodes");
        assert_eq!(format!("{request:?}"), format!("{back:?}"));
        assert_eq!(back.headers().get_all("x-one").iter().count(), 2);
        let mut response = Response::status_only(404);
        *response.body_mut() = Bytes::from_static(&[0, 255]);
        let bytes = encode_wire(&response).expect("it encodes");
        let back: Response = decode_wire(&bytes).expect("it decodes");
        assert_eq!(format!("{response:?}"), format!("{back:?}"));
        assert_eq!(Response::status_only(7).status(), 500);
    }

    #[test]
    fn what_is_none_does_not_decode() {
        let encoded = |start: (&str, &str), name: &str, value: &'static [u8]| {
            let headers = vec![(name.to_owned(), Blob(Bytes::from_static(value)))];
            encode_wire(&Encoded { start, headers, body: Blob(Bytes::new()) }).expect("it encodes")
        };
        assert!(decode_wire::<Request>(&encoded(("GET", "/"), "a", b"b")).is_ok());
        for bytes in [
            encoded(("G T", "/"), "a", b"b"),
            encoded(("GET", " "), "a", b"b"),
            encoded(("GET", "/"), "a b", b"b"),
            encoded(("GET", "/"), "a", b"b\n"),
        ] {
            assert!(decode_wire::<Request>(&bytes).is_err());
        }
    }
}
