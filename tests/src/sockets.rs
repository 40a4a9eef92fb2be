//! Rooms with sockets over a network that fails, while everything else goes wrong, too.

#![allow(clippy::unwrap_used, reason = "what fails is what is looked for")]

use std::collections::BTreeSet;
use std::time::Duration;

use durable::RuntimeBuilder;
use durable::http::{Request, Response};
use durable::prelude::*;
use durable::socket::{Close, Closed, Message, Socket, SocketError};
use durable_testing::prelude::*;
use durable_testing::{SimSocket, Unconnected};
use futures_util::future::{Either, select};
use std::sync::Mutex;

/// A room, in which everything that is said is kept.
#[derive(Debug, Default, DurableState)]
pub struct Room {
    /// Who has said which number, in the order in which it was said. Nobody says a number twice.
    said: Vec<(u64, u64)>,
    /// Sockets that have ended.
    left: Vec<Socket>,
}

// Panics are asked for, and what follows on many of them is looked at elsewhere.
#[durable_object(name = "sockets.Room", http, idle = "15ms", crashes = 1_000)]
impl Room {
    #[on_connect]
    fn come(
        &mut self,
        cx: &mut Context<'_, Self>,
        socket: Socket,
        request: Request,
    ) -> Result<(), Response> {
        let sockets = cx.sockets();
        let who: u64 = request.uri().path().trim_matches('/').parse().unwrap();
        sockets.tag(socket, &who.to_string()).unwrap();
        sockets.attach(socket, &(who, self.said.len())).unwrap();
        if request.uri().query() == Some("refused") {
            self.said.push((who, u64::MAX));
            sockets.send_all("never").unwrap();
            return Err(Response::status_only(403));
        }
        sockets.auto_respond(socket, Some(("ping", "pong"))).unwrap();
        sockets.send(socket, format!("count {}", self.said.len())).unwrap();
        Ok(())
    }

    #[on_message]
    async fn hear(
        &mut self,
        cx: &mut Context<'_, Self>,
        from: Socket,
        message: Message,
    ) -> Result<(), Close> {
        let (who, count) = card(cx, from);
        if count > self.said.len() {
            cx.sockets().send_all(format!("{count} of {}", self.said.len())).unwrap();
        }
        assert_eq!(cx.sockets().tags(from), [who.to_string()], "what is known of a socket stays");
        assert!(cx.sockets().tagged(&who.to_string()).contains(&from));
        let (verb, number) = message.as_text().unwrap().split_once(' ').unwrap();
        let number = number.parse().unwrap();
        match verb {
            "say" => self.say(cx, who, number),
            "refuse" => {
                self.said.push((who, number));
                cx.sockets().send_all("never").unwrap();
                return Err(Close::new(4_001, "as it was asked to"));
            }
            "panic" => {
                self.said.push((who, number));
                cx.sockets().send_all("never").unwrap();
                panic!("asked to");
            }
            "undo" => {
                let undone: Result<(), Error> = cx.savepoint(|cx| {
                    cx.sockets().send_all("never")?;
                    Err(durable::Code::ConfigInvalid.error("on purpose"))
                });
                assert!(undone.is_err());
                self.say(cx, who, number);
            }
            "close" => {
                self.say(cx, who, number);
                cx.sockets().close(from, Close::new(4_002, "as it was asked to"));
            }
            verb => unreachable!("nobody says {verb}"),
        }
        Ok(())
    }

    #[on_close]
    fn leave(&mut self, socket: Socket, _closed: Closed) {
        self.left.push(socket);
    }

    #[on_error]
    fn fail(&mut self, socket: Socket, _error: SocketError) {
        self.left.push(socket);
    }

    /// Says something that no socket has said.
    pub fn tell(&mut self, cx: &mut Context<'_, Self>, number: u64) {
        self.say(cx, 0, number);
    }

    /// Shows everybody how much was said, and notes it, by a turn that only reads.
    pub fn show(&self, cx: &Context<'_, Self>) {
        let sockets = cx.sockets();
        sockets.send_all(format!("count {}", self.said.len())).unwrap();
        for socket in sockets.all() {
            let (who, _) = card(cx, socket);
            sockets.attach(socket, &(who, self.said.len())).unwrap();
        }
    }

    /// Everything that was said.
    pub fn said(&self) -> Vec<(u64, u64)> {
        self.said.clone()
    }

    /// Sockets that have ended.
    pub fn left(&self) -> Vec<Socket> {
        self.left.clone()
    }

    /// How many sockets there are.
    pub fn present(&self, cx: &Context<'_, Self>) -> u64 {
        cx.sockets().count() as u64
    }
}

impl Room {
    fn say(&mut self, cx: &Context<'_, Self>, who: u64, number: u64) {
        self.said.push((who, number));
        let place = self.said.len() - 1;
        cx.sockets().send_all(format!("said {place} {who} {number}")).unwrap();
    }
}

/// Who is at the other end of a socket, and how much was said when that was last noted.
fn card(cx: &Context<'_, Room>, socket: Socket) -> (u64, usize) {
    cx.sockets().attachment(socket).unwrap().expect("it was attached")
}

/// A node with rooms.
pub fn rooms(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.register::<Room>()
}

/// What came over sockets, of all clients.
#[derive(Default)]
struct Seen {
    /// Place, speaker and number of what was said.
    said: BTreeSet<(u64, u64, u64)>,
    /// How much there was, at most.
    count: u64,
}

/// What one socket has seen.
struct Ear<'s> {
    socket: SimSocket,
    seen: &'s Mutex<Seen>,
    /// The place of what was said last. `None`: nothing ever was.
    last: Option<u64>,
}

impl Ear<'_> {
    /// Listens for so long. Gives whether the socket is still open.
    async fn listen(&mut self, sim: &Sim, ms: u64) -> bool {
        let mut over = std::pin::pin!(sim.advance(Duration::from_millis(ms)));
        loop {
            let heard = {
                let next = std::pin::pin!(self.socket.next());
                match select(next, over.as_mut()).await {
                    Either::Left((heard, _)) => heard,
                    Either::Right(_) => return true,
                }
            };
            let Ok(message) = heard else { return false };
            self.hear(message.as_text().unwrap());
        }
    }

    fn hear(&mut self, text: &str) {
        let mut words = text.split(' ');
        let verb = words.next().unwrap();
        let numbers: Vec<u64> = words.map(|word| word.parse().unwrap()).collect();
        let mut seen = self.seen.lock().unwrap();
        match (verb, &numbers[..]) {
            ("pong", []) => {}
            ("count", [count]) => {
                if let Some(last) = self.last {
                    assert_eq!(*count, last + 1, "what a turn sees was sent before it sends");
                }
                // From here on it hears everything.
                self.last = count.checked_sub(1);
                seen.count = seen.count.max(*count);
            }
            ("said", [place, who, number]) => {
                let next = self.last.map_or(0, |last| last + 1);
                assert_eq!(*place, next, "a socket misses nothing, and in order");
                self.last = Some(*place);
                seen.said.insert((*place, *who, *number));
            }
            _ => panic!("`{text}` was never to leave"),
        }
    }
}

async fn enter<'s>(sim: &Sim, seen: &'s Mutex<Seen>, room: &RoomStub, who: u64) -> Option<Ear<'s>> {
    let mut request = Request::default();
    *request.uri_mut() = format!("/{who}").parse().unwrap();
    let opening = std::pin::pin!(sim.connect(room, request));
    let patience = std::pin::pin!(sim.advance(Duration::from_secs(2)));
    match select(opening, patience).await {
        Either::Left((Ok(socket), _)) => Some(Ear { socket, seen, last: None }),
        Either::Left((Err(Unconnected::Answered(response)), _)) => {
            panic!("{who} was refused: {response:?}")
        }
        Either::Left((Err(Unconnected::Failed(_) | Unconnected::Broken), _)) | Either::Right(_) => {
            None
        }
    }
}

/// Somebody who comes and goes, says things and listens.
async fn visit(crew: Crew, room: &RoomStub, seen: &Mutex<Seen>) {
    let (sim, who) = (crew.sim(), crew.number() + 1);
    for round in 0..4 {
        let Some(mut ear) = enter(sim, seen, room, who).await else {
            sim.advance(Duration::from_millis(20)).await;
            continue;
        };
        let mut is_open = true;
        for turn in 0..8 {
            let number = round * 100 + turn * 10;
            match crew.int(0..16) {
                0..=3 => ear.socket.send(format!("say {number}")),
                4..=5 => {
                    for more in 0..4 {
                        ear.socket.send(format!("say {}", number + more));
                    }
                }
                6 => {
                    ear.socket.send(format!("say {number}"));
                    ear.socket.send("ping");
                    ear.socket.send(format!("undo {}", number + 5));
                }
                7 => ear.socket.send(format!("panic {number}")),
                8 => ear.socket.send(format!("refuse {number}")),
                9 => ear.socket.send(format!("close {number}")),
                10 => ear.socket.cut(),
                11 => ear.socket.fall_silent(),
                12 => drop(room.tell(who * 1_000 + number).await),
                13 => drop(room.show().await),
                14 => drop(sim.evict(room).await),
                _ => {}
            }
            is_open = ear.listen(sim, crew.int(0..30)).await;
            if !is_open {
                break;
            }
        }
        if is_open && crew.chance(50) {
            ear.socket.close(None);
            ear.listen(sim, 20).await;
        }
    }
}

/// Visits while things go wrong, and then a quiet evening on which nothing does.
pub async fn chat_and_work(sim: Sim, faults: Faults) -> TestResult {
    let room = sim.get::<Room>("hall");
    let seen = Mutex::new(Seen::default());
    sim.faults(faults.net_faults(0..4));
    sim.clients(3, |crew| visit(crew, &room, &seen)).await;
    sim.heal().await?;
    let mut refused = Request::default();
    *refused.uri_mut() = "/9?refused".parse().unwrap();
    let refused = sim.connect(&room, refused).await;
    assert!(matches!(refused, Err(Unconnected::Answered(response)) if response.status() == 403));
    // Whatever is under way is heard or given up, and so is whoever has fallen silent.
    sim.advance(Duration::from_secs(120)).await;
    let before = room.said().await?.len() as u64;
    let (mut one, mut two) = (
        enter(&sim, &seen, &room, 1).await.expect("nothing goes wrong"),
        enter(&sim, &seen, &room, 2).await.expect("nothing goes wrong"),
    );
    for number in 0..3 {
        sim.evict(&room).await?;
        one.socket.send(format!("say {}", 900 + number));
        assert!(two.listen(&sim, 1_000).await && one.listen(&sim, 1_000).await);
    }
    assert_eq!((one.last, two.last), (Some(before + 2), Some(before + 2)), "both have heard all");
    assert_eq!(room.present().await?, 2, "nobody else is there");
    let left = room.left().await?.len();
    one.socket.close(Some(Close::new(1_000, "")));
    two.socket.cut();
    sim.advance(Duration::from_secs(120)).await;
    assert_eq!(room.present().await?, 0, "nobody is there any more");
    assert!(room.left().await?.len() >= left + 2, "and each of the last two was heard to leave");
    check(&sim, &room, &seen.into_inner().unwrap()).await
}

/// What came over sockets has happened, in this order, and nothing has happened twice.
async fn check(sim: &Sim, room: &RoomStub, seen: &Seen) -> TestResult {
    let said = room.said().await?;
    sim.sometimes("much is said", |_| said.len() > 20);
    for (place, who, number) in &seen.said {
        let kept = said.get(usize::try_from(*place).unwrap());
        assert_eq!(kept, Some(&(*who, *number)), "what was heard at {place} was said");
    }
    assert!(seen.count <= said.len() as u64, "{} were counted of {}", seen.count, said.len());
    let distinct: BTreeSet<_> = said.iter().collect();
    assert_eq!(distinct.len(), said.len(), "a message is heard once");
    for who in 1..=3 {
        for round in 0..4 {
            let of_socket = said
                .iter()
                .filter(|(by, number)| *by == who && *number < 900 && number / 100 == round);
            let numbers: Vec<_> = of_socket.map(|(_, number)| number).collect();
            assert!(numbers.is_sorted(), "what a socket says is heard in order: {numbers:?}");
        }
    }
    let left = room.left().await?;
    let once: BTreeSet<_> = left.iter().collect();
    assert_eq!(once.len(), left.len(), "an end is heard once");
    Ok(())
}
