//! `[http]`: where a daemon is reached over HTTP, and by whom.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ring::digest::{SHA256, digest};
use ring::hmac;

use super::element::listen::ListenAddress;

/// `[http]`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpConfig {
    /// Where it listens.
    pub listen: Vec<ListenAddress>,
    /// Who may use it from elsewhere.
    pub tokens: Vec<HttpToken>,
    /// The files where tokens stand. Who may write one has the rights of its token.
    pub token_files: Vec<PathBuf>,
    /// May programs of this machine use it without a token?
    pub loopback: LoopbackMode,
    /// The names by which it may be called, beside those of this machine; in small letters.
    pub allowed_hosts: Vec<String>,
    /// The proxies that are believed from where a request comes.
    pub trusted_proxies: Vec<IpAddr>,
    /// Below which path it stands for browsers: empty, or such as `/jobs`. Every link begins with it.
    pub base: String,
    /// Does it change nothing?
    pub read_only: bool,
    /// Who may read its metrics?
    pub metrics: MetricsMode,
    /// Up to how many known queues the role `enqueue` makes new ones.
    pub max_queues: u64,
}

/// The longest base.
const LONGEST_BASE: usize = 200;

/// What [`HttpConfig::max_queues`] is if nothing is said.
pub const MAX_QUEUES: u64 = 1000;

impl HttpConfig {
    /// Without a section: for the programs of this machine, at the usual address.
    #[must_use]
    pub fn of_this_machine() -> Self {
        Self {
            listen: vec![ListenAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], 7480)))],
            tokens: Vec::new(),
            token_files: Vec::new(),
            loopback: LoopbackMode::Open,
            allowed_hosts: Vec::new(),
            trusted_proxies: Vec::new(),
            base: String::new(),
            read_only: false,
            metrics: MetricsMode::Token,
            max_queues: MAX_QUEUES,
        }
    }
}

/// A path below which a site may stand, without the slash at its end: empty for `/`, else such as `/jobs`.
#[must_use]
pub fn base_path(text: &str) -> Option<String> {
    let path = text.strip_suffix('/').unwrap_or(text);
    let is_plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    };
    let is_step = |part: &str| part.bytes().any(|byte| byte != b'.') && is_plain(part);
    let is_path = text.len() <= LONGEST_BASE
        && match path.strip_prefix('/') {
            Some(parts) => parts.split('/').all(is_step),
            None => text == "/",
        };
    is_path.then(|| path.to_owned())
}

/// What who collects metrics needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum MetricsMode {
    /// The role `read`.
    #[default]
    Token,
    /// Nothing, wherever it comes from.
    Open,
}

impl MetricsMode {
    /// As the configuration has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Open => "open",
        }
    }
}

/// What programs of this machine need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum LoopbackMode {
    /// Nothing.
    #[default]
    Open,
    /// A token, like all others.
    Token,
}

impl LoopbackMode {
    /// As the configuration has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Token => "token",
        }
    }
}

/// What the holder of a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// Look at everything.
    Read,
    /// Enqueue, and see nothing.
    Enqueue,
    /// Look, enqueue, and what can be undone: pause, resume, retry, stop, start.
    Operate,
    /// Everything, also what cannot be undone.
    Admin,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Read, Self::Enqueue, Self::Operate, Self::Admin];

    /// As the configuration has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Enqueue => "enqueue",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }

    /// May who has this role do what that one stands for?
    #[must_use]
    pub fn may(self, other: Self) -> bool {
        match self {
            Self::Read | Self::Enqueue => self == other,
            Self::Operate => other != Self::Admin,
            Self::Admin => true,
        }
    }
}

/// A token. Its text is not kept.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpToken {
    /// Who holds it.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// SHA-256 of its text.
    digest: [u8; 32],
}

impl HttpToken {
    /// A token of this text.
    #[must_use]
    pub fn new(name: &str, role: Role, text: &str) -> Self {
        Self { name: name.to_owned(), role, digest: sha256(text) }
    }

    /// Is this its text? How long the answer takes does not tell how much of it is right.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        let differences = self.digest.iter().zip(sha256(text)).fold(0, |all, (one, other)| all | (one ^ other));
        std::hint::black_box(differences) == 0
    }

    /// What only who knows the token can make of a text: for sessions of browsers, the same on all instances, and void when the
    /// token changes. `purpose` keeps those of one use from another.
    #[must_use]
    pub fn sign(&self, purpose: &str, text: &str) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(hmac::sign(&self.key(), Self::signed(purpose, text).as_bytes()).as_ref());
        bytes
    }

    /// Was this made of the text by [`HttpToken::sign`]? How long the answer takes does not tell how much of it is right.
    #[must_use]
    pub fn has_signed(&self, purpose: &str, text: &str, made: &[u8]) -> bool {
        hmac::verify(&self.key(), Self::signed(purpose, text).as_bytes(), made).is_ok()
    }

    fn key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.digest)
    }

    fn signed(purpose: &str, text: &str) -> String {
        format!("windlass {purpose}\n{text}")
    }

    /// Has the other one the same text?
    #[must_use]
    pub fn is_same_text(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl fmt::Debug for HttpToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpToken").field("name", &self.name).field("role", &self.role).finish_non_exhaustive()
    }
}

fn sha256(text: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_may_what_they_say() {
        let may =
            |role: Role| Role::ALL.into_iter().filter(|other| role.may(*other)).map(Role::name).collect::<Vec<_>>();
        assert_eq!(may(Role::Read), ["read"]);
        assert_eq!(may(Role::Enqueue), ["enqueue"], "who only enqueues does not see the arguments of others");
        assert_eq!(may(Role::Operate), ["read", "enqueue", "operate"]);
        assert_eq!(may(Role::Admin), ["read", "enqueue", "operate", "admin"]);
    }

    #[test]
    fn a_token_knows_its_text_and_shows_it_to_nobody() {
        let token = HttpToken::new("ci", Role::Enqueue, "a-long-enough-token");
        assert!(token.is("a-long-enough-token"));
        assert!(!token.is("a-long-enough-tokeN") && !token.is("") && !token.is("a-long-enough-token "));
        assert!(token.is_same_text(&HttpToken::new("other", Role::Read, "a-long-enough-token")));
        let made = token.sign("session", "ci");
        assert!(token.has_signed("session", "ci", &made) && !token.has_signed("other", "ci", &made));
        assert!(!HttpToken::new("ci", Role::Enqueue, "another-long-token").has_signed("session", "ci", &made));
        assert!(!token.has_signed("session", "cj", &made) && !token.has_signed("session", "ci", &made[..31]));
        assert_eq!(format!("{token:?}"), "HttpToken { name: \"ci\", role: Enqueue, .. }");
    }
}
