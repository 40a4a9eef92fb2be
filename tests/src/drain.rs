//! Turns and tasks that never end, in a node that is asked to.

use std::future::pending;
use std::time::Duration;

use durable::prelude::*;
use durable::{RuntimeBuilder, Shutdown, Supervisor, objects, task};
use durable_testing::prelude::*;

/// How long turns have when the node is asked to end.
const DEADLINE: Duration = Duration::from_secs(2);

/// Counts, waits, and hangs as it is told.
#[derive(Debug, Default, DurableState)]
pub struct Guest {
    /// Turns that were kept.
    pub turns: u64,
}

#[durable_object(name = "drain.Guest", alarm_retries = 0, alarm_limit = "3s")]
impl Guest {
    /// One more.
    pub fn count(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }

    /// Changes everything, and never ends.
    pub async fn hang(&mut self, cx: &mut Context<'_, Self>) {
        self.turns += 1_000;
        let _ = cx.kv().put("hung", &self.turns);
        pending::<()>().await;
    }

    /// Lets a run of its schedule hang soon.
    pub fn plan(&mut self, cx: &mut Context<'_, Self>, after_ms: u64) {
        let at = durable::WallMs(cx.now().0 + after_ms);
        cx.schedule("late").once(at).call(cx.me().hang());
    }

    /// Looks, and never ends.
    pub async fn hang_reading(&self) -> u64 {
        pending::<()>().await;
        self.turns
    }

    /// Changes something, and calls another that may hang.
    pub async fn wait_for(&mut self, cx: &mut Context<'_, Self>, other: String) -> bool {
        self.turns += 1;
        cx.get::<Guest>(other).hang().await.is_ok()
    }

    /// Calls another that does not hang.
    pub async fn pass_on(&mut self, cx: &mut Context<'_, Self>, other: String) -> u64 {
        self.turns += 1;
        cx.get::<Guest>(other).count().await.unwrap_or_default()
    }

    /// What a turn that hung would have left.
    pub async fn has_hung(&self, cx: &Context<'_, Self>) -> bool {
        self.turns >= 1_000 || matches!(cx.kv().get::<u64>("hung").await, Ok(Some(_)) | Err(_))
    }
}

/// A task that hears of the end, and now and then does not mind it.
async fn deaf(cx: TaskContext) {
    let stopping = cx.stopping();
    if cx.random().is_multiple_of(4) {
        pending::<()>().await;
    }
    stopping.await;
}

/// A tree whose tasks may not end, and a class that is in it or not.
pub fn guests(builder: RuntimeBuilder) -> RuntimeBuilder {
    let deaf = |name| task(name, deaf).shutdown(Shutdown::Infinity);
    let tree = Supervisor::one_for_one("inn")
        .child(task("before", async |cx: TaskContext| cx.stopping().await))
        .child(objects::<Guest>())
        .child(Supervisor::one_for_one("yard").child(deaf("well")).child(deaf("gate")));
    builder.supervise(tree).shutdown_deadline(DEADLINE)
}

/// Clients whose calls may never end, while somebody asks the node to end, again and again.
pub async fn work_and_stop(sim: Sim, faults: Faults) -> TestResult {
    let names = ["ada", "bob", "eve", "joe"];
    let guests: Vec<_> = names.map(|name| sim.get::<Guest>(name)).into();
    sim.faults(faults);
    sim.clients(4, async |client| {
        for _ in 0..8 {
            if client.number() == 0 {
                client.sleep(2 * DEADLINE).await;
                client.sim().restart().await;
                continue;
            }
            let (guest, other) = client.pick_two(&names);
            let guest = client.sim().get::<Guest>(*guest);
            // The node may have been asked before the call came, so that nobody ends it soon.
            match client.int(0..11) {
                10 => drop(guest.plan(client.int(0..2_000)).timeout(3 * DEADLINE).await),
                0 => drop(guest.hang().timeout(3 * DEADLINE).await),
                1 => drop(guest.hang_reading().timeout(3 * DEADLINE).await),
                2 => drop(guest.wait_for((*other).to_owned()).timeout(3 * DEADLINE).await),
                3 => drop(guest.pass_on((*other).to_owned()).timeout(3 * DEADLINE).await),
                _ => drop(guest.count().timeout(3 * DEADLINE).await),
            }
            client.sleep(DEADLINE).await;
        }
    })
    .await;
    // What hangs is cut off.
    sim.restart().await;
    sim.heal().await?;
    for guest in &guests {
        assert!(!guest.has_hung().await?, "what was cut off is undone");
        guest.count().await?;
    }
    for (name, word) in [
        ("a turn was cut off", "drain.Guest(ada).hang"),
        ("a read was cut off", ".hang_reading"),
        ("a turn that calls was cut off", ".wait_for"),
        ("a run of a schedule was cut off", ".hang (schedule `late`)"),
        ("a task was cut off", "inn/yard/"),
    ] {
        sim.sometimes(name, |trace| {
            trace
                .happened()
                .any(|told| told.text().contains(word) && told.text().contains("cut off"))
        });
    }
    Ok(())
}
