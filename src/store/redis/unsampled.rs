//! The queues that samples leave out.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

/// How long queues are left out whose keys are refused.
const LEFT_OUT: Duration = Duration::from_secs(30);

/// The queues whose keys the server refuses to this user. The server refuses a whole sample for one of them.
#[derive(Debug, Default)]
pub(super) struct Unsampled(Mutex<Option<(Instant, HashSet<Bytes>)>>);

impl Unsampled {
    pub(super) fn keys(&self) -> HashSet<Bytes> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|(since, _)| since.elapsed() < LEFT_OUT).map(|(_, keys)| keys.clone()).unwrap_or_default()
    }

    pub(super) fn add(&self, keys: impl Iterator<Item = Bytes>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.take().filter(|(since, _)| since.elapsed() < LEFT_OUT);
        let (since, mut all) = before.unwrap_or_else(|| (Instant::now(), HashSet::new()));
        all.extend(keys);
        *known = Some((since, all));
    }
}
