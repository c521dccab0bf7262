//! What came through a proxy, and from where.
//!
//! A proxy on this machine connects from this machine, no matter who its client is. So what came through one is never taken for a
//! program of this machine. A proxy that leaves no trace in the headers cannot be known; docs/security.md says so.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName};

/// Words of which one in the name of a header is enough. Proxies, load balancers and networks for content put their own name there, or
/// say what the request was before it came to them.
const WORDS: [&str; 23] = [
    "forwarded",
    "via",
    "proxy",
    "proxied",
    "proxyuser",
    "original",
    "rewrite",
    "rewritten",
    "envoy",
    "istio",
    "cf",
    "cdn",
    "cloudfront",
    "fastly",
    "fly",
    "akamai",
    "varnish",
    "traefik",
    "haproxy",
    "nginx",
    "azure",
    "appengine",
    "arr",
];
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The last word of the name of a header that tells an address.
const ADDRESSES: [&str; 3] = ["ip", "addr", "address"];
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Do the headers show a proxy?
pub(super) fn came_through(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| is_trace(name.as_str()))
}

/// Does a header of this name, in small letters, show a proxy? These do: one of an address that is not that of the connection
/// (`X-Real-IP`, `True-Client-IP`, `CF-Connecting-IP`, `X-ProxyUser-Ip`, ...), and one with a word that proxies use.
pub(in crate::http) fn is_trace(name: &str) -> bool {
    let words = || name.split(['-', '_']);
    let tells_address = |last: &str| {
        ADDRESSES.contains(&last) || ["clientip", "userip", "realip", "remoteip"].iter().any(|end| last.ends_with(end))
    };
    words().next_back().is_some_and(tells_address) || words().any(|word| WORDS.contains(&word))
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
        for name in [
            "forwarded",
            "via",
            "x-real-ip",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-anything",
            "cf-connecting-ip",
            "cf-ray",
            "x-client-ip",
            "x-cluster-client-ip",
            "true-client-ip",
            "fly-client-ip",
            "fastly-client-ip",
            "x-azure-clientip",
            "x-envoy-external-address",
            "x-original-host",
            "x-original-url",
            "x-original-forwarded-for",
            "x-proxyuser-ip",
            "x-appengine-user-ip",
            "cdn-loop",
            "x-remote-addr",
            "x_forwarded_for",
            "proxy-connection",
            "x-rewrite-url",
            "x-varnish",
            "client-ip",
            "x-arr-log-id",
            "wl-proxy-client-ip",
        ] {
            assert!(came_through(&headers(&[("accept", "*/*"), (name, "")])), "{name}");
        }
        let usual = [
            "host",
            "accept",
            "accept-encoding",
            "accept-language",
            "authorization",
            "cache-control",
            "connection",
            "content-length",
            "content-type",
            "cookie",
            "idempotency-key",
            "if-none-match",
            "last-event-id",
            "origin",
            "priority",
            "pragma",
            "referer",
            "sec-fetch-site",
            "te",
            "traceparent",
            "tracestate",
            "transfer-encoding",
            "upgrade-insecure-requests",
            "user-agent",
            "x-request-id",
            "x-requested-with",
            "x-correlation-id",
            "dnt",
        ];
        for name in usual {
            assert!(!came_through(&headers(&[(name, "1")])), "{name}: programs of this machine send it");
        }
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
