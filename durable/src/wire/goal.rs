//! Where sockets lead that objects open.

use std::fmt;
#[cfg(feature = "tls")]
use std::sync::Arc;

use hyper::Uri;
use hyper::header::{HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_PROTOCOL};
#[cfg(feature = "tls")]
use tokio_rustls::rustls::ClientConfig;

use crate::error::{Code, Error};

/// Where a socket leads that an object opens by [`Context::dial`](crate::Context::dial).
///
/// ```
/// use durable::socket::Dial;
///
/// let dial = Dial::to("ws://10.0.0.9:9000/prices?of=tea").header("authorization", "Bearer a long secret").protocol("prices.v1");
/// # let _ = dial;
/// ```
#[derive(Clone, Debug)]
#[must_use = "it is opened by `cx.dial`"]
pub struct Dial {
    url: String,
    headers: Vec<(String, String)>,
    protocols: Vec<String>,
    /// `None`: nobody has said whom it trusts.
    #[cfg(feature = "tls")]
    tls: Option<Arc<ClientConfig>>,
}

impl Dial {
    /// To this URL, of `ws`, or of `wss` with the feature `tls`.
    pub fn to(url: impl Into<String>) -> Self {
        Dial {
            url: url.into(),
            headers: Vec::new(),
            protocols: Vec::new(),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Says this with the request. What the protocol says itself stands over it.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Offers a protocol to be spoken; those that were offered before are preferred.
    pub fn protocol(mut self, protocol: impl Into<String>) -> Self {
        self.protocols.push(protocol.into());
        self
    }

    /// Speaks TLS, for a URL of `wss`: `config` says whom it trusts, and what certificate it shows if it is asked for one.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, config: Arc<ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// # Errors
    /// `config.invalid`.
    pub(crate) fn goal(self) -> Result<Goal, Error> {
        let (uri, port) = self.parsed().map_err(|why| {
            let url = self.url.escape_debug();
            Code::ConfigInvalid.error(format!(
                "`{url}` is no address of a socket: {why}; write it like `ws://127.0.0.1:9000/prices`"
            ))
        })?;
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let (name, value) = header(name, value)?;
            headers.append(name, value);
        }
        if !self.protocols.is_empty() {
            let (name, value) =
                header(SEC_WEBSOCKET_PROTOCOL.as_str(), &self.protocols.join(", "))?;
            headers.insert(name, value);
        }
        Ok(Goal {
            uri,
            port,
            headers,
            #[cfg(feature = "tls")]
            tls: self.tls,
        })
    }

    fn parsed(&self) -> Result<(Uri, u16), &'static str> {
        let uri: Uri = self.url.parse().map_err(|_| "it is no URL")?;
        let port = match (uri.scheme_str(), self.is_guarded()) {
            (Some("ws"), false) => 80,
            (Some("wss"), true) => 443,
            (Some("ws"), true) => return Err("with `tls` it is one of `wss`"),
            (Some("wss"), false) => return Err("one of `wss` needs `Dial::tls`"),
            (Some(_), _) => return Err("it is one of neither `ws` nor `wss`"),
            (None, _) => return Err("it has no scheme"),
        };
        let authority = uri.authority().ok_or("it has no host")?;
        if authority.as_str().contains('@') {
            return Err("it has a password, which belongs into a header");
        }
        let port = authority.port_u16().unwrap_or(port);
        Ok((uri, port))
    }

    #[cfg(feature = "tls")]
    fn is_guarded(&self) -> bool {
        self.tls.is_some()
    }

    #[cfg(not(feature = "tls"))]
    fn is_guarded(&self) -> bool {
        false
    }
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Error> {
    let key = HeaderName::try_from(name).map_err(|error| {
        let name = name.escape_debug();
        Code::ConfigInvalid.error(format!("`{name}` is no name of a header: {error}; mend it"))
    })?;
    let mut value = HeaderValue::try_from(value).map_err(|error| {
        let text = format!("the header `{key}` cannot have its value: {error}; mend it");
        Code::ConfigInvalid.error(text)
    })?;
    value.set_sensitive(key != SEC_WEBSOCKET_PROTOCOL);
    Ok((key, value))
}

/// Where a socket leads, as a host opens it.
#[derive(Clone)]
pub struct Goal {
    uri: Uri,
    port: u16,
    headers: HeaderMap,
    #[cfg(feature = "tls")]
    tls: Option<Arc<ClientConfig>>,
}

impl Goal {
    /// The whole address.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The host, without brackets.
    pub fn host(&self) -> &str {
        let host = self.uri.host().expect("it was looked for");
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port, whether it was said or not.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What is said with the request beside what the protocol says itself.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Whom it trusts. `None`: it is not guarded.
    #[cfg(feature = "tls")]
    pub fn tls(&self) -> Option<&Arc<ClientConfig>> {
        self.tls.as_ref()
    }
}

impl fmt::Debug for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A query may hold what nobody is to read.
        let (host, port, path) = (self.host(), self.port, self.uri.path());
        write!(f, "Goal({host}:{port}{path})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_where_the_url_leads() {
        let goal = Dial::to("ws://[::1]:9000/prices?of=tea").goal().expect("it is one");
        assert_eq!((goal.host(), goal.port(), goal.uri().path()), ("::1", 9_000, "/prices"));
        let goal =
            Dial::to("ws://prices.example").header("x-who", "ada").protocol("a").protocol("b");
        let goal = goal.goal().expect("it is one");
        assert_eq!((goal.host(), goal.port()), ("prices.example", 80));
        assert_eq!(goal.headers()["x-who"], "ada");
        assert_eq!(goal.headers()[SEC_WEBSOCKET_PROTOCOL], "a, b");
        assert!(!format!("{:?}", Dial::to("ws://a/b?token=secret").goal()).contains("secret"));
    }

    #[test]
    fn what_leads_nowhere_is_refused_with_the_reason() {
        for (url, why) in [
            ("", "no URL"),
            ("prices", "no scheme"),
            ("http://prices", "neither `ws` nor `wss`"),
            ("wss://prices", "needs `Dial::tls`"),
            ("ws://ada:secret@prices", "a password"),
        ] {
            let error = Dial::to(url).goal().expect_err(url);
            assert!(error.is(Code::ConfigInvalid) && error.message().contains(why), "{error}");
        }
        let error = Dial::to("ws://prices").header("x y", "").goal().expect_err("no header");
        assert!(error.message().contains("no name of a header"), "{error}");
        let error = Dial::to("ws://prices").header("x", "\n").goal().expect_err("no value");
        assert!(error.message().contains("cannot have its value"), "{error}");
    }
}
