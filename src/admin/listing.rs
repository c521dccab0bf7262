//! Reads a part of a list for a listing: in steps that hold few bytes, because each record may have any length, and with
//! long members cut.

use std::future::Future;

use bytes::Bytes;

use crate::store::StoreError;
use crate::store::handle::Store;
use crate::store::listed::{JobList, ListJobs, ListedJob};
use crate::store::role::Admin;
use crate::text::cut::shorten;

/// How many records a step reads at most, and after how many bytes the next one reads fewer.
const MOST: i64 = 64;
const ENOUGH: usize = 1 << 20;

/// The longest text that a listing shows of a member, in bytes.
pub(super) const SHOWN: usize = 16 * 1024;

/// Calls `each` with the position and the bytes of every record from `first` to `last`, both from 0 and inclusive, as far
/// as the list goes. Few records are held at a time: the first step reads one, and a step reads twice
/// as many as the one before only while they are short.
pub(super) async fn each_record<R>(
    first: i64,
    last: i64,
    read: impl Fn(i64, i64) -> R,
    mut each: impl FnMut(i64, &Bytes),
) -> Result<(), StoreError>
where
    R: Future<Output = Result<Vec<Bytes>, StoreError>>,
{
    let (mut position, mut step) = (first, 1);
    while position <= last {
        let wanted = step.min(last.saturating_sub(position).saturating_add(1));
        let records = read(position, position.saturating_add(wanted - 1)).await?;
        let bytes: usize = records.iter().map(Bytes::len).sum();
        (position..).zip(&records).for_each(|(at, record)| each(at, record));
        let count = i64::try_from(records.len()).unwrap_or(i64::MAX);
        if count < wanted {
            return Ok(());
        }
        position = position.saturating_add(count);
        step = if bytes < ENOUGH { (step * 2).min(MOST) } else { 1 };
    }
    Ok(())
}

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
    use std::cell::RefCell;

    use super::*;

    #[tokio::test]
    async fn long_records_are_held_one_at_a_time_and_each_is_shown_once() {
        let lengths: Vec<usize> = (0..300).map(|n| if (40..50).contains(&n) { 2 << 20 } else { 10 }).collect();
        let (asked, mut seen) = (RefCell::new(Vec::new()), Vec::new());
        let read = |first: i64, last: i64| {
            let end = lengths.len().min(usize::try_from(last).unwrap() + 1);
            let records: Vec<_> =
                lengths[usize::try_from(first).unwrap()..end].iter().map(|n| Bytes::from(vec![0; *n])).collect();
            asked.borrow_mut().push(records.iter().filter(|record| record.len() > 10).count());
            async move { Ok(records) }
        };
        each_record(3, i64::MAX, read, |at, record| seen.push((at, record.len()))).await.unwrap();
        let wanted: Vec<_> = (3..).zip(lengths[3..].iter().copied()).collect();
        assert_eq!(seen, wanted);
        let asked = asked.into_inner();
        // The step that meets them may hold several; after it each comes alone.
        assert!(asked.iter().filter(|long| **long > 1).count() <= 1, "{asked:?}");
        assert!(asked.len() < 40, "short ones come many at a time: {}", asked.len());
    }

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
