//! What is served, described for those who do not read Rust: the document at `/openapi.json`.

mod operation;
mod problems;
mod schemas;

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

pub(super) use self::problems::PROBLEM;
pub(super) use self::schemas::SCHEMAS;
use self::schemas::Schemas;
use super::problem::{Problem, plain};
use crate::exposed::{Door, Verb};

/// Where the document is.
pub(super) const PATH: &str = "/openapi.json";

/// What the description of what is served says beside what its classes say.
///
/// ```
/// use durable::http::{Edge, OpenApi};
/// use durable::prelude::*;
///
/// # #[derive(Default, DurableState)]
/// # struct Account { cents: u64 }
/// # #[durable_object(name = "doc.DescribedAccount", http)]
/// # impl Account { pub fn deposit(&mut self, cents: u64) -> u64 { self.cents += cents; self.cents } }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let runtime = Runtime::builder(dir.path()).register::<Account>().start().await?;
/// let edge = Edge::new(&runtime).openapi(OpenApi::titled("Bank").version("1.2.0"));
/// let document = edge.to_openapi();
/// assert!(document.contains("doc.DescribedAccount.deposit") && document.contains("Bank"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenApi {
    title: String,
    version: String,
    /// `None`: where the document is.
    server: Option<String>,
}

impl Default for OpenApi {
    /// `Objects`, version `0`.
    fn default() -> Self {
        Self::titled("Objects")
    }
}

impl OpenApi {
    /// `title`: what the interface is called.
    pub fn titled(title: impl Into<String>) -> Self {
        OpenApi { title: title.into(), version: "0".to_owned(), server: None }
    }

    /// The interface's version, such as `env!("CARGO_PKG_VERSION")`.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// Where the objects' paths begin, such as `https://bank.example/objects`, for what stands behind something that changes
    /// paths. Unless it is said, it is where the document was asked for.
    pub fn server(mut self, url: impl Into<String>) -> Self {
        self.server = Some(url.into());
        self
    }
}

/// How callers say who they are, for the description of what is served. See [`Authorize::scheme`](super::Authorize::scheme).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheme(Option<Value>);

impl Scheme {
    /// `Authorization: Bearer …`.
    pub fn bearer() -> Self {
        Scheme(Some(json!({ "type": "http", "scheme": "bearer" })))
    }

    /// `Authorization: Basic …`.
    pub fn basic() -> Self {
        Scheme(Some(json!({ "type": "http", "scheme": "basic" })))
    }

    /// A header of this name, such as `X-Api-Key`.
    pub fn header(name: &str) -> Self {
        Scheme(Some(json!({ "type": "apiKey", "in": "header", "name": name })))
    }

    /// They need not say it.
    pub fn none() -> Self {
        Scheme(None)
    }
}

/// The document of what is behind these doors.
pub(super) fn document(doors: &[Arc<dyn Door>], settings: &OpenApi, scheme: &Scheme) -> Value {
    let mut schemas = Schemas::new();
    let (mut paths, mut tags) = (Map::new(), Vec::new());
    let Scheme(scheme) = scheme;
    for door in doors {
        let described = door.described();
        for method in &described.methods {
            let operation = operation::operation(
                described.class,
                method,
                described.has_rate,
                scheme.is_some(),
                &mut schemas,
            );
            let verb = operation::verb(method.method);
            paths.insert(
                operation::path(described.class, method.method),
                json!({ verb: operation }),
            );
        }
        if !described.methods.is_empty() {
            tags.push(json!({ "name": described.class }));
        }
    }
    let OpenApi { title, version, server } = settings;
    let mut document = json!({
        "openapi": "3.1.1",
        "info": { "title": title, "version": version },
        "paths": paths,
        "tags": tags,
    });
    let own = PROBLEM.to_owned();
    let mut named = schemas.name_in(&mut document, std::iter::once(own.clone()));
    named.insert(own, problems::schema());
    document["components"] =
        json!({ "schemas": named, "responses": problems::shared(&document["paths"]) });
    if let Some(scheme) = scheme {
        document["components"]["securitySchemes"] = json!({ "caller": scheme });
        document["security"] = json!([{ "caller": [] }]);
    }
    if let Some(url) = server {
        document["servers"] = json!([{ "url": url }]);
    }
    document
}

/// A document that is served.
pub(super) struct Served {
    /// Without what depends on where it is asked for.
    text: String,
    says_server: bool,
}

impl Served {
    pub(super) fn new(document: &Value) -> Self {
        Served { text: document.to_string(), says_server: document.get("servers").is_some() }
    }

    /// Answers a request at this path, as it was before it was nested.
    pub(super) fn answer(&self, verb: &Method, path: &str) -> Response {
        if verb != Method::GET && verb != Method::HEAD {
            return Problem::wrong_verb(Verb::Get).into_response();
        }
        let prefix = path.strip_suffix(PATH).unwrap_or_default();
        let text = match &*self.text {
            text if prefix.is_empty() || self.says_server => text.to_owned(),
            text => {
                let url = prefix.replace('{', "%7B").replace('}', "%7D");
                format!("{{\"servers\":{},{}", json!([{ "url": url }]), &text[1..])
            }
        };
        plain(StatusCode::OK, "application/json", text.into_bytes())
    }
}
