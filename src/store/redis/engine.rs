//! The engine: a connection that the arrows share. Each arrow stands in the file of its verb.

use std::sync::Arc;

use bytes::Bytes;
use fred::types::RespVersion;

use super::connection::{Connection, Origin};
use super::looked::Looked;
use super::memory::Asked;
use super::reply;
use super::sentinels::{Following, Sentinels};
use super::unsampled::Unsampled;
use crate::config::element::tls_files::ConnectionFiles;
use crate::store::backend::TimeSource;
use crate::store::error::StoreError;
use crate::store::findings::Findings;

/// The oldest version that has all that the scripts use (LPOP with a count, LPOS, SMISMEMBER).
const OLDEST: (u32, u32) = (6, 2);

/// A store on Redis or Valkey.
pub struct RedisStore {
    pub(super) connection: Arc<Connection>,
    /// When the server was asked what it does without memory.
    pub(super) asked: Asked,
    /// Where the last move found something.
    pub(super) looked: Looked,
    /// The queues that samples leave out.
    pub(super) unsampled: Unsampled,
    /// For as long as this store is there.
    _following: Option<Following>,
}

impl std::fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RedisStore").field(&self.address()).finish()
    }
}

impl RedisStore {
    /// Connects to the server at `url`; all keys stand under `namespace`.
    ///
    /// # Errors
    /// Fails when the server cannot be reached, is too old, or does not take this namespace.
    pub async fn connect(url: &str, namespace: &str, time: TimeSource) -> Result<Self, StoreError> {
        Self::connect_with(url, &ConnectionFiles::default(), namespace, time, Findings::default()).await
    }

    /// Like [`connect`](Self::connect), with these files for the connection, and with a place for findings.
    ///
    /// # Errors
    /// Fails when the server cannot be reached or trusted, is too old, or does not take this namespace.
    pub async fn connect_with(
        url: &str,
        files: &ConnectionFiles,
        namespace: &str,
        time: TimeSource,
        findings: Findings,
    ) -> Result<Self, StoreError> {
        let origin = Origin::new(url, files, namespace, time, findings)?;
        let connection = origin.open(RespVersion::RESP2).await?;
        let following = origin.sentinels().map(Sentinels::follow);
        match connection.command("INFO", vec![Bytes::from_static(b"server")]).await {
            Ok(info) => check_server(&reply::bytes(info)?.unwrap_or_default(), connection.is_cluster())?,
            // Without the right to INFO a command that is missing is named when it is called.
            Err(StoreError::Unsupported(_)) => {}
            Err(error) => return Err(error),
        }
        Ok(Self {
            connection: Arc::new(connection),
            asked: Asked::default(),
            looked: Looked::default(),
            unsampled: Unsampled::default(),
            _following: following,
        })
    }

    /// Where the store is, for people: a URL without secrets.
    #[must_use]
    pub fn address(&self) -> String {
        self.connection.origin.address()
    }
}

/// Is the server new enough, and reached in the way that it is run?
fn check_server(info: &[u8], as_cluster: bool) -> Result<(), StoreError> {
    let info = String::from_utf8_lossy(info);
    let field = |name: &str| {
        info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(|value| value.trim().to_owned()))
    };
    if let Some(version) = field("redis_version") {
        let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        if found < OLDEST {
            let (major, minor) = OLDEST;
            return Err(StoreError::Unsupported(format!(
                "it is version {version}, and {major}.{minor} is the oldest that will do (LPOP with a count)"
            )));
        }
    }
    if field("redis_mode").is_some_and(|mode| mode == "cluster") && !as_cluster {
        return Err(StoreError::Unsupported("it is a Cluster: write redis-cluster:// instead of redis://".to_owned()));
    }
    Ok(())
}
