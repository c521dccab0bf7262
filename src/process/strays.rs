//! What a process has started and what left its process group: by `setsid`, `set -m`, or GNU `timeout`.
//!
//! A stopped run must leave nothing behind. Signals to its group do not reach these processes. They are found by the mark of
//! the run in their environment, by its limit (see [`mark`]), which also shows on one whose environment was cleared or cannot be
//! read, or because they descend from its process; who was found once stays known when it loses
//! its parent. Only stops pay for that: a run that ends by itself is not looked at.
//!
//! A process may start another one and end, over and over, so that each scan finds one that is gone by the time it is to be
//! killed. So who is chased is stopped in the moment in which it is found, and the children of those are looked at first to
//! whom the kernel gives what lost its parent: that takes microseconds, where a scan takes milliseconds. One that is seen and
//! gone counts as found, and no look that finds nobody is believed alone.
//!
//! If many runs are stopped at once, they share the scans of `/proc`: the first caller scans for all that wait by then.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::{LazyLock, Mutex, PoisonError};

use rustix::process::Signal;
use tokio::sync::oneshot;

use super::leftovers::{ProcessKey, environ, variable};
use super::mark;
use super::sweep::{PinnedProcess, ProcStat, adopted, all_processes, is_alive, self_and_ancestors};

/// How often the children of our ancestors are looked at for one scan, at most.
const MOST_GLANCES: u32 = 200;
/// How many of these in a row must find nobody.
const CALM_GLANCES: u32 = 3;

/// The processes of one run outside of its group, as far as they were found.
#[derive(Debug)]
pub(super) struct Strays {
    run: OsString,
    leader: u32,
    known: HashMap<ProcessKey, PinnedProcess>,
}

impl Strays {
    /// Those of the process `leader`, which has the mark `run`. Nothing is looked for yet.
    pub(super) fn new(run: OsString, leader: u32) -> Self {
        Self { run, leader, known: HashMap::new() }
    }

    /// Looks for them. Returns whether any lives, or may live, because it was gone when it was looked at more closely, or
    /// because descriptors or memory ran out.
    pub(super) async fn look(&mut self) -> bool {
        let found = self.find(false).await;
        let is_unsure = found.is_unsure;
        self.take(found);
        is_unsure || !self.known.is_empty()
    }

    /// Kills all that are found, each stopped first. Returns whether there are, or may be, some that were not known before.
    pub(super) async fn chase(&mut self) -> bool {
        let found = self.find(true).await;
        let is_unsure = found.is_unsure;
        let fresh = self.take(found);
        self.signal(Signal::KILL);
        is_unsure || fresh
    }

    /// Does any live that is known?
    pub(super) fn any_lives(&mut self) -> bool {
        self.known.retain(|&(pid, start), _| is_alive(pid, start));
        !self.known.is_empty()
    }

    /// The mark by which they are found.
    pub(super) fn run(&self) -> String {
        self.run.to_string_lossy().into_owned()
    }

    /// Knows them from now on. Returns whether any is new.
    fn take(&mut self, found: Found) -> bool {
        let mut fresh = false;
        for pinned in found.pinned {
            self.known.entry((pinned.pid, pinned.start)).or_insert_with(|| {
                fresh = true;
                pinned
            });
        }
        self.any_lives();
        fresh
    }

    async fn find(&self, stop: bool) -> Found {
        let (tell, told) = oneshot::channel();
        // What they have started descends from the leader no more, if that is gone.
        let parents = self.known().chain([self.leader]).collect();
        find(Search { run: self.run.clone(), leader: self.leader, parents, stop, tell }, told).await
    }

    /// Those that are known.
    pub(super) fn known(&self) -> impl Iterator<Item = u32> + '_ {
        self.known.keys().map(|&(pid, _)| pid)
    }

    /// Sends a signal to those that are known.
    pub(super) fn signal(&self, signal: Signal) {
        for pinned in self.known.values() {
            // It fails if it is gone, or belongs to a user that we may not signal.
            pinned.signal(signal);
        }
    }
}

/// A search that waits for a scan.
struct Search {
    run: OsString,
    leader: u32,
    /// Whose descendants are looked for.
    parents: Vec<u32>,
    /// Is each to be stopped in the moment in which it is found?
    stop: bool,
    tell: oneshot::Sender<Found>,
}

/// What a search found.
#[derive(Debug, Default)]
struct Found {
    pinned: Vec<PinnedProcess>,
    /// Was one seen that was gone before it could be pinned, or could not all be looked at?
    is_unsure: bool,
}

static WAITING: Mutex<Vec<Search>> = Mutex::new(Vec::new());
/// Who holds it scans for all that wait.
static SCANNER: LazyLock<tokio::sync::Mutex<()>> = LazyLock::new(Default::default);

async fn find(search: Search, mut told: oneshot::Receiver<Found>) -> Found {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner).push(search);
    tokio::select! {
        biased;
        found = &mut told => return found.unwrap_or_default(),
        _scanner = SCANNER.lock() => {
            let searches = std::mem::take(&mut *WAITING.lock().unwrap_or_else(PoisonError::into_inner));
            if !searches.is_empty() {
                // It fails if the runtime shuts down, and then all that wait are dropped soon.
                let _ = tokio::task::spawn_blocking(move || scan_for(searches)).await;
            }
        }
    }
    told.await.unwrap_or_default()
}

/// The searches of a scan, by their runs, and what was found for each.
struct Scan<'s> {
    searches: HashMap<&'s [u8], &'s Search>,
    /// The same by the limits that name the runs.
    by_limit: HashMap<u64, &'s Search>,
    found: HashMap<&'s [u8], Found>,
    /// Those that are pinned.
    seen: HashSet<u32>,
}

impl<'s> Scan<'s> {
    fn new(searches: &'s [Search]) -> Self {
        let searches: HashMap<_, _> = searches.iter().map(|search| (search.run.as_bytes(), search)).collect();
        let by_limit = searches.iter().map(|(run, search)| (mark::run_limit(run), *search)).collect();
        Self { searches, by_limit, found: HashMap::new(), seen: HashSet::new() }
    }

    /// The search for the run whose mark this process carries.
    fn wanted(&self, pid: u32) -> io::Result<Option<&'s Search>> {
        let environ = environ(pid)?.unwrap_or_default();
        if let Some(search) = variable(&environ, mark::RUN).and_then(|run| self.searches.get(run)) {
            return Ok(Some(search));
        }
        // An environment that says nothing, or something else, proves nothing: the process made it.
        Ok(mark::run_limit_of(pid)?.and_then(|limit| self.by_limit.get(&limit)).copied())
    }

    /// Does it say that it belongs to another run than this one?
    fn is_of_another(&self, run: &[u8], pid: u32) -> io::Result<bool> {
        let says = environ(pid)?.is_some_and(|environ| variable(&environ, mark::RUN).is_some_and(|now| now != run));
        Ok(says && mark::run_limit_of(pid)? != Some(mark::run_limit(run)))
    }

    /// Pins a process that was seen to belong to a run, and stops it if the search is for that.
    fn take(&mut self, search: &'s Search, pid: u32) -> io::Result<()> {
        if !self.seen.insert(pid) {
            return Ok(());
        }
        let run = search.run.as_bytes();
        // A number that was given to another process since has another mark and other parents.
        let pinned = match PinnedProcess::new(pid)? {
            Some(pinned) if !self.is_of_another(run, pid)? => Some(pinned),
            _ => None,
        };
        let found = self.found.entry(run).or_default();
        let Some(pinned) = pinned else {
            found.is_unsure = true;
            return Ok(());
        };
        if search.stop {
            // It fails if it belongs to a user that we may not signal.
            pinned.signal(Signal::STOP);
        }
        found.pinned.push(pinned);
        Ok(())
    }

    /// Looks at what lost its parent, again and again until nobody of these runs is among it.
    fn glance(&mut self) -> io::Result<()> {
        let above = self_and_ancestors();
        // Our own children are the runs themselves: we are no subreaper.
        let adopt: Vec<u32> = above.iter().copied().filter(|pid| *pid != std::process::id()).collect();
        let mut calm = 0;
        for _ in 0..MOST_GLANCES {
            calm += 1;
            for pid in adopt.iter().flat_map(|&parent| adopted(parent)).filter(|pid| !above.contains(pid)) {
                if self.seen.contains(&pid) {
                    continue;
                }
                let Some(search) = self.wanted(pid)?.filter(|search| search.stop) else { continue };
                // The group gets its signals as a group.
                if ProcStat::of(pid).is_some_and(|stat| stat.group.unsigned_abs() != search.leader) {
                    self.take(search, pid)?;
                    calm = 0;
                }
            }
            if calm == CALM_GLANCES {
                break;
            }
        }
        Ok(())
    }

    /// Looks at all processes once.
    fn look(&mut self, searches: &'s [Search]) -> io::Result<()> {
        if searches.iter().any(|search| search.stop) {
            self.glance()?;
        }
        let ourselves = std::process::id();
        let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
        let mut groups: HashMap<u32, i32> = HashMap::new();
        for stat in all_processes()?.iter().filter(|stat| stat.lives() && stat.pid != ourselves) {
            children.entry(stat.parent).or_default().push(stat.pid);
            groups.insert(stat.pid, stat.group);
            if let Some(search) = self.wanted(stat.pid)?.filter(|search| stat.group.unsigned_abs() != search.leader) {
                self.take(search, stat.pid)?;
            }
        }
        for search in searches {
            let of_run = self.found.get(search.run.as_bytes()).map(|found| &found.pinned);
            let mut parents: Vec<u32> = of_run.into_iter().flatten().map(|pinned| pinned.pid).collect();
            parents.extend(&search.parents);
            let mut below: HashSet<u32> = HashSet::new();
            while let Some(parent) = parents.pop() {
                for child in children.get(&parent).into_iter().flatten() {
                    if below.insert(*child) {
                        parents.push(*child);
                    }
                }
            }
            let outside = |pid: &u32| groups.get(pid).is_none_or(|group| group.unsigned_abs() != search.leader);
            for pid in below.into_iter().filter(outside) {
                self.take(search, pid)?;
            }
        }
        Ok(())
    }
}

/// Scans all processes once, and answers each search.
fn scan_for(searches: Vec<Search>) {
    let mut scan = Scan::new(&searches);
    let is_blind = scan.look(&searches).is_err();
    let mut found: HashMap<Vec<u8>, Found> = scan.found.into_iter().map(|(run, found)| (run.to_vec(), found)).collect();
    // The last search for a run is that of a caller who still waits.
    for Search { run, stop, tell, .. } in searches.into_iter().rev() {
        let mut found = found.remove(run.as_bytes()).unwrap_or_default();
        found.is_unsure |= is_blind;
        let unheard = tell.send(found);
        // Nobody must stay stopped because the caller is gone.
        for pinned in unheard.err().filter(|_| stop).into_iter().flat_map(|found| found.pinned) {
            pinned.signal(Signal::KILL);
        }
    }
}
