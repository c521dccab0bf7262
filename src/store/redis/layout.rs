//! The layout of an exchange for its scripts: the workers, their positions, and the heads by which claims are recognised.
//!
//! Each key and argument costs the server time, so that none is passed twice: a worker that is settled and claims again has
//! one position, and claims of one exchange share one head.

use std::collections::HashMap;

use bytes::{BufMut, Bytes, BytesMut};

use super::keys::Keys;
use super::verdict::{self, Ending};
use crate::job::ecma::quote;
use crate::job::{ClaimToken, WorkerName};
use crate::store::effect::Verdict;
use crate::store::queueing::{Exchange, Exchanged};

/// How many claims of a worker may end without being counted for it.
const UNCOUNTED: u32 = 64;

/// What is known of a worker.
struct Worker {
    working: Bytes,
    processed: Bytes,
    /// The last part of its claims' tokens. Ascending along the idle workers of an exchange, so
    /// that tokens tell in which order jobs were claimed.
    ordinal: usize,
    /// `<ordinal>","worker":"<name>"`
    piece: Bytes,
    /// How many jobs it did that are not counted for it yet.
    uncounted: u32,
    /// The layout in which it stands at `position`.
    layout: u64,
    position: u16,
}

/// The workers of a lane.
#[derive(Default)]
pub(super) struct Workers {
    known: HashMap<WorkerName, Worker>,
    next_ordinal: usize,
    layouts: u64,
}

/// An exchange, laid out.
#[derive(Default)]
pub(super) struct Layout {
    /// The working records of all that take part, the idle first.
    pub(super) working: Vec<Bytes>,
    /// The pieces of the idle.
    pub(super) pieces: Vec<Bytes>,
    /// How the working records of claims begin.
    pub(super) heads: Vec<Bytes>,
    /// The settlements, as `settle.lua` reads them.
    pub(super) settlements: Bytes,
    /// The enters, as `settle.lua` reads them.
    pub(super) enters: Bytes,
    /// For each settlement that is done and counted now: where, and how many.
    pub(super) counted: Vec<Option<(Bytes, u32)>>,
}

impl Layout {
    /// The letter of each settlement.
    pub(super) fn ops(&self) -> impl Iterator<Item = u8> + '_ {
        self.settlements.iter().copied().step_by(5)
    }

    /// The position of a settlement's worker.
    pub(super) fn position_of_settlement(&self, index: usize) -> usize {
        position(&self.settlements, 5 * index + 1)
    }

    /// The position of an enter's worker.
    pub(super) fn position_of_enter(&self, index: usize) -> usize {
        position(&self.enters, 4 * index)
    }
}

impl Workers {
    /// Lays out an exchange. `full`: the lane's last exchanges brought a job for every idle worker, so that many more will
    /// come. Then jobs are added to a worker's statistic only now and then.
    pub(super) fn lay_out(&mut self, keys: &Keys, exchange: &Exchange, full: bool) -> Layout {
        // Names of workers that no longer exist must not pile up.
        const MANY: usize = 16_384;
        if self.known.len() > MANY {
            self.known.clear();
        }
        self.layouts += 1;
        let mut layout = Layout::default();
        let mut last = None;
        for name in &exchange.idle {
            let worker = self.worker(keys, name);
            let ordinal = worker.ordinal;
            if last.is_some_and(|last| ordinal <= last) {
                self.renumber(name);
            }
            let worker = self.take_part(keys, name, &mut layout);
            last = Some(worker.ordinal);
            let piece = worker.piece.clone();
            layout.pieces.push(piece);
        }
        let mut heads = HashMap::new();
        let mut settlements = BytesMut::with_capacity(5 * exchange.settlements.len());
        for settlement in &exchange.settlements {
            let worker = self.take_part(keys, &settlement.worker, &mut layout);
            let mut op = Ending::of(settlement).op();
            let mut counted = None;
            if settlement.verdict == Verdict::Done {
                let goes_on = usize::from(worker.position) <= exchange.idle.len();
                if op == verdict::DONE && full && goes_on && worker.uncounted + 1 < UNCOUNTED {
                    op = verdict::NOTED;
                } else {
                    counted = Some((worker.processed.clone(), worker.uncounted + 1));
                }
            }
            settlements.put_u8(op);
            settlements.put_u16(worker.position);
            let ordinal = worker.ordinal;
            settlements.put_u16(head(&mut layout.heads, &mut heads, &settlement.claim, ordinal));
            layout.counted.push(counted);
        }
        let mut enters = BytesMut::with_capacity(4 * exchange.enters.len());
        for enter in &exchange.enters {
            let worker = self.take_part(keys, &enter.worker, &mut layout);
            enters.put_u16(worker.position);
            let ordinal = worker.ordinal;
            enters.put_u16(head(&mut layout.heads, &mut heads, &enter.claim, ordinal));
        }
        layout.settlements = settlements.freeze();
        layout.enters = enters.freeze();
        layout
    }

    /// Records what an exchange has counted.
    pub(super) fn note(&mut self, exchange: &Exchange, layout: &Layout, exchanged: &Exchanged) {
        let unapplied = |index: &usize| exchanged.lost.contains(index) || exchanged.undone.contains(index);
        for (index, (settlement, counted)) in exchange.settlements.iter().zip(&layout.counted).enumerate() {
            if settlement.verdict != Verdict::Done || unapplied(&index) {
                continue;
            }
            if let Some(worker) = self.known.get_mut(&settlement.worker) {
                worker.uncounted = if counted.is_some() { 0 } else { worker.uncounted + 1 };
            }
        }
    }

    /// The counts that idle workers are owed, and where they stand.
    pub(super) fn owed<'a>(&'a self, idle: &'a [WorkerName]) -> impl Iterator<Item = (&'a WorkerName, &'a Bytes, u32)> {
        let known = idle.iter().filter_map(|name| Some((name, self.known.get(name)?)));
        let owed = known.filter(|(_, worker)| worker.uncounted > 0);
        owed.map(|(name, worker)| (name, &worker.processed, worker.uncounted))
    }

    /// They have been counted.
    pub(super) fn paid(&mut self, idle: &[WorkerName]) {
        for name in idle {
            if let Some(worker) = self.known.get_mut(name) {
                worker.uncounted = 0;
            }
        }
    }

    /// The last part of a worker's tokens.
    pub(super) fn ordinal(&self, name: &WorkerName) -> usize {
        self.known.get(name).map_or(0, |worker| worker.ordinal)
    }

    fn worker(&mut self, keys: &Keys, name: &WorkerName) -> &mut Worker {
        if !self.known.contains_key(name) {
            let ordinal = self.next_ordinal;
            self.next_ordinal += 1;
            let worker = Worker {
                working: keys.working(name),
                processed: keys.processed_by(name.name()),
                ordinal,
                piece: piece(ordinal, name),
                uncounted: 0,
                layout: 0,
                position: 0,
            };
            self.known.insert(name.clone(), worker);
        }
        self.known.get_mut(name).expect("it was put there if it was missing")
    }

    fn renumber(&mut self, name: &WorkerName) {
        let ordinal = self.next_ordinal;
        self.next_ordinal += 1;
        if let Some(worker) = self.known.get_mut(name) {
            worker.ordinal = ordinal;
            worker.piece = piece(ordinal, name);
        }
    }

    /// A worker with its position in this exchange, from 1.
    fn take_part(&mut self, keys: &Keys, name: &WorkerName, layout: &mut Layout) -> &mut Worker {
        let layouts = self.layouts;
        let worker = self.worker(keys, name);
        if worker.layout != layouts {
            layout.working.push(worker.working.clone());
            worker.layout = layouts;
            // A pool has at most 10,000 processors (config/element/processors.rs).
            worker.position = u16::try_from(layout.working.len()).unwrap_or(u16::MAX);
        }
        worker
    }
}

/// The position that is written there.
fn position(laid_out: &[u8], at: usize) -> usize {
    laid_out.get(at..at + 2).map_or(0, |bytes| usize::from(bytes[0]) * 256 + usize::from(bytes[1]))
}

fn piece(ordinal: usize, name: &WorkerName) -> Bytes {
    Bytes::from(format!("{ordinal}\",\"worker\":{}", quote(name.name())))
}

/// The number of a claim's head, from 1. What follows the last dash of a token is its worker's
/// ordinal; where it is not (any more), the head goes to the token's end.
fn head<'a>(
    heads: &mut Vec<Bytes>,
    numbers: &mut HashMap<(&'a str, &'static str), u16>,
    claim: &'a ClaimToken,
    ordinal: usize,
) -> u16 {
    let token = claim.as_str();
    let (shared, end) = match token.rsplit_once('-') {
        Some((shared, own)) if own.parse() == Ok(ordinal) => (shared, "-"),
        _ => (token, "\""),
    };
    *numbers.entry((shared, end)).or_insert_with(|| {
        heads.push(Bytes::from(format!("{{\"claim\":\"{shared}{end}")));
        u16::try_from(heads.len()).unwrap_or(u16::MAX)
    })
}
