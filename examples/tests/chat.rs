//! The chat, as pages use it, and as it is killed.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test of a whole program")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{join, join_all};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message as Frame};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

const PATIENCE: Duration = Duration::from_secs(60);

/// The program, while it runs.
struct Chat {
    child: Child,
    port: u16,
}

impl Chat {
    /// `port`: 0 takes a free one.
    fn start(data: &Path, port: u16) -> Self {
        let mut program = Command::new(env!("CARGO_BIN_EXE_chat"));
        program.arg("--data").arg(data).args(["--port", &port.to_string()]);
        let mut child = program.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("http://127.0.0.1:");
        let port = address.unwrap_or_else(|| panic!("{line:?} is no address")).parse().unwrap();
        Chat { child, port }
    }

    /// SIGKILL.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ctrl-C.
    fn interrupt(mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        self.child.wait().unwrap()
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    async fn enter(&self, name: &str) -> Member {
        Member::enter(self.port, name, 0).await.unwrap()
    }
}

impl Drop for Chat {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A member who is in the room.
struct Member {
    socket: WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>,
    /// `Null`: it was not heard yet.
    hello: Value,
}

impl Member {
    async fn enter(port: u16, name: &str, since: i64) -> Result<Self, tungstenite::Error> {
        let mut member = Self::open(port, name, since).await?;
        member.hello = member.frame().await.expect("it says hello");
        assert_eq!(member.hello["type"], "hello");
        Ok(member)
    }

    /// It has not heard the hello yet.
    async fn open(port: u16, name: &str, since: i64) -> Result<Self, tungstenite::Error> {
        let url = format!("ws://127.0.0.1:{port}/chat.Room/hall/?name={name}&since={since}");
        let (socket, _) = tokio_tungstenite::connect_async(url).await?;
        Ok(Member { socket, hello: Value::Null })
    }

    /// What is said next. `None`: the server is gone.
    async fn frame(&mut self) -> Option<Value> {
        let frame =
            tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("it says something");
        match frame? {
            Ok(Frame::Text(text)) => Some(serde_json::from_str(&text).unwrap()),
            Ok(Frame::Close(_)) | Err(_) => None,
            Ok(other) => panic!("{other:?} is no text"),
        }
    }

    /// What is said next of this type.
    async fn hears(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.frame().await.expect("the server is there");
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    async fn tell(&mut self, wish: Value) {
        // Whoever is gone hears nothing; what is not acknowledged is told again.
        let _ = self.socket.send(Frame::text(wish.to_string())).await;
    }

    async fn say(&mut self, text: &str, id: &str) {
        self.tell(json!({ "say": text, "id": id })).await;
    }

    /// Texts of the messages that it was told when it came.
    fn caught_up(&self) -> Vec<&str> {
        let messages = self.hello["messages"].as_array().unwrap();
        messages.iter().map(|said| said["text"].as_str().unwrap()).collect()
    }

    /// Goes, and the room knows.
    async fn leave(mut self) {
        let _ = self.socket.close(None).await;
        while self.socket.next().await.is_some_and(|frame| frame.is_ok()) {}
    }
}

#[tokio::test]
async fn two_members_talk() {
    let dir = tempfile::tempdir().unwrap();
    let chat = Chat::start(dir.path(), 0);
    let mut ada = chat.enter("ada").await;
    assert_eq!(ada.hello["present"], json!(["ada"]));
    let mut bob = chat.enter("bob").await;
    assert_eq!(bob.hello["present"], json!(["ada", "bob"]));
    assert_eq!(ada.frame().await, Some(json!({ "type": "joined", "name": "bob" })));
    ada.tell(json!({ "typing": true })).await;
    let typing = json!({ "type": "typing", "name": "ada", "typing": true });
    assert_eq!(bob.frame().await.unwrap(), typing);
    ada.say(" <b>hello</b>\nbob ", "1").await;
    for member in [&mut ada, &mut bob] {
        // Ada has not heard of her own typing.
        let said = member.frame().await.unwrap();
        assert_eq!((&said["type"], &said["seq"]), (&json!("message"), &json!(1)));
        assert_eq!((&said["name"], &said["id"]), (&json!("ada"), &json!("1")));
        assert_eq!(said["text"], "<b>hello</b>\nbob");
    }
    // A member with two pages leaves with the last one.
    let other = chat.enter("ada").await;
    other.leave().await;
    bob.say("hi", "1").await;
    assert_eq!(bob.frame().await.unwrap()["text"], "hi", "nobody came or left");
    ada.leave().await;
    assert_eq!(bob.frame().await, Some(json!({ "type": "left", "name": "ada" })));
    bob.socket.send(Frame::text("ping")).await.unwrap();
    let pong = bob.socket.next().await.unwrap().unwrap();
    assert_eq!(pong.into_text().unwrap(), "pong");
}

#[tokio::test]
async fn who_comes_back_misses_nothing_and_hears_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let chat = Chat::start(dir.path(), 0);
    let (mut ada, mut bob) = (chat.enter("ada").await, chat.enter("bob").await);
    ada.say("one", "1").await;
    assert_eq!(bob.hears("message").await["seq"], 1);
    bob.leave().await;
    for (text, id) in [("two", "2"), ("three", "3")] {
        ada.say(text, id).await;
        while ada.hears("message").await["id"] != id {}
    }
    let mut bob = Member::enter(chat.port, "bob", 1).await.unwrap();
    assert_eq!(bob.caught_up(), ["two", "three"]);
    assert_eq!((&bob.hello["last"], &bob.hello["gap"]), (&json!(3), &json!(false)));
    ada.say("four", "4").await;
    assert_eq!(bob.frame().await.unwrap()["text"], "four");
    // Whoever has nothing gets all, and so does who has more than there is.
    for since in [0, 99, -1] {
        let cyd = Member::enter(chat.port, "cyd", since).await.unwrap();
        assert_eq!(cyd.caught_up(), ["one", "two", "three", "four"]);
    }
}

#[tokio::test]
async fn a_message_that_comes_again_is_stored_once() {
    let dir = tempfile::tempdir().unwrap();
    let chat = Chat::start(dir.path(), 0);
    let mut ada = chat.enter("ada").await;
    ada.say("one", "x").await;
    let said = ada.frame().await.unwrap();
    ada.leave().await;
    let mut ada = Member::enter(chat.port, "ada", 1).await.unwrap();
    for _ in 0..10 {
        // It is acknowledged again, as it was stored, and does not count as said.
        ada.say("one, or so", "x").await;
        assert_eq!(ada.frame().await.unwrap(), said);
    }
    // The id is a member's own.
    let mut bob = chat.enter("bob").await;
    bob.say("another", "x").await;
    assert_eq!(bob.frame().await.unwrap()["seq"], 2);
    assert_eq!(chat.enter("cyd").await.caught_up(), ["one", "another"]);
}

#[tokio::test]
async fn who_talks_too_fast_is_told_how_long_to_wait() {
    let dir = tempfile::tempdir().unwrap();
    let chat = Chat::start(dir.path(), 0);
    let (mut ada, mut again) = (chat.enter("ada").await, chat.enter("ada").await);
    // Two pages of a member are one member.
    for number in 0..3 {
        ada.say("hello", &format!("a{number}")).await;
        assert_eq!(ada.frame().await.unwrap()["type"], "message");
        again.say("hello", &format!("b{number}")).await;
        again.hears("message").await;
        if number < 2 {
            again.hears("message").await;
            ada.hears("message").await;
        }
    }
    let slow = again.frame().await.unwrap();
    assert_eq!((&slow["type"], &slow["id"]), (&json!("slow"), &json!("b2")));
    let wait_ms = slow["wait_ms"].as_u64().unwrap();
    assert!((1..=1_000).contains(&wait_ms), "{slow}");
    tokio::time::sleep(Duration::from_millis(wait_ms)).await;
    again.say("hello", "b2").await;
    assert_eq!(again.frame().await.unwrap()["seq"], 6);
}

#[tokio::test]
async fn what_cannot_be_said_is_refused_and_the_socket_stays() {
    let dir = tempfile::tempdir().unwrap();
    let chat = Chat::start(dir.path(), 0);
    for name in ["", "%20", "a%0Ab", "x".repeat(33).as_str()] {
        match Member::enter(chat.port, name, 0).await.map(|member| member.hello) {
            Err(tungstenite::Error::Http(response)) => assert_eq!(response.status(), 400),
            other => panic!("{name:?}: {other:?}"),
        }
    }
    let mut ada = chat.enter("%20ada%20").await;
    assert_eq!(ada.hello["you"], "ada");
    for (wish, id) in [
        (json!({ "say": "x".repeat(2_001), "id": "1" }), json!("1")),
        (json!({ "say": " \n ", "id": "2" }), json!("2")),
        (json!({ "say": "hello", "id": "" }), json!("")),
        (json!({ "say": "hello" }), Value::Null),
        (json!([]), Value::Null),
    ] {
        ada.tell(wish.clone()).await;
        let refused = ada.frame().await.unwrap();
        assert_eq!((&refused["type"], &refused["id"]), (&json!("refused"), &id), "{wish}");
    }
    ada.say(&"é".repeat(2_000), "3").await;
    assert_eq!(ada.frame().await.unwrap()["seq"], 1);
}

#[tokio::test]
async fn who_was_away_for_long_is_told_that_something_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let chat = Chat::start(dir.path(), 0);
    for member in 0..41 {
        let mut member = chat.enter(&format!("m{member}")).await;
        for number in 0..5 {
            member.say("hello", &number.to_string()).await;
            member.hears("message").await;
        }
    }
    for (since, messages, gap) in [(0, 200, true), (4, 200, true), (5, 200, false), (205, 0, false)]
    {
        let ada = Member::enter(chat.port, "ada", since).await.unwrap();
        assert_eq!((ada.caught_up().len(), &ada.hello["gap"]), (messages, &json!(gap)), "{since}");
    }
}

#[tokio::test]
async fn ctrl_c_ends_it_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let chat = Chat::start(dir.path(), 0);
    let mut ada = chat.enter("ada").await;
    ada.say("one", "1").await;
    ada.hears("message").await;
    let (ended, frame) =
        join(tokio::task::spawn_blocking(|| chat.interrupt()), ada.socket.next()).await;
    assert!(ended.unwrap().success());
    let Some(Ok(Frame::Close(Some(close)))) = frame else { panic!("{frame:?} is no close") };
    assert_eq!(close.code, CloseCode::Away);
    let chat = Chat::start(dir.path(), 0);
    assert_eq!(chat.enter("ada").await.caught_up(), ["one"]);
}

#[test]
fn the_page_is_at_the_root_and_at_each_room() {
    let dir = tempfile::tempdir().unwrap();
    let chat = Chat::start(dir.path(), 0);
    for path in ["/", "/room/hall", "/room/two%20words"] {
        let answer = chat.get(path);
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        assert!(answer.contains("<!doctype html>") && answer.contains("default-src 'none'"));
    }
    assert!(chat.get("/nowhere").starts_with("HTTP/1.1 404"));
    let other = tempfile::tempdir().unwrap();
    let taken = Command::new(env!("CARGO_BIN_EXE_chat"))
        .args(["--port", &chat.port.to_string(), "--data"])
        .arg(other.path())
        .output()
        .unwrap();
    assert!(!taken.status.success(), "a port that was asked for is taken");
    assert!(String::from_utf8_lossy(&taken.stderr).contains("cannot be served"));
    let wrong = Command::new(env!("CARGO_BIN_EXE_chat")).arg("--prot").output().unwrap();
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("usage: chat"));
}

/// Kills the program as soon as so many messages are acknowledged.
struct Killer {
    after: usize,
    acknowledged: AtomicUsize,
    /// `None`: it is killed.
    chat: Mutex<Option<Chat>>,
}

impl Killer {
    fn new(chat: Chat, after: usize) -> Self {
        Killer { after, acknowledged: AtomicUsize::new(0), chat: Mutex::new(Some(chat)) }
    }

    fn count(&self) {
        if self.acknowledged.fetch_add(1, Ordering::Relaxed) + 1 == self.after {
            self.chat.lock().unwrap().take().unwrap().kill();
        }
    }
}

/// A page of somebody who has things to say, whatever happens to the server.
#[derive(Default)]
struct Page {
    name: String,
    /// Ids of what is not acknowledged.
    unsaid: BTreeSet<String>,
    /// What it shows, by number: names and ids.
    shown: BTreeMap<i64, (String, String)>,
    /// Numbers of what was acknowledged, by id.
    acknowledged: BTreeMap<String, i64>,
}

impl Page {
    fn last(&self) -> i64 {
        self.shown.last_key_value().map_or(0, |(seq, _)| *seq)
    }

    fn show(&mut self, said: &Value, killer: &Killer) {
        let text = |name: &str| said[name].as_str().unwrap().to_owned();
        let (seq, name, id) = (said["seq"].as_i64().unwrap(), text("name"), text("id"));
        if name == self.name {
            let before = self.acknowledged.insert(id.clone(), seq);
            assert!(before.is_none_or(|before| before == seq), "{id} of {name} is there twice");
            if self.unsaid.remove(&id) {
                killer.count();
            }
        }
        if seq > self.last() {
            assert_eq!(seq, self.last() + 1, "{} misses something", self.name);
            self.shown.insert(seq, (name, id));
        }
    }

    /// Talks until everything is said, or the server is gone. It does not look first at what is stored: what it does not know to
    /// be there, it says again.
    async fn talk(&mut self, port: u16, killer: &Killer) {
        let Ok(mut member) = Member::open(port, &self.name, self.last()).await else { return };
        for id in &self.unsaid {
            member.say("hello", id).await;
        }
        let mut is_in = false;
        while !is_in || !self.unsaid.is_empty() {
            let Some(frame) = member.frame().await else { return };
            match frame["type"].as_str().unwrap() {
                "hello" => {
                    is_in = true;
                    for said in frame["messages"].as_array().unwrap() {
                        assert!(said["seq"].as_i64().unwrap() > self.last(), "{said} comes twice");
                        self.show(said, killer);
                    }
                }
                "message" => self.show(&frame, killer),
                "slow" => {
                    let wait_ms = frame["wait_ms"].as_u64().unwrap();
                    tokio::time::sleep(Duration::from_millis(wait_ms)).await;
                    member.say("hello", frame["id"].as_str().unwrap()).await;
                }
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn no_acknowledged_message_is_lost_or_doubled_by_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut chat = Chat::start(dir.path(), 0);
    let port = chat.port;
    let page = |number| Page { name: format!("m{number}"), ..Page::default() };
    let mut pages: Vec<Page> = (0..10).map(page).collect();
    // Of 30 messages, so that it is in the middle of it; and no more than may be said at once.
    for after in [3, 25, 11, 18, 7, 29, 14, 22, 1, 9, 27, 16, 5, 20, 12, 24] {
        for page in &mut pages {
            let wanted = page.acknowledged.len() + 3;
            page.unsaid.extend((0..wanted).map(|number| number.to_string()));
            page.unsaid.retain(|id| !page.acknowledged.contains_key(id));
        }
        let killer = Killer::new(chat, after);
        join_all(pages.iter_mut().map(|page| page.talk(port, &killer))).await;
        assert!(killer.chat.lock().unwrap().is_none(), "it was killed");
        chat = Chat::start(dir.path(), port);
    }
    let killer = Killer::new(chat, usize::MAX);
    join_all(pages.iter_mut().map(|page| page.talk(port, &killer))).await;
    // Some were ready before others had said all.
    join_all(pages.iter_mut().map(|page| page.talk(port, &killer))).await;
    let shown = &pages[0].shown;
    let ids: BTreeSet<_> = shown.values().collect();
    assert_eq!(shown.len(), ids.len(), "nothing is there twice");
    let acknowledged: usize = pages.iter().map(|page| page.acknowledged.len()).sum();
    assert_eq!(shown.len(), acknowledged, "nothing is there that nobody has said");
    for page in &pages {
        assert_eq!(page.shown, *shown, "{} shows what all others show", page.name);
        for (id, seq) in &page.acknowledged {
            assert_eq!(shown[seq], (page.name.clone(), id.clone()), "as it was acknowledged");
        }
    }
}
