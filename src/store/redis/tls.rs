//! Encrypted connections: whom to trust and as whom to appear.
//!
//! By rustls over ring, so that a build needs no more than a C compiler. Without a `ca` file the certificates count
//! that the system trusts.

use std::path::Path;
use std::sync::Arc;

use fred::rustls::crypto::ring;
use fred::rustls::pki_types::pem::PemObject as _;
use fred::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use fred::rustls::{ClientConfig, RootCertStore};
use fred::types::config::{TlsConfig, TlsConnector, TlsHostMapping};

use crate::config::element::redis_url::{Place, RedisUrl};
use crate::config::element::tls_files::TlsFiles;
use crate::store::error::StoreError;

/// What the client library needs to encrypt.
pub(super) fn configured(url: &RedisUrl, files: &TlsFiles) -> Result<TlsConfig, StoreError> {
    let unusable = |what: String| StoreError::Unsupported(what);
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(format!("no version of TLS: {error}")))?
        .with_root_certificates(roots(files.ca.as_deref())?);
    let config = match &files.identity {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let chain = certificates(cert)?;
            let secret = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| unusable(format!("{} holds no private key: {error}", key.display())))?;
            builder.with_client_auth_cert(chain, secret).map_err(|error| {
                unusable(format!("{} and {} do not go together: {error}", cert.display(), key.display()))
            })?
        }
    };
    Ok(TlsConfig { connector: TlsConnector::from(config), hostnames: hostnames(url) })
}

/// The nodes of a Cluster announce addresses, for which few have certificates: then the name counts by which the
/// Cluster was asked.
fn hostnames(url: &RedisUrl) -> TlsHostMapping {
    match &url.place {
        Place::Cluster(hosts) if hosts.iter().any(|host| host.name.parse::<std::net::IpAddr>().is_err()) => {
            TlsHostMapping::DefaultHost
        }
        _ => TlsHostMapping::None,
    }
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, StoreError> {
    let mut roots = RootCertStore::empty();
    if let Some(ca) = ca {
        for certificate in certificates(ca)? {
            roots.add(certificate).map_err(|error| {
                StoreError::Unsupported(format!("{} holds an unusable certificate: {error}", ca.display()))
            })?;
        }
        return Ok(roots);
    }
    // Some that the system trusts may be none for us; if all are, nothing can be trusted.
    let found = fred::rustls_native_certs::load_native_certs();
    if roots.add_parsable_certificates(found.certs).0 == 0 {
        return Err(StoreError::Unsupported(
            "the system trusts no certificates: name those to trust, [store.tls] ca = \"ca.pem\"".to_owned(),
        ));
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(StoreError::Unsupported(format!("{} holds no certificate", path.display()))),
        Err(error) => Err(StoreError::Unsupported(format!("{} holds no certificate: {error}", path.display()))),
    }
}
