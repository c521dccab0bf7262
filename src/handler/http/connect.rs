//! Opens connections.
//!
//! Name lookup, connect and the TLS handshake share one limit, `connect_timeout`. If a name has several addresses,
//! each is tried in turn with an equal share of the remaining time, so that an address that drops packets does not use
//! up the time of one that works.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::transport::{Socket, Transport};
use super::transport_error::TransportError;
use crate::config::element::authorities::{self, AuthoritiesError};
use crate::file::shortage::{self, is_shortage};
use crate::task::handler_spec::HttpSpec;
use crate::task::http_url::HttpUrl;

/// TCP keepalive: the idle time before the first probe, the interval, and the number of probes. A server that lost
/// power is found within two minutes, however long a job takes.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 4;

/// The system's trusted certificates: read when the first job needs them, and shared by all tasks.
#[derive(Clone, Default)]
pub(crate) struct SystemTrust(Arc<OnceCell<TlsConnector>>);

/// Opens the connections of one task.
pub(super) struct Connector {
    host: String,
    port: u16,
    timeout: Duration,
    tls: Option<Tls>,
}

struct Tls {
    name: ServerName<'static>,
    ca: Option<PathBuf>,
    connector: SystemTrust,
}

impl Connector {
    /// Makes a connector, or says why that is impossible.
    pub(super) fn new(spec: &HttpSpec, system: SystemTrust) -> Result<Self, String> {
        Self::to(&spec.url, spec.ca_file.clone(), spec.connect_timeout, system)
    }

    /// The same for an address, with the authorities of a file instead of the system's if there is one.
    pub(super) fn to(
        url: &HttpUrl,
        ca: Option<PathBuf>,
        timeout: Duration,
        system: SystemTrust,
    ) -> Result<Self, String> {
        // The certificates of a file belong to this task alone.
        let connector = if ca.is_some() { SystemTrust::default() } else { system };
        let tls = |name| Tls { name, ca, connector };
        let tls = if url.tls {
            let name = ServerName::try_from(url.host.clone());
            Some(tls(name.map_err(|_| format!("no certificate can be for a host called {:?}", url.host))?))
        } else {
            None
        };
        Ok(Self { host: url.host.clone(), port: url.port, timeout, tls })
    }

    /// Opens a connection. Also returns the socket below it, for checks.
    pub(super) async fn connect(&self) -> Result<(Transport, Socket), TransportError> {
        let deadline = Instant::now() + self.timeout;
        let stream = self.tcp(deadline).await?;
        // Sends small messages at once. A connection also works without these options.
        let _ = stream.set_nodelay(true);
        let _ = keep_alive(&stream);
        let socket = Socket::new(stream);
        let Some(tls) = &self.tls else { return Ok((Transport::Plain(socket.clone()), socket)) };
        let connector = tls.connector.0.get_or_try_init(|| trust(tls.ca.clone())).await?;
        match timeout_at(deadline, connector.connect(tls.name.clone(), socket.clone())).await {
            Ok(Ok(stream)) => Ok((Transport::Tls(Box::new(stream)), socket)),
            Ok(Err(error)) => Err(TransportError::of_tls(&error)),
            Err(_) => Err(TransportError::too_late_for_tls(self.timeout)),
        }
    }

    async fn tcp(&self, deadline: Instant) -> Result<TcpStream, TransportError> {
        let found = match timeout_at(deadline, lookup_host((self.host.as_str(), self.port))).await {
            Ok(Ok(found)) => found.collect::<Vec<_>>(),
            Ok(Err(error)) => {
                // The resolver does not always say that it could not look.
                if is_shortage(&error) || shortage::now().is_some() {
                    return Err(TransportError::Short(format!(
                        "the address of {} cannot be found: {error}",
                        self.host
                    )));
                }
                return Err(TransportError::unknown_host(&self.host, &error));
            }
            Err(_) => return Err(TransportError::too_late(self.timeout)),
        };
        let mut failed = TransportError::Connect(format!("{} has no address", self.host));
        for (index, address) in (0_u32..).zip(&found) {
            let left = u32::try_from(found.len()).unwrap_or(u32::MAX).saturating_sub(index).max(1);
            let share = deadline.saturating_duration_since(Instant::now()) / left;
            failed = match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) if is_shortage(&error) => {
                    return Err(TransportError::Short(format!("no socket for {address}: {error}")));
                }
                Ok(Err(error)) => TransportError::Connect(format!("cannot be reached at {address}: {error}")),
                Err(_) => TransportError::too_late(self.timeout),
            };
        }
        Err(failed)
    }
}

fn keep_alive(stream: &TcpStream) -> rustix::io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE_EVERY)?;
    sockopt::set_tcp_keepcnt(stream, KEEPALIVE_PROBES)
}

/// Reads the trusted certificates on a blocking thread, because the system's are many files.
async fn trust(ca: Option<PathBuf>) -> Result<TlsConnector, TransportError> {
    let read = tokio::task::spawn_blocking(move || authorities::load(ca.as_deref())).await;
    let roots = match read {
        Ok(Ok(roots)) => roots,
        Ok(Err(AuthoritiesError::Short(error))) => {
            return Err(TransportError::Short(format!("the certificates to trust cannot be read: {error}")));
        }
        Ok(Err(error)) => {
            return Err(TransportError::Tls(format!(
                "no certificate can be trusted: {error}; name those to trust with ca_file"
            )));
        }
        Err(error) => return Err(TransportError::Tls(format!("the certificates to trust were not read: {error}"))),
    };
    client_config(roots).map(|config| TlsConnector::from(Arc::new(config)))
}

fn client_config(roots: RootCertStore) -> Result<ClientConfig, TransportError> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| TransportError::Tls(format!("no version of TLS: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
