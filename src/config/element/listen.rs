//! Where a server listens: `"127.0.0.1:7480"`, `"[::1]:7480"`, `"unix:/run/windlass/http.sock"`.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::literal;
use crate::config::reader::Value;

/// What such an address begins with if it is a path.
const UNIX: &str = "unix:";

/// The longest path that a socket can have.
const LONGEST_PATH: usize = 107;

const EXPECTED: &str =
    "an address and a port such as \"127.0.0.1:7480\" or \"[::1]:7480\", or \"unix:/run/windlass/http.sock\"";

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenAddress {
    /// An address of this machine and a port.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl ListenAddress {
    /// Can only programs of this machine reach it?
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    /// Reads one; a relative path starts at the working directory.
    fn from_str(text: &str) -> Result<Self, String> {
        match (text.strip_prefix(UNIX), text.parse()) {
            (Some(path), _) if !path.is_empty() && path.len() <= LONGEST_PATH => Ok(Self::Unix(path.into())),
            (None, Ok(address)) => Ok(Self::Tcp(address)),
            _ => Err(format!("expected {EXPECTED}")),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

/// Reads one; a relative path starts at `folder`.
#[must_use]
pub fn read(value: &Value<'_>, folder: &Path) -> Option<ListenAddress> {
    let Some(text) = value.raw().as_str() else {
        value.expected(EXPECTED);
        return None;
    };
    let text = text.trim();
    if let Some(path) = text.strip_prefix(UNIX) {
        return unix(value, path, folder);
    }
    if let Ok(address) = text.parse() {
        return Some(ListenAddress::Tcp(address));
    }
    let meant = meant(text);
    value.expected_one_of(EXPECTED, meant.as_deref());
    None
}

fn unix(value: &Value<'_>, path: &str, folder: &Path) -> Option<ListenAddress> {
    if let Some(found) = literal::in_path(path) {
        value.report(format!("expected a path as it is (found {found}, which no shell fills in here)"));
        return None;
    }
    if path.is_empty() {
        value.expected("the path of a socket behind \"unix:\"");
        return None;
    }
    let path = folder.join(path);
    let length = path.as_os_str().len();
    if length > LONGEST_PATH {
        value.report(format!(
            "expected a path of at most {LONGEST_PATH} bytes, the longest of a socket (found {length})"
        ));
        return None;
    }
    Some(ListenAddress::Unix(path))
}

/// What was probably meant: names and ports alone are none, because what they stand for differs from machine to machine.
fn meant(text: &str) -> Option<String> {
    let (host, port) = match text.rsplit_once(':').filter(|_| !text.ends_with(']')) {
        Some(parts) => parts,
        None if text.parse::<u16>().is_ok() => ("", text),
        None => (text, "7480"),
    };
    let port: u16 = port.parse().ok()?;
    let host = match host.trim_start_matches("http://").to_ascii_lowercase().as_str() {
        "" | "localhost" => "127.0.0.1".to_owned(),
        "*" => "0.0.0.0".to_owned(),
        "[::1]" => "[::1]".to_owned(),
        host => host.parse::<std::net::Ipv4Addr>().ok()?.to_string(),
    };
    Some(format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::reader::Document;

    fn listen(text: &str) -> Result<String, String> {
        let document = Document::new(Path::new("t.toml"), format!("listen = {text}"));
        let read =
            document.parse().and_then(|parsed| read(&document.top(&parsed).take("listen")?, Path::new("/etc/w")));
        read.map(|address| address.to_string()).ok_or_else(|| document.into_problems()[0].to_string())
    }

    #[test]
    fn addresses_and_sockets_are_read() {
        for text in ["127.0.0.1:7480", "[::1]:7480", "0.0.0.0:0", "unix:/run/http.sock"] {
            assert_eq!(listen(&format!("{text:?}")).as_deref(), Ok(text));
        }
        assert_eq!(listen("\"unix:http.sock\"").as_deref(), Ok("unix:/etc/w/http.sock"));
    }

    #[test]
    fn what_is_none_is_told_with_what_was_probably_meant() {
        for (text, meant) in [
            ("localhost:7480", Some("127.0.0.1:7480")),
            (":7480", Some("127.0.0.1:7480")),
            ("7480", Some("127.0.0.1:7480")),
            ("127.0.0.1", Some("127.0.0.1:7480")),
            ("*:80", Some("0.0.0.0:80")),
            ("::1", None),
            ("[::1]", Some("[::1]:7480")),
            ("web-1:7480", None),
            ("127.0.0.1:99999", None),
        ] {
            let told = listen(&format!("{text:?}")).unwrap_err();
            assert!(told.contains("expected an address and a port"), "{told}");
            let suggestion = meant.map(|meant| format!("did you mean {meant:?}?"));
            assert_eq!(told.contains("did you mean"), meant.is_some(), "{told}");
            assert!(suggestion.is_none_or(|suggestion| told.ends_with(&suggestion)), "{told}");
        }
        assert!(listen("7480").unwrap_err().contains("found 7480"));
        assert!(listen("\"unix:~/http.sock\"").unwrap_err().contains("found ~"));
        assert!(listen(&format!("\"unix:/{}\"", "x".repeat(107))).unwrap_err().contains("at most 107 bytes"));
    }

    #[test]
    fn only_loopback_and_sockets_are_local() {
        let is_local = |text: &str| ListenAddress::Tcp(text.parse().unwrap()).is_local();
        assert!(is_local("127.0.0.9:1") && is_local("[::1]:1") && is_local("[::ffff:127.0.0.1]:1"));
        assert!(!is_local("0.0.0.0:1") && !is_local("[::]:1") && !is_local("10.0.0.1:1"));
        assert!(ListenAddress::Unix("/run/x".into()).is_local());
    }
}
