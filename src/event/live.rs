//! What runs print and how far they are, while they run: for those who watch them.
//!
//! A handler that starts a process for each job keeps the last lines of every run here; one whose runs share processes does so
//! only for runs that somebody watches. Nothing of it is written anywhere unless somebody does.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::job::{ClaimToken, Progress, ShownRun};

/// How many lines of a run are kept, and how many bytes of them.
const MOST_LINES: usize = 200;
const MOST_BYTES: usize = 64 << 10;
/// The largest room of a dropped line that serves the next one.
const RECYCLED: usize = 256;

/// The runs of a process that print or tell something. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct LiveRuns(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    runs: Mutex<HashMap<ClaimToken, Arc<LiveRun>>>,
    /// How many there are.
    count: AtomicUsize,
    /// How many of them somebody watches.
    watched: AtomicUsize,
    /// Has a progress been told that nobody has taken?
    told: AtomicBool,
}

/// A run.
#[derive(Debug, Default)]
pub struct LiveRun(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    /// The number of the first line.
    first: u64,
    lines: VecDeque<String>,
    bytes: usize,
    progress: Option<Progress>,
    /// The leader of its process group, if it has one.
    group: Option<u32>,
    /// Grows with everything that is said.
    version: u64,
    /// The version of the progress that was taken last.
    taken: Option<u64>,
}

/// The part of a handler in a run. Dropping it says that the run is over.
#[derive(Debug)]
pub struct Speaker {
    runs: LiveRuns,
    claim: ClaimToken,
    run: Arc<LiveRun>,
}

impl LiveRuns {
    /// A run, which is known from now on.
    #[must_use]
    pub fn of(&self, claim: &ClaimToken) -> Arc<LiveRun> {
        let mut runs = self.lock();
        let run = Arc::clone(runs.entry(claim.clone()).or_default());
        self.0.count.store(runs.len(), Ordering::Relaxed);
        run
    }

    /// The same for the handler that performs it.
    #[must_use]
    pub fn speaker(&self, claim: &ClaimToken) -> Speaker {
        Speaker { runs: self.clone(), claim: claim.clone(), run: self.of(claim) }
    }

    /// Is any run known? Where that is asked for each line or job, nothing else is done if not.
    #[must_use]
    pub fn any(&self) -> bool {
        self.0.count.load(Ordering::Relaxed) > 0
    }

    /// So many runs are watched from now on.
    pub fn watch(&self, count: usize) {
        self.0.watched.store(count, Ordering::Relaxed);
    }

    /// Does somebody watch a run?
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.0.watched.load(Ordering::Relaxed) > 0
    }

    /// A run, if it is known.
    #[must_use]
    pub fn find(&self, claim: &ClaimToken) -> Option<Arc<LiveRun>> {
        if self.any() { self.lock().get(claim).map(Arc::clone) } else { None }
    }

    /// A run is over. Anyone who holds it can still read it.
    pub fn end(&self, claim: &ClaimToken) {
        if self.any() {
            let mut runs = self.lock();
            runs.remove(claim);
            self.0.count.store(runs.len(), Ordering::Relaxed);
        }
    }

    /// A run tells how far it is.
    pub fn tell(&self, claim: &ClaimToken, progress: Progress) {
        self.of(claim).tell(progress);
        self.0.told.store(true, Ordering::Relaxed);
    }

    /// The progress that runs have told since the last call.
    #[must_use]
    pub fn take_told(&self) -> Vec<(ClaimToken, Progress)> {
        if !self.0.told.swap(false, Ordering::Relaxed) {
            return Vec::new();
        }
        self.lock().iter().filter_map(|(claim, run)| Some((claim.clone(), run.take()?))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ClaimToken, Arc<LiveRun>>> {
        self.0.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LiveRun {
    /// It has printed a line.
    pub fn print(&self, line: &str) {
        let mut said = self.lock();
        let said = &mut *said;
        let line = line.get(..line.floor_char_boundary(MOST_BYTES)).unwrap_or_default();
        said.bytes += line.len();
        // As in a tail: the room of an old line serves the new one, unless it is large.
        let mut text = String::new();
        while said.lines.len() >= MOST_LINES || said.bytes > MOST_BYTES {
            let Some(oldest) = said.lines.pop_front() else { break };
            said.first += 1;
            said.bytes -= oldest.len();
            if oldest.capacity() <= RECYCLED {
                text = oldest;
            }
        }
        text.clear();
        text.push_str(line);
        said.lines.push_back(text);
        said.version += 1;
    }

    /// Its processes form this group.
    pub fn has_group(&self, leader: u32) {
        self.lock().group = Some(leader);
    }

    /// The leader of its process group, if it has one.
    #[must_use]
    pub fn group(&self) -> Option<u32> {
        self.lock().group
    }

    /// How far it is, as it was told last.
    #[must_use]
    pub fn progress(&self) -> Option<Progress> {
        self.lock().progress.clone()
    }

    /// Grows with everything that it says.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.lock().version
    }

    /// What it has said.
    #[must_use]
    pub fn shown(&self) -> ShownRun {
        let said = self.lock();
        let mut shown = ShownRun::default();
        (shown.first, shown.lines) = (said.first, said.lines.iter().cloned().collect());
        shown.progress.clone_from(&said.progress);
        shown
    }

    fn tell(&self, progress: Progress) {
        let mut said = self.lock();
        said.progress = Some(progress);
        said.version += 1;
        said.taken = None;
    }

    fn take(&self) -> Option<Progress> {
        let mut said = self.lock();
        let version = said.version;
        if said.taken.is_some() {
            return None;
        }
        let progress = said.progress.clone()?;
        said.taken = Some(version);
        Some(progress)
    }

    fn lock(&self) -> MutexGuard<'_, Said> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Speaker {
    /// The run.
    #[must_use]
    pub fn run(&self) -> &LiveRun {
        &self.run
    }

    /// The run tells how far it is.
    pub fn tell(&self, progress: Progress) {
        self.run.tell(progress);
        self.runs.0.told.store(true, Ordering::Relaxed);
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        self.runs.end(&self.claim);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(index: usize) -> ClaimToken {
        ClaimToken::new("00ff", 0, 1, index)
    }

    #[test]
    fn the_last_lines_of_a_run_are_kept_with_their_numbers() {
        let runs = LiveRuns::default();
        let speaker = runs.speaker(&claim(0));
        (0..300).for_each(|n| speaker.run().print(&n.to_string()));
        let shown = runs.find(&claim(0)).unwrap().shown();
        assert_eq!((shown.first, shown.lines.len(), shown.lines[0].as_str()), (100, MOST_LINES, "100"));
        speaker.run().print(&"x".repeat(2 * MOST_BYTES));
        let shown = speaker.run().shown();
        assert_eq!((shown.first, shown.lines.len(), shown.lines[0].len()), (300, 1, MOST_BYTES));
    }

    #[test]
    fn a_run_that_is_over_is_read_by_who_holds_it() {
        let runs = LiveRuns::default();
        assert!(!runs.any());
        let speaker = runs.speaker(&claim(0));
        let watched = runs.of(&claim(0));
        speaker.run().print("last words");
        drop(speaker);
        assert!(!runs.any() && runs.find(&claim(0)).is_none());
        assert_eq!(watched.shown().lines, ["last words"]);
    }

    #[test]
    fn a_progress_is_taken_once_and_only_the_last_one() {
        let runs = LiveRuns::default();
        let (one, other) = (runs.speaker(&claim(1)), runs.speaker(&claim(2)));
        assert_eq!(runs.take_told(), []);
        one.tell(Progress::new(Some(1.0), "a"));
        one.tell(Progress::new(Some(2.0), "b"));
        assert_eq!(runs.take_told(), [(claim(1), Progress::new(Some(2.0), "b"))]);
        one.run().print("a line is no progress");
        other.tell(Progress::new(None, "c"));
        assert_eq!(runs.take_told(), [(claim(2), Progress::new(None, "c"))]);
        assert_eq!(runs.take_told(), []);
    }
}
