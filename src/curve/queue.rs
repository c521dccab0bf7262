//! The curve of one queue, sample by sample.

use super::flow::{Flow, Recent};
use super::packed::Kept;
use super::points::Points;
use super::waits::{Left, Waits};

/// For how long a queue counts as worked by others after jobs left it that nobody counted.
const POACHED_MS: i64 = 600_000;

/// What was seen of a queue in one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueSample {
    /// The store's time.
    pub at_ms: i64,
    /// How many jobs it held.
    pub length: u64,
    /// How many jobs had left it, without those that were given back.
    pub departed: i64,
    /// Jobs up to this number may have left or come back out of order.
    pub unsure: Option<i64>,
    /// May programs take jobs from it that do not count them?
    pub others: bool,
    /// A digest of its first job, if that was asked for.
    pub head: Option<u64>,
    /// When its oldest job arrived, where the store knows that.
    pub oldest_ms: Option<i64>,
}

/// How old the oldest job of a queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Age {
    /// At least so old.
    pub at_least_ms: u64,
    /// At most so old, if that is known.
    pub at_most_ms: Option<u64>,
    /// That is for how long the same bytes stood at the head: equal jobs behind each other make it too high.
    pub stood: bool,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    sample: QueueSample,
    arrived: i64,
}

/// Since when the same bytes stand at the head.
#[derive(Debug, Clone, Copy)]
struct Standing {
    head: u64,
    since_ms: i64,
    length: u64,
}

/// The curve of one queue.
#[derive(Debug, Clone, Default)]
pub struct QueueCurve {
    points: Points,
    last: Option<Last>,
    /// How many jobs left that nobody counted, as far as that was seen.
    booked: i64,
    /// When that was seen last.
    poached_ms: Option<i64>,
    standing: Option<Standing>,
    recent: Recent,
    waits: Waits,
}

impl QueueCurve {
    /// Adds a sample.
    pub fn add(&mut self, sample: QueueSample) {
        let at_ms = sample.at_ms;
        // A time that went back tells nothing of what lies between.
        let last = self.last.filter(|last| last.sample.at_ms <= at_ms);
        let standing = i64::try_from(sample.length).unwrap_or(i64::MAX).saturating_add(sample.departed);
        let mut arrived = standing.saturating_add(self.booked);
        let fell = last.map(|last| (last.arrived.saturating_sub(arrived), last)).filter(|(missing, _)| *missing > 0);
        if let Some((missing, last)) = fell {
            self.booked = self.booked.saturating_add(missing);
            arrived = last.arrived;
            // Where fewer have left than before, the count began anew.
            if sample.departed >= last.sample.departed {
                self.poached_ms = Some(at_ms);
            }
        }
        let others = sample.others || self.is_poached(at_ms);
        let sample = QueueSample { others, ..sample };
        // Numbers are only compared where all that left was counted, before this sample as well.
        let counted = last.filter(|last| fell.is_none() && !others && !last.sample.others);
        match counted {
            Some(last) => {
                self.points.add(at_ms, arrived);
                let number = |departed: i64| departed.saturating_add(self.booked);
                let (below, to) = (number(last.sample.departed), number(sample.departed));
                self.waits.add(&self.points, Left { below, to, after_ms: last.sample.at_ms, by_ms: at_ms });
            }
            None => {
                self.points.restart(at_ms, arrived);
                self.recent.clear();
            }
        }
        if !others {
            self.recent.add(at_ms, arrived, sample.departed.saturating_add(self.booked));
        }
        self.stand(&sample, last.is_some());
        self.last = Some(Last { sample, arrived });
        self.points.forget_before(if sample.length == 0 { i64::MAX } else { self.head_number(&sample) });
    }

    /// The queue was seen empty, and nothing else was read. A job that came and went since the last sample may count as one that
    /// came later.
    pub fn seen_empty(&mut self, at_ms: i64) {
        let Some(last) = self.last.as_mut().filter(|last| last.sample.length == 0 && last.sample.at_ms <= at_ms) else {
            return;
        };
        last.sample.at_ms = at_ms;
        let Last { sample, arrived } = *last;
        if sample.others {
            self.points.restart(at_ms, arrived);
        } else {
            self.points.add(at_ms, arrived);
            self.recent.add(at_ms, arrived, sample.departed.saturating_add(self.booked));
        }
    }

    /// Notes what stands at the head of a queue that others work on.
    fn stand(&mut self, sample: &QueueSample, goes_on: bool) {
        let Some(head) = sample.head.filter(|_| sample.others && sample.length > 0) else {
            self.standing = None;
            return;
        };
        let same = |standing: &Standing| goes_on && standing.head == head && standing.length <= sample.length;
        let since_ms = self.standing.filter(same).map_or(sample.at_ms, |standing| standing.since_ms);
        self.standing = Some(Standing { head, since_ms, length: sample.length });
    }

    fn is_poached(&self, at_ms: i64) -> bool {
        self.poached_ms.is_some_and(|poached| at_ms.saturating_sub(poached) < POACHED_MS)
    }

    /// The highest number that the oldest job may have.
    fn head_number(&self, sample: &QueueSample) -> i64 {
        sample.departed.saturating_add(self.booked).saturating_add(1)
    }

    /// How old the oldest job was at the last sample; `None` if there was none.
    #[must_use]
    pub fn age(&self) -> Option<Age> {
        let Last { sample, .. } = self.last.filter(|last| last.sample.length > 0)?;
        let since = |ms: i64| u64::try_from(sample.at_ms.saturating_sub(ms)).unwrap_or(0);
        if let Some(oldest_ms) = sample.oldest_ms {
            let age = since(oldest_ms);
            return Some(Age { at_least_ms: age, at_most_ms: Some(age), stood: false });
        }
        if sample.others {
            let stood = self.standing.map_or(0, |standing| since(standing.since_ms));
            return Some(Age { at_least_ms: stood, at_most_ms: None, stood: true });
        }
        let arrival = self.points.arrival(self.head_number(&sample))?;
        let in_order = sample.unsure.is_none_or(|unsure| sample.departed.saturating_add(1) > unsure);
        Some(Age {
            at_least_ms: since(arrival.by_ms),
            at_most_ms: arrival.after_ms.filter(|_| in_order).map(since),
            stood: false,
        })
    }

    /// Does the age depend on the head's bytes, because jobs leave uncounted?
    #[must_use]
    pub fn wants_head(&self) -> bool {
        self.last.is_some_and(|last| last.sample.others)
    }

    /// How many jobs came and went in the last minute; `None` while that is not known.
    #[must_use]
    pub fn flow(&self) -> Option<Flow> {
        self.recent.flow()
    }

    /// How long the jobs waited that left.
    #[must_use]
    pub fn waits(&self) -> &Waits {
        &self.waits
    }

    /// How many jobs arrived and how many left since they are counted, those included that others took.
    #[must_use]
    pub fn totals(&self) -> Option<(i64, i64)> {
        let last = self.last?;
        Some((last.arrived, last.sample.departed.saturating_add(self.booked)))
    }

    /// The last sample, with what was found out of others.
    #[must_use]
    pub fn last(&self) -> Option<&QueueSample> {
        self.last.as_ref().map(|last| &last.sample)
    }

    /// The curve as text, if its next samples may be compared with it, and tell what the store does not know by itself.
    #[must_use]
    pub fn pack(&self) -> Option<String> {
        let last = self.last.filter(|last| !last.sample.others && last.sample.oldest_ms.is_none())?;
        let QueueSample { at_ms, departed, length, .. } = last.sample;
        Some(Kept { booked: self.booked, at_ms, departed, length, points: self.points.clone() }.pack())
    }

    /// Reads what [`pack`](Self::pack) wrote; `None` for anything else.
    #[must_use]
    pub fn unpack(text: &str) -> Option<Self> {
        let Kept { booked, at_ms, departed, length, points } = Kept::unpack(text)?;
        let sample = QueueSample { at_ms, length, departed, unsure: None, others: false, head: None, oldest_ms: None };
        let arrived = points.all().last()?.arrived;
        Some(Self { points, last: Some(Last { sample, arrived }), booked, ..Self::default() })
    }
}

#[cfg(test)]
mod tests;
