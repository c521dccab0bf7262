//! Parts of an exchange that is sent in parts (`split`), and what their replies say of the whole.

use std::ops::Range;

use crate::store::queueing::{Entered, Exchange, Exchanged, Part, RefusedPart, Repeated, TickDue};
use crate::store::redis::apart::Apart;

/// Some settlements and enters of an exchange, by their places: the settlements come first.
pub(super) struct Stretch {
    pub(super) items: Range<usize>,
    /// What is sent of it, if a key of the others is refused.
    pub(super) apart: Option<Apart>,
    /// Its number, once it was sent.
    pub(super) sequence: Option<u64>,
    pub(super) cuts: u32,
}

impl Stretch {
    pub(super) fn new(items: Range<usize>, cuts: u32) -> Self {
        Self { items, apart: None, sequence: None, cuts }
    }

    pub(super) fn asked(&self, exchange: &Exchange, sequence: u64) -> Exchange {
        match &self.apart {
            Some(apart) => Exchange { sequence, ..apart.rest.clone() },
            None => of_stretch(exchange, &self.items, sequence),
        }
    }
}

/// The reply to all of a part, from the reply to what was sent of it.
pub(super) fn whole(apart: Option<Apart>, reply: Exchanged) -> Exchanged {
    match apart {
        Some(apart) => apart.reply(reply),
        None => reply,
    }
}

/// Does this reply say that nothing was applied, as one does whose number was taken?
pub(super) fn is_untouched(exchange: &Exchange, reply: &Exchanged) -> bool {
    reply.undone.len() == exchange.settlements.len()
        && reply.entered.iter().all(|entered| *entered == Entered::Undone)
        && reply.claims.is_empty()
}

/// A part as an exchange of its own, which claims nothing.
fn of_stretch(exchange: &Exchange, items: &Range<usize>, sequence: u64) -> Exchange {
    let middle = exchange.settlements.len();
    let (from, to) = (items.start.max(middle) - middle, items.end.max(middle) - middle);
    Exchange {
        sequence,
        settlements: exchange.settlements[items.start.min(middle)..items.end.min(middle)].to_vec(),
        enters: exchange.enters[from..to].to_vec(),
        idle: Vec::new(),
        queues: std::sync::Arc::from([]),
        ..exchange.clone()
    }
}

impl Exchanged {
    /// Adds the reply to a part of an exchange.
    pub(super) fn add(&mut self, whole: &Exchange, items: &Range<usize>, part: Exchanged) {
        let middle = whole.settlements.len();
        let settled = items.start.min(middle);
        let entered = items.start.max(middle) - middle;
        self.lost.extend(part.lost.into_iter().map(|index| settled + index));
        self.undone.extend(part.undone.into_iter().map(|index| settled + index));
        self.refused.extend(part.refused.into_iter().map(|RefusedPart { part, error }| {
            let part = match part {
                Part::Enter(index) => Part::Enter(entered + index),
                Part::Settlement { index, extras } => Part::Settlement { index: settled + index, extras },
            };
            RefusedPart { part, error }
        }));
        self.findings.extend(part.findings);
        self.repeated.extend(part.repeated.into_iter().map(|one| Repeated { index: settled + one.index, ..one }));
        for (place, outcome) in self.entered.iter_mut().skip(entered).zip(part.entered) {
            *place = outcome;
        }
        self.due.extend(part.due.into_iter().map(|one| TickDue { index: entered + one.index, ..one }));
        self.undone.sort_unstable();
        self.lost.sort_unstable();
    }
}
