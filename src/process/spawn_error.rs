//! Why a command did not start.

use std::io;
use std::path::PathBuf;

use super::runnable::Unrunnable;
use crate::file::trust::Untrusted;

/// Why a command did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// A string for the kernel holds a NUL byte.
    #[error("start {program}: an argument or an environment variable holds a NUL byte")]
    Nul {
        /// The program.
        program: String,
    },
    /// There is no such program.
    #[error("start {program}: there is no such program")]
    NotFound {
        /// The program.
        program: String,
    },
    /// The program exists, but its interpreter does not.
    #[error("start {program}: the interpreter that its first line names, or its loader, does not exist")]
    NoInterpreter {
        /// The program.
        program: String,
    },
    /// The file cannot run, and it is known why.
    #[error("start {program}: {source}")]
    Unrunnable {
        /// The program.
        program: String,
        /// What is wrong.
        source: Unrunnable,
    },
    /// The working directory cannot be entered.
    #[error("start {program}: the working directory {} cannot be entered", .cwd.display())]
    Directory {
        /// The program.
        program: String,
        /// The directory.
        cwd: PathBuf,
    },
    /// The program may not be executed.
    #[error("start {program}: permission denied (is it executable?)")]
    Denied {
        /// The program.
        program: String,
    },
    /// The kernel does not know how to execute the program.
    #[error("start {program}: it is neither a binary of this machine nor a script that begins with #!")]
    NotExecutable {
        /// The program.
        program: String,
    },
    /// Its variables cannot be read. Says which, and why.
    #[error("{0}")]
    Environment(String),
    /// Somebody may change the program who is not trusted.
    #[error("start {program}: {source}")]
    Untrusted {
        /// The program.
        program: String,
        /// What is wrong.
        source: Untrusted,
    },
    /// Arguments and environment are too long together.
    #[error("start {program}: its arguments and environment together are longer than the system passes on")]
    TooLong {
        /// The program.
        program: String,
    },
    /// This process or the machine is short of something that every start takes: descriptors, processes, memory. Nothing has
    /// begun, and neither the job nor its task is at fault.
    #[error("start {program}: {source}")]
    Short {
        /// The program.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// The program file is being written; a later try may work.
    #[error("start {program}: {source}")]
    Busy {
        /// The program.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// Anything else.
    #[error("start {program}: {source}")]
    Other {
        /// The program.
        program: String,
        /// What the system said.
        source: io::Error,
    },
}

impl SpawnError {
    /// May the same start succeed a little later, when somebody has put the program in its place? If not, something else
    /// is wrong with the job or its task.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::NotFound { .. }
            | Self::NoInterpreter { .. }
            | Self::Unrunnable { .. }
            | Self::Directory { .. }
            | Self::Denied { .. }
            | Self::NotExecutable { .. }
            | Self::Environment(_)
            | Self::Short { .. }
            | Self::Busy { .. } => true,
            // What the system said of the file: EIO, ESTALE, ...
            Self::Other { source, .. } => source.raw_os_error().is_some(),
            Self::Nul { .. } | Self::TooLong { .. } | Self::Untrusted { .. } => false,
        }
    }

    /// Is this process or the machine short of a resource that it needs to start any program?
    #[must_use]
    pub fn is_shortage(&self) -> bool {
        matches!(self, Self::Short { .. })
    }

    /// May a start succeed that is tried again in a moment?
    pub(super) fn is_momentary(&self) -> bool {
        matches!(self, Self::Short { .. } | Self::Busy { .. })
    }

    /// What was needed before the program's own turn, which every start takes, could not be had: whatever the system says of it.
    pub(super) fn unprepared(program: String) -> impl Fn(io::Error) -> Self {
        move |source| Self::Short { program: program.clone(), source }
    }

    /// A shortage that was met while something was read that the program needs.
    #[must_use]
    pub fn short(program: String, said: String) -> Self {
        Self::Short { program, source: io::Error::other(said) }
    }
}
