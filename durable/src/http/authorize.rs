//! Who may call what.

use std::fmt;
use std::future::{Future, ready};
use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

#[cfg(feature = "openapi")]
use super::Scheme;
use crate::caller::WhoKey;
use crate::exposed::Verb;
use crate::id::ObjectId;
use crate::metadata::Metadata;
use crate::object::BoxFuture;

/// Says who may call what: a closure that answers at once, or a type that may wait.
///
/// ```
/// use durable::Metadata;
/// use durable::http::{Asking, Authorize, Denial};
///
/// /// Everyone has the account that is called like them.
/// struct Owners;
///
/// impl Authorize for Owners {
///     async fn authorize(&self, asking: &Asking<'_>) -> Result<Metadata, Denial> {
///         let token = asking.bearer().ok_or(Denial::unauthenticated("Bearer"))?;
///         let principal = look_up(token).await.ok_or(Denial::unauthenticated("Bearer"))?;
///         if asking.class() != "bank.Account" || asking.name() != Some(&principal) {
///             return Err(Denial::forbidden("it is not your account"));
///         }
///         // It travels with the call, where interceptors and methods read it.
///         let mut metadata = Metadata::new();
///         metadata.set("principal", &principal).map_err(|error| Denial::forbidden(error.message()))?;
///         Ok(metadata)
///     }
/// }
/// # async fn look_up(token: &str) -> Option<String> { (token == "t").then(|| "ada".to_owned()) }
/// ```
pub trait Authorize: Send + Sync + 'static {
    /// Lets a call pass, with what is to travel with it.
    ///
    /// # Errors
    /// Why it does not pass; nothing has happened then.
    fn authorize(
        &self,
        asking: &Asking<'_>,
    ) -> impl Future<Output = Result<Metadata, Denial>> + Send;

    /// How callers say who they are, for `/openapi.json`: [`Scheme::bearer`] unless it is said. It changes nothing else.
    #[cfg(feature = "openapi")]
    fn scheme(&self) -> Scheme {
        Scheme::bearer()
    }
}

impl<F> Authorize for F
where
    F: Fn(&Asking<'_>) -> Result<Metadata, Denial> + Send + Sync + 'static,
{
    fn authorize(
        &self,
        asking: &Asking<'_>,
    ) -> impl Future<Output = Result<Metadata, Denial>> + Send {
        ready(self(asking))
    }
}

/// A request for a call, before its body is read.
pub struct Asking<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) query: &'a str,
    pub(super) certificate: Option<&'a [u8]>,
    pub(super) class: &'a str,
    pub(super) object: &'a WhoKey,
    pub(super) method: &'a str,
    pub(super) verb: Verb,
}

impl<'a> Asking<'a> {
    /// The headers of the request.
    pub fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    /// The request's query, what stands behind the `?`, as it came. A page of a browser can send no headers with a socket that it opens, so
    /// that a ticket for it stands here, in a cookie, or in `Sec-WebSocket-Protocol`; servers write queries into logs, so let it be one
    /// that is used once.
    pub fn query(&self) -> &'a str {
        self.query
    }

    /// The text of `Authorization: Bearer …`. `None`: there is none, or more than one.
    pub fn bearer(&self) -> Option<&'a str> {
        let mut all = self.headers.get_all(AUTHORIZATION).iter();
        let (Some(only), None) = (all.next(), all.next()) else { return None };
        let (scheme, token) = only.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }

    /// The certificate of whoever calls, encoded as DER, if the server (`Edge::serve_tls`) has asked for one, which it then
    /// has checked: it is signed by whom the server trusts, and the caller has its key. `None`: there is none.
    pub fn certificate(&self) -> Option<&'a [u8]> {
        self.certificate
    }

    /// Whether [`bearer`](Self::bearer) is this, which it takes as long to find out whatever it is.
    pub fn has_bearer(&self, token: &str) -> bool {
        let given = self.bearer().unwrap_or_default().as_bytes();
        let differing =
            given.iter().zip(token.as_bytes()).fold(0, |all, (one, other)| all | (one ^ other));
        !token.is_empty() && given.len() == token.len() && differing == 0
    }

    /// The object's class, which is served.
    pub fn class(&self) -> &'a str {
        self.class
    }

    /// The object's name. `None`: it is asked for by its [id](Self::id).
    pub fn name(&self) -> Option<&'a str> {
        match self.object {
            WhoKey::Name(name) => Some(name),
            WhoKey::Id(_) => None,
        }
    }

    /// The object's id. `None`: it is asked for by its [name](Self::name).
    pub fn id(&self) -> Option<ObjectId> {
        match self.object {
            WhoKey::Name(_) => None,
            WhoKey::Id(id) => Some(*id),
        }
    }

    /// The method, by its name on wires.
    pub fn method(&self) -> &'a str {
        self.method
    }

    /// Whether it is asked for by GET, so that it only reads. One that is asked for by POST may only read, too.
    pub fn is_get(&self) -> bool {
        self.verb == Verb::Get
    }
}

impl fmt::Debug for Asking<'_> {
    /// Without the headers, in which secrets stand.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asking")
            .field("class", &self.class)
            .field("object", &self.object)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// Why a call does not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// What the caller may authenticate by. `None`: it is known who asks.
    pub(super) challenge: Option<String>,
    pub(super) reason: String,
}

impl Denial {
    /// It is not known who asks: 401. `challenge`: the text of `WWW-Authenticate`, such as `Bearer`.
    pub fn unauthenticated(challenge: impl Into<String>) -> Self {
        let reason = "it is not known who calls; say it in `Authorization`".to_owned();
        Denial { challenge: Some(challenge.into()), reason }
    }

    /// Who asks may not: 403. `reason`: what the caller is told.
    pub fn forbidden(reason: impl Into<String>) -> Self {
        Denial { challenge: None, reason: reason.into() }
    }
}

/// Who may call.
pub(super) enum Guard {
    /// Nobody has said.
    Unsaid,
    /// Everyone.
    Open,
    /// Whoever passes here.
    Asked(Arc<dyn DynAuthorize>),
}

impl Guard {
    /// Who is asked. `None`: everyone passes.
    pub(super) fn asked(&self) -> Option<&Arc<dyn DynAuthorize>> {
        match self {
            Guard::Unsaid | Guard::Open => None,
            Guard::Asked(authorize) => Some(authorize),
        }
    }
}

/// An [`Authorize`] without its type.
pub(super) trait DynAuthorize: Send + Sync {
    fn ask<'a>(&'a self, asking: &'a Asking<'a>) -> BoxFuture<'a, Result<Metadata, Denial>>;

    #[cfg(feature = "openapi")]
    fn scheme(&self) -> Scheme;
}

impl<A: Authorize> DynAuthorize for A {
    fn ask<'a>(&'a self, asking: &'a Asking<'a>) -> BoxFuture<'a, Result<Metadata, Denial>> {
        Box::pin(self.authorize(asking))
    }

    #[cfg(feature = "openapi")]
    fn scheme(&self) -> Scheme {
        Authorize::scheme(self)
    }
}
