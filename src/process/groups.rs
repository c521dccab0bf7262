//! Checks whether a process group has a living member. Concurrent checks share one scan of `/proc`.
//!
//! The kernel does not report the end of processes that are not our children, and accepts a signal to a group while
//! its leader is a zombie, so all processes must be scanned. If a thousand runs end at once, a scan for each would be
//! a million reads. Each caller therefore waits for the next scan, which answers all callers that asked before it
//! began. The time between scans grows with their cost.

use std::collections::HashSet;
use std::io;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::Pid;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::sweep;

/// How long a scan waits for more callers.
const GATHER: Duration = Duration::from_millis(2);
/// The pause between two scans, in multiples of the duration of the last one.
const DISTANCE: u32 = 4;
/// The longest pause between two scans.
const FARTHEST: Duration = Duration::from_millis(500);

/// Does any member of this group live? Zombies do not count.
pub(super) async fn is_alive(group: Pid) -> bool {
    static SCANNER: LazyLock<GroupScanner> = LazyLock::new(|| GroupScanner::new(sweep::living_groups));
    SCANNER.is_alive(group.as_raw_pid()).await
}

/// Scans shared by all callers.
struct GroupScanner {
    scan: fn() -> io::Result<HashSet<i32>>,
    state: Mutex<ScannerState>,
}

#[derive(Default)]
struct ScannerState {
    asked: Vec<(i32, oneshot::Sender<bool>)>,
    /// Is a scan scheduled?
    coming: bool,
    /// When the next scan may begin.
    not_before: Option<Instant>,
}

impl GroupScanner {
    fn new(scan: fn() -> io::Result<HashSet<i32>>) -> Self {
        Self { scan, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, ScannerState> {
        // No code that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn is_alive(&'static self, group: i32) -> bool {
        let (tell, told) = oneshot::channel();
        let begins = {
            let mut state = self.lock();
            state.asked.push((group, tell));
            !std::mem::replace(&mut state.coming, true)
        };
        if begins {
            // If that task is dropped, `PendingScan` releases all callers.
            tokio::spawn(self.scan_for_all(PendingScan { scanner: self, kept: false }));
        }
        // No answer means that the runtime of the scan shut down; the caller has to ask again.
        told.await.unwrap_or(true)
    }

    async fn scan_for_all(&'static self, coming: PendingScan) {
        let now = Instant::now();
        let not_before = self.lock().not_before.unwrap_or(now).min(now + FARTHEST);
        sleep_until(not_before.max(now + GATHER)).await;
        let asked = coming.take();
        let scan = self.scan;
        let begun = Instant::now();
        let living = tokio::task::spawn_blocking(scan).await;
        self.lock().not_before = Some(Instant::now() + begun.elapsed() * DISTANCE);
        let Ok(living) = living else { return };
        // Who could not look knows of nobody that he is dead.
        let living = living.ok();
        for (group, tell) in asked {
            // A caller that was dropped needs no answer.
            let _ = tell.send(living.as_ref().is_none_or(|living| living.contains(&group)));
        }
    }
}

/// A scheduled scan. Dropping it before the scan releases all waiting callers.
struct PendingScan {
    scanner: &'static GroupScanner,
    kept: bool,
}

impl PendingScan {
    /// Takes all callers so far; later callers get the next scan.
    fn take(mut self) -> Vec<(i32, oneshot::Sender<bool>)> {
        self.kept = true;
        let mut state = self.scanner.lock();
        state.coming = false;
        std::mem::take(&mut state.asked)
    }
}

impl Drop for PendingScan {
    fn drop(&mut self) {
        if !self.kept {
            let mut state = self.scanner.lock();
            state.coming = false;
            state.asked.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test]
    async fn a_thousand_who_ask_at_once_share_a_look() {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        static SCANNER: LazyLock<GroupScanner> = LazyLock::new(|| {
            GroupScanner::new(|| {
                COUNT.fetch_add(1, Ordering::SeqCst);
                Ok(HashSet::from([7]))
            })
        });
        let mut all = JoinSet::new();
        for group in 0..1000 {
            all.spawn(async move { (group, SCANNER.is_alive(group).await) });
        }
        let living: Vec<i32> =
            all.join_all().await.into_iter().filter_map(|(group, live)| live.then_some(group)).collect();
        assert_eq!(living, [7]);
        assert!(COUNT.load(Ordering::SeqCst) <= 3, "{COUNT:?}");
    }

    #[tokio::test]
    async fn whom_nobody_could_look_for_counts_as_alive() {
        static SCANNER: LazyLock<GroupScanner> =
            LazyLock::new(|| GroupScanner::new(|| Err(rustix::io::Errno::MFILE.into())));
        assert!(SCANNER.is_alive(7).await);
    }

    #[test]
    fn a_runtime_that_goes_down_leaves_nobody_waiting() {
        static SCANNER: LazyLock<GroupScanner> = LazyLock::new(|| GroupScanner::new(|| Ok(HashSet::new())));
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let first = runtime();
        first.block_on(async {
            tokio::spawn(SCANNER.is_alive(1));
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
        });
        drop(first);
        assert!(!runtime().block_on(SCANNER.is_alive(2)));
    }
}
