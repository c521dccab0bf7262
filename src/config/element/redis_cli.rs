//! How a person asks the server at an address: the beginning of a command that can be typed.

use super::redis_url::{Host, RedisUrl, Topology};
use crate::text::shell::word;

/// `redis-cli` with the server's address. The password stays out of it. Of Sentinels it is not known which server they name
/// at the time when it is typed.
#[must_use]
pub fn redis_cli(url: &RedisUrl) -> String {
    let at = |host: &Host| format!(" -h {} -p {}", word(&host.name), host.port);
    let server = match &url.topology {
        Topology::Server(host) => at(host),
        Topology::Socket(path) => format!(" -s {}", word(&path.display().to_string())),
        Topology::Cluster(hosts) => hosts.first().map(|host| format!("{} -c", at(host))).unwrap_or_default(),
        Topology::Sentinels(..) => String::new(),
    };
    let tls = if url.tls && !server.is_empty() { " --tls" } else { "" };
    let number = url.database.filter(|number| *number > 0).map(|number| format!(" -n {number}")).unwrap_or_default();
    format!("redis-cli{server}{tls}{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_reaches_the_server_of_the_address_and_shows_no_password() {
        let typed = |url: &str| redis_cli(&RedisUrl::parse(url).unwrap());
        assert_eq!(typed("redis://u:secret@cache.internal/3"), "redis-cli -h cache.internal -p 6379 -n 3");
        assert_eq!(typed("rediss://[::1]:7000"), "redis-cli -h ::1 -p 7000 --tls");
        assert_eq!(typed("redis+unix:///run/a.sock?db=0"), "redis-cli -s /run/a.sock");
        assert_eq!(typed("redis-cluster://a:1,b:2"), "redis-cli -h a -p 1 -c");
        assert_eq!(typed("redis-sentinel://a:1,b:2/mymaster"), "redis-cli");
    }
}
