//! The marks of the processes of Windlass: environment variables and a resource limit.
//!
//! A program may clear the environment of what it starts (`env -i`, `sudo`), but it always passes on resource limits.
//! So the daemon lowers a limit that has no effect at this value: the CPU time that a real-time process may use
//! without blocking. The limit goes from "unlimited" to a number of many thousand years that is unique to the daemon.
//! `/proc/<pid>/limits` shows it on every descendant of the daemon, through any number of forks and sessions, also where the
//! environment cannot be read. It costs nothing per job.
//!
//! That is the hard limit. The soft one names the run: a number below all those, made from the name of the run. The shim sets it
//! on itself; else it costs one system call after the start. A program that forks before that, in its first microseconds, is known by
//! its environment and its parent alone.

use std::ffi::OsString;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, OnceLock};

use ring::digest::{SHA256, digest};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

use super::sweep;

/// Holds the id of the instance that started the process. Every process of a job has it; its children inherit it.
pub const INSTANCE: &str = "WINDLASS_INSTANCE";
/// Names the daemon that started the process, for the commands that ask where it works.
pub const DAEMON: &str = "WINDLASS_DAEMON";
/// Names one process that this program started, over all programs of this machine. Its descendants inherit it.
pub const RUN: &str = "WINDLASS_RUN";
/// Holds the supervisor of the daemon as `<pid>:<start time in ticks>`. Jobs do not get it, because a daemon that a
/// job starts has no supervisor.
pub const SUPERVISED: &str = "WINDLASS_SUPERVISED";
/// Says to the daemon that its parent passes on what a service manager is to be told.
pub const NOTIFIES: &str = "WINDLASS_NOTIFIES";
/// Says to the process that this names that its stdin holds its secrets.
pub const HANDED_OVER: &str = "WINDLASS_HANDED_OVER";
/// Among the secrets of a daemon: by what name it is asked to let another one take over, and by what token.
pub const SUCCESSION: &str = "WINDLASS_SUCCESSION";
/// The same of the daemon that it replaces.
pub const PREDECESSOR: &str = "WINDLASS_PREDECESSOR";
/// Says to the process that this names that it watches over daemons, and that its stdin holds what it knew.
pub const RESUMED: &str = "WINDLASS_RESUMED";
/// The configuration of the daemon and of every command.
pub const CONFIG: &str = "WINDLASS_CONFIG";
/// Variables that are secrets.
pub const SECRETS: [&str; 2] = ["WINDLASS_HTTP_TOKEN", "WINDLASS_STORE_URL"];
/// Variables of the daemon that children do not get: the connection to its service manager, its secrets, its
/// configuration, for which they ask it, and the daemon of the job that started it.
pub const PRIVATE: [&str; 15] = [
    CONFIG,
    RESUMED,
    DAEMON,
    NOTIFIES,
    HANDED_OVER,
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "CREDENTIALS_DIRECTORY",
    SECRETS[0],
    SECRETS[1],
];

/// The range of limits that are marks, in microseconds: the lowest, and the end of the range.
const LIMITS: (u64, u64) = (1 << 55, 1 << 62);
/// The range of limits that name a run: below those, so that each fits below each of them.
const RUN_LIMITS: (u64, u64) = (1 << 54, 1 << 55);
/// How many limits a daemon can choose from. A daemon can only lower its limit, so one that another daemon's job
/// started needs a lower one.
const CHOICES: u8 = 64;

/// What identifies a daemon on this machine while it runs.
#[derive(Debug, Clone, Copy)]
pub struct Daemon<'a> {
    /// The kernel's id of the boot.
    pub boot_id: &'a str,
    /// The inode of its pid namespace.
    pub pid_namespace: u64,
    /// Its pid.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub started_ticks: u64,
}

/// The daemon that started a process, and the store that it worked on, as the process's [`RUN`] tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    /// The pid of the daemon and its start time.
    pub(super) daemon: (u32, u64),
    /// The store, by the digest that [`name_store`] made.
    pub(super) store: Option<String>,
}

static DAEMON_NAME: OnceLock<OsString> = OnceLock::new();
static STORE: OnceLock<String> = OnceLock::new();

/// Says by what the store of this process differs from every other one, also from a copy of it. All processes that are started
/// from now on carry a digest of that. The first call counts.
pub fn name_store(identity: &str) {
    let _ = STORE.set(digest_of(identity));
}

/// The digest of a store.
pub(super) fn digest_of(identity: &str) -> String {
    let hash = digest(&SHA256, identity.as_bytes());
    hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The digest of the store that this process works on.
pub(super) fn store() -> Option<&'static str> {
    STORE.get().map(String::as_str)
}

/// Gives this name to all processes that are started from now on. The first call counts.
pub fn name_daemon(name: String) {
    let _ = DAEMON_NAME.set(name.into());
}

/// The name that [`name_daemon`] gave.
pub(super) fn daemon_name() -> Option<&'static OsString> {
    DAEMON_NAME.get()
}

/// A name for the next process that is started.
pub(super) fn next_run() -> OsString {
    static OURSELVES: LazyLock<String> = LazyLock::new(|| {
        let pid = std::process::id();
        format!("{pid}-{}", sweep::start_ticks(pid).unwrap_or_default())
    });
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    OsString::from(match store() {
        Some(store) => format!("{}-{count}-{store}", *OURSELVES),
        None => format!("{}-{count}", *OURSELVES),
    })
}

/// Who started a process with this [`RUN`]; `None` if it is none that this program gives.
pub(super) fn origin(run: &[u8]) -> Option<Origin> {
    let mut parts = std::str::from_utf8(run).ok()?.split('-');
    let daemon = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let _count: u64 = parts.next()?.parse().ok()?;
    let store = parts.next().map(str::to_owned);
    parts.next().is_none().then_some(Origin { daemon, store })
}

/// The soft limit that names this run.
pub(super) fn run_limit(run: &[u8]) -> u64 {
    within(RUN_LIMITS, run)
}

/// A number of a range that is made from a name.
fn within((first, end): (u64, u64), name: &[u8]) -> u64 {
    let hash = digest(&SHA256, name);
    let number = hash.as_ref().iter().take(8).fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
    first + number % (end - first)
}

/// The hard limit of this process; `u64::MAX` if there is none, 0 if it was not looked at yet.
static HARD: AtomicU64 = AtomicU64::new(0);

/// Names the run of a process that was just started, for all that it starts from now on. It may be gone, or have taken the rights
/// of another user already; then its environment names it.
pub(super) fn name_run(pid: Pid, run: &[u8]) {
    if HARD.load(Ordering::Relaxed) == 0 {
        HARD.store(getrlimit(Resource::Rttime).maximum.unwrap_or(u64::MAX), Ordering::Relaxed);
    }
    let hard = HARD.load(Ordering::Relaxed);
    if let Some(limit) = named(Some(hard).filter(|hard| *hard != u64::MAX), run_limit(run)) {
        let _ = prlimit(Some(pid), Resource::Rttime, limit);
    }
}

/// Names the run of this process by such a limit.
pub(super) fn name_ourselves(run_limit: u64) {
    if let Some(limit) = named(getrlimit(Resource::Rttime).maximum, run_limit) {
        // Without it, the environment names it.
        let _ = setrlimit(Resource::Rttime, limit);
    }
}

/// The limits of a process of this run. `None` if the hard one is lower, and so in use.
fn named(hard: Option<u64>, run_limit: u64) -> Option<Rlimit> {
    hard.is_none_or(|hard| hard >= run_limit).then_some(Rlimit { current: Some(run_limit), maximum: hard })
}

/// The limits that this daemon may choose.
pub fn limits(daemon: Daemon<'_>) -> impl Iterator<Item = u64> {
    let Daemon { boot_id, pid_namespace, pid, started_ticks } = daemon;
    let name = format!("{boot_id} {pid_namespace} {pid} {started_ticks}");
    (0..CHOICES).map(move |choice| within(LIMITS, format!("{name} {choice}").as_bytes()))
}

/// Sets the limit of this daemon on this process, which must be the daemon, and so on everything it starts from now
/// on. Returns false if the limit is already too low or may not be set; then only the environment marks processes.
pub fn apply(daemon: Daemon<'_>) -> bool {
    let now = getrlimit(Resource::Rttime);
    let fits = |limit: &u64| now.maximum.is_none_or(|now| *limit <= now);
    limits(daemon).filter(fits).any(|limit| {
        let is_set = setrlimit(Resource::Rttime, Rlimit { current: Some(limit), maximum: Some(limit) }).is_ok();
        if is_set {
            HARD.store(limit, Ordering::Relaxed);
        }
        is_set
    })
}

/// The limit of a process, if it is in the range of marks.
///
/// # Errors
/// If descriptors or memory ran out.
pub(super) fn limit_of(pid: u32) -> io::Result<Option<u64>> {
    Ok(sweep::read(&format!("/proc/{pid}/limits"))?.and_then(|limits| read_limit(&limits, 1, LIMITS)))
}

/// The limit that names the run of a process, if it has one.
///
/// # Errors
/// If descriptors or memory ran out.
pub(super) fn run_limit_of(pid: u32) -> io::Result<Option<u64>> {
    Ok(sweep::read(&format!("/proc/{pid}/limits"))?.and_then(|limits| read_limit(&limits, 0, RUN_LIMITS)))
}

/// The soft (0) or the hard (1) limit, if it is within a range.
fn read_limit(limits: &[u8], which: usize, (first, end): (u64, u64)) -> Option<u64> {
    let limits = String::from_utf8_lossy(limits);
    let line = limits.lines().find_map(|line| line.strip_prefix("Max realtime timeout"))?;
    let limit = line.split_ascii_whitespace().nth(which)?.parse().ok()?;
    (first..end).contains(&limit).then_some(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_tells_who_started_it() {
        let ours = origin(next_run().as_encoded_bytes()).unwrap();
        let pid = std::process::id();
        assert_eq!(ours, Origin { daemon: (pid, sweep::start_ticks(pid).unwrap()), store: store().map(str::to_owned) });
        let with_store = Origin { daemon: (7, 8), store: Some("00ff".to_owned()) };
        assert_eq!(origin(b"7-8-9-00ff"), Some(with_store));
        for strange in [&b""[..], b"7", b"7-8", b"7-8-x", b"-7-8-9", b"7-8-9-a-b", b"\xff-8-9"] {
            assert_eq!(origin(strange), None);
        }
    }

    #[test]
    fn each_daemon_has_numbers_of_its_own() {
        let daemon = Daemon { boot_id: "b", pid_namespace: 1, pid: 2, started_ticks: 3 };
        let ours: Vec<u64> = limits(daemon).collect();
        assert!(ours.iter().all(|limit| (LIMITS.0..LIMITS.1).contains(limit)));
        assert_eq!(ours, limits(daemon).collect::<Vec<_>>());
        for other in [Daemon { pid: 3, ..daemon }, Daemon { boot_id: "c", ..daemon }] {
            assert!(limits(other).all(|limit| !ours.contains(&limit)));
        }
        assert_eq!((limit_of(u32::MAX).unwrap(), run_limit_of(u32::MAX).unwrap()), (None, None));
    }

    #[test]
    fn a_run_is_named_below_every_daemon_and_not_where_the_limit_is_in_use() {
        let run = run_limit(b"1-2-3");
        assert!((RUN_LIMITS.0..RUN_LIMITS.1).contains(&run) && run != run_limit(b"1-2-4"));
        for hard in [None, Some(LIMITS.0)] {
            assert_eq!(named(hard, run), Some(Rlimit { current: Some(run), maximum: hard }));
        }
        assert_eq!(named(Some(1_000_000), run), None);
        let text = format!("Max realtime timeout      {run}    {}   us        \n", LIMITS.0);
        assert_eq!(read_limit(text.as_bytes(), 0, RUN_LIMITS), Some(run));
        assert_eq!(read_limit(text.as_bytes(), 1, LIMITS), Some(LIMITS.0));
        assert_eq!(read_limit(text.as_bytes(), 0, LIMITS), None);
    }
}
