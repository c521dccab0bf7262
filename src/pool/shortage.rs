//! Runs that could not begin, because this process or this machine is short of a resource: file descriptors, processes,
//! memory. Their jobs are given back unharmed. For a while no more jobs are held than ran when the resource ran out, then twice as
//! many, and so on: if all were tried at once again, none might begin.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How long fewer jobs are claimed, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// After so many doublings there is no limit.
const DOUBLINGS: u32 = 12;
/// A shortage so long after the last one is another, which is told again.
const OVER: Duration = Duration::from_secs(300);

/// What is known of the shortage.
#[derive(Default)]
pub(super) struct Shortage {
    /// Until when fewer jobs are claimed, and how many may be held.
    limit: Cell<Option<(Instant, usize)>>,
    /// How long that is.
    pause: Cell<Duration>,
    told: Cell<Option<Instant>>,
}

impl Shortage {
    /// A run could not begin while so many ran. What is to be told, if that is news.
    pub(super) fn met(&self, running: usize, why: &str) -> Option<String> {
        let now = Instant::now();
        match self.limit.get() {
            // The others that were claimed at the same time fail as well.
            Some((until, most)) if now < until => self.limit.set(Some((until, most.min(running)))),
            last => {
                // It ran out again soon after more were claimed.
                let again = last.is_some_and(|(until, _)| now < until + self.pause.get());
                let pause = if again { (self.pause.get() * 2).min(PAUSE.1) } else { PAUSE.0 };
                self.pause.set(pause);
                self.limit.set(Some((now + pause, running)));
            }
        }
        let told = self.told.replace(Some(now));
        told.is_none_or(|told| now > told + OVER).then(|| {
            format!(
                "a run could not begin, because this machine is short of a resource: {why}. Its job and others like it are \
                 given back unharmed to the heads of their queues, and fewer jobs are held for a while. \
                 Raise the limit (`ulimit -n`, LimitNOFILE=, TasksMax=, memory), or lower max_task_processors"
            )
        })
    }

    /// How many jobs may be held now; `None` if there is no limit.
    pub(super) fn most(&self) -> Option<usize> {
        let (until, most) = self.limit.get()?;
        match self.doublings(until) {
            None => Some(most),
            Some(doublings) if doublings < DOUBLINGS => Some((most * 2).max(1).saturating_mul(1 << doublings)),
            Some(_) => None,
        }
    }

    /// How often the limit was doubled again after it was doubled at its end; `None` before that.
    fn doublings(&self, until: Instant) -> Option<u32> {
        let over = Instant::now().checked_duration_since(until)?;
        Some(u32::try_from(over.as_millis() / self.pause.get().as_millis().max(1)).unwrap_or(u32::MAX))
    }

    /// Ends when the limit is raised. Pending if there is none.
    pub(super) async fn raised(&self) {
        let Some((until, _)) = self.limit.get() else { return std::future::pending().await };
        match self.doublings(until) {
            None => sleep_until(until).await,
            Some(doublings) if doublings < DOUBLINGS => sleep_until(until + self.pause.get() * (doublings + 1)).await,
            Some(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn fewer_are_held_for_longer_each_time_it_runs_out_again_and_it_is_told_once() {
        let shortage = Shortage::default();
        assert_eq!(shortage.most(), None);
        assert!(shortage.met(5, "why").is_some_and(|told| told.contains("why")));
        assert_eq!(shortage.met(3, "why"), None, "it is told once");
        assert_eq!(shortage.most(), Some(3));
        for pause in [1, 2, 4, 8, 16, 30, 30] {
            let begun = Instant::now();
            shortage.raised().await;
            assert_eq!((begun.elapsed().as_secs(), shortage.most()), (pause, Some(if pause == 1 { 6 } else { 8 })));
            assert_eq!(shortage.met(4, "why"), None);
        }
        tokio::time::advance(OVER * 2).await;
        assert!(shortage.met(4, "why").is_some(), "another one is told");
        // None ran: they are tried one by one, and more only while that goes well.
        assert_eq!(shortage.met(0, "why"), None);
        assert_eq!(shortage.most(), Some(0));
        for most in [1, 2, 4, 8] {
            shortage.raised().await;
            assert_eq!(shortage.most(), Some(most));
        }
        tokio::time::advance(OVER * 2).await;
        assert_eq!(shortage.most(), None);
    }
}
