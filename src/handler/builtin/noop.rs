//! Does nothing, well.

use tokio::sync::watch;

use crate::handler::contract::{Begun, Handler, Invocation, Stop};
use crate::job::Outcome;

/// `builtin = "noop"`: every job succeeds at once.
#[derive(Debug, Clone, Copy, Default)]
pub struct Noop;

impl Handler for Noop {
    fn begin(&self, _job: Invocation, _stop: watch::Receiver<Stop>) -> Begun {
        Begun::Ended(Outcome::Success { result: None })
    }
}
