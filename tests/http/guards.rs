//! Who may call, and what is too much.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use durable::Metadata;
use durable::http::{Asking, Authorize, Denial, Edge, serve};

use crate::client::{ask, post_with};
use crate::{Account, served, served_as, started};

/// `Bearer {person}-secret`: each has the account of that name.
fn owners(asking: &Asking<'_>) -> Result<Metadata, Denial> {
    let person = asking.name().unwrap_or_default();
    if asking.bearer().is_none() {
        return Err(Denial::unauthenticated("Bearer realm=\"bank\""));
    }
    if !asking.has_bearer(&format!("{person}-secret")) {
        return Err(Denial::forbidden("it is not your account"));
    }
    let mut metadata = Metadata::new();
    metadata.set("principal", person).unwrap();
    Ok(metadata)
}

#[tokio::test]
async fn only_those_who_may_call() {
    let served = served_as(|edge| edge.authorize(owners)).await;
    let ask = async |headers: &str, path: &str, body: &str| {
        post_with(served.address(), path, headers, body).await
    };
    let deposit = "/edge.Account/ada/deposit";
    let body = r#"{"cents":5}"#;
    for headers in ["", "authorization: Basic ada-secret\r\n", "authorization: Bearer\r\n"] {
        let reply = ask(headers, deposit, body).await;
        assert_eq!(reply.problem(), (401, "request.unauthenticated".to_owned()), "{headers}");
        assert_eq!(reply.headers["www-authenticate"], "Bearer realm=\"bank\"");
    }
    let twice = "authorization: Bearer ada-secret\r\nauthorization: Bearer ada-secret\r\n";
    assert_eq!(ask(twice, deposit, body).await.status, 401);
    for token in ["bob-secret", "ada-secre", "ada-secret1", "x"] {
        let reply = ask(&format!("authorization: Bearer {token}\r\n"), deposit, body).await;
        assert_eq!(reply.problem(), (403, "request.forbidden".to_owned()), "{token}");
        assert_eq!(reply.says("detail"), "it is not your account");
    }
    let ada = "authorization: bearer ada-secret\r\n";
    assert_eq!(ask(ada, deposit, body).await.body, "5");
    let principal = ask(ada, "/edge.Account/ada/carried", r#"{"key":"principal"}"#).await;
    assert_eq!(principal.body, "\"ada\"");
    let id = durable::Stub::id(&served.runtime.get::<Account>("ada")).unwrap();
    let by_id = ask(ada, &format!("/edge.Account/id:{id}/deposit"), body).await;
    assert_eq!(by_id.status, 403, "an id is no name");
    assert_eq!(served.runtime.get::<Account>("ada").balance().await.unwrap(), 5);
}

#[tokio::test]
async fn a_site_that_leads_its_own_name_here_has_no_browser_call() {
    let post = async |served: &crate::Served, host: &str| {
        let request =
            "POST /edge.Account/ada/deposit HTTP/1.1\r\ncontent-type: application/json\r\n";
        let request = format!("{request}host: {host}\r\ncontent-length: 11\r\n\r\n{{\"cents\":5}}");
        ask(served.address(), &request).await
    };
    let local = served().await;
    let port = local.address().port();
    for own in
        ["localhost".to_owned(), format!("127.0.0.1:{port}"), format!("app.localhost:{port}")]
    {
        assert_eq!(post(&local, &own).await.status, 200, "{own}");
    }
    for foreign in ["evil.example".to_owned(), format!("127.0.0.1.evil.example:{port}")] {
        let reply = post(&local, &foreign).await;
        assert_eq!(reply.problem(), (403, "request.foreign_host".to_owned()), "{foreign}");
    }
    let whole =
        "GET http://evil.example/edge.Account/ada/balance HTTP/1.1\r\nhost: localhost\r\n\r\n";
    assert_eq!(ask(local.address(), whole).await.status, 403);
    assert_eq!(local.runtime.get::<Account>("ada").balance().await.unwrap(), 15);
    // Who has said who may call has said it.
    let open = served_as(Edge::allow_all).await;
    assert_eq!(post(&open, "bank.example").await.status, 200);
    let guarded = served_as(|edge| edge.authorize(owners)).await;
    assert_eq!(post(&guarded, "bank.example").await.status, 401);
}

/// Counts, and refuses.
struct Counting(Arc<AtomicUsize>);

impl Authorize for Counting {
    async fn authorize(&self, asking: &Asking<'_>) -> Result<Metadata, Denial> {
        tokio::task::yield_now().await;
        self.0.fetch_add(1, Ordering::Relaxed);
        assert_eq!((asking.class(), asking.method()), ("edge.Account", "deposit"));
        assert!(!asking.is_get() && asking.id().is_none());
        Err(Denial::forbidden("nobody may"))
    }
}

#[tokio::test]
async fn it_is_asked_before_the_body_is_read_and_of_what_there_is() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counting = Counting(Arc::clone(&asked));
    let served = served_as(|edge| edge.authorize(counting)).await;
    for path in ["/edge.Vault/v/open", "/edge.Account/ada/seize", "/x"] {
        assert_eq!(served.post(path, "{}").await.status, 404);
    }
    assert_eq!(served.get("/edge.Account/ada/deposit").await.status, 405);
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    // The body never comes.
    let request = "POST /edge.Account/ada/deposit HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n";
    assert_eq!(ask(served.address(), request).await.status, 403);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn other_machines_are_served_only_if_it_is_said_who_may_call() {
    let (_dir, runtime) = started().await;
    for address in ["0.0.0.0:0", "[::]:0", "[::ffff:0.0.0.0]:0", "192.0.2.1:80"] {
        let address: std::net::SocketAddr = address.parse().unwrap();
        let error = serve(&runtime, address).await.unwrap_err();
        assert_eq!(error.code(), "server.unguarded", "{address}");
    }
    let server = serve(&runtime, ([127, 0, 0, 2], 0)).await.unwrap();
    let error = serve(&runtime, server.address()).await.unwrap_err();
    assert_eq!(error.code(), "server.unbound");
    for edge in [Edge::new(&runtime).allow_all(), Edge::new(&runtime).authorize(owners)] {
        edge.serve(([0, 0, 0, 0], 0)).await.unwrap().shutdown().await;
    }
}

#[tokio::test]
async fn too_many_calls_are_told_when_to_come_again() {
    let served = served().await;
    let slow = served.post("/edge.Booth/1/visit", r#"{"ms":400}"#);
    let second = async {
        tokio::time::sleep(std::time::Duration::from_millis(150)).await;
        served.post("/edge.Booth/2/visit", r#"{"ms":0}"#).await
    };
    let (slow, second) = futures_util::future::join(slow, second).await;
    assert_eq!(slow.body, "1");
    assert_eq!(second.problem(), (503, "class.overloaded".to_owned()));
    assert!(second.headers["retry-after"].parse::<u64>().unwrap() >= 1, "{second:?}");
    assert_eq!(served.post("/edge.Booth/1/visit", r#"{"ms":0}"#).await.body, "2");
    let third = served.post("/edge.Booth/1/visit", r#"{"ms":0}"#).await;
    assert_eq!(third.problem(), (429, "rate.exceeded".to_owned()));
    let wait: u64 = third.headers["retry-after"].parse().unwrap();
    assert!((1_700..=1_800).contains(&wait), "half an hour for each: {wait}");
}

#[tokio::test]
async fn what_is_for_the_log_stays_there() {
    let served = served().await;
    served.post("/edge.Account/ada/deposit", r#"{"cents":5}"#).await;
    let reply = served.post("/edge.Account/ada/panic", "").await;
    assert_eq!(reply.problem(), (500, "call.panicked".to_owned()));
    assert!(!reply.body.contains("1234"), "{reply:?}");
    assert_eq!(reply.says("outcome"), "rolled_back");
    assert_eq!(served.get("/edge.Account/ada/balance").await.body, "5");
    let reply = served.post("/edge.Account/mallory/deposit", r#"{"cents":5}"#).await;
    assert_eq!(reply.problem(), (403, "call.refused".to_owned()));
}
