//! How fast a queue is worked off: jobs that wait for long, and queues to which more comes than goes.

use super::cause::{Cause, Finding, for_so_long, jobs};
use crate::admin::queue_wait::QueueWait;
use crate::job::QueueName;
use crate::text::clean::named;

/// How old the oldest job of a queue is when that is told.
const LONG_MS: u64 = 60_000;
/// How many more jobs a minute come than go before that is told: a part of those that come, and at least so many.
const SURPLUS_PART: u64 = 10;
const SURPLUS_LEAST: u64 = 5;

/// What is to be told of a queue that holds so many jobs. `claimed`: nothing keeps its jobs from being claimed.
pub(super) fn pace(queue: &QueueName, length: u64, wait: &QueueWait, claimed: bool) -> Vec<Finding> {
    let mut findings: Vec<Finding> = waits_long(queue, length, wait).into_iter().collect();
    if claimed {
        findings.extend(falls_behind(queue, length, wait));
    }
    findings
}

/// In how long the queue is empty, as part of a sentence; nothing if that is not known.
pub(super) fn empty_in(wait: &QueueWait) -> String {
    let empty_in = wait.empty_in_ms.filter(|ms| *ms >= 1000);
    empty_in.map(|ms| format!("; it is empty in about {} if that goes on", lasting(ms))).unwrap_or_default()
}

fn waits_long(queue: &QueueName, length: u64, wait: &QueueWait) -> Option<Finding> {
    let oldest_ms = wait.oldest_ms.filter(|oldest_ms| length > 0 && *oldest_ms >= LONG_MS)?;
    let long = lasting(oldest_ms);
    let long = match wait.oldest_most_ms {
        Some(_) => format!("for {long}"),
        None => format!("for at least {long}"),
    };
    let text = if wait.oldest_stood {
        format!(
            "the same job, or equal ones, have stood first on queue {queue} {long}; workers of other programs work on it",
            queue = named(&queue)
        )
    } else {
        let oldest = if length == 1 { "the job".to_owned() } else { format!("the oldest of {length} jobs") };
        format!("{oldest} on queue {queue} has waited {long}", queue = named(&queue))
    };
    let finding = Finding::tells(Cause::WaitsLong, text)
        .fact("queue", queue.as_str())
        .fact("length", length)
        .fact("oldest_ms", oldest_ms);
    Some(match wait.oldest_most_ms {
        Some(most_ms) => finding.fact("oldest_most_ms", most_ms),
        None => finding,
    })
}

/// More comes than goes, and what waits is more than a minute's work.
fn falls_behind(queue: &QueueName, length: u64, wait: &QueueWait) -> Option<Finding> {
    let (coming, going) = wait.in_per_minute.zip(wait.out_per_minute)?;
    let surplus = coming.checked_sub(going)?;
    if length <= going || surplus < SURPLUS_LEAST.max(coming / SURPLUS_PART) {
        return None;
    }
    let text = format!(
        "queue {queue} falls behind: {coming} jobs a minute come and {going} go, and {}; raise max_task_processors in \
         tasks.toml, or start windlass run on another machine",
        jobs(length, "waits", "wait"),
        queue = named(&queue)
    );
    Some(
        Finding::tells(Cause::FallsBehind, text)
            .command("windlass workers")
            .fact("queue", queue.as_str())
            .fact("length", length)
            .fact("in_per_minute", coming)
            .fact("out_per_minute", going),
    )
}

fn lasting(ms: u64) -> String {
    for_so_long(i64::try_from(ms).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(length: u64, wait: &QueueWait, claimed: bool) -> Vec<(Cause, String)> {
        let findings = pace(&QueueName::as_stored("mail"), length, wait, claimed);
        findings.into_iter().map(|one| (one.cause, one.text)).collect()
    }

    #[test]
    fn a_job_that_waits_for_a_minute_is_told_with_what_is_sure() {
        let of = |oldest_ms, oldest_most_ms, oldest_stood| QueueWait {
            oldest_ms: Some(oldest_ms),
            oldest_most_ms,
            oldest_stood,
            ..QueueWait::default()
        };
        assert_eq!(told(3, &of(59_999, Some(61_000), false), true), []);
        assert_eq!(told(0, &of(60_000, Some(60_000), false), true), [], "it is empty by now");
        let text =
            |length, wait: QueueWait| told(length, &wait, false).into_iter().next().unwrap_or_else(|| panic!("told"));
        let (cause, exact) = text(3, of(72_900, Some(73_000), false));
        assert_eq!(cause, Cause::WaitsLong);
        assert_eq!(exact, "the oldest of 3 jobs on queue mail has waited for 1m 12s");
        assert!(text(1, of(240_000, None, false)).1.ends_with("the job on queue mail has waited for at least 4m"));
        assert!(
            text(1, of(60_000, None, true)).1.contains("equal ones, have stood first on queue mail for at least 1m")
        );
    }

    #[test]
    fn a_queue_falls_behind_if_clearly_more_comes_than_goes_and_a_minute_is_waited() {
        let of = |coming, going| QueueWait {
            in_per_minute: Some(coming),
            out_per_minute: Some(going),
            ..QueueWait::default()
        };
        let falls = |length, coming, going| !told(length, &of(coming, going), true).is_empty();
        assert!(falls(701, 800, 700));
        assert!(!falls(700, 800, 700), "what waits is done within a minute");
        assert!(!falls(5000, 800, 721), "that may be chance");
        assert!(falls(5, 5, 0) && !falls(5, 4, 0), "few jobs tell little");
        assert!(!falls(5000, 700, 800));
        assert_eq!(told(701, &of(800, 700), false), [], "what keeps them from being claimed is told already");
        assert_eq!(told(701, &QueueWait::default(), true), [], "nothing is known");
    }

    #[test]
    fn when_a_queue_is_empty_is_told_if_that_is_known() {
        let wait = QueueWait { empty_in_ms: Some(190_000), ..QueueWait::default() };
        assert_eq!(empty_in(&wait), "; it is empty in about 3m 10s if that goes on");
        assert_eq!(empty_in(&QueueWait::default()), "");
    }
}
