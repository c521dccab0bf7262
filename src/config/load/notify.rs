//! `[notify]`: who is told of jobs that failed for good, and of runs that were missed.

use std::path::Path;
use std::time::Duration;

use super::ConfigLoader;
use crate::config::element::duration::{self, Unit};
use crate::config::model::{NotifyConfig, NotifyTarget, SecretText};
use crate::config::reader::{Table, Value};

const TIMEOUT: Duration = Duration::from_secs(10);

impl ConfigLoader<'_> {
    pub(super) fn notify(&mut self, table: Option<Table<'_>>) -> Option<NotifyConfig> {
        let mut table = table?;
        let (exec, url) = (table.take("exec"), table.take("url"));
        let limit = table.take("timeout");
        let limit = limit.and_then(|value| duration::read(&value, Unit::Milliseconds, Duration::from_millis(1)));
        let target = match (exec, url) {
            (Some(exec), None) => self.notify_exec(&exec),
            (None, Some(url)) => self.notify_url(&url),
            (Some(_), Some(url)) => {
                url.report("expected one of exec and url");
                None
            }
            (None, None) => {
                table.report("expected exec = [\"PROGRAM\"] or url = \"https://...\"");
                None
            }
        };
        table.finish();
        Some(NotifyConfig { target: target?, timeout: limit.unwrap_or(TIMEOUT) })
    }

    /// A program, relative to the configuration, and its arguments.
    fn notify_exec(&self, value: &Value<'_>) -> Option<NotifyTarget> {
        let items = value.list("a program and its arguments")?;
        let mut argv: Vec<String> = items.iter().map(|item| item.string().map(str::to_owned)).collect::<Option<_>>()?;
        let Some(program) = argv.first_mut().filter(|program| !program.is_empty()) else {
            value.report("expected a program and its arguments (found nothing)");
            return None;
        };
        if program.contains('/') {
            *program = self.defaults.folder.join(Path::new(program)).display().to_string();
        }
        Some(NotifyTarget::Exec(argv))
    }

    /// An address, `{ file = "PATH" }` or `{ credential = "NAME" }`: who knows the address of a chat can write there.
    fn notify_url(&mut self, value: &Value<'_>) -> Option<NotifyTarget> {
        if let Some(text) = value.raw().as_str() {
            return Some(NotifyTarget::Url(SecretText::new(text)));
        }
        let forms = "an address, { file = \"...\" } or { credential = \"...\" }";
        let text = self.secret_of_file(value, forms, "the address")?;
        Some(NotifyTarget::Url(SecretText::new(&text)))
    }
}
