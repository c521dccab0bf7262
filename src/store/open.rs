//! From an address to a store: the only file that names both engines.

use std::sync::Arc;

use super::engine::{Store, TimeSource};
use super::error::StoreError;
use super::redis::RedisStore;
use super::sqlite::SqliteStore;
use crate::clock::SystemClock;
use crate::config::element::store_url::StoreUrl;
use crate::config::element::tls_files::TlsFiles;

/// Opens the store at an address, with these certificates where it is reached by TLS.
///
/// # Errors
/// Says why it cannot be reached or worked with.
pub async fn open(url: &StoreUrl, tls: &TlsFiles, namespace: &str) -> Result<Arc<dyn Store>, StoreError> {
    match url {
        StoreUrl::Sqlite(path) => {
            let path = path.clone();
            // Opening reads a file and may migrate it, while others wait for this thread.
            let opening = tokio::task::spawn_blocking(move || SqliteStore::open(&path, Arc::new(SystemClock)));
            let opened =
                opening.await.map_err(|error| StoreError::Unavailable(format!("opening broke off: {error}")))?;
            Ok(Arc::new(opened?))
        }
        StoreUrl::Redis(url) => Ok(Arc::new(RedisStore::connect_with(url, tls, namespace, TimeSource::Store).await?)),
    }
}
