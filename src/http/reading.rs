//! Reads of records take turns.
//!
//! A record may be as long as its writer likes, and some are read whole before they are cut. So few requests read
//! records at the same time, and many readers together hold no more than those. A turn ends when the answer is made.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tokio::sync::Semaphore;

/// How many requests read records at the same time.
const AT_ONCE: usize = 3;

/// The turns of those who read records.
#[derive(Debug)]
pub(super) struct Turns(Semaphore);

impl Default for Turns {
    fn default() -> Self {
        Self(Semaphore::new(AT_ONCE))
    }
}

impl Turns {
    /// Does it when its turn comes.
    pub(in crate::http) async fn take<T>(&self, read: impl Future<Output = T>) -> T {
        // It is never closed.
        let _turn = self.0.acquire().await;
        read.await
    }
}

/// The middleware. Who waits too long for a turn is answered as for any other delay.
pub(super) async fn take_turn(State(turns): State<Arc<Turns>>, request: Request, next: Next) -> Response {
    turns.take(next.run(request)).await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn requests_that_read_records_take_turns() {
        let (now, most, turns) = (Cell::new(0), Cell::new(0), Turns::default());
        let read = || {
            turns.take(async {
                now.set(now.get() + 1);
                most.set(most.get().max(now.get()));
                tokio::time::sleep(Duration::from_secs(1)).await;
                now.set(now.get() - 1);
            })
        };
        futures_util::future::join_all((0..10).map(|_| read())).await;
        assert_eq!((now.get(), most.get()), (0, AT_ONCE));
    }
}
