//! Says what it was given.

use tokio::sync::watch;

use crate::event::{Bus, Event, Kind, Stream};
use crate::handler::contract::{Begun, Handler, Invocation, Stop};
use crate::job::Outcome;

/// `builtin = "log"`: the arguments are logged as the job's output, as a program would print them.
#[derive(Debug, Clone)]
pub struct Log {
    bus: Bus,
}

impl Log {
    /// A log handler that speaks through this bus.
    #[must_use]
    pub fn new(bus: Bus) -> Self {
        Self { bus }
    }
}

impl Handler for Log {
    fn begin(&self, job: Invocation, _stop: watch::Receiver<Stop>) -> Begun {
        if self.bus.wants(Kind::Output) {
            self.bus.emit(Event::Output {
                id: job.identity.id,
                task: job.task.name.clone(),
                stream: Stream::Stdout,
                line: String::from_utf8_lossy(&job.args).into_owned(),
            });
        }
        Begun::Ended(Outcome::Success { result: None })
    }
}
