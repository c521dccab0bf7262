//! A text line in ActionHero's manner: `2026-11-24T03:26:18.000Z - info: message key=value`.

use std::fmt;
use std::sync::Arc;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::capture;
use crate::clock::Clock;
use crate::job::failure::iso_date;

/// Formats lines for people.
pub(super) struct TextFormat {
    pub(super) clock: Arc<dyn Clock>,
}

impl<S, N> FormatEvent<S, N> for TextFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let level = match *event.metadata().level() {
            tracing::Level::ERROR => "error",
            tracing::Level::WARN => "warning",
            tracing::Level::INFO => "info",
            tracing::Level::DEBUG => "debug",
            tracing::Level::TRACE => "trace",
        };
        write!(writer, "{} - {level}: ", iso_date(capture::event_time().unwrap_or_else(|| self.clock.now_ms())))?;
        context.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
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
