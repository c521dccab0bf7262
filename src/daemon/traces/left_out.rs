//! Nothing is traced.

use std::io;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::config::Config;
use crate::config::error::Problem;
use crate::event::{Bus, Listener};
use crate::pool::{Control, Work};

/// What is wrong with `[otel]` beyond its form: it was refused when it was read.
#[must_use]
pub(crate) fn check(_: &Config) -> Option<Problem> {
    None
}

/// The interests of all listeners.
pub(in crate::daemon) fn interests(own: [u32; 3]) -> [u32; 3] {
    own
}

/// What hears the ends of runs: nothing.
pub(in crate::daemon) struct Heard;

impl Heard {
    pub(in crate::daemon) fn of(_: &mut Vec<Listener>) -> Self {
        Self
    }
}

pub(in crate::daemon) fn listen(_: &Bus, _: &Config) {}

pub(in crate::daemon) struct Traces;

pub(in crate::daemon) fn start(_: Heard, _: &Bus, _: &watch::Receiver<Work>, _: &Handle) -> io::Result<Traces> {
    Ok(Traces)
}

impl Traces {
    pub(in crate::daemon) async fn end(self, _: Instant, _: watch::Receiver<Control>) {}
}
