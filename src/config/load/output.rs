//! `[output]`: where the output of tasks with `output = "file"` is kept, and how much of it.

use std::time::Duration;

use super::ConfigLoader;
use crate::config::element::duration::{self, Unit};
use crate::config::element::size;
use crate::config::model::OutputConfig;
use crate::config::reader::Table;

/// The least that a run and all runs may have, in bytes: some reads of a pipe.
const LEAST: u64 = 64 << 10;
/// The defaults.
const RUN: u64 = 10 << 20;
const TOTAL: u64 = 1 << 30;
const AGE: Duration = Duration::from_secs(7 * 24 * 3600);

impl ConfigLoader<'_> {
    pub(super) fn output(&mut self, table: Option<Table<'_>>) -> OutputConfig {
        // Under systemd a service may write to its state directory only.
        let folder = match self.sources.state_directory() {
            Some(state) => state.join("output"),
            None => self.defaults.folder.join(if self.source.is_some() { "../output" } else { "output" }),
        };
        let mut output = OutputConfig { folder, run: RUN, total: TOTAL, age: AGE, trusted: None };
        let Some(mut table) = table else { return output };
        if let Some(written) = table.take("folder").as_ref().and_then(|value| value.string()) {
            output.folder = self.defaults.folder.join(written);
        }
        let mut bytes = |key: &str, default| {
            let value = table.take(key);
            value.and_then(|value| size::read(&value, LEAST)).unwrap_or(default)
        };
        (output.run, output.total) = (bytes("run", RUN), bytes("total", TOTAL));
        if let Some(age) =
            table.take("age").and_then(|value| duration::read(&value, Unit::Milliseconds, Duration::from_secs(1)))
        {
            output.age = age;
        }
        table.finish();
        output
    }
}
