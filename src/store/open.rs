//! Opens the store at an address, with the engine that the address names.

use std::sync::Arc;

use super::access::Access;
#[cfg(feature = "redis")]
use super::backend::TimeSource;
use super::error::StoreError;
use super::findings::Findings;
use super::handle::Store;
#[cfg(feature = "redis")]
use super::redis::RedisStore;
use super::role::Whole;
#[cfg(feature = "sqlite")]
use super::sqlite::SqliteStore;
#[cfg(feature = "sqlite")]
use crate::clock::SystemClock;
use crate::config::element::store_url::StoreUrl;
use crate::config::element::tls_files::{ConnectionFiles, TlsFiles};
use crate::file::trust::Owners;

/// Opens the store at an address, with these certificates where it is reached by TLS. Findings are dropped. A file is
/// opened as for a command that trusts nobody but root and its user.
///
/// # Errors
/// Says why it cannot be reached or worked with.
pub async fn open(url: &StoreUrl, tls: &TlsFiles, namespace: &str) -> Result<Store<Whole>, StoreError> {
    let access = Access::command(Some(Arc::new(Owners::with([]))));
    open_telling(url, &ConnectionFiles::from(tls.clone()), namespace, access, Findings::default()).await
}

/// The same for what it is opened for, with a place for the engine's findings. If the server refuses what the connection
/// shows, these files are read again.
///
/// # Errors
/// Says why it cannot be reached or worked with.
#[cfg_attr(
    not(all(feature = "redis", feature = "sqlite")),
    allow(unused_variables, reason = "each engine uses its own")
)]
pub async fn open_telling(
    url: &StoreUrl,
    files: &ConnectionFiles,
    namespace: &str,
    access: Access,
    findings: Findings,
) -> Result<Store<Whole>, StoreError> {
    match url {
        #[cfg(feature = "sqlite")]
        StoreUrl::Sqlite(path) => {
            let path = path.clone();
            // Opening reads a file and may migrate it, while others wait for this thread.
            let opening = tokio::task::spawn_blocking(move || {
                access.open(&path, || SqliteStore::open_telling(&path, Arc::new(SystemClock), findings))
            });
            let opened =
                opening.await.map_err(|error| StoreError::Unavailable(format!("opening was interrupted: {error}")))?;
            Ok(opened?.into())
        }
        #[cfg(feature = "redis")]
        StoreUrl::Redis(url) => {
            let connecting = RedisStore::connect_with(url, files, namespace, TimeSource::Store, findings);
            Ok(connecting.await?.into())
        }
        #[cfg(not(all(feature = "redis", feature = "sqlite")))]
        other => Err(StoreError::Unsupported(format!(
            "this program was built without the feature that {other} needs: build it with `redis` or `sqlite`"
        ))),
    }
}
