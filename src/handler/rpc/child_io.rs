//! The pipes of a child: its stderr, and waits for pipes that may be closed already.

use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::time::{Instant, sleep_until};

use crate::event::{OutputStream, OutputTeller};
use crate::process::{OutputLine, Tail};

/// A child's stderr: each line is emitted as an event, and the last lines are kept.
pub(super) struct ChildStderr {
    pub(super) tail: Tail,
    pub(super) log: OutputTeller,
}

impl ChildStderr {
    pub(super) fn take(&mut self, line: OutputLine<'_>) {
        self.tail.push(line.text);
        self.log.tell(OutputStream::Stderr, line.text);
    }
}

pub(super) async fn readable(output: Option<&Receiver>) {
    match output {
        // An error shows again at the read, which then closes this pipe.
        Some(output) => drop(output.readable().await),
        None => std::future::pending().await,
    }
}

pub(super) async fn writable(input: Option<&Sender>) {
    match input {
        Some(input) => drop(input.writable().await),
        None => std::future::pending().await,
    }
}

pub(super) async fn at(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}
