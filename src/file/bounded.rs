//! The one reader of files that are named by people: configuration, task files, secrets, certificates, jobs.
//!
//! A FIFO, a device or an endless file must neither block a command nor fill the memory. So a file is judged before it
//! is opened, because opening a FIFO or a device has effects of its own, and again by the descriptor that is read. A
//! file that grows meanwhile is read up to its bound.

use std::fs::{File, FileType, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

use crate::text::shell::word;

/// The most that a configuration may hold, in bytes.
pub const CONFIGURATION: u64 = 4 << 20;
/// The most that a task file may hold, in bytes.
pub const TASKS: u64 = 4 << 20;
/// The most that a file of certificates or of a key may hold, in bytes. The bundle of all public authorities has 250 KiB.
pub const CERTIFICATES: u64 = 4 << 20;
/// The most that a file with a secret or with an address may hold, in bytes.
pub const SECRET: u64 = 64 << 10;
/// The most that a file of jobs, one a line, may hold, in bytes.
pub const JOBS: u64 = 1 << 30;

/// The most that a file with the arguments of one job may hold, in bytes.
pub const ARGUMENTS: u64 = 64 << 20;

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// It is something else than a regular file.
    #[error("it is {0}, expected a regular file")]
    NotRegular(&'static str),
    /// It holds more than a file of its kind may.
    #[error("it holds more than {}", size(*.0))]
    TooLarge(u64),
    /// It holds something else than text.
    #[error("it is no UTF-8 text")]
    NotText,
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A warning if everybody on this machine can read a file that holds a secret.
#[must_use]
pub fn exposed_secret(path: &Path) -> Option<String> {
    const OTHERS_READ: u32 = 0o004;
    let mode = std::fs::metadata(path).ok()?.mode();
    let typed = word(&path.to_string_lossy());
    (mode & OTHERS_READ != 0).then(|| format!("everybody on this machine can read this secret; chmod o-r {typed}"))
}

/// Reads a regular file of at most `most` bytes.
///
/// # Errors
/// If it is something else, larger, or unreadable.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, FileError> {
    regular(&std::fs::metadata(path)?)?;
    // Where something else came to its place meanwhile, the opening does not wait, and the descriptor is judged again.
    let flags = OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let metadata = file.metadata()?;
    regular(&metadata)?;
    if metadata.len() > most {
        return Err(FileError::TooLarge(most));
    }
    bounded(file, most)
}

/// Reads a regular file of text, of at most `most` bytes.
///
/// # Errors
/// As [`read`], and if it is no UTF-8.
pub fn read_text(path: &Path, most: u64) -> Result<String, FileError> {
    String::from_utf8(read(path, most)?).map_err(|_| FileError::NotText)
}

/// Reads what the caller of a command hands over by name, up to `most` bytes: a regular file, or a pipe such as the shell
/// makes of `<(...)`, which is waited for.
///
/// # Errors
/// If it is a directory or a socket, larger, or unreadable.
pub fn read_stream(path: &Path, most: u64) -> Result<Vec<u8>, FileError> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_file() && metadata.len() > most {
        return Err(FileError::TooLarge(most));
    }
    match metadata.file_type() {
        kind if kind.is_dir() || kind.is_socket() || kind.is_block_device() => Err(FileError::NotRegular(name(kind))),
        _ => bounded(File::open(path)?, most),
    }
}

fn bounded(file: File, most: u64) -> Result<Vec<u8>, FileError> {
    read_all(file, most)
}

/// Reads all that comes, up to `most` bytes.
///
/// # Errors
/// If it is more, or unreadable.
pub fn read_all(input: impl io::Read, most: u64) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    input.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|read| read <= most) { Ok(bytes) } else { Err(FileError::TooLarge(most)) }
}

fn regular(metadata: &Metadata) -> Result<(), FileError> {
    if metadata.is_file() { Ok(()) } else { Err(FileError::NotRegular(name(metadata.file_type()))) }
}

fn name(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_char_device() || kind.is_block_device() {
        "a device"
    } else {
        "no file"
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        _ if bytes >= 1 << 30 => format!("{} GiB", bytes >> 30),
        _ if bytes >= 1 << 20 => format!("{} MiB", bytes >> 20),
        _ => format!("{} KiB", bytes >> 10),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn only_regular_files_within_their_bound_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        rustix::fs::mknodat(rustix::fs::CWD, path("fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        std::fs::create_dir(path("folder")).unwrap();
        let _listener = UnixListener::bind(path("socket")).unwrap();
        symlink("/dev/zero", path("zero")).unwrap();
        std::fs::write(path("full"), vec![b'x'; 2048]).unwrap();
        symlink("full", path("link")).unwrap();
        let said = |name: &str, most| read(&path(name), most).map(|bytes| bytes.len()).map_err(|e| e.to_string());
        for (name, is) in [("fifo", "a FIFO"), ("folder", "a directory"), ("socket", "a socket"), ("zero", "a device")]
        {
            assert_eq!(said(name, 2048), Err(format!("it is {is}, expected a regular file")));
        }
        assert_eq!(said("full", 2048), Ok(2048));
        assert_eq!(said("link", 2048), Ok(2048));
        assert_eq!(said("full", 1024), Err("it holds more than 1 KiB".to_owned()));
        assert!(matches!(read(&path("none"), 1), Err(FileError::Io(_))));
    }

    /// Files of /proc say that they are empty, as a file that grows while it is read does.
    #[test]
    fn a_file_that_holds_more_than_it_says_is_read_up_to_its_bound() {
        let status = Path::new("/proc/self/status");
        assert!(matches!(read(status, 16), Err(FileError::TooLarge(16))));
        assert!(!read(status, 1 << 20).unwrap().is_empty());
    }

    #[test]
    fn what_a_command_is_handed_may_be_a_pipe() {
        let (end, mut input) = std::io::pipe().unwrap();
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&end));
        std::io::Write::write_all(&mut input, b"one\n").unwrap();
        drop(input);
        assert_eq!(read_stream(Path::new(&path), 4).unwrap(), b"one\n");
        assert!(matches!(read_stream(Path::new("/dev/zero"), 4096), Err(FileError::TooLarge(4096))));
        assert!(matches!(read_stream(Path::new("/"), 4096), Err(FileError::NotRegular("a directory"))));
    }
}
