//! SQLite's integers are signed, counts are not. Conversions saturate at the ends.

/// A count as a column holds it.
pub(super) fn stored<N: TryInto<i64>>(count: N) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

/// A count from a column.
pub(super) fn count(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}
