//! Servers and clients that speak TLS, and know each other by their certificates.

use std::sync::Arc;
use std::time::Duration;

use durable::http::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use durable::http::rustls::server::WebPkiClientVerifier;
use durable::http::rustls::{ClientConfig, RootCertStore, ServerConfig};
use durable::http::{Asking, Denial, Edge, Server};
use durable::remote::Remote;
use durable::{Client, Error, Metadata, Outcome, Runtime};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::{Account, started};

/// Whoever signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    roots: Arc<RootCertStore>,
}

/// A certificate and its key.
struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(params.self_signed(&key).unwrap().der().clone()).unwrap();
        Authority { issuer: Issuer::new(params, key), roots: Arc::new(roots) }
    }

    fn identity(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Identity { certificate: certificate.der().clone(), key }
    }

    /// A server that knows its callers by their certificates.
    fn server(&self) -> Arc<ServerConfig> {
        let Identity { certificate, key } = self.identity("localhost");
        let callers = WebPkiClientVerifier::builder(Arc::clone(&self.roots)).build().unwrap();
        let config = ServerConfig::builder().with_client_cert_verifier(callers);
        Arc::new(config.with_single_cert(vec![certificate], key).unwrap())
    }

    /// A server that takes whoever calls.
    pub fn open_server(&self) -> Arc<ServerConfig> {
        let Identity { certificate, key } = self.identity("localhost");
        let config = ServerConfig::builder().with_no_client_auth();
        Arc::new(config.with_single_cert(vec![certificate], key).unwrap())
    }

    /// A client that trusts this authority, and is somebody.
    fn client(&self, identity: Identity) -> Arc<ClientConfig> {
        let config = ClientConfig::builder().with_root_certificates(Arc::clone(&self.roots));
        let Identity { certificate, key } = identity;
        Arc::new(config.with_client_auth_cert(vec![certificate], key).unwrap())
    }

    /// The same without a certificate.
    pub fn nobody(&self) -> Arc<ClientConfig> {
        let config = ClientConfig::builder().with_root_certificates(Arc::clone(&self.roots));
        Arc::new(config.with_no_client_auth())
    }
}

/// A server that `ada` may call, to whom this certificate belongs.
async fn served(authority: &Authority, ada: &Identity) -> (TempDir, Runtime, Server) {
    let (dir, runtime) = started().await;
    let ada = ada.certificate.clone();
    let edge = Edge::new(&runtime).authorize(move |asking: &Asking<'_>| {
        if asking.certificate() != Some(&*ada) {
            return Err(Denial::forbidden("you are not ada"));
        }
        let mut metadata = Metadata::new();
        metadata.set("principal", "ada").unwrap();
        Ok(metadata)
    });
    let server = edge.serve_tls(([127, 0, 0, 1], 0), authority.server()).await.unwrap();
    (dir, runtime, server)
}

fn client(server: &Server, config: Arc<ClientConfig>) -> Client {
    Remote::new(&format!("https://localhost:{}", server.address().port())).tls(config).connect()
}

async fn deposit(client: &Client) -> Result<u64, Error> {
    client.get::<Account>("ada").deposit(5).await
}

#[tokio::test]
async fn callers_are_known_by_their_certificates() {
    let authority = Authority::new();
    let ada = authority.identity("ada");
    let (_dir, _runtime, server) = served(&authority, &ada).await;
    let mallory = client(&server, authority.client(authority.identity("mallory")));
    let error = deposit(&mallory).await.unwrap_err();
    assert_eq!((error.code(), error.message()), ("call.denied", "you are not ada"));
    let client = client(&server, authority.client(ada));
    assert_eq!(deposit(&client).await.unwrap(), 5);
    let principal = client.get::<Account>("ada").carried("principal".to_owned()).await.unwrap();
    assert_eq!(principal.as_deref(), Some("ada"));
}

#[tokio::test]
async fn who_is_not_trusted_gets_no_further_than_the_handshake() {
    let (authority, other) = (Authority::new(), Authority::new());
    let ada = authority.identity("ada");
    let (_dir, runtime, server) = served(&authority, &ada).await;
    for config in [
        // The server wants a certificate, one that it trusts; the client does not trust the server.
        authority.nobody(),
        {
            let Identity { certificate, key } = other.identity("ada");
            let config =
                ClientConfig::builder().with_root_certificates(Arc::clone(&authority.roots));
            Arc::new(config.with_client_auth_cert(vec![certificate], key).unwrap())
        },
        other.client(authority.identity("ada")),
    ] {
        let error = deposit(&client(&server, config)).await.unwrap_err();
        assert_eq!(error.code(), "server.unreachable");
    }
    let plain = Client::connect(&format!("http://{}", server.address()));
    assert_eq!(deposit(&plain).await.unwrap_err().code(), "server.unreachable");
    let other_name = format!("https://127.0.0.1:{}", server.address().port());
    let other_name = Remote::new(&other_name).tls(authority.client(ada)).connect();
    let error = deposit(&other_name).await.unwrap_err();
    assert_eq!((error.code(), error.outcome()), ("server.unreachable", Outcome::NotStarted));
    assert!(error.message().contains("ertificate"), "{error}");
    assert_eq!(runtime.get::<Account>("ada").balance().await.unwrap(), 0);
}

#[tokio::test]
async fn http_1_and_json_go_as_well() {
    let authority = Authority::new();
    let ada = authority.identity("ada");
    let (_dir, _runtime, server) = served(&authority, &ada).await;
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(authority.client(ada)).connect(name, stream).await.unwrap();
    let request = "POST /edge.Account/ada/deposit HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
        content-type: application/json\r\ncontent-length: 11\r\n\r\n{\"cents\":7}";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply).await;
    let reply = String::from_utf8(reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 200 OK") && reply.ends_with("\r\n\r\n7"), "{reply}");
}

/// One that says nothing has no place for ever.
#[tokio::test]
async fn who_does_not_shake_hands_is_cut_off() {
    let authority = Authority::new();
    let ada = authority.identity("ada");
    let (_dir, _runtime, server) = served(&authority, &ada).await;
    let mut silent = TcpStream::connect(server.address()).await.unwrap();
    silent.write_all(&[22, 3, 1]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    tokio::time::pause();
    assert_eq!(silent.read(&mut [0]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn an_address_and_its_settings_fit() {
    let config = Authority::new().nobody();
    for client in [
        Client::connect("https://localhost:1"),
        Remote::new("http://localhost:1").tls(config).connect(),
    ] {
        assert_eq!(deposit(&client).await.unwrap_err().code(), "config.invalid");
    }
}
