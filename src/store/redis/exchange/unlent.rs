//! Working records that do not lend what the end of their job needs (`lend.lua`): another program wrote them anew.
//!
//! The claim at their beginning still stands, so that the end counts. It is refused once, told, and then sent whole.

use std::collections::HashSet;

use bytes::Bytes;

use crate::job::{ClaimToken, WorkerName};
use crate::store::error::StoreError;
use crate::store::queueing::{Exchange, Exchanged};
use crate::store::redis::keys::Keys;
use crate::store::redis::lending;
use crate::store::redis::refusal::WRITTEN_ANEW;

/// How many such claims are remembered.
const KNOWN: usize = 1000;

/// The claims whose records do not lend.
#[derive(Default)]
pub(super) struct Unlent(HashSet<ClaimToken>);

impl Unlent {
    /// Are the long values of this job taken out of its record?
    pub(super) fn lends(&self, claim: &ClaimToken, payload: &Bytes) -> bool {
        lending::is_long(payload) && (self.0.is_empty() || !self.0.contains(claim))
    }

    /// Takes note of the records that a reply says do not lend.
    pub(super) fn note(&mut self, keys: &Keys, exchange: &Exchange, reply: &Exchanged) {
        if !self.0.is_empty() {
            let ended = exchange.settlements.iter().enumerate().filter(|(index, _)| !reply.undone.contains(index));
            ended.for_each(|(_, one)| {
                self.0.remove(&one.claim);
            });
        }
        let unlent: HashSet<&str> = reply.findings.iter().filter_map(place).collect();
        if unlent.is_empty() {
            return;
        }
        let settled = exchange.settlements.iter().map(|one| (&one.worker, &one.claim));
        let entering = exchange.enters.iter().map(|one| (&one.worker, &one.claim));
        let is_unlent = |worker: &WorkerName| unlent.contains(&*String::from_utf8_lossy(&keys.working(worker)));
        for (_, claim) in settled.chain(entering).filter(|(worker, _)| is_unlent(worker)) {
            if self.0.len() >= KNOWN {
                self.0.clear();
            }
            self.0.insert(claim.clone());
        }
    }
}

/// The key of a record that does not lend, if the finding is about one.
fn place(finding: &StoreError) -> Option<&str> {
    match finding {
        StoreError::Corrupt { place, reason } if reason == WRITTEN_ANEW => Some(place),
        _ => None,
    }
}
