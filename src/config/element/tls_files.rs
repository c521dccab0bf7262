//! `[store.tls]`: the certificates of an encrypted connection, as files.

use std::path::{Path, PathBuf};

use super::literal;
use crate::config::reader::{Table, Value};
use crate::file::bounded;

/// Which files to use; without `ca` the certificates that the system trusts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TlsFiles {
    /// Certificates of the authorities to trust, instead of the system's.
    pub ca: Option<PathBuf>,
    /// The client certificate and its key, for servers that require one.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl TlsFiles {
    /// Is no file configured?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The files that a connection is made of, which may be exchanged while a daemon runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConnectionFiles {
    /// The certificates.
    pub tls: TlsFiles,
    /// The file that the address with its password was read from, if it was.
    pub address: Option<PathBuf>,
}

impl From<TlsFiles> for ConnectionFiles {
    fn from(tls: TlsFiles) -> Self {
        Self { tls, address: None }
    }
}

/// Reads the table; paths are relative to `folder`.
pub(in crate::config) fn read(mut table: Table<'_>, folder: &Path) -> TlsFiles {
    let ca = table.take("ca").and_then(|value| file(&value, folder));
    let cert = table.take("cert");
    let key = table.take("key");
    let identity = match (&cert, &key) {
        (Some(cert), Some(key)) => file(cert, folder).zip(file(key, folder)),
        (Some(alone), None) => {
            alone.report("expected key beside it: the private key of this certificate");
            None
        }
        (None, Some(alone)) => {
            alone.report("expected cert beside it: the certificate of this private key");
            None
        }
        (None, None) => None,
    };
    table.finish();
    TlsFiles { ca, identity }
}

/// A file that contains PEM. The connection checks the content.
fn file(value: &Value<'_>, folder: &Path) -> Option<PathBuf> {
    let path = folder.join(literal::path(value)?);
    match bounded::read(&path, bounded::CERTIFICATES) {
        Ok(bytes) if bytes.windows(11).any(|window| window == b"-----BEGIN ") => Some(path),
        Ok(_) => {
            value.report("expected a PEM file (found no -----BEGIN in it)");
            None
        }
        Err(error) => {
            value.report(format!("expected a readable PEM file ({error})"));
            None
        }
    }
}
