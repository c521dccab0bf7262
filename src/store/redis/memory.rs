//! What the server does when it has no memory left.
//!
//! A server that evicts keys loses jobs and locks, and nobody is told. So a daemon asks for the policy when it joins and
//! once an hour from then on, and says what it found.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::connection::Connection;
use super::reply;
use crate::store::error::StoreError;
use crate::store::room::ServerMemory;

/// How long an answer holds.
const HOUR: Duration = Duration::from_secs(3600);

/// When the policy was asked for last.
#[derive(Debug, Default)]
pub(super) struct Asked(Mutex<Option<Instant>>);

impl Asked {
    /// Takes note that it is asked for now, if it was not within the last hour. Returns whether it was not.
    fn is_due(&self) -> bool {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = asked.is_none_or(|asked| asked.elapsed() >= HOUR);
        if is_due {
            *asked = Some(Instant::now());
        }
        is_due
    }
}

/// Warns if the server evicts keys. Asks at most once an hour.
pub(super) async fn check(connection: &Connection, asked: &Asked) {
    if !asked.is_due() {
        return;
    }
    // A user without the right to ask is told nothing.
    let Ok(memory) = read(connection).await else { return };
    if let Some(policy) = memory.evicting() {
        let text = format!(
            "the server at {} deletes keys when its memory is full (maxmemory-policy {policy}): jobs and locks get lost \
             without a word; type CONFIG SET maxmemory-policy noeviction",
            connection.origin.address()
        );
        connection.origin.findings.tell("eviction", text);
    }
}

/// Asks the server.
pub(super) async fn read(connection: &Connection) -> Result<ServerMemory, StoreError> {
    let section = |name: &'static str| ("INFO", vec![Bytes::from_static(name.as_bytes())]);
    let mut info = String::new();
    for part in connection.commands(vec![section("memory"), section("stats")]).await? {
        info.push_str(&String::from_utf8_lossy(&reply::bytes(part?)?.unwrap_or_default()));
    }
    Ok(memory(&info))
}

/// What INFO says.
fn memory(info: &str) -> ServerMemory {
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    let number = |name: &str| field(name).and_then(|text| text.parse::<u64>().ok());
    ServerMemory {
        used: number("used_memory"),
        most: number("maxmemory").filter(|most| *most > 0),
        policy: field("maxmemory_policy").map(str::to_owned),
        evicted: number("evicted_keys").unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_evicts_where_there_is_a_limit() {
        let info = |most: &str, policy: &str| format!("# Memory\r\nmaxmemory:{most}\r\nmaxmemory_policy:{policy}\r\n");
        let evicting = |info: &str| memory(info).evicting().map(str::to_owned);
        assert_eq!(evicting(&info("1", "allkeys-lru")).as_deref(), Some("allkeys-lru"));
        assert_eq!(evicting(&info("104857600", "volatile-ttl")).as_deref(), Some("volatile-ttl"));
        assert_eq!(evicting(&info("0", "allkeys-lru")), None);
        assert_eq!(evicting(&info("1", "noeviction")), None);
        assert_eq!(evicting(""), None);
        let read = memory("used_memory:7\r\nused_memory_rss:9\r\nmaxmemory:5\r\nevicted_keys:3\r\n");
        assert_eq!((read.used, read.most, read.evicted, read.is_full()), (Some(7), Some(5), 3, true));
    }

    #[tokio::test(start_paused = true)]
    async fn the_policy_is_asked_for_once_an_hour() {
        let asked = Asked::default();
        assert!(asked.is_due());
        tokio::time::advance(HOUR / 2).await;
        assert!(!asked.is_due());
        tokio::time::advance(HOUR / 2).await;
        assert!(asked.is_due());
    }
}
