//! The registry: the classes that a runtime knows, and what all of them share.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::Poll;

use crate::alarm::{Ends, Leaving};
use crate::config::Config;
use crate::cut::CutOff;
use crate::directory::{ClassGroup, Group, Relief, Residents};
use crate::error::{Code, Error};
use crate::host::Host;
use crate::id::ObjectId;
#[cfg(feature = "http")]
use crate::limits::SOCKET_SHUTDOWN_GRACE;
use crate::limits::{CUT_GRACE, CUTS_NAMED_MAX};
use crate::object::inside::Waits;
use crate::object::{BoxFuture, Object, Places};
#[cfg(feature = "http")]
use crate::socket::Numbers;
use crate::storage::Store;
use crate::supervise::Service;

/// What all classes of a runtime share.
pub(crate) struct Shared {
    pub(crate) host: Host,
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) residents: Arc<Residents>,
    /// The tree of supervisors.
    pub(crate) service: Arc<Service>,
    /// The calls in flight.
    pub(crate) in_flight: Places,
    /// When those are looked for that need none any more.
    pub(crate) relief: Relief,
    /// Who waits for whom, of the turns that call objects.
    pub(crate) waits: Arc<Waits>,
    pub(crate) alarm_ends: Arc<Ends>,
    pub(crate) leaving: Arc<Leaving>,
    #[cfg(feature = "http")]
    pub(crate) sockets: Arc<Numbers>,
    /// No calls from outside are taken.
    is_draining: AtomicBool,
    /// No calls are taken.
    is_closed: AtomicBool,
}

impl Shared {
    pub(crate) fn new(
        host: Host,
        config: Config,
        store: Store,
        residents: Arc<Residents>,
    ) -> Arc<Self> {
        let (is_draining, is_closed) = (AtomicBool::new(false), AtomicBool::new(false));
        let in_flight = Places::new(config.in_flight_calls_max, host.parallelism);
        let (alarm_ends, leaving) = (Arc::default(), Arc::default());
        let service = Service::new(host.clone());
        Arc::new(Shared {
            host,
            config,
            store,
            residents,
            service,
            in_flight,
            relief: Relief::default(),
            waits: Arc::default(),
            alarm_ends,
            leaving,
            #[cfg(feature = "http")]
            sockets: Numbers::new(),
            is_draining,
            is_closed,
        })
    }

    /// Takes no more calls from outside, and fires no more alarms; turns that run may still call.
    pub(crate) fn drain(&self) {
        self.is_draining.store(true, Ordering::Release);
        self.alarm_ends.ring();
    }

    /// Takes no more calls.
    pub(crate) fn close(&self) {
        self.drain();
        self.is_closed.store(true, Ordering::Release);
    }

    /// Whether a call may not enter. `is_from_turn`: a turn makes it.
    pub(crate) fn is_closed_to(&self, is_from_turn: bool) -> bool {
        let door = if is_from_turn { &self.is_closed } else { &self.is_draining };
        door.load(Ordering::Acquire)
    }
}

/// A class group, by its type and without it.
pub(crate) type AnyGroup = (Arc<dyn Any + Send + Sync>, Arc<dyn ClassGroup>);

/// The classes of a runtime. Whoever keeps it keeps the runtime running.
pub(crate) struct Registry {
    shared: Arc<Shared>,
    by_type: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
    /// In the order of their names.
    groups: Vec<Arc<dyn ClassGroup>>,
    /// How the runtime was shut down. `None`: it was not.
    shut_down: tokio::sync::Mutex<Option<Result<(), Error>>>,
}

impl Registry {
    /// `groups`: in the order of their names.
    pub(crate) fn new(shared: Arc<Shared>, groups: Vec<(TypeId, AnyGroup)>) -> Self {
        let (by_type, groups_by_name) = (HashMap::new(), Vec::new());
        let mut registry = Registry {
            shared,
            by_type,
            groups: groups_by_name,
            shut_down: tokio::sync::Mutex::new(None),
        };
        for (type_id, (typed, group)) in groups {
            registry.by_type.insert(type_id, typed);
            registry.groups.push(group);
        }
        registry
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn groups(&self) -> &[Arc<dyn ClassGroup>] {
        &self.groups
    }

    /// The class group that an id is of.
    pub(crate) fn group_owning(&self, id: &ObjectId) -> Result<&Arc<dyn ClassGroup>, Error> {
        self.groups.iter().find(|group| group.owns(id)).ok_or_else(|| {
            Code::IdForeign.error(format!(
                "{id} is not the id of an object of a registered class; \
                 register its class, or use it with the data directory that it came from"
            ))
        })
    }

    pub(crate) fn group<C: Object>(&self) -> Result<Arc<Group<C>>, Error> {
        let group = self.by_type.get(&TypeId::of::<C>()).cloned();
        group.and_then(|group| group.downcast().ok()).ok_or_else(|| {
            Code::ClassUnknown.error(format!(
                "class {} is not registered; add `.register::<{}>()` to the runtime's builder",
                C::CLASS.name,
                type_name::<C>()
            ))
        })
    }
}

impl Registry {
    /// Takes no more calls from outside, stops the tree, lets turns end until the deadline, cuts off those that do not, and
    /// closes the store. Whoever asks while it goes on waits for the same end.
    ///
    /// # Errors
    /// `shutdown.cut`.
    pub(crate) async fn shutdown(&self) -> Result<(), Error> {
        let mut shut_down = self.shut_down.lock().await;
        if let Some(how) = &*shut_down {
            return how.clone();
        }
        self.shared.drain();
        let cut = self.drain_in_time().await;
        self.abandon();
        self.shared.store.close();
        self.shared.service.close();
        let how = if cut.is_empty() { Ok(()) } else { Err(self.cut_off(cut)) };
        *shut_down = Some(how.clone());
        how
    }

    /// Says to all sockets that they are closed, and gives them a moment to say so, too.
    #[cfg(feature = "http")]
    async fn close_sockets(&self) {
        let Shared { host, sockets, .. } = &*self.shared;
        sockets.close();
        self.groups.iter().for_each(|group| group.close_sockets());
        let end = host.clock.now() + SOCKET_SHUTDOWN_GRACE;
        while sockets.count() > 0 && host.clock.now() < end {
            host.clock.sleep_until(host.clock.now() + SOCKET_SHUTDOWN_GRACE / 200).await;
        }
    }

    /// Gives what was cut off.
    async fn drain_in_time(&self) -> Vec<CutOff> {
        let Shared { host, config, service, .. } = &*self.shared;
        let mut draining: BoxFuture<'_, ()> = Box::pin(async {
            // Its objects still hear of that.
            #[cfg(feature = "http")]
            self.close_sockets().await;
            service.stop().await;
            // A turn that ends may still call an object of a class that was emptied.
            while self.groups.iter().any(|group| group.resident() > 0) {
                for group in &self.groups {
                    group.drain().await;
                }
            }
        });
        let deadline = host.clock.now() + config.shutdown_deadline;
        if ends_before(&mut draining, host.clock.sleep_until(deadline)).await {
            return Vec::new();
        }
        self.shared.close();
        let mut cut: Vec<_> = self.groups.iter().flat_map(|group| group.cut()).collect();
        cut.extend(service.running_tasks());
        service.kill();
        let grace = host.clock.now() + CUT_GRACE;
        ends_before(&mut draining, host.clock.sleep_until(grace)).await;
        while host.clock.now() < grace && self.groups.iter().any(|group| !group.is_empty()) {
            host.clock.sleep_until(host.clock.now() + CUT_GRACE / 1_000).await;
        }
        if cut.is_empty() {
            cut.push(CutOff::Tree);
        }
        cut
    }

    fn cut_off(&self, cut: Vec<CutOff>) -> Error {
        let named: Vec<_> = cut.iter().take(CUTS_NAMED_MAX).map(CutOff::to_string).collect();
        let named = named.join(", ");
        let more = match cut.len().saturating_sub(CUTS_NAMED_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        tracing::error!(cut = cut.len(), named, "a shutdown has cut off what did not end");
        Code::ShutdownCut.error(format!(
            "{named}{more} had not ended {:?} after the shutdown began and was cut off, what it had not committed is undone; \
             mend what it waits for, or give it more time with `shutdown_deadline`",
            self.shared.config.shutdown_deadline
        ))
        .with_cut(cut)
    }

    /// Takes no more calls, and ends what runs at once, mid-turn. Whoever waits is told.
    pub(crate) fn abandon(&self) {
        self.shared.close();
        self.shared.service.kill();
        for group in &self.groups {
            group.abandon();
        }
    }
}

/// Whether work ends before a time is over. It goes on afterwards, if it is polled again.
async fn ends_before(work: &mut BoxFuture<'_, ()>, mut time: BoxFuture<'static, ()>) -> bool {
    poll_fn(|task| match work.as_mut().poll(task) {
        Poll::Ready(()) => Poll::Ready(true),
        Poll::Pending => time.as_mut().poll(task).map(|()| false),
    })
    .await
}

impl Drop for Registry {
    /// Closes the store as well: a stub that somebody keeps must not keep the data directory.
    fn drop(&mut self) {
        self.abandon();
        // Those that objects have opened are nobody else's.
        #[cfg(feature = "http")]
        self.groups.iter().for_each(|group| group.close_sockets());
        self.shared.store.close();
    }
}

/// Lives as long as the tokio runtime that the activations run in. When that goes, with this in one of its tasks,
/// nothing can run any more, and whoever waits must be told.
pub(crate) struct Sentinel(pub(crate) Weak<Registry>);

impl Drop for Sentinel {
    fn drop(&mut self) {
        if let Some(registry) = self.0.upgrade() {
            registry.abandon();
        }
    }
}
