//! Kills the processes that a dead daemon left behind. They are found by their marks, in any session or group.
//!
//! Processes have two marks, and one is enough ([`mark`]): an environment variable, which a program may clear for its
//! children, and a resource limit, which all descendants inherit.
//!
//! Which instances there are, and which daemon each of them is, is read from a store. Anyone who writes to it may name the
//! instance of another store there, and a copy of a store names those of the original. So a process counts only if the
//! daemon that started it, which its environment names too, is the very one that is named for the instance. While that
//! daemon lives, the process must also have been started for the store that this process works on.
//!
//! The limit names only the daemon. So while it lives, its limit counts only if a process with it is shown by its
//! environment to belong to this instance, and none to belong to another one.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::io::Read;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::Signal;

use super::mark::{self, Daemon, Origin};
use super::sweep::{PAUSES_MS, PinnedProcess, ProcStat, all_processes, is_alive, self_and_ancestors, unless_short};

/// The largest environment that is read; the kernel allows less in practice.
const ENVIRON_CAP: u64 = 16 * 1024 * 1024;

/// A process: its pid and start time.
pub type ProcessKey = (u32, u64);

/// Processes that could not be killed, by instance. Static, because the view of other processes belongs to the whole
/// process.
static LEFT: Mutex<Option<HashMap<String, Vec<ProcessKey>>>> = Mutex::new(None);

/// The marks of the processes of one instance.
#[derive(Debug, Clone)]
pub struct Marks {
    instance: String,
    /// Its pid and start time, if it is known.
    daemon: Option<ProcessKey>,
    limits: HashSet<u64>,
    /// Whatever instance they belong to: a daemon that was declared dead takes another one.
    of_any: bool,
    /// The daemon itself, if it still exists.
    spared: Option<u32>,
}

/// What the environment of a process says of the instance that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Belongs {
    Ours,
    Others,
    /// It says nothing, or cannot be read.
    Unknown,
}

/// The result of a sweep.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many processes were killed.
    pub killed: usize,
    /// Processes that survived, by pid and start time: they are blocked in the kernel, or belong to another user.
    pub left: Vec<ProcessKey>,
    /// Not all processes could be looked at, because descriptors or memory ran out: others may live.
    pub is_blind: bool,
}

impl Swept {
    /// Is it known that none is left?
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.left.is_empty() && !self.is_blind
    }
}

impl Marks {
    /// The marks of an instance's processes. The limit is included if the daemon itself is known.
    #[must_use]
    pub fn new(instance: &str, daemon: Option<Daemon<'_>>) -> Self {
        let limits = daemon.map(|daemon| mark::limits(daemon).collect()).unwrap_or_default();
        let daemon = daemon.map(|daemon| (daemon.pid, daemon.started_ticks));
        Self { instance: instance.to_owned(), daemon, limits, of_any: false, spared: None }
    }

    /// The marks of all processes of this daemon, which is dead.
    #[must_use]
    pub fn of(daemon: Daemon<'_>) -> Self {
        let name = format!("of process {}", daemon.pid);
        Self { of_any: true, ..Self::new(&name, Some(daemon)) }
    }

    /// The same without this process, for a daemon that still exists.
    #[must_use]
    pub fn sparing(self, pid: u32) -> Self {
        Self { spared: Some(pid), ..self }
    }

    /// Does this process carry one of the marks?
    fn are_on(&self, pid: u32) -> io::Result<bool> {
        Ok(self.spared != Some(pid) && (self.belongs(pid)? == Belongs::Ours || self.limits(pid)?))
    }

    fn belongs(&self, pid: u32) -> io::Result<Belongs> {
        let environ = environ(pid)?.unwrap_or_default();
        let Some(instance) = variable(&environ, mark::INSTANCE) else { return Ok(Belongs::Unknown) };
        if !self.of_any && (self.instance.is_empty() || instance != self.instance.as_bytes()) {
            return Ok(Belongs::Others);
        }
        let is_ours = match variable(&environ, mark::RUN).and_then(mark::origin) {
            Some(origin) => self.have_started(&origin),
            // It took that out of its environment. Its limit still tells the daemon, if it has one.
            None => {
                let unmarked = || Ok::<_, io::Error>(!self.of_any && mark::limit_of(pid)?.is_none());
                self.spared.is_none() && (self.limits(pid)? || unmarked()?)
            }
        };
        Ok(if is_ours { Belongs::Ours } else { Belongs::Others })
    }

    /// Is this the daemon of the instance, and if it lives, did it work on our store?
    fn have_started(&self, origin: &Origin) -> bool {
        self.daemon.is_none_or(|daemon| daemon == origin.daemon)
            && (self.spared.is_none() || origin.store.as_deref() == mark::store())
    }

    /// Does it have one of the limits?
    fn limits(&self, pid: u32) -> io::Result<bool> {
        Ok(!self.limits.is_empty() && mark::limit_of(pid)?.is_some_and(|limit| self.limits.contains(&limit)))
    }

    /// The same without the limits if they belong to a daemon that lives and is not shown to be this instance.
    fn proven(&self) -> io::Result<Self> {
        let mut proven = self.clone();
        // Without limits there is nothing to prove, and no process need be looked at.
        if let Some(daemon) = self.spared.filter(|_| !self.limits.is_empty()) {
            let mut belong = Vec::new();
            for stat in all_processes()?.iter().filter(|stat| stat.pid != daemon && stat.lives()) {
                if self.limits(stat.pid)? {
                    belong.push(self.belongs(stat.pid)?);
                }
            }
            if !belong.contains(&Belongs::Ours) || belong.contains(&Belongs::Others) {
                proven.limits.clear();
            }
        }
        Ok(proven)
    }
}

/// All living processes with these marks, except this process and its ancestors (a job of another daemon may have
/// started this daemon).
///
/// # Errors
/// If descriptors or memory ran out.
pub fn marked(marks: &Marks) -> io::Result<Vec<u32>> {
    let spared = self_and_ancestors();
    let mut marked = Vec::new();
    for ProcStat { pid, .. } in all_processes()?.into_iter().filter(|stat| stat.lives() && !spared.contains(&stat.pid))
    {
        if marks.are_on(pid)? {
            marked.push(pid);
        }
    }
    Ok(marked)
}

/// Kills all processes with these marks, repeatedly until none is left. Gives up after two seconds on those that do
/// not die; while one of them lives, later calls for the same instance only report it. Blocks.
pub fn kill(marks: &Marks) -> Swept {
    let left = remembered(&marks.instance);
    if !left.is_empty() {
        return Swept { left, ..Swept::default() };
    }
    // Before the first is killed, because who proves it may be the first to go.
    let Ok(marks) = &marks.proven() else { return Swept { is_blind: true, ..Swept::default() } };
    // Pinned first and then checked again, because a pid may have been reused.
    let look = || {
        let mut found = Vec::new();
        for pid in marked(marks)? {
            if let Some(pinned) = PinnedProcess::new(pid)?
                && marks.are_on(pid)?
            {
                found.push(pinned);
            }
        }
        Ok(found)
    };
    let swept = sweep(look, &PAUSES_MS.map(Duration::from_millis));
    remember(&marks.instance, &swept.left);
    swept
}

/// The processes that could not be killed before and still live.
fn remembered(instance: &str) -> Vec<ProcessKey> {
    let mut all = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(left) = all.as_mut().and_then(|all| all.get_mut(instance)) else { return Vec::new() };
    left.retain(|&(pid, start)| is_alive(pid, start));
    left.clone()
}

fn remember(instance: &str, left: &[ProcessKey]) {
    let mut all = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
    let all = all.get_or_insert_default();
    // Instances whose processes have all ended are forgotten.
    all.retain(|_, left| left.iter().any(|&(pid, start)| is_alive(pid, start)));
    if !left.is_empty() {
        all.insert(instance.to_owned(), left.to_vec());
    }
}

/// A process to kill.
trait Victim {
    fn key(&self) -> ProcessKey;
    fn kill(&self) -> bool;
    fn lives(&self) -> bool;
}

impl Victim for PinnedProcess {
    fn key(&self) -> ProcessKey {
        (self.pid, self.start)
    }

    fn kill(&self) -> bool {
        self.signal(Signal::KILL)
    }

    fn lives(&self) -> bool {
        is_alive(self.pid, self.start)
    }
}

/// Scans and kills, once for each pause and once more, until a scan finds nothing.
fn sweep<V: Victim>(mut look: impl FnMut() -> io::Result<Vec<V>>, pauses: &[Duration]) -> Swept {
    let mut killed = HashSet::new();
    for pause in pauses {
        let Ok(found) = look() else {
            std::thread::sleep(*pause);
            continue;
        };
        if found.is_empty() {
            return Swept { killed: killed.len(), ..Swept::default() };
        }
        killed.extend(found.iter().filter(|victim| victim.kill()).map(Victim::key));
        // Most processes are gone at once. The next scan finds what they forked before they died.
        let mut waited = Duration::ZERO;
        while waited < *pause && found.iter().any(Victim::lives) {
            let step = Duration::from_millis(1).max(waited).min(*pause - waited);
            std::thread::sleep(step);
            waited += step;
        }
    }
    let last = look();
    let is_blind = last.is_err();
    let left: Vec<_> = last.iter().flatten().filter(|victim| victim.lives()).map(Victim::key).collect();
    killed.retain(|key| !left.contains(key));
    Swept { killed: killed.len(), left, is_blind }
}

/// The value of a variable.
pub(super) fn variable<'e>(environ: &'e [u8], name: &str) -> Option<&'e [u8]> {
    let value = |one: &'e [u8]| one.strip_prefix(name.as_bytes())?.strip_prefix(b"=");
    environ.split(|&byte| byte == 0).find_map(value)
}

/// The environment with which a process was executed; `None` if it cannot be read.
///
/// # Errors
/// If descriptors or memory ran out.
pub(super) fn environ(pid: u32) -> io::Result<Option<Vec<u8>>> {
    let read = || {
        let mut environ = Vec::new();
        let file = fs::File::open(format!("/proc/{pid}/environ"))?;
        file.take(ENVIRON_CAP).read_to_end(&mut environ)?;
        Ok(environ)
    };
    unless_short(read())
}

#[cfg(test)]
mod tests;
