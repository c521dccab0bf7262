//! Keeps a connection: replaces it when it has ended, when it is silent, and when the master is another server.
//!
//! A connection that is half open, or a path that swallows packets, shows in nothing but silence, and the operating system
//! reports it only after minutes. So an answer that is late raises a doubt: another connection is opened beside. If that
//! one is made before the answer comes, the silent one is dropped. If the server or the path is only slow, the answer
//! comes first and the other connection is closed. An answer that does not come within the limit ends the connection in
//! any case. What was under way on a dropped connection fails with an unknown outcome; nothing is repeated here.
//!
//! Longer than 400 lines because one select holds every way in which a connection ends, and each is read beside its wait.

use std::pin::pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::{ClientLike, EventInterface};
use fred::types::ConnectHandle;
use fred::types::config::Server;
use futures_util::future::BoxFuture;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

use super::patience::{LONG, MOST_MISSES, Patience};
use super::sentinels::Address;
use crate::backoff;
use crate::store::error::StoreError;
use crate::supervise::stillness::within;

/// After how many answers one miss is forgotten.
const CALM: u32 = 64;
/// How long after its end a connection is made anew.
const RENEW_DELAY: Duration = Duration::from_millis(100);
/// How often a connection is made anew because it leads to another server than the Sentinels name. Later than that they
/// may name it in two ways.
const MOST_MOVES: u32 = 5;
/// How long a connection that is let go may take to say so.
const QUIT: Duration = Duration::from_secs(1);

/// Makes a connection, within so long.
pub(super) type Connect = Box<dyn Fn(Duration) -> BoxFuture<'static, Result<Made, StoreError>> + Send + Sync>;

/// Tells why a connection is made anew.
pub(super) type Tell = Box<dyn Fn(&str) + Send + Sync>;

/// Takes note of an error that the client library met; is it a refusal of what we show?
pub(super) type Refused = Box<dyn Fn(&Error) -> bool + Send + Sync>;

/// A connection that was made: its client, and the task that drives it.
pub(super) type Made = (Client, ConnectHandle);

/// A connection that is kept. Dropped, it ends.
pub(super) struct Kept {
    shared: Arc<Shared>,
    reports: mpsc::UnboundedSender<(u64, Silence)>,
}

/// What was seen on the connection of a number.
enum Silence {
    /// An answer is late.
    Doubt,
    /// No answer came within the limit.
    Certain,
    /// The server answered, but does not know us.
    Refused,
}

struct Shared {
    client: RwLock<Client>,
    /// The number of the connection at present; none while a new one is being made.
    number: watch::Sender<Option<u64>>,
    patience: Patience,
    /// How many connections were dropped for their silence (a miss each), and how many answers came since.
    misses: AtomicU32,
    answers: AtomicU32,
    /// How many answers came after they had raised a doubt.
    late: AtomicU64,
}

impl Kept {
    /// Keeps a connection that was opened. `master` tells where it is to lead if Sentinels know that.
    pub(super) fn new(
        patience: Patience,
        (client, router): Made,
        connect: Connect,
        tell: Tell,
        refused: Refused,
        mut master: Option<watch::Receiver<Option<Address>>>,
    ) -> Self {
        if let Some(master) = &mut master {
            // It may have been named while the connection was opened.
            master.mark_changed();
        }
        let errors = client.error_rx();
        let shared = Arc::new(Shared {
            client: RwLock::new(client),
            number: watch::Sender::new(Some(0)),
            patience,
            misses: AtomicU32::new(0),
            answers: AtomicU32::new(0),
            late: AtomicU64::new(0),
        });
        let (reports, seen) = mpsc::unbounded_channel();
        let (keepers, number, probe) = (Arc::clone(&shared), 0, None);
        let keeper = Keeper { shared: keepers, connect, tell, refused, errors, reports: seen, number, probe, master };
        tokio::spawn(keeper.keep(router));
        Self { shared, reports }
    }

    /// The client of the present connection.
    pub(super) fn client(&self) -> Client {
        self.shared.client()
    }

    /// The number of the present connection; waits shortly for a new one if that is being made.
    pub(super) async fn number(&self, patience: Duration) -> Option<u64> {
        if let Some(number) = *self.shared.number.borrow() {
            return Some(number);
        }
        let mut numbers = self.shared.number.subscribe();
        let number = timeout(patience, numbers.wait_for(Option::is_some)).await;
        number.ok().and_then(Result::ok).and_then(|number| *number)
    }

    /// The server does not know us on the connection of this number.
    pub(super) fn refused(&self, number: u64) {
        let _ = self.reports.send((number, Silence::Refused));
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

    /// Waits for an answer over the connection of this number. `None` if none came within the limit. So many bytes are
    /// known to go over the connection until it has come.
    pub(super) async fn answer<T>(
        &self,
        number: u64,
        bytes: usize,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> Option<Result<T, Error>> {
        let (shared, mut answer) = (&*self.shared, pin!(answer));
        let (doubt, limit) = shared.patience.limits_for(shared.misses(), bytes);
        // What takes long because it is long says nothing of the path.
        let measured = (bytes < LONG && shared.patience.is_tried()).then(Instant::now);
        if let Some(answer) = within(doubt, answer.as_mut()).await {
            if answer.is_ok() {
                shared.answered();
                if let Some(sent) = measured {
                    shared.patience.note(sent.elapsed());
                }
            }
            return Some(answer);
        }
        // The keeper is gone when the runtime ends.
        let _ = self.reports.send((number, Silence::Doubt));
        let doubted = Instant::now();
        if let Some(answer) = within(limit.saturating_sub(doubt), answer).await {
            if answer.is_ok() {
                shared.late.fetch_add(1, Ordering::Relaxed);
                shared.answered();
                if bytes < LONG {
                    shared.patience.note(doubt + doubted.elapsed());
                }
            }
            return Some(answer);
        }
        let _ = self.reports.send((number, Silence::Certain));
        None
    }
}

impl Shared {
    fn client(&self) -> Client {
        self.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn misses(&self) -> u32 {
        self.misses.load(Ordering::Relaxed)
    }

    fn answered(&self) {
        if self.misses() == 0 {
            return;
        }
        if self.answers.fetch_add(1, Ordering::Relaxed) >= CALM {
            self.answers.store(0, Ordering::Relaxed);
            self.misses.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn missed(&self) {
        self.answers.store(0, Ordering::Relaxed);
        self.misses.store((self.misses() + 1).min(MOST_MISSES), Ordering::Relaxed);
    }
}

/// Another connection that is opened because an answer is late.
struct Probe {
    opening: BoxFuture<'static, Result<Made, StoreError>>,
    /// How many late answers had come before.
    late: u64,
}

/// The task behind a kept connection.
struct Keeper {
    shared: Arc<Shared>,
    connect: Connect,
    tell: Tell,
    refused: Refused,
    /// What the library meets while it makes the connection anew.
    errors: broadcast::Receiver<(Error, Option<Server>)>,
    reports: mpsc::UnboundedReceiver<(u64, Silence)>,
    number: u64,
    probe: Option<Probe>,
    master: Option<watch::Receiver<Option<Address>>>,
}

impl Keeper {
    async fn keep(mut self, mut router: ConnectHandle) {
        loop {
            tokio::select! {
                ended = &mut router => match ended {
                    // The library ends its router on some errors, a redirection that it cannot follow while a slot moves.
                    Ok(Err(error)) => {
                        (self.tell)(&format!("ended ({error})"));
                        self.shared.number.send_replace(None);
                        sleep(RENEW_DELAY).await;
                    }
                    // It was told to quit, or its runtime ends.
                    Ok(Ok(())) | Err(_) => return self.give_up_probe().await,
                },
                report = self.reports.recv() => match report {
                    Some((number, Silence::Doubt)) if number == self.number => {
                        self.doubt();
                        continue;
                    }
                    Some((number, Silence::Certain)) if number == self.number => {
                        self.shared.missed();
                        (self.tell)("gave no answer in time");
                        router.abort();
                        self.shared.number.send_replace(None);
                    }
                    Some((number, Silence::Refused)) if number == self.number => {
                        (self.tell)("is not authenticated");
                        router.abort();
                        self.shared.number.send_replace(None);
                    }
                    // It was replaced meanwhile.
                    Some(_) => continue,
                    None => {
                        // Nothing is lost by a connection that does not say goodbye.
                        let _ = timeout(QUIT, self.shared.client().quit()).await;
                        router.abort();
                        return self.give_up_probe().await;
                    }
                },
                Some((made, late)) = probed(&mut self.probe) => {
                    if late == self.shared.late.load(Ordering::Relaxed) {
                        self.shared.missed();
                        (self.tell)("is silent while the server takes new ones,");
                        router.abort();
                        router = self.replace(made);
                    } else {
                        close(made).await;
                    }
                    continue;
                }
                // The library would show the same for ever.
                () = refusal(&mut self.errors, &self.refused) => {
                    router.abort();
                    self.shared.number.send_replace(None);
                }
                () = moved(&self.shared, &mut self.master) => {
                    (self.tell)("leads to a server that is not the master any more,");
                    router.abort();
                    self.shared.number.send_replace(None);
                    // It may lead there, too.
                    if let Some(probe) = self.probe.take() {
                        abandon(probe.opening);
                    }
                }
            }
            match self.reconnect().await {
                Some(made) => router = self.replace(made),
                None => return,
            }
        }
    }

    /// Opens another connection, if that is not being done.
    fn doubt(&mut self) {
        if self.probe.is_none() {
            let limit = self.shared.patience.connecting(self.shared.misses());
            let late = self.shared.late.load(Ordering::Relaxed);
            self.probe = Some(Probe { opening: (self.connect)(limit), late });
        }
    }

    /// Makes a connection, as often as it takes. `None` if it is no longer needed.
    async fn reconnect(&mut self) -> Option<Made> {
        let mut attempt = 0;
        loop {
            let (begun, limit) = (Instant::now(), self.shared.patience.connecting(self.shared.misses()));
            let mut opening = match self.probe.take() {
                Some(probe) => probe.opening,
                None => (self.connect)(limit),
            };
            let made = tokio::select! {
                made = &mut opening => made,
                // The old one may hang.
                () = named(&mut self.master) => {
                    abandon(opening);
                    attempt = 0;
                    continue;
                }
            };
            match made {
                // That Sentinel has not heard of the new one yet.
                Ok(made) if attempt < MOST_MOVES && is_elsewhere(&made.0, self.master.as_ref()) => {
                    tokio::spawn(close(made));
                }
                Ok(made) => return Some(made),
                Err(_) if begun.elapsed() >= limit => self.shared.missed(),
                // It was refused, and that was fast.
                Err(_) => {}
            }
            if self.reports.is_closed() {
                return None;
            }
            sleep(backoff::exponential(attempt, Duration::from_millis(20), Duration::from_secs(1), 0.1)).await;
            attempt += 1;
        }
    }

    /// The next command goes over this connection.
    fn replace(&mut self, (client, router): Made) -> ConnectHandle {
        self.errors = client.error_rx();
        *self.shared.client.write().unwrap_or_else(PoisonError::into_inner) = client;
        self.number += 1;
        self.shared.number.send_replace(Some(self.number));
        router
    }

    async fn give_up_probe(self) {
        if let Some(probe) = self.probe
            && let Ok(made) = probe.opening.await
        {
            close(made).await;
        }
    }
}

/// The connection that was opened because of a doubt, and how many late answers had come before. One that cannot be
/// opened proves nothing.
async fn probed(probe: &mut Option<Probe>) -> Option<(Made, u64)> {
    let Some(opening) = probe else { return std::future::pending().await };
    let made = (&mut opening.opening).await;
    let late = probe.take().map_or(0, |probe| probe.late);
    made.ok().map(|made| (made, late))
}

/// Waits until the server refuses what we show.
async fn refusal(errors: &mut broadcast::Receiver<(Error, Option<Server>)>, refused: &Refused) {
    loop {
        match errors.recv().await {
            Ok((error, _)) if refused(&error) => return,
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Waits until the Sentinels name another master.
async fn named(master: &mut Option<watch::Receiver<Option<Address>>>) {
    let named = match master {
        Some(master) => master.changed().await.is_ok(),
        None => false,
    };
    if !named {
        std::future::pending().await
    }
}

/// Waits until the Sentinels name another master than this connection leads to.
async fn moved(shared: &Shared, master: &mut Option<watch::Receiver<Option<Address>>>) {
    loop {
        named(master).await;
        if is_elsewhere(&shared.client(), master.as_ref()) {
            return;
        }
    }
}

fn is_elsewhere(client: &Client, master: Option<&watch::Receiver<Option<Address>>>) -> bool {
    let at = client.active_connections();
    let Some(master) = master.filter(|_| !at.is_empty()) else { return false };
    master.borrow().as_ref().is_some_and(|(host, port)| !at.iter().any(|at| at.host == *host && at.port == *port))
}

/// Closes a connection that is being opened as soon as it is.
fn abandon(opening: BoxFuture<'static, Result<Made, StoreError>>) {
    tokio::spawn(async move {
        if let Ok(made) = opening.await {
            close(made).await;
        }
    });
}

/// Closes a connection.
pub(super) async fn close((client, router): Made) {
    let _ = timeout(QUIT, client.quit()).await;
    router.abort();
}
