//! `[notify]`: who is told of jobs that failed for good, and of runs that were missed.

use std::path::Path;
use std::time::Duration;

use super::ConfigLoader;
use crate::config::element::duration::{self, Unit};
use crate::config::element::literal;
use crate::config::error::Place;
use crate::config::model::{NotifyConfig, NotifyTarget, SecretText};
use crate::config::reader::{Table, Value};

const TIMEOUT: Duration = Duration::from_secs(10);

impl ConfigLoader<'_> {
    pub(super) fn notify(&mut self, table: Option<Table<'_>>) -> Option<NotifyConfig> {
        let mut table = table?;
        let (exec, url) = (table.take("exec"), table.take("url"));
        let limit = table.take("timeout");
        let limit = limit.and_then(|value| duration::read(&value, Unit::Milliseconds, Duration::from_millis(1)));
        let place = exec.as_ref().or(url.as_ref()).map(|value| Place::of(value.problem("")));
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
        Some(NotifyConfig { target: target?, timeout: limit.unwrap_or(TIMEOUT), place: place? })
    }

    /// A program, relative to the configuration, and its arguments.
    fn notify_exec(&self, value: &Value<'_>) -> Option<NotifyTarget> {
        let items = value.list("a program and its arguments")?;
        let mut argv: Vec<String> = items.iter().map(|item| item.string().map(str::to_owned)).collect::<Option<_>>()?;
        let (Some(program), Some((item, rest))) = (argv.first_mut(), items.split_first()) else {
            value.report("expected a program and its arguments (found nothing)");
            return None;
        };
        literal::path(item)?;
        // What follows -c is code, which knows variables.
        let are_code = items.iter().map(|item| item.raw().as_str() == Some("-c"));
        for (argument, _) in rest.iter().zip(are_code).filter(|(_, is_code)| !is_code) {
            literal::warn(argument, "write the value, or let a shell fill it in: exec = [\"sh\", \"-c\", \"...\"]");
        }
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
        let text = self.secret_of_file(value, forms, "the address")?.text;
        Some(NotifyTarget::Url(SecretText::new(&text)))
    }
}
