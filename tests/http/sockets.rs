//! WebSockets of objects, through real connections.

use std::time::Duration;

use durable::http::{Edge, Request, Response};
use durable::limits::EVENTS_KEPT;
use durable::prelude::*;
use durable::socket::{Close, Closed, Event, Followed, Message, Socket, SocketError};
use futures_util::{SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message as Frame};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::Served;

/// A room, in which what is said is counted.
#[derive(Default, DurableState)]
pub struct Room {
    said: u64,
    heard: Vec<String>,
    #[serde(skip)]
    turns: u64,
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Seat {
    number: u64,
}

#[durable_object(name = "edge.Room", http)]
impl Room {
    #[on_connect]
    async fn come(
        &mut self,
        cx: &mut Context<'_, Self>,
        socket: Socket,
        request: Request,
    ) -> Result<(), Response> {
        let sockets = cx.sockets();
        let failed = |error: Error| Response::new(error.code());
        match request.uri().path() {
            "/full" => {
                self.said += 1_000;
                sockets.send(socket, "never").map_err(failed)?;
                return Err(Response::status_only(403));
            }
            "/break" => panic!("nobody comes in"),
            _ => {}
        }
        if let Some(query) = request.uri().query() {
            for tag in query.split(',') {
                sockets.tag(socket, tag).map_err(failed)?;
            }
        }
        if request.header("sec-websocket-protocol").is_some() {
            sockets.speak(socket, "chat.v2");
        }
        sockets.attach(socket, &Seat { number: 7 }).map_err(failed)?;
        sockets.auto_respond(socket, Some(("ping", "pong"))).map_err(failed)?;
        sockets.send(socket, format!("welcome to {}", cx.name().unwrap_or("?"))).map_err(failed)?;
        self.heard.push("come".into());
        Ok(())
    }

    #[on_message]
    async fn hear(
        &mut self,
        cx: &mut Context<'_, Self>,
        from: Socket,
        message: Message,
    ) -> Result<(), Close> {
        let sockets = cx.sockets();
        self.turns += 1;
        let failed = |error: Error| Close::new(4_500, error.code());
        let Some(text) = message.as_text() else {
            sockets.send(from, message.as_bytes().to_vec()).map_err(failed)?;
            return Ok(());
        };
        self.said += 1;
        match text.split_once(' ') {
            Some(("all", text)) => sockets.send_all(text).map_err(failed)?,
            Some(("tag", tag)) => {
                let found = sockets.tagged(tag).len();
                sockets.send(from, found.to_string()).map_err(failed)?;
            }
            Some(("refuse", text)) => {
                sockets.send_all("never").map_err(failed)?;
                return Err(Close::new(4_001, text));
            }
            Some(("close", text)) => {
                sockets.send(from, "bye").map_err(failed)?;
                sockets.close(from, Close::new(4_002, text));
            }
            Some(("attach", bytes)) => {
                let value = vec![1_u8; bytes.parse().unwrap()];
                let attached = sockets.attach(from, &value);
                let said =
                    attached.map_or_else(|error| error.code().to_owned(), |()| "attached".into());
                sockets.send(from, said).map_err(failed)?;
            }
            Some(("tags", count)) => {
                let tags = (0..count.parse().unwrap()).map(|tag: u32| format!("t{tag}"));
                let all: Result<Vec<()>, Error> = tags.map(|tag| sockets.tag(from, &tag)).collect();
                let said = all.map_or_else(|error| error.code().to_owned(), |_| "tagged".into());
                sockets.send(from, said).map_err(failed)?;
            }
            Some(("long", tag)) => {
                let tagged = sockets.tag(from, &"x".repeat(tag.parse().unwrap()));
                let said =
                    tagged.map_or_else(|error| error.code().to_owned(), |()| "tagged".into());
                sockets.send(from, said).map_err(failed)?;
            }
            _ => match text {
                "seat" => {
                    let seat: Option<Seat> = sockets.attachment(from).map_err(failed)?;
                    let said = format!("{seat:?} {:?} {}", sockets.tags(from), self.turns);
                    sockets.send(from, said).map_err(failed)?;
                }
                "said" => sockets.send(from, self.said.to_string()).map_err(failed)?,
                "panic" => {
                    sockets.send_all("never").map_err(failed)?;
                    panic!("a message that breaks it");
                }
                "erase" => {
                    sockets.send(from, "erased").map_err(failed)?;
                    cx.delete_all();
                }
                text => sockets.send(from, text).map_err(failed)?,
            },
        }
        Ok(())
    }

    #[on_close]
    fn leave(&mut self, cx: &mut Context<'_, Self>, socket: Socket, closed: Closed) {
        assert!(!cx.sockets().is_open(socket));
        let tags = cx.sockets().tags(socket).len();
        let Closed { code, reason, is_clean } = closed;
        self.heard.push(format!("closed {code} {reason} {is_clean} {tags}"));
    }

    #[on_error]
    fn fail(&mut self, _socket: Socket, error: SocketError) {
        self.heard.push(format!("failed {:?}", error.kind));
    }

    pub fn heard(&self) -> Vec<String> {
        self.heard.clone()
    }

    pub fn flood(&self, cx: &Context<'_, Self>) -> Result<(), Error> {
        cx.sockets().send_all("x".repeat(1_000_000))
    }

    pub fn sockets(&self, cx: &Context<'_, Self>) -> usize {
        cx.sockets().count()
    }

    pub fn said(&self) -> u64 {
        self.said
    }
}

/// It only echoes, and its sockets go with it when it crashes.
#[derive(Default, DurableState)]
pub struct Echo {}

#[durable_object(name = "edge.Echo", http, on_crash = "close_sockets")]
impl Echo {
    #[on_message]
    fn hear(&self, cx: &Context<'_, Self>, from: Socket, message: Message) {
        assert_ne!(message.as_text(), Some("panic"), "as it was asked to");
        let _ = cx.sockets().send(from, message);
    }
}

/// Counts, and tells everybody who follows.
#[derive(Default, DurableState)]
pub struct Ticker {
    count: u64,
}

#[durable_object(name = "edge.Ticker", http)]
impl Ticker {
    pub async fn tick(&mut self, cx: &mut Context<'_, Self>) -> Result<u64, Error> {
        self.count += 1;
        cx.broadcast("ticks", &self.count).await
    }

    #[on_connect]
    async fn come(
        &mut self,
        cx: &mut Context<'_, Self>,
        socket: Socket,
        request: Request,
    ) -> Result<(), Response> {
        let after = request.uri().query().unwrap().strip_prefix("after=").unwrap().parse().unwrap();
        let failed = |error: Error| Response::new(error.code());
        let Followed { newest, has_gap } =
            cx.follow(socket, "ticks", after).await.map_err(failed)?;
        cx.sockets().send(socket, format!("{newest} {has_gap}")).map_err(failed)
    }
}

async fn served(settings: impl FnOnce(Edge) -> Edge) -> Served {
    let dir = tempfile::tempdir().unwrap();
    let builder = Runtime::builder(dir.path()).register::<Room>().register::<Echo>();
    let builder = builder.register::<crate::Account>().register::<Ticker>();
    let runtime = builder.start().await.unwrap();
    let server = settings(Edge::new(&runtime)).serve(([127, 0, 0, 1], 0)).await.unwrap();
    Served { runtime, server, dir }
}

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn try_open(
    served: &Served,
    path: &str,
    headers: &[(&'static str, &str)],
) -> Result<(Client, Option<String>), tungstenite::Error> {
    let url = format!("ws://{}{path}", served.server.address());
    let mut request = url.into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let (socket, response) = tokio_tungstenite::connect_async(request).await?;
    let protocol = response.headers().get("sec-websocket-protocol");
    Ok((socket, protocol.map(|protocol| protocol.to_str().unwrap().to_owned())))
}

async fn open(served: &Served, path: &str) -> Client {
    try_open(served, path, &[]).await.unwrap().0
}

/// A socket in a room that has welcomed it.
async fn enter(served: &Served, path: &str) -> Client {
    let mut socket = open(served, path).await;
    assert!(text(&mut socket).await.starts_with("welcome"));
    socket
}

async fn frame(socket: &mut Client) -> Option<Result<Frame, tungstenite::Error>> {
    tokio::time::timeout(Duration::from_secs(30), socket.next()).await.expect("something comes")
}

async fn text(socket: &mut Client) -> String {
    match frame(socket).await {
        Some(Ok(Frame::Text(text))) => text.to_string(),
        other => panic!("{other:?} is no text"),
    }
}

async fn say(socket: &mut Client, text: &str) {
    socket.send(Frame::text(text)).await.unwrap();
}

/// Code and reason of a close, which comes.
async fn closed(socket: &mut Client) -> (u16, String) {
    let Some(Ok(Frame::Close(Some(close)))) = frame(socket).await else { panic!("it is no close") };
    // The client answers it.
    while frame(socket).await.is_some_and(|frame| frame.is_ok()) {}
    (close.code.into(), close.reason.to_string())
}

/// Waits until a room has heard something of its sockets.
async fn hears(room: &RoomStub, what: &str) {
    let heard = async {
        while !room.heard().await.unwrap().iter().any(|heard| heard == what) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let heard = tokio::time::timeout(Duration::from_secs(30), heard).await;
    assert!(heard.is_ok(), "{what:?} is not among {:?}", room.heard().await);
}

#[tokio::test]
async fn messages_go_both_ways_and_an_object_out_of_memory_keeps_its_sockets() {
    let served = served(|edge| edge).await;
    let mut socket = enter(&served, "/edge.Room/hall/?red,blue").await;
    say(&mut socket, "hello").await;
    assert_eq!(text(&mut socket).await, "hello");
    socket.send(Frame::binary(vec![0, 255])).await.unwrap();
    assert!(
        matches!(frame(&mut socket).await, Some(Ok(Frame::Binary(bytes))) if *bytes == [0, 255])
    );
    say(&mut socket, "seat").await;
    assert_eq!(text(&mut socket).await, r#"Some(Seat { number: 7 }) ["red", "blue"] 3"#);
    // Case 16: given a socket whose object is out of memory, when a message comes, then it is back, and tags and attachment are there.
    let room = served.runtime.get::<Room>("hall");
    assert!(served.runtime.evict(room.id().unwrap()).await.unwrap());
    assert_eq!(served.runtime.resident_objects(), 0);
    say(&mut socket, "ping").await;
    assert_eq!(text(&mut socket).await, "pong");
    assert_eq!(served.runtime.resident_objects(), 0, "nobody was woken");
    say(&mut socket, "seat").await;
    assert_eq!(text(&mut socket).await, r#"Some(Seat { number: 7 }) ["red", "blue"] 1"#);
    assert_eq!(room.sockets().await.unwrap(), 1);
    socket.close(None).await.unwrap();
    hears(&room, "closed 1005  true 2").await;
    assert_eq!(room.sockets().await.unwrap(), 0);
}

#[tokio::test]
async fn sockets_are_found_by_their_tags_within_their_bounds() {
    let served = served(|edge| edge).await;
    let mut one = enter(&served, "/edge.Room/hall?a").await;
    let mut two = enter(&served, "/edge.Room/hall?a,b").await;
    // Case 17.
    for (tag, found) in [("a", "2"), ("b", "1"), ("c", "0")] {
        say(&mut one, &format!("tag {tag}")).await;
        assert_eq!(text(&mut one).await, found);
    }
    for (message, said) in [
        ("tags 9", "tagged"),
        ("tags 10", "socket.tag_invalid"),
        ("long 256", "socket.tag_invalid"),
        ("attach 16000", "attached"),
        ("attach 16385", "socket.attachment_too_large"),
    ] {
        say(&mut one, message).await;
        assert_eq!(text(&mut one).await, said, "{message}");
    }
    say(&mut two, "long 256").await;
    assert_eq!(text(&mut two).await, "tagged");
    say(&mut two, "long 257").await;
    assert_eq!(text(&mut two).await, "socket.tag_invalid");
    say(&mut two, "all good").await;
    assert_eq!((text(&mut one).await, text(&mut two).await), ("good".into(), "good".into()));
}

#[tokio::test]
async fn what_a_turn_sends_is_dropped_with_the_turn() {
    let served = served(|edge| edge).await;
    let room = served.runtime.get::<Room>("hall");
    let mut one = enter(&served, "/edge.Room/hall").await;
    let mut two = enter(&served, "/edge.Room/hall").await;
    say(&mut one, "panic").await;
    say(&mut one, "said").await;
    assert_eq!(text(&mut one).await, "1", "the object is back, and its socket has stayed");
    say(&mut two, "refuse enough").await;
    assert_eq!(closed(&mut two).await, (4_001, "enough".into()));
    hears(&room, "closed 4001 enough true 0").await;
    say(&mut one, "said").await;
    assert_eq!(text(&mut one).await, "2");
}

#[tokio::test]
async fn an_object_says_who_comes_in() {
    let served = served(|edge| edge).await;
    let refused = |path: &'static str| {
        let served = &served;
        async move {
            match try_open(served, path, &[]).await.map(drop) {
                Err(tungstenite::Error::Http(response)) => response.status().as_u16(),
                other => panic!("{other:?}"),
            }
        }
    };
    assert_eq!(refused("/edge.Room/hall/full").await, 403);
    assert_eq!(refused("/edge.Room/hall/break").await, 500);
    assert_eq!(refused("/edge.Account/hall").await, 404);
    assert_eq!(refused("/edge.Nowhere/hall").await, 404);
    let room = served.runtime.get::<Room>("hall");
    assert_eq!(room.said().await.unwrap(), 0, "what a turn did that refuses is undone");
    assert!(room.heard().await.unwrap().is_empty(), "of one that was not let in nothing is heard");
    assert_eq!(room.sockets().await.unwrap(), 0);
    let offers = [("sec-websocket-protocol", "chat.v1, chat.v2")];
    let (_, protocol) = try_open(&served, "/edge.Room/hall", &offers).await.unwrap();
    assert_eq!(protocol.as_deref(), Some("chat.v2"));
}

#[tokio::test]
async fn pages_of_other_sites_open_no_sockets_unless_that_is_said() {
    let served = served(|edge| edge.allow_origin("https://chat.example")).await;
    let own = format!("http://{}", served.server.address());
    for (origin, is_let_in) in [
        (own.as_str(), true),
        ("https://chat.example", true),
        ("https://evil.example", false),
        ("null", false),
        ("", false),
    ] {
        let opened = try_open(&served, "/edge.Room/hall", &[("origin", origin)]).await;
        assert_eq!(opened.is_ok(), is_let_in, "{origin}: {opened:?}");
    }
}

#[tokio::test]
async fn an_object_closes_its_sockets_after_what_it_has_sent() {
    let served = served(|edge| edge).await;
    let room = served.runtime.get::<Room>("hall");
    let mut socket = enter(&served, "/edge.Room/hall").await;
    say(&mut socket, "close enough").await;
    assert_eq!(text(&mut socket).await, "bye");
    assert_eq!(closed(&mut socket).await, (4_002, "enough".into()));
    hears(&room, "closed 4002 enough true 0").await;
    let mut socket = enter(&served, "/edge.Room/hall").await;
    say(&mut socket, "erase").await;
    assert_eq!(text(&mut socket).await, "erased");
    assert_eq!(closed(&mut socket).await.0, 1001);
}

#[tokio::test]
async fn how_a_socket_ends_is_heard_once() {
    let served = served(|edge| edge).await;
    let room = served.runtime.get::<Room>("hall");
    drop(enter(&served, "/edge.Room/hall").await);
    hears(&room, "closed 1006  false 0").await;
    let mut socket = enter(&served, "/edge.Room/hall").await;
    let long = "x".repeat(1024 * 1024 + 1);
    let _ = socket.send(Frame::text(long)).await;
    hears(&room, "failed TooLarge").await;
    let mut socket = enter(&served, "/edge.Room/hall").await;
    if let MaybeTlsStream::Plain(stream) = socket.get_mut() {
        use tokio::io::AsyncWriteExt;
        stream.write_all(&[0xff; 32]).await.unwrap();
    }
    assert_eq!(closed(&mut socket).await.0, 1002);
    hears(&room, "failed Protocol").await;
    let ends = room.heard().await.unwrap().into_iter().filter(|heard| heard != "come").count();
    assert_eq!(ends, 3);
}

#[tokio::test]
async fn a_class_may_have_its_sockets_closed_when_it_crashes() {
    let served = served(|edge| edge).await;
    let mut one = open(&served, "/edge.Echo/a").await;
    let mut two = open(&served, "/edge.Echo/b").await;
    for socket in [&mut one, &mut two] {
        say(socket, "hello").await;
        assert_eq!(text(socket).await, "hello");
    }
    say(&mut one, "panic").await;
    assert_eq!(closed(&mut one).await.0, 1011);
    say(&mut two, "still here").await;
    assert_eq!(text(&mut two).await, "still here");
}

#[tokio::test]
async fn a_server_that_is_shut_down_says_so_to_its_sockets() {
    let served = served(|edge| edge).await;
    let room = served.runtime.get::<Room>("hall");
    let mut socket = enter(&served, "/edge.Room/hall").await;
    let Served { runtime, server, dir } = served;
    let heard = tokio::spawn(async move {
        let heard = closed(&mut socket).await;
        let _ = socket.next().await;
        heard
    });
    server.shutdown().await;
    assert_eq!(heard.await.unwrap().0, 1001);
    assert_eq!(room.heard().await.unwrap(), ["come", "closed 1001 the server is closed true 0"]);
    runtime.shutdown().await.unwrap();
    drop(dir);
}

#[tokio::test]
async fn many_messages_of_many_sockets_come_in_their_order_each() {
    let served = served(|edge| edge).await;
    let clients = (0..16).map(|_| async {
        let socket = enter(&served, "/edge.Room/hall").await;
        let (mut sink, mut stream) = socket.split();
        let told = async {
            for number in 0..200 {
                sink.send(Frame::text(number.to_string())).await.unwrap();
            }
        };
        let heard = async {
            for number in 0..200 {
                match stream.next().await {
                    Some(Ok(Frame::Text(text))) => assert_eq!(*text, *number.to_string()),
                    other => panic!("{other:?}"),
                }
            }
        };
        futures_util::future::join(told, heard).await;
    });
    futures_util::future::join_all(clients).await;
    assert_eq!(served.runtime.get::<Room>("hall").said().await.unwrap(), 3_200);
}

async fn ticks(socket: &mut Client, seqs: std::ops::RangeInclusive<u64>) {
    for expected in seqs {
        let Event { tag, seq, event }: Event<u64> =
            serde_json::from_str(&text(socket).await).unwrap();
        assert_eq!((tag.as_str(), seq, event), ("ticks", expected, expected));
    }
}

#[tokio::test]
async fn whoever_follows_misses_nothing_that_is_kept() {
    let served = served(|edge| edge).await;
    let ticker = served.runtime.get::<Ticker>("t");
    let mut early = open(&served, "/edge.Ticker/t?after=0").await;
    assert_eq!(text(&mut early).await, "0 false");
    for expected in 1..=3 {
        assert_eq!(ticker.tick().await.unwrap(), expected);
    }
    ticks(&mut early, 1..=3).await;
    served.runtime.evict(ticker.id().unwrap()).await.unwrap();
    let mut late = open(&served, "/edge.Ticker/t?after=2").await;
    ticks(&mut late, 3..=3).await;
    assert_eq!(text(&mut late).await, "3 false");
    ticker.tick().await.unwrap();
    ticks(&mut early, 4..=4).await;
    ticks(&mut late, 4..=4).await;
    // Of another life, as when the object was deleted.
    let mut stranger = open(&served, "/edge.Ticker/t?after=9").await;
    ticks(&mut stranger, 1..=4).await;
    assert_eq!(text(&mut stranger).await, "4 true");
    for _ in 0..EVENTS_KEPT {
        ticker.tick().await.unwrap();
    }
    let newest = 4 + EVENTS_KEPT;
    for (after, from, has_gap) in [(4, 5, false), (3, 5, true), (newest, newest + 1, false)] {
        let mut socket = open(&served, &format!("/edge.Ticker/t?after={after}")).await;
        ticks(&mut socket, from..=newest).await;
        assert_eq!(text(&mut socket).await, format!("{newest} {has_gap}"));
    }
}

#[tokio::test]
async fn whoever_takes_nothing_is_given_up() {
    let served = served(|edge| edge).await;
    let room = served.runtime.get::<Room>("hall");
    let mut lively = enter(&served, "/edge.Room/hall").await;
    let lazy = enter(&served, "/edge.Room/hall").await;
    for _ in 0..30 {
        room.flood().await.unwrap();
        assert_eq!(text(&mut lively).await.len(), 1_000_000);
    }
    hears(&room, "failed Slow").await;
    assert_eq!(room.sockets().await.unwrap(), 1);
    drop(lazy);
}

#[tokio::test]
async fn a_runtime_that_is_shut_down_says_so_to_its_sockets() {
    let Served { runtime, server, dir } = served(|edge| edge).await;
    let served = Served { runtime: runtime.clone(), server, dir };
    let mut socket = enter(&served, "/edge.Room/hall").await;
    let heard = tokio::spawn(async move { closed(&mut socket).await });
    runtime.shutdown().await.unwrap();
    assert_eq!(heard.await.unwrap().0, 1001);
    let again = Runtime::builder(served.dir.path()).register::<Room>().register::<Echo>();
    let again = again.register::<crate::Account>().register::<Ticker>().start().await.unwrap();
    let heard = again.get::<Room>("hall").heard().await.unwrap();
    assert_eq!(heard, ["come", "closed 1001 the runtime is shut down true 0"]);
}
