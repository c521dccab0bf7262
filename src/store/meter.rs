//! Counts every pass of an arrow and how long it took, by the arrow's name and its outcome.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::Instant;

use super::arrow::Arrow;
use super::error::StoreError;

/// The upper bounds of the buckets in microseconds, inclusive. Longer passes fall into one more bucket.
const BOUNDS_US: [u64; 17] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

/// How a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// With a reply.
    Ok,
    /// [`StoreError::Unavailable`] and [`StoreError::Unreached`].
    Unavailable,
    /// [`StoreError::Full`].
    Full,
    /// [`StoreError::Refusing`].
    Refusing,
    /// [`StoreError::Unsupported`], [`StoreError::MissingRights`] and [`StoreError::Barred`].
    Unsupported,
    /// [`StoreError::Corrupt`].
    Corrupt,
    /// [`StoreError::Misuse`].
    Misuse,
    /// The caller stopped waiting, as at a deadline of its own.
    Abandoned,
}

impl Outcome {
    const ALL: [Self; 8] = [
        Self::Ok,
        Self::Unavailable,
        Self::Refusing,
        Self::Full,
        Self::Unsupported,
        Self::Corrupt,
        Self::Misuse,
        Self::Abandoned,
    ];

    fn of<T>(result: &Result<T, StoreError>) -> Self {
        match result {
            Ok(_) => Self::Ok,
            Err(StoreError::Unavailable(_) | StoreError::Unreached(_)) => Self::Unavailable,
            Err(StoreError::Refusing { .. }) => Self::Refusing,
            Err(StoreError::Full(_)) => Self::Full,
            Err(StoreError::Unsupported(_) | StoreError::MissingRights(_) | StoreError::Barred { .. }) => {
                Self::Unsupported
            }
            Err(StoreError::Corrupt { .. }) => Self::Corrupt,
            Err(StoreError::Misuse(_)) => Self::Misuse,
        }
    }

    /// Its name in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unavailable => "unavailable",
            Self::Refusing => "refusing",
            Self::Full => "full",
            Self::Unsupported => "unsupported",
            Self::Corrupt => "corrupt",
            Self::Misuse => "misuse",
            Self::Abandoned => "abandoned",
        }
    }
}

/// The passes of one arrow that ended in one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passes {
    /// The arrow's name.
    pub arrow: &'static str,
    /// Does a daemon take this step by itself ([`Arrow::BY_ITSELF`])?
    pub by_itself: bool,
    /// How they ended.
    pub outcome: Outcome,
    /// How many there were.
    pub count: u64,
    /// How long they took together.
    pub total: Duration,
    /// For each bound, the passes that took at most so long and longer than the previous bound. Longer passes than the
    /// last bound count only in `count`.
    pub buckets: Vec<(Duration, u64)>,
}

/// An arrow, and whether a daemon takes it by itself.
type Name = (&'static str, bool);

/// Counts the passes through one store.
#[derive(Debug, Default)]
pub(super) struct Meter {
    series: RwLock<HashMap<TypeId, (Name, Arc<Series>)>>,
}

impl Meter {
    /// Where the passes of arrows of this type are counted.
    pub(super) fn series<A: Arrow>(&self) -> Arc<Series> {
        let key = TypeId::of::<A>();
        if let Some((_, series)) = self.series.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Arc::clone(series);
        }
        let mut all = self.series.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&all.entry(key).or_insert_with(|| ((A::NAME, A::BY_ITSELF), Arc::default())).1)
    }

    /// What was counted so far, by name and outcome.
    pub(super) fn read(&self) -> Vec<Passes> {
        let all = self.series.read().unwrap_or_else(PoisonError::into_inner);
        let mut passes: Vec<Passes> = all.values().flat_map(|(name, series)| series.read(*name)).collect();
        passes.sort_by_key(|passes| (passes.arrow, passes.outcome));
        passes
    }
}

/// The passes of one type of arrow.
#[derive(Debug, Default)]
pub(super) struct Series([OnceLock<Box<Histogram>>; Outcome::ALL.len()]);

impl Series {
    /// A pass begins.
    pub(super) fn begin(&self) -> Pass<'_> {
        Pass { series: self, begun: Instant::now(), outcome: Outcome::Abandoned }
    }

    fn read(&self, arrow: Name) -> Vec<Passes> {
        let read =
            |outcome: Outcome| self.0.get(outcome as usize)?.get().map(|histogram| histogram.read(arrow, outcome));
        Outcome::ALL.into_iter().filter_map(read).collect()
    }
}

/// A pass that goes on. It is counted when it is dropped, so a caller that stops waiting is counted as well.
pub(super) struct Pass<'a> {
    series: &'a Series,
    begun: Instant,
    outcome: Outcome,
}

impl Pass<'_> {
    /// Ends the pass with this result.
    pub(super) fn end<T>(mut self, result: &Result<T, StoreError>) {
        self.outcome = Outcome::of(result);
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.series.0.get(self.outcome as usize) {
            place.get_or_init(Box::default).count(self.begun.elapsed());
        }
    }
}

#[derive(Debug, Default)]
struct Histogram {
    /// One for each bound, and one for what takes longer.
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    total_us: AtomicU64,
}

impl Histogram {
    fn count(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound| *bound < us);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.total_us.fetch_add(us, Ordering::Relaxed);
    }

    fn read(&self, (arrow, by_itself): Name, outcome: Outcome) -> Passes {
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let bounds = BOUNDS_US.iter().map(|us| Duration::from_micros(*us));
        Passes {
            arrow,
            by_itself,
            outcome,
            count: counts.iter().sum(),
            total: Duration::from_micros(self.total_us.load(Ordering::Relaxed)),
            buckets: bounds.zip(counts).collect(),
        }
    }
}
