//! The thread that makes spans of events, and its end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::export::Exporter;
use super::spans;
use crate::config::Config;
use crate::event::{Bus, Event, EventKind, Listener, Received};
use crate::pool::{Control, Phase, Work};
use crate::process::private;
use crate::supervise::scope::{named, own_thread};

/// The index of this listener on the bus.
const LISTENER: usize = 3;
/// How many spans are posted at a time.
const BATCH: usize = 512;
/// How many batches wait to be posted.
const MOST_WAITING: usize = 8;
/// How long a span waits for others at most.
const DELAY: Duration = Duration::from_secs(1);
/// How often it is told that spans were lost.
const MINUTE: Duration = Duration::from_secs(60);
/// The longest wait for an event.
const LONGEST: Duration = Duration::from_secs(3600);

/// The interests of all listeners: these, and the one that makes spans.
pub(in crate::daemon) fn interests([log, notify, streams]: [u32; 3]) -> [u32; 4] {
    [log, notify, streams, 0]
}

/// What hears the ends of runs.
pub(in crate::daemon) struct Heard(Listener);

impl Heard {
    /// The last one of these.
    pub(in crate::daemon) fn of(listeners: &mut Vec<Listener>) -> Self {
        Self(listeners.pop().expect("one interest was added, so there must be a listener for it"))
    }
}

/// From now on hears what this configuration traces.
pub(in crate::daemon) fn listen(bus: &Bus, config: &Config) {
    let kinds = [
        EventKind::Success,
        EventKind::Failure,
        EventKind::Retry,
        EventKind::Later,
        EventKind::ReEnqueue,
        EventKind::Warning,
        EventKind::Sent,
    ];
    bus.set_interest(LISTENER, config.otel.as_ref().map_or(0, |_| kinds.into_iter().map(EventKind::bit).sum()));
    for name in config.otel.iter().flat_map(|otel| &otel.secret_variables) {
        private::keep(name);
    }
}

/// Starts the thread.
///
/// # Errors
/// If none can be started.
pub(in crate::daemon) fn start(
    Heard(listener): Heard,
    bus: &Bus,
    work: &watch::Receiver<Work>,
    handlers: &Handle,
) -> io::Result<Traces> {
    let (sender, mut batches) = mpsc::channel::<Vec<Span>>(MOST_WAITING);
    let (lost, waiting) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut exporter = Exporter::new(bus.clone(), work.clone());
    let (lost_there, sent) = (Arc::clone(&lost), Arc::clone(&waiting));
    // It ends with the thread, when all is posted.
    let task = handlers.spawn(named("the spans", async move {
        while let Some(batch) = batches.recv().await {
            let spans = batch.len();
            if !exporter.send(batch).await {
                lost_there.fetch_add(u64::try_from(spans).unwrap_or(u64::MAX), Ordering::Relaxed);
            }
            sent.fetch_sub(spans, Ordering::Relaxed);
        }
    }));
    let traces = Traces { bus: bus.clone(), task, waiting: Arc::clone(&waiting) };
    let redacting = work.clone();
    let redact = Box::new(move || redacting.borrow().config.log.redact.clone());
    let maker = Maker {
        bus: bus.clone(),
        redact,
        sender,
        waiting,
        batch: Vec::new(),
        due: None,
        lost_there: lost,
        lost: 0,
        told: None,
    };
    let run = move || {
        own_thread("the thread that makes spans");
        maker.run(&listener);
    };
    std::thread::Builder::new().name("traces".to_owned()).spawn(run)?;
    Ok(traces)
}

/// The running thread, and the task that posts.
pub(in crate::daemon) struct Traces {
    bus: Bus,
    task: JoinHandle<()>,
    /// How many spans wait or are being posted.
    waiting: Arc<AtomicUsize>,
}

impl Traces {
    /// Posts what waits, until then at most.
    pub(in crate::daemon) async fn end(mut self, until: Instant, mut control: watch::Receiver<Control>) {
        // Behind the last events; the thread makes spans of all and ends, and then what posts has an end.
        self.bus.close_listener(LISTENER);
        tokio::select! {
            posted = timeout_at(until, &mut self.task) => drop(posted),
            // A kill does not wait.
            killed = control.wait_for(|now| now.phase == Phase::Kill) => drop(killed),
        }
        self.task.abort();
        let left = self.waiting.load(Ordering::Relaxed);
        if left > 0 {
            let text = format!(
                "the end came before all spans were sent: {left} are lost, or it is not known whether they arrived"
            );
            self.bus.emit(Event::Warning { text });
        }
    }
}

/// What the thread works with.
struct Maker {
    bus: Bus,
    /// The keys whose values are hidden.
    redact: Box<dyn Fn() -> Vec<String> + Send>,
    sender: mpsc::Sender<Vec<Span>>,
    waiting: Arc<AtomicUsize>,
    /// What is posted next, and when.
    batch: Vec<Span>,
    due: Option<Instant>,
    /// How many spans could not be posted.
    lost_there: Arc<AtomicU64>,
    /// How many spans were lost since it was told, and when that was.
    lost: u64,
    told: Option<Instant>,
}

impl Maker {
    fn run(mut self, listener: &Listener) {
        loop {
            match listener.wait(Some(self.patience())) {
                Received::Event(at_ms, event) => self.take(at_ms, &event),
                Received::TimedOut => {}
                Received::Closed => break,
            }
            if self.batch.len() >= BATCH || self.due.is_some_and(|due| due <= Instant::now()) {
                self.put();
            }
            self.lost += listener.take_lost() + self.lost_there.swap(0, Ordering::Relaxed);
            self.tell_lost();
        }
        let last = std::mem::take(&mut self.batch);
        self.waiting.fetch_add(last.len(), Ordering::Relaxed);
        // It fails if what posts was ended: then they are counted as lost.
        drop(self.sender.blocking_send(last));
    }

    fn patience(&self) -> Duration {
        let next = match (self.due, self.told) {
            (Some(due), _) => due,
            (None, Some(told)) if self.lost > 0 => told + MINUTE,
            // It is not known yet whether they arrive.
            (None, _) if self.waiting.load(Ordering::Relaxed) > 0 => return MINUTE,
            (None, _) => return LONGEST,
        };
        next.saturating_duration_since(Instant::now())
    }

    fn take(&mut self, at_ms: i64, event: &Event) {
        spans::of_event(at_ms, event, &*self.redact, &mut self.batch);
        if !self.batch.is_empty() && self.due.is_none() {
            self.due = Some(Instant::now() + DELAY);
        }
    }

    fn put(&mut self) {
        self.due = None;
        let batch = std::mem::take(&mut self.batch);
        let spans = batch.len();
        self.waiting.fetch_add(spans, Ordering::Relaxed);
        if self.sender.try_send(batch).is_err() {
            self.waiting.fetch_sub(spans, Ordering::Relaxed);
            self.lost += u64::try_from(spans).unwrap_or(u64::MAX);
        }
    }

    fn tell_lost(&mut self) {
        if self.lost > 0 && self.told.is_none_or(|told| told.elapsed() >= MINUTE) {
            let text =
                format!("{} spans were lost: they could not be sent, or came faster than they are taken", self.lost);
            self.bus.emit(Event::Warning { text });
            (self.lost, self.told) = (0, Some(Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn spans_that_find_no_room_are_counted_and_told_once_a_minute() {
        let (bus, listeners) = Bus::new(&[EventKind::Warning.bit()], 1 << 20);
        let (sender, mut batches) = mpsc::channel(1);
        let mut maker = Maker {
            bus,
            redact: Box::new(Vec::new),
            sender,
            waiting: Arc::default(),
            batch: Vec::new(),
            due: None,
            lost_there: Arc::default(),
            lost: 0,
            told: None,
        };
        let mut put = |spans| {
            maker.batch = vec![Span::default(); spans];
            maker.put();
            maker.tell_lost();
            let text = listeners[0].try_next().map(|event| match event {
                Event::Warning { text } => text,
                other => panic!("{other:?}"),
            });
            (text.and_then(|text| text.split(' ').next().map(str::to_owned)), maker.waiting.load(Ordering::Relaxed))
        };
        assert_eq!(put(5), (None, 5), "they wait to be posted");
        assert_eq!(put(3), (Some("3".to_owned()), 5), "a job never waits for them");
        assert_eq!(put(2), (None, 5));
        assert_eq!(put(1), (None, 5));
        tokio::time::advance(MINUTE).await;
        assert_eq!(put(0), (Some("3".to_owned()), 5));
        assert_eq!(batches.try_recv().map(|batch| batch.len()), Ok(5));
        assert_eq!(put(4), (None, 9), "there is room again");
    }
}
