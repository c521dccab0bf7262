//! Times in which this process stood still: it was stopped (SIGSTOP, a frozen control group), its machine slept, or was too
//! busy to run it. A limit that passed meanwhile says nothing of the one who was waited for.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// How late a timer may be on a busy machine.
const BUSY: Duration = Duration::from_millis(250);
/// How often a wait begins anew.
const ANEW: u32 = 3;

/// For how long this process stood still, if a wait of `asked` took so long; zero if a busy machine explains it.
#[must_use]
pub fn stood_still(asked: Duration, took: Duration) -> Duration {
    let late = took.saturating_sub(asked);
    if late > BUSY { late } else { Duration::ZERO }
}

/// Waits for something for at most `limit`. The wait begins anew if this process stood still at its end: what was waited
/// for may have come, and has to be looked at first.
pub async fn within<T>(limit: Duration, something: impl Future<Output = T>) -> Option<T> {
    let mut something = pin!(something);
    for _ in 0..=ANEW {
        let due = Instant::now() + limit;
        if let Ok(output) = timeout_at(due, something.as_mut()).await {
            return Some(output);
        }
        if stood_still(Duration::ZERO, due.elapsed()).is_zero() {
            break;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(500);

    #[test]
    fn a_timer_that_is_a_little_late_is_not_stillness() {
        assert_eq!(stood_still(LIMIT, LIMIT + BUSY), Duration::ZERO);
        assert_eq!(stood_still(LIMIT, LIMIT / 2), Duration::ZERO);
        assert_eq!(stood_still(LIMIT, LIMIT + BUSY * 8), BUSY * 8);
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_while_the_process_stood_still_came_in_time() {
        let (send, answer) = tokio::sync::oneshot::channel();
        let waiting = tokio::spawn(within(LIMIT, answer));
        tokio::task::yield_now().await;
        // The clock jumps over the limit, and only then anyone who reads the answer gets its turn.
        tokio::time::advance(LIMIT * 20).await;
        tokio::task::yield_now().await;
        send.send(7).expect("it is still waited for");
        assert_eq!(waiting.await.expect("it must not panic"), Some(Ok(7)));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_found_after_the_limit() {
        let begun = Instant::now();
        assert_eq!(within(LIMIT, std::future::pending::<()>()).await, None);
        assert!(begun.elapsed() < LIMIT + BUSY);
    }
}
