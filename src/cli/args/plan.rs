//! What follows `plan`.

use clap::Args as ClapArgs;

/// `plan`.
#[derive(Debug, ClapArgs)]
pub struct PlanArgs {
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
