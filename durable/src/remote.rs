//! Objects of a runtime elsewhere, through the stubs that they have here: calls over HTTP/2 to what
//! [`durable::http`](crate::http) serves. Feature `client`.
//!
//! The guide [Serve objects over HTTP](crate::guide::serve_over_http) says what is the same and what is not.

mod answer;
mod calls;
mod driver;
mod handshake;

use std::sync::Arc;

use hyper::Uri;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

#[cfg(feature = "tls")]
pub use tokio_rustls::rustls;

use self::calls::Calls;
use self::handshake::Handshake;
use crate::client::Client;
use crate::error::{Code, Error};
use crate::host::Host;

impl Client {
    /// A client of the runtime whose objects are served at `url`, such as `http://10.0.0.7:8080/objects`. It connects when the
    /// first call is made, and again whenever its connection has broken. [`Remote`] has settings.
    ///
    /// A call that has no answer when its connection breaks fails with `server.unreachable`, and its
    /// [outcome](Error::outcome) says whether it can have run; one that cannot is made again, on the next connection, in its
    /// time. Calls of one stub begin in the order in which they are made.
    ///
    /// # Panics
    /// Outside of a tokio runtime: its connections live on the runtime that this is called in.
    ///
    /// ```
    /// # use durable::prelude::*;
    /// # #[derive(Default, DurableState)]
    /// # struct Account { cents: u64 }
    /// #[durable_object(name = "doc.RemoteAccount", http)]
    /// impl Account {
    ///     pub fn deposit(&mut self, cents: u64) -> u64 { self.cents += cents; self.cents }
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let runtime = Runtime::builder(dir.path()).register::<Account>().start().await?;
    /// # #[cfg(feature = "http")] {
    /// # let server = durable::http::serve(&runtime, ([127, 0, 0, 1], 0)).await?;
    /// # let url = format!("http://{}", server.address());
    /// let bank = durable::Client::connect(&url);
    /// let ada = bank.get::<Account>("ada");
    /// assert_eq!(ada.deposit(500).await?, 500);
    /// # }
    /// # Ok(())
    /// # }
    /// ```
    pub fn connect(url: &str) -> Client {
        Remote::new(url).connect()
    }
}

/// Settings of a client of a runtime elsewhere.
///
/// ```
/// # async fn connect(token: &str) -> Result<durable::Client, durable::Error> {
/// use durable::remote::Remote;
///
/// let client = Remote::new("http://10.0.0.7:8080/objects").bearer(token)?.connect();
/// # Ok(client)
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "settings make no calls"]
pub struct Remote {
    url: String,
    headers: HeaderMap,
    /// `None`: nobody has said whom it trusts.
    #[cfg(feature = "tls")]
    tls: Option<Arc<rustls::ClientConfig>>,
}

impl Remote {
    /// The runtime whose objects are served at `url`.
    pub fn new(url: &str) -> Self {
        Remote {
            url: url.to_owned(),
            headers: HeaderMap::new(),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Says by `Authorization: Bearer …` who calls.
    ///
    /// # Errors
    /// `config.invalid` if the token has characters that no header may have.
    pub fn bearer(self, token: &str) -> Result<Self, Error> {
        self.said(AUTHORIZATION, &format!("Bearer {token}"))
    }

    /// Says this with every request. What the protocol says itself stands over it.
    ///
    /// # Errors
    /// `config.invalid` if it is no header.
    pub fn header(self, name: &str, value: &str) -> Result<Self, Error> {
        let name = HeaderName::try_from(name).map_err(|error| {
            let name = name.escape_debug();
            Code::ConfigInvalid.error(format!("`{name}` is no name of a header: {error}; mend it"))
        })?;
        self.said(name, value)
    }

    /// Speaks TLS, for a URL of `https`: `config` says whom it trusts, and what certificate it shows if it is asked for one.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    fn said(mut self, name: HeaderName, value: &str) -> Result<Self, Error> {
        let mut value = HeaderValue::try_from(value).map_err(|error| {
            let text = format!("the header `{name}` cannot have its value: {error}; mend it");
            Code::ConfigInvalid.error(text)
        })?;
        // It is not written into logs, and not kept in tables that an attacker could measure.
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(self)
    }

    /// A client with these settings. If the URL is none, its calls say so by `config.invalid`.
    ///
    /// # Panics
    /// Outside of a tokio runtime: its connections live on the runtime that this is called in.
    pub fn connect(self) -> Client {
        let handshake = self.handshake();
        let base = Base::parse(&self.url, self.headers, handshake);
        Client::away(Arc::new(Calls::new(Host::os(), base)))
    }
}

impl Remote {
    #[cfg(feature = "tls")]
    fn handshake(&self) -> Handshake {
        self.tls.clone().map_or(Handshake::Plain, Handshake::tls)
    }

    #[cfg(not(feature = "tls"))]
    fn handshake(&self) -> Handshake {
        Handshake::Plain
    }
}

/// Where a runtime is, and what is said with every request.
#[derive(Clone)]
struct Base {
    /// Host and port.
    authority: String,
    /// What stands before the class, without a `/` at its end.
    path: String,
    headers: HeaderMap,
    handshake: Handshake,
}

impl Base {
    fn parse(url: &str, headers: HeaderMap, handshake: Handshake) -> Result<Base, Error> {
        let wrong = |why: &str| {
            let url = url.escape_debug();
            Code::ConfigInvalid.error(format!(
                "`{url}` is no address of a runtime: {why}; write it like `http://127.0.0.1:8080/objects`"
            ))
        };
        let uri: Uri = url.parse().map_err(|_| wrong("it is no URL"))?;
        let port = match (uri.scheme_str(), handshake.is_plain()) {
            (Some("http"), true) => 80,
            (Some("https"), false) => 443,
            (Some("http"), false) => return Err(wrong("with `tls` it is one of `https`")),
            (Some("https"), true) => return Err(wrong("one of `https` needs `Remote::tls`")),
            (Some(_), _) => return Err(wrong("it is one of neither `http` nor `https`")),
            (None, _) => return Err(wrong("it has no scheme")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("it has a password, which belongs into a header"));
        }
        if uri.query().is_some() {
            return Err(wrong("it has a query"));
        }
        let (host, port) = (authority.host(), authority.port_u16().unwrap_or(port));
        let path = uri.path().trim_end_matches('/').to_owned();
        Ok(Base { authority: format!("{host}:{port}"), path, headers, handshake })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_path() {
        let parsed = |url| {
            let base = Base::parse(url, HeaderMap::new(), Handshake::Plain);
            base.map(|base| (base.authority, base.path)).map_err(|error| error.message().to_owned())
        };
        assert_eq!(parsed("http://a:1"), Ok(("a:1".to_owned(), String::new())));
        assert_eq!(parsed("http://a/b/c/"), Ok(("a:80".to_owned(), "/b/c".to_owned())));
        assert_eq!(parsed("http://[::1]:2/"), Ok(("[::1]:2".to_owned(), String::new())));
        for (url, why) in [
            ("https://a", "needs `Remote::tls`"),
            ("ftp://a", "one of neither"),
            ("a:1", "no scheme"),
            ("/a", "no scheme"),
            ("http://u:p@a", "a password"),
            ("http://a/?b", "a query"),
            ("http://\n", "no URL"),
            ("", "no URL"),
        ] {
            let error = parsed(url).expect_err(url);
            assert!(error.contains(why) && error.ends_with("/objects`"), "{url}: {error}");
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let remote = Remote::new("http://a");
        assert!(remote.clone().bearer("a\nb").is_err_and(|error| error.is(Code::ConfigInvalid)));
        assert!(remote.header("a b", "c").is_err_and(|error| error.is(Code::ConfigInvalid)));
    }
}
