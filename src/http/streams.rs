//! The streams of events that clients read, and what is passed to each.
//!
//! ```text
//!   watch --(tell)--> each stream that wants the topic: at most 50 a second --> a bounded queue --> its connection
//!                                   |                                            | full
//!                                   +---- counted, and told as `dropped` <-------+
//! ```
//!
//! Who tells never waits. A client that reads slowly loses events and is told how many; one that never reads is cut off by the
//! patience of its connection.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::Instant;

/// How many streams are open at most.
pub(super) const MOST: usize = 64;
/// How many events a stream gets in a second.
const RATE: u32 = 50;
/// How many events wait for a client.
const WAITING: usize = 100;
/// How often something is sent, so that everybody between knows that the stream lives.
const ALIVE: Duration = Duration::from_secs(15);

/// What a stream may be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    /// How the fleet stands, every second.
    Snapshot,
    /// Jobs that came to the failed list.
    Failed,
    /// What happens to the jobs of this instance.
    Job,
    /// Pauses that begin and end.
    Paused,
    /// Instances that come, go, pause and drain.
    Instance,
    /// Who leads.
    Leader,
    /// What needs attention.
    Attention,
}

impl Topic {
    /// All of them.
    pub(super) const ALL: [Self; 7] =
        [Self::Snapshot, Self::Failed, Self::Job, Self::Paused, Self::Instance, Self::Leader, Self::Attention];

    /// Its name, which is that of its events.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Failed => "failed",
            Self::Job => "job",
            Self::Paused => "paused",
            Self::Instance => "instance",
            Self::Leader => "leader",
            Self::Attention => "attention",
        }
    }
}

/// Some topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Topics(u8);

impl Topics {
    /// These and this one.
    pub(super) fn with(self, topic: Topic) -> Self {
        Self(self.0 | 1 << topic as u8)
    }

    /// Is it one of them?
    pub(super) fn has(self, topic: Topic) -> bool {
        self.0 & (1 << topic as u8) != 0
    }
}

/// The open streams. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Streams(Arc<Mutex<Open>>);

#[derive(Debug, Default)]
struct Open {
    streams: Vec<Stream>,
    /// The number of the last event.
    last: u64,
    /// Does somebody watch for them?
    watched: bool,
    /// No more are opened: the server ends.
    closed: bool,
}

#[derive(Debug)]
struct Stream {
    topics: Topics,
    client: Sender<Bytes>,
    /// How many events it got since this second began.
    second: Instant,
    sent: u32,
    /// How many it missed and was not told of.
    dropped: u64,
    /// When something was sent last.
    alive: Instant,
}

/// Why a stream is not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoStream {
    /// There are as many as there may be.
    TooMany,
    /// The server ends.
    Ends,
}

impl Streams {
    /// Opens one. True if somebody must begin to watch.
    pub(super) fn open(&self, topics: Topics) -> Result<(Receiver<Bytes>, bool), NoStream> {
        let mut open = self.lock();
        if open.closed {
            return Err(NoStream::Ends);
        }
        open.streams.retain(|stream| !stream.client.is_closed());
        if open.streams.len() >= MOST {
            return Err(NoStream::TooMany);
        }
        let (client, events) = mpsc::channel(WAITING);
        // A new queue has room.
        let _ = client.try_send(Bytes::from_static(b"retry: 2000\n\n"));
        let now = Instant::now();
        open.streams.push(Stream { topics, client, second: now, sent: 0, dropped: 0, alive: now });
        Ok((events, !std::mem::replace(&mut open.watched, true)))
    }

    /// Which topics somebody wants. `None`, and nobody watches any more: there are no streams.
    pub(super) fn wanted(&self) -> Option<Topics> {
        let mut open = self.lock();
        open.streams.retain(|stream| !stream.client.is_closed());
        if open.streams.is_empty() {
            open.watched = false;
            return None;
        }
        Some(open.topics())
    }

    /// Which topics somebody wants.
    pub(super) fn topics(&self) -> Topics {
        self.lock().topics()
    }

    /// Nobody watches any more, and streams end: their clients come again.
    pub(super) fn give_up(&self) {
        let mut open = self.lock();
        open.watched = false;
        open.streams.clear();
    }

    /// Passes an event of a topic on.
    pub(super) fn tell(&self, topic: Topic, data: &str) {
        let mut open = self.lock();
        open.last += 1;
        let event = event(open.last, topic.name(), data);
        let now = Instant::now();
        for stream in open.streams.iter_mut().filter(|stream| stream.topics.has(topic)) {
            stream.tell(&event, now);
        }
    }

    /// Says that so many events of a topic were lost before they came here.
    pub(super) fn lost(&self, topic: Topic, count: u64) {
        for stream in self.lock().streams.iter_mut().filter(|stream| stream.topics.has(topic)) {
            stream.dropped = stream.dropped.saturating_add(count);
        }
    }

    /// Tells what was dropped, and keeps silent streams alive. To be called a few times a second.
    pub(super) fn keep(&self) {
        let mut open = self.lock();
        let Open { streams, last, .. } = &mut *open;
        let now = Instant::now();
        for stream in streams {
            stream.keep(last, now);
        }
    }

    /// Ends all that are open: who may still look opens another.
    pub(super) fn end_all(&self) {
        self.lock().streams.clear();
    }

    /// Ends all, for good.
    pub(super) fn close(&self) {
        let mut open = self.lock();
        open.closed = true;
        open.streams.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn topics(&self) -> Topics {
        Topics(self.streams.iter().fold(0, |all, stream| all | stream.topics.0))
    }
}

impl Stream {
    fn tell(&mut self, event: &Bytes, now: Instant) {
        if now.duration_since(self.second) >= Duration::from_secs(1) {
            (self.second, self.sent) = (now, 0);
        }
        if self.sent >= RATE || self.dropped > 0 || !self.send(event.clone(), now) {
            self.dropped = self.dropped.saturating_add(1);
        } else {
            self.sent += 1;
        }
    }

    fn keep(&mut self, last: &mut u64, now: Instant) {
        // Within the second in which there were too many it would be told again and again.
        if self.dropped > 0 && now.duration_since(self.second) >= Duration::from_secs(1) {
            *last += 1;
            if self.send(event(*last, "dropped", &format!("{{\"n\":{}}}", self.dropped)), now) {
                self.dropped = 0;
            }
        }
        if now.duration_since(self.alive) >= ALIVE {
            self.send(Bytes::from_static(b":\n\n"), now);
        }
    }

    fn send(&mut self, bytes: Bytes, now: Instant) -> bool {
        match self.client.try_send(bytes) {
            Ok(()) => {
                self.alive = now;
                true
            }
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => false,
        }
    }
}

/// An event as it is written. Its data is JSON, and so has no line breaks.
fn event(number: u64, name: &str, data: &str) -> Bytes {
    Bytes::from(format!("id: {number}\nevent: {name}\ndata: {data}\n\n"))
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const JOBS: Topics = Topics(1 << Topic::Job as u8);

    fn read(events: &mut Receiver<Bytes>) -> Vec<String> {
        std::iter::from_fn(|| events.try_recv().ok()).map(|text| String::from_utf8(text.to_vec()).unwrap()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn each_stream_gets_its_topics_and_hears_that_it_lives() {
        let streams = Streams::default();
        assert_eq!(streams.wanted(), None);
        let (mut jobs, begins) = streams.open(JOBS).unwrap();
        let (mut leaders, again) = streams.open(Topics::default().with(Topic::Leader)).unwrap();
        assert_eq!((begins, again), (true, false));
        assert_eq!(streams.wanted(), Some(JOBS.with(Topic::Leader)));
        streams.tell(Topic::Job, "{\"n\":1}");
        streams.tell(Topic::Leader, "{\"n\":2}");
        assert_eq!(read(&mut jobs), ["retry: 2000\n\n", "id: 1\nevent: job\ndata: {\"n\":1}\n\n"]);
        assert_eq!(read(&mut leaders)[1], "id: 2\nevent: leader\ndata: {\"n\":2}\n\n");
        advance(ALIVE).await;
        streams.keep();
        streams.keep();
        assert_eq!(read(&mut jobs), [":\n\n"]);
        drop(jobs);
        assert_eq!(streams.wanted(), Some(Topics::default().with(Topic::Leader)));
        streams.end_all();
        assert!(leaders.recv().await.is_some(), "what was sent before comes");
        assert!(leaders.recv().await.is_none());
        assert_eq!(streams.wanted(), None);
        assert!(streams.open(JOBS).unwrap().1, "nobody watched any more");
        streams.close();
        assert_eq!(streams.open(JOBS).unwrap_err(), NoStream::Ends);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_too_much_is_dropped_and_counted_and_holds_nobody_up() {
        let streams = Streams::default();
        let (mut fast, _) = streams.open(JOBS).unwrap();
        let (mut never, _) = streams.open(JOBS).unwrap();
        for second in 0..4 {
            (0..60).for_each(|n| streams.tell(Topic::Job, &n.to_string()));
            streams.keep();
            let got = read(&mut fast);
            assert_eq!(got.iter().filter(|text| text.contains("event: job")).count(), 50, "{second}");
            assert!(!got.iter().any(|text| text.contains("dropped")), "not within the same second");
            advance(Duration::from_secs(1)).await;
            streams.keep();
            assert!(read(&mut fast)[0].ends_with("event: dropped\ndata: {\"n\":10}\n\n"));
        }
        streams.lost(Topic::Job, 7);
        streams.keep();
        assert!(read(&mut fast)[0].contains("{\"n\":7}"));
        let held = read(&mut never);
        assert_eq!(held.len(), WAITING, "no more is kept for who does not read");
        advance(Duration::from_secs(1)).await;
        streams.keep();
        let told = read(&mut never).concat();
        assert!(told.contains("event: dropped"), "{told}");
        let kept = |what: &str| held.iter().filter(|text| text.contains(what)).count();
        let dropped = 240 + 7 - kept("event: job");
        let before: usize = held
            .iter()
            .filter(|text| text.contains("event: dropped"))
            .map(|text| text.split("\"n\":").nth(1).unwrap().trim_end().trim_end_matches('}').parse::<usize>().unwrap())
            .sum();
        assert!(told.contains(&format!("{{\"n\":{}}}", dropped - before)), "{told}: {dropped} {before}");
    }

    #[tokio::test(start_paused = true)]
    async fn there_are_so_many_and_no_more() {
        let streams = Streams::default();
        let mut all: Vec<_> = (0..MOST).map(|_| streams.open(JOBS).unwrap()).collect();
        assert_eq!(streams.open(JOBS).unwrap_err(), NoStream::TooMany);
        all.pop();
        assert!(streams.open(JOBS).is_ok());
    }
}
