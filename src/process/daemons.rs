//! The daemons of this machine that work on a store, whether they are registered in it or not.
//!
//! A daemon holds a file in memory whose name is that of its store, and the links below `/proc/<pid>/fd` show the name to
//! processes of its user. It says so without doing anything, so that it is found although it is stopped or hangs.

use std::fs;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use rustix::fs::{MemfdFlags, memfd_create};

use super::mark;
use super::sweep::{all_processes, is_stopped};

/// How the name begins; the digest of the store follows.
const NAME: &str = "windlass-store-";

static SHOWN: OnceLock<OwnedFd> = OnceLock::new();

/// A daemon that works on a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundDaemon {
    /// Its process id.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub started_ticks: u64,
    /// It was told to stop, and does nothing until it is told to go on.
    pub is_stopped: bool,
}

/// Shows the store that this process works on, once it was named.
pub fn show() {
    let Some(store) = mark::store() else { return };
    // Without descriptors it is not found, and works all the same.
    if let Ok(file) = memfd_create(format!("{NAME}{store}"), MemfdFlags::CLOEXEC) {
        let _ = SHOWN.set(file);
    }
}

/// The daemons of this machine that work on the store of this identity, as far as they can be seen by this user. Ourselves
/// excepted.
#[must_use]
pub fn of_store(identity: &str) -> Vec<FoundDaemon> {
    let link = format!("/memfd:{NAME}{}", mark::digest_of(identity));
    let ours = std::process::id();
    let shows = |pid: u32| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        // Behind the name it says that no folder has it.
        let is_it = |path: &str| path.split(' ').next() == Some(&*link);
        files.filter_map(|file| fs::read_link(file.path()).ok()).any(|path| path.to_str().is_some_and(is_it))
    };
    // Only daemons and what they start have a limit that is a mark.
    let is_marked = |pid: u32| mark::limit_of(pid).is_ok_and(|limit| limit.is_some());
    let all = all_processes().unwrap_or_default().into_iter().filter(|stat| stat.lives() && stat.pid != ours);
    all.filter(|stat| is_marked(stat.pid) && shows(stat.pid))
        .map(|stat| FoundDaemon { pid: stat.pid, started_ticks: stat.start, is_stopped: is_stopped(stat.pid) })
        .collect()
}
