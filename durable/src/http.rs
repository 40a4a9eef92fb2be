//! Objects over HTTP: routes for an axum program, and a server for one that has none. Feature `http`.
//!
//! The guide [Serve objects over HTTP](crate::guide::serve_over_http) says what a request looks like and what answers it.

mod authorize;
mod call;
mod events;
mod fetch;
mod guest;
mod handshake;
#[cfg(feature = "openapi")]
mod openapi;
mod opening;
mod order;
mod patient;
mod problem;
mod server;
mod socket;
mod typed;
#[cfg(feature = "openapi")]
mod typescript;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "openapi")]
use axum::extract::OriginalUri;
#[cfg(feature = "openapi")]
use axum::http::Method;
use axum::routing::any;

pub use self::authorize::{Asking, Authorize, Denial};
use self::authorize::{DynAuthorize, Guard};
use self::call::answer;
use self::handshake::Handshake;
#[cfg(feature = "openapi")]
pub use self::openapi::{OpenApi, Scheme};
use self::server::Served;
pub use self::server::Server;
use crate::error::{Code, Error};
use crate::exposed::Door;
pub use crate::exposed::{Request, Response};
use crate::limits::{
    HTTP_BODY_BYTES, HTTP_BODY_TIMEOUT, HTTP_TIMEOUT, HTTP_TIMEOUT_MAX, WIRE_BYTES_MAX,
};
use crate::runtime::Runtime;
#[cfg(feature = "tls")]
pub use tokio_rustls::rustls;

/// The routes of a runtime's objects, to be nested into a program's own. Whoever may reach these routes may call: put what
/// authenticates around them, or say [`Edge::authorize`].
///
/// They keep the runtime running.
///
/// ```
/// use durable::prelude::*;
///
/// # #[derive(Default, DurableState)]
/// # struct Account { cents: u64 }
/// #[durable_object(name = "doc.ServedAccount", http)]
/// impl Account {
///     pub fn deposit(&mut self, cents: u64) -> u64 { self.cents += cents; self.cents }
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// # let dir = tempfile::tempdir().unwrap();
/// let runtime = Runtime::builder(dir.path()).register::<Account>().start().await?;
/// // POST /objects/doc.ServedAccount/ada/deposit
/// let app: axum::Router = axum::Router::new().nest("/objects", durable::http::router(&runtime));
/// # Ok(())
/// # }
/// ```
pub fn router(runtime: &Runtime) -> axum::Router {
    Edge::new(runtime).into_router()
}

/// Serves a runtime's objects at `address`, to callers of this machine, with the usual settings. See [`Edge::serve`].
///
/// # Errors
/// `server.unguarded` if `address` is not a loopback address: say by [`Edge::authorize`] who may call; `server.unbound`.
pub async fn serve(runtime: &Runtime, address: impl Into<SocketAddr>) -> Result<Server, Error> {
    Edge::new(runtime).serve(address).await
}

/// What the runtime's classes serve, described as OpenAPI 3.1, in JSON: what `/openapi.json` of [`router`] says. See
/// [`Edge::to_openapi`].
#[cfg(feature = "openapi")]
pub fn openapi(runtime: &Runtime) -> String {
    Edge::new(runtime).to_openapi()
}

/// A client in TypeScript of what the runtime's classes serve: one module without dependencies. See [`Edge::to_typescript`].
#[cfg(feature = "openapi")]
pub fn typescript(runtime: &Runtime) -> String {
    Edge::new(runtime).to_typescript()
}

/// How a runtime's objects are served: settings for [routes](Self::into_router) or a [server](Self::serve).
///
/// ```
/// use std::time::Duration;
/// use durable::prelude::*;
/// use durable::Metadata;
/// use durable::http::{Asking, Denial, Edge};
///
/// # #[derive(Default, DurableState)]
/// # struct Account { cents: u64 }
/// # #[durable_object(name = "doc.EdgeAccount", http)]
/// # impl Account { pub fn deposit(&mut self, cents: u64) -> u64 { self.cents += cents; self.cents } }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let runtime = Runtime::builder(dir.path()).register::<Account>().start().await?;
/// let server = Edge::new(&runtime)
///     .authorize(|asking: &Asking<'_>| match asking.has_bearer("a long secret") {
///         true => Ok(Metadata::new()),
///         false => Err(Denial::unauthenticated("Bearer")),
///     })
///     .timeout(Duration::from_secs(5))
///     .serve(([0, 0, 0, 0], 0))
///     .await?;
/// println!("http://{}", server.address());
/// server.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[must_use = "settings serve nothing"]
pub struct Edge {
    runtime: Runtime,
    settings: Settings,
    /// Sites, beside the one that is asked, whose pages may open sockets.
    origins: Vec<String>,
    /// `None`: nothing is served beside the objects.
    routes: Option<axum::Router>,
    guard: Guard,
    /// `None`: what is served is not described.
    #[cfg(feature = "openapi")]
    openapi: Option<OpenApi>,
}

#[derive(Clone, Copy)]
struct Settings {
    body_bytes_max: usize,
    body_timeout: Duration,
    timeout: Duration,
    timeout_max: Duration,
    /// What travels with calls of typed clients goes on.
    believes_metadata: bool,
}

/// What answers requests.
struct Service {
    runtime: Runtime,
    /// By their classes' names.
    doors: BTreeMap<&'static str, Arc<dyn Door>>,
    settings: Settings,
    origins: Vec<String>,
    /// `None`: nothing is served beside the objects.
    routes: Option<axum::Router>,
    /// `None`: everyone passes.
    authorize: Option<Arc<dyn DynAuthorize>>,
}

impl Edge {
    /// The usual settings.
    pub fn new(runtime: &Runtime) -> Self {
        let settings = Settings {
            body_bytes_max: HTTP_BODY_BYTES,
            body_timeout: HTTP_BODY_TIMEOUT,
            timeout: HTTP_TIMEOUT,
            timeout_max: HTTP_TIMEOUT_MAX,
            believes_metadata: false,
        };
        Edge {
            runtime: runtime.clone(),
            settings,
            origins: Vec::new(),
            routes: None,
            guard: Guard::Unsaid,
            #[cfg(feature = "openapi")]
            openapi: Some(OpenApi::default()),
        }
    }

    /// Asks `authorize` before every call of a method that there is, before the request's body is read. The last one that is said
    /// stands.
    pub fn authorize(mut self, authorize: impl Authorize) -> Self {
        self.guard = Guard::Asked(Arc::new(authorize));
        self
    }

    /// Lets everyone call everything that is served, for networks that others guard.
    pub fn allow_all(mut self) -> Self {
        self.guard = Guard::Open;
        self
    }

    /// Lets pages of another site open sockets, such as `https://chat.example`, and may be said more than once. A browser says from which
    /// site a page is that opens a socket, and sends along what it knows of whoever uses it, such as cookies; pages of other sites than
    /// the one that is asked are refused unless this is said. `*`: those of all sites may.
    pub fn allow_origin(mut self, origin: impl Into<String>) -> Self {
        self.origins.push(origin.into());
        self
    }

    /// Serves routes of the program's own beside the objects, such as pages and a check of its health: they are asked for whatever is not
    /// below the name of a class that is served. [`authorize`](Self::authorize) is not asked about them, and settings that are about
    /// calls are not theirs. The last ones that are said stand.
    ///
    /// ```
    /// use axum::routing::get;
    /// use durable::http::Edge;
    /// # use durable::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let runtime = Runtime::builder(dir.path()).start().await?;
    /// let routes = axum::Router::new().route("/health", get(async || "well"));
    /// let server = Edge::new(&runtime).routes(routes).serve(([127, 0, 0, 1], 0)).await?;
    /// # server.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn routes(mut self, routes: axum::Router) -> Self {
        self.routes = Some(routes);
        self
    }

    /// How many bytes the body of a request may have, 32 MiB at most. Default: 1 MiB.
    pub fn body_bytes_max(mut self, bytes: usize) -> Self {
        self.settings.body_bytes_max = bytes.min(WIRE_BYTES_MAX);
        self
    }

    /// How long the body of a request may take to come. Default: 30 s.
    pub fn body_timeout(mut self, time: Duration) -> Self {
        self.settings.body_timeout = time;
        self
    }

    /// How much time calls have whose request says nothing by `Durable-Timeout`, and whose method says nothing by
    /// `#[rpc(timeout = "5s")]`. Default: 30 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// How much time a request may give its call by `Durable-Timeout`; one that says more gives so much. Default: 5 min.
    pub fn timeout_max(mut self, timeout: Duration) -> Self {
        self.settings.timeout_max = timeout;
        self
    }

    /// Lets all [metadata](crate::Metadata) pass that clients of [`Client::connect`](crate::Client) send with their calls, under
    /// those that [`authorize`](Self::authorize) gives. Otherwise only the trace passes: who can write metadata can say that he is
    /// somebody else, if it is asked who calls by them.
    pub fn believe_metadata(mut self) -> Self {
        self.settings.believes_metadata = true;
        self
    }

    /// What `/openapi.json` says beside what the classes say.
    #[cfg(feature = "openapi")]
    pub fn openapi(mut self, openapi: OpenApi) -> Self {
        self.openapi = Some(openapi);
        self
    }

    /// Serves no `/openapi.json`. A program may still serve [`to_openapi`](Self::to_openapi) to whom it likes.
    #[cfg(feature = "openapi")]
    pub fn without_openapi(mut self) -> Self {
        self.openapi = None;
        self
    }

    /// What the runtime's classes serve, described as OpenAPI 3.1, in JSON. It names the classes and methods that have opted in, and
    /// nothing else. It is the same for everyone and asks [`authorize`](Self::authorize) nothing but its
    /// [scheme](Authorize::scheme).
    #[cfg(feature = "openapi")]
    pub fn to_openapi(&self) -> String {
        format!("{:#}", self.document())
    }

    /// A client in TypeScript of what the runtime's classes serve: the text of one module without dependencies, typed by the same
    /// schemas as [`to_openapi`](Self::to_openapi), for browsers and whatever else has `fetch`.
    ///
    /// ```ts
    /// const bank = new Client("https://bank.example/objects", { headers: { authorization: `Bearer ${token}` } });
    /// const ada = bank.object("bank.Account", "ada");
    /// const cents: number = await ada.deposit({ cents: 500 }, { idempotencyKey: "order-17", timeout: "5s" });
    /// ```
    #[cfg(feature = "openapi")]
    pub fn to_typescript(&self) -> String {
        typescript::client(&self.document())
    }

    /// The routes, as [`router`] gives them, with these settings.
    pub fn into_router(self) -> axum::Router {
        let mut routes = axum::Router::new();
        let takes_more = |door: &Arc<dyn Door>| door.fetch().is_some() || door.entrance().is_some();
        if self.runtime.doors().iter().any(takes_more) {
            routes = routes
                .route("/{class}/{object}", any(answer))
                .route("/{class}/{object}/", any(answer))
                .route("/{class}/{object}/{*rest}", any(answer));
        } else {
            routes = routes.route("/{class}/{object}/{method}", any(answer));
        }
        #[cfg(feature = "openapi")]
        let routes = self.with_document(routes);
        let routes = if self.routes.is_some() { routes.fallback(answer) } else { routes };
        routes.with_state(self.service())
    }

    /// Serves the objects at `address`; port 0 takes a free one. The server goes on until it is shut down or dropped.
    ///
    /// Where nothing says who may call, only this machine may, and only by a name of its own such as `localhost`: a page of another site
    /// could otherwise lead its own name here, and have a browser of this machine call.
    ///
    /// It speaks HTTP/1.1 and HTTP/2 without TLS, takes [`HTTP_CONNECTIONS_MAX`](crate::limits::HTTP_CONNECTIONS_MAX) connections at
    /// a time, and closes one that takes longer than [`HTTP_HEADERS_TIMEOUT`](crate::limits::HTTP_HEADERS_TIMEOUT) for the headers of a
    /// request, or to take what it is sent than [`HTTP_STALL`](crate::limits::HTTP_STALL).
    ///
    /// # Errors
    /// `server.unguarded` if `address` is not a loopback address and nothing says who may call; `server.unbound` if the address
    /// cannot be taken.
    ///
    /// # Cancel safety
    /// Dropped, nothing is served.
    pub async fn serve(self, address: impl Into<SocketAddr>) -> Result<Server, Error> {
        self.serve_by(address.into(), Handshake::Plain).await
    }

    /// As [`serve`](Self::serve), with TLS: `config` has the server's certificate, and says whether callers must show one, which
    /// [`Asking::certificate`] gives to whoever decides. If it names no protocols, those are HTTP/2 and HTTP/1.1.
    ///
    /// The guide [Serve objects over HTTP](crate::guide::serve_over_http#encrypt-it) has an example.
    ///
    /// # Errors
    /// As [`serve`](Self::serve).
    ///
    /// # Cancel safety
    /// Dropped, nothing is served.
    #[cfg(feature = "tls")]
    pub async fn serve_tls(
        self,
        address: impl Into<SocketAddr>,
        config: Arc<rustls::ServerConfig>,
    ) -> Result<Server, Error> {
        self.serve_by(address.into(), Handshake::tls(config)).await
    }

    async fn serve_by(self, address: SocketAddr, handshake: Handshake) -> Result<Server, Error> {
        if matches!(self.guard, Guard::Unsaid) && !address.ip().to_canonical().is_loopback() {
            return Err(Code::ServerUnguarded.error(format!(
                "{address} can be reached by other machines, and nothing says who may call; say it with `authorize`, \
                 or `allow_all` if others guard the network, or serve at 127.0.0.1"
            )));
        }
        let host = self.runtime.host().clone();
        #[cfg(feature = "openapi")]
        let document = self.openapi.as_ref().map(|_| openapi::Served::new(&self.document()));
        let served = Served {
            is_local: matches!(self.guard, Guard::Unsaid),
            #[cfg(feature = "openapi")]
            document,
            service: self.service(),
        };
        Server::start(host, address, (Arc::new(served), handshake)).await
    }

    /// These routes, and that of the document.
    #[cfg(feature = "openapi")]
    fn with_document(&self, routes: axum::Router<Arc<Service>>) -> axum::Router<Arc<Service>> {
        if self.openapi.is_none() {
            return routes;
        }
        let served = Arc::new(openapi::Served::new(&self.document()));
        let answer = async move |verb: Method, OriginalUri(uri): OriginalUri| {
            served.answer(&verb, uri.path())
        };
        routes.route(openapi::PATH, any(answer))
    }

    #[cfg(feature = "openapi")]
    fn document(&self) -> serde_json::Value {
        let scheme = self.guard.asked().map_or_else(Scheme::none, |one| one.scheme());
        let settings = self.openapi.clone().unwrap_or_default();
        openapi::document(&self.runtime.doors(), &settings, &scheme)
    }

    fn service(self) -> Arc<Service> {
        let Edge { runtime, settings, origins, routes, guard, .. } = self;
        let authorize = guard.asked().cloned();
        let doors = runtime.doors().into_iter().map(|door| (door.class(), door)).collect();
        Arc::new(Service { runtime, doors, settings, origins, routes, authorize })
    }
}

impl fmt::Debug for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edge").field("runtime", &self.runtime).finish_non_exhaustive()
    }
}
