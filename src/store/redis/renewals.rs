//! The locks of running jobs, which an extension renews.
//!
//! A lock's name ends with the arguments of its job. A long one stands in the working record of that job, and is taken from there
//! (`scripts/held.lua`): an extension goes every few seconds, and if it is cut off for its length, the lease runs out and with it
//! every job of the instance.

use std::collections::HashMap;

use super::keys::Keys;
use super::lending::{Known, LONG, Lending, is_long};
use super::script::{Call, Script};
use crate::store::instance::{Extend, LongJob};

/// How many keys a worker has (`members.lua`); the first is that of its working record.
const KEYS_OF_ONE: usize = 5;

/// The records that lend the names of locks.
#[derive(Default)]
pub(super) struct Renewals {
    /// Their places in KEYS, from 1.
    records: Vec<usize>,
    lending: Lending,
}

impl Renewals {
    /// Writes the locks. `workers` is how many keys precede those of the workers.
    pub(super) fn write(call: &mut Call, keys: &Keys, extend: &Extend, workers: usize) -> Self {
        let mut renewals = Self::default();
        // Of each long job where its record is lent, once it is.
        let mut lent: HashMap<&str, usize> = HashMap::new();
        call.number(extend.locks.len());
        for renewal in &extend.locks {
            let from = call.lengths();
            call.key(keys.lock(&renewal.key)).key(keys.lock_shadow(&renewal.key));
            call.text(renewal.claim.as_str()).number(renewal.ttl_s);
            if renewal.key.as_str().len() < LONG {
                continue;
            }
            let job = extend.long.iter().find(|job| job.claim == renewal.claim).filter(|job| is_long(&job.payload));
            let Some(LongJob { worker, payload, .. }) = job else { continue };
            let Some(at) = extend.workers.iter().position(|one| one == worker) else { continue };
            let position = *lent.entry(renewal.claim.as_str()).or_insert_with(|| {
                renewals.records.push(workers + at * KEYS_OF_ONE + 1);
                renewals.records.len()
            });
            renewals.lending.lend(call, from, (position, payload), &Known::EndsWithJob);
        }
        renewals
    }

    /// Writes what `held.lua` reads behind all others, if there is anything, and picks the script: the plain one, or that which
    /// begins with `held.lua`.
    pub(super) fn pick(self, call: &mut Call, [plain, held]: [&'static Script; 2]) -> &'static Script {
        if self.records.is_empty() {
            return plain;
        }
        let at = call.lengths().1;
        call.number(self.records.len());
        for record in self.records {
            call.number(record);
        }
        self.lending.write_lenders(call);
        call.number(at);
        held
    }
}
