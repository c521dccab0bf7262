//! How a command ends: its error, and the exit code.

use std::io;

use crate::admin::AdminError;
use crate::client::{ClientError, RequestError};
use crate::config::error::Problems;
use crate::store::error::StoreError;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// Done.
    Done,
    /// The command did not do what was asked.
    Failure,
    /// There is nothing of that name to explain.
    NotFound,
    /// The command line, a file or a task is wrong: repeating the command does not help.
    Usage,
    /// The store cannot be reached or used: repeating the command may help.
    Unavailable,
    /// Done, but what was done could not be written: repeating the command would do it twice.
    Unreported,
    /// The job that was waited for ended with this exit code.
    Job(u8),
    /// The job that was waited for has not ended in time, as with `timeout`.
    Late,
    /// Somebody pressed Ctrl-C, as with any program that SIGINT ended.
    Interrupted,
}

impl Exit {
    /// All of them, in the order of their codes.
    #[cfg(test)]
    pub(super) const ALL: [Self; 6] =
        [Self::Done, Self::Failure, Self::NotFound, Self::Usage, Self::Unavailable, Self::Unreported];

    /// The process' exit code, after `sysexits.h`.
    #[must_use]
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failure => 1,
            Self::NotFound => 2,
            Self::Usage => 64,
            Self::Unavailable => 69,
            Self::Unreported => 74,
            Self::Job(code) => code,
            Self::Late => 124,
            Self::Interrupted => 130,
        }
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// The command line is wrong.
    #[error("{0}")]
    Usage(String),
    /// The configuration or the tasks are wrong.
    #[error("{0}")]
    Problems(Problems),
    /// The configuration is wrong, and its mistakes may decide which store and which tasks are meant.
    #[error("{0}")]
    Uncertain(Problems),
    /// A client's call failed.
    #[error("{0}")]
    Client(#[from] ClientError),
    /// An administrator's call failed.
    #[error("{0}")]
    Admin(#[from] AdminError),
    /// The store at this address cannot be opened.
    #[error("failed to {error} ({url})")]
    Store {
        /// Where it should be, without secrets.
        url: String,
        /// What went wrong.
        error: StoreError,
    },
    /// There is no database to look into, and this command creates none.
    #[error("{message}")]
    NoDatabase {
        /// Which one, and who named it.
        message: String,
        /// What to do.
        hint: &'static str,
    },
    /// A task that does not exist, in a command that can do without one.
    #[error("{error}")]
    NoTask {
        /// The error.
        error: AdminError,
        /// What to do.
        hint: &'static str,
    },
    /// A queue that does not exist so far, in a command that can do without.
    #[error("{0}")]
    NoQueue(AdminError),
    /// This command runs in a job, and its daemon does not lead it to the store.
    #[error("this command runs in a job, and the daemon of the job {0}")]
    Undirected(String),
    /// The store failed in the middle of many jobs.
    #[error("{message}")]
    Interrupted {
        /// How far it came.
        message: String,
        /// What went wrong.
        error: StoreError,
    },
    /// A person stopped it in the middle of many jobs.
    #[error("{0}")]
    Stopped(String),
    /// Something else failed.
    #[error("{0}")]
    Failed(String),
    /// The output could not be written.
    #[error("failed to write the output: {0}")]
    Output(#[from] io::Error),
    /// A command was carried out, and what it changed could not be written.
    #[error("failed to write the output: {error}; the command was carried out: {}", outcome.trim_end())]
    Unreported {
        /// What the output was to say.
        outcome: String,
        /// Why it could not be written.
        error: io::Error,
    },
}

impl CliError {
    /// A task that does not exist here, in a command that takes the queue of a task that others know.
    #[must_use]
    pub(super) fn no_task(error: AdminError) -> Self {
        let hint = "list the tasks: windlass tasks; for a task that other workers know, name its queue: --queue Q";
        Self::NoTask { error, hint }
    }

    /// The same error of a command that changes things: people want to know whether it did. `certain`: the store undoes a
    /// step that failed.
    #[must_use]
    pub(super) fn of_a_change(self, certain: bool) -> Self {
        let (message, error) = match self {
            Self::Admin(AdminError::Store(error)) => (format!("failed to {error}"), error),
            Self::Interrupted { message, error } => (message, error),
            other => return other,
        };
        let known = match &error {
            StoreError::Unavailable(_) if !certain => {
                "the answer was lost, so that it is not known whether this step was done: look before you repeat the command"
            }
            error if error.is_transient() => "this step changed nothing: repeat the command when the store takes it",
            _ => return Self::Interrupted { message, error },
        };
        Self::Interrupted { message: format!("{message}; {known}"), error }
    }

    /// Could the output not be written?
    #[must_use]
    pub(super) fn is_of_the_output(&self) -> bool {
        matches!(self, Self::Output(_) | Self::Unreported { .. })
    }

    /// The name that is wrong, if it is one.
    fn name(&self) -> Option<&str> {
        match self {
            Self::Admin(AdminError::NotFound { name, .. } | AdminError::Name { text: name, .. })
            | Self::NoTask { error: AdminError::NotFound { name, .. }, .. }
            | Self::NoQueue(AdminError::NotFound { name, .. })
            | Self::Client(ClientError::Request(
                RequestError::UnknownTask { task: name, .. } | RequestError::Name { text: name, .. },
            )) => Some(name),
            _ => None,
        }
    }

    /// The command to type next, if one helps.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        Some(match self {
            error if error.name().is_some_and(|name| name.trim().is_empty()) => {
                "the name is empty: is the shell variable set from which it comes?"
            }
            Self::NoTask { hint, .. } => hint,
            Self::Uncertain(_) => {
                "correct them first: they may decide which store or which tasks are meant, so that this command might work on others"
            }
            Self::NoQueue(_) => {
                "list the queues: windlass queues; to pause one before its first job: queues pause QUEUE --new"
            }
            Self::Client(ClientError::Request(RequestError::Broken { .. })) => "see its mistakes: windlass check",
            Self::Admin(AdminError::NotFailed(_)) => "list the failed jobs: windlass failed",
            Self::Admin(AdminError::Ambiguous { .. }) => "name one of them in full",
            Self::Admin(AdminError::NotFound { what, .. }) => match *what {
                "queue" => "list the queues: windlass queues",
                "worker" => "list the workers: windlass workers",
                "lock" => "list the locks: windlass locks",
                "periodic task" => "list the periodic tasks: windlass periodic",
                _ => "list the tasks: windlass tasks",
            },
            Self::Client(ClientError::Request(RequestError::UnknownTask { .. })) => "list the tasks: windlass tasks",
            Self::Client(ClientError::Request(RequestError::QueueMissing { .. })) => "name the queue: --queue Q",
            Self::Client(ClientError::Duplicate { .. }) => "to count that as done: --suppress-duplicate",
            Self::NoDatabase { hint, .. } => hint,
            Self::Undirected(_) => "name the store: --store URL, or WINDLASS_STORE_URL before the command",
            Self::Store { error, .. } if is_crowded(error) => {
                "close connections of other programs, or raise the server's maxclients: redis-cli CONFIG SET maxclients N"
            }
            Self::Store { error, .. } if error.is_transient() => {
                "start the store, or correct its address: [store] url, WINDLASS_STORE_URL or --store"
            }
            _ => return None,
        })
    }

    /// The one place that says what ends in which exit code.
    #[must_use]
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) | Self::Problems(_) | Self::Uncertain(_) => Exit::Usage,
            Self::Client(error) => match error {
                ClientError::Request(request) => match request {
                    // As of every other name that does not exist.
                    RequestError::UnknownTask { .. } => Exit::Failure,
                    RequestError::Broken { .. }
                    | RequestError::QueueMissing { .. }
                    | RequestError::PeriodicArguments { .. }
                    | RequestError::Name { .. }
                    | RequestError::Input(_)
                    | RequestError::Args(_)
                    | RequestError::Encode(_) => Exit::Usage,
                },
                ClientError::Address(_) => Exit::Usage,
                ClientError::Duplicate { .. } | ClientError::KeyReused | ClientError::Plugin(_) => Exit::Failure,
                ClientError::Store(error) | ClientError::Unknown(error) | ClientError::UnknownOnce(error) => {
                    store(error)
                }
            },
            Self::Admin(error) | Self::NoTask { error, .. } | Self::NoQueue(error) => match error {
                AdminError::NotFound { .. }
                | AdminError::NotFailed(_)
                | AdminError::Ambiguous { .. }
                | AdminError::NotRetriable { .. }
                | AdminError::Changed { .. }
                | AdminError::OtherCount { .. }
                | AdminError::Alive { .. }
                | AdminError::Busy { .. } => Exit::Failure,
                AdminError::BadAddress(_) | AdminError::Name { .. } | AdminError::SameStore { .. } => Exit::Usage,
                AdminError::Request(_) => Exit::Usage,
                AdminError::Store(error) => store(error),
            },
            Self::Store { error, .. } | Self::Interrupted { error, .. } => store(error),
            Self::NoDatabase { .. } | Self::Undirected(_) => Exit::Unavailable,
            Self::Failed(_) | Self::Stopped(_) | Self::Output(_) => Exit::Failure,
            Self::Unreported { .. } => Exit::Unreported,
        }
    }
}

/// Does the server take no more connections?
fn is_crowded(error: &StoreError) -> bool {
    error.to_string().contains("max number of clients reached")
}

fn store(error: &StoreError) -> Exit {
    match error {
        StoreError::Unavailable(_)
        | StoreError::Unreached(_)
        | StoreError::Refusing { .. }
        | StoreError::Full(_)
        | StoreError::Unsupported(_)
        | StoreError::MissingRights(_)
        | StoreError::Barred { .. } => Exit::Unavailable,
        StoreError::Corrupt { .. } | StoreError::Misuse(_) => Exit::Failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_that_scripts_rely_on() {
        assert_eq!(Exit::ALL.map(Exit::code), [0, 1, 2, 64, 69, 74]);
        let unknown = RequestError::UnknownTask { task: "x".into(), suggestion: None };
        assert_eq!(CliError::from(ClientError::from(unknown)).exit(), Exit::Failure);
        assert_eq!(CliError::from(ClientError::Duplicate { second: 1 }).exit(), Exit::Failure);
        let empty = RequestError::UnknownTask { task: " ".into(), suggestion: None };
        assert!(CliError::from(ClientError::from(empty)).hint().is_some_and(|hint| hint.contains("shell variable")));
        let gone = StoreError::Unavailable("refused".into());
        assert_eq!(CliError::from(AdminError::from(gone)).exit(), Exit::Unavailable);
    }
}
