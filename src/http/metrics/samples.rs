//! The series that come from the leader's samples: how many jobs come and go, and how long they wait.

use std::time::Duration;

use super::families::{
    DELAYED_SECONDS, FLEET_FAILED, FLEET_PROCESSED, QUEUE_AGE_UNCERTAINTY, QUEUE_ARRIVALS, QUEUE_DEPARTURES,
    QUEUE_OLDEST, QUEUE_WAIT, STORE_EVICTED, STORE_MEMORY, STORE_MEMORY_MAX,
};
use super::own::{Labels, histogram};
use super::page::Page;
use super::risen::Risen;
use crate::curve::WAIT_BOUNDS_MS;
use crate::event::tally::OTHER;
use crate::store::snapshot::{QueueGauge, Snapshot};

/// Adds them.
pub(super) fn add(page: &mut Page, snapshot: &Snapshot, labels: &Labels, risen: &mut Risen) {
    page.count(&FLEET_PROCESSED, &[], snapshot.processed);
    page.count(&FLEET_FAILED, &[], snapshot.failures);
    if let Some(totals) = &snapshot.totals {
        page.count(&DELAYED_SECONDS, &[], totals.delayed_seconds);
        if let Some(evicted) = totals.evicted {
            page.count(&STORE_EVICTED, &[], evicted);
        }
        if let Some(memory) = totals.memory {
            page.count(&STORE_MEMORY, &[], memory);
        }
        if let Some(most) = totals.memory_most {
            page.count(&STORE_MEMORY_MAX, &[], most);
        }
    }
    for queue in &snapshot.queues {
        // Of several queues together no job is the oldest.
        let name = labels.queues.label(&queue.queue);
        if name != OTHER {
            of_queue(page, queue, name, risen.see(&snapshot.leader, queue));
        }
    }
}

fn of_queue(page: &mut Page, queue: &QueueGauge, name: &str, (arrived, departed): (u64, u64)) {
    page.count(&QUEUE_ARRIVALS, &[name], arrived);
    page.count(&QUEUE_DEPARTURES, &[name], departed);
    let seconds = |ms: u64| Duration::from_millis(ms).as_secs_f64();
    if queue.jobs == 0 {
        page.number(&QUEUE_OLDEST, &[name], 0.0);
        page.number(&QUEUE_AGE_UNCERTAINTY, &[name], 0.0);
    } else if let Some(age) = queue.age() {
        page.number(&QUEUE_OLDEST, &[name], seconds(age.at_least_ms));
        // Equal jobs that stand behind each other may make an age too high, which no number tells.
        let more = age.at_most_ms.map_or(f64::INFINITY, |most| seconds(most.saturating_sub(age.at_least_ms)));
        page.number(&QUEUE_AGE_UNCERTAINTY, &[name], more);
    }
    if queue.waits.len() == WAIT_BOUNDS_MS.len() + 1 {
        let bounds = WAIT_BOUNDS_MS.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0)));
        page.add(&QUEUE_WAIT, &[name], histogram(Duration::from_millis(queue.waits_ms), &bounds, &queue.waits));
    }
}

#[cfg(test)]
mod tests {
    use super::super::page::Format;
    use super::*;

    fn text(queue: QueueGauge) -> String {
        let mut snapshot = Snapshot::new(1_000, 2_000, "leader".to_owned());
        snapshot.queues.push(queue);
        let mut page = Page::default();
        add(&mut page, &snapshot, &Labels::default(), &mut Risen::default());
        page.write(Format::Classic).unwrap()
    }

    #[test]
    fn an_age_is_told_with_what_is_not_known_of_it() {
        let queue = |jobs, age_ms, age_most_ms| QueueGauge {
            queue: "q".to_owned(),
            jobs,
            age_ms,
            age_most_ms,
            ..QueueGauge::default()
        };
        let told = |queue: QueueGauge| {
            let page = text(queue);
            let of = |name: &str| {
                let start = format!("{name}{{queue=\"q\"}} ");
                page.lines().find_map(|line| line.strip_prefix(&start)).and_then(|value| value.parse::<f64>().ok())
            };
            (of("windlass_queue_oldest_job_age_seconds"), of("windlass_queue_age_uncertainty_seconds"))
        };
        assert_eq!(told(queue(3, Some(1_500), Some(2_500))), (Some(1.5), Some(1.0)));
        assert_eq!(told(queue(3, Some(1_500), None)), (Some(1.5), Some(f64::INFINITY)));
        assert_eq!(told(queue(0, None, None)), (Some(0.0), Some(0.0)));
        assert_eq!(told(queue(3, None, None)), (None, None), "nothing is known");
    }

    #[test]
    fn waits_are_a_histogram() {
        let mut waits = vec![0; WAIT_BOUNDS_MS.len() + 1];
        (waits[0], waits[WAIT_BOUNDS_MS.len()]) = (2, 1);
        let queue = QueueGauge { queue: "q".to_owned(), waits, waits_ms: 2_000_050, ..QueueGauge::default() };
        let page = text(queue);
        assert!(page.contains("windlass_queue_wait_seconds_bucket{queue=\"q\",le=\"0.05\"} 2\n"), "{page}");
        assert!(page.contains("windlass_queue_wait_seconds_bucket{queue=\"q\",le=\"1800\"} 2\n"), "{page}");
        assert!(page.contains("windlass_queue_wait_seconds_count{queue=\"q\"} 3\n"), "{page}");
        assert!(page.contains("windlass_queue_wait_seconds_sum{queue=\"q\"} 2000.05\n"), "{page}");
    }
}
