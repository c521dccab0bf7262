//! Which notifications are due: one for the first failure of a task with an error, then one a minute with their number.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::job::failure::iso_date;
use crate::text::shell::word;

/// How long at least between two notifications of a group.
const MINUTE: Duration = Duration::from_secs(60);
/// How many groups are known. Failures of more are counted together.
const MOST: usize = 1000;
/// The error of a run that was left out.
pub(super) const MISSED: &str = "Missed";
/// The group of all that have no place of their own.
const OTHERS: &str = "others";

/// A failure, or a missed run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Happened {
    pub(super) task: String,
    pub(super) exception: String,
    /// The last error, which begins with the exception.
    pub(super) error: String,
    pub(super) queue: Option<String>,
    pub(super) job: Option<String>,
    pub(super) at_ms: i64,
}

/// What is to be told of a group.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Note {
    last: Happened,
    first_ms: i64,
    count: u64,
}

/// The groups by task and exception.
#[derive(Debug, Default)]
pub(super) struct Groups(HashMap<(String, String), Group>);

#[derive(Debug)]
struct Group {
    /// What came since the last note.
    untold: Option<Note>,
    /// When it may be told.
    due: Instant,
}

impl Groups {
    pub(super) fn add(&mut self, happened: Happened, now: Instant) {
        let mut key = (happened.task.clone(), happened.exception.clone());
        if !self.0.contains_key(&key) && self.0.len() >= MOST {
            key = (OTHERS.to_owned(), OTHERS.to_owned());
        }
        let group = self.0.entry(key).or_insert_with(|| Group { untold: None, due: now });
        match &mut group.untold {
            Some(note) => {
                note.count += 1;
                note.last = happened;
            }
            none => *none = Some(Note { first_ms: happened.at_ms, last: happened, count: 1 }),
        }
    }

    /// When the next note is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().filter(|group| group.untold.is_some()).map(|group| group.due).min()
    }

    /// All notes, due or not.
    pub(super) fn take_all(&mut self) -> Vec<Note> {
        let mut all: Vec<_> = self.0.drain().filter_map(|(_, group)| group.untold).collect();
        all.sort_by_key(|note| note.first_ms);
        all
    }

    /// The notes that are due. Groups that were calm for a minute are forgotten.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Note> {
        let mut due = Vec::new();
        self.0.retain(|_, group| {
            if group.due > now {
                return true;
            }
            let note = group.untold.take();
            group.due = now + MINUTE;
            let is_alive = note.is_some();
            due.extend(note);
            is_alive
        });
        due.sort_by_key(|note| note.first_ms);
        due
    }
}

impl Note {
    /// The message, as JSON. `text` is what chat services show.
    pub(super) fn payload(&self, host: &str) -> Vec<u8> {
        let Self { last, first_ms, count } = self;
        let Happened { task, exception, error, queue, job, at_ms } = last;
        let is_missed = exception == MISSED;
        let command = if is_missed {
            format!("windlass plan --task {}", word(task))
        } else {
            format!("windlass failed list --task {}", word(task))
        };
        let what = if is_missed { error.clone() } else { format!("task {task} failed: {error}") };
        let times = if *count > 1 { format!(" ({count} times since {})", iso_date(*first_ms)) } else { String::new() };
        let payload = json!({
            "event": if is_missed { "missed" } else { "failure" },
            "task": task,
            "queue": queue,
            "exception": exception,
            "error": error,
            "count": count,
            "first": iso_date(*first_ms),
            "last": iso_date(*at_ms),
            "job": job,
            "host": host,
            "command": command,
            "text": format!("{what}{times}\n{command}"),
        });
        payload.to_string().into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happened(task: &str, exception: &str, at_ms: i64) -> Happened {
        let error = format!("{exception}: of {at_ms}");
        let (task, exception) = (task.to_owned(), exception.to_owned());
        Happened { task, exception, error, queue: Some("q".to_owned()), job: Some("7".to_owned()), at_ms }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_failure_is_told_at_once_and_the_next_ones_once_a_minute() {
        let mut groups = Groups::default();
        let now = Instant::now;
        assert_eq!((groups.next(), groups.take_due(now())), (None, Vec::new()));
        groups.add(happened("a", "Timeout", 1), now());
        groups.add(happened("b", "Timeout", 2), now());
        groups.add(happened("a", "Signal", 3), now());
        assert_eq!(groups.take_due(now()).len(), 3, "each task and each exception is a group");
        for n in 0..100 {
            groups.add(happened("a", "Timeout", 10 + n), now());
        }
        assert!(groups.take_due(now()).is_empty());
        assert_eq!(groups.next(), Some(now() + MINUTE));
        tokio::time::advance(MINUTE).await;
        let due = groups.take_due(now());
        assert_eq!((due.len(), due[0].count, due[0].first_ms, due[0].last.at_ms), (1, 100, 10, 109));
        tokio::time::advance(MINUTE).await;
        assert!(groups.take_due(now()).is_empty() && groups.0.is_empty(), "calm groups are forgotten");
        for at_ms in [7, 8, 9] {
            groups.add(happened(if at_ms == 8 { "b" } else { "a" }, "Timeout", at_ms), now());
            groups.take_due(now() - MINUTE);
        }
        groups.take_due(now());
        groups.add(happened("a", "Timeout", 10), now());
        let last = groups.take_all();
        assert_eq!((last.len(), last[0].last.at_ms), (1, 10), "at the end nothing waits for its minute");
    }

    #[test]
    fn there_are_so_many_groups_and_no_more() {
        let mut groups = Groups::default();
        for n in 0..5000 {
            groups.add(happened(&n.to_string(), "Error", n), Instant::now());
        }
        assert_eq!(groups.0.len(), MOST + 1);
        let due = groups.take_due(Instant::now());
        assert_eq!(due.iter().map(|note| note.count).sum::<u64>(), 5000);
    }

    #[test]
    fn a_message_says_what_happened_and_what_to_type() {
        let note = Note { last: happened("send it; rm -rf /", "Timeout", 2000), first_ms: 1000, count: 3 };
        let payload: serde_json::Value = serde_json::from_slice(&note.payload("web-1")).unwrap();
        assert_eq!(payload["command"], "windlass failed list --task 'send it; rm -rf /'");
        assert_eq!((&payload["count"], &payload["event"]), (&json!(3), &json!("failure")));
        assert_eq!(payload["first"], "1970-01-01T00:00:01.000Z");
        let text = payload["text"].as_str().unwrap();
        assert!(text.starts_with("task send it; rm -rf / failed: Timeout: of 2000 (3 times since"), "{text}");
    }
}
