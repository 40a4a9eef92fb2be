//! What a client asks of a connection before it sends calls.

use std::io;
#[cfg(feature = "tls")]
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
#[cfg(feature = "tls")]
use tokio_rustls::TlsConnector;
#[cfg(feature = "tls")]
use tokio_rustls::rustls::{ClientConfig, pki_types::ServerName};

/// How connections are guarded.
#[derive(Clone)]
pub(super) enum Handshake {
    /// Not at all.
    Plain,
    /// The other end is whom it says it is, and nobody between reads.
    #[cfg(feature = "tls")]
    Tls(TlsConnector),
}

/// The bytes of a connection of either kind.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Handshake {
    /// TLS by this configuration, of HTTP/2.
    #[cfg(feature = "tls")]
    pub(super) fn tls(mut config: Arc<ClientConfig>) -> Self {
        Arc::make_mut(&mut config).alpn_protocols = vec![b"h2".to_vec()];
        Handshake::Tls(TlsConnector::from(config))
    }

    pub(super) fn is_plain(&self) -> bool {
        matches!(self, Handshake::Plain)
    }

    /// What URLs begin with.
    pub(super) fn scheme(&self) -> &'static str {
        if self.is_plain() { "http" } else { "https" }
    }

    /// Waits until the connection takes calls. `authority`: whom it leads to.
    ///
    /// # Errors
    /// The connection's; what is wrong with its other end.
    pub(super) async fn begin(
        &self,
        stream: TcpStream,
        authority: &str,
    ) -> io::Result<Box<dyn Stream>> {
        match self {
            Handshake::Plain => {
                let _ = authority;
                Ok(Box::new(stream))
            }
            #[cfg(feature = "tls")]
            Handshake::Tls(connector) => {
                let (host, _) = authority.rsplit_once(':').expect("it has a port");
                let host = host.trim_start_matches('[').trim_end_matches(']');
                let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
                Ok(Box::new(connector.connect(name, stream).await?))
            }
        }
    }
}
