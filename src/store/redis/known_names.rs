//! Which of the store's queues the patterns of a waker stand for.
//!
//! The set of queues is read in pages, because all of it in one reply holds up the server and everybody behind it. A
//! set of one page is read at every look. A larger one is kept until the server tells of a change, and for some
//! time in any case: reading it takes a bounded part of the time, however often it changes. Queues that are new meanwhile are
//! heard of (`new_queues`).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use fred::interfaces::Resp3Frame as Frame;
use fred::types::RespVersion;
use tokio::time::Instant;

use super::connection::Connection;
use super::inspect::queue_name_or;
use super::{reply, scan};
use crate::config::element::queues::{QueuePatterns, ResolvedQueues, Resolving};
use crate::job::QueueName;
use crate::store::error::StoreError;
use crate::store::mutex::lock;
use crate::store::unreadable::{PassedOver, RecordKind};

/// How long the names are kept at most, should a message be lost.
const KEPT: Duration = Duration::from_secs(60);
/// How many times as long as it took to read them they are kept although they changed.
const REST: u32 = 10;
/// The same once the jobs of those that have their turn are done, and others wait for theirs.
const DRAINED: u32 = 2;

/// The names that a waker knows.
#[derive(Default)]
pub(super) struct KnownNames {
    /// How often the server told that the set changed.
    told: Arc<AtomicU64>,
    /// They are to be read again at the next look.
    expired: Arc<AtomicBool>,
    kept: Mutex<Option<Kept>>,
    /// When names that changed are to be read again.
    due: Mutex<Option<Instant>>,
}

#[derive(Clone)]
struct Kept {
    patterns: Arc<QueuePatterns>,
    resolved: Arc<ResolvedQueues>,
    /// `told` when it was read.
    told: u64,
    read: Instant,
    took: Duration,
    /// Were names missed since?
    is_expired: bool,
    /// None of them holds jobs any more, and others do.
    is_drained: bool,
}

impl Kept {
    /// Until when it may be used.
    fn ends(&self, is_told: bool, told: u64) -> Instant {
        if self.is_drained {
            return self.read + (self.took * DRAINED).min(KEPT);
        }
        self.read + if is_told && self.told == told { KEPT } else { (self.took * REST).min(KEPT) }
    }
}

impl KnownNames {
    /// Counts the changes that the server tells.
    pub(super) fn told(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.told)
    }

    /// Set where names may have been missed.
    pub(super) fn expired(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.expired)
    }

    /// How many changes were told; read before a look.
    pub(super) fn now(&self) -> u64 {
        self.told.load(Ordering::SeqCst)
    }

    /// What the patterns stand for, if that need not be read now. `is_told`: the server tells of changes.
    pub(super) fn kept(&self, patterns: &Arc<QueuePatterns>, is_told: bool, told: u64) -> Option<Arc<ResolvedQueues>> {
        let mut kept = lock(&self.kept);
        // It stands until all names are read, because a look may fail or be given up.
        if self.expired.swap(false, Ordering::SeqCst)
            && let Some(kept) = kept.as_mut()
        {
            kept.is_expired = true;
        }
        let kept = kept.clone().filter(|kept| !kept.is_expired && kept.patterns == *patterns)?;
        let ends = kept.ends(is_told, told);
        // Of queues that were left out for want of room others have their turn then.
        *lock(&self.due) = (kept.told != told || kept.resolved.left_out > 0).then_some(ends);
        (Instant::now() < ends).then_some(kept.resolved)
    }

    /// None of the queues that have their turn holds a job: if others do, it is theirs.
    pub(super) fn drained(&self) {
        if let Some(kept) = lock(&self.kept).as_mut().filter(|kept| kept.resolved.others_wait()) {
            kept.is_drained = true;
            *lock(&self.due) = Some(kept.ends(true, kept.told));
        }
    }

    /// When the next look is due because of names that changed.
    pub(super) fn due(&self) -> Option<Instant> {
        *lock(&self.due)
    }

    /// What is kept, whether or not it is to be read again.
    pub(super) fn at_hand(&self) -> Option<Arc<ResolvedQueues>> {
        lock(&self.kept).as_ref().map(|kept| Arc::clone(&kept.resolved))
    }

    /// Adds queues to what is kept.
    pub(super) fn add(&self, names: Vec<QueueName>) -> Option<Arc<ResolvedQueues>> {
        let mut kept = lock(&self.kept);
        let kept = kept.as_mut()?;
        kept.resolved = Arc::new(kept.resolved.with(&kept.patterns, names));
        Some(Arc::clone(&kept.resolved))
    }

    /// Reads all names, of which this is the first page.
    pub(super) async fn read(
        &self,
        connection: &Connection,
        patterns: &Arc<QueuePatterns>,
        told: u64,
        first: Result<Frame, StoreError>,
    ) -> Result<Arc<ResolvedQueues>, StoreError> {
        let (begun, key) = (Instant::now(), connection.keys().queues());
        let mut resolving = patterns.resolving();
        let mut passed = PassedOver::new(RecordKind::Queue);
        let mut add = |members: Vec<Bytes>| {
            members.iter().filter_map(|name| queue_name_or(name, &mut passed)).for_each(|name| resolving.add(name));
        };
        let (members, mut next) = scan::read_first_names(connection, &key, first).await?;
        let is_one_page = next.is_none();
        add(members);
        while let Some(cursor) = next {
            let members;
            (members, next) = scan::names(connection, &key, cursor).await?;
            add(members);
        }
        connection.passed_over(&passed, &key);
        if resolving.is_too_many() {
            let before =
                lock(&self.kept).as_ref().filter(|kept| kept.patterns == *patterns).map(|kept| kept.resolved.clone());
            resolving.begin_busy(before.as_deref());
            add_busy(connection, &mut resolving).await?;
        }
        let resolved = Arc::new(resolving.done());
        let (read, took) = (Instant::now(), begun.elapsed());
        let (patterns, is_expired, is_drained) = (Arc::clone(patterns), false, false);
        let kept = Kept { patterns, resolved: Arc::clone(&resolved), told, read, took, is_expired, is_drained };
        *lock(&self.kept) = (!is_one_page).then_some(kept);
        *lock(&self.due) = (resolved.left_out > 0).then(|| read + KEPT);
        Ok(resolved)
    }
}

/// Tells which of the names hold jobs, page by page.
async fn add_busy(shared: &Connection, resolving: &mut Resolving<'_>) -> Result<(), StoreError> {
    // The server remembers what a waker's connection reads, and that would be all of them. One of its own is for this look.
    let own = shared.origin.open(RespVersion::RESP2).await.ok();
    let connection = own.as_ref().unwrap_or(shared);
    let (key, mut next) = (connection.keys().queues(), Some(scan::BEGIN));
    while let Some(cursor) = next {
        let members;
        (members, next) = scan::names(connection, &key, cursor).await?;
        let names = members.iter().filter_map(|name| std::str::from_utf8(name).ok()).map(QueueName::as_stored);
        let names: Vec<_> = names.filter(|name| resolving.is_match(name)).collect();
        let reads = names.iter().map(|name| ("EXISTS", vec![connection.keys().queue(name)])).collect();
        for (name, answer) in names.into_iter().zip(connection.commands(reads).await?) {
            match answer.and_then(reply::count) {
                Ok(0) => {}
                Ok(_) => resolving.add_busy(name),
                Err(error) if error.is_transient() => return Err(error),
                // A key that this user may not read cannot be claimed from either.
                Err(_) => {}
            }
        }
    }
    Ok(())
}
