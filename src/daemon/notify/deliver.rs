//! Sends messages: a program gets them on stdin, a server as a body.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::event::{Bus, Event};
use crate::file::trust::Owners;
#[cfg(feature = "http")]
use crate::handler::http::{SystemTrust, post};
use crate::process::signal::status_text;
use crate::process::{Command, OutputLine, Running, Tail, terminate};
use crate::task::http_url::HttpUrl;

/// How long a ping may take.
pub(super) const LIMIT: Duration = Duration::from_secs(10);
/// How long a program may take to end after TERM.
const GRACE: Duration = Duration::from_secs(2);

/// What is sent.
pub(super) enum Message {
    /// To a program.
    Run { argv: Vec<String>, trusted: Option<Arc<Owners>>, body: Vec<u8>, limit: Duration },
    /// To a server.
    Post { what: String, url: HttpUrl, media: &'static str, body: Vec<u8>, limit: Duration },
}

/// Sends, and tells what cannot be sent.
pub(super) struct Deliver {
    bus: Bus,
    #[cfg(feature = "http")]
    trust: SystemTrust,
    /// What failed when it was sent last.
    failing: Mutex<HashSet<String>>,
}

impl Deliver {
    pub(super) fn new(bus: Bus) -> Self {
        Self {
            bus,
            #[cfg(feature = "http")]
            trust: SystemTrust::default(),
            failing: Mutex::default(),
        }
    }

    pub(super) async fn send(&self, message: Message) {
        let (what, sent) = match message {
            Message::Run { argv, trusted, body, limit } => {
                ("[notify] exec".to_owned(), run(&argv, trusted, body, limit).await)
            }
            #[cfg(feature = "http")]
            Message::Post { what, url, media, body, limit } => {
                (what, post(&url, &self.trust, media, body, limit).await)
            }
            #[cfg(not(feature = "http"))]
            Message::Post { what, .. } => (what, Err("this program was built without the feature `http`".to_owned())),
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
