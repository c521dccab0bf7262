//! How runs ended, as counts: the unit in which a process counts and a store keeps what ran.
//!
//! A store keeps counts as a short text, one letter and a number for each that is not zero: `D120F3M45678a17c103e3`. Capitals
//! are [ends](RunEnd), `M` is the time of all runs in milliseconds, small letters are durations, the shortest first. Stores
//! add texts up letter by letter, so that a version passes on letters that only a later one knows.

use std::fmt::Write as _;
use std::time::Duration;

/// What became of a job when its claim ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RunEnd {
    /// It is done.
    Done,
    /// It went to the failed list.
    Failed,
    /// It failed, and Retry repeats it.
    Retried,
    /// Its handler put it off.
    Later,
    /// It was cut off before it ended, and runs again.
    CutOff,
    /// Somebody cancelled it, and it went to the failed list.
    Cancelled,
    /// A plugin of its task refused the run.
    Vetoed,
    /// A rule of its task dropped it without a run.
    Dropped,
}

impl RunEnd {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Done,
        Self::Failed,
        Self::Retried,
        Self::Later,
        Self::CutOff,
        Self::Cancelled,
        Self::Vetoed,
        Self::Dropped,
    ];

    /// Its name in metrics and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Retried => "retried",
            Self::Later => "later",
            Self::CutOff => "cut_off",
            Self::Cancelled => "cancelled",
            Self::Vetoed => "vetoed",
            Self::Dropped => "dropped",
        }
    }

    fn letter(self) -> u8 {
        match self {
            Self::Done => b'D',
            Self::Failed => b'F',
            Self::Retried => b'R',
            Self::Later => b'L',
            Self::CutOff => b'C',
            Self::Cancelled => b'K',
            Self::Vetoed => b'V',
            Self::Dropped => b'X',
        }
    }
}

/// The longest durations of the buckets in milliseconds. A longer run falls into one more bucket.
pub const DURATION_BOUNDS_MS: [u64; 16] =
    [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000];

/// How many buckets there are.
pub const DURATION_BUCKETS: usize = DURATION_BOUNDS_MS.len() + 1;

/// The largest count. A program without integers must be able to add two of them.
pub const MOST_COUNTED: u64 = 999_999_999_999_999;
const MOST_DIGITS: usize = 15;

/// The letter of the time of all runs.
const TIME: u8 = b'M';

/// The bucket of a duration.
#[must_use]
pub fn bucket_of(ms: u64) -> usize {
    DURATION_BOUNDS_MS.partition_point(|bound| *bound < ms)
}

/// Whole milliseconds.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What ran, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunCounts {
    /// By [`RunEnd`].
    pub(crate) ends: [u64; RunEnd::ALL.len()],
    /// How long all runs took together, in milliseconds.
    pub(crate) ms: u64,
    /// How many runs took how long, by the buckets of [`DURATION_BOUNDS_MS`].
    pub(crate) durations: [u64; DURATION_BUCKETS],
}

impl RunCounts {
    /// Counts one job. `ran_ms` is how long its run took, if it ran.
    pub fn count(&mut self, end: RunEnd, ran_ms: Option<u64>) {
        bump(&mut self.ends[end as usize], 1);
        if let Some(ms) = ran_ms {
            bump(&mut self.ms, ms);
            bump(&mut self.durations[bucket_of(ms)], 1);
        }
    }

    /// Adds others to these.
    pub fn add(&mut self, other: &Self) {
        for (sum, more) in self.numbers_mut().zip(other.numbers()) {
            bump(sum, more);
        }
    }

    /// What these have more than they had `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut more = self.clone();
        for (now, before) in more.numbers_mut().zip(before.numbers()) {
            *now = now.saturating_sub(before);
        }
        more
    }

    /// Is nothing counted?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.numbers().all(|number| number == 0)
    }

    /// How many jobs ended so.
    #[must_use]
    pub fn of(&self, end: RunEnd) -> u64 {
        self.ends[end as usize]
    }

    /// How many runs are in the buckets of durations, and how long they took together in milliseconds.
    #[must_use]
    pub fn timed(&self) -> (u64, u64) {
        (self.durations.iter().fold(0, |sum, count| sum.saturating_add(*count)), self.ms)
    }

    /// How many runs took how long, by the buckets of [`DURATION_BOUNDS_MS`].
    #[must_use]
    pub fn durations(&self) -> &[u64; DURATION_BUCKETS] {
        &self.durations
    }

    /// The mean duration in milliseconds; `None` if nothing ran.
    #[must_use]
    pub fn mean_ms(&self) -> Option<u64> {
        let (runs, ms) = self.timed();
        ms.checked_div(runs)
    }

    /// The duration that `percent` of the runs did not exceed.
    #[must_use]
    pub fn percentile(&self, percent: u64) -> Option<Percentile> {
        let (runs, _) = self.timed();
        // As many runs as this percentage, rounded up, and at least one.
        let rank = u64::try_from((u128::from(runs) * u128::from(percent)).div_ceil(100)).unwrap_or(runs).max(1);
        let mut counted = 0_u64;
        let bucket = self.durations.iter().position(|count| {
            counted = counted.saturating_add(*count);
            counted >= rank
        })?;
        Some(DURATION_BOUNDS_MS.get(bucket).map_or(Percentile::Longer, |bound| Percentile::AtMost(*bound)))
    }

    /// The share of runs that failed, whether they are repeated or not, among those that came to an end of their own: from
    /// 0 to 1. `None` if none did.
    #[must_use]
    pub fn failure_rate(&self) -> Option<f64> {
        let failed = self.of(RunEnd::Failed).saturating_add(self.of(RunEnd::Retried));
        let all = failed.saturating_add(self.of(RunEnd::Done));
        #[expect(clippy::cast_precision_loss, reason = "a share needs no more digits than a float has")]
        (all > 0).then(|| failed as f64 / all as f64)
    }

    /// The text that stores keep.
    #[must_use]
    pub fn packed(&self) -> String {
        sum(Vec::new(), self)
    }

    /// Reads what a store kept; `None` if these are no counts. Letters of a later version are passed over.
    #[must_use]
    pub fn unpack(text: &[u8]) -> Option<Self> {
        let mut counts = Self::default();
        for (letter, number) in items_of(text)? {
            if let Some(count) = counts.number_of(letter) {
                bump(count, number);
            }
        }
        Some(counts)
    }

    fn number_of(&mut self, letter: u8) -> Option<&mut u64> {
        if letter == TIME {
            return Some(&mut self.ms);
        }
        if let Some(end) = RunEnd::ALL.into_iter().find(|end| end.letter() == letter) {
            return self.ends.get_mut(end as usize);
        }
        self.durations.get_mut(usize::from(letter.checked_sub(b'a')?))
    }

    fn items(&self) -> impl Iterator<Item = (u8, u64)> {
        let letters = RunEnd::ALL.into_iter().map(RunEnd::letter).chain([TIME]).chain(b'a'..);
        letters.zip(self.numbers())
    }

    fn numbers(&self) -> impl Iterator<Item = u64> {
        self.ends.iter().copied().chain([self.ms]).chain(self.durations)
    }

    fn numbers_mut(&mut self) -> impl Iterator<Item = &mut u64> {
        self.ends.iter_mut().chain([&mut self.ms]).chain(&mut self.durations)
    }
}

/// A duration that most runs did not exceed, as exactly as the buckets tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Percentile {
    /// They took at most so many milliseconds.
    AtMost(u64),
    /// Too many took longer than the last bound.
    Longer,
}

fn bump(count: &mut u64, by: u64) {
    *count = count.saturating_add(by).min(MOST_COUNTED);
}

/// The letters of a packed text with their numbers; `None` if it is none.
fn items_of(text: &[u8]) -> Option<Vec<(u8, u64)>> {
    let (mut items, mut rest) = (Vec::new(), text);
    while let Some((letter, after)) = rest.split_first() {
        let digits = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !letter.is_ascii_alphabetic() || digits == 0 || digits > MOST_DIGITS {
            return None;
        }
        let (number, others) = after.split_at(digits);
        items.push((*letter, std::str::from_utf8(number).ok()?.parse().ok()?));
        rest = others;
    }
    Some(items)
}

/// Adds packed counts to a text, as a store keeps them: letters that this version does not know are added up as well. `None`
/// if the first text is none.
#[must_use]
pub fn added(kept: &[u8], counts: &RunCounts) -> Option<String> {
    Some(sum(items_of(kept)?, counts))
}

fn sum(kept: Vec<(u8, u64)>, counts: &RunCounts) -> String {
    let mut sums = [0_u64; 128];
    for (letter, number) in kept.into_iter().chain(counts.items()) {
        if let Some(sum) = sums.get_mut(usize::from(letter)) {
            bump(sum, number);
        }
    }
    let mut text = String::new();
    for (letter, sum) in (0_u8..).zip(sums).filter(|(_, sum)| *sum > 0) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{}{sum}", char::from(letter));
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counts() -> impl Strategy<Value = RunCounts> {
        let number = prop_oneof![Just(0), 1..1000_u64, 0..=MOST_COUNTED];
        let numbers = proptest::collection::vec(number, RunEnd::ALL.len() + 1 + DURATION_BUCKETS);
        numbers.prop_map(|numbers| {
            let mut counts = RunCounts::default();
            counts.numbers_mut().zip(numbers).for_each(|(count, number)| *count = number);
            counts
        })
    }

    proptest! {
        #[test]
        fn what_is_packed_is_read_again(counts in counts()) {
            prop_assert_eq!(RunCounts::unpack(counts.packed().as_bytes()), Some(counts));
        }

        #[test]
        fn packed_counts_add_up_as_counts_do(one in counts(), other in counts()) {
            let mut sum = one.clone();
            sum.add(&other);
            let text = added(one.packed().as_bytes(), &other).unwrap();
            prop_assert_eq!(&text, &sum.packed());
            prop_assert_eq!(RunCounts::unpack(text.as_bytes()), Some(sum));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let read = RunCounts::unpack(&bytes);
            let sum = added(&bytes, &RunCounts::default());
            prop_assert_eq!(read.is_some(), sum.is_some(), "who reads it also adds to it");
            if let (Some(read), Some(sum)) = (read, sum) {
                prop_assert_eq!(RunCounts::unpack(sum.as_bytes()), Some(read));
            }
        }

        #[test]
        fn letters_and_digits_are_read_or_refused(text in "([A-Za-z][0-9]{0,17}){0,12}") {
            let fits = text.split(|letter: char| letter.is_ascii_alphabetic()).skip(1).all(|n| (1..=15).contains(&n.len()));
            prop_assert_eq!(RunCounts::unpack(text.as_bytes()).is_some(), fits || text.is_empty());
        }
    }

    #[test]
    fn the_text_is_short_and_says_what_it_counts() {
        let mut counts = RunCounts::default();
        for ms in [3, 5, 6, 2_000_000] {
            counts.count(RunEnd::Done, Some(ms));
        }
        counts.count(RunEnd::Failed, Some(30));
        counts.count(RunEnd::Vetoed, None);
        assert_eq!(counts.packed(), "D4F1M2000044V1a2b1d1q1");
        assert_eq!(RunCounts::default().packed(), "");
    }

    #[test]
    fn letters_of_a_later_version_are_kept_when_counts_are_added() {
        let mut counts = RunCounts::default();
        counts.count(RunEnd::Done, None);
        assert_eq!(added(b"D1Q5z2", &counts).as_deref(), Some("D2Q5z2"));
        assert_eq!(RunCounts::unpack(b"D1Q5z2"), Some(counts));
    }

    #[test]
    fn counts_end_where_a_float_is_still_exact() {
        let mut counts = RunCounts::unpack(b"D999999999999999").unwrap();
        counts.count(RunEnd::Done, None);
        assert_eq!(counts.of(RunEnd::Done), MOST_COUNTED);
        assert_eq!(RunCounts::unpack(b"D1000000000000000"), None);
    }

    #[test]
    fn percentiles_are_bounds_that_hold() {
        let mut counts = RunCounts::default();
        assert_eq!((counts.percentile(50), counts.mean_ms(), counts.failure_rate()), (None, None, None));
        for ms in 1..=100 {
            counts.count(RunEnd::Done, Some(ms));
        }
        assert_eq!(counts.percentile(50), Some(Percentile::AtMost(50)));
        assert_eq!(counts.percentile(51), Some(Percentile::AtMost(100)));
        assert_eq!(counts.percentile(95), Some(Percentile::AtMost(100)));
        counts.count(RunEnd::Failed, Some(1_800_001));
        assert_eq!(counts.percentile(100), Some(Percentile::Longer));
        assert_eq!(counts.mean_ms(), Some((5050 + 1_800_001) / 101));
    }

    #[test]
    fn a_repeated_failure_counts_as_a_failure_and_a_job_put_off_as_neither() {
        let mut counts = RunCounts::default();
        let ends = [RunEnd::Done, RunEnd::Done, RunEnd::Failed, RunEnd::Retried, RunEnd::Later, RunEnd::CutOff];
        ends.into_iter().for_each(|end| counts.count(end, Some(1)));
        assert_eq!(counts.failure_rate(), Some(0.5));
    }
}
