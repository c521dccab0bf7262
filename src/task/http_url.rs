//! The parsed address of a task's HTTP server.

use hyper::http::Uri;
use hyper::http::uri::Scheme;

use crate::config::element::literal;

/// An address of `http://` or `https://`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpUrl {
    /// As it was written.
    pub written: String,
    /// Is the connection encrypted?
    pub tls: bool,
    /// The host's name or address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Host and port as the `host` header has them.
    pub authority: String,
    /// Path and query.
    pub path: String,
}

/// Why a text is not such an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpUrlError {
    /// It has another scheme.
    #[error("expected an address that begins with http:// or https://")]
    Scheme,
    /// It contains blanks, control characters or letters beyond ASCII.
    #[error("expected an address of printable ASCII; other letters are written as in %C3%A4")]
    Letters,
    /// It contains a variable of a shell.
    #[error(
        "an address is taken as it stands: no shell fills in a variable such as ${{HOST}}; write what it stands for (a \
         dollar itself is written %24)"
    )]
    Variable,
    /// It contains braces.
    #[error(
        "an address takes no placeholders: the job's arguments are in the body (a brace itself is written %7B or %7D)"
    )]
    Placeholder,
    /// It contains a user name or password.
    #[error("an address must not hold a user or a password: use headers = {{ authorization = {{ file = \"...\" }} }}")]
    User,
    /// It contains a fragment.
    #[error("an address must not hold a fragment (#...): servers are never told it")]
    Fragment,
    /// It has no host.
    #[error("expected an address with a host: https://HOST/PATH")]
    Host,
    /// Its port is invalid.
    #[error("expected a port from 1 to 65535")]
    Port,
    /// It is not an address.
    #[error("expected an address: https://HOST/PATH")]
    Form,
}

impl HttpUrl {
    /// Reads an address.
    ///
    /// # Errors
    /// Says what is wrong, without quoting the address, which may contain a password.
    pub fn parse(written: &str) -> Result<Self, HttpUrlError> {
        let scheme = written.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        let tls = match scheme.as_deref() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(HttpUrlError::Scheme),
        };
        if !written.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(HttpUrlError::Letters);
        }
        if literal::variable(written).is_some() {
            return Err(HttpUrlError::Variable);
        }
        if written.contains(['{', '}']) {
            return Err(HttpUrlError::Placeholder);
        }
        if written.contains('#') {
            return Err(HttpUrlError::Fragment);
        }
        let rest = written.split_once("://").map_or("", |(_, rest)| rest);
        let place = rest.split(['/', '?']).next().unwrap_or_default();
        if place.contains('@') {
            return Err(HttpUrlError::User);
        }
        if place.is_empty() || place.starts_with(':') {
            return Err(HttpUrlError::Host);
        }
        let uri: Uri = written.parse().map_err(|_| HttpUrlError::Form)?;
        let authority = uri.authority().ok_or(HttpUrlError::Host)?;
        let host = authority.host();
        let name = host.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(host);
        if name.is_empty() {
            return Err(HttpUrlError::Host);
        }
        let default = if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
        let port = match authority.as_str().strip_prefix(host) {
            Some("") => default,
            Some(port) => port
                .strip_prefix(':')
                .and_then(|port| port.parse().ok())
                .filter(|&n| n > 0)
                .ok_or(HttpUrlError::Port)?,
            None => return Err(HttpUrlError::Form),
        };
        Ok(Self {
            written: written.to_owned(),
            tls,
            host: name.to_owned(),
            port,
            authority: if port == default { host.to_owned() } else { format!("{host}:{port}") },
            path: origin_form(&uri),
        })
    }

    /// Scheme, host and port. Messages name only these, because a query may contain a secret.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.authority)
    }
}

/// Path and query for a request line. The path is never empty.
fn origin_form(uri: &Uri) -> String {
    match uri.path_and_query().map_or("/", |path| path.as_str()) {
        query if query.starts_with('?') => format!("/{query}"),
        path => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        let parts = |text: &str| {
            let url = HttpUrl::parse(text).unwrap();
            (url.tls, url.host, url.port, url.authority, url.path)
        };
        let own = |tls, host: &str, port, authority: &str, path: &str| {
            (tls, host.to_owned(), port, authority.to_owned(), path.to_owned())
        };
        assert_eq!(parts("https://jobs.test/run?a=1"), own(true, "jobs.test", 443, "jobs.test", "/run?a=1"));
        assert_eq!(parts("HTTP://127.0.0.1:8080"), own(false, "127.0.0.1", 8080, "127.0.0.1:8080", "/"));
        assert_eq!(parts("http://x:80?q"), own(false, "x", 80, "x", "/?q"));
        assert_eq!(parts("https://[::1]:4/@"), own(true, "::1", 4, "[::1]:4", "/@"));
        assert_eq!(HttpUrl::parse("https://x/?token=1").unwrap().origin(), "https://x");
    }

    #[test]
    fn what_is_none_is_told_by_its_fault() {
        for (text, error) in [
            ("", HttpUrlError::Scheme),
            ("jobs.test/run", HttpUrlError::Scheme),
            ("ftp://x", HttpUrlError::Scheme),
            ("unix:///tmp/x", HttpUrlError::Scheme),
            ("http://x/a b", HttpUrlError::Letters),
            ("http://x/\r\nhost: y", HttpUrlError::Letters),
            ("http://bücher.test", HttpUrlError::Letters),
            ("http://x/{id}", HttpUrlError::Placeholder),
            ("http://{0}/", HttpUrlError::Placeholder),
            ("http://${APP_HOST}/", HttpUrlError::Variable),
            ("http://x/$TENANT/jobs", HttpUrlError::Variable),
            ("http://me:word@x/", HttpUrlError::User),
            ("http://me@x", HttpUrlError::User),
            ("http://x/#top", HttpUrlError::Fragment),
            ("http://", HttpUrlError::Host),
            ("http:///path", HttpUrlError::Host),
            ("http://:80/", HttpUrlError::Host),
            ("http://[]/", HttpUrlError::Host),
            ("https://[]:80", HttpUrlError::Host),
            ("http://x:0/", HttpUrlError::Port),
            ("http://x:/", HttpUrlError::Port),
            ("http://x:65536/", HttpUrlError::Port),
            ("http://x:y/", HttpUrlError::Port),
            ("http://[::1/", HttpUrlError::Form),
            ("http://a\\b/", HttpUrlError::Form),
        ] {
            assert_eq!(HttpUrl::parse(text).map(|url| url.written), Err(error), "{text}");
        }
    }
}
