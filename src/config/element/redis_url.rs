//! Parses Redis addresses: the topology, the hosts and the credentials.
//!
//! Addresses are parsed only here, so that messages never contain a secret: `Display` leaves out user, password and
//! options.

use std::fmt;
use std::path::PathBuf;

use super::store_url_error::StoreUrlError;
use crate::text::percent::decoded;

/// The default ports of a server and of a Sentinel.
const PORTS: (u16, u16) = (6379, 26379);

/// A form of addresses.
struct Form {
    /// How it begins, and how the same begins in the words of Valkey.
    schemes: [&'static str; 2],
    /// The same by TLS; none for a socket of this machine.
    encrypted: &'static [&'static str],
    read: fn(&str) -> Option<RedisUrl>,
    /// What is told where the rest does not have the form.
    expected: StoreUrlError,
}

/// All forms. There is no other list of schemes.
const FORMS: [Form; 4] = [
    Form {
        schemes: ["redis", "valkey"],
        encrypted: &["rediss", "valkeys"],
        read: server,
        expected: StoreUrlError::Redis,
    },
    Form { schemes: ["redis+unix", "valkey+unix"], encrypted: &[], read: socket, expected: StoreUrlError::Socket },
    Form {
        schemes: ["redis-sentinel", "valkey-sentinel"],
        encrypted: &["rediss-sentinel", "valkeys-sentinel"],
        read: sentinels,
        expected: StoreUrlError::Sentinel,
    },
    Form {
        schemes: ["redis-cluster", "valkey-cluster"],
        encrypted: &["rediss-cluster", "valkeys-cluster"],
        read: cluster,
        expected: StoreUrlError::Cluster,
    },
];

/// A parsed Redis address.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisUrl {
    /// The kind of deployment, and its hosts.
    pub topology: Topology,
    /// Are connections encrypted?
    pub tls: bool,
    /// The credentials of the server.
    pub login: Login,
    /// The credentials of the Sentinels.
    pub sentinel_login: Login,
    /// The number of the database.
    pub database: Option<u8>,
}

/// The kind of deployment at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Topology {
    /// One server.
    Server(Host),
    /// One server on this machine, at a unix socket.
    Socket(PathBuf),
    /// Sentinels, which know the master of a service.
    Sentinels(Vec<Host>, String),
    /// Nodes of a Cluster; one that answers is enough.
    Cluster(Vec<Host>),
}

/// A host and its port.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Host {
    /// A name or an address; that of an IPv6 address without brackets.
    pub name: String,
    /// The port.
    pub port: u16,
}

/// A user and a password, both optional. Never shown.
#[derive(Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Login {
    /// The ACL user; `None`: the default user.
    pub user: Option<String>,
    /// The password.
    pub password: Option<String>,
}

impl RedisUrl {
    /// Reads an address.
    ///
    /// # Errors
    /// Says which form is expected. The text is never quoted, because it may contain a password.
    pub fn parse(text: &str) -> Result<Self, StoreUrlError> {
        let (scheme, rest) = text.trim().split_once(':').ok_or(StoreUrlError::Scheme)?;
        let form = FORMS.iter().find(|form| form.schemes.contains(&scheme) || form.encrypted.contains(&scheme));
        let form = form.ok_or(StoreUrlError::Scheme)?;
        let rest = rest.strip_prefix("//").filter(|rest| !rest.contains(|letter: char| letter.is_whitespace()));
        let url = rest.and_then(form.read).ok_or_else(|| match rest {
            Some(rest) if is_of_a_far_database(form, rest) => StoreUrlError::Database,
            _ => form.expected.clone(),
        })?;
        Ok(Self { tls: form.encrypted.contains(&scheme), ..url })
    }

    /// Is it a Cluster? There, only a hash tag keeps all keys in one slot.
    #[must_use]
    pub fn is_cluster(&self) -> bool {
        matches!(self.topology, Topology::Cluster(_))
    }

    fn at(topology: Topology, login: Login) -> Self {
        Self { topology, tls: false, login, sentinel_login: Login::default(), database: None }
    }
}

/// Does the namespace contain a hash tag, so that all its keys are in one slot?
#[must_use]
pub fn is_hash_tag(namespace: &str) -> bool {
    let tag = namespace.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    tag.is_some_and(|(tag, _)| !tag.is_empty())
}

/// The message about a namespace without a hash tag, with the remedy.
#[must_use]
pub fn untagged(namespace: &str) -> String {
    let bare: String = namespace.chars().filter(|letter| !matches!(letter, '{' | '}')).collect();
    format!(
        "on a Cluster the namespace must be a hash tag, so that all keys stand in one slot: \
         write namespace = \"{{{bare}}}\""
    )
}

/// `[user[:password]@]host[:port][/db]`. The first slash ends the authority, so a slash in a password must be written
/// `%2F`.
fn server(rest: &str) -> Option<RedisUrl> {
    if rest.contains(['?', '#']) {
        return None;
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, address) = login_and(authority)?;
    let url = RedisUrl::at(Topology::Server(host(address, PORTS.0)?), login);
    Some(RedisUrl { database: database(path)?, ..url })
}

/// `[user[:password]@]/path[?db=N]`.
fn socket(rest: &str) -> Option<RedisUrl> {
    let (authority, path) = rest.split_at(rest.find('/')?);
    let login = match authority {
        "" => Login::default(),
        // Credentials without a host end with a colon.
        _ => login_and(authority).filter(|(_, host)| host.is_empty())?.0,
    };
    let (path, options) = path.split_once('?').unwrap_or((path, ""));
    // `redis+unix:///user:password@/run/redis.sock` has a slash too many. Its password would be shown as a part of the path.
    let misplaced = path
        .rsplit_once('@')
        .is_some_and(|(before, after)| before.contains(':') || (after.starts_with('/') && !before[1..].contains('/')));
    if path.len() < 2 || misplaced {
        return None;
    }
    let number = if options.is_empty() { "" } else { options.strip_prefix("db=").filter(|db| !db.is_empty())? };
    Some(RedisUrl { database: database(number)?, ..RedisUrl::at(Topology::Socket(path.into()), login) })
}

/// `[user[:password]@]host[:port],.../service[/db][?sentinel_user=USER&sentinel_password=PASSWORD]`.
fn sentinels(rest: &str) -> Option<RedisUrl> {
    let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_once('/')?;
    let (login, addresses) = login_and(authority)?;
    let (service, number) = path.split_once('/').unwrap_or((path, ""));
    // A service is not called so; with a slash too many a password stands there.
    if service.is_empty() || service.contains(['#', '@']) {
        return None;
    }
    let mut sentinel_login = Login::default();
    for option in options.split('&').filter(|option| !option.is_empty()) {
        let (key, value) = option.split_once('=')?;
        let slot = match key {
            "sentinel_user" => &mut sentinel_login.user,
            "sentinel_password" => &mut sentinel_login.password,
            _ => return None,
        };
        *slot = Some(decoded(value)?);
    }
    let topology = Topology::Sentinels(hosts(addresses, PORTS.1)?, decoded(service)?);
    Some(RedisUrl { sentinel_login, database: database(number)?, ..RedisUrl::at(topology, login) })
}

/// `[user[:password]@]host[:port],...`. A Cluster has database 0 only.
fn cluster(rest: &str) -> Option<RedisUrl> {
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if !matches!(path, "" | "0") || authority.contains(['?', '#']) {
        return None;
    }
    let (login, addresses) = login_and(authority)?;
    Some(RedisUrl::at(Topology::Cluster(hosts(addresses, PORTS.0)?), login))
}

/// Parses the credentials before the last `@`.
fn login_and(authority: &str) -> Option<(Login, &str)> {
    let Some((credentials, address)) = authority.rsplit_once('@') else { return Some((Login::default(), authority)) };
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let user = Some(decoded(user)?).filter(|user| !user.is_empty());
    // A user without a password has `nopass`, and must still authenticate by name.
    let password = Some(decoded(password)?).filter(|password| !password.is_empty() || user.is_some());
    Some((Login { user, password }, address))
}

fn hosts(addresses: &str, port: u16) -> Option<Vec<Host>> {
    addresses.split(',').map(|address| host(address, port)).collect()
}

fn host(address: &str, default: u16) -> Option<Host> {
    let (name, port) = match address.rsplit_once(':') {
        // The colons of an IPv6 address are in brackets.
        Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok().filter(|port| *port > 0)?),
        _ => (address, default),
    };
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    (!name.is_empty()).then(|| Host { name: name.to_owned(), port })
}

/// Is nothing wrong with this but that the number of its database is too large? Servers may have more than 256.
fn is_of_a_far_database(form: &Form, rest: &str) -> bool {
    let before = rest.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let digits = rest.len() - before.len();
    before.ends_with(['/', '=']) && digits > 2 && (form.read)(&format!("{before}0")).is_some()
}

fn database(text: &str) -> Option<Option<u8>> {
    if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]:{}", self.name, self.port)
        } else {
            write!(f, "{}:{}", self.name, self.port)
        }
    }
}

impl fmt::Display for RedisUrl {
    /// The address without secrets, with explicit ports.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = if self.tls { "s" } else { "" };
        let list = |hosts: &[Host]| hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        match &self.topology {
            Topology::Server(host) => write!(f, "redis{tls}://{host}")?,
            Topology::Socket(path) => write!(f, "redis+unix://{}", path.display())?,
            Topology::Sentinels(hosts, service) => write!(f, "redis{tls}-sentinel://{}/{service}", list(hosts))?,
            Topology::Cluster(hosts) => write!(f, "redis{tls}-cluster://{}", list(hosts))?,
        }
        match (self.database, &self.topology) {
            (None, _) => Ok(()),
            (Some(number), Topology::Socket(_)) => write!(f, "?db={number}"),
            (Some(number), _) => write!(f, "/{number}"),
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> RedisUrl {
        RedisUrl::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn each_form_is_read_and_shown_without_its_secrets() {
        for (text, shown) in [
            ("redis://host", "redis://host:6379"),
            ("redis://user:s3cret@host:6380/3", "redis://host:6380/3"),
            ("redis://user:s3@cret@host", "redis://host:6379"),
            ("rediss://:s3cret@[::1]", "rediss://[::1]:6379"),
            ("redis+unix:///run/redis.sock", "redis+unix:///run/redis.sock"),
            ("redis+unix://user:s3cret@/run/a@b?db=2", "redis+unix:///run/a@b?db=2"),
            (
                "redis-sentinel://u:s3cret@a,b:5/main/1?sentinel_user=w&sentinel_password=s3cret",
                "redis-sentinel://a:26379,b:5/main/1",
            ),
            ("rediss-sentinel://a/main", "rediss-sentinel://a:26379/main"),
            ("redis-cluster://u:s3cret@a:1,b", "redis-cluster://a:1,b:6379"),
            ("rediss-cluster://a/", "rediss-cluster://a:6379"),
            ("valkey://host", "redis://host:6379"),
            ("valkeys://user:s3cret@host", "rediss://host:6379"),
            ("valkey+unix:///run/valkey.sock", "redis+unix:///run/valkey.sock"),
            ("valkeys-sentinel://a/main", "rediss-sentinel://a:26379/main"),
            ("valkey-cluster://a", "redis-cluster://a:6379"),
        ] {
            let url = read(text);
            assert_eq!(url.to_string(), shown, "{text}");
            assert!(!format!("{url:?} {:?}", url.login).contains("cret"), "{text}");
        }
    }

    #[test]
    fn credentials_are_decoded() {
        let login = |text: &str| {
            let Login { user, password } = read(text).login;
            (user.unwrap_or_else(|| "-".to_owned()), password.unwrap_or_else(|| "-".to_owned()))
        };
        let pair = |user: &str, password: &str| (user.to_owned(), password.to_owned());
        assert_eq!(login("redis://host"), pair("-", "-"));
        assert_eq!(login("redis://:p%2F%3fss@host"), pair("-", "p/?ss"));
        assert_eq!(login("redis://us%40er:p:a@host"), pair("us@er", "p:a"));
        assert_eq!(login("redis://open@host"), pair("open", ""));
        assert_eq!(login("redis-sentinel://u:p@a/main"), pair("u", "p"));
        assert_eq!(login("redis+unix://u:p@/run/r"), pair("u", "p"));
        let url = read("redis-sentinel://a/main?sentinel_password=p%26q");
        assert_eq!(url.sentinel_login, Login { user: None, password: Some("p&q".to_owned()) });
        assert_eq!(url.login, Login::default());
    }

    #[test]
    fn what_is_no_address_is_told_by_its_form() {
        use StoreUrlError::{Cluster, Database, Redis, Scheme, Sentinel, Socket};
        for (text, error) in [
            ("http://host", Scheme),
            ("rediss+unix:///run/r", Scheme),
            ("redis+sentinel://a/main", Scheme),
            ("valkeyss://host", Scheme),
            ("valkey://", Redis),
            ("redis://host/300", Database),
            ("rediss://", Redis),
            ("redis://u:%zz@host", Redis),
            ("redis://ho st", Redis),
            ("redis+unix://run", Socket),
            ("redis+unix:///run/r?db=", Socket),
            ("redis+unix:///run/r?database=1", Socket),
            ("redis+unix://host/run/r", Socket),
            ("redis+unix:///user:s3cret@/run/r", Socket),
            ("redis+unix:///:s3cret@/run/r", Socket),
            ("redis+unix:///s3cret@/run/r", Socket),
            ("redis+unix:///user:s3/cret@run/r", Socket),
            ("redis-sentinel://a/u:s3cret@main", Sentinel),
            ("redis-sentinel://a", Sentinel),
            ("redis-sentinel://a/", Sentinel),
            ("redis-sentinel://a,/main", Sentinel),
            ("redis-sentinel://a/main?password=x", Sentinel),
            ("redis-cluster://", Cluster),
            ("redis-cluster://a/1", Cluster),
            ("redis-cluster://a:0", Cluster),
        ] {
            assert_eq!(RedisUrl::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_hash_tag_is_a_part_in_braces() {
        for (namespace, tagged) in
            [("{resque}", true), ("a{b}c", true), ("resque", false), ("{}r", false), ("}{", false)]
        {
            assert_eq!(is_hash_tag(namespace), tagged, "{namespace}");
        }
        assert!(untagged("{}resque").ends_with("write namespace = \"{resque}\""));
    }
}
