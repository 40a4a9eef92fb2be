//! A server of HTTP/1.1 and HTTP/2: connections up to a bound, each with little time to say what it wants.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::response::IntoResponse;
use futures_util::FutureExt;
use futures_util::future::select;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, HeaderMap};
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::Service;
use super::call::Arrival;
use super::guest;
use super::handshake::{Begun, Certificate, Handshake, Version};
#[cfg(feature = "openapi")]
use super::openapi;
use super::order::Order;
use super::patient::Patient;
use crate::error::{Code, Error};
use crate::host::Host;
use crate::limits::{
    HTTP_ACCEPT_PAUSE, HTTP_CONNECTIONS_MAX, HTTP_HEADER_BYTES_MAX, HTTP_HEADERS_TIMEOUT,
    HTTP_PING_INTERVAL, HTTP_PING_TIMEOUT, HTTP_SHUTDOWN_GRACE, HTTP_STREAMS_MAX,
};
use crate::object::BoxFuture;
use crate::protocol::{FROM, STUB, written};

/// A server that runs. Dropped, it closes all connections at once; [`shutdown`](Self::shutdown) lets requests end.
pub struct Server {
    address: SocketAddr,
    host: Host,
    stage: watch::Sender<Stage>,
    /// One for each connection that there may be.
    places: Arc<Semaphore>,
}

/// The server that a request has come by.
#[derive(Clone)]
pub(super) struct Serving {
    stage: watch::Sender<Stage>,
    /// The connection's place, which a socket keeps when the connection has become one.
    _place: Arc<OwnedSemaphorePermit>,
}

impl Serving {
    /// End when it takes no more requests, and when it closes all connections.
    pub(super) fn closes(&self) -> Vec<BoxFuture<'static, ()>> {
        vec![reached(&self.stage, Stage::Closed), reached(&self.stage, Stage::Closing)]
    }
}

/// How far a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Serving,
    /// Requests that have come are answered; nothing else is taken.
    Closing,
    /// Connections are closed.
    Closed,
}

impl Server {
    pub(super) async fn start(
        host: Host,
        address: SocketAddr,
        (served, handshake): (Arc<Served>, Handshake),
    ) -> Result<Self, Error> {
        let unbound = |error: io::Error| {
            Code::ServerUnbound
                .error(format!("{address} cannot be served: {error}; free it, or take another"))
                .with_source(error)
        };
        let listener = TcpListener::bind(address).await.map_err(unbound)?;
        let address = listener.local_addr().map_err(unbound)?;
        let (stage, _) = watch::channel(Stage::Serving);
        let places = Arc::new(Semaphore::new(HTTP_CONNECTIONS_MAX));
        let door = Listening {
            host: host.clone(),
            listener,
            served,
            handshake,
            stage: stage.clone(),
            places: Arc::clone(&places),
        };
        host.tasks.spawn(Box::pin(door.accept()));
        Ok(Server { address, host, stage, places })
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections and requests, answers those that have come, and closes all connections; those that take longer
    /// than [`HTTP_SHUTDOWN_GRACE`](crate::limits::HTTP_SHUTDOWN_GRACE) are cut off. Shut the runtime down afterwards, so that
    /// requests under way are answered.
    ///
    /// # Cancel safety
    /// If the future is dropped all connections are closed at once.
    pub async fn shutdown(self) {
        self.stage.send_replace(Stage::Closing);
        let all = u32::try_from(HTTP_CONNECTIONS_MAX).expect("it is not so large");
        let clock = &self.host.clock;
        let time_over = clock.sleep_until(clock.now() + HTTP_SHUTDOWN_GRACE);
        let (mut left, mut time_over) = (pin!(self.places.acquire_many(all)), pin!(time_over));
        poll_fn(|task| match left.as_mut().poll(task) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => time_over.as_mut().poll(task),
        })
        .await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stage.send_replace(Stage::Closed);
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Takes connections.
struct Listening {
    host: Host,
    listener: TcpListener,
    served: Arc<Served>,
    handshake: Handshake,
    stage: watch::Sender<Stage>,
    places: Arc<Semaphore>,
}

impl Listening {
    async fn accept(self) {
        let mut closing = reached(&self.stage, Stage::Closing);
        loop {
            let next = pin!(self.next());
            let Some(taken) = unless(&mut closing, next).await else { return };
            match taken {
                Ok((stream, place)) => self.host.tasks.spawn(Box::pin(self.attend(stream, place))),
                Err(error) => {
                    // Most likely there are no more file descriptors until a connection ends.
                    tracing::warn!(%error, "a connection cannot be taken");
                    let clock = &self.host.clock;
                    let pause = clock.sleep_until(clock.now() + HTTP_ACCEPT_PAUSE);
                    if unless(&mut closing, pause).await.is_none() {
                        return;
                    }
                }
            }
        }
    }

    /// The next connection, once there is room for it.
    async fn next(&self) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(io::Error::other)?;
        let (stream, _) = self.listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok((stream, place))
    }

    /// Serves one connection to its end.
    fn attend(
        &self,
        stream: TcpStream,
        place: OwnedSemaphorePermit,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (host, stage) = (self.host.clone(), self.stage.clone());
        let (served, handshake) = (Arc::clone(&self.served), self.handshake.clone());
        let place = Arc::new(place);
        let serving = Serving { stage: stage.clone(), _place: Arc::clone(&place) };
        let served = Attended::new(served, stream.peer_addr().ok(), serving);
        async move {
            let _place = place;
            let clock = &host.clock;
            let time_over = clock.sleep_until(clock.now() + HTTP_HEADERS_TIMEOUT);
            let mut end: BoxFuture<'static, ()> =
                Box::pin(select(reached(&stage, Stage::Closing), time_over).map(drop));
            let begins = handshake.begin(stream, Arc::clone(clock));
            // Nothing was asked for yet, so that nothing is to be answered.
            let Some(Ok(begun)) = unless(&mut end, begins).await else { return };
            match begun {
                Begun::Plain(stream) => serve(stream, served, &stage).await,
                #[cfg(feature = "tls")]
                Begun::Tls(stream, certificate) => {
                    serve(stream, served.by(certificate), &stage).await;
                }
            }
        }
    }
}

/// Serves a connection until it ends, or the server is closed.
async fn serve<S>(stream: Version<S>, served: Attended, stage: &watch::Sender<Stage>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let served = Arc::new(served);
    let served = service_fn(move |request| served.answer(request));
    match stream {
        Version::Http1(stream) => {
            let connection = http1().serve_connection(stream, served).with_upgrades();
            to_its_end(connection, stage).await;
        }
        Version::Http2(stream) => to_its_end(http2().serve_connection(stream, served), stage).await,
    }
}

fn http1() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HTTP_HEADERS_TIMEOUT)
        .max_buf_size(HTTP_HEADER_BYTES_MAX);
    builder
}

fn http2() -> http2::Builder<TokioExecutor> {
    let header_bytes_max = u32::try_from(HTTP_HEADER_BYTES_MAX).expect("it is not so large");
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(HTTP_PING_INTERVAL)
        .keep_alive_timeout(HTTP_PING_TIMEOUT)
        .max_concurrent_streams(HTTP_STREAMS_MAX)
        .max_header_list_size(header_bytes_max);
    builder
}

async fn to_its_end(connection: impl Graceful, stage: &watch::Sender<Stage>) {
    let (mut next, mut is_closing) = (reached(stage, Stage::Closing), false);
    // All connections wait for the same, so it is looked at before it is asked to wake this one once more.
    let (mut seen, mut is_waiting) = (stage.subscribe(), false);
    let mut connection = pin!(connection);
    poll_fn(|task: &mut Context<'_>| {
        if !is_waiting || seen.has_changed().unwrap_or(true) {
            is_waiting = true;
            seen.mark_unchanged();
            while next.as_mut().poll(task).is_ready() {
                if is_closing {
                    return Poll::Ready(());
                }
                connection.as_mut().take_no_more();
                (next, is_closing) = (reached(stage, Stage::Closed), true);
            }
        }
        // What is wrong with a connection is its client's business.
        connection.as_mut().poll(task).map(drop)
    })
    .await;
}

/// A connection of either version.
trait Graceful: Future<Output = hyper::Result<()>> {
    /// Ends when what has come is answered.
    fn take_no_more(self: Pin<&mut Self>);
}

impl<S, A> Graceful for http1::UpgradeableConnection<Patient<S>, A>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: HttpService<Incoming, ResBody = Body, Error = Infallible>,
{
    fn take_no_more(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S, A> Graceful for http2::Connection<Patient<S>, A, TokioExecutor>
where
    S: AsyncRead + AsyncWrite + Unpin,
    A: HttpService<Incoming, ResBody = Body, Error = Infallible, Future: Send + 'static>,
{
    fn take_no_more(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// What a server serves.
pub(super) struct Served {
    pub(super) service: Arc<Service>,
    /// Only this machine is to call, and nothing else says who may.
    pub(super) is_local: bool,
    /// `None`: it is not described.
    #[cfg(feature = "openapi")]
    pub(super) document: Option<openapi::Served>,
}

impl Served {
    /// What is answered without any object. `None`: an object is asked for.
    fn known(&self, request: &Request<Incoming>) -> Option<Response<Body>> {
        if self.is_local
            && let Err(problem) = guest::check_host(request.uri(), request.headers())
        {
            return Some(problem.into_response());
        }
        #[cfg(feature = "openapi")]
        if let Some(document) = &self.document
            && request.uri().path() == openapi::PATH
        {
            return Some(document.answer(request.method(), openapi::PATH));
        }
        None
    }
}

/// A connection that is served.
pub(super) struct Attended {
    served: Arc<Served>,
    order: Mutex<Order>,
    /// The address of its other end. `None`: nobody knows.
    peer: Option<String>,
    /// What its other end has shown. `None`: nothing.
    certificate: Option<Certificate>,
    serving: Serving,
}

impl Attended {
    fn new(served: Arc<Served>, peer: Option<SocketAddr>, serving: Serving) -> Self {
        let peer = peer.map(written);
        Attended { served, order: Mutex::default(), peer, certificate: None, serving }
    }

    /// The server.
    pub(super) fn serving(&self) -> Serving {
        self.serving.clone()
    }

    /// What its other end has shown of itself.
    pub(super) fn certificate(&self) -> Option<&[u8]> {
        self.certificate.as_ref().map(|shown| &*shown.0)
    }

    /// The stub whose calls a request is one of, if this is the connection that its client has made.
    fn stub_of(&self, headers: &HeaderMap) -> Option<u64> {
        let stub = headers.get(STUB)?.to_str().ok()?.parse().ok()?;
        let is_direct = headers.get(FROM)?.as_bytes() == self.peer.as_deref()?.as_bytes();
        is_direct.then_some(stub)
    }

    /// Is called in the order in which requests come.
    fn answer(
        self: &Arc<Self>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Body>, Infallible>> + Send + use<> {
        let by = Arc::clone(self);
        let place = self.stub_of(request.headers()).map(|stub| self.order.lock().place(stub));
        async move {
            let is_head = request.method() == Method::HEAD;
            let response = match by.served.known(&request) {
                Some(response) => response,
                None => by.served.service.respond(request, Arrival { by: Some(&by), place }).await,
            };
            Ok(if is_head { without_body(response) } else { response })
        }
    }

    #[cfg(feature = "tls")]
    fn by(mut self, certificate: Option<Certificate>) -> Self {
        self.certificate = certificate;
        self
    }
}

/// What is answered to HEAD.
fn without_body(response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact() {
        parts.headers.insert(CONTENT_LENGTH, length.into());
    }
    Response::from_parts(parts, Body::empty())
}

/// Ends when the server has come so far, or is gone.
fn reached(stage: &watch::Sender<Stage>, least: Stage) -> BoxFuture<'static, ()> {
    let mut stage = stage.subscribe();
    Box::pin(async move {
        let _ = stage.wait_for(|stage| *stage >= least).await;
    })
}

/// What work gives, unless the end comes before.
async fn unless<T>(end: &mut BoxFuture<'static, ()>, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|task| match end.as_mut().poll(task) {
        Poll::Ready(()) => Poll::Ready(None),
        Poll::Pending => work.as_mut().poll(task).map(Some),
    })
    .await
}
