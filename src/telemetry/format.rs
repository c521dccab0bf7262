//! A text line in ActionHero's manner: `2026-11-24T03:26:18.000Z - info: message key=value`.
//!
//! A value stands in quotes if it could be read as something else than one value. What must not be shown raw is written
//! out in the values here, and in the message by the writer of lines.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::capture;
use crate::clock::Clock;
use crate::job::failure::iso_date;
use crate::text::clean;

/// Formats lines for people.
pub(super) struct TextFormat {
    pub(super) clock: Arc<dyn Clock>,
}

impl<S, N> FormatEvent<S, N> for TextFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let level = match *event.metadata().level() {
            tracing::Level::ERROR => "error",
            tracing::Level::WARN => "warning",
            tracing::Level::INFO => "info",
            tracing::Level::DEBUG => "debug",
            tracing::Level::TRACE => "trace",
        };
        write!(writer, "{} - {level}: ", iso_date(capture::event_time().unwrap_or_else(|| self.clock.now_ms())))?;
        let mut read = FieldReader::default();
        event.record(&mut read);
        writeln!(writer, "{}{}", read.message, read.fields)
    }
}

/// Fields that are a part of the message.
const IN_MESSAGE: [&str; 4] = ["task", "stream", "pid", "line"];

/// Reads the message of an event, and its fields as text.
#[derive(Default)]
struct FieldReader {
    message: String,
    fields: String,
}

impl FieldReader {
    fn put(&mut self, field: &Field, text: &str) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => self.message.write_str(text),
            name => write!(self.fields, " {}={}", name.trim_start_matches("r#"), clean::value(text)),
        };
    }
}

impl Visit for FieldReader {
    fn record_str(&mut self, field: &Field, value: &str) {
        if !IN_MESSAGE.contains(&field.name()) {
            self.put(field, value);
        }
    }

    /// All other types come here.
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if !IN_MESSAGE.contains(&field.name()) {
            self.put(field, &format!("{value:?}"));
        }
    }
}

/// The time of a JSON line.
pub(super) struct JsonTimestamp {
    pub(super) clock: Arc<dyn Clock>,
}

impl tracing_subscriber::fmt::time::FormatTime for JsonTimestamp {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        writer.write_str(&iso_date(capture::event_time().unwrap_or_else(|| self.clock.now_ms())))
    }
}
