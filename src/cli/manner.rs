//! How results are shown: what stdout is, and what the line and the environment ask for.

use clap::ColorChoice;

use super::args::ShownArgs;
use super::told;
use crate::clock::{Clock as _, SystemClock};

/// How results are shown. In a pipe everything stays as it was, because programs read it there.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Manner {
    /// The width of the terminal that stdout is, if it is one.
    pub terminal: Option<usize>,
    /// How many rows it has.
    pub rows: Option<usize>,
    /// Is everything to be shown, however wide it is?
    pub wide: bool,
    /// Are times shown in UTC?
    pub utc: bool,
    /// Are times shown as clocks show them, because how long ago they are changes with every look?
    pub by_clock: bool,
    /// Is anything coloured?
    pub coloured: bool,
    /// The present.
    pub now_ms: i64,
}

impl Manner {
    /// As this line, this environment and the terminal ask for, of which there are columns and rows.
    #[must_use]
    pub(super) fn of(said: &ShownArgs, (terminal, rows): (Option<usize>, Option<usize>)) -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let is = |name: &str, text: &str| set(name).is_some_and(|value| value == text);
        let coloured = match said.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto if set("NO_COLOR").is_some() => false,
            ColorChoice::Auto if set("CLICOLOR_FORCE").is_some() => !is("CLICOLOR_FORCE", "0"),
            ColorChoice::Auto => terminal.is_some() && !is("CLICOLOR", "0") && !is("TERM", "dumb"),
        };
        let by_clock = said.wide || said.watch.is_some();
        Self { terminal, rows, wide: said.wide, utc: said.utc, by_clock, coloured, now_ms: SystemClock.now_ms() }
    }

    /// A time of a listing, from a date of its document. On a terminal it is told by how long ago it was or will be; `piped` is
    /// what stands in a pipe.
    #[must_use]
    pub(super) fn time(self, date: &str, piped: impl FnOnce() -> String) -> String {
        match told::ms_of(date) {
            Some(ms) => self.moment(ms, piped),
            // Other programs write what is no date.
            None if self.terminal.is_none() => piped(),
            None => date.to_owned(),
        }
    }

    /// The same of milliseconds since the Unix epoch.
    #[must_use]
    pub(super) fn moment(self, ms: i64, piped: impl FnOnce() -> String) -> String {
        match self.terminal {
            _ if self.utc => told::time(ms, true),
            None => piped(),
            Some(_) if self.by_clock => told::time(ms, false),
            Some(_) => told::distance(ms, self.now_ms),
        }
    }

    /// A time that people compare with clocks: never by how long ago.
    #[must_use]
    pub(super) fn clock(self, date: &str, piped: impl FnOnce() -> String) -> String {
        match (told::ms_of(date), self.terminal) {
            (Some(ms), _) if self.utc => told::time(ms, true),
            (Some(ms), Some(_)) => told::time(ms, false),
            _ => piped(),
        }
    }

    /// A time that has a line for itself: with how long ago it was.
    #[must_use]
    pub(super) fn whole_time(self, date: &str) -> String {
        match (told::ms_of(date), self.terminal) {
            (Some(ms), Some(_)) => {
                format!("{} ({})", told::time(ms, self.utc), told::distance(ms, self.now_ms))
            }
            (Some(ms), None) if self.utc => told::time(ms, true),
            _ => date.to_owned(),
        }
    }

    /// A word that a terminal has, and what stood in a pipe before.
    #[must_use]
    pub(super) fn word(self, told: &'static str, piped: &'static str) -> &'static str {
        if self.terminal.is_some() { told } else { piped }
    }

    /// How long something takes.
    #[must_use]
    pub(super) fn span(self, ms: u64, piped: impl FnOnce() -> String) -> String {
        if self.terminal.is_some() { told::span(ms) } else { piped() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "2026-11-24T03:26:18.000Z";
    const NOW_MS: i64 = 1_795_490_778_000 + 125_000;

    fn manner(terminal: Option<usize>) -> Manner {
        Manner { terminal, now_ms: NOW_MS, ..Manner::default() }
    }

    #[test]
    fn a_pipe_has_what_it_had_and_a_terminal_one_form() {
        let piped = || "as ever".to_owned();
        assert_eq!(manner(None).time(DATE, piped), "as ever");
        assert_eq!(manner(None).span(65_000, piped), "as ever");
        assert_eq!(manner(Some(80)).time(DATE, piped), "2m 5s ago");
        assert_eq!(manner(Some(80)).span(65_000, piped), "1m 5s");
        for terminal in [None, Some(80)] {
            let utc = Manner { utc: true, ..manner(terminal) };
            assert_eq!(utc.time(DATE, piped), "2026-11-24 03:26:18 UTC");
            assert_eq!(utc.clock(DATE, piped), "2026-11-24 03:26:18 UTC");
        }
        let utc = Manner { utc: true, ..manner(Some(80)) };
        assert_eq!(utc.whole_time(DATE), "2026-11-24 03:26:18 UTC (2m 5s ago)");
        assert_eq!(manner(None).whole_time(DATE), DATE);
        assert_eq!(manner(Some(80)).time("soon", piped), "soon", "what is no date is shown as it is");
    }
}
