//! Sends messages: a program gets them on stdin, a server as a body.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::config::model::{NotifyConfig, NotifyTarget};
use crate::event::{Bus, Event};
use crate::file::trust::Owners;
#[cfg(feature = "http")]
use crate::handler::http::{SystemTrust, post};
use crate::job::TaskName;
use crate::pool::Work;
use crate::process::signal::status_text;
use crate::process::{Command, OutputLine, Running, Tail, terminate};
use crate::scheduler::SchedulerConfig;
use crate::task::http_url::HttpUrl;
use crate::task::ping::Ping;

/// How long a ping may take.
const LIMIT: Duration = Duration::from_secs(10);
/// How long a program may take to end after TERM.
const GRACE: Duration = Duration::from_secs(2);

/// What is to be told.
pub(super) enum Message {
    /// To whom `[notify]` names.
    Note(Vec<u8>),
    /// To the server that the task names.
    Ping { task: TaskName, ping: Ping, body: Vec<u8> },
}

/// Sends, and tells what cannot be sent.
pub(super) struct Deliver {
    bus: Bus,
    work: watch::Receiver<Work>,
    scheduler: watch::Receiver<SchedulerConfig>,
    #[cfg(feature = "http")]
    trust: SystemTrust,
    /// What failed when it was sent last.
    failing: Mutex<HashSet<String>>,
}

/// A request to a server.
struct Post {
    url: HttpUrl,
    #[cfg_attr(not(feature = "http"), expect(dead_code, reason = "nothing posts"))]
    media: &'static str,
    #[cfg_attr(not(feature = "http"), expect(dead_code, reason = "nothing posts"))]
    limit: Duration,
}

impl Deliver {
    pub(super) fn new(bus: Bus, work: watch::Receiver<Work>, scheduler: watch::Receiver<SchedulerConfig>) -> Self {
        Self {
            bus,
            work,
            scheduler,
            #[cfg(feature = "http")]
            trust: SystemTrust::default(),
            failing: Mutex::default(),
        }
    }

    /// Sends a message to whom the configuration and the task name now. Nobody is told if they name nobody any more.
    pub(super) async fn send(&self, message: Message) {
        let (what, sent) = match message {
            Message::Note(body) => {
                let config = Arc::clone(&self.work.borrow().config);
                let Some(NotifyConfig { target, timeout: limit, .. }) = &config.notify else { return };
                match target {
                    NotifyTarget::Exec(argv) => {
                        ("[notify] exec".to_owned(), run(argv, config.security.trusted(), body, *limit).await)
                    }
                    NotifyTarget::Url(url) => {
                        // It was checked when it was read.
                        let Ok(url) = HttpUrl::parse(url.reveal()) else { return };
                        let post = Post { url, media: "application/json", limit: *limit };
                        ("[notify] url".to_owned(), self.post(post, body).await)
                    }
                }
            }
            Message::Ping { task, ping, body } => {
                let Some(url) = self.address(&task, ping) else { return };
                let post = Post { url, media: "text/plain; charset=utf-8", limit: LIMIT };
                (format!("ping of task {task}"), self.post(post, body).await)
            }
        };
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match sent {
            Ok(()) if failing.remove(&what) => {
                self.bus.emit(Event::Notice { text: format!("{what} works again") });
            }
            Ok(()) => {}
            Err(why) if failing.insert(what.clone()) => {
                let text =
                    format!("{what} failed: {why}; what it was to tell is lost, and this is told again when it works");
                self.bus.emit(Event::Warning { text });
            }
            Err(_) => {}
        }
    }
}

impl Deliver {
    /// Which server gets this ping now, if one does.
    pub(super) fn server(&self, message: &Message) -> Option<String> {
        match message {
            Message::Note(_) => None,
            Message::Ping { task, ping, .. } => Some(self.address(task, *ping)?.origin()),
        }
    }

    fn address(&self, task: &TaskName, ping: Ping) -> Option<HttpUrl> {
        let registry = Arc::clone(&self.scheduler.borrow().registry);
        registry.get(task.as_str())?.ping.as_ref()?.url(ping)
    }

    #[cfg(feature = "http")]
    async fn post(&self, Post { url, media, limit }: Post, body: Vec<u8>) -> Result<(), String> {
        post(&url, &self.trust, media, body, limit).await
    }

    #[cfg(not(feature = "http"))]
    #[expect(clippy::unused_async, reason = "it has the shape of the other one")]
    async fn post(&self, _: Post, _: Vec<u8>) -> Result<(), String> {
        Err("this program was built without the feature `http`".to_owned())
    }
}

/// Runs a program to its end, which it has to reach in time.
async fn run(argv: &[String], trusted: Option<Arc<Owners>>, body: Vec<u8>, limit: Duration) -> Result<(), String> {
    let Some((program, args)) = argv.split_first() else { return Err("it names no program".to_owned()) };
    let mut command = Command::new(program);
    command.args(args).changed_by(trusted).discard_stdout();
    let mut running = Running::spawn(&command, body).map_err(|error| format!("failed to {error}"))?;
    let (mut tail, deadline, mut open) = (Tail::default(), Instant::now() + limit, true);
    let in_time = loop {
        let Running { child, input, output } = &mut running;
        let mut sink = |line: OutputLine<'_>| tail.push(line.text);
        tokio::select! {
            () = child.exited() => break true,
            never = input.feed() => match never {},
            more = output.pump(&mut sink), if open => open = more,
            () = tokio::time::sleep_until(deadline) => break false,
        }
    };
    if !in_time {
        terminate::end(&mut running.child, GRACE).await;
    }
    running.output.rest(&mut |line| tail.push(line.text)).await;
    let status = running.child.reap().map_err(|error| format!("its exit status was lost: {error}"))?;
    if !in_time {
        return Err(format!("{program} did not end within {}", humantime::format_duration(limit)));
    }
    if status.success() {
        return Ok(());
    }
    let said = tail.into_lines().pop().map(|line| format!(": {line}")).unwrap_or_default();
    Err(format!("{program} {}{said}", status_text(status)))
}
