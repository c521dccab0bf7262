//! Reads a part of a list for a listing, with long members cut.

use crate::store::StoreError;
use crate::store::handle::Store;
use crate::store::listed::{JobList, ListJobs, ListedJob};
use crate::store::role::Admin;
use crate::text::cut::shorten;

/// The longest text that a listing shows of a member, in bytes.
pub(super) const SHOWN: usize = 16 * 1024;

/// How many jobs of a list a step reads at most for a listing.
const LISTED: i64 = 100;

/// Calls `each` with every job of a list from `first` to `last`, both from 0 and inclusive, as far as the list goes; of a long
/// one with its beginning.
pub(super) async fn each_listed(
    store: &Store<Admin>,
    list: &JobList,
    first: i64,
    last: i64,
    mut each: impl FnMut(&ListedJob),
) -> Result<(), StoreError> {
    let mut start = first;
    while start <= last {
        let stop = last.min(start.saturating_add(LISTED - 1));
        let jobs = store.run(ListJobs { list: list.clone(), start, stop }).await?;
        jobs.iter().for_each(&mut each);
        if i64::try_from(jobs.len()).unwrap_or(i64::MAX) <= stop - start {
            return Ok(());
        }
        start = stop + 1;
    }
    Ok(())
}

/// The first and the last position, from 0, of `start` to `stop` as Redis counts them in a list of this length.
pub(super) fn positions(length: u64, start: i64, stop: i64) -> (i64, i64) {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let from_end = |position: i64| if position < 0 { length.saturating_add(position) } else { position };
    (from_end(start).max(0), from_end(stop).min(length.saturating_sub(1)))
}

/// Cuts a text that is too long for a listing, and says how long it was.
pub(super) fn cut(text: &mut String) {
    shorten(text, SHOWN);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_from_either_end() {
        assert_eq!(positions(10, 0, 99), (0, 9));
        assert_eq!(positions(10, -3, -1), (7, 9));
        assert_eq!(positions(10, -30, -20), (0, -10));
        assert_eq!(positions(0, 0, -1), (0, -1));
        assert_eq!(positions(u64::MAX, i64::MIN, i64::MAX), (0, i64::MAX - 1));
    }

    #[test]
    fn a_long_text_is_cut_at_a_character_and_says_how_long_it_was() {
        let mut text = "é".repeat(SHOWN);
        cut(&mut text);
        assert!(text.len() < SHOWN + 40 && text.ends_with("é... (32768 bytes)"), "{}", text.len());
        let mut short = "x".to_owned();
        cut(&mut short);
        assert_eq!(short, "x");
    }
}
