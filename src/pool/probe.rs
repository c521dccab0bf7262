//! Measures the scheduling delay on both runtimes.
//!
//! A timer's overshoot says nothing below its granularity of more than a millisecond; how long a
//! task that yields waits for its next turn does.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

/// The longest of a few yields here and on the handlers' runtime; at most `limit`, because a runtime that does not answer
/// at all need not be waited for.
pub(super) async fn delay(handlers: &Handle, limit: Duration) -> Duration {
    let there = handlers.spawn(yields());
    let here = yields().await;
    match tokio::time::timeout(limit, there).await {
        Ok(Ok(there)) => here.max(there),
        Ok(Err(_)) | Err(_) => limit,
    }
}

async fn yields() -> Duration {
    let mut longest = Duration::ZERO;
    for _ in 0..3 {
        let before = Instant::now();
        tokio::task::yield_now().await;
        longest = longest.max(before.elapsed());
    }
    longest
}
