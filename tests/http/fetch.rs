//! Objects that take whole requests.

use std::time::Duration;

use durable::http::{Asking, Denial, Edge, Request, Response};
use durable::prelude::*;
use durable::{Client, Metadata};

use crate::client::{Reply, ask, post_with};
use crate::{Account, Served};

/// Pages of text, by path.
#[derive(Default, DurableState)]
pub struct Site {
    pages: std::collections::BTreeMap<String, Vec<u8>>,
    asked: u64,
}

#[durable_object(name = "edge.Site", http)]
impl Site {
    #[fetch]
    #[rpc(name = "request")]
    pub async fn fetch(
        &mut self,
        cx: &mut Context<'_, Self>,
        request: Request,
    ) -> Result<Response, Response> {
        self.asked += 1;
        let path = request.uri().path().to_owned();
        match (request.method().as_str(), &*path) {
            ("GET" | "HEAD", "/") => Ok(Response::new(cx.name().unwrap_or_default().to_owned())),
            ("GET", "/echo") => {
                let uri = request.uri().to_string();
                let header = request.header("x-said").unwrap_or_default().to_owned();
                let mut response = Response::new(format!("{uri} {header}"));
                let headers = response.headers_mut();
                headers.insert("content-type", "text/plain".parse().unwrap());
                headers.append("set-cookie", "a=1".parse().unwrap());
                headers.append("set-cookie", "b=2".parse().unwrap());
                // They are the connection's, and wrong.
                headers.insert("content-length", "5".parse().unwrap());
                headers.insert("connection", "upgrade".parse().unwrap());
                Ok(response)
            }
            ("GET", "/early") => Ok(Response::status_only(103)),
            ("GET", "/principal") => {
                Ok(Response::new(cx.metadata().get("principal").unwrap_or("nobody").to_owned()))
            }
            ("GET", path) => match self.pages.get(path) {
                Some(page) => Ok(Response::new(page.clone())),
                None => Err(Response::status_only(404)),
            },
            ("PUT", _) => {
                self.pages.insert(path, request.body().to_vec());
                Ok(Response::status_only(201))
            }
            ("DELETE", _) => {
                self.pages.clear();
                panic!("nothing is deleted")
            }
            _ => {
                self.pages.clear();
                Err(Response::status_only(405))
            }
        }
    }

    #[rpc(http = "GET")]
    pub fn asked(&self) -> u64 {
        self.asked
    }
}

async fn served(settings: impl FnOnce(Edge) -> Edge) -> Served {
    let dir = tempfile::tempdir().unwrap();
    let builder = Runtime::builder(dir.path()).register::<Site>().register::<Account>();
    let runtime = builder.start().await.unwrap();
    let server = settings(Edge::new(&runtime)).serve(([127, 0, 0, 1], 0)).await.unwrap();
    Served { runtime, server, dir }
}

async fn send(served: &Served, verb: &str, path: &str, rest: &str) -> Reply {
    ask(served.address(), &format!("{verb} {path} HTTP/1.1\r\nhost: x\r\n{rest}\r\n")).await
}

async fn put(served: &Served, path: &str, body: &str) -> Reply {
    let length = format!("content-length: {}\r\n", body.len());
    ask(served.address(), &format!("PUT {path} HTTP/1.1\r\nhost: x\r\n{length}\r\n{body}")).await
}

#[tokio::test]
async fn a_request_reaches_its_object_whole() {
    let served = served(|edge| edge).await;
    for path in ["/edge.Site/blog", "/edge.Site/blog/", "/edge.Site/name:blog/"] {
        assert_eq!(send(&served, "GET", path, "").await.body, "blog", "{path}");
    }
    let path = "/edge.Site/blog/echo?a=b%20c&d";
    let reply = send(&served, "GET", path, "x-said: hello\r\n").await;
    assert_eq!((reply.status, &*reply.body), (200, "/echo?a=b%20c&d hello"));
    assert_eq!(reply.headers["content-type"], "text/plain");
    assert_eq!(reply.headers["content-length"], reply.body.len().to_string());
    assert!(!reply.headers.contains_key("cache-control"), "it is the object's to say: {reply:?}");
    assert_eq!(put(&served, "/edge.Site/blog/a/b%2Fc/", "a page").await.status, 201);
    assert_eq!(send(&served, "GET", "/edge.Site/blog/a/b%2Fc/", "").await.body, "a page");
    assert_eq!(send(&served, "GET", "/edge.Site/other/a/b%2Fc/", "").await.status, 404);
    // Its methods with names come first.
    let asked = send(&served, "GET", "/edge.Site/blog/asked", "").await;
    assert_eq!(asked.body, "6");
    let wrong = send(&served, "PUT", "/edge.Site/blog/asked", "content-length: 0\r\n").await;
    assert_eq!(wrong.problem(), (405, "request.wrong_verb".to_owned()));
}

#[tokio::test]
async fn what_goes_wrong_is_undone_and_answered() {
    let served = served(|edge| edge.body_bytes_max(1_000)).await;
    assert_eq!(put(&served, "/edge.Site/blog/a", "a page").await.status, 201);
    assert_eq!(send(&served, "PATCH", "/edge.Site/blog/a", "").await.status, 405);
    let panicked = send(&served, "DELETE", "/edge.Site/blog/a", "").await;
    assert_eq!(panicked.problem(), (500, "call.panicked".to_owned()));
    assert_eq!(panicked.says("object"), "edge.Site(blog)");
    let early = send(&served, "GET", "/edge.Site/blog/early", "").await;
    assert_eq!(early.problem(), (500, "call.unencodable".to_owned()));
    let large = put(&served, "/edge.Site/blog/a", &"x".repeat(1_001)).await;
    assert_eq!(large.problem(), (413, "request.too_large".to_owned()));
    assert_eq!(send(&served, "GET", "/edge.Site/blog/a", "").await.body, "a page");
    for path in [
        "/edge.Account/ada",
        "/edge.Account/ada/",
        "/edge.Account/ada/a/b",
        "/edge.Site",
        "/edge.Site//a",
    ] {
        let reply = send(&served, "GET", path, "").await;
        assert_eq!(reply.status, 404, "{path}: {reply:?}");
    }
}

#[tokio::test]
async fn who_may_call_is_asked_for_them_as_for_all() {
    let served = served(|edge| {
        edge.authorize(|asking: &Asking<'_>| {
            assert_eq!((asking.class(), asking.method()), ("edge.Site", "request"));
            assert!(!asking.is_get(), "it may change its object");
            if !asking.has_bearer("secret") {
                return Err(Denial::unauthenticated("Bearer"));
            }
            let mut metadata = Metadata::new();
            metadata.set("principal", "ada").unwrap();
            Ok(metadata)
        })
    })
    .await;
    let path = "/edge.Site/blog/principal";
    assert_eq!(send(&served, "GET", path, "").await.status, 401);
    let known = send(&served, "GET", path, "authorization: Bearer secret\r\n").await;
    assert_eq!(known.body, "ada");
}

#[tokio::test]
async fn typed_callers_hand_requests_over_as_well() {
    let served = served(|edge| edge).await;
    let client = Client::connect(&format!("http://{}", served.address()));
    let request = || Request::from(http_request("/echo?x"));
    let here = served.runtime.get::<Site>("blog").fetch(request()).await.unwrap();
    let there = client.get::<Site>("blog").fetch(request()).timeout(Duration::from_secs(5)).await;
    let there = there.unwrap();
    assert_eq!((here.body(), here.headers()), (there.body(), there.headers()));
    assert_eq!(&there.body()[..], b"/echo?x typed");
    let json = post_with(served.address(), "/edge.Site/blog/request", "", "{}").await;
    assert_eq!(json.status, 405, "it is a path of the object's like any other");
}

fn http_request(uri: &str) -> axum::http::Request<&'static str> {
    axum::http::Request::get(uri).header("x-said", "typed").body("").unwrap()
}
