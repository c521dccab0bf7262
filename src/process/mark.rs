//! The marks of the processes of Windlass: environment variables and a resource limit.
//!
//! A program may clear the environment of what it starts (`env -i`, `sudo`), but it always passes on resource limits.
//! So the daemon lowers a limit that has no effect at this value: the CPU time that a real-time process may use
//! without blocking. The limit goes from "unlimited" to a number of many thousand years that is unique to the daemon.
//! `/proc/<pid>/limits` shows it on every descendant of the daemon, through any number of forks and sessions. It costs
//! nothing per job.

use std::ffi::OsString;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, OnceLock};

use ring::digest::{SHA256, digest};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

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
/// The configuration of the daemon and of every command.
pub const CONFIG: &str = "WINDLASS_CONFIG";
/// Variables that are secrets.
pub const SECRETS: [&str; 2] = ["WINDLASS_HTTP_TOKEN", "WINDLASS_STORE_URL"];
/// Variables of the daemon that children do not get: the connection to its service manager, its secrets, its
/// configuration, for which they ask it, and the daemon of the job that started it.
pub const PRIVATE: [&str; 14] = [
    CONFIG,
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
    let hash = digest(&SHA256, identity.as_bytes());
    let _ = STORE.set(hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect());
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

/// The limits that this daemon may choose.
pub fn limits(daemon: Daemon<'_>) -> impl Iterator<Item = u64> {
    let Daemon { boot_id, pid_namespace, pid, started_ticks } = daemon;
    let name = format!("{boot_id} {pid_namespace} {pid} {started_ticks}");
    (0..CHOICES).map(move |choice| {
        let hash = digest(&SHA256, format!("{name} {choice}").as_bytes());
        let number = hash.as_ref().iter().take(8).fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
        LIMITS.0 + number % (LIMITS.1 - LIMITS.0)
    })
}

/// Sets the limit of this daemon on this process, which must be the daemon, and so on everything it starts from now
/// on. Returns false if the limit is already too low or may not be set; then only the environment marks processes.
pub fn apply(daemon: Daemon<'_>) -> bool {
    let now = getrlimit(Resource::Rttime);
    let fits = |limit: &u64| now.maximum.is_none_or(|now| *limit <= now);
    limits(daemon)
        .filter(fits)
        .any(|limit| setrlimit(Resource::Rttime, Rlimit { current: Some(limit), maximum: Some(limit) }).is_ok())
}

/// The limit of a process, if it is in the range of marks.
///
/// # Errors
/// If descriptors or memory ran out.
pub(super) fn limit_of(pid: u32) -> io::Result<Option<u64>> {
    Ok(sweep::read(&format!("/proc/{pid}/limits"))?.and_then(|limits| read_limit(&limits)))
}

fn read_limit(limits: &[u8]) -> Option<u64> {
    let limits = String::from_utf8_lossy(limits);
    let line = limits.lines().find_map(|line| line.strip_prefix("Max realtime timeout"))?;
    let hard = line.split_ascii_whitespace().nth(1)?.parse().ok()?;
    (LIMITS.0..LIMITS.1).contains(&hard).then_some(hard)
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
        assert_eq!(limit_of(u32::MAX).unwrap(), None);
    }
}
