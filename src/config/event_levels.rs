//! `[worker_logging]` and `[scheduler_logging]`: one level for each event.

use super::element::logging::{self, EventLevel};
use super::model::{SchedulerLogging, WorkerLogging};
use super::reader::Table;

/// Lists every event once, with its default level. Generates the reader of the table and the list of its levels.
macro_rules! levels {
    ($read:ident, $list:ident, $table:ident { $($event:ident = $level:ident),+ $(,)? }) => {
        /// Reads the table; events that are not in it have their default level.
        pub(super) fn $read(mut table: Option<Table<'_>>) -> $table {
            let mut level = |event, default| {
                let value = table.as_mut().and_then(|table| table.take(event));
                value.and_then(|value| logging::read_level(&value)).unwrap_or(default)
            };
            let levels = $table { $($event: level(stringify!($event), EventLevel::$level)),+ };
            if let Some(table) = table {
                table.finish();
            }
            levels
        }

        /// The events with their levels.
        pub(super) fn $list(levels: &$table) -> Vec<(&'static str, EventLevel)> {
            vec![$((stringify!($event), levels.$event)),+]
        }
    };
}

levels!(worker, worker_levels, WorkerLogging {
    failure = Error,
    retry = Warn,
    later = Info,
    success = Info,
    start = Info,
    end = Info,
    cleaning_worker = Info,
    poll = Debug,
    job = Debug,
    pause = Debug,
    re_enqueue = Debug,
    internal_error = Error,
    multi_worker_action = Debug,
});

levels!(scheduler, scheduler_levels, SchedulerLogging {
    start = Info,
    end = Info,
    poll = Debug,
    enqueue = Debug,
    re_enqueue = Debug,
    working_timestamp = Debug,
    transferred_job = Debug,
});
