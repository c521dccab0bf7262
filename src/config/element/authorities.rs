//! Certificate authorities: whose signature under a server's certificate is trusted.

use std::path::Path;

use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

/// Why there is nobody to trust.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthoritiesError {
    /// The file is none of certificates.
    #[error("{0}")]
    File(String),
    /// Without a file the system's count, and there are none.
    #[error("the system trusts no certificates")]
    NoneInSystem,
}

/// The authorities of a file, or those that the system trusts.
///
/// # Errors
/// If there is not one that can be used, or one in the file that cannot.
pub fn load(ca: Option<&Path>) -> Result<RootCertStore, AuthoritiesError> {
    let mut roots = RootCertStore::empty();
    if let Some(ca) = ca {
        for certificate in certificates(ca)? {
            roots.add(certificate).map_err(|error| {
                AuthoritiesError::File(format!("{} holds an unusable certificate: {error}", ca.display()))
            })?;
        }
        return Ok(roots);
    }
    // Some that the system trusts may be none for us; if all are, nothing can be trusted.
    let found = rustls_native_certs::load_native_certs();
    if roots.add_parsable_certificates(found.certs).0 == 0 {
        return Err(AuthoritiesError::NoneInSystem);
    }
    Ok(roots)
}

/// All certificates of a PEM file, at least one.
///
/// # Errors
/// If it holds none, or something that is none.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, AuthoritiesError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(AuthoritiesError::File(format!("{} holds no certificate", path.display()))),
        Err(error) => Err(AuthoritiesError::File(format!("{} holds no certificate: {error}", path.display()))),
    }
}
