//! What flows through a request of many jobs, within bounds: the body in its time, the answers in their room.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout_at};

use crate::http::problem::{Kind, Problem};

/// The most that a request may hold.
const MOST: usize = 64 << 20;
/// How long the next part of the body may take.
const PAUSE: Duration = Duration::from_secs(30);
/// How long all of the body may take. Who has more to say says it in another request: each holds a connection, of which there
/// are only so many.
const TOTAL: Duration = Duration::from_secs(600);
/// How many batches of answers wait for a client that sends without reading, and how many bytes they may have together. A
/// longer batch waits alone.
const WAITING: (usize, usize) = (128, 4 << 20);

/// The client is gone, or the store failed: nothing more is enqueued.
pub(super) struct Ended;

/// Where the answers go: as many at once as may wait, until the request's time is over.
pub(super) struct Answers {
    channel: mpsc::Sender<(Bytes, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
    until: Instant,
}

impl Answers {
    pub(super) fn channel() -> (Self, mpsc::Receiver<(Bytes, OwnedSemaphorePermit)>) {
        let (channel, answered) = mpsc::channel(WAITING.0);
        (Self { channel, room: Arc::new(Semaphore::new(WAITING.1)), until: Instant::now() + TOTAL }, answered)
    }

    /// When the request's time is over.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// Waits for a client that does not read, but not for ever.
    pub(super) async fn send(&self, part: Bytes) -> Result<(), Ended> {
        let wanted = u32::try_from(part.len().min(WAITING.1)).unwrap_or(u32::MAX);
        let send = async {
            let room = Arc::clone(&self.room).acquire_many_owned(wanted).await.map_err(|_| Ended)?;
            self.channel.send((part, room)).await.map_err(|_| Ended)
        };
        // The last line still has a chance where the time is over.
        timeout_at(self.until.max(Instant::now() + PAUSE), send).await.unwrap_or(Err(Ended))
    }
}

/// The body, part by part.
pub(super) struct Parts<S> {
    body: S,
    read: usize,
    until: Instant,
}

impl<S: Stream<Item = Result<Bytes, axum::Error>> + Unpin> Parts<S> {
    pub(super) fn of(body: S, until: Instant) -> Self {
        Self { body, read: 0, until }
    }

    /// The next part; `None`: that was all of it.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        let next = timeout_at(self.until.min(Instant::now() + PAUSE), self.body.next()).await;
        if Instant::now() >= self.until {
            let detail = format!("the request took longer than {} s; send the rest in another one", TOTAL.as_secs());
            return Err(Problem::new(Kind::TooSlow, detail));
        }
        let part = match next {
            Ok(Some(Ok(part))) => part,
            Ok(None) => return Ok(None),
            Ok(Some(Err(error))) => {
                return Err(Problem::new(Kind::Malformed, format!("the body ends early: {error}")));
            }
            Err(_) => {
                let detail = format!("nothing of the body came for {} s", PAUSE.as_secs());
                return Err(Problem::new(Kind::TooSlow, detail));
            }
        };
        self.read += part.len();
        if self.read > MOST {
            return Err(Problem::new(Kind::TooLarge, "a request holds at most 64 MiB; send the rest in another one"));
        }
        Ok(Some(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn answers_that_nobody_reads_are_bounded_in_bytes_and_given_up_in_time() {
        let (answers, mut answered) = Answers::channel();
        let begun = Instant::now();
        assert!(answers.send(Bytes::from(vec![b' '; 2 * WAITING.1])).await.is_ok(), "one waits alone");
        assert!(answers.send(Bytes::from_static(b"more")).await.is_err());
        assert_eq!(begun.elapsed().as_secs(), TOTAL.as_secs());
        drop(answered.recv().await);
        assert!(answers.send(Bytes::from_static(b"the end")).await.is_ok(), "there is room again");
        drop(answered);
        assert!(answers.send(Bytes::from_static(b"more")).await.is_err(), "the client is gone");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_comes_line_by_line_ends_when_its_time_is_over() {
        let slowly = futures_util::stream::unfold((), |()| async {
            tokio::time::sleep(PAUSE / 2).await;
            Some((Ok(Bytes::from_static(b"{}\n")), ()))
        });
        let begun = Instant::now();
        let (mut parts, mut read) = (Parts::of(Box::pin(slowly), begun + TOTAL), 0);
        let problem = loop {
            match parts.next().await {
                Ok(part) => read += part.map_or(0, |part| part.len()),
                Err(problem) => break problem,
            }
        };
        assert_eq!((begun.elapsed(), problem.status().as_u16(), read), (TOTAL, 408, 3 * 39));
        assert!(problem.detail().contains("longer than 600 s"), "{problem:?}");
        let silent = futures_util::stream::pending();
        let problem = Parts::of(silent, Instant::now() + TOTAL).next().await.unwrap_err();
        assert!(problem.detail().contains("for 30 s"), "{problem:?}");
    }
}
