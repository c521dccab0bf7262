//! Failed jobs that somebody names together: those that are ticked on a page, by their ids and where they stood.

use std::collections::HashMap;

use super::error::AdminError;
use super::failed::{self, FoundFailure};
use super::failed_page::{FailedPlace, MOST};
use super::failed_walk::Walk;
use crate::store::handle::Store;
use crate::store::inspection::FailedCount;
use crate::store::role::Admin;

/// How far from its place a record is looked for.
const NEAR: i64 = 200;

/// Those of these records that are still about where they stood, the newest first. One walk finds them all, because they stood on one
/// page; it looks at [`MOST`] records and no further.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn find_near(store: &Store<Admin>, places: &[FailedPlace]) -> Result<Vec<FoundFailure>, AdminError> {
    let length = i64::try_from(store.run(FailedCount).await?).unwrap_or(i64::MAX);
    let (first, last) = (places.iter().map(|one| one.position).min(), places.iter().map(|one| one.position).max());
    let (Some(first), Some(last)) = (first, last) else { return Ok(Vec::new()) };
    // Of equal records, which share an id, as many are meant as are named.
    let mut wanted: HashMap<&str, usize> = HashMap::new();
    places.iter().for_each(|one| *wanted.entry(one.id.as_str()).or_default() += 1);
    let mut walk = Walk::before(store, last.saturating_add(1).min(length));
    let (lowest, mut looked_at, mut found) = (first.saturating_sub(NEAR).max(0), 0, Vec::new());
    while walk.end > lowest
        && looked_at < MOST
        && found.len() < places.len()
        && let Some(records) = walk.next().await?
    {
        looked_at += records.len();
        for (position, record) in records {
            let id = failed::id(&record);
            if let Some(left) = wanted.get_mut(id.as_str()).filter(|left| **left > 0) {
                *left -= 1;
                found.push(FoundFailure { position, id, record });
            }
        }
    }
    Ok(found)
}
