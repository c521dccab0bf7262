//! The runs that somebody watches, and what is to be shown of them.
//!
//! Who watches renews a wish. The instance counts from when it saw another turn of it, by its own clock; one that is not renewed
//! lapses, and is taken away.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::told_progress::ToldProgress;
use crate::event::live::{LiveRun, LiveRuns};
use crate::job::ClaimToken;
use crate::job::shown_run::{RunUsage, ShownEnd};
use crate::process::usage::Usage;

/// How often a run is shown that says nothing, so that it does not lapse.
const AGAIN: Duration = Duration::from_secs(10);
/// For how long a wish counts that is not renewed.
const LAPSE: Duration = Duration::from_secs(20);
/// How many runs are shown at once: each may take 64 KiB.
const MOST: usize = 64;

/// The runs that somebody watches.
#[derive(Default)]
pub(super) struct Watches {
    runs: RefCell<HashMap<ClaimToken, Watched>>,
    begun: Notify,
    /// How far runs are, whether or not somebody watches them.
    pub(super) progress: ToldProgress,
}

struct Watched {
    turn: u64,
    renewed: Instant,
    run: Arc<LiveRun>,
    usage: Option<RunUsage>,
    end: Option<ShownEnd>,
    /// What was shown last: its version, when, and whether it showed what is used at present.
    shown: Option<(u64, Instant, Option<RunUsage>)>,
}

/// What is sent with the next call.
#[derive(Default)]
pub(super) struct Due {
    pub(super) shown: Vec<(ClaimToken, Bytes)>,
    pub(super) over: Vec<ClaimToken>,
    pub(super) ended: Vec<ClaimToken>,
}

impl Watches {
    /// Somebody watches this run, whose slot has it.
    pub(super) fn heed(&self, claim: &ClaimToken, turn: u64, live: &LiveRuns) {
        let mut runs = self.runs.borrow_mut();
        let now = Instant::now();
        if let Some(watched) = runs.get_mut(claim) {
            if watched.turn != turn {
                (watched.turn, watched.renewed) = (turn, now);
            }
        } else if runs.len() < MOST {
            let watched = Watched { turn, renewed: now, run: live.of(claim), usage: None, end: None, shown: None };
            runs.insert(claim.clone(), watched);
            live.watch(runs.len());
            self.begun.notify_one();
        }
    }

    /// A run has ended, so that its last words are shown.
    pub(super) fn ended(&self, claim: &ClaimToken, end: impl FnOnce() -> ShownEnd) {
        if let Some(watched) = self.runs.borrow_mut().get_mut(claim) {
            watched.end = Some(end());
        }
    }

    /// Waits until somebody watches a run whom nobody watched before.
    pub(super) async fn begun(&self) {
        self.begun.notified().await;
    }

    /// Does nobody watch any run?
    pub(super) fn is_empty(&self) -> bool {
        self.runs.borrow().is_empty()
    }

    /// The process groups of the runs that have one.
    pub(super) fn groups(&self) -> Vec<(ClaimToken, u32)> {
        let runs = self.runs.borrow();
        runs.iter().filter_map(|(claim, watched)| Some((claim.clone(), watched.run.group()?))).collect()
    }

    /// What the processes of runs use.
    pub(super) fn used(&self, used: Vec<(ClaimToken, Usage)>) {
        let mut runs = self.runs.borrow_mut();
        for (claim, Usage { processes, memory_bytes, cpu_ms }) in used {
            if let Some(watched) = runs.get_mut(&claim) {
                watched.usage = Some(RunUsage { processes, memory_bytes, cpu_ms });
            }
        }
    }

    /// What is to be shown now.
    pub(super) fn due(&self, now_ms: i64, holds: impl Fn(&ClaimToken) -> bool) -> Due {
        let (mut due, now) = (Due::default(), Instant::now());
        for (claim, watched) in self.runs.borrow_mut().iter_mut() {
            if watched.end.is_none() && !holds(claim) {
                watched.end = Some(ShownEnd::new("cut_off", None));
            }
            if watched.end.is_some() {
                due.ended.push(claim.clone());
            } else if now.duration_since(watched.renewed) >= LAPSE {
                due.over.push(claim.clone());
                continue;
            }
            let version = watched.run.version();
            let is_shown = watched.shown.is_some_and(|(shown, at, usage)| {
                shown == version && usage == watched.usage && now.duration_since(at) < AGAIN
            });
            if watched.end.is_none() && is_shown {
                continue;
            }
            watched.shown = Some((version, now, watched.usage));
            let mut shown = watched.run.shown();
            (shown.at_ms, shown.usage) = (now_ms, watched.usage);
            shown.end.clone_from(&watched.end);
            due.shown.push((claim.clone(), Bytes::from(shown.encode())));
        }
        due
    }

    /// What was due is over if the store has it. Otherwise all is shown again.
    pub(super) fn settle(&self, due: &Due, taken: bool, live: &LiveRuns) {
        let mut runs = self.runs.borrow_mut();
        if taken {
            due.over.iter().chain(&due.ended).for_each(|claim| drop(runs.remove(claim)));
            live.watch(runs.len());
        } else {
            runs.values_mut().for_each(|watched| watched.shown = None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::ShownRun;

    fn claim() -> ClaimToken {
        ClaimToken::new("00ff", 0, 1, 0)
    }

    fn shown(due: &Due) -> Vec<ShownRun> {
        due.shown.iter().map(|(_, record)| ShownRun::parse(record).expect("a record")).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_is_shown_while_its_wish_is_renewed_and_only_if_it_says_something() {
        let (watches, runs) = (Watches::default(), LiveRuns::default());
        let speaker = runs.speaker(&claim());
        let due = || {
            let due = watches.due(7, |_| true);
            watches.settle(&due, true, &runs);
            due
        };
        speaker.run().print("before");
        assert!(shown(&due()).is_empty());
        watches.heed(&claim(), 1, &runs);
        assert_eq!(shown(&due())[0].lines, ["before"]);
        assert!(shown(&due()).is_empty(), "it says nothing");
        speaker.run().print("then");
        assert_eq!(shown(&due())[0].lines, ["before", "then"]);
        tokio::time::advance(AGAIN).await;
        assert_eq!(shown(&due()).len(), 1, "the record must not lapse");
        watches.heed(&claim(), 1, &runs);
        tokio::time::advance(LAPSE - AGAIN).await;
        assert_eq!(due().over, [claim()], "the same turn renews nothing");
        speaker.run().print("later");
        assert!(shown(&due()).is_empty() && watches.is_empty() && !runs.is_watched());
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_run_is_shown_until_the_store_has_it() {
        let (watches, runs) = (Watches::default(), LiveRuns::default());
        let speaker = runs.speaker(&claim());
        watches.heed(&claim(), 1, &runs);
        watches.settle(&watches.due(7, |_| true), true, &runs);
        speaker.run().print("last words");
        drop(speaker);
        watches.ended(&claim(), || ShownEnd::new("failed", Some("Error: no")));
        for taken in [false, true] {
            let due = watches.due(7, |_| true);
            let shown = shown(&due);
            assert_eq!((shown[0].end.as_ref().unwrap().outcome.as_str(), shown[0].lines.len()), ("failed", 1));
            watches.settle(&due, taken, &runs);
        }
        assert!(watches.is_empty());
        watches.heed(&claim(), 2, &runs);
        assert_eq!(shown(&watches.due(7, |_| false))[0].end, Some(ShownEnd::new("cut_off", None)), "no slot has it");
    }
}
