//! How a connection begins: the version of HTTP that it speaks, and under TLS who its other end is.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
#[cfg(feature = "tls")]
use tokio_rustls::TlsAcceptor;
#[cfg(feature = "tls")]
use tokio_rustls::rustls::ServerConfig;
#[cfg(feature = "tls")]
use tokio_rustls::server::TlsStream;

use super::opening::Opening;
use super::patient::Patient;
use crate::host::Clock;

/// What a server asks of a connection before it takes requests.
#[derive(Clone)]
pub(super) enum Handshake {
    /// Nothing.
    Plain,
    /// That it is encrypted.
    #[cfg(feature = "tls")]
    Tls(TlsAcceptor),
}

/// A connection that takes requests.
pub(super) enum Begun {
    Plain(Version<TcpStream>),
    /// With the certificate that its other end has shown to be its own.
    #[cfg(feature = "tls")]
    Tls(Version<Box<TlsStream<TcpStream>>>, Option<Certificate>),
}

/// The version of HTTP that it speaks.
pub(super) enum Version<S> {
    Http1(Patient<S>),
    Http2(Patient<S>),
}

/// What the other end of a connection has shown of itself, encoded as DER.
#[derive(Clone)]
pub(super) struct Certificate(pub(super) Arc<[u8]>);

impl Handshake {
    /// TLS by this configuration. Where it says no protocols, they are those that a server speaks.
    #[cfg(feature = "tls")]
    pub(super) fn tls(mut config: Arc<ServerConfig>) -> Self {
        if config.alpn_protocols.is_empty() {
            Arc::make_mut(&mut config).alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
        }
        Handshake::Tls(TlsAcceptor::from(config))
    }

    /// Waits until the connection takes requests.
    ///
    /// # Errors
    /// The connection's; what is wrong with its other end.
    pub(super) async fn begin(
        &self,
        stream: TcpStream,
        clock: Arc<dyn Clock>,
    ) -> io::Result<Begun> {
        match self {
            Handshake::Plain => {
                let opening = Opening::read(&stream).await?;
                let is_http2 = opening.is_http2();
                Ok(Begun::Plain(Version::of(is_http2, Patient::new(stream, opening, clock))))
            }
            #[cfg(feature = "tls")]
            Handshake::Tls(acceptor) => {
                let stream = acceptor.accept(stream).await?;
                let (_, session) = stream.get_ref();
                let is_http2 = session.alpn_protocol() == Some(H2);
                let shown = session.peer_certificates().and_then(|all| all.first());
                let certificate = shown.map(|first| Certificate(Arc::from(first.as_ref())));
                let stream = Patient::new(Box::new(stream), Opening::none(), clock);
                Ok(Begun::Tls(Version::of(is_http2, stream), certificate))
            }
        }
    }
}

/// What HTTP/2 is called when TLS agrees on a protocol.
#[cfg(feature = "tls")]
const H2: &[u8] = b"h2";

impl<S> Version<S> {
    fn of(is_http2: bool, stream: Patient<S>) -> Self {
        if is_http2 { Version::Http2(stream) } else { Version::Http1(stream) }
    }
}
