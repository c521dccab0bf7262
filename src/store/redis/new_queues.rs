//! Hears of queues that are new, while the store has so many that all names are not read at every look (`known_names`).
//!
//! A connection of its own is told of each key of a queue that changes, whether anybody has read it or not. A name that is
//! not among those that are kept is asked for with the next look. So a job on a new queue begins as soon as any other,
//! and names that strangers write by the hundred thousand delay nobody. What is missed here is found when all names are
//! read again.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use bytes::Bytes;
use fred::interfaces::{EventInterface, Resp3Frame as Frame, TrackingInterface};
use fred::types::{RespVersion, Value};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::connection::{Connection, Origin};
use super::reply;
use crate::config::element::queues::{QueuePatterns, ResolvedQueues};
use crate::job::QueueName;
use crate::store::error::StoreError;
use crate::store::mutex::lock;

/// How many names are asked for at most with a look. Of more the newest count.
const MOST: usize = 1000;

/// What is told about a server that does not tell of new queues.
const SUBJECT: &str = "new queues";

/// Hears of new queues for a waker.
pub(super) struct NewQueues {
    heard: Arc<Mutex<Heard>>,
    /// Wakes the waker.
    changes: Weak<watch::Sender<u64>>,
    /// Has the names that are kept read again.
    expired: Arc<AtomicBool>,
    listener: Mutex<Option<JoinHandle<()>>>,
}

/// What was heard.
#[derive(Default)]
struct Heard {
    /// What the waker keeps. `None`: it reads all names anyway.
    kept: Option<Kept>,
    /// Names that were told of and are not among those, the newest last.
    names: VecDeque<QueueName>,
}

struct Kept {
    patterns: Arc<QueuePatterns>,
    resolved: Arc<ResolvedQueues>,
    worked_on: HashSet<QueueName>,
}

impl NewQueues {
    pub(super) fn new(changes: &Arc<watch::Sender<u64>>, expired: Arc<AtomicBool>) -> Self {
        Self { heard: Arc::default(), changes: Arc::downgrade(changes), expired, listener: Mutex::default() }
    }

    /// The waker keeps what these patterns stand for from now on, or nothing. A listener begins if there is none; the look
    /// that calls this does not wait for its connection.
    pub(super) fn keep(&self, origin: &Origin, patterns: &Arc<QueuePatterns>, kept: Option<&Arc<ResolvedQueues>>) {
        lock(&self.heard).keep(patterns, kept);
        if kept.is_none() {
            return self.stop();
        }
        let mut listener = lock(&self.listener);
        if listener.as_ref().is_none_or(JoinHandle::is_finished) {
            let (origin, heard) = (origin.clone(), Arc::clone(&self.heard));
            let ears = Ears { heard, changes: Weak::clone(&self.changes), expired: Arc::clone(&self.expired) };
            *listener = Some(tokio::spawn(async move {
                match origin.open(RespVersion::RESP3).await {
                    Ok(connection) => ears.listen(connection).await,
                    Err(error) => untold(&origin, &error),
                }
            }));
        }
    }

    /// The names that the set of queues is to be asked for.
    pub(super) fn names(&self) -> Vec<QueueName> {
        lock(&self.heard).names.iter().cloned().collect()
    }

    /// Of these names the set knows those that the answer says. They are kept now, and the others may come yet: many programs
    /// push a job before they add its queue to the set.
    pub(super) fn known(&self, names: &[QueueName], answer: Frame) -> Result<Vec<QueueName>, StoreError> {
        let answers = reply::list(answer)?.into_iter().map(reply::count).collect::<Result<Vec<_>, _>>()?;
        let known = names.iter().zip(answers).filter(|(_, known)| *known > 0).map(|(name, _)| name.clone());
        Ok(known.collect())
    }

    /// These were added to what is kept.
    pub(super) fn added(&self, patterns: &Arc<QueuePatterns>, kept: &Arc<ResolvedQueues>) {
        lock(&self.heard).keep(patterns, Some(kept));
    }

    fn stop(&self) {
        if let Some(listener) = lock(&self.listener).take() {
            listener.abort();
        }
    }
}

impl Drop for NewQueues {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Heard {
    fn keep(&mut self, patterns: &Arc<QueuePatterns>, kept: Option<&Arc<ResolvedQueues>>) {
        self.kept = kept.map(|resolved| Kept {
            patterns: Arc::clone(patterns),
            resolved: Arc::clone(resolved),
            worked_on: resolved.queues.iter().cloned().collect(),
        });
        let mut names = std::mem::take(&mut self.names);
        names.retain(|name| self.is_wanted(name.as_str()));
        self.names = names;
    }

    /// The key of this queue changed. Returns whether the waker is to look.
    fn hear(&mut self, name: &str) -> bool {
        if !self.is_wanted(name) || self.names.iter().any(|known| known.as_str() == name) {
            return false;
        }
        if self.names.len() >= MOST {
            self.names.pop_front();
        }
        self.names.push_back(QueueName::as_stored(name));
        true
    }

    /// Would this queue be worked on, and is it not yet?
    fn is_wanted(&self, name: &str) -> bool {
        self.kept.as_ref().is_some_and(|kept| {
            !kept.worked_on.contains(name) && kept.resolved.takes(&kept.patterns, &QueueName::as_stored(name))
        })
    }
}

/// What a listener hears with.
struct Ears {
    heard: Arc<Mutex<Heard>>,
    changes: Weak<watch::Sender<u64>>,
    expired: Arc<AtomicBool>,
}

impl Ears {
    /// Hears for as long as the connection is there and the server tells.
    async fn listen(&self, connection: Connection) {
        let prefix = connection.keys().queue_prefix();
        let (clients, mut renewals) = (connection.clients(), connection.renewals());
        loop {
            renewals.mark_unchanged();
            let client = clients();
            let (mut messages, mut reconnects) = (client.invalidation_rx(), client.reconnect_rx());
            let mut is_new = true;
            // Until another connection takes the place of this one.
            loop {
                if std::mem::take(&mut is_new) {
                    if !turn_on(&connection, &prefix).await {
                        return;
                    }
                    // Of queues that came before this nobody told.
                    self.expired.store(true, Ordering::SeqCst);
                    self.wake();
                }
                let closed = tokio::select! {
                    message = messages.recv() => match message {
                        Ok(message) => {
                            let names = message.keys.iter().filter_map(|key| key.as_bytes().strip_prefix(&prefix[..]));
                            if self.hear(names) {
                                self.wake();
                            }
                            false
                        }
                        Err(error) => error == RecvError::Closed,
                    },
                    back = reconnects.recv() => {
                        is_new = true;
                        matches!(back, Err(RecvError::Closed))
                    }
                    renewed = renewals.changed() => match renewed {
                        Ok(()) => true,
                        Err(_) => return,
                    },
                };
                if closed {
                    break;
                }
            }
            if renewals.wait_for(Option::is_some).await.is_err() {
                return;
            }
        }
    }

    /// The keys of these queues changed. Returns whether the waker is to look.
    fn hear<'a>(&self, names: impl Iterator<Item = &'a [u8]>) -> bool {
        let mut heard = lock(&self.heard);
        // Each is heard, also behind one that is new.
        names.filter(|name| std::str::from_utf8(name).is_ok_and(|name| heard.hear(name))).count() > 0
    }

    fn wake(&self) {
        self.changes.upgrade().inspect(|changes| changes.send_modify(|count| *count += 1));
    }
}

/// Asks the server to tell of all queues. Returns whether it does, or will once it is reached.
async fn turn_on(connection: &Connection, prefix: &Bytes) -> bool {
    let words = [&b"TRACKING"[..], b"ON", b"BCAST", b"PREFIX"].map(Bytes::from_static);
    let arguments = words.into_iter().chain([prefix.clone()]).map(Value::Bytes).collect();
    let answer = match connection.send("CLIENT", arguments).await {
        // It tells of them already.
        Ok(Frame::SimpleError { data, .. }) if data.contains("overlaps") => return true,
        answer => answer.and_then(|frame| connection.checked(frame)),
    };
    match answer {
        Err(error) if !error.is_transient() => {
            untold(&connection.origin, &error);
            false
        }
        Ok(_) | Err(_) => true,
    }
}

fn untold(origin: &Origin, error: &StoreError) {
    origin.findings.tell(
        SUBJECT,
        format!(
            "the store has so many queues that their names are read now and then only, and failed to {error}, which would \
             tell of new ones: the first job of a new queue may wait for some seconds"
        ),
    );
}
