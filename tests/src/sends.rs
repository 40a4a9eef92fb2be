//! Objects that send each other calls, and clients that let them, while everything goes wrong that may.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use durable::limits::SCHEDULES_MAX;
use durable::prelude::*;
use durable::{DeadLetter, IncomingCall, Interceptor, Refusal, RuntimeBuilder, SendId};
use durable_testing::prelude::*;

use crate::time::pause;

/// Sends letters to others of its kind, and keeps those that it gets.
#[derive(Debug, Default, DurableState)]
pub struct Post {
    /// Letters that were sent to each, by turns that were kept.
    pub sent: BTreeMap<String, u64>,
    /// Letters that came, in their order: from whom, and which.
    pub came: Vec<(String, u64)>,
    /// Letters that came later, in no order.
    pub came_late: Vec<u64>,
    /// How many letters are to be turned away.
    pub failures: u32,
    /// By panic instead of by `Err`.
    pub is_wild: bool,
    /// How long it takes to take a letter.
    pub takes_ms: u64,
    /// The last send with a delay.
    pub last: Option<SendId>,
    /// Letters that came without what was to travel with them.
    pub bare: u64,
    /// Letters that were to be turned away at the door.
    pub forbidden: u64,
    /// Letters that came after they had been dead, in no order.
    pub came_again: Vec<(String, u64)>,
}

/// Turns away what says that it is forbidden.
struct Doorman;

impl Interceptor for Doorman {
    fn on_turn(&self, call: &IncomingCall<'_>) -> Result<(), Refusal> {
        match call.metadata().get("forbidden") {
            None => Ok(()),
            Some(_) => Err(Refusal::new("it is forbidden")),
        }
    }
}

// Runs that panic are what is looked at, and what follows on many of them is looked at elsewhere.
#[durable_object(name = "sends.Post", alarm_retries = 2, alarm_delay = "300ms", crashes = 1_000)]
impl Post {
    /// Sends so many letters, one after the other.
    pub fn post(&mut self, cx: &mut Context<'_, Self>, to: String, count: u64) -> u64 {
        let from = cx.name().expect("it has one").to_owned();
        let sent = self.sent.entry(to.clone()).or_default();
        for _ in 0..count {
            *sent += 1;
            let letter = cx.get::<Post>(&to).take(from.clone(), *sent);
            cx.send(letter.metadata("from", &from));
        }
        *sent
    }

    /// Sends one, and refuses.
    pub fn post_and_refuse(
        &mut self,
        cx: &mut Context<'_, Self>,
        to: String,
    ) -> Result<(), String> {
        self.post(cx, to, 1);
        Err("refused".to_owned())
    }

    /// Sends one, and panics.
    pub fn post_and_panic(&mut self, cx: &mut Context<'_, Self>, to: String) {
        self.post(cx, to, 1);
        panic!("asked to")
    }

    /// Sends one inside of a savepoint that is undone, and one that is not.
    pub fn post_in_vain(&mut self, cx: &mut Context<'_, Self>, to: String) {
        let undone: Result<(), Error> = cx.savepoint(|cx| {
            cx.send(cx.get::<Post>(&to).take("nobody".to_owned(), 1));
            Err(durable::Code::ConfigInvalid.error("on purpose"))
        });
        assert!(undone.is_err());
        let own = cx.send(cx.get::<Post>(&to).take("nobody".to_owned(), 2));
        cx.cancel_send(own);
        self.post(cx, to, 1);
    }

    /// Sends one that leaves later.
    pub fn post_later(&mut self, cx: &mut Context<'_, Self>, to: String, ms: u64) -> SendId {
        let call = cx.get::<Post>(&to).take_late(ms);
        let id = cx.send_after(Duration::from_millis(ms), call);
        self.last = Some(id);
        id
    }

    /// Takes the last of these back, if it waits.
    pub fn cancel_last(&mut self, cx: &mut Context<'_, Self>) -> Option<SendId> {
        let last = self.last.take();
        last.inspect(|last| cx.cancel_send(*last))
    }

    /// Takes one back that may be anybody's.
    pub fn cancel(&mut self, cx: &mut Context<'_, Self>, id: SendId) {
        cx.cancel_send(id);
    }

    /// Sends one, and leaves nothing of itself.
    pub fn post_and_erase(&mut self, cx: &mut Context<'_, Self>, to: String) {
        cx.send(cx.get::<Post>(&to).take_late(0));
        cx.delete_all();
    }

    /// Wants nothing of itself to be left, and refuses.
    pub fn leave_in_vain(&mut self, cx: &mut Context<'_, Self>) -> Result<(), String> {
        cx.delete_all();
        Err("refused".to_owned())
    }

    /// A read that sends.
    pub fn post_in_a_read(&self, cx: &Context<'_, Self>) {
        cx.send(cx.me().take_late(0));
    }

    /// Awaits a send, which then would not be the turn's.
    pub async fn post_beside(&mut self, cx: &mut Context<'_, Self>) -> Result<String, String> {
        let sent = cx.me().take_late(0).send().await;
        Ok(sent.expect_err("a turn sends by its context").code().to_owned())
    }

    /// Sends so many bytes.
    pub fn post_bytes(&mut self, cx: &mut Context<'_, Self>, bytes: u32) {
        cx.send(cx.me().weigh("x".repeat(bytes as usize)));
    }

    /// Sends so many at once, to itself.
    pub fn post_many(&mut self, cx: &mut Context<'_, Self>, count: u64) {
        for number in 0..count {
            cx.send(cx.me().take_late(number));
        }
    }

    /// Hands a letter on, so often.
    pub fn hand_on(&mut self, cx: &mut Context<'_, Self>, to: Vec<String>, left: u64) {
        self.came_late.push(left);
        if left > 0 {
            let next = to[(left % to.len() as u64) as usize].clone();
            cx.send(cx.get::<Post>(&next).hand_on(to, left - 1));
        }
    }

    /// What sends call.
    pub async fn take(
        &mut self,
        cx: &mut Context<'_, Self>,
        from: String,
        number: u64,
    ) -> Result<u64, String> {
        self.bare += u64::from(cx.metadata().get("from") != Some(&from));
        let came = if cx.scheduled().is_some() { &mut self.came_again } else { &mut self.came };
        came.push((from, number));
        self.be_slow().await;
        self.fail_if_asked()?;
        Ok(self.came.len() as u64)
    }

    /// What sends with a delay call.
    pub async fn take_late(
        &mut self,
        cx: &mut Context<'_, Self>,
        number: u64,
    ) -> Result<(), String> {
        self.forbidden += u64::from(cx.metadata().get("forbidden").is_some());
        self.came_late.push(number);
        self.be_slow().await;
        self.fail_if_asked()
    }

    /// Takes a letter, and leaves nothing of itself.
    pub fn take_and_erase(&mut self, cx: &mut Context<'_, Self>) {
        cx.delete_all();
    }

    /// What a long call calls.
    pub fn weigh(&mut self, text: String) -> usize {
        text.len()
    }

    /// The next letters are turned away so often.
    pub fn fail(&mut self, failures: u32, is_wild: bool) {
        (self.failures, self.is_wild) = (failures, is_wild);
    }

    /// The next letters take so long.
    pub fn slow(&mut self, ms: u64) {
        self.takes_ms = ms;
    }

    /// Letters that came without what was to travel with them.
    pub fn bare(&self) -> u64 {
        self.bare
    }

    /// Letters that were to be turned away at the door.
    pub fn forbidden(&self) -> u64 {
        self.forbidden
    }

    /// What came, by sender.
    pub fn came(&self) -> Vec<(String, u64)> {
        self.came.clone()
    }

    /// What came after it had been dead, by sender.
    pub fn came_again(&self) -> Vec<(String, u64)> {
        self.came_again.clone()
    }

    /// What came late.
    pub fn came_late(&self) -> Vec<u64> {
        self.came_late.clone()
    }

    /// How many letters were sent to each.
    pub fn sent(&self) -> BTreeMap<String, u64> {
        self.sent.clone()
    }
}

impl Post {
    async fn be_slow(&self) {
        if self.takes_ms > 0 {
            pause(self.takes_ms).await;
        }
    }

    fn fail_if_asked(&self) -> Result<(), String> {
        if self.failures == 0 {
            return Ok(());
        }
        assert!(!self.is_wild, "asked to");
        Err("asked to".to_owned())
    }
}

/// A runtime with post offices, in shards of their own.
pub fn offices(builder: RuntimeBuilder) -> RuntimeBuilder {
    // Runs are to be retried here, and not their object to be shut in.
    let builder = builder.register::<Post>().intercept(Doorman);
    builder.shards(3).crashes(1_000, Duration::from_secs(1))
}

/// All of them in one shard.
pub fn one_office(builder: RuntimeBuilder) -> RuntimeBuilder {
    offices(builder).shards(1)
}

/// What they are called.
pub const NAMES: [&str; 3] = ["one", "two", "three"];

/// One call of anything that has to do with sends.
async fn use_post(client: &Crew, posts: &[PostStub]) {
    let (post, ms) = (client.pick(posts), client.int(0..400));
    let to = (*client.pick(&NAMES)).to_owned();
    match client.int(0..20) {
        0..=5 => drop(post.post(to, 1 + ms % 4).await),
        6 => drop(post.post_and_refuse(to).await),
        7 => drop(post.post_and_panic(to).await),
        8 => drop(post.post_in_vain(to).await),
        9..=10 => drop(post.post_later(to, ms * 5).await),
        11 => drop(post.cancel_last().await),
        12 => {
            if let Ok(id) = post.post_later(to, ms).await {
                let wait = if client.chance(50) { ms / 2 } else { ms + client.int(0..12) };
                client.sleep(Duration::from_millis(wait)).await;
                for _ in 0..8 {
                    // A node that has crashed is up again before long.
                    match client.sim().cancel_send(id).await {
                        Ok(_) => break,
                        Err(_) => client.sleep(Duration::from_millis(client.int(1..4))).await,
                    }
                }
            }
        }
        13 if ms.is_multiple_of(5) => {
            drop(post.take_late(ms).metadata("forbidden", "yes").send().await);
            let answer = post.take_late(ms).metadata("forbidden", "yes").await;
            assert!(answer.is_err(), "it is turned away");
        }
        13 => drop(post.take_late(ms).send().await),
        14 => drop(post.take_late(ms).send_after(Duration::from_millis(ms)).await),
        15 => drop(post.fail(u32::from(ms.is_multiple_of(3)), ms.is_multiple_of(2)).await),
        16 => drop(post.slow(ms / 4 * u64::from(ms.is_multiple_of(3))).await),
        17 if ms < 200 => drop(client.sim().evict(post).await),
        17 => client.sim().jump_clock(i64::try_from(ms).expect("small") * 40 - 12_000),
        18 => drop(post.hand_on(NAMES.map(str::to_owned).to_vec(), ms % 5).await),
        _ => drop(client.sim().backup().await),
    }
}

/// Clients that let posts send, under `faults`, until everything has come.
pub async fn send_and_work(sim: Sim, faults: Faults) -> TestResult {
    let posts = NAMES.map(|name| sim.get::<Post>(name));
    sim.faults(faults.clone());
    sim.clients(3, async |client| {
        for _ in 0..16 {
            use_post(&client, &posts).await;
            if client.chance(30) {
                client.sleep(Duration::from_millis(client.int(0..600))).await;
            }
        }
    })
    .await;
    sim.heal().await?;
    for post in &posts {
        post.fail(0, false).await?;
        post.slow(0).await?;
    }
    sim.advance(Duration::from_secs(5)).await;
    sim.heal().await?;
    for post in &posts {
        // What a clock that was set back has put off may come meanwhile.
        let of_fresh =
            |came: &[(String, u64)]| came.iter().filter(|(from, _)| from == "fresh").count();
        let before = of_fresh(&post.came().await?);
        sim.get::<Post>("fresh").post(post.name().expect("it has one").to_owned(), 3).await?;
        // Whoever did not start once is not waited for.
        sim.advance(Duration::from_secs(1)).await;
        sim.heal().await?;
        assert_eq!(of_fresh(&post.came().await?), before + 3, "what is sent comes");
        in_order(&post.came().await?);
    }
    retry_letters(&sim, &posts, faults).await?;
    for post in &posts {
        let (came, again) = (post.came().await?, post.came_again().await?);
        let all: BTreeSet<_> = came.iter().chain(&again).collect();
        assert_eq!(all.len(), came.len() + again.len(), "what has come does not come again");
        assert_eq!(post.bare().await?, 0, "what travels with a send arrives with it");
        assert_eq!(post.forbidden().await?, 0, "what was turned away has not run");
    }
    sim.sometimes("a send came", |trace| trace.count("send.arrives") > 0);
    sim.sometimes("a dead letter was retried", |trace| trace.count("schedule.dealt") > 0);
    sim.sometimes("the node crashed", |trace| trace.count("node.crashes") > 0);
    Ok(())
}

/// Whatever has died comes after all, also what dies once more, but for what is forbidden: that is turned away as before.
async fn retry_letters(sim: &Sim, posts: &[PostStub], faults: Faults) -> TestResult {
    // What a clock that was set back has put off comes before.
    sim.advance(Duration::from_secs(600)).await;
    sim.heal().await?;
    let forbidden = forbidden_of(&sim.dead_letters(None).await?);
    for post in posts {
        post.fail(1, false).await?;
    }
    sim.faults(faults);
    for letter in sim.dead_letters(None).await.unwrap_or_default() {
        drop(sim.retry_dead_letter(letter.id).await);
    }
    sim.advance(Duration::from_secs(2)).await;
    sim.heal().await?;
    for post in posts {
        post.fail(0, false).await?;
    }
    sim.advance(Duration::from_secs(600)).await;
    sim.heal().await?;
    // A few rounds are enough for as many as there may be.
    for _ in 0..8 {
        let letters = sim.dead_letters(None).await?;
        // An object has no room for more schedules at once.
        for letter in letters.iter().take(SCHEDULES_MAX) {
            sim.retry_dead_letter(letter.id).await?;
        }
        sim.advance(Duration::from_secs(5)).await;
        sim.heal().await?;
        if letters.len() <= SCHEDULES_MAX {
            break;
        }
    }
    let letters = sim.dead_letters(None).await?;
    assert_eq!((letters.len(), forbidden_of(&letters)), (forbidden, forbidden), "{letters:?}");
    Ok(())
}

/// How many letters were turned away at the door. Each says what it carries.
fn forbidden_of(letters: &[DeadLetter]) -> usize {
    let is_forbidden = |letter: &&DeadLetter| {
        let metadata = letter.metadata.as_ref().expect("whole");
        let is_sent_on = letter.method.as_deref() == Some("take");
        assert_eq!(metadata.get("from").is_some(), is_sent_on, "{letter:?}");
        let is_forbidden = letter.error.contains("it is forbidden");
        assert_eq!(metadata.get("forbidden").is_some(), is_forbidden, "{letter:?}");
        is_forbidden
    };
    letters.iter().filter(is_forbidden).count()
}

/// One takes back what another sent, after a crash that may have come between the effect of the send and the end of its row; the
/// clock is set back, so that it would not be delivered before.
pub async fn take_back_after_a_crash(sim: Sim) -> TestResult {
    let [one, two, _] = NAMES.map(|name| sim.get::<Post>(name));
    let sent = one.post_later(NAMES[1].to_owned(), 1_000).await;
    sim.advance(Duration::from_millis(1_005)).await;
    sim.jump_clock(-60_000);
    sim.advance(Duration::from_secs(1)).await;
    let Ok(id) = sent else { return sim.heal().await };
    let taken_back = sim.cancel_send(id).await;
    sim.heal().await?;
    let came = two.came_late().await?;
    let is_told = taken_back.as_ref().is_ok_and(|is_taken_back| *is_taken_back == came.is_empty());
    assert!(is_told || taken_back.is_err(), "{came:?} came of it, and {taken_back:?}");
    Ok(())
}

/// Guests send, and are erased or erase themselves while what they have sent may wait.
pub async fn send_and_leave(sim: Sim, faults: Faults) -> TestResult {
    let posts = NAMES.map(|name| sim.get::<Post>(name));
    let guests = ["gus", "guy"].map(|name| sim.get::<Post>(name));
    sim.faults(faults);
    sim.clients(3, async |client| {
        for _ in 0..16 {
            let (guest, post) = (client.pick(&guests), client.pick(&posts));
            let (to, ms) = ((*client.pick(&NAMES)).to_owned(), client.int(0..400));
            match client.int(0..8) {
                0..=1 => drop(guest.post(to, 1 + ms % 3).await),
                2 => drop(guest.post_later(to, ms).await),
                3 => drop(guest.post_and_erase(to).await),
                4 => drop(guest.leave_in_vain().await),
                5 => drop(client.sim().delete(guest).await),
                6 => drop(post.slow(ms / 4 * u64::from(ms.is_multiple_of(3))).await),
                _ => drop(post.fail(u32::from(ms.is_multiple_of(5)), false).await),
            }
            if client.chance(30) {
                client.sleep(Duration::from_millis(client.int(0..300))).await;
            }
        }
    })
    .await;
    sim.heal().await?;
    for post in &posts {
        post.fail(0, false).await?;
        post.slow(0).await?;
    }
    // What a clock that was set back has put off comes before.
    sim.advance(Duration::from_secs(600)).await;
    sim.heal().await?;
    for guest in &guests {
        // Whatever waits goes, and nobody has to wait for it.
        guest.post_later(NAMES[0].to_owned(), 1_000).await?;
        sim.delete(guest).await?;
    }
    let late = sim.get::<Post>(NAMES[0]).came_late().await?.len();
    sim.advance(Duration::from_secs(60)).await;
    sim.heal().await?;
    let later = sim.get::<Post>(NAMES[0]).came_late().await?.len();
    assert_eq!(late, later, "what a guest was about to send went with it");
    sim.sometimes("a send left", |trace| trace.count("send.leaves") > 0);
    Ok(())
}

/// Each sender's letters have come in their order, none of them twice. Some may be dead letters.
fn in_order(came: &[(String, u64)]) {
    let mut last = BTreeMap::new();
    for (from, number) in came {
        assert_ne!(from, "nobody", "what was taken back has come");
        let before = last.insert(from.clone(), *number).unwrap_or_default();
        assert!(before < *number, "{from} sent {number} after {before}");
    }
}
