//! What follows `run`, `leader` and `plan`.

use clap::Args as ClapArgs;

/// `run`.
#[derive(Debug, Default, ClapArgs)]
pub(crate) struct RunArgs {
    /// Queues to work on, in order of priority; globs and !exclusions too
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub queues: Option<Vec<String>>,
    /// Fewest processors
    #[arg(long, value_name = "N")]
    pub min: Option<usize>,
    /// Most processors
    #[arg(long, value_name = "N")]
    pub max: Option<usize>,
    /// Run a scheduler too?
    #[arg(long, value_name = "true|false")]
    pub scheduler: Option<bool>,
}

/// `leader`.
#[derive(Debug, ClapArgs)]
pub(crate) struct LeaderArgs {
    /// Exit with 0 if the leader runs on this host, with 1 if not
    #[arg(long)]
    pub check: bool,
}

/// `plan`.
#[derive(Debug, ClapArgs)]
pub(crate) struct PlanArgs {
    /// How far to look ahead
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=87_600))]
    pub hours: u32,
    /// Only this task
    #[arg(long, value_name = "T")]
    pub task: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub limit: usize,
}
