//! Which notifications are due: one for the first failure of a task with an error, then one a minute with their number.
//!
//! Who enqueues jobs chooses the names of tasks that nobody knows, and often what an error is called. So failures of unknown
//! tasks are one group, and each task has few groups of its own: what one producer makes up hides nobody else's failure.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::job::failure::iso_date;
use crate::text::clean;
use crate::text::shell::command_for;

/// How long at least between two notifications of a group.
const MINUTE: Duration = Duration::from_secs(60);
/// How soon those are looked at again for which there was no room.
const AGAIN: Duration = Duration::from_secs(1);
/// How many groups are known. Failures of more are counted together.
const MOST: usize = 1000;
/// How many groups a task has by the names of its errors. Others of its failures are counted together.
const MOST_OF_TASK: usize = 8;
/// What stands in the place of the exception of a run that was left out.
const MISSED: &str = "Missed";

/// A failure, or a missed run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Happened {
    pub(super) task: String,
    /// Is there such a task here?
    pub(super) is_known: bool,
    /// What a failure is called; `None` for a missed run.
    pub(super) exception: Option<String>,
    /// The last error, which begins with the exception.
    pub(super) error: String,
    /// The last line of stderr.
    pub(super) said: Option<String>,
    pub(super) queue: Option<String>,
    pub(super) job: Option<String>,
    pub(super) at_ms: i64,
}

/// What is counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// Failures of a task with an exception, or its missed runs.
    Of { task: String, exception: Option<String> },
    /// Its other failures.
    RestOf { task: String },
    /// Failures of all tasks that are not known.
    Unknown,
    /// All that have no place of their own.
    Others,
}

/// What is to be told of a group.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Note {
    of: Key,
    last: Happened,
    first_ms: i64,
    count: u64,
}

/// The groups.
#[derive(Debug, Default)]
pub(super) struct Groups(BTreeMap<Key, Group>);

#[derive(Debug)]
struct Group {
    /// What came since the last note.
    untold: Option<Note>,
    /// When it may be told.
    due: Instant,
}

impl Groups {
    pub(super) fn add(&mut self, happened: Happened, now: Instant) {
        let key = self.key(&happened);
        let group = self.0.entry(key.clone()).or_insert_with(|| Group { untold: None, due: now });
        match &mut group.untold {
            Some(note) => {
                note.count += 1;
                note.last = happened;
            }
            none => *none = Some(Note { of: key, first_ms: happened.at_ms, last: happened, count: 1 }),
        }
    }

    /// The group that has room for this.
    fn key(&self, happened: &Happened) -> Key {
        let Happened { task, is_known, exception, .. } = happened;
        if !is_known {
            return Key::Unknown;
        }
        let task = task.clone();
        let own = Key::Of { task: task.clone(), exception: exception.clone() };
        if self.0.contains_key(&own) {
            return own;
        }
        let first = Key::Of { task: task.clone(), exception: None };
        let of_task = |key: &&Key| matches!(key, Key::Of { task: of, .. } if *of == task);
        let is_full = self.0.range(first..).map(|(key, _)| key).take_while(of_task).count() >= MOST_OF_TASK;
        let key = if is_full { Key::RestOf { task } } else { own };
        if self.0.len() < MOST || self.0.contains_key(&key) { key } else { Key::Others }
    }

    /// When the next note is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().filter(|group| group.untold.is_some()).map(|group| group.due).min()
    }

    /// All notes, due or not.
    pub(super) fn take_all(&mut self) -> Vec<Note> {
        let mut all: Vec<_> = std::mem::take(&mut self.0).into_values().filter_map(|group| group.untold).collect();
        all.sort_by_key(|note| note.first_ms);
        all
    }

    /// The notes that are due, the oldest first, as far as there is room for them: the rest goes on counting. Groups that
    /// were calm for a minute are forgotten.
    pub(super) fn take_due(&mut self, now: Instant, room: usize) -> Vec<Note> {
        self.0.retain(|_, group| group.due > now || group.untold.is_some());
        let is_due = |(key, group): (&Key, &Group)| {
            let first_ms = group.untold.as_ref().filter(|_| group.due <= now)?.first_ms;
            Some((first_ms, key.clone()))
        };
        let mut due: Vec<_> = self.0.iter().filter_map(is_due).collect();
        due.sort();
        let mut notes = Vec::new();
        for (_, key) in due {
            let Some(group) = self.0.get_mut(&key) else { continue };
            if notes.len() < room {
                notes.extend(group.untold.take());
                group.due = now + MINUTE;
            } else {
                group.due = now + AGAIN;
            }
        }
        notes
    }
}

impl Note {
    /// The message, as JSON. `text` is what chat services show, and `command` is pasted: what names hold beside letters is
    /// written out in both.
    pub(super) fn payload(&self, host: &str) -> Vec<u8> {
        let Self { of, last, first_ms, count } = self;
        let Happened { task, exception, error, said, queue, job, at_ms, .. } = last;
        let command = match (of, exception) {
            (Key::Unknown | Key::Others, _) => "windlass failed list".to_owned(),
            (_, None) => command_for("plan --task", task),
            (_, Some(_)) => command_for("failed list --task", task),
        };
        let what = match (of, exception) {
            (Key::Unknown, _) => {
                format!("jobs of tasks that are not known here failed, the last one of {task}: {error}")
            }
            (Key::Others, _) => format!("jobs of many tasks failed, the last one of {task}: {error}"),
            (_, None) => error.clone(),
            (Key::RestOf { .. }, _) => format!("task {task} failed with many errors, the last one: {error}"),
            (Key::Of { .. }, _) => format!("task {task} failed: {error}"),
        };
        // Where the error already ends with it, once is enough.
        let said_beside = said.as_deref().filter(|said| !error.ends_with(said));
        let beside = said_beside.map(|said| format!("; stderr: {said}")).unwrap_or_default();
        let times = if *count > 1 { format!(" ({count} times since {})", iso_date(*first_ms)) } else { String::new() };
        let command = clean::line(&command);
        let payload = json!({
            "event": if exception.is_none() { "missed" } else { "failure" },
            "task": task,
            "queue": queue,
            "exception": exception.as_deref().unwrap_or(MISSED),
            "error": error,
            "stderr": said,
            "count": count,
            "first": iso_date(*first_ms),
            "last": iso_date(*at_ms),
            "job": job,
            "host": host,
            "command": command,
            "text": format!("{}{times}\n{command}", clean::line(&format!("{what}{beside}"))),
        });
        payload.to_string().into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happened(task: &str, exception: &str, at_ms: i64) -> Happened {
        let error = format!("{exception}: of {at_ms}");
        let (task, exception) = (task.to_owned(), Some(exception.to_owned()));
        Happened {
            task,
            is_known: true,
            exception,
            error,
            said: None,
            queue: Some("q".to_owned()),
            job: Some("7".to_owned()),
            at_ms,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_failure_is_told_at_once_and_the_next_ones_once_a_minute() {
        let mut groups = Groups::default();
        let now = Instant::now;
        assert_eq!((groups.next(), groups.take_due(now(), usize::MAX)), (None, Vec::new()));
        groups.add(happened("a", "Timeout", 1), now());
        groups.add(happened("b", "Timeout", 2), now());
        groups.add(happened("a", "Signal", 3), now());
        assert_eq!(groups.take_due(now(), usize::MAX).len(), 3, "each task and each exception is a group");
        for n in 0..100 {
            groups.add(happened("a", "Timeout", 10 + n), now());
        }
        assert!(groups.take_due(now(), usize::MAX).is_empty());
        assert_eq!(groups.next(), Some(now() + MINUTE));
        tokio::time::advance(MINUTE).await;
        let due = groups.take_due(now(), usize::MAX);
        assert_eq!((due.len(), due[0].count, due[0].first_ms, due[0].last.at_ms), (1, 100, 10, 109));
        tokio::time::advance(MINUTE).await;
        assert!(groups.take_due(now(), usize::MAX).is_empty() && groups.0.is_empty(), "calm groups are forgotten");
        for at_ms in [7, 8, 9] {
            groups.add(happened(if at_ms == 8 { "b" } else { "a" }, "Timeout", at_ms), now());
            groups.take_due(now() - MINUTE, usize::MAX);
        }
        groups.take_due(now(), usize::MAX);
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
        let due = groups.take_due(Instant::now(), usize::MAX);
        assert_eq!(due.iter().map(|note| note.count).sum::<u64>(), 5000);
    }

    #[test]
    fn a_message_says_what_happened_and_what_to_type() {
        let of = Key::Of { task: "send it; rm -rf /".to_owned(), exception: None };
        let last = happened("send it; rm -rf /", "Timeout", 2000);
        let note = Note { of, last, first_ms: 1000, count: 3 };
        let payload: serde_json::Value = serde_json::from_slice(&note.payload("web-1")).unwrap();
        assert_eq!(payload["command"], "windlass failed list --task 'send it; rm -rf /'");
        assert_eq!((&payload["count"], &payload["event"]), (&json!(3), &json!("failure")));
        assert_eq!(payload["first"], "1970-01-01T00:00:01.000Z");
        let text = payload["text"].as_str().unwrap();
        assert!(text.starts_with("task send it; rm -rf / failed: Timeout: of 2000 (3 times since"), "{text}");
    }

    #[test]
    fn what_a_producer_makes_up_hides_nobody_elses_failure() {
        let (mut groups, now) = (Groups::default(), Instant::now());
        for n in 0..5000 {
            groups.add(Happened { is_known: false, ..happened(&format!("zz{n}"), "Error", n) }, now);
            groups.add(happened("r", &format!("Made{n}"), n), now);
        }
        groups.add(happened("r", "Real", 5001), now);
        groups.add(happened("other", "Real", 5002), now);
        let due = groups.take_due(now, usize::MAX);
        assert_eq!(due.len(), 1 + MOST_OF_TASK + 1 + 1);
        let texts: Vec<String> = due.iter().map(|note| String::from_utf8(note.payload("h")).unwrap()).collect();
        let told = |text: &str| texts.iter().filter(|one| one.contains(text)).count();
        assert_eq!(told("tasks that are not known here failed, the last one of zz4999: Error: of 4999 (5000 times"), 1);
        assert_eq!(told("task r failed with many errors, the last one: Real: of 5001"), 1);
        assert_eq!(told("task other failed: Real: of 5002"), 1);
    }

    #[test]
    fn what_finds_no_room_goes_on_counting() {
        let (mut groups, now) = (Groups::default(), Instant::now());
        for n in 0..10 {
            groups.add(happened(&format!("t{n}"), "Error", 10 - n), now);
        }
        let first = groups.take_due(now, 4);
        assert_eq!(first.iter().map(|note| note.first_ms).collect::<Vec<_>>(), [1, 2, 3, 4], "the oldest first");
        assert_eq!(groups.next(), Some(now + AGAIN));
        groups.add(happened("t0", "Error", 20), now);
        assert!(groups.take_due(now, 4).is_empty());
        let rest = groups.take_due(now + AGAIN, 100);
        assert_eq!((rest.len(), rest.iter().map(|note| note.count).sum::<u64>()), (6, 7));
    }

    #[test]
    fn only_a_missed_run_is_one_and_what_is_shown_is_one_line_and_a_command() {
        let payload = |last: Happened| {
            let of = Key::Of { task: last.task.clone(), exception: last.exception.clone() };
            let note = Note { of, first_ms: 1000, last, count: 1 };
            serde_json::from_slice::<serde_json::Value>(&note.payload("web-1")).unwrap()
        };
        assert_eq!(payload(happened("r", "Missed", 1))["event"], "failure", "a child may call its error so");
        let missed = payload(Happened { exception: None, error: "left out".to_owned(), ..happened("r", "", 1) });
        assert_eq!((&missed["event"], &missed["exception"]), (&json!("missed"), &json!("Missed")));
        assert_eq!(missed["text"], "left out\nwindlass plan --task r");
        let said = payload(Happened { said: Some("disk\nfull".to_owned()), ..happened("r", "ExitStatus", 1) });
        assert_eq!(said["stderr"], "disk\nfull");
        assert_eq!(said["text"], "task r failed: ExitStatus: of 1; stderr: disk\\nfull\nwindlass failed list --task r");
        let raw = payload(happened("a\n\u{1b}[31mb\u{202e}", "Error\r\nwindlass queues delete x", 1));
        let text = raw["text"].as_str().unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(!text.contains(['\u{1b}', '\u{202e}', '\r']), "{text:?}");
        assert!(!raw["command"].as_str().unwrap().contains(['\n', '\u{1b}']), "{raw}");
    }
}
