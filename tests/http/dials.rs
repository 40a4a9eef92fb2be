//! WebSockets that objects open, to servers that are no part of this library.

use std::sync::Arc;
use std::time::Duration;

use durable::http::rustls::ClientConfig;
use durable::prelude::*;
use durable::socket::{Close, Closed, Dial, Message, Socket, SocketError};
use futures_util::{SinkExt, StreamExt};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use crate::tls::Authority;

/// Whom the objects of these tests trust.
static TRUST: std::sync::OnceLock<Arc<ClientConfig>> = std::sync::OnceLock::new();

/// Follows a server.
#[derive(Default, DurableState)]
pub struct Follower {
    heard: Vec<String>,
    #[serde(skip)]
    turns: u64,
}

#[durable_object(name = "edge.Follower", http)]
impl Follower {
    pub fn follow(&mut self, cx: &mut Context<'_, Self>, url: String) -> Result<(), String> {
        let mut dial =
            Dial::to(&url).header("authorization", "Bearer secret").protocol("v1").protocol("v2");
        if url.starts_with("wss") {
            dial = dial.tls(Arc::clone(TRUST.get().unwrap()));
        }
        let socket = cx.dial(dial).map_err(|error| error.to_string())?;
        cx.sockets().tag(socket, "server").unwrap();
        cx.sockets().attach(socket, &url).unwrap();
        cx.sockets().send(socket, "hello").unwrap();
        cx.sockets().send(socket, vec![0, 255]).unwrap();
        assert!(cx.sockets().is_open(socket));
        Ok(())
    }

    pub fn refuse(&mut self, cx: &mut Context<'_, Self>, url: String) -> Result<(), String> {
        self.follow(cx, url).unwrap();
        Err("no".to_owned())
    }

    pub fn follow_and_end(&mut self, cx: &mut Context<'_, Self>, url: String) {
        self.follow(cx, url).unwrap();
        cx.delete_all();
    }

    pub fn say(&self, cx: &Context<'_, Self>, text: String) {
        cx.sockets().send_tagged("server", text).unwrap();
    }

    pub fn close(&self, cx: &Context<'_, Self>) {
        for socket in cx.sockets().all() {
            cx.sockets().close(socket, Close::new(4_000, "enough"));
        }
    }

    #[on_message]
    fn hear(&mut self, cx: &Context<'_, Self>, from: Socket, message: Message) {
        assert!(cx.sockets().attachment::<String>(from).unwrap().unwrap().starts_with("ws"));
        self.turns += 1;
        self.heard.push(format!("{message:?} {}", self.turns));
    }

    #[on_close]
    fn lose(&mut self, _socket: Socket, closed: Closed) {
        let Closed { code, reason, is_clean } = closed;
        self.heard.push(format!("closed {code} {reason} {is_clean}"));
    }

    #[on_error]
    fn fail(&mut self, _socket: Socket, error: SocketError) {
        self.heard.push(format!("{:?}: {}", error.kind, error.text));
    }

    pub fn heard(&self) -> Vec<String> {
        self.heard.clone()
    }

    pub fn present(&self, cx: &Context<'_, Self>) -> usize {
        cx.sockets().count()
    }
}

async fn started() -> (TempDir, Runtime) {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::builder(dir.path()).register::<Follower>().start().await.unwrap();
    (dir, runtime)
}

/// A server that is no part of this library, and where it is.
async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, format!("ws://localhost:{port}/prices?of=tea"))
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), what).await.expect("it comes in time")
}

async fn take<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> WebSocketStream<S> {
    #[expect(clippy::result_large_err, reason = "as the handshake wants it")]
    let check = |request: &Request, mut response: Response| {
        assert_eq!(request.uri(), "/prices?of=tea");
        assert_eq!(request.headers()["authorization"], "Bearer secret");
        assert_eq!(request.headers()["sec-websocket-protocol"], "v1, v2");
        response.headers_mut().insert("sec-websocket-protocol", "v2".parse().unwrap());
        Ok(response)
    };
    let socket = within(tokio_tungstenite::accept_hdr_async(stream, check)).await;
    let mut socket = socket.unwrap();
    assert_eq!(next(&mut socket).await, Some(Frame::text("hello")));
    assert_eq!(next(&mut socket).await, Some(Frame::binary(vec![0, 255])));
    socket
}

async fn accept(listener: &TcpListener) -> WebSocketStream<TcpStream> {
    take(within(listener.accept()).await.unwrap().0).await
}

/// `None`: it is gone.
async fn next<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>) -> Option<Frame> {
    within(socket.next()).await.and_then(Result::ok)
}

/// Waits until an object has heard something.
async fn hears(follower: &FollowerStub, what: &str) {
    let heard = async {
        while !follower.heard().await.unwrap().iter().any(|heard| heard.starts_with(what)) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let heard = tokio::time::timeout(Duration::from_secs(30), heard).await;
    assert!(heard.is_ok(), "{what:?} is not among {:?}", follower.heard().await);
}

#[tokio::test]
async fn an_object_out_of_memory_keeps_a_socket_that_it_has_opened() {
    let (_dir, runtime) = started().await;
    let (listener, url) = listen().await;
    let follower = runtime.get::<Follower>("one");
    follower.follow(url).await.unwrap();
    let mut server = accept(&listener).await;
    server.send(Frame::text("tea 5")).await.unwrap();
    hears(&follower, r#""tea 5" 1"#).await;
    assert!(runtime.evict(follower.id().unwrap()).await.unwrap());
    assert_eq!(runtime.resident_objects(), 0);
    server.send(Frame::Ping(vec![1].into())).await.unwrap();
    assert_eq!(next(&mut server).await, Some(Frame::Pong(vec![1].into())));
    assert_eq!(runtime.resident_objects(), 0, "nobody was woken");
    server.send(Frame::text("tea 6")).await.unwrap();
    hears(&follower, r#""tea 6" 1"#).await;
    follower.say("thanks".to_owned()).await.unwrap();
    assert_eq!(next(&mut server).await, Some(Frame::text("thanks")));
    assert_eq!(follower.present().await.unwrap(), 1);
    server.close(None).await.unwrap();
    hears(&follower, "closed 1005  true").await;
    assert_eq!(follower.present().await.unwrap(), 0);
}

#[tokio::test]
async fn a_socket_of_a_turn_that_is_undone_is_never_opened() {
    let (_dir, runtime) = started().await;
    let (listener, url) = listen().await;
    let follower = runtime.get::<Follower>("one");
    follower.refuse(url.clone()).await.unwrap_err();
    follower.follow_and_end(url.clone()).await.unwrap();
    follower.follow(url).await.unwrap();
    let server = accept(&listener).await;
    let more = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
    assert!(more.is_err(), "nobody else comes");
    assert_eq!(follower.present().await.unwrap(), 1);
    drop(server);
    hears(&follower, "closed 1006").await;
    assert_eq!(follower.heard().await.unwrap().len(), 1, "only that");
}

#[tokio::test]
async fn why_a_socket_cannot_be_opened_is_heard() {
    let (_dir, runtime) = started().await;
    let (listener, url) = listen().await;
    let follower = runtime.get::<Follower>("one");
    for wrong in ["http://localhost/", "ws://a:b@localhost/", "no url"] {
        let said = follower.follow(wrong.to_owned()).await.unwrap_err().to_string();
        assert!(said.contains("config.invalid") && said.contains(wrong), "{said}");
    }
    follower.follow(url.clone()).await.unwrap();
    let (mut stream, _) = within(listener.accept()).await.unwrap();
    let refused = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
    stream.write_all(refused).await.unwrap();
    hears(&follower, "Unreachable: HTTP error: 403").await;
    follower.follow(url.clone()).await.unwrap();
    let (mut stream, _) = within(listener.accept()).await.unwrap();
    stream.write_all(b"who are you?\r\n\r\n").await.unwrap();
    hears(&follower, "Unreachable: WebSocket protocol error").await;
    drop(listener);
    follower.follow(url).await.unwrap();
    hears(&follower, "Unreachable: IO error: Connection refused").await;
    assert_eq!(follower.present().await.unwrap(), 0);
}

#[tokio::test]
async fn what_is_wrong_with_an_open_one_is_heard_too() {
    let (_dir, runtime) = started().await;
    let (listener, url) = listen().await;
    let follower = runtime.get::<Follower>("one");
    follower.follow(url.clone()).await.unwrap();
    let mut server = accept(&listener).await;
    server.get_mut().write_all(&[0xff; 64]).await.unwrap();
    hears(&follower, "Protocol").await;
    follower.follow(url).await.unwrap();
    let mut server = accept(&listener).await;
    let _ = server.send(Frame::binary(vec![0; 1024 * 1024 + 1])).await;
    hears(&follower, "TooLarge").await;
}

#[tokio::test]
async fn an_object_closes_a_socket_that_is_not_open_yet() {
    let (_dir, runtime) = started().await;
    let (listener, url) = listen().await;
    let follower = runtime.get::<Follower>("one");
    follower.follow(url.clone()).await.unwrap();
    let (mut silent, _) = within(listener.accept()).await.unwrap();
    assert_eq!(follower.present().await.unwrap(), 1);
    follower.close().await.unwrap();
    hears(&follower, "closed 4000 enough false").await;
    let mut request = Vec::new();
    within(silent.read_to_end(&mut request)).await.unwrap();
    follower.follow(url).await.unwrap();
    let mut server = accept(&listener).await;
    follower.close().await.unwrap();
    let Some(Frame::Close(Some(close))) = next(&mut server).await else { panic!("it is closed") };
    assert_eq!((u16::from(close.code), close.reason.as_str()), (4_000, "enough"));
    assert_eq!(next(&mut server).await, None);
    hears(&follower, "closed 4000 enough true").await;
}

#[tokio::test]
async fn they_end_with_their_runtime() {
    for is_shut_down in [true, false] {
        let (_dir, runtime) = started().await;
        let (listener, url) = listen().await;
        let follower = runtime.get::<Follower>("one");
        follower.follow(url.clone()).await.unwrap();
        let mut server = accept(&listener).await;
        // One that nobody answers holds nothing up.
        follower.follow(url).await.unwrap();
        let (_silent, _) = within(listener.accept()).await.unwrap();
        drop(follower);
        if is_shut_down {
            let reads = tokio::spawn(async move { next(&mut server).await });
            runtime.shutdown().await.unwrap();
            assert!(
                matches!(reads.await.unwrap(), Some(Frame::Close(Some(close))) if u16::from(close.code) == 1001)
            );
        } else {
            drop(runtime);
            assert!(matches!(next(&mut server).await, Some(Frame::Close(Some(_))) | None));
        }
    }
}

#[tokio::test]
async fn one_that_is_guarded_is_opened_to_whom_its_object_trusts() {
    let authority = Authority::new();
    TRUST.set(authority.nobody()).unwrap();
    let (_dir, runtime) = started().await;
    let (listener, url) = listen().await;
    let url = url.replace("ws://", "wss://");
    let follower = runtime.get::<Follower>("one");
    for (issuer, is_trusted) in [(&Authority::new(), false), (&authority, true)] {
        follower.follow(url.clone()).await.unwrap();
        let acceptor = TlsAcceptor::from(issuer.open_server());
        let (stream, _) = within(listener.accept()).await.unwrap();
        let stream = within(acceptor.accept(stream)).await;
        assert_eq!(stream.is_ok(), is_trusted);
        let Ok(stream) = stream else {
            hears(&follower, "Unreachable: IO error: invalid peer certificate").await;
            continue;
        };
        let mut server = Box::pin(take(stream)).await;
        server.send(Frame::text("tea 5")).await.unwrap();
        hears(&follower, r#""tea 5" 1"#).await;
    }
}
