//! Where a store is.

use std::path::{Path, PathBuf};

/// A store's address. Schemes whose capability is not built yet are refused by name when read.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// `sqlite:PATH`, resolved to an absolute path, or relative to the working directory.
    Sqlite(PathBuf),
    /// `redis://[user[:password]@]host[:port][/db]` or `redis+unix:///path/to/socket`, as the
    /// client library takes it.
    Redis(String),
}

/// Takes the `..` out of a path whose folder exists, by asking the system, for behind a symbolic
/// link they do not mean what they seem to.
fn tidy(path: PathBuf) -> PathBuf {
    if !path.components().any(|part| part == std::path::Component::ParentDir) {
        return path;
    }
    match (path.parent().map(Path::canonicalize), path.file_name()) {
        (Some(Ok(folder)), Some(name)) => folder.join(name),
        _ => path,
    }
}

/// Why a text is no store's address. The messages never quote the text, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreUrlError {
    /// No scheme, or one that nobody knows.
    #[error("expected sqlite:PATH, redis://HOST or redis+unix:///PATH")]
    Scheme,
    /// A scheme that comes later.
    #[error("{0}:// is not built yet in this version; sqlite:, redis:// and redis+unix:// are")]
    NotBuilt(&'static str),
    /// `sqlite:` without a path.
    #[error("expected a path after sqlite:")]
    NoPath,
    /// `sqlite::memory:`.
    #[error("expected a file after sqlite: (a store in memory would lose its jobs)")]
    Memory,
    /// `sqlite:PATH?mode=...`.
    #[error("expected a plain path after sqlite: (found options after a question mark)")]
    Options,
    /// `redis://` without host, or with a port or database that is none.
    #[error(
        "expected redis://[USER[:PASSWORD]@]HOST[:PORT][/DB] (in a password write /, ?, # and @ as %2F, %3F, %23, %40)"
    )]
    Redis,
    /// `redis+unix:` without an absolute path.
    #[error("expected an absolute path, redis+unix:///PATH")]
    Socket,
}

impl StoreUrl {
    /// Reads an address. A relative SQLite path is taken from `base`; a bare file name goes to
    /// `state_directory` where systemd gives one.
    ///
    /// # Errors
    /// If it is no address, or one that is not built yet.
    pub fn parse(text: &str, base: &Path, state_directory: Option<&Path>) -> Result<Self, StoreUrlError> {
        let text = text.trim();
        let (scheme, rest) = text.split_once(':').ok_or(StoreUrlError::Scheme)?;
        match scheme {
            "sqlite" => Self::sqlite(rest, base, state_directory),
            "redis" => {
                let rest = rest.strip_prefix("//").ok_or(StoreUrlError::Redis)?;
                if is_redis_address(rest) { Ok(Self::Redis(text.to_owned())) } else { Err(StoreUrlError::Redis) }
            }
            "redis+unix" => {
                let rest = rest.strip_prefix("//").ok_or(StoreUrlError::Socket)?;
                // Credentials may stand before the path.
                let path = &rest[rest.find('/').ok_or(StoreUrlError::Socket)?..];
                if path.len() > 1 { Ok(Self::Redis(text.to_owned())) } else { Err(StoreUrlError::Socket) }
            }
            "rediss" => Err(StoreUrlError::NotBuilt("rediss")),
            "redis-sentinel" => Err(StoreUrlError::NotBuilt("redis-sentinel")),
            "redis-cluster" => Err(StoreUrlError::NotBuilt("redis-cluster")),
            _ => Err(StoreUrlError::Scheme),
        }
    }

    fn sqlite(rest: &str, base: &Path, state_directory: Option<&Path>) -> Result<Self, StoreUrlError> {
        let path = rest.strip_prefix("//").unwrap_or(rest);
        if path.is_empty() {
            return Err(StoreUrlError::NoPath);
        }
        if path.starts_with(":memory:") {
            return Err(StoreUrlError::Memory);
        }
        if path.contains('?') {
            return Err(StoreUrlError::Options);
        }
        let folder = if path.contains('/') { base } else { state_directory.unwrap_or(base) };
        Ok(Self::Sqlite(tidy(folder.join(path))))
    }
}

/// `[user[:password]@]host[:port][/db]`, read as the client library reads it: what stands before the first slash ends
/// the address, so that a slash in a password must be written `%2F`.
fn is_redis_address(rest: &str) -> bool {
    let (authority, db) = rest.split_once('/').unwrap_or((rest, ""));
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
    let (host, port) = match host_and_port.rsplit_once(':') {
        // The colons of an IPv6 address stand in brackets.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (host_and_port, None),
    };
    !host.is_empty()
        && !rest.contains(|letter: char| letter.is_whitespace() || matches!(letter, '?' | '#'))
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
        && (db.is_empty() || db.parse::<u8>().is_ok())
}

impl std::fmt::Display for StoreUrl {
    /// The address without its password, for people.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Redis(url) => {
                let (scheme, rest) = url.split_once("://").unwrap_or(("redis", url));
                let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
                write!(f, "{scheme}://{host}{path}")
            }
        }
    }
}

impl std::fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<StoreUrl, StoreUrlError> {
        StoreUrl::parse(text, Path::new("/srv/app"), None)
    }

    #[test]
    fn a_sqlite_path_is_resolved() {
        let sqlite = |path: &str| Ok(StoreUrl::Sqlite(PathBuf::from(path)));
        assert_eq!(parse("sqlite:jobs.db"), sqlite("/srv/app/jobs.db"));
        assert_eq!(parse("sqlite:../jobs.db"), sqlite("/srv/app/../jobs.db"));
        assert_eq!(parse("sqlite:/var/jobs.db"), sqlite("/var/jobs.db"));
        assert_eq!(parse("sqlite:///var/jobs.db"), sqlite("/var/jobs.db"));
        let state = Some(Path::new("/var/lib/windlass"));
        assert_eq!(StoreUrl::parse("sqlite:jobs.db", Path::new("/"), state), sqlite("/var/lib/windlass/jobs.db"));
        assert_eq!(StoreUrl::parse("sqlite:./jobs.db", Path::new("/a"), state), sqlite("/a/./jobs.db"));
    }

    #[test]
    fn redis_addresses_are_taken_as_they_stand() {
        for text in [
            "redis://localhost",
            "redis://127.0.0.1:6380/3",
            "redis://:p%2Fss@host:1/0",
            "redis://user:p@ss@host",
            "redis://[::1]:6379",
            "redis://[::1]",
            "redis+unix:///run/redis.sock",
        ] {
            assert_eq!(parse(text), Ok(StoreUrl::Redis(text.to_owned())), "{text}");
            let client = fred::types::config::Config::from_url(text);
            assert!(client.is_ok(), "{text}: {client:?}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_by_name() {
        use StoreUrlError::{Memory, NoPath, NotBuilt, Options, Redis, Scheme, Socket};
        for (text, error) in [
            ("jobs.db", Scheme),
            ("postgres://host", Scheme),
            ("sqlite:", NoPath),
            ("sqlite::memory:", Memory),
            ("sqlite:a.db?mode=ro", Options),
            ("redis:host", Redis),
            ("redis://", Redis),
            ("redis://host:0", Redis),
            ("redis://:pa/ss@host", Redis),
            ("redis://:pa?ss@host", Redis),
            ("redis://host/0?x=1", Redis),
            ("redis://host:port", Redis),
            ("redis://host/one", Redis),
            ("redis+unix://run", Socket),
            ("rediss://host", NotBuilt("rediss")),
            ("redis-sentinel://host", NotBuilt("redis-sentinel")),
            ("redis-cluster://host", NotBuilt("redis-cluster")),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
        assert_eq!(
            NotBuilt("rediss").to_string(),
            "rediss:// is not built yet in this version; sqlite:, redis:// and redis+unix:// are"
        );
    }

    #[test]
    fn the_password_is_never_shown() {
        let url = parse("redis://user:s3cret@host:1/0").unwrap();
        assert_eq!(format!("{url} {url:?}"), "redis://host:1/0 redis://host:1/0");
        assert_eq!(parse("redis://:p@ss@host").unwrap().to_string(), "redis://host");
        assert_eq!(parse("redis+unix:///run/a@b").unwrap().to_string(), "redis+unix:///run/a@b");
    }
}
