//! Processes in `/proc`: which are alive, and which descend from which. Also ends the processes that were left behind.
//!
//! A pid identifies a process only together with its start time. A process is pinned by a pidfd before it is killed,
//! and then checked again, so that a reused pid is never hit. If `/proc` cannot be read, nothing is killed, and a
//! process that is not known to be dead counts as alive. A scan for which descriptors or memory run out fails as a whole,
//! because what it did not see may live. Every function in this file blocks for the duration of a scan
//! of `/proc`.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, getpid};

use crate::file::shortage::is_shortage;

/// The pauses between scans for processes that were killed and have not ended, in milliseconds. After the last one the
/// processes are given up: they are blocked in the kernel, or belong to another user.
pub(super) const PAUSES_MS: [u64; 14] = [5, 5, 5, 10, 20, 40, 80, 160, 250, 250, 250, 250, 250, 250];

/// The kernel's id of this boot; empty if it cannot be read.
#[must_use]
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// The inode of our pid namespace; 0 if it cannot be read.
#[must_use]
pub fn pid_namespace() -> u64 {
    fs::metadata("/proc/self/ns/pid").map(|ns| ns.ino()).unwrap_or_default()
}

/// This host's name.
#[must_use]
pub fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// When a process started, in clock ticks since boot.
#[must_use]
pub fn start_ticks(pid: u32) -> Option<u64> {
    ProcStat::of(pid).map(|stat| stat.start)
}

/// Is the process with this pid and start time alive? Returns `false` only if it is surely dead. A process that we may
/// not inspect counts as alive, because its job would otherwise run twice.
#[must_use]
pub fn is_alive(pid: u32, start_ticks: u64) -> bool {
    let Some(number) = number(pid) else { return false };
    if rustix::process::test_kill_process(number) == Err(Errno::SRCH) {
        return false;
    }
    ProcStat::of(pid).is_none_or(|stat| stat.lives() && (stat.start == start_ticks || start_ticks == 0))
}

/// Is the process stopped, by a signal or by who traces it? Its threads do nothing until it is told to go on.
#[must_use]
pub fn is_stopped(pid: u32) -> bool {
    ProcStat::of(pid).is_some_and(|stat| matches!(stat.state, b'T' | b't'))
}

/// Has the process installed a handler for this signal? `None` if that cannot be seen: it is gone, or hidden, because it is
/// not dumpable and `/proc` is mounted with `hidepid`.
#[must_use]
pub fn catches(pid: u32, signal: Signal) -> Option<bool> {
    let status = fs::read(format!("/proc/{pid}/status")).ok()?;
    let status = String::from_utf8_lossy(&status);
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
    let caught = u64::from_str_radix(caught.trim(), 16).ok()?;
    let bit = u32::try_from(signal.as_raw() - 1).unwrap_or(u32::MAX);
    Some(caught.checked_shr(bit).unwrap_or_default() & 1 == 1)
}

/// The resident memory of a process in bytes; `None` if it cannot be read.
#[must_use]
pub fn resident_bytes(pid: u32) -> Option<u64> {
    let status = fs::read(format!("/proc/{pid}/status")).ok()?;
    let status = String::from_utf8_lossy(&status);
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = resident.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib.saturating_mul(1024))
}

/// All living descendants of this process, as far as they can be inspected.
#[must_use]
pub fn descendants(pid: u32) -> Vec<u32> {
    all_descendants(pid).unwrap_or_default()
}

fn all_descendants(pid: u32) -> io::Result<Vec<u32>> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for stat in all_processes()?.iter().filter(|stat| stat.lives()) {
        children.entry(stat.parent).or_default().push(stat.pid);
    }
    let (mut found, mut seen) = (Vec::new(), HashSet::from([pid]));
    let mut parents = vec![pid];
    while let Some(parent) = parents.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            if seen.insert(child) {
                found.push(child);
                parents.push(child);
            }
        }
    }
    Ok(found)
}

/// All groups with a living member, by one scan of all processes. Zombies do not count.
///
/// # Errors
/// If descriptors or memory ran out.
pub(super) fn living_groups() -> io::Result<HashSet<i32>> {
    Ok(all_processes()?.iter().filter(|stat| stat.lives()).map(|stat| stat.group).collect())
}

/// Kills all our descendants, repeatedly until none is left, and returns how many it killed.
///
/// All are stopped before the first is killed: the child of a killed parent gets another parent, and the search would
/// miss it. One scan that finds nothing is not enough for the same reason: a process may change its parent during the
/// scan.
pub fn kill_descendants() -> usize {
    let ourselves = getpid().as_raw_pid().unsigned_abs();
    let (mut killed, mut nobody) = (HashSet::new(), 0);
    for pause in PAUSES_MS {
        let mut stopped: HashMap<u32, PinnedProcess> = HashMap::new();
        let mut stop_fresh = || -> io::Result<bool> {
            let before = stopped.len();
            for pid in all_descendants(ourselves)? {
                if !stopped.contains_key(&pid)
                    && let Some(pinned) = PinnedProcess::new(pid)?
                {
                    pinned.signal(Signal::STOP);
                    stopped.insert(pinned.pid, pinned);
                }
            }
            Ok(stopped.len() > before)
        };
        let seen = loop {
            match stop_fresh() {
                Ok(true) => {}
                ended => break ended.is_ok(),
            }
        };
        nobody = if stopped.is_empty() && seen { nobody + 1 } else { 0 };
        if nobody == 2 {
            break;
        }
        for pinned in stopped.values() {
            if pinned.signal(Signal::KILL) {
                killed.insert((pinned.pid, pinned.start));
            }
        }
        if !stopped.is_empty() || !seen {
            // The kernel needs a moment to end them. What they left meanwhile is found by the next look.
            std::thread::sleep(Duration::from_millis(pause));
        }
    }
    killed.len()
}

/// A process whose pid cannot be reused between the check and the signal.
#[derive(Debug)]
pub(super) struct PinnedProcess {
    pub(super) pid: u32,
    pub(super) start: u64,
    /// `None` where the kernel has no pidfds: then pid and start time must suffice.
    fd: Option<OwnedFd>,
}

impl PinnedProcess {
    /// `None` if the process is gone.
    ///
    /// # Errors
    /// If descriptors or memory ran out.
    pub(super) fn new(pid: u32) -> io::Result<Option<Self>> {
        let Some(number) = number(pid) else { return Ok(None) };
        let fd = match rustix::process::pidfd_open(number, PidfdFlags::empty()) {
            Ok(fd) => Some(fd),
            Err(Errno::SRCH) => return Ok(None),
            Err(_) => None,
        };
        let stat = ProcStat::look(pid)?.filter(ProcStat::lives);
        Ok(stat.map(|stat| Self { pid, start: stat.start, fd }))
    }

    pub(super) fn signal(&self, signal: Signal) -> bool {
        match &self.fd {
            Some(fd) => rustix::process::pidfd_send_signal(fd, signal).is_ok(),
            None => {
                start_ticks(self.pid) == Some(self.start)
                    && number(self.pid).is_some_and(|pid| rustix::process::kill_process(pid, signal).is_ok())
            }
        }
    }
}

/// The fields of `/proc/<pid>/stat` that are used here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ProcStat {
    pub(super) pid: u32,
    state: u8,
    pub(super) parent: u32,
    pub(super) group: i32,
    pub(super) start: u64,
}

impl ProcStat {
    pub(super) fn of(pid: u32) -> Option<Self> {
        Self::look(pid).ok().flatten()
    }

    /// `None` if the process is gone or cannot be inspected.
    fn look(pid: u32) -> io::Result<Option<Self>> {
        Ok(read(&format!("/proc/{pid}/stat"))?.and_then(|line| Self::parse(&line)))
    }

    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        let line = String::from_utf8_lossy(line);
        // The second field is the name of the program in parentheses. The name may itself hold spaces and parentheses.
        let (pid, _) = line.split_once(' ')?;
        let (_, rest) = line.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        Some(Self {
            pid: pid.parse().ok()?,
            state: *fields.first()?.as_bytes().first()?,
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            start: fields.get(19)?.parse().ok()?,
        })
    }

    pub(super) fn lives(&self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// All processes that can be inspected.
///
/// # Errors
/// If descriptors or memory ran out.
pub(super) fn all_processes() -> io::Result<Vec<ProcStat>> {
    let entries = unless_short(fs::read_dir("/proc"))?;
    let mut all = Vec::new();
    for entry in entries.into_iter().flatten() {
        let Some(entry) = unless_short(entry)? else { continue };
        if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
            all.extend(ProcStat::look(pid)?);
        }
    }
    Ok(all)
}

/// The content of a file of `/proc`; `None` if it cannot be read.
///
/// # Errors
/// If descriptors or memory ran out.
pub(super) fn read(path: &str) -> io::Result<Option<Vec<u8>>> {
    unless_short(fs::read(path))
}

/// What cannot be had is nothing, unless that is for want of descriptors or memory.
pub(super) fn unless_short<T>(had: io::Result<T>) -> io::Result<Option<T>> {
    match had {
        Ok(had) => Ok(Some(had)),
        Err(error) if is_shortage(&error) => Err(error),
        Err(_) => Ok(None),
    }
}

/// Is this process below that one? `None` if it is gone, or if it or one above it cannot be seen.
#[must_use]
pub fn descends_from(pid: u32, ancestor: u32) -> Option<bool> {
    let (mut next, mut above) = (pid, HashSet::new());
    while above.insert(next) {
        match ProcStat::of(next).filter(ProcStat::lives)?.parent {
            parent if parent == ancestor => return Some(true),
            // The first process of this namespace, or one that was started from outside of it.
            0 => return Some(false),
            parent => next = parent,
        }
    }
    None
}

pub(super) fn self_and_ancestors() -> HashSet<u32> {
    let mut above = HashSet::new();
    let mut next = getpid().as_raw_pid().unsigned_abs();
    while next != 0 && above.insert(next) {
        next = ProcStat::of(next).map_or(0, |stat| stat.parent);
    }
    above
}

/// The living and dead children of a process that it started in its first thread, or that it got when their own parents ended.
/// Nobody is found where the kernel does not list them.
pub(super) fn adopted(parent: u32) -> Vec<u32> {
    let listed = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    listed.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

fn number(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    use super::*;

    /// Starts a script in a new group and reads the pids on its first line.
    fn started(script: &str, env: (&str, &str)) -> (std::process::Child, Vec<u32>) {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).env(env.0, env.1).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        (child, line.split_whitespace().map(|pid| pid.parse().unwrap()).collect())
    }

    fn end(mut child: std::process::Child) {
        let _ = rustix::process::kill_process_group(Pid::from_child(&child), Signal::KILL);
        child.wait().unwrap();
    }

    #[test]
    fn a_programs_name_cannot_forge_its_state() {
        let line = b"77 (a) R 1 (b) S 5 6 6 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 1 1\n";
        assert_eq!(ProcStat::parse(line), Some(ProcStat { pid: 77, state: b'S', parent: 5, group: 6, start: 4711 }));
        for bad in [&b""[..], b"1", b"1 (x", b"1 (x)", b"1 (x) S 1", b"x (x) S 1 2 3", b"\xff\xff"] {
            assert_eq!(ProcStat::parse(bad), None);
        }
    }

    #[test]
    fn this_host_and_this_process_are_known() {
        assert!(boot_id().len() >= 32 && pid_namespace() != 0 && !hostname().is_empty());
        let ourselves = std::process::id();
        let ticks = start_ticks(ourselves).unwrap();
        assert!(is_alive(ourselves, ticks));
        assert!(!is_alive(ourselves, ticks + 1), "a number that was given to another process");
        assert!(!is_alive(0, 0) && !is_alive(u32::MAX, 0));
    }

    #[test]
    fn the_memory_of_a_process_is_known() {
        let ours = resident_bytes(std::process::id()).unwrap();
        assert!((1 << 20..1 << 40).contains(&ours), "{ours}");
        assert_eq!(resident_bytes(u32::MAX), None);
    }

    #[test]
    fn handlers_of_signals_are_seen() {
        let (child, _) = started("trap 'exit' USR1; echo; while :; do sleep 0.01; done", ("X", "x"));
        assert_eq!((catches(child.id(), Signal::USR1), catches(child.id(), Signal::USR2)), (Some(true), Some(false)));
        end(child);
        assert_eq!(catches(u32::MAX, Signal::USR1), None);
    }

    #[test]
    fn a_zombie_is_dead() {
        let (mut child, _) = started("echo; exec sleep 60", ("X", "x"));
        let ticks = start_ticks(child.id()).unwrap();
        assert!(is_alive(child.id(), ticks));
        child.kill().unwrap();
        let pid = Pid::from_child(&child);
        let options = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
        rustix::process::waitid(rustix::process::WaitId::Pid(pid), options).unwrap();
        assert!(start_ticks(child.id()).is_some() && !is_alive(child.id(), ticks));
        assert!(!living_groups().unwrap().contains(&pid.as_raw_pid()));
        child.wait().unwrap();
        assert!(!is_alive(child.id(), ticks));
    }

    #[test]
    fn descendants_are_found_at_any_depth() {
        let (child, pids) = started("sh -c 'sleep 60 & echo $$ $!; wait' & wait", ("X", "x"));
        let mut found = descendants(child.id());
        found.sort_unstable();
        let mut expected = pids.clone();
        expected.sort_unstable();
        assert_eq!(found, expected);
        assert!(living_groups().unwrap().contains(&Pid::from_child(&child).as_raw_pid()));
        let ourselves = std::process::id();
        assert!(pids.iter().all(|&pid| descends_from(pid, ourselves) == Some(true)));
        assert_eq!((descends_from(ourselves, child.id()), descends_from(u32::MAX, ourselves)), (Some(false), None));
        end(child);
        assert!(descendants(u32::MAX).is_empty());
    }
}
