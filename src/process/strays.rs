//! What a process has started and what left its process group: by `setsid`, `set -m`, or GNU `timeout`.
//!
//! A stopped run must leave nothing behind. Signals to its group do not reach these processes. They are found by the mark of
//! the run in their environment, or because they descend from its process; who was found once stays known when it loses
//! its parent. Only stops pay for that: a run that ends by itself is not looked at.
//!
//! If many runs are stopped at once, they share the scans of `/proc`: the first caller scans for all that wait by then.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::{LazyLock, Mutex, PoisonError};

use rustix::process::Signal;
use tokio::sync::oneshot;

use super::leftovers::{ProcessKey, environ};
use super::mark;
use super::sweep::{PinnedProcess, all_processes, is_alive};

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

    /// Looks for them. Returns whether any lives, or may live, because descriptors or memory ran out.
    pub(super) async fn look(&mut self) -> bool {
        let found = find(self.run.clone(), self.leader).await;
        let is_blind = found.is_none();
        for pinned in found.into_iter().flatten() {
            self.known.entry((pinned.pid, pinned.start)).or_insert(pinned);
        }
        self.known.retain(|&(pid, start), _| is_alive(pid, start));
        is_blind || !self.known.is_empty()
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
    tell: oneshot::Sender<Option<Vec<PinnedProcess>>>,
}

static WAITING: Mutex<Vec<Search>> = Mutex::new(Vec::new());
/// Who holds it scans for all that wait.
static SCANNER: LazyLock<tokio::sync::Mutex<()>> = LazyLock::new(Default::default);

/// `None` if not all could be looked at.
async fn find(run: OsString, leader: u32) -> Option<Vec<PinnedProcess>> {
    let (tell, mut told) = oneshot::channel();
    WAITING.lock().unwrap_or_else(PoisonError::into_inner).push(Search { run, leader, tell });
    tokio::select! {
        biased;
        found = &mut told => return found.unwrap_or_else(|_| Some(Vec::new())),
        _scanner = SCANNER.lock() => {
            let searches = std::mem::take(&mut *WAITING.lock().unwrap_or_else(PoisonError::into_inner));
            if !searches.is_empty() {
                // It fails if the runtime shuts down, and then all that wait are dropped soon.
                let _ = tokio::task::spawn_blocking(move || scan_for(searches)).await;
            }
        }
    }
    told.await.unwrap_or_else(|_| Some(Vec::new()))
}

/// Scans all processes once, and answers each search.
fn scan_for(searches: Vec<Search>) {
    let mut found = scan(&searches).unwrap_or_default().into_iter();
    for search in searches {
        // The caller may be gone.
        let _ = search.tell.send(found.next());
    }
}

/// What each search finds.
fn scan(searches: &[Search]) -> io::Result<Vec<Vec<PinnedProcess>>> {
    let ourselves = std::process::id();
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    let mut marked: HashMap<Vec<u8>, Vec<u32>> = HashMap::new();
    let mut groups: HashMap<u32, i32> = HashMap::new();
    let wanted: HashSet<&[u8]> = searches.iter().map(|search| search.run.as_bytes()).collect();
    for stat in all_processes()?.iter().filter(|stat| stat.lives() && stat.pid != ourselves) {
        children.entry(stat.parent).or_default().push(stat.pid);
        groups.insert(stat.pid, stat.group);
        if let Some(run) = run_of(stat.pid)?.filter(|run| wanted.contains(run.as_slice())) {
            marked.entry(run).or_default().push(stat.pid);
        }
    }
    let find = |Search { run, leader, .. }: &Search| {
        let mut found: HashSet<u32> = marked.get(run.as_bytes()).into_iter().flatten().copied().collect();
        let mut parents = vec![*leader];
        parents.extend(&found);
        while let Some(parent) = parents.pop() {
            for child in children.get(&parent).into_iter().flatten() {
                if found.insert(*child) {
                    parents.push(*child);
                }
            }
        }
        // The group gets its signals as a group.
        let outside = |pid: &u32| groups.get(pid).is_none_or(|group| group.unsigned_abs() != *leader);
        let mut pinned = Vec::new();
        for pid in found.into_iter().filter(outside) {
            // A number that was given to another process since has another mark and other parents.
            if let Some(one) = PinnedProcess::new(pid)?
                && run_of(pid)?.is_none_or(|now| now == run.as_bytes())
            {
                pinned.push(one);
            }
        }
        Ok(pinned)
    };
    searches.iter().map(find).collect()
}

/// The mark of its run that a process carries, if it can be read.
fn run_of(pid: u32) -> io::Result<Option<Vec<u8>>> {
    let Some(environ) = environ(pid)? else { return Ok(None) };
    let mut variables = environ.split(|&byte| byte == 0);
    let prefix = format!("{}=", mark::RUN);
    Ok(variables.find_map(|variable| variable.strip_prefix(prefix.as_bytes())).map(<[u8]>::to_vec))
}
