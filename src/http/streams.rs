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

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::Instant;

/// How many streams are open at most.
pub(super) const MOST: usize = 64;
/// How many events a stream gets in a second.
const RATE: u32 = 50;
/// How many events wait for a client, and how many bytes of them.
const WAITING: usize = 100;
const WAITING_BYTES: usize = 256 << 10;
/// How many jobs one stream follows.
pub(super) const MOST_FOLLOWED: usize = 4;
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
    /// How far runs are.
    Progress,
    /// How far operations of this process are.
    Operation,
    /// What the jobs print that the stream names.
    Output,
}

impl Topic {
    /// All of them.
    pub(super) const ALL: [Self; 10] = [
        Self::Snapshot,
        Self::Failed,
        Self::Job,
        Self::Paused,
        Self::Instance,
        Self::Leader,
        Self::Attention,
        Self::Progress,
        Self::Operation,
        Self::Output,
    ];

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
            Self::Progress => "progress",
            Self::Operation => "operation",
            Self::Output => "output",
        }
    }
}

/// Some topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Topics(u16);

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
    /// The jobs that somebody follows.
    followed: HashSet<String>,
    /// No more are opened: the server ends.
    closed: bool,
}

#[derive(Debug)]
struct Stream {
    topics: Topics,
    /// The jobs whose output it wants.
    jobs: Vec<String>,
    client: Sender<Bytes>,
    /// How many bytes wait for the client.
    waiting: Arc<AtomicUsize>,
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

/// What comes to the client of a stream.
#[derive(Debug)]
pub(super) struct Events {
    events: Receiver<Bytes>,
    waiting: Arc<AtomicUsize>,
}

impl Events {
    /// The next one; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        let event = self.events.recv().await?;
        self.waiting.fetch_sub(event.len(), Ordering::Relaxed);
        Some(event)
    }
}

/// A stream that was opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) events: Events,
    /// Somebody must begin to watch.
    pub(super) begins: bool,
    /// The jobs that somebody must begin to follow.
    pub(super) follow: Vec<String>,
}

impl Streams {
    /// Opens one. `jobs`: those whose output it wants.
    pub(super) fn open(&self, topics: Topics, jobs: Vec<String>) -> Result<Opened, NoStream> {
        let mut open = self.lock();
        if open.closed {
            return Err(NoStream::Ends);
        }
        open.streams.retain(|stream| !stream.client.is_closed());
        if open.streams.len() >= MOST {
            return Err(NoStream::TooMany);
        }
        let (client, events) = mpsc::channel(WAITING);
        let (now, waiting) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
        let follow = jobs.iter().filter(|job| open.followed.insert((*job).clone())).cloned().collect();
        let events = Events { events, waiting: Arc::clone(&waiting) };
        let mut stream = Stream { topics, jobs, client, waiting, second: now, sent: 0, dropped: 0, alive: now };
        // A new queue has room.
        stream.send(Bytes::from_static(b"retry: 2000\n\n"), now);
        open.streams.push(stream);
        Ok(Opened { events, begins: !std::mem::replace(&mut open.watched, true), follow })
    }

    /// Does somebody follow this job?
    pub(super) fn follows(&self, job: &str) -> bool {
        let open = self.lock();
        open.streams.iter().any(|stream| stream.wants(job) && !stream.client.is_closed())
    }

    /// Anyone who tells of this job ends if nobody follows it any more: anyone who opens a stream for it next begins anew.
    pub(super) fn follow_ends(&self, job: &str) -> bool {
        let mut open = self.lock();
        let ends = !open.streams.iter().any(|stream| stream.wants(job) && !stream.client.is_closed());
        if ends {
            open.followed.remove(job);
        }
        ends
    }

    /// Nobody tells of this job any more, and the streams that want it end: their clients come again.
    pub(super) fn give_up_job(&self, job: &str) {
        let mut open = self.lock();
        open.followed.remove(job);
        open.streams.retain(|stream| !stream.wants(job));
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

    /// Passes on what a job prints, to who follows it.
    pub(super) fn tell_output(&self, job: &str, data: &str) {
        let mut open = self.lock();
        open.last += 1;
        let event = event(open.last, Topic::Output.name(), data);
        let now = Instant::now();
        for stream in open.streams.iter_mut().filter(|stream| stream.wants(job)) {
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
    /// Does it want to know what this job prints?
    fn wants(&self, job: &str) -> bool {
        self.topics.has(Topic::Output) && self.jobs.iter().any(|one| one == job)
    }

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
        let length = bytes.len();
        let before = self.waiting.fetch_add(length, Ordering::Relaxed);
        let is_sent = before + length <= WAITING_BYTES && self.client.try_send(bytes).is_ok();
        if is_sent {
            self.alive = now;
        } else {
            self.waiting.fetch_sub(length, Ordering::Relaxed);
        }
        is_sent
    }
}

/// An event as it is written. Its data is JSON, and so has no line breaks.
fn event(number: u64, name: &str, data: &str) -> Bytes {
    Bytes::from(format!("id: {number}\nevent: {name}\ndata: {data}\n\n"))
}

#[cfg(test)]
mod tests;
