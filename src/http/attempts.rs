//! Wrong tokens, counted by address, so that who tries them is refused cheaply, loses its connection and is told of.
//!
//! A right token passes however many wrong ones came: behind a proxy everybody has one address, and nobody may lock out the
//! others there. What keeps a token from being guessed is its length, not this.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So many wrong ones are answered.
const MOST: u32 = 10;
/// Within this time.
const WINDOW: Duration = Duration::from_secs(60);
/// For how many addresses they are counted.
const ADDRESSES: usize = 4096;

/// Who tries: an address; for IPv6 the network of a customer, who has as many addresses as they like. `None`: a socket in the
/// file system.
type Client = Option<IpAddr>;

/// The counts.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<HashMap<Client, Tries>>);

#[derive(Debug)]
struct Tries {
    count: u32,
    begun: Instant,
}

impl Attempts {
    /// For how long wrong tokens of this client are too many; `None`: they are not.
    pub(super) fn barred(&self, client: Client) -> Option<Duration> {
        let tries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_client = tries.get(&network(client))?;
        let left = WINDOW.checked_sub(of_client.begun.elapsed()).filter(|left| !left.is_zero())?;
        (of_client.count >= MOST).then_some(left)
    }

    /// Counts a wrong token; true if that was one too many.
    pub(super) fn wrong(&self, client: Client) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (client, now) = (network(client), Instant::now());
        if all.len() >= ADDRESSES && !all.contains_key(&client) {
            all.retain(|_, tries| tries.begun.elapsed() < WINDOW);
            let oldest = all.iter().min_by_key(|(_, tries)| tries.begun).map(|(client, _)| *client);
            if let Some(oldest) = oldest.filter(|_| all.len() >= ADDRESSES) {
                all.remove(&oldest);
            }
        }
        let tries = all.entry(client).or_insert(Tries { count: 0, begun: now });
        if tries.begun.elapsed() >= WINDOW {
            *tries = Tries { count: 0, begun: now };
        }
        tries.count = tries.count.saturating_add(1);
        tries.count == MOST
    }
}

fn network(client: Client) -> Client {
    match client {
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            Some(IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn address(text: &str) -> Client {
        Some(text.parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn after_ten_wrong_ones_a_client_is_barred_for_the_rest_of_the_minute() {
        let attempts = Attempts::default();
        let one = address("192.0.2.1");
        for _ in 1..MOST {
            assert!(!attempts.wrong(one) && attempts.barred(one).is_none());
        }
        advance(Duration::from_secs(20)).await;
        assert!(attempts.wrong(one), "it is told once");
        assert!(!attempts.wrong(one));
        assert_eq!(attempts.barred(one), Some(Duration::from_secs(40)));
        assert_eq!((attempts.barred(address("192.0.2.2")), attempts.barred(None)), (None, None));
        advance(Duration::from_secs(40)).await;
        assert_eq!(attempts.barred(one), None);
        assert!(!attempts.wrong(one), "it begins anew");
        assert_eq!(attempts.barred(one), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_counts_as_one_and_the_table_is_bounded() {
        let attempts = Attempts::default();
        for host in 0..MOST {
            attempts.wrong(address(&format!("2001:db8:0:1::{host:x}")));
        }
        assert!(attempts.barred(address("2001:db8:0:1:ffff::1")).is_some());
        assert!(attempts.barred(address("2001:db8:0:2::1")).is_none());
        for number in 0..2 * u32::try_from(ADDRESSES).unwrap() {
            attempts.wrong(Some(IpAddr::from(number.to_be_bytes())));
        }
        assert_eq!(attempts.0.lock().unwrap().len(), ADDRESSES);
    }
}
