//! The folder of kept outputs: names, what is there, and what is too old or too much.
//!
//! The names come from ids, which another program may have written, and jobs of the daemon's user can write the folder. So
//! names hold letters, digits and dashes only, everything is done relative to the opened folder, and no link is followed.
//!
//! Several daemons may share a folder. A file that is written to is locked for as long as that lasts, so that none of them
//! takes it for one that is over.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::file::absolute;
use crate::file::trust::{self, Owners};
use crate::text::shell::word;

/// The end of a name; the former half of an output that grew too long has another one behind it.
const END: &str = "log";
const OLDER: &str = "log-older";
/// The longest part of a name.
const LONGEST: usize = 80;

/// The name of a run's file.
#[must_use]
pub fn name(id: &str, claim: &str, task: &str) -> String {
    format!("{}.{}.{}.{END}", safe(id), safe(claim), safe(task))
}

/// The name of its former half.
pub(super) fn older(name: &str) -> String {
    name.strip_suffix(END).map_or_else(|| name.to_owned(), |stem| format!("{stem}{OLDER}"))
}

/// An id as a part of a name.
#[must_use]
pub fn safe(id: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let safe: String = id.chars().take(LONGEST).map(letter).collect();
    if safe.is_empty() { "_".to_owned() } else { safe }
}

/// The output of one run, as it stands in the folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeptRun {
    /// The id of the job, as far as a name can hold it.
    pub id: String,
    /// The run's claim.
    pub claim: String,
    /// The task, as far as a name can hold it; unknown of a file of an earlier version.
    pub task: Option<String>,
    /// How many bytes are kept.
    pub bytes: u64,
    /// When it was written to last, in milliseconds since the Unix epoch.
    pub written_ms: i64,
    /// The files, oldest first.
    pub files: Vec<String>,
}

impl KeptRun {
    /// Is the beginning missing?
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.files.len() > 1
    }
}

/// An opened folder.
#[derive(Debug)]
pub struct OutputFolder(OwnedFd);

impl OutputFolder {
    /// Opens it, and makes it if need be, readable by its owner only. The folders and links above it are judged by these
    /// owners, if there are any: who can exchange one of them could lead the daemon to another folder of its own.
    ///
    /// # Errors
    /// If it cannot be made, is a link, or may be written by others, or if others may change a folder above it.
    pub(super) fn make(path: &Path, trusted: Option<&Owners>) -> io::Result<Self> {
        let folder = match trusted {
            Some(owners) => Self(trust::folder(&absolute(path), owners)?),
            None => {
                std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
                Self::opened(path)?
            }
        };
        folder.is_own(path, false)?;
        Ok(folder)
    }

    /// Would [`make`](Self::make) refuse it? Nothing is made, and what is missing is not judged. Root looks for the user of
    /// the daemon, too, so that the owner of the folder itself does not count then.
    ///
    /// # Errors
    /// The same.
    pub(super) fn judge(path: &Path, trusted: Option<&Owners>) -> io::Result<()> {
        if let Some(owners) = trusted {
            owners.judge(&absolute(path)).map_err(|error| io::Error::new(io::ErrorKind::PermissionDenied, error))?;
        }
        match Self::opened(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            // One of another user, which root would open.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Err(io::Error::new(error.kind(), Self::not_own(path)))
            }
            Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::LOOP | Errno::NOTDIR)) => {
                let what = "it is a link, or no folder: name a folder itself as folder under [output]";
                Err(io::Error::new(error.kind(), what))
            }
            opened => opened?.is_own(path, geteuid().is_root()),
        }
    }

    /// Does it belong to this user, and may nobody else write it?
    fn is_own(&self, path: &Path, any_owner: bool) -> io::Result<()> {
        let found = rustix::fs::fstat(&self.0)?;
        let is_ours = any_owner || found.st_uid == geteuid().as_raw();
        if is_ours && found.st_mode & 0o022 == 0 {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::PermissionDenied, Self::not_own(path)))
    }

    fn not_own(path: &Path) -> String {
        let path = word(&path.to_string_lossy());
        format!(
            "it belongs to another user, or others may write it: give the daemon a folder of its own (chmod 700 {path})"
        )
    }

    /// Opens it to read. `None` if it is not there.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn open(path: &Path) -> io::Result<Option<Self>> {
        match Self::opened(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        }
    }

    fn opened(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// Makes a file, which must not be there yet.
    pub(super) fn create(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&self.0, name, flags, Mode::RUSR | Mode::WUSR)?);
        // Where nothing can be locked, only this daemon knows that it is written to.
        let _ = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
        Ok(file)
    }

    /// Is somebody writing to this file? An error means that nobody can tell.
    fn is_written(&self, name: &str) -> io::Result<bool> {
        let file = match self.read(name) {
            Ok(file) => file,
            // Something else lies there, or it is gone: nobody writes an output to it.
            Err(error) if is_no_output(&error) => return Ok(false),
            Err(error) => return Err(error),
        };
        is_held(rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared))
    }

    /// Opens a file to read it. What is no regular file is refused, and waited for by nobody.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&self.0, name, flags, Mode::empty())?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        Ok(file)
    }

    /// Lets the file become the former half of its output.
    pub(super) fn set_aside(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, name, &self.0, older(name))?)
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    /// The runs whose output is kept, the newest first. Files of others are none.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn runs(&self) -> io::Result<Vec<KeptRun>> {
        let mut runs: BTreeMap<(String, String), KeptRun> = BTreeMap::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            let parts: Vec<&str> = name.split('.').collect();
            let (id, claim, task, end) = match parts[..] {
                [id, claim, task, end] => (id, claim, Some(task), end),
                [id, claim, end] => (id, claim, None, end),
                _ => continue,
            };
            let is_part = |part: &str| safe(part) == part;
            if ![END, OLDER].contains(&end) || !is_part(id) || !is_part(claim) || !task.is_none_or(is_part) {
                continue;
            }
            // It may be removed meanwhile.
            let Ok(found) = rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
                continue;
            }
            let run = runs.entry((id.to_owned(), claim.to_owned())).or_default();
            (run.id, run.claim) = (id.to_owned(), claim.to_owned());
            run.task = task.map(str::to_owned);
            run.bytes += u64::try_from(found.st_size).unwrap_or(0);
            run.written_ms = run.written_ms.max(found.st_mtime.saturating_mul(1000));
            let at = if end == OLDER { 0 } else { run.files.len() };
            run.files.insert(at, name.to_owned());
        }
        let mut runs: Vec<KeptRun> = runs.into_values().collect();
        runs.sort_by(|a, b| b.written_ms.cmp(&a.written_ms).then_with(|| b.claim.cmp(&a.claim)));
        Ok(runs)
    }

    /// Removes runs that were written before this time, and the oldest of the rest until no more than `total` bytes are
    /// left. Those that are still written to stay. Returns how many bytes are left.
    ///
    /// # Errors
    /// If the folder cannot be read, or if it cannot be told whether somebody writes to a file: that one stays.
    pub(super) fn tidy(&self, oldest_ms: i64, total: u64, is_open: impl Fn(&str) -> bool) -> io::Result<u64> {
        let (mut left, mut doubt) = (0, None);
        for run in self.runs()? {
            let is_open = run.files.iter().any(|name| is_open(name));
            let stays = is_open || run.written_ms >= oldest_ms && left + run.bytes <= total;
            // Another daemon may write to it.
            let mut is_written = |name: &String| {
                self.is_written(name).unwrap_or_else(|error| {
                    doubt = Some(error);
                    true
                })
            };
            if stays || run.files.iter().any(&mut is_written) {
                left += run.bytes;
                continue;
            }
            for name in &run.files {
                // It may be gone.
                let _ = self.remove(name);
            }
        }
        doubt.map_or(Ok(left), Err)
    }
}

/// Did opening a file fail because it is no output?
fn is_no_output(error: &io::Error) -> bool {
    let codes = [Errno::NOENT, Errno::LOOP, Errno::ACCESS, Errno::NXIO];
    error.kind() == io::ErrorKind::InvalidInput || Errno::from_io_error(error).is_some_and(|code| codes.contains(&code))
}

/// Does somebody hold the lock that was asked for with this answer? Where nothing can be locked nobody holds any.
fn is_held(answer: rustix::io::Result<()>) -> io::Result<bool> {
    match answer {
        Ok(()) | Err(Errno::NOTSUP | Errno::NOSYS | Errno::NOLCK) => Ok(false),
        Err(Errno::WOULDBLOCK) => Ok(true),
        Err(other) => Err(other.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lock_that_is_held_means_that_another_one_writes() {
        let held = |answer| is_held(answer).ok();
        assert_eq!(
            (held(Ok(())), held(Err(Errno::WOULDBLOCK)), held(Err(Errno::NOTSUP))),
            (Some(false), Some(true), Some(false))
        );
        assert_eq!((held(Err(Errno::INTR)), held(Err(Errno::IO))), (None, None), "nobody can tell");
    }
}
