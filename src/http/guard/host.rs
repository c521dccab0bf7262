//! Is the server called by one of its names?
//!
//! A browser lets a page of `evil.example` read answers of `evil.example`. Anyone who owns that name can let it lead to
//! 127.0.0.1 while the page is open, and no header of a read says so but `Host`.

use axum::extract::{Request, State};
use axum::http::header::HOST;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::http::peer::Peer;
use crate::http::problem::{Kind, Problem};
use crate::http::site::Site;

/// By which of its names a server is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Name {
    /// One of this machine.
    Own,
    /// One of `allowed_hosts`: there is a proxy in front, or a name that others know.
    Allowed,
}

/// The middleware. It leaves a [`Name`] for those behind it.
pub(in crate::http) async fn check(State(site): State<Site>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().copied().unwrap_or(Peer::unix());
    let content = site.content();
    match names(&request).and_then(|names| judge(&names, peer, &content.http.allowed_hosts)) {
        Ok(name) => {
            request.extensions_mut().insert(name);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// All names by which a request calls: those in its line and in `Host`. A proxy may look at the one and we at the other.
fn names(request: &Request) -> Result<Vec<String>, Problem> {
    let headers = request.headers().get_all(HOST).iter();
    let mut names: Vec<String> = headers.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
    if names.len() != 1 {
        let detail = format!("expected one header Host (found {})", names.len());
        return Err(Problem::new(Kind::Malformed, detail));
    }
    names.extend(request.uri().authority().map(|authority| authority.as_str().to_owned()));
    Ok(names)
}

fn judge(names: &[String], peer: Peer, allowed: &[String]) -> Result<Name, Problem> {
    let mut judged = Name::Own;
    for name in names {
        let host = without_port(name).to_ascii_lowercase();
        if is_own(&host, peer) {
            continue;
        }
        if !allowed.contains(&host) {
            let detail = format!(
                "this server is not called {host:?}. If it should be, set allowed_hosts = [{host:?}] under [http] in its \
                 configuration"
            );
            return Err(Problem::new(Kind::UnknownHost, detail));
        }
        judged = Name::Allowed;
    }
    Ok(judged)
}

/// Is it a name of this machine, or the address that was called?
fn is_own(host: &str, peer: Peer) -> bool {
    if host == "localhost" {
        return true;
    }
    let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let Ok(address) = inside.parse::<std::net::IpAddr>() else { return false };
    address.is_loopback() || peer.called == Some(address.to_canonical())
}

/// The host of `host:port`. Ports are not compared: a stranger's name stays one under any port.
pub(super) fn without_port(name: &str) -> &str {
    let end = match name.rfind(':') {
        Some(colon) if name.get(colon + 1..).is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit())) => {
            colon
        }
        _ => name.len(),
    };
    // Of `[::1]` the colons are no beginning of a port.
    if name.starts_with('[') && name.ends_with(']') { name } else { name.get(..end).unwrap_or(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(name: &str) -> Result<Name, String> {
        let peer = Peer::tcp("10.0.0.7".parse().unwrap(), "10.0.0.1".parse().unwrap());
        let allowed = ["jobs.example.org".to_owned(), "[::7]".to_owned()];
        judge(&[name.to_owned()], peer, &allowed).map_err(|problem| problem.detail().to_owned())
    }

    #[test]
    fn names_of_this_machine_and_allowed_ones_are_known() {
        for own in ["localhost", "LOCALHOST:7480", "127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:7480", "10.0.0.1:7480"]
        {
            assert_eq!(judged(own), Ok(Name::Own), "{own}");
        }
        for allowed in ["jobs.example.org", "Jobs.Example.ORG:443", "[::7]:1"] {
            assert_eq!(judged(allowed), Ok(Name::Allowed), "{allowed}");
        }
    }

    #[test]
    fn all_others_are_told_which_key_to_set() {
        for other in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.2",
            "",
            "jobs.example.org.",
            "x:y",
            "127.0.0.1:80:80",
            "[::2]",
        ] {
            let told = judged(other).unwrap_err();
            assert!(told.contains("set allowed_hosts = [") && told.contains("under [http]"), "{other}: {told}");
        }
    }

    #[test]
    fn the_name_in_the_line_counts_as_well() {
        let names = ["localhost".to_owned(), "evil.example".to_owned()];
        assert!(judge(&names, Peer::unix(), &[]).is_err());
        let request = |hosts: &[&str]| {
            let mut request = Request::get("http://evil.example/").body(axum::body::Body::empty()).unwrap();
            for host in hosts {
                request.headers_mut().append(HOST, host.parse().unwrap());
            }
            names_of(&request)
        };
        assert_eq!(request(&["localhost"]), Some(2));
        assert_eq!((request(&[]), request(&["localhost", "localhost"])), (None, None));
    }

    fn names_of(request: &Request) -> Option<usize> {
        super::names(request).ok().map(|names| names.len())
    }
}
