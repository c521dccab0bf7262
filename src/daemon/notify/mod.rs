//! Tells people and other servers what became of jobs: `[notify]`, and `ping` of tasks.
//!
//! ```text
//!   bus --> the thread "notify" --> groups: one message a minute for each task and error --> [notify] exec or url
//!                |
//!                +--> ping of the task: start, success, fail
//! ```
//!
//! Nothing here is in the way of a job: the bus drops what does not fit, the thread only sorts, and what is sent has a queue
//! that is bounded, a time limit, and tasks of its own. Failures to send are told once, until one succeeds.
//!
//! When the daemon ends, what waits is sent for as long as the shutdown may take.

mod deliver;
mod groups;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use self::deliver::{Deliver, Message};
use self::groups::{Groups, Happened, Note};
use crate::config::Config;
use crate::config::error::Problem;
use crate::config::model::NotifyTarget;
use crate::event::{Bus, Event, EventKind, Listener, Received};
use crate::pool::Work;
use crate::scheduler::SchedulerConfig;
use crate::supervise::scope::{named, own_thread};
use crate::task::Registry;
use crate::task::http_url::HttpUrl;
use crate::task::ping::Ping;
use crate::text::cut::cut;
use crate::text::redact::Redactor;

/// The index of this listener on the bus.
pub(super) const LISTENER: usize = 1;
/// How many messages of each kind wait to be sent.
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
    match config.notify.as_ref().map(|notify| &notify.target) {
        Some(NotifyTarget::Url(url)) => {
            HttpUrl::parse(url.reveal()).err().map(|error| Problem::of_source("notify.url", error.to_string()))
        }
        _ => None,
    }
    .into_iter()
    .collect()
}

/// The tasks that send.
pub(super) struct Notifying {
    bus: Bus,
    senders: [JoinHandle<()>; 2],
}

impl Notifying {
    /// Sends what waits, until then at most. Returns whether that was all.
    pub(super) async fn end(self, until: Instant) -> bool {
        // Behind the last events; the thread puts all in order and ends, and then the tasks have an end.
        self.bus.close_listener(LISTENER);
        let [notes, pings] = self.senders;
        let both = async { tokio::join!(notes, pings) };
        timeout_at(until, both).await.is_ok()
    }
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
    let deliver = Arc::new(Deliver::new(bus.clone()));
    let sender = |name| {
        let (sender, mut messages) = mpsc::channel::<Message>(MOST_WAITING);
        let deliver = Arc::clone(&deliver);
        // It ends with the thread.
        let task = handlers.spawn(named(name, async move {
            while let Some(message) = messages.recv().await {
                deliver.send(message).await;
            }
        }));
        (sender, task)
    };
    let ((notes, note_task), (pings, ping_task)) = (sender("the notifications"), sender("the pings"));
    let notifying = Notifying { bus: bus.clone(), senders: [note_task, ping_task] };
    let sorter = Sorter { bus, work, scheduler, host, groups: Groups::default(), notes, pings, is_full: false };
    let run = move || {
        own_thread("the thread that notifies");
        sorter.run(&listener);
    };
    std::thread::Builder::new().name("notify".to_owned()).spawn(run).map(|_| notifying)
}

/// What the thread works with.
struct Sorter {
    bus: Bus,
    work: watch::Receiver<Work>,
    scheduler: watch::Receiver<SchedulerConfig>,
    host: String,
    groups: Groups,
    notes: mpsc::Sender<Message>,
    pings: mpsc::Sender<Message>,
    /// Was it told that messages are lost?
    is_full: bool,
}

impl Sorter {
    fn run(mut self, listener: &Listener) {
        loop {
            let wait = self.groups.next().map_or(LONGEST, |at| at.saturating_duration_since(Instant::now()));
            match listener.wait(Some(wait)) {
                Received::Event(at_ms, event) => self.sort(at_ms, &event),
                Received::TimedOut => {}
                Received::Closed => {
                    let last = self.groups.take_all();
                    return self.tell(last);
                }
            }
            let due = self.groups.take_due(Instant::now(), self.notes.capacity());
            self.tell(due);
        }
    }

    fn sort(&mut self, at_ms: i64, event: &Event) {
        match event {
            Event::Job { job } => self.ping(job.class.as_str(), Ping::Start, |_| String::new()),
            Event::Success { job, result, .. } => {
                let hidden = |redactor: &Redactor| result.as_deref().map(|result| redactor.hide(result).into_owned());
                self.ping(job.class.as_str(), Ping::Success, |redactor| hidden(redactor).unwrap_or_default());
            }
            Event::Failure { job, error, tail, .. } => {
                let redactor = self.redactor();
                let error = redactor.hide(error).into_owned();
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
                    queue: None,
                    job: None,
                    at_ms,
                },
                Instant::now(),
            ),
            _ => {}
        }
    }

    /// Sends these.
    fn tell(&mut self, due: Vec<Note>) {
        let Some(notify) = self.work.borrow().config.notify.clone() else { return };
        for note in due {
            let body = note.payload(&self.host);
            let message = match &notify.target {
                NotifyTarget::Exec(argv) => {
                    let trusted = self.work.borrow().config.security.trusted();
                    Message::Run { argv: argv.clone(), trusted, body, limit: notify.timeout }
                }
                NotifyTarget::Url(url) => match HttpUrl::parse(url.reveal()) {
                    Ok(url) => Message::Post {
                        what: "[notify] url".to_owned(),
                        url,
                        media: "application/json",
                        body,
                        limit: notify.timeout,
                    },
                    // It was checked when it was read.
                    Err(_) => continue,
                },
            };
            self.put(false, message);
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
        let Some(url) = spec.url(ping) else { return };
        let what = format!("ping of task {}", task.name);
        let body = cut(body(&self.redactor()), LONGEST_BODY).into_bytes();
        self.put(true, Message::Post { what, url, media: "text/plain; charset=utf-8", body, limit: deliver::LIMIT });
    }

    /// Puts a message behind those that wait. If there are too many it is lost, because nothing waits here.
    fn put(&mut self, is_ping: bool, message: Message) {
        let sender = if is_ping { &self.pings } else { &self.notes };
        let is_full = sender.try_send(message).is_err();
        if is_full && !std::mem::replace(&mut self.is_full, true) {
            let text = format!("more than {MOST_WAITING} notifications or pings wait to be sent; some are lost");
            self.bus.emit(Event::Warning { text });
        }
        self.is_full = is_full;
    }
}
