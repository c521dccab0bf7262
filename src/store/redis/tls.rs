//! Encrypted connections: which certificates are trusted, and which one is shown.
//!
//! Uses rustls over ring, so that a build needs no more than a C compiler. Without a `ca` file the certificates of the system
//! are trusted.

use std::sync::Arc;

use fred::rustls::ClientConfig;
use fred::rustls::crypto::ring;
use fred::rustls::pki_types::PrivateKeyDer;
use fred::rustls::pki_types::pem::PemObject as _;
use fred::types::config::{TlsConfig, TlsConnector, TlsHostMapping};

use crate::config::element::authorities::{self, AuthoritiesError};
use crate::config::element::redis_url::{RedisUrl, Topology};
use crate::config::element::tls_files::TlsFiles;
use crate::store::error::StoreError;

/// What the client library needs to encrypt.
pub(super) fn configured(url: &RedisUrl, files: &TlsFiles) -> Result<TlsConfig, StoreError> {
    let unusable = |what: String| StoreError::Unsupported(what);
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(format!("no version of TLS: {error}")))?
        .with_root_certificates(authorities::load(files.ca.as_deref()).map_err(|error| untrusting(&error))?);
    let config = match &files.identity {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let chain = authorities::certificates(cert).map_err(|error| untrusting(&error))?;
            let pem = authorities::pem(key).map_err(|error| untrusting(&error))?;
            let secret = PrivateKeyDer::from_pem_slice(&pem)
                .map_err(|error| unusable(format!("{} holds no private key: {error}", key.display())))?;
            builder.with_client_auth_cert(chain, secret).map_err(|error| {
                unusable(format!("{} and {} do not go together: {error}", cert.display(), key.display()))
            })?
        }
    };
    Ok(TlsConfig { connector: TlsConnector::from(config), hostnames: hostnames(url) })
}

/// The nodes of a Cluster announce addresses, and few certificates are for addresses. So their certificates are compared
/// with the name in the URL.
fn hostnames(url: &RedisUrl) -> TlsHostMapping {
    match &url.topology {
        Topology::Cluster(hosts) if hosts.iter().any(|host| host.name.parse::<std::net::IpAddr>().is_err()) => {
            TlsHostMapping::DefaultHost
        }
        _ => TlsHostMapping::None,
    }
}

/// The remedy names the keys of the configuration.
fn untrusting(error: &AuthoritiesError) -> StoreError {
    StoreError::Unsupported(match error {
        AuthoritiesError::File(why) | AuthoritiesError::Short(why) => why.clone(),
        AuthoritiesError::NoneInSystem => format!("{error}: name those to trust, [store.tls] ca = \"ca.pem\""),
    })
}
