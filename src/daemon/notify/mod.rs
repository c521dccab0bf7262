//! Tells people and other servers what became of jobs: `[notify]`, and `ping` of tasks.
//!
//! ```text
//!   bus --> the thread "notify" --> groups: one message a minute for each task and error --> [notify] exec or url
//!                |
//!                +--> ping of the task: start, success, fail; a lane for each task
//! ```
//!
//! Nothing here is in the way of a job: the bus drops what does not fit, the thread only sorts, and what is sent has a queue
//! that is bounded, a time limit, and tasks of its own. Failures to send are told once, until one succeeds. Whom a message
//! goes to is read when it is sent, so that a reload mends what waits, too.
//!
//! When the daemon ends, what waits is sent for as long as the shutdown may take.

mod deliver;
mod groups;
mod pings;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use self::deliver::{Deliver, Message};
use self::groups::{Groups, Happened};
use self::pings::Pings;
use crate::config::Config;
use crate::config::error::Problem;
use crate::config::model::{NotifyConfig, NotifyTarget};
use crate::event::{Bus, Event, EventKind, Listener, Received};
use crate::pool::Work;
use crate::scheduler::SchedulerConfig;
use crate::supervise::scope::{named, own_thread};
use crate::task::Registry;
use crate::task::http_url::HttpUrl;
use crate::task::load::program;
use crate::task::ping::Ping;
use crate::text::cut::cut;
use crate::text::redact::Redactor;

/// The index of this listener on the bus.
pub(super) const LISTENER: usize = 1;
/// How many notifications wait to be sent.
const MOST_WAITING: usize = 256;
/// The longest wait for an event.
const LONGEST: Duration = Duration::from_secs(3600);
/// The most that a ping carries.
const LONGEST_BODY: usize = 16 * 1024;

/// Which events are listened to: none if nobody is to be told anything.
#[must_use]
pub(super) fn interest(config: &Config, registry: &Registry) -> u32 {
    let mut interest = 0;
    if config.notify.is_some() {
        interest |= EventKind::Failure.bit() | EventKind::Missed.bit();
    }
    let mut pings = registry.iter().filter_map(|task| task.ping.as_ref()).peekable();
    if pings.peek().is_some() {
        interest |= EventKind::Success.bit() | EventKind::Failure.bit();
    }
    if pings.any(|ping| ping.start) {
        interest |= EventKind::Job.bit();
    }
    interest
}

/// What is wrong with `[notify]` beyond its form.
#[must_use]
pub fn check(config: &Config) -> Vec<Problem> {
    let Some(NotifyConfig { target, place, .. }) = &config.notify else { return Vec::new() };
    let judged = match target {
        NotifyTarget::Url(url) => HttpUrl::parse(url.reveal()).map(drop).map_err(|error| error.to_string()),
        NotifyTarget::Exec(argv) => {
            let trusted = config.security.trusted();
            argv.first().map_or(Ok(()), |program| program::judge(program, trusted.as_deref()))
        }
    };
    judged.err().map(|message| place.problem(message)).into_iter().collect()
}

/// Starts the thread.
///
/// # Errors
/// If none can be started.
pub(super) fn start(
    listener: Listener,
    bus: Bus,
    work: watch::Receiver<Work>,
    scheduler: watch::Receiver<SchedulerConfig>,
    handlers: Handle,
    host: String,
) -> io::Result<Notifying> {
    let deliver = Arc::new(Deliver::new(bus.clone(), work.clone(), scheduler.clone()));
    let (sender, mut messages) = mpsc::channel::<Message>(MOST_WAITING);
    let waiting = Arc::new(AtomicUsize::new(0));
    let notes = Lane { sender, waiting: Arc::clone(&waiting) };
    let pings = Pings::new(Arc::clone(&deliver), handlers.clone());
    let untold = Arc::clone(&waiting);
    // It ends with the thread, when all is sent.
    let sender = handlers.spawn(named("the notifications", async move {
        while let Some(message) = messages.recv().await {
            deliver.send(message).await;
            waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }));
    let notifying = Notifying { bus: bus.clone(), sender, untold, pings: pings.clone() };
    let sorter = Sorter { bus, work, scheduler, host, groups: Groups::default(), notes, pings, lost: 0 };
    let run = move || {
        own_thread("the thread that notifies");
        sorter.run(&listener);
    };
    std::thread::Builder::new().name("notify".to_owned()).spawn(run)?;
    Ok(notifying)
}

/// The running thread and the tasks that send.
pub(super) struct Notifying {
    bus: Bus,
    /// Sends the notifications.
    sender: JoinHandle<()>,
    /// How many of them wait or are being sent.
    untold: Arc<AtomicUsize>,
    pings: Pings,
}

impl Notifying {
    /// Sends what waits, until then at most.
    pub(super) async fn end(&mut self, until: Instant) {
        // Behind the last events; the thread puts all in order and ends, and then what sends has an end.
        self.bus.close_listener(LISTENER);
        let all = async {
            drop((&mut self.sender).await);
            self.pings.sent().await;
        };
        drop(timeout_at(until, all).await);
    }

    /// How many notifications and pings were not sent, or not seen to arrive.
    pub(super) fn untold(&self) -> [usize; 2] {
        [self.untold.load(Ordering::Relaxed), self.pings.waiting()]
    }
}

/// The way to what sends the notifications, one after another.
struct Lane {
    sender: mpsc::Sender<Message>,
    waiting: Arc<AtomicUsize>,
}

impl Lane {
    /// Puts a message behind those that wait. `false` if there are too many.
    fn put(&self, message: Message) -> bool {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let is_put = self.sender.try_send(message).is_ok();
        if !is_put {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        is_put
    }
}

/// What the thread works with.
struct Sorter {
    bus: Bus,
    work: watch::Receiver<Work>,
    scheduler: watch::Receiver<SchedulerConfig>,
    host: String,
    groups: Groups,
    notes: Lane,
    pings: Pings,
    /// How many messages were lost since one found room.
    lost: u64,
}

impl Sorter {
    fn run(mut self, listener: &Listener) {
        loop {
            let wait = self.groups.next().map_or(LONGEST, |at| at.saturating_duration_since(Instant::now()));
            match listener.wait(Some(wait)) {
                Received::Event(at_ms, event) => self.sort(at_ms, &event),
                Received::TimedOut => {}
                Received::Closed => break,
            }
            for note in self.groups.take_due(Instant::now(), self.notes.sender.capacity()) {
                self.put(Message::Note(note.payload(&self.host)));
            }
        }
        self.tell_rest();
    }

    /// The end: groups do not wait for their minute, and nothing is in the way of a wait any more.
    fn tell_rest(mut self) {
        let rest: Vec<_> = self.groups.take_all().iter().map(|note| note.payload(&self.host)).collect();
        self.notes.waiting.fetch_add(rest.len(), Ordering::Relaxed);
        self.found_room();
        for body in rest {
            // It fails if the sender was ended: then it is counted as lost.
            drop(self.notes.sender.blocking_send(Message::Note(body)));
        }
    }

    fn sort(&mut self, at_ms: i64, event: &Event) {
        match event {
            Event::Job { job } => self.ping(job.class.as_str(), Ping::Start, |_| String::new()),
            Event::Success { job, result, .. } => {
                let hidden = |redactor: &Redactor| result.as_deref().map(|result| redactor.hide(result).into_owned());
                self.ping(job.class.as_str(), Ping::Success, |redactor| hidden(redactor).unwrap_or_default());
            }
            Event::Failure { job, error, said, tail, .. } => {
                let redactor = self.redactor();
                let error = redactor.hide(error).into_owned();
                let said = said.as_deref().map(|line| redactor.hide(line).into_owned());
                let hidden = |redactor: &Redactor| tail.as_deref().map(|tail| redactor.hide(tail).into_owned());
                self.ping(job.class.as_str(), Ping::Failure, |redactor| {
                    format!("{error}\n{}", hidden(redactor).unwrap_or_default())
                });
                let (exception, _) = error.split_once(": ").unwrap_or((&error, ""));
                let (exception, is_known) = (Some(exception.to_owned()), self.knows(job.class.as_str()));
                self.groups.add(
                    Happened {
                        task: job.class.as_str().to_owned(),
                        is_known,
                        exception,
                        error,
                        said,
                        queue: Some(job.queue.as_str().to_owned()),
                        job: Some(job.id.to_string()),
                        at_ms,
                    },
                    Instant::now(),
                );
            }
            Event::Missed { task, text } => self.groups.add(
                Happened {
                    task: task.as_str().to_owned(),
                    is_known: true,
                    exception: None,
                    error: self.redactor().hide(text).into_owned(),
                    said: None,
                    queue: None,
                    job: None,
                    at_ms,
                },
                Instant::now(),
            ),
            _ => {}
        }
    }

    /// Is there a task of this name?
    fn knows(&self, class: &str) -> bool {
        self.scheduler.borrow().registry.get(class).is_some()
    }

    /// Hides what no message may hold.
    fn redactor(&self) -> Redactor {
        Redactor::new(&self.work.borrow().config.log.redact)
    }

    /// Pings, if the task has a ping. Events of all tasks come here, so that nothing is done for others.
    fn ping(&mut self, class: &str, ping: Ping, body: impl FnOnce(&Redactor) -> String) {
        let registry = Arc::clone(&self.scheduler.borrow().registry);
        let Some((task, spec)) = registry.get(class).and_then(|task| Some((task, task.ping.as_ref()?))) else { return };
        if ping == Ping::Start && !spec.start {
            return;
        }
        let body = cut(body(&self.redactor()), LONGEST_BODY).into_bytes();
        let message = Message::Ping { task: task.name.clone(), ping, body };
        self.put(message);
    }

    /// Hands a message on. If too many wait it is lost, because nothing waits here.
    fn put(&mut self, message: Message) {
        let is_put = match &message {
            Message::Note(_) => self.notes.put(message),
            Message::Ping { task, .. } => self.pings.put(task.clone(), message),
        };
        if is_put {
            return self.found_room();
        }
        if self.lost == 0 {
            let text = "too many notifications, or pings of a task, wait to be sent; some are lost".to_owned();
            self.bus.emit(Event::Warning { text });
        }
        self.lost += 1;
    }

    /// Tells how many were lost before.
    fn found_room(&mut self) {
        let lost = std::mem::take(&mut self.lost);
        if lost > 0 {
            let text = format!("{lost} notifications or pings were lost, because too many waited to be sent");
            self.bus.emit(Event::Warning { text });
        }
    }
}
