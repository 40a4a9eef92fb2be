//! How an activation begins and ends, as the objects see it that it is tied to.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use futures_util::FutureExt;

use crate::directory::Fault;
use crate::error::{Code, Error, ErrorKind};
use crate::host::Event;
use crate::kernel::restart::{Exit, ExitReason};
use crate::kernel::retry::Next;
use crate::object::activation::{HOOK, text_of};
use crate::object::live::Live;
use crate::object::{Cut, Object, Slot};
#[cfg(feature = "http")]
use crate::socket::Close;

/// Why the actor stopped taking calls.
pub(super) enum End {
    /// It was asked to end, or could not start.
    Asked,
    /// The object in memory cannot be trusted any more.
    Crash(Crash),
    /// It was cut off, because of an object that it is tied to.
    Cut(Cut),
}

/// Why the object in memory cannot be trusted any more.
#[derive(Clone)]
pub(super) struct Crash {
    pub(super) text: String,
    pub(super) fault: Fault,
}

impl Crash {
    /// A panic of the object's own code. `cause`: what of the system has failed it. `None`: nothing.
    pub(super) fn of_panic(text: String, cause: Option<&Error>) -> Self {
        let is_systems = cause.is_some_and(|error| Fault::of_start(error) == Fault::System);
        Crash { text, fault: if is_systems { Fault::System } else { Fault::Crash } }
    }
}

/// Comes into memory: below its parent, and with what is stored.
///
/// # Errors
/// What its children are told; everybody else who waits was told.
pub(super) async fn begin<O: Object>(slot: &Arc<Slot<O>>) -> Result<Live<O>, Cut> {
    let starting = async {
        slot.find_parent().await.map_err(Unstarted::of_search)?;
        slot.join_parent().await.map_err(Unstarted::Parents)?;
        start(slot).await.map_err(Unstarted::Own)
    };
    let (mut starting, mut is_known) = (pin!(starting), false);
    let started = poll_fn(|task| match starting.as_mut().poll(task) {
        Poll::Ready(started) => Poll::Ready(Ok(started)),
        Poll::Pending => slot.poll_cut(task, &mut is_known).map(Err),
    });
    let unstarted = match started.await {
        Ok(Ok(live)) => {
            slot.forget_failed_starts();
            return Ok(live);
        }
        Ok(Err(unstarted)) => unstarted,
        Err(Cut::Refused(error)) => Unstarted::Parents(error),
        Err(cut) => {
            slot.end();
            if let Cut::Melted(exit) = cut {
                melted(slot, exit).await;
            }
            return Err(Cut::Parted);
        }
    };
    did_not_start(slot, unstarted).await
}

/// Lets the next activation try again, or tells everybody who waits.
///
/// # Errors
/// As [`begin`].
async fn did_not_start<O: Object>(
    slot: &Arc<Slot<O>>,
    unstarted: Unstarted,
) -> Result<Live<O>, Cut> {
    let object = slot.id_ref();
    let tries = match &unstarted {
        Unstarted::Own(error) => match slot.failed_to_start(is_passing(slot, error)) {
            Next::GiveUp { failed } => failed,
            Next::Again { failed: tries } => {
                slot.host().report(|| Event::StartFailed { object, error, tries });
                tracing::warn!(object = slot.label(), %error, tries, "the object is tried again");
                slot.end();
                return Err(Cut::Parted);
            }
        },
        Unstarted::Parents(_) => {
            slot.forget_failed_starts();
            0
        }
    };
    let (Unstarted::Own(error) | Unstarted::Parents(error)) = &unstarted;
    slot.host().report(|| Event::Unstartable { object, error, tries });
    tracing::error!(object = slot.label(), %error, tries, "the object cannot start");
    if let Unstarted::Own(error) = &unstarted {
        slot.end();
        if matches!(error.kind(), ErrorKind::Internal | ErrorKind::Corrupt) {
            slot.crashed(Exit::new(ExitReason::Error, error.message()));
        }
        slot.group().on_fault(slot, Fault::of_start(error), &error.to_string()).await;
    }
    let error = error.clone().with_object(slot.label()).unstarted(tries);
    slot.fail_start(&error);
    Err(Cut::Refused(error))
}

/// Whether what keeps an object from starting may pass by itself: nothing is wrong with what is stored, and its shard goes on.
fn is_passing<O: Object>(slot: &Slot<O>, error: &Error) -> bool {
    let codes = [Code::StorageFailed, Code::StorageFenced, Code::SqlRolledBack];
    let may_pass = codes.iter().any(|code| error.is(*code));
    may_pass && !slot.group().shard(slot.id_ref()).has_stopped()
}

/// Why an object is not in memory.
enum Unstarted {
    /// It cannot start.
    Own(Error),
    /// The object above it cannot, which is not its fault.
    Parents(Error),
}

impl Unstarted {
    /// What is above it was not found.
    fn of_search(error: Error) -> Self {
        if error.is(Code::ChildOrphaned) {
            Unstarted::Parents(error)
        } else {
            Unstarted::Own(error)
        }
    }
}

/// Too many of its children have crashed, which counts as a crash of its own.
async fn melted<O: Object>(slot: &Arc<Slot<O>>, exit: Exit) {
    #[cfg(feature = "http")]
    close_sockets(slot);
    let text = exit.text.clone();
    slot.crashed(exit);
    slot.group().on_fault(slot, Fault::Crash, &text).await;
}

/// Closes the sockets of an object that has crashed, if its class wants that.
#[cfg(feature = "http")]
fn close_sockets<O: Object>(slot: &Slot<O>) {
    if O::CLASS.crash_closes_sockets
        && let Some(lobby) = slot.group().lobbies().of(slot.id_ref())
    {
        lobby.close_all(&Close::new(1011, "the object has crashed"));
    }
}

/// Tells the slot, and the class, how the activation has ended.
///
/// # Errors
/// Why it has crashed.
pub(super) async fn ended<O: Object>(slot: &Arc<Slot<O>>, end: End) -> Result<(), String> {
    match end {
        End::Asked | End::Cut(Cut::Parted) => Ok(()),
        End::Cut(Cut::Refused(error)) => {
            slot.fail_start(&error);
            Ok(())
        }
        End::Cut(Cut::Melted(exit)) => {
            let text = exit.text.clone();
            melted(slot, exit).await;
            Err(text)
        }
        End::Crash(Crash { text, fault }) => {
            #[cfg(feature = "http")]
            close_sockets(slot);
            if fault != Fault::System {
                slot.crashed(Exit::new(ExitReason::Panic, text.clone()));
            }
            slot.group().on_fault(slot, fault, &text).await;
            Err(text)
        }
    }
}

/// Loads the object and runs `#[on_activate]`.
async fn start<O: Object>(slot: &Arc<Slot<O>>) -> Result<Live<O>, Error> {
    let starting = async {
        let mut live = Live::load(slot).await?;
        let is_migrated = live.migrate(slot)?;
        let mut changes = {
            let (mut waking, mut is_up) = (pin!(live.wake(slot)), false);
            poll_fn(|task| {
                let woken = waking.as_mut().poll(task);
                let is_to_rise = match &woken {
                    Poll::Ready(woken) => woken.is_ok(),
                    // It may wait for a child. One that fails at once has let none in.
                    Poll::Pending => true,
                };
                if is_to_rise && !std::mem::replace(&mut is_up, true) {
                    slot.rise();
                }
                woken
            })
            .await?
        };
        changes.has_sql |= is_migrated;
        if !changes.is_empty() {
            live.submit(slot, changes, HOOK);
        }
        Ok(live)
    };
    AssertUnwindSafe(starting).catch_unwind().await.unwrap_or_else(|panic| {
        Err(Code::ObjectUnstartable.error(format!(
            "starting the object panicked: {}; mend the bug and call again",
            text_of(panic.as_ref())
        )))
    })
}
