//! The last call of an instance: it unregisters itself and hands over what ran last.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::control::{Ended, Phase};
use super::core::Core;
use crate::store::history::Ran;
use crate::store::instance::{InstanceRecord, Leave};
use crate::store::role;
use crate::store::{Store, StoreError};

/// How long unregistering may take at least and at most, and how soon it is tried again after a failure.
pub(super) const LEAVE_LEAST: Duration = Duration::from_secs(1);
pub(super) const LEAVE_MOST: Duration = Duration::from_secs(5);
const LEAVE_AGAIN: Duration = Duration::from_millis(50);

/// Unregisters everything. If the store does not answer within `patience`, the lease will lapse instead. A connection may
/// turn out to be dead only now, so a failure is tried again; without what ran, if that may be why.
pub(super) async fn leave(
    store: &Store<role::Pool>,
    record: &InstanceRecord,
    mut ran: Vec<Ran>,
    patience: Duration,
) -> Ended {
    let left = async {
        while let Err(error) = store.run(Leave { record: record.clone(), ran: ran.clone() }).await {
            if !matches!(error, StoreError::Unavailable(_) | StoreError::Unreached(_)) {
                ran.clear();
            }
            sleep(LEAVE_AGAIN).await;
        }
    };
    if timeout(patience, left).await.is_ok() { Ended::Clean } else { Ended::Unsettled }
}

/// How long unregistering may take: what the drain left of its time, within bounds; the least if all is to end at once, the
/// most if another instance has taken over.
pub(super) fn leave_patience(core: &Core, drain_began: Instant, phase: Phase) -> Duration {
    let left = core.settings.config().shutdown.timeout.saturating_sub(drain_began.elapsed());
    match phase {
        Phase::Kill => LEAVE_LEAST,
        Phase::Retire => LEAVE_MOST,
        Phase::Run | Phase::Drain => left.clamp(LEAVE_LEAST, LEAVE_MOST),
    }
}
