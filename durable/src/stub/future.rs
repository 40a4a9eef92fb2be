//! Calls on their way: how one is made, what its caller polls, and what a director hears of it.

use std::fmt::{self, Debug};
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context as TaskContext, Poll};

use super::departure::Departure;
use super::options;
use super::patience::Patience;
use super::wire::{over_the_wire, reply_over_the_wire};
use super::{Address, Call, Origin, Sent, Way};
use crate::caller::undecodable;
use crate::class::MethodSpec;
use crate::error::{Error, Outcome};
use crate::host::Event;
use crate::object::inside::{calling_turn, is_in_turn};
use crate::object::{Arrived, BoxFuture, CallSpec, FromError, Object, PendingCall, is_carrying};

/// What a director wants of a call.
#[derive(Clone, Copy)]
pub(super) struct Watched {
    method: &'static MethodSpec,
    /// It was made in this process, so nobody else can tell what it says.
    is_inside: bool,
    is_wired: bool,
}

impl<O: Object, Out: FromError> IntoFuture for Call<O, Out> {
    type Output = Out;
    type IntoFuture = CallFuture<O, Out>;

    fn into_future(self) -> Self::IntoFuture {
        CallFuture { state: State::Unmade(self) }
    }
}

/// A call on its way.
#[must_use = "futures do nothing until they are awaited"]
pub struct CallFuture<O: Object, Out> {
    state: State<O, Out>,
}

pub(super) enum State<O: Object, Out> {
    Unmade(Call<O, Out>),
    Made {
        pending: Arc<PendingCall<O>>,
        unpack: fn(O::Reply) -> Option<Out>,
        patience: Patience,
        /// For errors, which name it.
        object: Address<O>,
        /// `None`: nobody watches.
        watched: Option<Watched>,
    },
    Away {
        reply: BoxFuture<'static, Result<Vec<u8>, Error>>,
        method: &'static MethodSpec,
        unpack: fn(O::Reply) -> Option<Out>,
        object: Address<O>,
    },
    Done,
}

// Nothing in it is pinned: the timer is boxed.
impl<O: Object, Out> Unpin for CallFuture<O, Out> {}

impl<O: Object, Out> Call<O, Out> {
    /// Sends it on its way.
    fn make(self, task: &mut TaskContext<'_>) -> Result<State<O, Out>, Error> {
        match self.address.way()? {
            Way::Here(_) => self.make_here(task),
            Way::Away(_) => self.make_away(),
        }
    }

    fn make_here(self, task: &mut TaskContext<'_>) -> Result<State<O, Out>, Error> {
        let Call { address, mut call, unpack, timeout, durability, options, is_patient, sent } =
            self;
        let Way::Here(target) = address.way()? else { unreachable!("the way was looked at") };
        let permit = target.group.admit_as(is_patient, address.is_inside())?;
        let host = target.group.host();
        let extras = options::extras(options, &call, (&address, sent.is_none()))?;
        let (calling, method) = (calling_turn(target.group.waits()), O::method(&call));
        let time = timeout.or(method.timeout);
        let made = time.map(|_| host.clock.now());
        let own = made.zip(time).map(|(made, time)| made + time);
        // A turn has no more to give than is left of what it was given.
        let deadline = match calling.as_ref().and_then(|turn| turn.deadline) {
            None => own,
            Some(left) => Some(own.map_or(left, |own| own.min(left))),
        };
        let durability = durability.unwrap_or(O::CLASS.durability);
        let (mut number, mut watched) = (0, None);
        if let Some(director) = &host.director {
            let is_inside = sent.is_none();
            let is_wired = is_inside && director.is_wired();
            if is_wired {
                call = over_the_wire::<O>(&call)?;
            }
            watched = Some(Watched { method, is_inside, is_wired });
            let args = if is_inside { O::encode_call(&call).ok() } else { None };
            let own = || Sent { call: director.number_call(), stub: address.number() };
            let Sent { call, stub } = sent.unwrap_or_else(own);
            number = call;
            let (object, class, args) = (&target.id, O::CLASS.name, args.as_deref());
            let from = address.0.origin.as_ref().map(Origin::number);
            let within = calling.as_ref().map(|turn| turn.call);
            director.saw(&Event::Sent {
                object,
                class,
                call,
                stub,
                method,
                durability,
                from,
                within,
                is_patient,
                args,
            });
        }
        let is_free = !method.is_async && !is_in_turn() && !is_carrying();
        let nested = calling.map(|turn| turn.nested);
        let spec =
            CallSpec { method, number, deadline, made, durability, is_patient, nested, extras };
        let pending = PendingCall::new(call, spec, permit);
        match &address.0.origin {
            Some(origin) if address.is_departing() || origin.is_behind() => {
                address.0.departing.fetch_add(1, Ordering::AcqRel);
                let departure =
                    Departure { address: address.clone(), pending: Arc::clone(&pending) };
                origin.shard.release_after(&origin.fence, Arc::new(departure));
            }
            _ => {
                if target.deliver(&pending, time) == Arrived::Unseen {
                    if is_free && host.tasks.lends(task) {
                        target.slot().drive();
                    } else {
                        target.slot().recall();
                    }
                }
            }
        }
        let patience = Patience::until(deadline);
        Ok(State::Made { pending, unpack, patience, object: address, watched })
    }
}

impl<O: Object, Out: FromError> Future for CallFuture<O, Out> {
    type Output = Out;

    fn poll(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Out> {
        if let State::Unmade(_) = &self.state {
            let State::Unmade(call) = std::mem::replace(&mut self.state, State::Done) else {
                unreachable!("the call was just seen")
            };
            match call.make(task) {
                Ok(made) => self.state = made,
                Err(error) => return Poll::Ready(Out::from_error(error)),
            }
        }
        let polled = self.state.poll(task);
        if polled.is_ready() {
            self.state = State::Done;
        }
        polled
    }
}

impl<O: Object, Out: FromError> State<O, Out> {
    fn poll(&mut self, task: &mut TaskContext<'_>) -> Poll<Out> {
        let (reply, unpack, object) = match self {
            State::Made { pending, unpack, patience, object, watched } => {
                let reply = match pending.poll(task) {
                    Poll::Ready(reply) => reply,
                    Poll::Pending => {
                        if !patience.is_over(object, task) {
                            return Poll::Pending;
                        }
                        pending.expire();
                        let Poll::Ready(reply) = pending.poll(task) else { return Poll::Pending };
                        reply
                    }
                };
                let reply = match *watched {
                    None => reply,
                    Some(watched) => object.watch_reply(pending.number(), watched, reply),
                };
                (reply, unpack, object)
            }
            State::Away { reply, method, unpack, object } => {
                let Poll::Ready(reply) = reply.as_mut().poll(task) else { return Poll::Pending };
                let decode = |bytes: Vec<u8>| {
                    O::decode_reply(method.name, &bytes)
                        .map_err(|error| undecodable::<O>(&error, Outcome::Committed))
                };
                (reply.and_then(decode), unpack, object)
            }
            State::Unmade(_) | State::Done => {
                panic!("a call was polled after it had given its answer")
            }
        };
        Poll::Ready(match reply {
            Ok(reply) => unpack(reply).expect("a method's reply is of its own kind"),
            Err(error) => Out::from_error(about(error, object)),
        })
    }
}

impl<O: Object> Address<O> {
    /// Tells the director of a reply, and gives it as it is to reach the caller.
    fn watch_reply(
        &self,
        call: u64,
        watched: Watched,
        reply: Result<O::Reply, Error>,
    ) -> Result<O::Reply, Error> {
        let Watched { method, is_inside, is_wired } = watched;
        let encoded = match &reply {
            Ok(reply) if is_inside => O::encode_reply(reply).unwrap_or_default(),
            _ => Vec::new(),
        };
        let outcome = reply.as_ref().map(|_| encoded.as_slice());
        self.report(|| Event::Answered { call, outcome });
        if is_wired && !method.is_stream {
            reply.and_then(|reply| reply_over_the_wire::<O>(&reply, method))
        } else {
            reply
        }
    }

    fn report<'e>(&self, event: impl FnOnce() -> Event<'e>) {
        if let Ok(Way::Here(target)) = &self.0.way {
            target.group.host().report(event);
        }
    }
}

/// The error of a call, which names the call's object.
fn about<O: Object>(error: Error, object: &Address<O>) -> Error {
    if error.object().is_some() { error } else { error.with_object(format!("{object:?}")) }
}

impl<O: Object, Out> Drop for CallFuture<O, Out> {
    fn drop(&mut self) {
        if let State::Made { pending, object, .. } = &self.state {
            pending.close();
            object.report(|| Event::Abandoned { call: pending.number() });
        }
    }
}

impl<O: Object, Out> Debug for CallFuture<O, Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallFuture").finish_non_exhaustive()
    }
}
