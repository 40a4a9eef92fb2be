//! The server's life, and routes in a program's own.

use std::time::Duration;

use durable::limits::HTTP_HEADERS_MAX;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::client::{ask, posting, read};
use crate::{Account, served, served_as, started};

#[tokio::test]
async fn a_request_has_only_so_many_headers() {
    let served = served().await;
    // With `host`.
    for (more, status) in [(HTTP_HEADERS_MAX - 1, 200), (HTTP_HEADERS_MAX, 431)] {
        let headers: String = (0..more).map(|number| format!("x-{number}: y\r\n")).collect();
        let request = format!("GET /edge.Account/x/balance HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
        assert_eq!(ask(served.address(), &request).await.status, status, "{more}");
    }
}

#[tokio::test]
async fn a_shutdown_answers_what_has_come_and_takes_nothing_more() {
    let served = served().await;
    let address = served.address();
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(posting("/edge.Account/x/nothing", "", "").as_bytes()).await.unwrap();
    assert_eq!(read(&mut idle, false).await.unwrap().status, 200);
    let under_way = join_all((0..20).map(|number| async move {
        let path = format!("/edge.Account/{number}/deposit_slowly");
        crate::client::post(address, &path, r#"{"cents":1,"ms":400}"#).await
    }));
    let closing = async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        served.server.shutdown().await;
        served.runtime.shutdown().await.unwrap();
    };
    let (replies, ()) = futures_util::future::join(under_way, closing).await;
    assert!(replies.iter().all(|reply| reply.body == "1"), "{replies:?}");
    assert_eq!(idle.read(&mut [0]).await.unwrap_or(0), 0, "it is closed");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens");
    let again = durable::Runtime::builder(served.dir.path()).register::<Account>();
    let again = again.start().await.unwrap();
    assert_eq!(again.get::<Account>("19").balance().await.unwrap(), 1);
}

#[tokio::test]
async fn a_server_that_is_dropped_closes_its_connections() {
    let served = served().await;
    let address = served.address();
    let mut busy = TcpStream::connect(address).await.unwrap();
    let request = posting("/edge.Account/ada/deposit_slowly", "", r#"{"cents":1,"ms":30000}"#);
    busy.write_all(request.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(served.server);
    assert!(read(&mut busy, false).await.is_none(), "no answer");
    // The listener goes with its task.
    while TcpStream::connect(address).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn while_the_runtime_is_closed_calls_are_told_so() {
    let served = served().await;
    served.runtime.shutdown().await.unwrap();
    let reply = served.post("/edge.Account/ada/deposit", r#"{"cents":1}"#).await;
    assert_eq!(reply.problem(), (503, "runtime.closed".to_owned()));
    assert_eq!(reply.says("outcome"), "not_started");
}

#[tokio::test]
async fn routes_nest_into_a_programs_own() {
    let (_dir, runtime) = started().await;
    let objects = durable::http::router(&runtime);
    let app = axum::Router::new()
        .route("/health", axum::routing::get(async || "well"))
        .nest("/v1/objects", objects)
        .fallback(async || "elsewhere");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });
    let path = "/v1/objects/edge.Account/a%2Fb/deposit";
    let reply = crate::client::post(address, path, r#"{"cents":7}"#).await;
    assert_eq!(reply.body, "7");
    assert_eq!(runtime.get::<Account>("a/b").balance().await.unwrap(), 7);
    let get =
        async |path: &str| ask(address, &format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
    assert_eq!(get("/health").await.body, "well");
    assert_eq!(get("/edge.Account/ada/balance").await.body, "elsewhere");
    assert_eq!(get("/v1/objects/edge.Account/ada").await.body, "elsewhere");
    let unknown = get("/v1/objects/edge.Vault/v/opened").await;
    assert_eq!(unknown.problem(), (404, "class.unknown".to_owned()));
    serving.abort();
}

#[tokio::test]
async fn routes_of_the_program_are_served_beside_the_objects() {
    let routes = || {
        let echo = async |body: String| format!("{body}, too");
        axum::Router::new()
            .route("/", axum::routing::get(async || "a page"))
            .route("/rooms/{name}", axum::routing::post(echo))
            .route("/edge.Account/ada/balance", axum::routing::get(async || "never"))
            .fallback(async || (axum::http::StatusCode::NOT_FOUND, "nowhere"))
    };
    let served = served_as(|edge| edge.routes(routes())).await;
    let app = durable::http::Edge::new(&served.runtime).routes(routes()).into_router();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let of_the_program = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });
    for (address, cents) in [(served.address(), "7"), (of_the_program, "14")] {
        let get = async |path: &str| {
            ask(address, &format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await
        };
        assert_eq!(get("/").await.body, "a page");
        let path = "/edge.Account/ada/deposit";
        assert_eq!(crate::client::post(address, path, r#"{"cents":7}"#).await.body, cents);
        assert_eq!(get("/edge%2EAccount/ada/balance").await.body, cents, "objects come first");
        let reply = crate::client::post(address, "/rooms/one/", "{}").await;
        assert_eq!((reply.status, &*reply.body), (404, "nowhere"));
        let reply = crate::client::post(address, "/rooms/one", "{}").await;
        assert_eq!((reply.status, &*reply.body), (200, "{}, too"));
        for unknown in ["/edge.Vault/v/opened", "/edge.None/v/opened", "/edge.None"] {
            assert_eq!(get(unknown).await.body, "nowhere", "{unknown}");
        }
        let unknown = get("/edge.Account/ada/opened").await;
        assert_eq!(unknown.problem(), (404, "call.unknown_method".to_owned()));
    }
    let foreign = ask(served.address(), "GET / HTTP/1.1\r\nhost: evil.example\r\n\r\n").await;
    assert_eq!(foreign.problem(), (403, "request.foreign_host".to_owned()));
    serving.abort();
}

#[tokio::test]
async fn who_sends_slowly_is_cut_off() {
    let served = served_as(|edge| edge.body_timeout(Duration::from_millis(50))).await;
    let begun = "POST /edge.Account/ada/deposit HTTP/1.1\r\nhost: x\r\n\
        content-type: application/json\r\ncontent-length: 11\r\n\r\n{\"cen";
    let reply = ask(served.address(), begun).await;
    assert_eq!(reply.problem(), (408, "request.slow".to_owned()));
    let mut silent = TcpStream::connect(served.address()).await.unwrap();
    silent.write_all(b"POST /edge.Account/ada/deposit HTTP/1.1\r\nho").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    // From here on time goes as fast as nothing happens.
    tokio::time::pause();
    let mut rest = Vec::new();
    let _ = silent.read_to_end(&mut rest).await;
    let rest = String::from_utf8(rest).unwrap();
    assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 408"), "{rest}");
}
