//! `--watch`: a listing again and again, with what has changed since the last time marked.

use std::fmt::Write as _;
use std::time::Duration;

use super::manner::Manner;
use super::told;

/// Ends what is marked.
const PLAIN: &str = "\x1b[0m";
const MARK: &str = "\x1b[7m";

/// What is watched, and the last picture of it.
#[derive(Debug)]
pub(super) struct Watch {
    /// The pause between two looks.
    pub every: Duration,
    /// The command.
    line: String,
    last: Vec<String>,
    looked: bool,
}

impl Watch {
    /// Nothing was shown yet.
    #[must_use]
    pub(super) fn new(every: Duration, line: String) -> Self {
        Self { every, line, last: Vec::new(), looked: false }
    }

    /// Was something shown?
    #[must_use]
    pub(super) fn has_looked(&self) -> bool {
        self.looked
    }

    /// A picture of this output for a terminal: it replaces the last one without a flicker. Lines that were not there the
    /// last time are marked, if anything is coloured.
    #[must_use]
    pub(super) fn picture(&mut self, output: &str, manner: Manner) -> String {
        let mut lines: Vec<String> = output.lines().map(str::to_owned).collect();
        // What does not fit would move the picture away from the top, where the next one begins.
        let room = manner.rows.map_or(usize::MAX, |rows| rows.saturating_sub(4).max(1));
        if lines.len() > room {
            let more = lines.len() - room;
            lines.truncate(room);
            lines.push(format!("... {more} more lines"));
        }
        let mut picture = if self.looked { "\x1b[H".to_owned() } else { "\x1b[H\x1b[2J".to_owned() };
        // Writing to a string does not fail.
        let every = told::span(u64::try_from(self.every.as_millis()).unwrap_or(u64::MAX));
        let _ = write!(
            picture,
            "{}, every {every} (Ctrl-C ends it): {}\x1b[K\r\n\x1b[K\r\n",
            self.line,
            told::time(manner.now_ms, manner.utc)
        );
        for line in &lines {
            if manner.coloured && self.looked && !self.last.contains(line) {
                let _ = write!(picture, "{MARK}{line}{PLAIN}\x1b[K\r\n");
            } else {
                let _ = write!(picture, "{line}\x1b[K\r\n");
            }
        }
        picture.push_str("\x1b[J");
        (self.last, self.looked) = (lines, true);
        picture
    }
}

/// The store is away while it is watched: told once, with since when.
#[derive(Debug, Default)]
pub(super) struct Away {
    since_ms: Option<i64>,
    /// What was told of it. A store that comes and goes has more than one error.
    told: Vec<String>,
}

impl Away {
    /// How many errors of one outage are told.
    const MOST: usize = 4;

    /// A look failed for this reason: what to tell, if anything is new.
    #[must_use]
    pub(super) fn failed(&mut self, why: &str, (now_ms, utc): (i64, bool)) -> Option<String> {
        let since_ms = *self.since_ms.get_or_insert(now_ms);
        if self.told.len() >= Self::MOST || self.told.iter().any(|told| told == why) {
            return None;
        }
        self.told.push(why.to_owned());
        Some(format!("the store is away since {}, and looked for until it is back: {why}", told::time(since_ms, utc)))
    }

    /// A look succeeded: what to tell if it was away.
    #[must_use]
    pub(super) fn is_back(&mut self, now_ms: i64) -> Option<String> {
        let since_ms = std::mem::take(self).since_ms?;
        let ms = u64::try_from(now_ms.saturating_sub(since_ms)).unwrap_or(0);
        Some(format!("the store is back after {}", told::span(ms / 1000 * 1000)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_once_with_since_when() {
        let mut away = Away::default();
        assert_eq!(away.is_back(0), None);
        let at = |s: i64| (1_795_490_778_000 + s * 1000, true);
        let told = away.failed("connection refused", at(0)).unwrap();
        assert_eq!(
            told,
            "the store is away since 2026-11-24 03:26:18 UTC, and looked for until it is back: connection refused"
        );
        assert_eq!(away.failed("connection refused", at(2)), None);
        assert!(away.failed("it loads its data", at(4)).unwrap().contains("since 2026-11-24 03:26:18 UTC"));
        assert_eq!((away.failed("connection refused", at(6)), away.failed("it loads its data", at(8))), (None, None));
        for n in 0..9 {
            let _ = away.failed(&n.to_string(), at(9));
        }
        assert_eq!(away.told.len(), Away::MOST);
        assert_eq!(away.is_back(at(75).0).as_deref(), Some("the store is back after 1m 15s"));
        assert!(away.failed("connection refused", at(80)).is_some(), "the next outage");
    }

    #[test]
    fn what_has_changed_is_marked_and_nothing_is_left_of_the_last_picture() {
        let coloured = Manner { coloured: true, terminal: Some(80), ..Manner::default() };
        let mut watch = Watch::new(Duration::from_secs(2), "windlass queues".to_owned());
        let first = watch.picture("QUEUE  JOBS\nmail      7\n", coloured);
        assert!(first.starts_with("\x1b[H\x1b[2Jwindlass queues, every 2s (Ctrl-C ends it): "), "{first:?}");
        assert!(!first.contains(MARK) && first.ends_with("mail      7\x1b[K\r\n\x1b[J"), "{first:?}");
        let second = watch.picture("QUEUE  JOBS\nmail      8\n", coloured);
        assert!(second.contains("\nQUEUE  JOBS\x1b[K"), "{second:?}");
        assert!(second.contains("\x1b[7mmail      8\x1b[0m\x1b[K"), "{second:?}");
        let plain = Manner { coloured: false, ..coloured };
        assert!(!watch.picture("QUEUE  JOBS\nmail      9\n", plain).contains(MARK));
        let low = Manner { rows: Some(6), ..plain };
        let cut = watch.picture("1\n2\n3\n4\n", low);
        assert!(cut.contains("2\x1b[K\r\n... 2 more lines") && !cut.contains('3'), "{cut:?}");
    }
}
