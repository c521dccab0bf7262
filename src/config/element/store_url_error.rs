//! Why a text is no store's address.

/// Why a text is not the address of a store. The messages never quote the text, because it may contain a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreUrlError {
    /// No scheme, or an unknown one.
    #[error(
        "expected sqlite:PATH, redis://HOST, rediss://HOST (TLS), redis+unix:///PATH, \
         redis-sentinel://HOST,HOST/SERVICE or redis-cluster://HOST,HOST (or valkey in the place of redis)"
    )]
    Scheme,
    /// A variable of a shell, or `~`.
    #[error(
        "{0} stays as it is here, because no shell reads the address; write what it stands for, or set WINDLASS_STORE_URL, \
         or name a file that holds the address: url = {{ file = \"PATH\" }} (a dollar itself is %24)"
    )]
    Variable(String),
    /// A database that cannot be selected.
    #[error("expected a database from 0 to 255, which is as far as the client of Redis goes")]
    Database,
    /// `sqlite:` without a path.
    #[error("expected a path after sqlite:")]
    NoPath,
    /// `sqlite::memory:`.
    #[error("expected a file after sqlite: (a store in memory would lose its jobs)")]
    Memory,
    /// `sqlite:PATH?mode=...`.
    #[error("expected a plain path after sqlite: (found options after a question mark)")]
    Options,
    /// `redis://` without host, or with an invalid port or database.
    #[error(
        "expected redis://[USER[:PASSWORD]@]HOST[:PORT][/DB] (in a password write /, ?, # and @ as %2F, %3F, %23, %40)"
    )]
    Redis,
    /// `redis+unix:` without an absolute path.
    #[error("expected an absolute path, redis+unix://[USER[:PASSWORD]@]/PATH[?db=DB]")]
    Socket,
    /// `redis-sentinel:` without hosts or service.
    #[error(
        "expected redis-sentinel://[USER[:PASSWORD]@]HOST[:PORT],.../SERVICE[/DB], then where the Sentinels have \
         credentials of their own ?sentinel_user=USER&sentinel_password=PASSWORD"
    )]
    Sentinel,
    /// `redis-cluster:` without hosts, or with a database.
    #[error("expected redis-cluster://[USER[:PASSWORD]@]HOST[:PORT],... (a Cluster has no numbered databases)")]
    Cluster,
}
