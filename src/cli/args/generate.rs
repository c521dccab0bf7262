//! What follows `generate`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

/// `generate ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum GenerateVerb {
    /// Write a task file, and the program that it runs
    #[command(after_help = "Examples:\n  windlass generate task sendMail --queue mail\n  \
                            windlass generate task cleanUp --schedule '30 3 * * *'\n  \
                            windlass generate task resize --handler rpc")]
    Task(GenerateTaskArgs),
    /// Write a configuration with every key and its default
    #[command(after_help = "Examples:\n  windlass generate config\n  \
                            windlass generate config --actionhero /etc/windlass/tasks.toml")]
    Config(GenerateConfigArgs),
}

/// How a new task's jobs are performed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum HandlerChoice {
    /// A process for each job
    Exec,
    /// A process that takes many jobs, in Python, over JSON-RPC
    Rpc,
    /// A request to an HTTP server for each job
    Http,
}

/// `generate task`.
#[derive(Debug, ClapArgs)]
pub(crate) struct GenerateTaskArgs {
    /// The task's name
    pub name: String,
    /// How its jobs are performed
    #[arg(long, value_enum, default_value_t = HandlerChoice::Exec)]
    pub handler: HandlerChoice,
    /// Its queue
    #[arg(long, value_name = "Q", default_value = "default")]
    pub queue: String,
    /// Make the task periodic, with this interval: 5m
    #[arg(long, value_name = "DURATION", conflicts_with = "schedule")]
    pub frequency: Option<String>,
    /// Make the task periodic, by a cron expression
    #[arg(long, value_name = "CRON")]
    pub schedule: Option<String>,
    /// The folder, if it is not the configuration's tasks_dir
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
    /// Replace existing files
    #[arg(long)]
    pub force: bool,
}

/// `generate config`.
#[derive(Debug, ClapArgs)]
pub(crate) struct GenerateConfigArgs {
    /// Use ActionHero's defaults: no scheduler, no processors, stuck jobs fail
    #[arg(long)]
    pub actionhero: bool,
    /// The file
    #[arg(default_value = "config/tasks.toml", value_name = "FILE")]
    pub file: PathBuf,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
}

/// Whose completions are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompletedShell {
    /// bash
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}
