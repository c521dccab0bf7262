//! By what processes of Windlass are known: variables, and a limit.
//!
//! A program may clear the environment of what it starts (`env -i`, `sudo`). Resource limits it cannot help but pass on.
//! So the daemon lowers one that has no effect at this height, the CPU time that a real-time process may take without
//! blocking, from "unlimited" to a number of many thousand years that is its own; `/proc/<pid>/limits` shows it on
//! everything that descends from the daemon, through any number of forks and sessions. It costs nothing per job.

use std::fs;

use ring::digest::{SHA256, digest};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Every process of a job carries the id of the instance that started it; its children inherit it.
pub const INSTANCE: &str = "WINDLASS_INSTANCE";
/// The daemon proper carries the process that watches over it: `<pid>:<start time in ticks>`. Not
/// for jobs: a daemon that a job starts has nobody who watches over it.
pub const SUPERVISED: &str = "WINDLASS_SUPERVISED";
/// What is the daemon's own and no child's: how it talks with its service manager, and its secrets.
pub const PRIVATE: [&str; 10] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "CREDENTIALS_DIRECTORY",
    "WINDLASS_HTTP_TOKEN",
    "WINDLASS_STORE_URL",
];

/// The lowest and the first number above the highest that is a mark, in microseconds.
const LIMITS: (u64, u64) = (1 << 55, 1 << 62);
/// How many numbers a daemon may choose from. It can only lower its limit: one that was started by another one's job
/// needs a lower one than that.
const CHOICES: u8 = 64;

/// A daemon, as it is known on this machine for as long as it runs.
#[derive(Debug, Clone, Copy)]
pub struct Daemon<'a> {
    /// The kernel's id of the boot.
    pub boot_id: &'a str,
    /// The inode of its pid namespace.
    pub pid_namespace: u64,
    /// Its number.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub started_ticks: u64,
}

/// The numbers that may be this daemon's limit.
pub fn limits(daemon: Daemon<'_>) -> impl Iterator<Item = u64> {
    let Daemon { boot_id, pid_namespace, pid, started_ticks } = daemon;
    let name = format!("{boot_id} {pid_namespace} {pid} {started_ticks}");
    (0..CHOICES).map(move |choice| {
        let hash = digest(&SHA256, format!("{name} {choice}").as_bytes());
        let number = hash.as_ref().iter().take(8).fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
        LIMITS.0 + number % (LIMITS.1 - LIMITS.0)
    })
}

/// Gives this process the limit of this daemon, which it must be, and with it all that it starts from now on. False if
/// the limit is too low already or may not be set: then the environment must do.
pub fn apply(daemon: Daemon<'_>) -> bool {
    let now = getrlimit(Resource::Rttime);
    let fits = |limit: &u64| now.maximum.is_none_or(|now| *limit <= now);
    limits(daemon)
        .filter(fits)
        .any(|limit| setrlimit(Resource::Rttime, Rlimit { current: Some(limit), maximum: Some(limit) }).is_ok())
}

/// The limit of a process, if it is one that could be a mark.
pub(super) fn limit_of(pid: u32) -> Option<u64> {
    let limits = fs::read(format!("/proc/{pid}/limits")).ok()?;
    let limits = String::from_utf8_lossy(&limits);
    let line = limits.lines().find_map(|line| line.strip_prefix("Max realtime timeout"))?;
    let hard = line.split_ascii_whitespace().nth(1)?.parse().ok()?;
    (LIMITS.0..LIMITS.1).contains(&hard).then_some(hard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_daemon_has_numbers_of_its_own() {
        let daemon = Daemon { boot_id: "b", pid_namespace: 1, pid: 2, started_ticks: 3 };
        let ours: Vec<u64> = limits(daemon).collect();
        assert!(ours.iter().all(|limit| (LIMITS.0..LIMITS.1).contains(limit)));
        assert_eq!(ours, limits(daemon).collect::<Vec<_>>());
        for other in [Daemon { pid: 3, ..daemon }, Daemon { boot_id: "c", ..daemon }] {
            assert!(limits(other).all(|limit| !ours.contains(&limit)));
        }
        assert_eq!(limit_of(u32::MAX), None);
    }
}
