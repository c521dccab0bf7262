//! Notifies the wakers: sends a datagram to every socket in a directory beside the database file (`wake.rs`).

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixDatagram as Sender;
use std::path::{Path, PathBuf};

use super::digest::digest;
use super::private;
use crate::file::rights;

/// The longest directory whose sockets (`/<pid>-<8 digits>`) still fit into a socket address.
const LONGEST: usize = 107 - 1 - 10 - 1 - 8;

/// The directory of the sockets of a database file: beside the file, or in the directory for temporary files if the path
/// is too long for a socket address.
pub(super) fn directory(database: &Path) -> PathBuf {
    let mut beside = database.as_os_str().to_owned();
    beside.push(".wake");
    if beside.len() <= LONGEST {
        return beside.into();
    }
    std::env::temp_dir().join(format!("windlass-{:016x}.wake", digest(database.as_os_str().as_bytes())))
}

/// Notifies all wakers of a database file.
pub(super) struct Notifier {
    directory: PathBuf,
    sender: Option<Sender>,
}

impl Notifier {
    pub(super) fn new(directory: PathBuf) -> Self {
        let sender = Sender::unbound().and_then(|sender| sender.set_nonblocking(true).map(|()| sender)).ok();
        Self { directory, sender }
    }

    /// Sends a datagram to every socket. A failure here must not fail the commit, which has happened.
    pub(super) fn notify(&self) {
        let Some(sender) = self.sender.as_ref().filter(|_| is_ours(&self.directory)) else { return };
        let Ok(entries) = fs::read_dir(&self.directory) else { return };
        for path in entries.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
            // A full socket has been notified already. What is no socket refuses as well, and is left alone.
            if let Err(error) = sender.send_to(&[], &path)
                && error.kind() == ErrorKind::ConnectionRefused
                && fs::symlink_metadata(&path).is_ok_and(|found| found.file_type().is_socket())
            {
                // Its process is dead.
                let _ = fs::remove_file(&path);
            }
        }
    }
}

/// Is this a directory in which nobody can create files but this user, root, and the group that shares the database?
///
/// For root also the owner of the folder above will do, who was judged when the database was opened. Of a stranger it takes
/// none: a folder for temporary files has many strangers.
pub(super) fn is_ours(directory: &Path) -> bool {
    let us = rights::user_of_this_thread();
    let Some(found) = fs::symlink_metadata(directory).ok().filter(Metadata::is_dir) else { return false };
    let above = directory.parent().and_then(|folder| folder.metadata().ok());
    let is_known = found.uid() == us || (us == 0 && above.as_ref().is_some_and(|folder| folder.uid() == found.uid()));
    let alone = is_known && found.mode() & 0o022 == 0;
    let group = above.filter(|_| private::is_shared(directory));
    alone || (found.mode() & 0o002 == 0 && group.is_some_and(|folder| folder.gid() == found.gid()))
}
