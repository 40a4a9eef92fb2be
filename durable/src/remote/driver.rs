//! Takes calls to the server: connects, writes them in their order, and gives their answers to whoever waits.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use futures_util::future::{Either, select};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::Base;
use super::answer;
use super::calls::expired;
use crate::error::{Code, Error, Outcome};
use crate::host::Host;
use crate::kernel::in_order::{InOrder, Ticket};
use crate::limits::{
    CLIENT_CONNECT_PAUSE, CLIENT_CONNECT_TIMEOUT, CLIENT_PING_INTERVAL, CLIENT_PING_TIMEOUT,
    CLIENT_TRIES,
};
use crate::protocol::{CALL, FROM, KEEPS_ORDER, STUB, TIMEOUT, written};
use crate::time::MonoNs;

/// A call, from when it is made until it is answered.
pub(super) struct Job {
    pub(super) stub: u64,
    /// Of the method.
    pub(super) uri: Uri,
    pub(super) body: Bytes,
    /// `None`: it has as much time as the server gives it.
    pub(super) deadline: Option<MonoNs>,
    pub(super) stage: Arc<Stage>,
    pub(super) answer: oneshot::Sender<Result<Vec<u8>, Error>>,
    /// To the driver, for whoever waits for the answer.
    pub(super) messages: mpsc::Sender<Message>,
    /// As errors call it.
    pub(super) object: String,
    /// How often it has left.
    pub(super) tries: u32,
    /// Among those that may be under way.
    pub(super) _place: OwnedSemaphorePermit,
}

/// What a driver is told.
pub(super) enum Message {
    Made(Job),
    /// A call of this stub that had left is over.
    Over(u64),
    /// A call that had left was not taken.
    Back(Ticket<Job>),
    /// The other end of this connection keeps the order of calls.
    KeepsOrder(u64),
}

/// How far a call is, for its caller, who says what became of it when its time is over.
#[derive(Default)]
pub(super) struct Stage(AtomicU8);

impl Stage {
    const HERE: u8 = 0;
    const AWAY: u8 = 1;
    const LEFT_ALONE: u8 = 2;

    /// The caller waits no more for one that has not left. Whether that is so; it does not leave then.
    pub(super) fn leave(&self) -> bool {
        self.passes(Self::HERE, Self::LEFT_ALONE)
    }

    /// It leaves. `false`: its caller is gone.
    fn set_out(&self) -> bool {
        self.passes(Self::HERE, Self::AWAY)
    }

    /// It was not taken.
    fn come_back(&self) {
        self.passes(Self::AWAY, Self::HERE);
    }

    fn passes(&self, from: u8, to: u8) -> bool {
        self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// Writes calls to a connection that it makes when there are some.
pub(super) struct Driver {
    host: Host,
    base: Base,
    received: mpsc::Receiver<Message>,
    calls: InOrder<Job>,
    /// `None`: there was none yet.
    connection: Option<Connection>,
}

/// A connection, and where it comes from.
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    from: HeaderValue,
}

impl Driver {
    pub(super) fn new(host: Host, base: Base, received: mpsc::Receiver<Message>) -> Self {
        Driver { host, base, received, calls: InOrder::new(), connection: None }
    }

    /// Goes on until there is neither a client nor a call.
    pub(super) async fn run(mut self) {
        while let Some(message) = self.received.recv().await {
            self.take(message);
            self.drain();
            self.write_all().await;
        }
    }

    fn drain(&mut self) {
        while let Ok(message) = self.received.try_recv() {
            self.take(message);
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Made(job) => self.calls.ask(job.stub, job),
            Message::Over(stub) => self.calls.over(stub),
            Message::Back(ticket) => self.calls.comes_back(ticket),
            Message::KeepsOrder(connection) => self.calls.keeps_order(connection),
        }
    }

    /// Writes all whose turn it is.
    async fn write_all(&mut self) {
        while self.calls.is_any_ready() {
            if self.connection.as_ref().is_none_or(|connection| connection.sender.is_closed()) {
                match self.connect().await {
                    Ok(connection) => self.connection = Some(connection),
                    Err(error) => {
                        self.drain();
                        return self.fail_all(&error);
                    }
                }
                self.calls.connected();
                self.drain();
            }
            while let Some(ticket) = self.calls.next() {
                self.write(ticket);
            }
        }
    }

    fn write(&mut self, mut ticket: Ticket<Job>) {
        let job = &mut ticket.call;
        if job.answer.is_closed() || !job.stage.set_out() {
            return self.calls.over(ticket.stub);
        }
        let now = self.host.clock.now();
        if job.deadline.is_some_and(|deadline| deadline <= now) {
            let _ = ticket.call.answer.send(Err(expired().with_object(ticket.call.object)));
            return self.calls.over(ticket.stub);
        }
        job.tries += 1;
        let connection = self.connection.as_mut().expect("there is one when calls are written");
        let mut request = self.base.request(job, now);
        request.headers_mut().insert(FROM, connection.from.clone());
        // It is in its place among what the connection writes when this returns.
        let sent = connection.sender.try_send_request(request);
        let number = self.calls.connection();
        self.host.tasks.spawn(Box::pin(async move {
            let messages = ticket.call.messages.clone();
            // The driver is there as long as somebody can tell it something.
            let _ = messages.send(attend(sent, ticket, number).await).await;
        }));
    }

    /// A new connection, after a few tries.
    async fn connect(&self) -> Result<Connection, Error> {
        let clock = &self.host.clock;
        let mut pause = CLIENT_CONNECT_PAUSE;
        let mut tries = 1;
        loop {
            let error = match self.connect_once().await {
                Ok(connection) => return Ok(connection),
                Err(error) => error,
            };
            let address = &self.base.authority;
            if tries == CLIENT_TRIES {
                return Err(Code::ServerUnreachable
                    .error(format!(
                        "{address} cannot be reached: {error}; start it, or correct the address"
                    ))
                    .with_source(error));
            }
            tracing::debug!(%error, address, "a server cannot be reached");
            clock.sleep_until(clock.now() + pause).await;
            (pause, tries) = (pause * 2, tries + 1);
        }
    }

    async fn connect_once(&self) -> io::Result<Connection> {
        let clock = &self.host.clock;
        let connecting = Box::pin(async {
            let stream = TcpStream::connect(&self.base.authority).await?;
            stream.set_nodelay(true)?;
            let from =
                HeaderValue::try_from(written(stream.local_addr()?)).map_err(io::Error::other)?;
            let stream = self.base.handshake.begin(stream, &self.base.authority).await?;
            let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .keep_alive_interval(CLIENT_PING_INTERVAL)
                .keep_alive_timeout(CLIENT_PING_TIMEOUT)
                .handshake(TokioIo::new(stream))
                .await
                .map_err(io::Error::other)?;
            Ok::<_, io::Error>((Connection { sender, from }, connection))
        });
        let time_over = clock.sleep_until(clock.now() + CLIENT_CONNECT_TIMEOUT);
        let (sender, connection) = match select(connecting, time_over).await {
            Either::Left((connected, _)) => connected?,
            Either::Right(_) => return Err(io::ErrorKind::TimedOut.into()),
        };
        self.host.tasks.spawn(Box::pin(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to a server has broken");
            }
        }));
        Ok(sender)
    }

    fn fail_all(&mut self, error: &Error) {
        for job in self.calls.give_up() {
            let _ = job.answer.send(Err(error.clone().with_object(job.object)));
        }
    }
}

impl Base {
    fn request(&self, job: &Job, now: MonoNs) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(job.body.clone()));
        *request.method_mut() = Method::POST;
        request.uri_mut().clone_from(&job.uri);
        let headers = request.headers_mut();
        headers.clone_from(&self.headers);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(CALL));
        headers.insert(STUB, HeaderValue::from(job.stub));
        if let Some(deadline) = job.deadline {
            let left = format!("{}ms", (deadline - now).as_millis().max(1));
            headers.insert(TIMEOUT, HeaderValue::try_from(left).expect("it is plain text"));
        }
        request
    }
}

type Sent = Result<Response<Incoming>, TrySendError<Request<Full<Bytes>>>>;

/// Waits for the answer of a call that has left, or until its caller does not. Gives what the driver is to know.
async fn attend(
    sent: impl Future<Output = Sent>,
    mut ticket: Ticket<Job>,
    connection: u64,
) -> Message {
    let over = Message::Over(ticket.stub);
    let job = &mut ticket.call;
    let answered = {
        let messages = &job.messages;
        let answered = Box::pin(async {
            let response = sent.await.map_err(Lost::of)?;
            if response.headers().contains_key(KEEPS_ORDER) {
                let _ = messages.send(Message::KeepsOrder(connection)).await;
            }
            Ok(answer::read(response).await)
        });
        match select(answered, Box::pin(job.answer.closed())).await {
            Either::Left((answered, _)) => answered,
            // What it waits for goes with this: the server is told.
            Either::Right(_) => return over,
        }
    };
    let answer = match answered {
        Ok(answer) => answer,
        Err(Lost::Untaken(_)) if job.tries < CLIENT_TRIES => {
            job.stage.come_back();
            return Message::Back(ticket);
        }
        Err(Lost::Untaken(error)) => Err(broken(error, Outcome::NotStarted)),
        Err(Lost::Unknown(error)) => Err(broken(error, Outcome::Unknown)),
    };
    let Job { answer: caller, object, .. } = ticket.call;
    let _ = caller.send(answer.map_err(|error| error.about(object)));
    over
}

/// Why a call has no answer.
enum Lost {
    /// The server has not taken it.
    Untaken(hyper::Error),
    /// The server may have taken it.
    Unknown(hyper::Error),
}

impl Lost {
    fn of(error: TrySendError<Request<Full<Bytes>>>) -> Self {
        let is_here = error.message().is_some();
        let error = error.into_error();
        if is_here || is_refused(&error) { Lost::Untaken(error) } else { Lost::Unknown(error) }
    }
}

/// Whether the server says that it has not looked at the request: it refused the stream, or goes and has not come to it.
fn is_refused(error: &hyper::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            let is_unseen =
                error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM);
            return error.is_remote() && is_unseen;
        }
        cause = error.source();
    }
    false
}

fn broken(error: hyper::Error, outcome: Outcome) -> Error {
    let next = match outcome {
        Outcome::NotStarted => "call again",
        _ => "read the object to see what became of the call",
    };
    Code::ServerUnreachable
        .error(format!("the connection has broken: {error}; {next}"))
        .with_outcome(outcome)
        .with_source(error)
}
