//! A fault that happened, and which runs it explains. Random numbers.

use crate::ledger::Run;

/// How long after a fault a run may still suffer from it: a settlement that waited for the store, a guard that ends runs
/// before a lease does.
const AFTERMATH_MS: u64 = 4000;
/// How much earlier than its record a fault may have struck.
const SLACK_MS: u64 = 300;

/// Whose runs a fault may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hit {
    Nobody,
    Seat(usize),
    All,
}

/// A fault that happened.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) what: String,
    pub(crate) hit: Hit,
    pub(crate) from_ms: u64,
    pub(crate) to_ms: u64,
}

impl Fault {
    /// Can it be the reason why this run was not the last of its job?
    pub(crate) fn explains(&self, run: &Run) -> bool {
        let hit = self.hit == Hit::All || self.hit == Hit::Seat(run.seat);
        let run_to = run.ended_ms.unwrap_or(u64::MAX).saturating_add(AFTERMATH_MS);
        hit && self.from_ms <= run_to && run.started_ms <= self.to_ms.saturating_add(AFTERMATH_MS + SLACK_MS)
    }
}

/// Random numbers that a seed repeats (splitmix64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    pub(crate) fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let at = usize::try_from(self.below(all.len() as u64)).expect("an index must be small");
        &all[at]
    }

    /// How long a job sleeps, in milliseconds: mostly hardly, sometimes longer than a lease.
    pub(crate) fn nap(&mut self) -> u64 {
        match self.below(20) {
            0 => 2500,
            1..=4 => 200 + self.below(600),
            _ => self.below(60),
        }
    }
}
