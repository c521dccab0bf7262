//! What the leader publishes of its curves.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::curve::{QueueCurve, Waits};
use crate::job::QueueName;
use crate::store::sampling::{Sampled, Totals};
use crate::store::snapshot::{MOST_QUEUES, QueueGauge, Snapshot, TotalsGauge};

/// The snapshot of a sample.
pub(super) fn snapshot(
    leader: &str,
    sampled: &Sampled,
    next: Duration,
    totals: Option<&(i64, Totals)>,
    curves: &HashMap<QueueName, QueueCurve>,
) -> Snapshot {
    let next_ms = i64::try_from(next.as_millis()).unwrap_or(i64::MAX).saturating_add(sampled.now_ms);
    let mut snapshot = Snapshot::new(sampled.now_ms, next_ms, leader.to_owned());
    snapshot.processed = sampled.counters.processed;
    snapshot.failures = sampled.counters.failed;
    let paused: HashSet<&QueueName> = totals.iter().flat_map(|(_, totals)| &totals.paused).collect();
    snapshot.totals = totals.map(|(at_ms, totals)| gauge_of_totals(*at_ms, totals));
    let mut queues: Vec<(&QueueName, &QueueCurve)> = curves.iter().collect();
    let jobs = |curve: &QueueCurve| curve.last().map_or(0, |last| last.length);
    // Those that hold jobs, then those where something happens, each by name.
    queues.sort_unstable_by_key(|(queue, curve)| {
        (jobs(curve) == 0, curve.flow().is_none_or(|flow| flow.arrived + flow.departed == 0), queue.as_str())
    });
    for (_, curve) in queues.iter().skip(MOST_QUEUES) {
        snapshot.others += 1;
        snapshot.other_jobs = snapshot.other_jobs.saturating_add(jobs(curve));
    }
    let shown = queues.into_iter().take(MOST_QUEUES);
    // Of very many queues those without jobs are not sampled.
    let left = sampled.known.saturating_sub(u64::try_from(shown.len()).unwrap_or(u64::MAX));
    snapshot.others = snapshot.others.max(left);
    snapshot.queues = shown.map(|(queue, curve)| gauge(queue, curve, paused.contains(queue))).collect();
    snapshot
}

fn gauge(queue: &QueueName, curve: &QueueCurve, paused: bool) -> QueueGauge {
    let (arrived, departed) = curve.totals().unwrap_or_default();
    let waits = curve.waits();
    QueueGauge {
        queue: queue.as_str().to_owned(),
        jobs: curve.last().map_or(0, |last| last.length),
        arrived,
        departed,
        paused,
        waits: if waits.is_empty() { Vec::new() } else { Waits::counts(waits).to_vec() },
        waits_ms: waits.sum_ms(),
        ..QueueGauge::default()
    }
    .with(curve.age(), curve.flow())
}

fn gauge_of_totals(at_ms: i64, totals: &Totals) -> TotalsGauge {
    TotalsGauge {
        at_ms,
        failed: totals.failed,
        delayed_seconds: totals.delayed_seconds,
        next_delayed_s: totals.next_delayed_s,
        all_paused: totals.all_paused,
        instances: totals.instances,
        promoter: totals.promoter.clone(),
        evicted: totals.evicted,
        memory: totals.memory.map(|memory| memory.used),
        memory_most: totals.memory.and_then(|memory| memory.most),
    }
}
