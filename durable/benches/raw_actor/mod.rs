//! The baseline without this crate: an actor of ractor that holds a number and answers calls, in
//! memory only.

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};

/// An actor that counts.
#[derive(Debug)]
pub(crate) struct Counter;

/// Both leave the number as it is, as the measured methods do.
#[derive(Debug)]
pub(crate) enum Message {
    Read(RpcReplyPort<u64>),
    Touch(RpcReplyPort<u64>),
}

impl Actor for Counter {
    type Msg = Message;
    type State = u64;
    type Arguments = u64;

    async fn pre_start(
        &self,
        _myself: ActorRef<Message>,
        value: u64,
    ) -> Result<u64, ActorProcessingErr> {
        Ok(value)
    }

    async fn handle(
        &self,
        _myself: ActorRef<Message>,
        message: Message,
        value: &mut u64,
    ) -> Result<(), ActorProcessingErr> {
        let (Message::Read(reply) | Message::Touch(reply)) = message;
        Ok(reply.send(*value)?)
    }
}

/// Starts an actor. Unnamed, because the names of ractor are process-wide and cost more.
pub(crate) async fn spawn(value: u64) -> ActorRef<Message> {
    let (actor, _stopped) = Actor::spawn(None, Counter, value).await.expect("an actor starts");
    actor
}

/// Calls an actor and waits for its answer.
pub(crate) async fn call(
    actor: ActorRef<Message>,
    message: fn(RpcReplyPort<u64>) -> Message,
) -> u64 {
    actor.call(message, None).await.expect("the actor runs").expect("the actor answers")
}
