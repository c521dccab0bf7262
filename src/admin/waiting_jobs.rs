//! Jobs that wait for their next run, by the id that they have kept from the last one.

use bytes::Bytes;

use super::delayed::SecondsWalk;
use super::error::AdminError;
use crate::job::{Identity, QueueName};
use crate::store::delayed::{DelayedIdentities, DelayedJob};
use crate::store::handle::Store;
use crate::store::listed::{JobList, ListJobs};
use crate::store::role::Admin;

/// How many delayed jobs are looked at, those first that are due first.
const MOST: i64 = 2000;
/// How many are read together.
const PAGE: i64 = 64;

/// A job that was claimed before, and waits.
#[derive(Debug, Clone)]
pub struct WaitingJob {
    /// The unix second at which it is due.
    pub second: i64,
    /// The queue to which it goes.
    pub queue: QueueName,
    /// Its bytes.
    pub payload: Bytes,
    /// Who it is, and which attempt comes.
    pub identity: Identity,
}

/// Those among the first delayed jobs whose id is meant. Jobs too long for a listing are not looked at.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn find(store: &Store<Admin>, is_meant: impl Fn(&str) -> bool) -> Result<Vec<WaitingJob>, AdminError> {
    let (mut found, mut looked, mut walk) = (Vec::new(), 0, SecondsWalk::new(store));
    while looked < MOST
        && let Some(page) = walk.next().await?
    {
        for second in page.into_iter().map(|due| due.second) {
            let mut start = 0;
            while looked < MOST {
                let list = JobList::Delayed(second);
                let listed = store.run(ListJobs { list, start, stop: start + PAGE - 1 }).await?;
                let read = i64::try_from(listed.len()).unwrap_or(PAGE);
                let jobs: Vec<DelayedJob> = listed
                    .iter()
                    .filter_map(|job| {
                        let queue = QueueName::as_stored(&job.class_and_queue()?.1?);
                        Some(DelayedJob { second, queue, payload: job.whole()?.clone() })
                    })
                    .collect();
                if !jobs.is_empty() {
                    let identities = store.run(DelayedIdentities { jobs: jobs.clone() }).await?;
                    let known = jobs.into_iter().zip(identities).filter_map(|(job, identity)| Some((job, identity?)));
                    found.extend(known.filter(|(_, identity)| is_meant(&identity.id)).map(|(job, identity)| {
                        let DelayedJob { second, queue, payload } = job;
                        WaitingJob { second, queue, payload, identity }
                    }));
                }
                (start, looked) = (start + PAGE, looked + read);
                if read < PAGE {
                    break;
                }
            }
            // A second that holds nothing costs a look, too.
            looked += 1;
            if looked >= MOST {
                break;
            }
        }
    }
    Ok(found)
}
