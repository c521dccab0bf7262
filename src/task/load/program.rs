//! Finds and checks the program of a task before a job needs it.
//!
//! A name with a slash is relative to the folder of the task file, a bare one is looked up in PATH. The program must
//! exist, be executable and readable, and only trusted users may change it or the folders above it, because a job from an
//! untrusted producer must not run a program that anybody could change.
//!
//! A program that is missing is a problem of the moment: its task is known all the same, so that jobs can be enqueued.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::config::element::literal;
use crate::config::error::Problem;
use crate::config::load::security::OR_NOT_STRICT;
use crate::config::reader::Value;
use crate::file::trust::{Owners, Untrusted};
use crate::process::runnable::{self, Unrunnable};

/// Why a program is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProgramError {
    #[error("expected a program (found nothing)")]
    Empty,
    #[error("expected a program in PATH (found \"{0}\", which is in none of its folders)")]
    NotInPath(String),
    #[error("expected a program that exists (found {}: {error})", path.display())]
    Missing { path: PathBuf, error: std::io::Error },
    #[error("expected a program (found {}, which is no file)", .0.display())]
    NoFile(PathBuf),
    #[error("expected a program that can run ({0})")]
    Unrunnable(#[from] Unrunnable),
    #[error("expected an executable program (found {}, which is not; chmod +x makes it so)", .0.display())]
    NotExecutable(PathBuf),
    #[error("expected a readable program (found {}, which is not)", .0.display())]
    NotReadable(PathBuf),
    #[error("{0}{OR_NOT_STRICT}")]
    Untrusted(#[from] Untrusted),
}

impl ProgramError {
    /// Is the program perhaps there a little later, with nothing of the task changed?
    fn may_pass(&self) -> bool {
        match self {
            Self::NotInPath(_)
            | Self::Missing { .. }
            | Self::NoFile(_)
            | Self::Unrunnable(_)
            | Self::NotExecutable(_)
            | Self::NotReadable(_) => true,
            Self::Empty | Self::Untrusted(_) => false,
        }
    }
}

/// What tasks lack at the moment, without being written wrongly. It is reported like every other problem.
pub(super) type Missing = RefCell<Vec<Problem>>;

/// Reports what is missing at the moment.
pub(super) fn report_missing(value: &Value<'_>, message: &str, missing: &Missing) {
    missing.borrow_mut().push(value.problem(message));
    value.report(message);
}

/// The path of the program, also of one that is missing. `None` if the task cannot be used as it is written.
pub(super) fn read(
    item: &Value<'_>,
    written: &str,
    folder: &Path,
    search: Option<&OsStr>,
    trusted: Option<&Owners>,
    missing: &Missing,
) -> Option<String> {
    literal::path(item)?;
    let path = match find(written, folder, search, trusted) {
        Ok(path) => path,
        Err(error) if error.may_pass() => {
            report_missing(item, &error.to_string(), missing);
            if written.contains('/') { folder.join(written).components().collect() } else { PathBuf::from(written) }
        }
        Err(error) => {
            item.report(error.to_string());
            return None;
        }
    };
    let text = path.to_str().map(str::to_owned);
    if text.is_none() {
        item.report(format!("expected a path in UTF-8 (found {})", path.display()));
    }
    text
}

/// Judges a program that the configuration names, by its path or by a name in `PATH`.
///
/// # Errors
/// What was expected.
#[cfg_attr(not(feature = "daemon"), allow(dead_code, reason = "only a daemon notifies"))]
pub(crate) fn judge(written: &str, trusted: Option<&Owners>) -> Result<(), String> {
    let search = std::env::var_os("PATH");
    find(written, Path::new("/"), search.as_deref(), trusted).map(drop).map_err(|error| error.to_string())
}

/// Why a program that was found once, by its path or by a name in `PATH`, cannot begin now, if that may pass.
#[cfg(any(test, feature = "web"))]
#[must_use]
pub(super) fn lacking(program: &str, search: Option<&OsStr>) -> Option<String> {
    find(program, Path::new("/"), search, None).err().filter(ProgramError::may_pass).map(|error| error.to_string())
}

/// The path of the program. It is absolute if `folder` is.
fn find(
    written: &str,
    folder: &Path,
    search: Option<&OsStr>,
    trusted: Option<&Owners>,
) -> Result<PathBuf, ProgramError> {
    if written.is_empty() {
        return Err(ProgramError::Empty);
    }
    let path = if written.contains('/') {
        // Collecting the components drops every "./".
        folder.join(written).components().collect()
    } else {
        std::env::split_paths(search.unwrap_or_default())
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(written))
            .find(|path| path.is_file() && access(path, Access::EXEC_OK).is_ok())
            .ok_or_else(|| ProgramError::NotInPath(written.to_owned()))?
    };
    check(path, search, trusted)
}

fn check(path: PathBuf, search: Option<&OsStr>, trusted: Option<&Owners>) -> Result<PathBuf, ProgramError> {
    let metadata = match path.metadata() {
        Ok(metadata) => metadata,
        Err(error) => return Err(ProgramError::Missing { path, error }),
    };
    if !metadata.is_file() {
        Err(ProgramError::NoFile(path))
    } else if let (Err(_), Err(why @ Unrunnable::NoExec(_))) =
        (access(&path, Access::EXEC_OK), runnable::judge(&path, search))
    {
        // The kernel says of such a mount what it says of a mode.
        Err(why.into())
    } else if access(&path, Access::EXEC_OK).is_err() {
        Err(ProgramError::NotExecutable(path))
    } else if access(&path, Access::READ_OK).is_err() {
        Err(ProgramError::NotReadable(path))
    } else {
        trusted.map_or(Ok(()), |trusted| trusted.judge(&path))?;
        runnable::judge(&path, search)?;
        Ok(path)
    }
}
