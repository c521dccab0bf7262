//! Addresses of stores and of HTTP servers. What is shown of one has no password, and can be read again.

use std::path::Path;

use windlass::config::element::redis_url::{RedisUrl, Topology};
use windlass::config::element::store_url::StoreUrl;
use windlass::task::http_url::HttpUrl;

pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(url) = StoreUrl::parse(text, Path::new("/srv/app"), None) {
        let _ = format!("{url} {url:?}");
    }
    if let Ok(url) = RedisUrl::parse(text) {
        let shown = url.to_string();
        // The name of a service is shown decoded, so that it may hold what ends it.
        let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !matches!(&url.topology, Topology::Sentinels(_, service) if !plain(service)) {
            let again = RedisUrl::parse(&shown).expect("a shown address must be one");
            assert_eq!((&again.topology, again.tls, again.database), (&url.topology, url.tls, url.database));
            assert!(again.login.user.is_none() && again.login.password.is_none(), "{shown} shows a login");
        }
    }
    if let Ok(url) = HttpUrl::parse(text) {
        assert!(url.path.starts_with('/') && !url.host.is_empty() && url.port > 0);
        for part in [&url.host, &url.authority, &url.path] {
            assert!(part.bytes().all(|byte| byte.is_ascii_graphic()), "{part:?} would break a request");
        }
        let again = HttpUrl::parse(&url.origin()).expect("an origin must be an address");
        assert_eq!((&again.host, again.port, again.tls), (&url.host, url.port, url.tls));
    }
}
