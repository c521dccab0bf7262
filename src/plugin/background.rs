//! The output of background processes, for the log.

use tokio::time::Instant;

use crate::event::{OutputStream, OutputTeller};
use crate::process::background::Listener;
use crate::process::{OutputLine, Source};

impl Listener for OutputTeller {
    fn take(&mut self, line: OutputLine<'_>) {
        let stream = if line.source == Source::Stderr { OutputStream::Stderr } else { OutputStream::Stdout };
        let shown = self.shown(stream, line.overwritten, line.text, line.continued);
        self.tell(stream, &shown, line.continued);
    }

    fn held_until(&self, now: Instant) -> Option<Instant> {
        Self::held_until(self, now)
    }

    fn warn(&mut self, what: &str) {
        Self::warn(self, what);
    }
}
