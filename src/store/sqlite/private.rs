//! Who may read and write the files of the database: its owner alone, or also the group of a folder with the setgid bit,
//! which is how a folder is shared by a group.
//!
//! Payloads may hold what others must not read, and who writes the file enqueues jobs. SQLite gives the log and its index
//! the mode of the database file.

use std::fs::{self, File, Metadata, Permissions};
use std::io::ErrorKind;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::file::rights;
use crate::store::error::StoreError;
use crate::text::shell::word;

const OWNER_ONLY: u32 = 0o600;
const WITH_GROUP: u32 = 0o660;
const SETGID: u32 = 0o2000;
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
const OTHERS: u32 = 0o007;

/// Creates the file with its mode, or judges one that exists. Nothing of it was read yet.
///
/// # Errors
/// If it is no regular file, or if everybody may write it or its log.
pub(super) fn prepare(path: &Path) -> Result<(), StoreError> {
    match File::options().write(true).create_new(true).mode(OWNER_ONLY).open(path) {
        Ok(file) => {
            if is_shared(path) {
                // The mode at the creation is cut by the umask. If this fails, the group is refused the file.
                let _ = file.set_permissions(Permissions::from_mode(WITH_GROUP));
            }
            return Ok(());
        }
        // Whatever else is wrong, SQLite meets as well.
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Ok(()),
        Err(_) => {}
    }
    for path in files(path).into_iter().chain([beside(path, "-journal")]) {
        // Links to the database itself were followed before. SQLite makes no other. It looks at a journal that an older
        // program may have left, and would wait for a FIFO in its place.
        let Ok(found) = path.symlink_metadata() else { continue };
        let shown = path.display();
        if !found.is_file() {
            return Err(StoreError::Unsupported(format!("{shown} is no regular file")));
        }
        if found.mode() & OTHERS_WRITE != 0 {
            return Err(StoreError::Unsupported(format!(
                "{shown} may be written by everybody (mode {:04o}), who could enqueue anything; stop what uses it, look at \
                 what it holds, then: chmod o-rwx {}",
                found.mode() & 0o7777,
                word(&path.to_string_lossy())
            )));
        }
    }
    Ok(())
}

/// Takes from others what earlier versions and the umask left them. Returns a warning where only the owner could do that.
pub(super) fn tighten(path: &Path) -> Option<String> {
    let mut warning = None;
    let owner = path.symlink_metadata().ok()?.uid();
    for path in files(path) {
        let Ok(found) = path.symlink_metadata() else { continue };
        let Some(mode) = tight(&path, &found) else { continue };
        if found.uid() != owner || set_mode(&path, &found, mode).is_err() {
            let shown = path.display();
            warning.get_or_insert_with(|| {
                format!("{shown} may be read by everybody, with the arguments of all jobs; its owner can type: chmod o-rwx {}", word(&path.to_string_lossy()))
            });
        }
    }
    warning
}

/// Sets the mode of this very file. A link in its place may lead to any other file, and so may a second name of a file.
fn set_mode(path: &Path, found: &Metadata, mode: u32) -> std::io::Result<()> {
    set_mode_if(path, mode, |opened| {
        (opened.dev(), opened.ino()) == (found.dev(), found.ino()) && opened.is_file() && opened.nlink() == 1
    })
}

/// Sets the mode of what this process has just made and that is seen to be it, whatever came to its place meanwhile.
pub(super) fn set_mode_of_own(path: &Path, mode: u32, is_it: impl FnOnce(&Metadata) -> bool) -> std::io::Result<()> {
    set_mode_if(path, mode, |opened| opened.uid() == rights::user_of_this_thread() && is_it(opened))
}

/// Sets the mode of what stands at a path if it is that, and follows no link to it.
///
/// The descriptor is one of the path alone: to close any other would end the locks that SQLite holds on the file.
fn set_mode_if(path: &Path, mode: u32, is_it: impl FnOnce(&Metadata) -> bool) -> std::io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !is_it(&file.metadata()?) {
        return Err(ErrorKind::InvalidInput.into());
    }
    fs::set_permissions(format!("/proc/self/fd/{}", file.as_raw_fd()), Permissions::from_mode(mode))
}

/// The mode that a file should have, if it has another.
fn tight(path: &Path, found: &Metadata) -> Option<u32> {
    let mode = found.mode() & 0o7777;
    if mode & OTHERS == 0 {
        return None;
    }
    // A group that may write was given that by somebody. Nobody is given more than before: a file may be read-only on purpose.
    Some(mode & if mode & GROUP_WRITES != 0 || is_shared(path) { WITH_GROUP } else { OWNER_ONLY })
}

/// Has the folder of this file the setgid bit?
pub(super) fn is_shared(path: &Path) -> bool {
    path.parent().and_then(|folder| folder.metadata().ok()).is_some_and(|folder| folder.mode() & SETGID != 0)
}

/// The database file, its log and the index of the log.
fn files(path: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|end| beside(path, end))
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::ManualClock;
    use crate::store::sqlite::{SqliteStore, connection};

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().mode() & 0o777
    }

    fn open(path: &Path) -> Result<SqliteStore, StoreError> {
        SqliteStore::open(path, Arc::new(ManualClock::at(0)))
    }

    /// The log and its index are there after the first write.
    fn write(path: &Path) -> rusqlite::Connection {
        let conn = connection::writer(path, connection::Options::default()).unwrap();
        conn.execute("INSERT INTO queues VALUES ('q')", []).unwrap();
        conn
    }

    #[tokio::test]
    async fn the_files_are_their_owners_alone_whatever_the_umask_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.db");
        let store = open(&path).unwrap();
        let _conn = write(&path);
        assert_eq!(files(&path).map(|path| mode(&path)), [0o600; 3]);
        drop(store);
    }

    #[tokio::test]
    async fn a_folder_that_is_shared_by_a_group_has_files_that_are_too() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o2770)).unwrap();
        let path = dir.path().join("w.db");
        let store = open(&path).unwrap();
        let _conn = write(&path);
        assert_eq!(files(&path).map(|path| mode(&path)), [0o660; 3]);
        let waker = super::super::wake::SqliteWaker::open(store.reader.clone(), &store.sockets);
        assert_eq!(store.sockets.metadata().unwrap().mode() & 0o7777, 0o2770);
        let socket = fs::read_dir(&store.sockets).unwrap().next().unwrap().unwrap();
        assert_eq!(mode(&socket.path()), 0o660);
        assert!(super::super::notifier::is_ours(&store.sockets));
        drop(waker);
        // A folder that its group shares is none of ours where the folder above is not shared.
        let alone = dir.path().join("alone");
        fs::create_dir_all(alone.join("w.db.wake")).unwrap();
        fs::set_permissions(&alone, Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(alone.join("w.db.wake"), Permissions::from_mode(0o770)).unwrap();
        assert!(!super::super::notifier::is_ours(&alone.join("w.db.wake")));
    }

    #[tokio::test]
    async fn what_only_has_the_name_of_one_of_the_files_keeps_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let other = dir.path().join("other");
        fs::write(&other, "somebody's").unwrap();
        fs::set_permissions(&other, Permissions::from_mode(0o644)).unwrap();
        for (name, end) in [("one", "-shm"), ("two", "-wal")] {
            let path = dir.path().join(name);
            std::os::unix::fs::symlink(&other, format!("{}{end}", path.display())).unwrap();
            drop(open(&path));
            assert_eq!(mode(&other), 0o644, "{end}");
            // The database is there now. SQLite removes a log that stood beside a new one.
            if let Some(error) = open(&path).err() {
                assert!(error.to_string().contains("is no regular file"), "{end}: {error}");
            }
            assert_eq!((mode(&other), fs::read(&other).unwrap()), (0o644, b"somebody's".to_vec()), "{end}");
        }
        let path = dir.path().join("three");
        fs::hard_link(&other, format!("{}-shm", path.display())).unwrap();
        drop(open(&path));
        assert_eq!(mode(&other), 0o644);
    }

    #[tokio::test]
    async fn what_earlier_versions_left_readable_is_closed_and_what_everybody_may_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.db");
        drop(open(&path).unwrap());
        for (before, after) in [(0o644, 0o600), (0o664, 0o660), (0o640, 0o640), (0o660, 0o660)] {
            fs::set_permissions(&path, Permissions::from_mode(before)).unwrap();
            drop(open(&path).unwrap());
            assert_eq!(mode(&path), after, "{before:o}");
        }
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        let error = open(&path).err().unwrap();
        let said = format!("{} may be written by everybody (mode 0666)", path.display());
        assert!(
            matches!(&error, StoreError::Unsupported(why) if why.starts_with(&said) && why.contains("chmod o-rwx")),
            "{error}"
        );
        assert_eq!(mode(&path), 0o666, "what is refused is left alone");
        let other = dir.path().join("other.db");
        fs::write(&other, "not a database, but somebody's").unwrap();
        fs::set_permissions(&other, Permissions::from_mode(0o644)).unwrap();
        assert!(open(&other).is_err());
        assert_eq!(mode(&other), 0o644, "what is not ours is left alone");
        rustix::fs::mknodat(rustix::fs::CWD, dir.path().join("fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
            .unwrap();
        assert!(open(&dir.path().join("fifo")).err().unwrap().to_string().contains("is no regular file"));
    }
}
