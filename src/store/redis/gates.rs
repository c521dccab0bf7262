//! The gates of enters, as `enter.lua` reads them.

use super::keys::Keys;
use super::runs;
use super::script::Call;
use super::verdict;
use crate::store::effect::{Busy, Gate, Tick};
use crate::store::queueing::Enter;

/// What `enter.lua` reads for one enter.
pub(super) fn gates(call: &mut Call, keys: &Keys, enter: &Enter, about_ms: i64) {
    let returns = |gate: &Gate| matches!(gate, Gate::TakeLock { busy: Busy::PutBack { .. }, .. });
    let may_return = enter.gates.iter().any(returns);
    call.number(enter.gates.len()).literal(match (may_return, &enter.run) {
        (false, None) => "",
        (true, None) => "P",
        (false, Some(_)) => "R",
        (true, Some(_)) => "PR",
    });
    if may_return {
        verdict::put_off(call, keys, &enter.payload, &enter.queue);
        call.text(enter.queue.as_str()).arg(verdict::encoded(&enter.identity));
    }
    if let Some(run) = &enter.run {
        runs::keep(call, keys, run);
    }
    for gate in &enter.gates {
        match gate {
            Gate::TellDue { task } => {
                call.literal("W").key(keys.periodic()).text(task.as_str());
            }
            Gate::FreeLock { key } => {
                call.literal("F").key(keys.lock(key));
            }
            Gate::TakeLock { key, ttl_s, busy, .. } => {
                call.literal("T").key(keys.lock(key)).key(keys.lock_shadow(key)).number(ttl_s);
                match busy {
                    Busy::PutBack { delay_ms } => {
                        call.literal("P").number(delay_ms);
                    }
                    Busy::Drop { free, tick, retry } => {
                        call.literal("D");
                        verdict::locks(call, keys, free);
                        verdict::tick(call, keys, tick.as_ref(), about_ms);
                        verdict::retry_keys(call, keys, retry.as_ref());
                    }
                }
            }
            Gate::Fresh { tick, max_age_s, free, retry, .. } => {
                call.literal("A").key(keys.periodic()).text(tick.task.as_str()).number(max_age_s);
                verdict::locks(call, keys, free);
                verdict::tick(call, keys, Some(tick), about_ms);
                verdict::retry_keys(call, keys, retry.as_ref());
            }
            Gate::NextTick { tick } => {
                call.literal("N").key(keys.periodic());
                // Whether a tick follows needs no saying here.
                verdict::the_tick(call, keys, tick, about_ms);
            }
        }
    }
}

/// The ticks that an enter may write.
pub(super) fn ticks(enter: &Enter) -> impl Iterator<Item = &Tick> {
    enter.gates.iter().filter_map(|gate| match gate {
        Gate::Fresh { tick, .. } | Gate::NextTick { tick } => Some(tick),
        Gate::TakeLock { busy: Busy::Drop { tick, .. }, .. } => tick.as_ref(),
        Gate::TakeLock { busy: Busy::PutBack { .. }, .. } | Gate::FreeLock { .. } | Gate::TellDue { .. } => None,
    })
}
