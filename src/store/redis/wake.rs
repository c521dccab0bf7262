//! Wakes when a watched key changes, by the server's client-side caching.
//!
//! The server remembers which keys this connection has read, and sends one message when another client changes one of them.
//! So reading all watched keys arms the waker, and other programs need not do anything for it. The library does not turn
//! tracking on again after a reconnect. Each arming therefore does, and a reconnect wakes, so that the caller arms again.
//!
//! A server may forget what was read: what heartbeats write shows it (`beats`).
//!
//! A server or proxy that refuses this is looked at as often as the watch says, and asked anew with each look.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fred::types::RespVersion;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::beats::Prover;
use super::connection::{Connection, Origin};
use super::known_names::KnownNames;
use super::listening::{Heard, Listener};
use super::new_queues::NewQueues;
use super::pause::PausedAmong;
use super::{pause, reply, rights, scan};
use crate::job::QueueName;
use crate::store::error::StoreError;
use crate::store::wake::{ArmedState, FEW_QUEUES, POLL, Watch};

/// How long until the next look after one at which the server refused to tell of a queue: it does not send messages about
/// what could not be read.
const UNREAD: Duration = Duration::from_millis(500);

/// Ears over a connection of their own.
pub(super) async fn open(origin: &Origin) -> Result<Ears, StoreError> {
    // A server or proxy that cannot tell at all does not speak RESP3 either.
    let (connection, deaf) = match origin.open(RespVersion::RESP3).await {
        Err(StoreError::Unsupported(reason) | StoreError::Misuse(reason)) => {
            untold(origin, POLL, &reason);
            (origin.open(RespVersion::RESP2).await?, true)
        }
        opened => (opened?, false),
    };
    Ok(hear(Arc::new(connection), deaf))
}

/// Ears over a connection that is others' too, to which the server sends nothing unasked.
pub(super) fn over(connection: Arc<Connection>) -> Ears {
    hear(connection, true)
}

fn hear(connection: Arc<Connection>, deaf: bool) -> Ears {
    let (changes, seen) = watch::channel(0_u64);
    let changes = Arc::new(changes);
    let (names, heard, prover) = (KnownNames::default(), Arc::new(Heard::default()), Prover::new());
    let new_queues = NewQueues::new(&changes, names.expired());
    let refused = Arc::new(AtomicBool::new(deaf));
    let listener = Listener {
        connection: Arc::downgrade(&connection),
        changes,
        names: names.told(),
        refused: Arc::clone(&refused),
        heard: Arc::clone(&heard),
    };
    let listener = tokio::spawn(listener.listen(prover));
    let (armed, passed) = (AtomicU64::new(0), Mutex::default());
    let poll = Mutex::new(POLL);
    let unread = AtomicBool::new(false);
    let names_read = AtomicU64::new(u64::MAX);
    Ears {
        connection,
        seen,
        armed,
        refused,
        deaf,
        poll,
        unread,
        passed,
        heard,
        prover,
        names,
        names_read,
        new_queues,
        listener,
    }
}

/// What hears of changes, over one connection.
pub(super) struct Ears {
    connection: Arc<Connection>,
    /// How many messages have come.
    seen: watch::Receiver<u64>,
    /// How many had come when it was armed last.
    armed: AtomicU64,
    /// The server does not send messages.
    refused: Arc<AtomicBool>,
    /// It does not speak the protocol that has them.
    deaf: bool,
    /// After how long it wakes if the server does not send messages.
    poll: Mutex<Duration>,
    /// At the last look the server refused to tell whether a queue has jobs.
    unread: AtomicBool,
    /// What was paused at the last look.
    passed: Mutex<PausedAmong>,
    heard: Arc<Heard>,
    prover: Prover,
    names: KnownNames,
    /// How many changes of the names were told when it was last read whether there are any: so many the server will tell.
    names_read: AtomicU64,
    new_queues: NewQueues,
    listener: JoinHandle<()>,
}

impl Ears {
    /// As [`EngineWaker::arm`](crate::store::backend::EngineWaker::arm), and so the others.
    pub(super) async fn arm(&self, watch: &Watch) -> Result<ArmedState, StoreError> {
        loop {
            // A push to a paused queue must not wake, so that its key is not read. The same look tells whether it is still
            // paused; if it is not, everything is read again.
            let passed = self.passed.lock().map_or_else(|_| PausedAmong::default(), |passed| passed.clone());
            let (seen, paused) = match self.look(watch, &passed).await {
                Ok(looked) => looked,
                Err(error) => return Err(rights::explain_to_instance(&self.connection, error).await),
            };
            let resumed = watch.queues.iter().any(|queue| passed.holds(queue) && !paused.holds(queue));
            if let Ok(mut passed) = self.passed.lock() {
                *passed = paused;
            }
            if !resumed {
                return Ok(seen);
            }
        }
    }

    pub(super) async fn woken(&self) {
        if self.refused.load(Ordering::Relaxed) {
            tokio::time::sleep(self.poll()).await;
            return;
        }
        let armed = self.armed.load(Ordering::SeqCst);
        let mut seen = self.seen.clone();
        let told = async {
            if seen.wait_for(|count| *count != armed).await.is_err() {
                // The listener is gone with the connection's runtime; do not spin.
                tokio::time::sleep(self.poll()).await;
            }
        };
        let unread = self.unread.load(Ordering::Relaxed).then(|| Instant::now() + UNREAD);
        match unread.into_iter().chain(self.names.due()).min() {
            // A message before that is as good.
            Some(due) => drop(tokio::time::timeout_at(due, told).await),
            None => told.await,
        }
    }

    pub(super) async fn check(&self) -> Result<bool, StoreError> {
        if self.refused.load(Ordering::Relaxed) {
            return Ok(true);
        }
        // What was answered since the last check shows that the connection is not dead, and what is read behind each beat that
        // the server tells (`listening`). Otherwise an answer shows the first.
        if !self.heard.take_answered() {
            self.connection.command("PING", Vec::new()).await?;
        }
        Ok(true)
    }

    /// Looks at everything watched but for the queues that are passed over; tells what is paused, too.
    async fn look(&self, watch: &Watch, passed: &PausedAmong) -> Result<(ArmedState, PausedAmong), StoreError> {
        // Read before the look: a message from here on may tell of a change after it.
        self.armed.store(*self.seen.borrow(), Ordering::SeqCst);
        *self.poll.lock().unwrap_or_else(PoisonError::into_inner) = watch.poll.unwrap_or(POLL);
        let keys = self.connection.keys();
        let mut reads: Vec<(&'static str, Vec<Bytes>)> = Vec::with_capacity(watch.queues.len() + 8);
        if !self.deaf {
            reads.push(("CLIENT", vec![Bytes::from_static(b"TRACKING"), Bytes::from_static(b"ON")]));
        }
        // Before all else: what is forgotten during the look shows with the next beat.
        let proving = self.keys_to_prove(watch);
        let proves = proving.is_some();
        reads.extend(proving.map(|keys| ("EXISTS", keys.to_vec())));
        reads.push(("TIME", Vec::new()));
        let (told, is_told) = (self.names.now(), !self.deaf && !self.refused.load(Ordering::Relaxed));
        let kept = watch.patterns.as_ref().and_then(|patterns| self.names.kept(patterns, is_told, told));
        if watch.patterns.is_some() && kept.is_none() {
            reads.push(scan::first_names(&self.connection, &keys.queues()));
        }
        let heard = if kept.is_some() { self.new_queues.names() } else { Vec::new() };
        if !heard.is_empty() {
            let names = heard.iter().map(|name| Bytes::copy_from_slice(name.as_str().as_bytes()));
            reads.push(("SMISMEMBER", std::iter::once(keys.queues()).chain(names).collect()));
        }
        // Without patterns the names are of no use. That one came is told to who has read the key once since the last change.
        let names = watch.names && watch.patterns.is_none() && !self.deaf;
        let names = names && self.names_read.load(Ordering::SeqCst) != told;
        if names {
            reads.push(("EXISTS", vec![keys.queues()]));
        }
        if watch.delayed {
            let arguments = [&b"0"[..], b"0", b"WITHSCORES"].map(Bytes::from_static);
            reads.push(("ZRANGE", std::iter::once(keys.schedule()).chain(arguments).collect()));
        }
        reads.extend(watch.leaderships.iter().map(|which| ("EXISTS", vec![keys.leadership(*which)])));
        reads.extend(watch.wishes_for.iter().map(|instance| ("EXISTS", vec![keys.wishes(instance)])));
        if !watch.queues.is_empty() {
            reads.extend(pause::reads(&self.connection, &watch.queues));
        }
        let looked_at: Vec<&QueueName> = watch.queues.iter().filter(|queue| !passed.holds(queue)).collect();
        reads.extend(looked_at.iter().map(|queue| ("LLEN", vec![keys.queue(queue)])));

        let mut replies = self.connection.commands(reads).await?.into_iter();
        let mut next = || replies.next().unwrap_or(Err(StoreError::Unavailable("a reply is missing".to_owned())));
        if !self.deaf {
            self.tracking(next());
        }
        let polled = self.refused.load(Ordering::Relaxed);
        if proves {
            next()?;
            if !polled {
                self.heard.proof.read();
            }
        }
        let mut seen = ArmedState { now_ms: reply::time_ms(next()?)?, polled, ..ArmedState::default() };
        if let Some(now_ms) = self.connection.origin.now_ms() {
            seen.now_ms = now_ms;
        }
        let page = match &watch.patterns {
            Some(patterns) if kept.is_none() => Some((patterns, next())),
            _ => None,
        };
        seen.resolved = kept;
        if let Some(patterns) = watch.patterns.as_ref().filter(|_| !heard.is_empty()) {
            let known = self.new_queues.known(&heard, next()?)?;
            if let Some(grown) = (!known.is_empty()).then(|| self.names.add(known)).flatten() {
                self.new_queues.added(patterns, &grown);
                seen.resolved = Some(grown);
            }
        }
        if names {
            next()?;
            self.names_read.store(told, Ordering::SeqCst);
        }
        if watch.delayed {
            // By its score, as due.lua does.
            seen.next_due_s = reply::first_score(next()?)?.and_then(|score| reply::due_second(&score));
        }
        for _ in &watch.leaderships {
            seen.leadership_free |= reply::count(next()?)? == 0;
        }
        if watch.wishes_for.is_some() {
            seen.wishes = reply::count(next()?)? > 0;
        }
        let paused =
            if watch.queues.is_empty() { PausedAmong::default() } else { pause::read(&watch.queues, &mut next)? };
        let mut unread = false;
        for queue in looked_at {
            match reply::length(next()) {
                Ok(length) if length > 0 && !paused.holds(queue) => {
                    seen.ready = true;
                    if watch.queues.len() > FEW_QUEUES {
                        seen.busy.push(queue.clone());
                    }
                }
                Ok(_) => {}
                Err(error) if error.is_transient() => return Err(error),
                Err(_) => unread = true,
            }
        }
        self.unread.store(unread, Ordering::Relaxed);
        if !seen.ready && !watch.queues.is_empty() && page.is_none() {
            self.names.drained();
        }
        if let Some((patterns, page)) = page {
            seen.resolved = Some(self.names.read(&self.connection, patterns, told, page).await?);
            let kept = self.names.at_hand().filter(|_| !self.deaf && !polled);
            self.new_queues.keep(&self.connection.origin, patterns, kept.as_ref());
        }
        Ok((seen, paused))
    }

    /// The keys that beats write, if it is this waker that reads them and the server does not remember that yet.
    fn keys_to_prove(&self, watch: &Watch) -> Option<[Bytes; 2]> {
        let beats = &self.connection.origin.beats;
        let watches_queues = !watch.queues.is_empty() || watch.patterns.is_some();
        let is_prover = !self.deaf && beats.takes(self.prover, watches_queues);
        beats.keys().filter(|_| is_prover && self.heard.proof.is_due())
    }

    fn tracking(&self, answer: Result<fred::interfaces::Resp3Frame, StoreError>) {
        match answer {
            Ok(_) => {
                if self.refused.swap(false, Ordering::Relaxed) {
                    self.connection.origin.findings.mended(CHANGES, "the server tells of changes again");
                }
            }
            Err(error) => {
                self.refused.store(true, Ordering::Relaxed);
                untold(&self.connection.origin, self.poll(), &error.to_string());
            }
        }
    }

    fn poll(&self) -> Duration {
        *self.poll.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is told about a server that does not send messages, for as long as it does not.
const CHANGES: &str = "changes";

fn untold(origin: &Origin, poll: Duration, reason: &str) {
    let (user, poll) = (origin.user(), humantime::format_duration(poll));
    origin.findings.tell(
        CHANGES,
        format!(
            "the server does not tell of changes (CLIENT TRACKING: {reason}), so it is looked at every {poll} (timeout in \
             tasks.toml): that is how late a job may begin. If it is refused by the ACL, type ACL SETUSER {user} \
             +client|tracking; if a proxy refuses it, connect to the server itself, or set a shorter timeout"
        ),
    );
}

impl Drop for Ears {
    fn drop(&mut self) {
        self.listener.abort();
        self.connection.origin.beats.release(self.prover);
    }
}
