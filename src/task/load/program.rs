//! Finds and checks the program of a task before a job needs it.
//!
//! A name with a slash is relative to the folder of the task file, a bare one is looked up in PATH. The program must
//! exist, be executable and readable, and only trusted users may change it or the folders above it, because a job from an
//! untrusted producer must not run a program that anybody could change.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::config::load::security::OR_NOT_STRICT;
use crate::file::trust::{Owners, Untrusted};

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
    #[error("expected an executable program (found {}, which is not; chmod +x makes it so)", .0.display())]
    NotExecutable(PathBuf),
    #[error("expected a readable program (found {}, which is not)", .0.display())]
    NotReadable(PathBuf),
    #[error("{0}{OR_NOT_STRICT}")]
    Untrusted(#[from] Untrusted),
}

/// The path of the program. It is absolute if `folder` is.
pub(super) fn find(
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
    check(path, trusted)
}

fn check(path: PathBuf, trusted: Option<&Owners>) -> Result<PathBuf, ProgramError> {
    let metadata = match path.metadata() {
        Ok(metadata) => metadata,
        Err(error) => return Err(ProgramError::Missing { path, error }),
    };
    if !metadata.is_file() {
        Err(ProgramError::NoFile(path))
    } else if access(&path, Access::EXEC_OK).is_err() {
        Err(ProgramError::NotExecutable(path))
    } else if access(&path, Access::READ_OK).is_err() {
        Err(ProgramError::NotReadable(path))
    } else {
        trusted.map_or(Ok(()), |trusted| trusted.judge(&path))?;
        Ok(path)
    }
}
