//! Where a store is.

use std::path::PathBuf;

/// A store's address. Schemes whose capability is not built yet are refused by name when read.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// `sqlite:PATH`, resolved to an absolute path, or relative to the working directory.
    Sqlite(PathBuf),
    /// `redis://[user[:password]@]host[:port][/db]` or `redis+unix:///path/to/socket`, as the
    /// client library takes it.
    Redis(String),
}

impl std::fmt::Display for StoreUrl {
    /// The address without its password, for people.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Redis(url) => match (url.split_once("://"), url.rsplit_once('@')) {
                (Some((scheme, _)), Some((_, host))) => write!(f, "{scheme}://{host}"),
                _ => f.write_str(url),
            },
        }
    }
}

impl std::fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}
