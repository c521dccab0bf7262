//! Kills the processes that a dead daemon left behind. They are found by their marks, in any session or group.
//!
//! Processes have two marks, and one is enough ([`mark`]): an environment variable, which a program may clear for its
//! children, and a resource limit, which all descendants inherit.
//!
//! The variable names the instance, the limit only the daemon, whose pid and start time anybody can see and write into a
//! store. So while that daemon lives, its limit counts only if a process with it carries the variable of this instance, and
//! none that of another one.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::io::Read;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::Signal;

use super::mark::{self, Daemon};
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
    limits: HashSet<u64>,
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
        Self { instance: instance.to_owned(), limits, spared: None }
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
        Ok(match variable(pid)? {
            None => Belongs::Unknown,
            Some(instance) if !self.instance.is_empty() && instance == self.instance.as_bytes() => Belongs::Ours,
            Some(_) => Belongs::Others,
        })
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

/// The instance that a process was started for, as its environment says.
fn variable(pid: u32) -> io::Result<Option<Vec<u8>>> {
    let of_instance = |one: &[u8]| one.strip_prefix(mark::INSTANCE.as_bytes())?.strip_prefix(b"=").map(<[u8]>::to_vec);
    Ok(environ(pid)?.and_then(|environ| environ.split(|&byte| byte == 0).find_map(of_instance)))
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
mod tests {
    use std::cell::Cell;
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    use rustix::process::{Resource, Rlimit};

    use super::super::sweep::start_ticks;
    use super::*;

    /// Dies at a kill if it is mortal.
    struct Actor<'a> {
        lives: &'a Cell<bool>,
        mortal: bool,
    }

    impl Victim for Actor<'_> {
        fn key(&self) -> ProcessKey {
            (u32::from(self.mortal), 0)
        }

        fn kill(&self) -> bool {
            self.lives.set(!self.mortal);
            true
        }

        fn lives(&self) -> bool {
            self.lives.get()
        }
    }

    #[test]
    fn who_does_not_die_is_given_up_after_a_few_looks() {
        let (mortal, immortal, looks) = (Cell::new(true), Cell::new(true), Cell::new(0));
        let look = || {
            looks.set(looks.get() + 1);
            let all = [Actor { lives: &mortal, mortal: true }, Actor { lives: &immortal, mortal: false }];
            Ok(all.into_iter().filter(Victim::lives).collect::<Vec<_>>())
        };
        let swept = sweep(look, &PAUSES_MS.map(|_| Duration::ZERO));
        assert_eq!(swept, Swept { killed: 1, left: vec![(0, 0)], is_blind: false });
        assert_eq!(looks.get(), PAUSES_MS.len() + 1);
    }

    #[test]
    fn who_could_not_look_does_not_say_that_nobody_is_left() {
        let (mortal, looks) = (Cell::new(true), Cell::new(0));
        let short = || io::Error::from(rustix::io::Errno::MFILE);
        // Descriptors run out for a moment, and for good.
        for (seen, killed, is_blind) in [(3, 1, false), (usize::MAX, 0, true)] {
            looks.set(0);
            mortal.set(true);
            let look = || {
                looks.set(looks.get() + 1);
                let found = || Some(Actor { lives: &mortal, mortal: true }).filter(Victim::lives).into_iter().collect();
                if looks.get() < seen { Err(short()) } else { Ok(found()) }
            };
            let swept: Swept = sweep::<Actor<'_>>(look, &PAUSES_MS.map(|_| Duration::ZERO));
            assert_eq!(swept, Swept { killed, left: Vec::new(), is_blind });
            assert_eq!(swept.is_clean(), !is_blind);
        }
    }

    #[test]
    fn who_could_not_be_killed_is_remembered_until_it_ends() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let left = [(child.id(), start_ticks(child.id()).unwrap())];
        let marks = Marks::new("an instance with one that cannot be killed", None);
        remember(&marks.instance, &left);
        assert_eq!(kill(&marks), Swept { left: left.to_vec(), ..Swept::default() });
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(kill(&marks), Swept::default());
    }

    /// A process that sleeps with this limit, and with the variable of this instance.
    fn sleeper(limit: u64, instance: Option<&str>) -> std::process::Child {
        let mut command = Command::new("sleep");
        command.arg("60").env_remove(mark::INSTANCE);
        command.envs(instance.map(|instance| (mark::INSTANCE, instance)));
        let child = command.spawn().unwrap();
        let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap());
        let limit = Rlimit { current: Some(limit), maximum: Some(limit) };
        rustix::process::prlimit(pid, Resource::Rttime, limit).unwrap();
        child
    }

    #[test]
    fn the_limit_of_a_living_daemon_that_is_not_shown_to_be_the_instance_marks_nobody() {
        let ours = format!("limit{}", std::process::id());
        let pid = std::process::id();
        let daemon = Daemon { boot_id: "no such boot", pid_namespace: 1, pid, started_ticks: 1 };
        let limit = mark::limits(daemon).next().unwrap();
        let marks = Marks::new(&ours, Some(daemon));
        let killed = |with: &[Option<&str>], marks: &Marks| {
            let mut all: Vec<_> = with.iter().map(|instance| sleeper(limit, *instance)).collect();
            let swept = kill(marks);
            assert_eq!(swept.left, []);
            for child in &mut all {
                child.kill().unwrap();
                child.wait().unwrap();
            }
            swept.killed
        };
        let living = marks.clone().sparing(pid);
        assert_eq!(killed(&[None], &living), 0, "whose it is is not known");
        assert_eq!(killed(&[Some("another"), None], &living), 0, "it is another's");
        assert_eq!(killed(&[Some(&ours), Some("another"), None], &living), 1, "only what says that it is ours");
        assert_eq!(killed(&[Some(&ours), None, None], &living), 3, "it is ours");
        assert_eq!(killed(&[Some("another"), None], &marks), 2, "nobody is left to whom they belong");
    }

    #[test]
    fn marked_processes_are_killed_wherever_they_went() {
        let instance = format!("sweep{}", std::process::id());
        // In a new session, with a parent that is gone: neither group nor ancestry leads to it.
        let script = "setsid sh -c 'trap \"\" TERM HUP; echo $$; exec >&-; while :; do sleep 0.01; done' &";
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).env(mark::INSTANCE, &instance).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        child.wait().unwrap();
        let pid: u32 = line.trim().parse().unwrap();
        let ticks = start_ticks(pid).unwrap();
        let marks = |instance: &str| Marks::new(instance, None);
        assert!(marked(&marks(&instance)).unwrap().contains(&pid));
        // The mark must match the whole value.
        assert_eq!(kill(&marks(&instance[..instance.len() - 1])), Swept::default());
        assert!(is_alive(pid, ticks));
        let swept = kill(&marks(&instance));
        assert!(swept.killed >= 1 && swept.left.is_empty(), "{swept:?}");
        assert!(!is_alive(pid, ticks));
        assert_eq!(kill(&marks(&instance)), Swept::default());
        assert!(marked(&marks("")).unwrap().is_empty());
    }
}
