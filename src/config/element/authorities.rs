//! Certificate authorities: the issuers of server certificates that are trusted.

use std::path::Path;

use rustls_native_certs::ErrorKind;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use crate::file::bounded::{self, FileError};
use crate::file::shortage::is_shortage;

/// Why there are no authorities.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthoritiesError {
    /// The file is not a file of certificates.
    #[error("{0}")]
    File(String),
    /// Descriptors or memory ran out while they were read.
    #[error("{0}")]
    Short(String),
    /// No file is configured, and the system has no authorities.
    #[error("the system trusts no certificates")]
    NoneInSystem,
}

/// The authorities of a file, or those that the system trusts.
///
/// # Errors
/// If there is no usable authority, or if the file contains an unusable one.
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
    // Some authorities of the system may be unusable. It is an error only if all are.
    let found = rustls_native_certs::load_native_certs();
    // Nor is a part of them all.
    let short =
        found.errors.iter().find(|error| matches!(&error.kind, ErrorKind::Io { inner, .. } if is_shortage(inner)));
    if let Some(error) = short {
        return Err(AuthoritiesError::Short(error.to_string()));
    }
    if roots.add_parsable_certificates(found.certs).0 == 0 {
        return Err(AuthoritiesError::NoneInSystem);
    }
    Ok(roots)
}

/// The bytes of a PEM file.
///
/// # Errors
/// If it cannot be read, or is no regular file of a fitting size.
pub fn pem(path: &Path) -> Result<Vec<u8>, AuthoritiesError> {
    bounded::read(path, bounded::CERTIFICATES).map_err(|error| {
        let text = format!("{} cannot be read: {error}", path.display());
        match error {
            FileError::Io(error) if is_shortage(&error) => AuthoritiesError::Short(text),
            _ => AuthoritiesError::File(text),
        }
    })
}

/// All certificates of a PEM file, at least one.
///
/// # Errors
/// If it contains no certificate, or something else.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, AuthoritiesError> {
    let bytes = pem(path)?;
    match CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>() {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(AuthoritiesError::File(format!("{} holds no certificate", path.display()))),
        Err(error) => Err(AuthoritiesError::File(format!("{} holds no certificate: {error}", path.display()))),
    }
}
