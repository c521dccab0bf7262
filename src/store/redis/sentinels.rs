//! Follows the master of a service: asks a Sentinel several times a second which server it is.
//!
//! A master that is replaced on purpose (`SENTINEL FAILOVER`) goes on taking writes for ten seconds, until it is made a
//! replica; all of them are lost. Nothing in its answers shows that. So the connections leave it as soon as the Sentinels
//! name another one (`keeper`). The same frees them from attempts to reach a master that hangs.
//!
//! It asks, and does not subscribe to `+switch-master`: a subscription is told a tenth of a second earlier, but needs two
//! more rights, and cannot tell silence from calm, so that it would have to ask as well. One process costs a Sentinel five
//! small commands a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fred::clients::SentinelClient;
use fred::interfaces::{ClientLike, SentinelInterface};
use fred::types::ConnectHandle;
use fred::types::config::{ConnectionConfig, SentinelConfig};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::credentials::Credentials;
use super::patience::{MOST_MISSES, Patience};
use crate::config::element::redis_url::{Host, RedisUrl, Topology};

/// How often a Sentinel is asked.
const EVERY: Duration = Duration::from_millis(200);

/// Where a server is, as a Sentinel names it.
pub(super) type Address = (String, u16);

/// The Sentinels of a service, and what they say.
pub(super) struct Sentinels {
    hosts: Vec<Host>,
    service: String,
    credentials: Credentials,
    patience: Patience,
    /// The master, once one was named.
    master: watch::Sender<Option<Address>>,
    /// Which of the hosts is asked first.
    first: AtomicUsize,
}

/// Follows the master for as long as it is kept.
pub(super) struct Following(AbortHandle);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Sentinels {
    /// Those of this address, if it is one of Sentinels.
    pub(super) fn of(url: &RedisUrl, credentials: &Credentials, patience: &Patience) -> Option<Self> {
        let Topology::Sentinels(hosts, service) = &url.topology else { return None };
        Some(Self {
            hosts: hosts.clone(),
            service: service.clone(),
            credentials: credentials.clone(),
            patience: patience.clone(),
            master: watch::Sender::new(None),
            first: AtomicUsize::new(0),
        })
    }

    /// Which of the hosts is to be asked first.
    pub(super) fn first(&self) -> usize {
        self.first.load(Ordering::Relaxed)
    }

    /// This one did not answer: another one is to be asked first.
    pub(super) fn pass_over(&self, host: usize) {
        let next = (host + 1) % self.hosts.len().max(1);
        // Unless somebody else has passed over it.
        let _ = self.first.compare_exchange(host, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The master as the Sentinels name it from now on.
    pub(super) fn master(&self) -> watch::Receiver<Option<Address>> {
        self.master.subscribe()
    }

    /// Follows the master, on the runtime that calls.
    pub(super) fn follow(self: &Arc<Self>) -> Following {
        Following(tokio::spawn(Arc::clone(self).ask_on()).abort_handle())
    }

    async fn ask_on(self: Arc<Self>) {
        let mut misses = 0;
        loop {
            // First of all, because a program that ends before has no need of it.
            sleep(EVERY * (misses + 1)).await;
            let host = self.first();
            if let Some((client, router)) = self.open(host, misses).await {
                while let Some(named) = self.ask(&client, misses).await {
                    misses = 0;
                    self.master.send_if_modified(|master| {
                        let is_news = master.as_ref() != Some(&named);
                        *master = Some(named);
                        is_news
                    });
                    sleep(EVERY).await;
                }
                router.abort();
            }
            misses = (misses + 1).min(MOST_MISSES);
            self.pass_over(host);
        }
    }

    async fn open(&self, host: usize, misses: u32) -> Option<(SentinelClient, ConnectHandle)> {
        let Host { name, port, .. } = self.hosts.get(host)?;
        let (login, tls) = self.credentials.of_sentinels();
        let config =
            SentinelConfig { host: name.clone(), port: *port, username: login.user, password: login.password, tls };
        let limit = self.patience.connecting(misses);
        let connection = ConnectionConfig {
            connection_timeout: limit,
            internal_command_timeout: limit,
            max_command_attempts: 1,
            ..ConnectionConfig::default()
        };
        let client = SentinelClient::new(config, None, Some(connection), None);
        match timeout(limit, client.init()).await {
            Ok(Ok(router)) => Some((client, router)),
            Ok(Err(_)) => None,
            Err(_) => {
                // As in `Origin::connect`.
                client.connect().abort();
                None
            }
        }
    }

    /// The master that this Sentinel names; nothing if it does not answer, or knows none.
    async fn ask(&self, client: &SentinelClient, misses: u32) -> Option<Address> {
        let named = client.get_master_addr_by_name::<Option<Address>, _>(self.service.as_str());
        timeout(self.patience.limits(misses).1, named).await.ok()?.ok()?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::element::tls_files::ConnectionFiles;
    use crate::store::findings::Findings;

    #[test]
    fn each_sentinel_has_its_turn_and_two_who_miss_the_same_one_pass_over_it_once() {
        let url = RedisUrl::parse("redis-sentinel://a,b,c/main").unwrap();
        let credentials = Credentials::new(&url, &ConnectionFiles::default(), Findings::default()).unwrap();
        let sentinels = Sentinels::of(&url, &credentials, &Patience::default()).unwrap();
        let mut turns = Vec::new();
        for _ in 0..5 {
            let host = sentinels.first();
            sentinels.pass_over(host);
            sentinels.pass_over(host);
            turns.push(host);
        }
        assert_eq!(turns, [0, 1, 2, 0, 1]);
    }
}
