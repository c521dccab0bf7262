//! What came through a proxy, and from where.
//!
//! A proxy on this machine connects from this machine, no matter who its client is. So what came through one is never taken for a
//! program of this machine. A proxy that leaves no trace in the headers cannot be known; docs/security.md says so.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName};

/// What proxies add.
const TRACES: [HeaderName; 4] = [
    HeaderName::from_static("forwarded"),
    HeaderName::from_static("via"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("cf-connecting-ip"),
];
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED: &str = "x-forwarded-";
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Do the headers show a proxy?
pub(super) fn came_through(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| TRACES.contains(name) || name.as_str().starts_with(FORWARDED))
}

/// Whose request it is: the last address in `X-Forwarded-For` that no trusted proxy has. Without trusted proxies it is the one who
/// connected, because anybody can write that header.
pub(in crate::http) fn client(address: Option<IpAddr>, headers: &HeaderMap, trusted: &[IpAddr]) -> Option<IpAddr> {
    let is_trusted = |address: &IpAddr| trusted.contains(address);
    let Some(connected) = address.filter(is_trusted) else { return address };
    let values = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let listed: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
    let mut client = connected;
    for text in listed.into_iter().rev() {
        let Some(address) = parse(text) else { break };
        client = address;
        if !is_trusted(&address) {
            break;
        }
    }
    Some(client)
}

/// Below which path a trusted proxy shows this server, if it says so.
pub(in crate::http) fn prefix<'h>(
    address: Option<IpAddr>,
    headers: &'h HeaderMap,
    trusted: &[IpAddr],
) -> Option<&'h str> {
    address.filter(|address| trusted.contains(address))?;
    headers.get(FORWARDED_PREFIX)?.to_str().ok()
}

/// Did the request come to the proxy encrypted? Anyone may say so: it only decides whether a cookie is for encrypted connections
/// alone.
pub(in crate::http) fn is_encrypted(headers: &HeaderMap) -> bool {
    headers.get(FORWARDED_PROTO).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"https"))
}

/// An address, as some proxies write it with its port.
fn parse(text: &str) -> Option<IpAddr> {
    let address = text.parse().ok().or_else(|| Some(text.parse::<std::net::SocketAddr>().ok()?.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
        all.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn every_usual_header_of_a_proxy_is_a_trace() {
        for name in ["forwarded", "via", "x-real-ip", "x-forwarded-for", "x-forwarded-host", "x-forwarded-anything"] {
            assert!(came_through(&headers(&[("accept", "*/*"), (name, "")])), "{name}");
        }
        assert!(!came_through(&headers(&[("accept", "*/*"), ("x-request-id", "1")])));
    }

    #[test]
    fn the_client_is_the_last_one_whom_no_trusted_proxy_can_vouch_for() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let trusted = [address("10.0.0.7"), address("10.0.0.8")];
        let client = |from: &str, listed: &str| {
            client(Some(address(from)), &headers(&[("x-forwarded-for", listed)]), &trusted).unwrap().to_string()
        };
        assert_eq!(client("10.0.0.9", "192.0.2.1"), "10.0.0.9", "anybody can write it");
        assert_eq!(client("10.0.0.7", "192.0.2.1"), "192.0.2.1");
        assert_eq!(
            client("10.0.0.7", "203.0.113.9, 192.0.2.1, 10.0.0.8"),
            "192.0.2.1",
            "the first was written by the client"
        );
        assert_eq!(client("10.0.0.7", "[2001:db8::1]:4711"), "2001:db8::1");
        assert_eq!(client("10.0.0.7", "203.0.113.9, unknown"), "10.0.0.7");
        assert_eq!(client("10.0.0.7", ""), "10.0.0.7");
        assert_eq!(super::client(None, &headers(&[("x-forwarded-for", "192.0.2.1")]), &trusted), None);
    }
}
