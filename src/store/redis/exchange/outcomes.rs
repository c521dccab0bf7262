//! The lists in a reply to an exchange.

use super::reply;
use crate::store::effect::Gate;
use crate::store::queueing::{Enter, Entered, Exchange, Repeated, TickDue};

/// Two lists of numbers with a semicolon between them; the second may be missing.
pub(super) fn halves(text: &[u8]) -> (Vec<usize>, Vec<usize>) {
    let mut parts = text.splitn(2, |byte| *byte == b';');
    let mut next = || reply::numbers(parts.next().unwrap_or_default());
    (next(), next())
}

/// The settlements whose claims were lost, and those that could not be recorded.
pub(super) fn unapplied(text: &[u8]) -> (Vec<usize>, Vec<usize>) {
    let mut unapplied = (reply::numbers(text), Vec::new());
    if text.contains(&b'!') {
        let parts = text.split(|byte| *byte == b',');
        unapplied.1.extend(parts.filter_map(|part| reply::parsed::<usize>(part.strip_prefix(b"!")?)));
    }
    for numbers in [&mut unapplied.0, &mut unapplied.1] {
        numbers.sort_unstable();
        numbers.dedup();
    }
    unapplied
}

/// What became of the enters and what is known of those that are ticks; behind a semicolon the attempts that will be repeated.
pub(super) fn enter_outcomes(exchange: &Exchange, text: &[u8]) -> (Vec<Entered>, Vec<TickDue>, Vec<Repeated>) {
    let mut parts = text.splitn(2, |byte| *byte == b';');
    let (letters, repeats) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let repeat = |text: &[u8]| {
        let mut numbers = text.split(|byte| *byte == b':').map(reply::parsed::<u64>);
        let mut next = || numbers.next().flatten();
        let (index, left, delay_ms) = (next()?, next()?, next()?);
        Some(Repeated { index: usize::try_from(index).ok()?, left: u32::try_from(left).unwrap_or(u32::MAX), delay_ms })
    };
    let due = |(index, letter): (usize, &[u8])| {
        Some(TickDue { index, due_s: reply::parsed(letter.strip_prefix(b"T").filter(|second| !second.is_empty())?)? })
    };
    (
        entered(exchange, letters),
        letters.split(|byte| *byte == b',').take(exchange.enters.len()).enumerate().filter_map(due).collect(),
        repeats.split(|byte| *byte == b',').filter_map(repeat).collect(),
    )
}

/// What became of each enter, from the letters that `enter.lua` writes.
fn entered(exchange: &Exchange, text: &[u8]) -> Vec<Entered> {
    let mut verdicts = text.split(|byte| *byte == b',');
    let read = |enter: &Enter| {
        let verdict = verdicts.next().unwrap_or_default();
        let plugin = || match reply::parsed::<usize>(verdict.get(1..)?).and_then(|gate| enter.gates.get(gate))? {
            Gate::TakeLock { plugin, .. } | Gate::Fresh { plugin, .. } => Some(*plugin),
            Gate::FreeLock { .. } | Gate::NextTick { .. } | Gate::TellDue { .. } => None,
        };
        match verdict.first() {
            Some(b'T') => Entered::Taken,
            Some(b'P') => Entered::PutBack { plugin: plugin().unwrap_or_default() },
            Some(b'D') => Entered::Dropped { plugin: plugin().unwrap_or_default() },
            Some(b'U') => Entered::Undone,
            _ => Entered::Lost,
        }
    };
    exchange.enters.iter().map(read).collect()
}
