//! Keeps a connection: makes a new one when it has ended, and as soon as an answer does not come in time.
//!
//! A connection that is half open, or a path that swallows packets, shows in nothing but silence, and the system waits for
//! minutes before it says so. So whoever waits for an answer has a limit of its own, a part of the lease. When it passes,
//! the connection is dropped with everything that is under way on it, and the next command goes over a new one. Scripts
//! that write may be repeated by their own means (the sequence of a lane); nothing is repeated here.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use fred::clients::Client;
use fred::interfaces::ClientLike;
use fred::types::ConnectHandle;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

use crate::backoff;
use crate::store::error::StoreError;

/// The longest and the shortest time that an answer is waited for.
pub(super) const MOST: Duration = Duration::from_secs(4);
const LEAST: Duration = Duration::from_millis(500);
/// How many answers must come after one that did not come in time before the limit shrinks again.
const CALM: u32 = 64;
/// How long after its end a connection is made anew.
const RENEW_DELAY: Duration = Duration::from_millis(100);
/// How long a connection that is let go may take to say so.
const QUIT: Duration = Duration::from_secs(1);

/// How long an answer is waited for. All connections of a store share it, and an instance that joins sets it.
#[derive(Debug, Clone)]
pub(super) struct Patience(Arc<AtomicU64>);

impl Default for Patience {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(millis(MOST))))
    }
}

impl Patience {
    /// So that a lost connection is noticed, made anew and used within a lease.
    pub(super) fn hold(&self, lease: Duration) {
        self.0.store(millis((lease / 5).clamp(LEAST, MOST)), Ordering::Relaxed);
    }

    /// Twice as long after each answer that did not come in time: a slow path is no broken one.
    fn after(&self, misses: u32) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed).saturating_mul(1 << misses.min(4))).min(MOST)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Makes a connection, within so long.
pub(super) type Connect = Box<dyn Fn(Duration) -> BoxFuture<'static, Result<Made, StoreError>> + Send + Sync>;

/// Tells why a connection is made anew.
pub(super) type Tell = Box<dyn Fn(&str) + Send + Sync>;

/// A connection that was made: its client, and the task that drives it.
pub(super) type Made = (Client, ConnectHandle);

/// A connection that is kept. Dropped, it ends.
pub(super) struct Kept {
    shared: Arc<Shared>,
    /// Numbers of connections that are to be replaced.
    broken: mpsc::UnboundedSender<u64>,
}

struct Shared {
    client: RwLock<Client>,
    /// The number of the connection at present; none while a new one is being made.
    number: watch::Sender<Option<u64>>,
    patience: Patience,
    misses: AtomicU32,
    answers: AtomicU32,
}

impl Kept {
    /// Keeps a connection that was opened.
    pub(super) fn new(patience: Patience, (client, router): Made, connect: Connect, tell: Tell) -> Self {
        let shared = Arc::new(Shared {
            client: RwLock::new(client),
            number: watch::Sender::new(Some(0)),
            patience,
            misses: AtomicU32::new(0),
            answers: AtomicU32::new(0),
        });
        let (broken, orders) = mpsc::unbounded_channel();
        tokio::spawn(keep(Arc::clone(&shared), connect, tell, router, orders));
        Self { shared, broken }
    }

    /// The client of the present connection.
    pub(super) fn client(&self) -> Client {
        self.shared.client()
    }

    /// The number of the present connection; waits shortly for a new one where that is being made.
    pub(super) async fn number(&self, patience: Duration) -> Option<u64> {
        if let Some(number) = *self.shared.number.borrow() {
            return Some(number);
        }
        let mut numbers = self.shared.number.subscribe();
        let number = timeout(patience, numbers.wait_for(Option::is_some)).await;
        number.ok().and_then(Result::ok).and_then(|number| *number)
    }

    /// Tells of each new connection.
    pub(super) fn numbers(&self) -> watch::Receiver<Option<u64>> {
        self.shared.number.subscribe()
    }

    /// Hands out the clients of connections, but does not keep them.
    pub(super) fn clients(&self) -> impl Fn() -> Client + Send + 'static {
        let shared = Arc::clone(&self.shared);
        move || shared.client()
    }

    /// How long an answer is waited for.
    pub(super) fn limit(&self) -> Duration {
        self.shared.limit()
    }

    /// An answer came in time.
    pub(super) fn answered(&self) {
        if self.shared.misses.load(Ordering::Relaxed) == 0 {
            return;
        }
        if self.shared.answers.fetch_add(1, Ordering::Relaxed) >= CALM {
            self.shared.answers.store(0, Ordering::Relaxed);
            self.shared.misses.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// No answer came in time over this connection: it is to be replaced at once, if nobody has done so.
    pub(super) fn silent(&self, number: u64) {
        // Nobody keeps it any more where the runtime ends.
        let _ = self.broken.send(number);
    }
}

impl Shared {
    fn client(&self) -> Client {
        self.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn limit(&self) -> Duration {
        self.patience.after(self.misses.load(Ordering::Relaxed))
    }

    fn missed(&self) {
        self.answers.store(0, Ordering::Relaxed);
        let misses = self.misses.load(Ordering::Relaxed);
        self.misses.store((misses + 1).min(4), Ordering::Relaxed);
    }
}

async fn keep(
    shared: Arc<Shared>,
    connect: Connect,
    tell: Tell,
    mut router: ConnectHandle,
    mut broken: mpsc::UnboundedReceiver<u64>,
) {
    let mut number = 0;
    loop {
        tokio::select! {
            ended = &mut router => match ended {
                // The library ends its router on some errors, a redirection that it cannot follow while a slot moves.
                Ok(Err(error)) => {
                    tell(&format!("ended ({error})"));
                    shared.number.send_replace(None);
                    sleep(RENEW_DELAY).await;
                }
                // It was told to quit, or its runtime ends.
                Ok(Ok(())) | Err(_) => return,
            },
            order = broken.recv() => match order {
                Some(order) if order == number => {
                    shared.missed();
                    tell("gave no answer in time");
                    // With everything that is under way: whoever waits for an answer is told so.
                    router.abort();
                    shared.number.send_replace(None);
                }
                Some(_) => continue,
                None => {
                    // Nothing is lost by a connection that does not say goodbye.
                    let _ = timeout(QUIT, shared.client().quit()).await;
                    return router.abort();
                }
            },
        }
        let mut attempt = 0;
        let (client, connected) = loop {
            let (begun, limit) = (Instant::now(), shared.limit());
            match connect(limit).await {
                Ok(connected) => break connected,
                Err(_) if begun.elapsed() >= limit => shared.missed(),
                // It was refused, and that was fast.
                Err(_) => {}
            }
            if broken.is_closed() {
                return;
            }
            sleep(backoff::exponential(attempt, Duration::from_millis(20), Duration::from_secs(1), 0.1)).await;
            attempt += 1;
        };
        router = connected;
        *shared.client.write().unwrap_or_else(PoisonError::into_inner) = client;
        number += 1;
        shared.number.send_replace(Some(number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_a_part_of_the_lease_and_grows_with_silence() {
        let patience = Patience::default();
        assert_eq!(patience.after(0), MOST);
        for (lease_s, first) in [(1, 500), (2, 500), (5, 1000), (15, 3000), (60, 4000)] {
            patience.hold(Duration::from_secs(lease_s));
            assert_eq!(patience.after(0).as_millis(), first);
            assert_eq!(patience.after(1).as_millis(), (2 * first).min(4000));
            assert_eq!(patience.after(9), MOST);
        }
    }
}
