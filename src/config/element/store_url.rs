//! The address of a store.

#[cfg(feature = "cli")]
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::literal;
use super::redis_url::RedisUrl;
use super::store_url_error::StoreUrlError;

/// A store's address.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreUrl {
    /// `sqlite:PATH`, resolved to an absolute path, or relative to the working directory.
    Sqlite(PathBuf),
    /// An address that [`RedisUrl`] parses, as it was written.
    Redis(String),
}

/// Resolves `..` in a path whose folder exists. The system does it, because `..` behind a symbolic link leads
/// elsewhere.
fn tidy(path: PathBuf) -> PathBuf {
    if !path.components().any(|part| part == std::path::Component::ParentDir) {
        return path;
    }
    match (path.parent().map(Path::canonicalize), path.file_name()) {
        (Some(Ok(folder)), Some(name)) => folder.join(name),
        _ => path,
    }
}

impl StoreUrl {
    /// Reads an address. A relative SQLite path is taken from `base`; a bare file name is in `state_directory` if
    /// systemd sets one.
    ///
    /// # Errors
    /// If the text is not an address.
    pub fn parse(text: &str, base: &Path, state_directory: Option<&Path>) -> Result<Self, StoreUrlError> {
        let text = text.trim();
        let (scheme, rest) = text.split_once(':').ok_or(StoreUrlError::Scheme)?;
        let path = rest.strip_prefix("//").unwrap_or(rest);
        let found = if scheme == "sqlite" { literal::in_path(path) } else { literal::variable(text) };
        if let Some(found) = found {
            return Err(StoreUrlError::Variable(found.to_owned()));
        }
        match scheme {
            "sqlite" => Self::sqlite(rest, base, state_directory),
            _ => RedisUrl::parse(text).map(|_| Self::Redis(text.to_owned())),
        }
    }

    /// The address as it was given, with its password.
    #[cfg(feature = "daemon")]
    #[must_use]
    pub(crate) fn with_secrets(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite:{}", path.display()),
            Self::Redis(text) => text.clone(),
        }
    }

    /// Does it hold a password, of the server or of the Sentinels?
    #[must_use]
    pub(crate) fn has_secrets(&self) -> bool {
        let Self::Redis(url) = self else { return false };
        let after_scheme = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        let credentials = after_scheme.rsplit_once('@').map(|(credentials, _)| credentials);
        credentials.is_some_and(|credentials| credentials.contains(':')) || after_scheme.contains("sentinel_password=")
    }

    /// Are both the same database file, by whatever names? SQLite knows a file by its name: a second one, such as a hard
    /// link, has a log of its own, and both together would spoil the file.
    #[cfg(feature = "cli")]
    #[must_use]
    pub(crate) fn is_same_file(&self, other: &Self) -> bool {
        let file = |url: &Self| match url {
            Self::Sqlite(path) => std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino())),
            Self::Redis(_) => None,
        };
        file(self).is_some_and(|found| Some(found) == file(other))
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

impl std::fmt::Display for StoreUrl {
    /// The address without its password, for people.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            // The address was parsed before. If it cannot be shown without secrets, it is not shown.
            Self::Redis(url) => match RedisUrl::parse(url) {
                Ok(url) => url.fmt(f),
                Err(_) => f.write_str("redis://?"),
            },
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
            "rediss://host",
            "redis-sentinel://host/service",
            "redis-cluster://host",
            "valkey://host",
            "valkeys://host",
            "valkey+unix:///run/valkey.sock",
        ] {
            assert_eq!(parse(text), Ok(StoreUrl::Redis(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_by_name() {
        use StoreUrlError::{Memory, NoPath, Options, Redis, Scheme, Socket};
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
            ("redistribute://host", Scheme),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn what_a_shell_would_fill_in_is_refused_by_its_name() {
        for (text, found) in [
            ("redis://${REDIS_HOST}:6379", "${REDIS_HOST}"),
            ("redis://:${REDIS_PASSWORD}@host", "${REDIS_PASSWORD}"),
            ("redis://$REDIS_HOST", "$REDIS_HOST"),
            ("sqlite:~/jobs.db", "~"),
            ("sqlite:$HOME/jobs.db", "$HOME"),
        ] {
            assert_eq!(parse(text), Err(StoreUrlError::Variable(found.to_owned())), "{text}");
        }
        for text in ["redis://:pa$WORD@host", "redis://:%24WORD@host", "redis://:$5@host"] {
            assert!(parse(text).is_ok(), "{text}");
        }
        assert_eq!(parse("redis://host/256"), Err(StoreUrlError::Database));
        assert_eq!(parse("redis+unix:///run/r?db=300"), Err(StoreUrlError::Database));
        assert_eq!(parse("redis-sentinel://h/s/65536"), Err(StoreUrlError::Database));
    }

    #[test]
    fn the_password_is_never_shown() {
        let url = parse("redis://user:s3cret@host:1/0").unwrap();
        assert_eq!(format!("{url} {url:?}"), "redis://host:1/0 redis://host:1/0");
        assert_eq!(parse("redis://:p@ss@host").unwrap().to_string(), "redis://host:6379");
        assert_eq!(parse("redis+unix:///run/a@b").unwrap().to_string(), "redis+unix:///run/a@b");
        assert_eq!(parse("valkey://:p@ss@host").unwrap().to_string(), "redis://host:6379");
    }
}
