//! An object that opens sockets to a server elsewhere, over a network that fails, while everything else goes wrong, too.

#![allow(clippy::unwrap_used, reason = "what fails is what is looked for")]

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use durable::RuntimeBuilder;
use durable::prelude::*;
use durable::socket::{Closed, Dial, Message, Socket, SocketError, SocketErrorKind};
use durable_testing::prelude::*;
use durable_testing::{SimListener, SimSocket};
use futures_util::future::{Either, select};

/// Where the server is, and where nobody is.
const SERVER: &str = "ws://ticks.example";
const NOBODY: &str = "ws://nobody.example";

/// Follows a server.
#[derive(Clone, Debug, Default, DurableState)]
pub struct Follower {
    /// The number of each socket that it has opened. No number is taken twice.
    dialed: Vec<u64>,
    /// What came over which of them.
    heard: Vec<(u64, u64)>,
    /// Those that have ended.
    ended: Vec<u64>,
    /// Those of them that could not be opened.
    unreachable: Vec<u64>,
}

// Panics are asked for, and what follows on many of them is looked at elsewhere.
#[durable_object(name = "dials.Follower", http, idle = "15ms", crashes = 1_000)]
impl Follower {
    /// Opens a socket.
    pub fn follow(&mut self, cx: &mut Context<'_, Self>, number: u64) {
        self.open(cx, SERVER, number);
    }

    /// Opens one, also in a part of the turn that is undone.
    pub fn follow_at_the_second_try(&mut self, cx: &mut Context<'_, Self>, number: u64) {
        let undone: Result<(), Error> = cx.savepoint(|cx| {
            cx.dial(Dial::to(format!("{SERVER}/never"))).unwrap();
            Err(durable::Code::ConfigInvalid.error("on purpose"))
        });
        assert!(undone.is_err());
        self.open(cx, SERVER, number);
    }

    /// Opens one, and undoes that.
    ///
    /// # Errors
    /// Always.
    pub fn refuse(&mut self, cx: &mut Context<'_, Self>) -> Result<(), String> {
        self.open(cx, SERVER, 9_999);
        Err("as it was asked to".to_owned())
    }

    /// Opens one, and fails.
    pub fn fail(&mut self, cx: &mut Context<'_, Self>) {
        self.open(cx, SERVER, 9_999);
        panic!("asked to");
    }

    /// Opens one to where nobody is.
    pub fn miss(&mut self, cx: &mut Context<'_, Self>, number: u64) {
        self.open(cx, NOBODY, number);
    }

    /// Opens one, and closes it before anybody has answered.
    pub fn follow_and_forget(&mut self, cx: &mut Context<'_, Self>, number: u64) {
        let socket = self.open(cx, SERVER, number);
        cx.sockets().close(socket, durable::socket::Close::new(4_000, "never mind"));
    }

    #[on_message]
    fn hear(&mut self, cx: &mut Context<'_, Self>, from: Socket, message: Message) {
        let tick: u64 = message.as_text().unwrap().parse().unwrap();
        let number = number_of(cx, from);
        self.heard.push((number, tick));
        cx.sockets().send(from, format!("heard {tick} {}", self.heard.len())).unwrap();
    }

    #[on_close]
    fn lose(&mut self, cx: &mut Context<'_, Self>, socket: Socket, _closed: Closed) {
        self.ended.push(number_of(cx, socket));
    }

    #[on_error]
    fn miss_one(&mut self, cx: &mut Context<'_, Self>, socket: Socket, error: SocketError) {
        self.ended.push(number_of(cx, socket));
        if error.kind == SocketErrorKind::Unreachable {
            self.unreachable.push(number_of(cx, socket));
        }
    }

    /// The object's whole state.
    pub fn all(&self) -> Follower {
        self.clone()
    }

    /// How many sockets there are.
    pub fn present(&self, cx: &Context<'_, Self>) -> u64 {
        cx.sockets().count() as u64
    }
}

impl Follower {
    fn open(&mut self, cx: &Context<'_, Self>, server: &str, number: u64) -> Socket {
        self.dialed.push(number);
        let socket = cx.dial(Dial::to(format!("{server}/{number}"))).unwrap();
        cx.sockets().attach(socket, &number).unwrap();
        cx.sockets().tag(socket, "server").unwrap();
        assert!(cx.sockets().tagged("server").contains(&socket));
        cx.sockets().send(socket, format!("hello {} {}", number, self.dialed.len())).unwrap();
        socket
    }
}

fn number_of(cx: &Context<'_, Follower>, socket: Socket) -> u64 {
    cx.sockets().attachment(socket).unwrap().expect("it was attached")
}

/// A node with followers.
pub fn followers(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.register::<Follower>()
}

/// What the server has seen.
#[derive(Default)]
struct Seen {
    /// Who has come, by the number that was dialled.
    came: BTreeSet<u64>,
    /// Who has said hello, and as which it was dialled.
    hellos: BTreeSet<(u64, u64)>,
    /// Of whom was heard that what was heard as which.
    heard: BTreeSet<(u64, u64, u64)>,
}

/// The server's end of a socket.
struct Peer<'s> {
    number: u64,
    socket: SimSocket,
    seen: &'s Mutex<Seen>,
    is_greeted: bool,
}

impl<'s> Peer<'s> {
    /// Waits a while for somebody to come.
    async fn accept(
        sim: &Sim,
        listener: &SimListener,
        seen: &'s Mutex<Seen>,
        ms: u64,
    ) -> Option<Self> {
        let comes = std::pin::pin!(listener.accept());
        let patience = std::pin::pin!(sim.advance(Duration::from_millis(ms)));
        let Either::Left(((goal, socket), _)) = select(comes, patience).await else { return None };
        let number = goal.uri().path().trim_matches('/');
        let number = number.parse().expect("a socket of a turn that was undone is never opened");
        assert!(seen.lock().unwrap().came.insert(number), "{number} comes once");
        Some(Peer { number, socket, seen, is_greeted: false })
    }

    /// Listens for so long. Gives whether the socket is still open.
    async fn listen(&mut self, sim: &Sim, ms: u64) -> bool {
        let mut over = std::pin::pin!(sim.advance(Duration::from_millis(ms)));
        loop {
            let message = {
                let next = std::pin::pin!(self.socket.next());
                match select(next, over.as_mut()).await {
                    Either::Left((Ok(message), _)) => message,
                    Either::Left((Err(_), _)) => return false,
                    Either::Right(_) => return true,
                }
            };
            self.hear(message.as_text().unwrap());
        }
    }

    fn hear(&mut self, text: &str) {
        let mut words = text.split(' ');
        let verb = words.next().unwrap();
        let numbers: Vec<u64> = words.map(|word| word.parse().unwrap()).collect();
        let mut seen = self.seen.lock().unwrap();
        match (verb, &numbers[..]) {
            ("hello", [number, place]) => {
                assert_eq!((*number, self.is_greeted), (self.number, false), "it greets once");
                self.is_greeted = true;
                seen.hellos.insert((*number, *place));
            }
            ("heard", [tick, place]) => {
                assert!(self.is_greeted, "what was sent first comes first");
                seen.heard.insert((self.number, *tick, *place));
            }
            _ => panic!("`{text}` was never to leave"),
        }
    }
}

/// Lets the object open sockets, and takes what comes, whoever has asked for it.
async fn serve(crew: Crew, follower: &FollowerStub, listener: &SimListener, seen: &Mutex<Seen>) {
    let sim = crew.sim();
    for round in 0..6 {
        let number = crew.number() * 100 + round;
        let asked = match crew.int(0..10) {
            0 => follower.refuse().await.is_ok(),
            1 => follower.fail().await.is_ok(),
            2 => follower.miss(number).await.is_ok(),
            3 => follower.follow_and_forget(number).await.is_ok(),
            4 => follower.follow_at_the_second_try(number).await.is_ok(),
            _ => follower.follow(number).await.is_ok(),
        };
        let patience = if asked { 100 } else { 20 };
        let Some(mut peer) = Peer::accept(sim, listener, seen, patience).await else { continue };
        for tick in 0..6 {
            match crew.int(0..12) {
                0 => peer.socket.cut(),
                1 => peer.socket.fall_silent(),
                2 => peer.socket.close(None),
                3 => drop(sim.evict(follower).await),
                _ => peer.socket.send(tick.to_string()),
            }
            if !peer.listen(sim, crew.int(0..40)).await {
                break;
            }
        }
    }
}

/// Sockets while things go wrong, and then a quiet evening on which nothing does.
pub async fn follow_and_lose(sim: Sim, faults: Faults) -> TestResult {
    let follower = sim.get::<Follower>("one");
    let listener = sim.listen("ticks.example:80");
    let seen = Mutex::new(Seen::default());
    sim.faults(faults.net_faults(0..4));
    sim.clients(2, |crew| serve(crew, &follower, &listener, &seen)).await;
    sim.heal().await?;
    // Whoever is left at the door is let in, and goes.
    while let Some(mut peer) = Peer::accept(&sim, &listener, &seen, 200).await {
        peer.listen(&sim, 10).await;
        peer.socket.cut();
    }
    // Whoever has fallen silent is given up.
    sim.advance(Duration::from_secs(120)).await;
    assert_eq!(follower.present().await?, 0, "nobody is there any more");
    let before = follower.all().await?.ended.len();
    follower.follow(901).await?;
    let mut peer = Peer::accept(&sim, &listener, &seen, 1_000).await.expect("it comes");
    for tick in 0..3 {
        sim.evict(&follower).await?;
        peer.socket.send(tick.to_string());
        assert!(peer.listen(&sim, 1_000).await);
    }
    assert_eq!(follower.present().await?, 1, "it stays while its object is not in memory");
    follower.miss(902).await?;
    peer.socket.cut();
    sim.advance(Duration::from_secs(5)).await;
    let Follower { heard, ended, unreachable, .. } = follower.all().await?;
    let of_last: Vec<_> = heard.iter().filter(|(number, _)| *number == 901).collect();
    assert_eq!(of_last, [&(901, 0), &(901, 1), &(901, 2)]);
    assert!(ended.contains(&901) && unreachable.contains(&902), "both were heard to end");
    assert_eq!(ended.len(), before + 2, "and nobody else");
    follower.follow_and_forget(903).await?;
    sim.advance(Duration::from_secs(5)).await;
    assert!(follower.all().await?.ended.contains(&903), "it is not waited for");
    check(&sim, &follower, &seen.into_inner().unwrap()).await
}

/// What came to the server was kept by the object, and what the object has heard of it is whole.
async fn check(sim: &Sim, follower: &FollowerStub, seen: &Seen) -> TestResult {
    let Follower { dialed, heard, ended, unreachable } = follower.all().await?;
    sim.sometimes("much is heard", |_| heard.len() > 10);
    for number in &seen.came {
        assert!(
            dialed.contains(number),
            "{number} was opened, and its object knows nothing of that"
        );
    }
    for (number, place) in &seen.hellos {
        assert_eq!(dialed.get(*place as usize - 1), Some(number), "what it has said it has done");
    }
    for (number, tick, place) in &seen.heard {
        assert_eq!(heard.get(*place as usize - 1), Some(&(*number, *tick)), "it was heard");
    }
    for number in dialed {
        let ticks: Vec<_> = heard.iter().filter(|(by, _)| *by == number).map(|of| of.1).collect();
        assert!(ticks.is_sorted_by(|a, b| a < b), "what comes is heard in order: {ticks:?}");
    }
    let once: BTreeSet<_> = ended.iter().collect();
    assert_eq!(once.len(), ended.len(), "an end is heard once");
    assert!(unreachable.iter().all(|number| !seen.hellos.iter().any(|(came, _)| came == number)));
    Ok(())
}
