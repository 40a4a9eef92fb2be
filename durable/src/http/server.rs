//! A server of HTTP/1.1: connections up to a bound, each with little time to say what it wants.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::patient::Patient;
use crate::error::{Code, Error};
use crate::host::Host;
use crate::limits::{
    HTTP_ACCEPT_PAUSE, HTTP_CONNECTIONS_MAX, HTTP_HEADER_BYTES_MAX, HTTP_HEADERS_MAX,
    HTTP_HEADERS_TIMEOUT, HTTP_SHUTDOWN_GRACE,
};
use crate::object::BoxFuture;

/// A server that runs. Dropped, it closes all connections at once; [`shutdown`](Self::shutdown) lets requests end.
pub struct Server {
    address: SocketAddr,
    host: Host,
    stage: watch::Sender<Stage>,
    /// One for each connection that there may be.
    places: Arc<Semaphore>,
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
        routes: axum::Router,
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
            routes,
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
    routes: axum::Router,
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
        let service = TowerToHyperService::new(self.routes.clone());
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HTTP_HEADERS_TIMEOUT)
            .max_headers(HTTP_HEADERS_MAX)
            .max_buf_size(HTTP_HEADER_BYTES_MAX)
            .serve_connection(Patient::new(stream, Arc::clone(&self.host.clock)), service);
        let mut closing = Some(reached(&self.stage, Stage::Closing));
        let mut closed = reached(&self.stage, Stage::Closed);
        async move {
            let _place = place;
            let mut connection = pin!(connection);
            poll_fn(|task: &mut Context<'_>| {
                if closing.as_mut().is_some_and(|closing| closing.as_mut().poll(task).is_ready()) {
                    closing = None;
                    connection.as_mut().graceful_shutdown();
                }
                if closed.as_mut().poll(task).is_ready() {
                    return Poll::Ready(());
                }
                // What is wrong with a connection is its client's business.
                connection.as_mut().poll(task).map(drop)
            })
            .await;
        }
    }
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
