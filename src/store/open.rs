//! From an address to a store: the engine that it names.

use std::sync::Arc;

use super::engine::TimeSource;
use super::error::StoreError;
use super::handle::Store;
use super::redis::RedisStore;
use super::role::Whole;
use super::sqlite::SqliteStore;
use crate::clock::SystemClock;
use crate::config::element::store_url::StoreUrl;
use crate::config::element::tls_files::TlsFiles;

/// Opens the store at an address, with these certificates where it is reached by TLS.
///
/// # Errors
/// Says why it cannot be reached or worked with.
pub async fn open(url: &StoreUrl, tls: &TlsFiles, namespace: &str) -> Result<Store<Whole>, StoreError> {
    match url {
        StoreUrl::Sqlite(path) => {
            let path = path.clone();
            // Opening reads a file and may migrate it, while others wait for this thread.
            let opening = tokio::task::spawn_blocking(move || SqliteStore::open(&path, Arc::new(SystemClock)));
            let opened =
                opening.await.map_err(|error| StoreError::Unavailable(format!("opening broke off: {error}")))?;
            Ok(opened?.into())
        }
        StoreUrl::Redis(url) => Ok(RedisStore::connect_with(url, tls, namespace, TimeSource::Store).await?.into()),
    }
}
