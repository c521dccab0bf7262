//! How any command shows its results.

use std::time::Duration;

use clap::{Args as ClapArgs, ColorChoice};

use crate::cli::value;

/// How results are shown.
#[derive(Debug, Clone, Default, ClapArgs)]
pub(crate) struct ShownArgs {
    /// Show all columns and whole cells, however narrow the terminal is, and times as clocks here show them
    #[arg(long, global = true, display_order = 901)]
    pub wide: bool,
    /// Show times in UTC
    #[arg(long, global = true, display_order = 901)]
    pub utc: bool,
    /// Repeat a listing every so often, at most twice a second, and mark what has changed; Ctrl-C ends it
    #[arg(long, global = true, display_order = 901, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "2s", value_parser = value::wait)]
    pub watch: Option<Duration>,
    /// Colour the output: auto is on a terminal, unless NO_COLOR is set, and with CLICOLOR_FORCE everywhere
    #[arg(
        long,
        global = true,
        display_order = 901,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = false
    )]
    pub color: ColorChoice,
}
