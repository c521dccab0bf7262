//! Waking: each waker has a datagram socket in a directory beside the database file.
//!
//! A process that commits something that others wait for sends an empty datagram to every socket there. If that fails
//! (the directory is another user's, the process dies between commit and datagram), a look at SQLite's `data_version`
//! every quarter of a second finds the change.

use std::fs::{self, DirBuilder, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use tokio::net::UnixDatagram;

use super::commit::Handle;
use super::notifier::is_ours;
use super::pause::PausedQueues;
use super::private;
use super::step::Step;
use super::{delayed, enqueue, leader, wishes};
use crate::store::backend::EngineWaker;
use crate::store::error::StoreError;
use crate::store::wake::{ArmedState, Watch};

/// How often the file itself is looked at while no datagram comes.
const SAFETY_POLL: Duration = Duration::from_millis(250);

/// A socket that is removed with its owner.
struct Socket {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Socket {
    fn bind(directory: &Path) -> io::Result<Self> {
        let shared = private::is_shared(directory);
        match DirBuilder::new().mode(0o700).create(directory) {
            // Before anything is in it, and past the umask.
            Ok(()) if shared => private::set_mode_of_own(directory, 0o2770, Metadata::is_dir)?,
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        if !is_ours(directory) {
            return Err(io::Error::new(ErrorKind::PermissionDenied, "the directory for sockets is not private"));
        }
        let random = getrandom::u32().map_err(io::Error::other)?;
        let path = directory.join(format!("{}-{random:08x}", std::process::id()));
        let bound = Self { socket: UnixDatagram::bind(&path)?, path };
        let is_it = |found: &Metadata| found.file_type().is_socket() && found.nlink() == 1;
        private::set_mode_of_own(&bound.path, if shared { 0o660 } else { 0o600 }, is_it)?;
        Ok(bound)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        // Succeeds when this was the last socket.
        let _ = self.path.parent().map(fs::remove_dir);
    }
}

/// A waker of one process.
pub(in crate::store) struct SqliteWaker {
    reader: Handle,
    /// `None` if no socket could be opened. Then only the look at the file finds changes.
    socket: Option<Socket>,
    changed: AtomicBool,
    /// The file's version when it was armed.
    version: AtomicI64,
}

impl SqliteWaker {
    /// Opens a waker; must be called within a runtime.
    pub(super) fn open(reader: Handle, directory: &Path) -> Self {
        // Another process whose socket was the last may remove the directory between the two steps of binding, so a
        // second try follows.
        let socket = Socket::bind(directory).or_else(|_| Socket::bind(directory)).ok();
        Self { reader, socket, changed: AtomicBool::new(true), version: AtomicI64::new(0) }
    }

    async fn datagram(&self) {
        match &self.socket {
            Some(socket) if socket.socket.recv(&mut [0]).await.is_ok() => {}
            _ => std::future::pending().await,
        }
    }
}

impl EngineWaker for SqliteWaker {
    async fn arm(&self, watch: &Watch) -> Result<ArmedState, StoreError> {
        // What was told before is forgotten first. A change between that and the look wakes once too often, never too
        // seldom.
        self.changed.store(false, Ordering::SeqCst);
        if let Some(socket) = &self.socket {
            while socket.socket.try_recv(&mut [0]).is_ok() {}
        }
        let watch = watch.clone();
        let (version, seen) = self.reader.call(move |step| Ok((version(step)?, look(step, &watch)?))).await?;
        self.version.store(version, Ordering::SeqCst);
        Ok(seen)
    }

    async fn woken(&self) {
        while !self.changed.load(Ordering::SeqCst) {
            tokio::select! {
                () = self.datagram() => self.changed.store(true, Ordering::SeqCst),
                () = tokio::time::sleep(SAFETY_POLL) => {
                    // A file that cannot be read may have changed, so the caller looks.
                    let armed = self.version.load(Ordering::SeqCst);
                    if self.reader.call(version).await.ok() != Some(armed) {
                        self.changed.store(true, Ordering::SeqCst);
                    }
                }
            }
        }
    }

    async fn check(&self) -> Result<bool, StoreError> {
        // The look at the file finds every change, also without a datagram.
        Ok(true)
    }
}

/// A number that changes when another connection commits. The reader's connection writes nothing, so commits of its own
/// process change it as well.
fn version(step: &Step<'_>) -> Result<i64, StoreError> {
    Ok(step.sql("PRAGMA data_version")?.query_row([], |row| row.get(0))?)
}

/// Looks at everything watched.
fn look(step: &Step<'_>, watch: &Watch) -> Result<ArmedState, StoreError> {
    let mut seen = ArmedState { now_ms: step.now_ms, ..ArmedState::default() };
    let mut ready = step.sql("SELECT 1 FROM jobs WHERE queue = ?1 LIMIT 1")?;
    if !watch.queues.is_empty() {
        let paused = PausedQueues::read(step)?;
        for queue in watch.queues.iter().filter(|queue| !paused.holds(queue)) {
            seen.ready = seen.ready || ready.exists([queue.as_str()])?;
        }
    }
    if let Some(patterns) = &watch.patterns {
        let mut resolving = patterns.resolving();
        enqueue::each_queue(step, |name| resolving.add(name))?;
        seen.resolved = Some(Arc::new(resolving.done()));
    }
    if watch.delayed {
        seen.next_due_s = delayed::earliest(step)?;
    }
    for which in &watch.leaderships {
        seen.leadership_free = seen.leadership_free || leader::holder(step, *which)?.is_none();
    }
    if let Some(instance) = &watch.wishes_for {
        seen.wishes = wishes::any(step, instance)?;
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::super::commit::{Role, spawn};
    use super::super::connection;
    use super::super::notifier::{Notifier, directory};
    use super::*;
    use crate::clock::ManualClock;
    use crate::store::findings::Findings;
    use std::os::unix::net::UnixDatagram as Sender;

    #[tokio::test]
    async fn a_notification_reaches_every_socket_and_removes_those_of_dead_processes() {
        let dir = tempfile::tempdir().unwrap();
        let directory = directory(&dir.path().join("w.db"));
        let notifier = Notifier::new(directory.clone());
        notifier.notify();
        let (one, two) = (Socket::bind(&directory).unwrap(), Socket::bind(&directory).unwrap());
        let dead = directory.join("1-00000000");
        drop(Sender::bind(&dead).unwrap());
        let file = directory.join("file");
        fs::write(&file, "").unwrap();
        notifier.notify();
        for socket in [&one, &two] {
            assert_eq!(socket.socket.recv(&mut [0]).await.unwrap(), 0);
        }
        assert!(!dead.exists());
        assert!(file.exists(), "what is no socket is not ours");
        fs::remove_file(file).unwrap();
        drop((one, two));
        assert!(!directory.exists());
    }

    #[tokio::test]
    async fn without_a_socket_the_change_of_the_file_wakes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.db");
        let conn = connection::writer(&path, connection::Options::default()).unwrap();
        let clock = Arc::new(ManualClock::at(0));
        let reader = spawn(connection::reader(&path).unwrap(), clock, Role::Reader, Findings::default()).unwrap();
        let waker = SqliteWaker::open(reader, &dir.path().join("no/such/directory"));
        assert!(waker.socket.is_none());
        waker.arm(&Watch::default()).await.unwrap();
        let mut woken = std::pin::pin!(waker.woken());
        assert!(futures_util::poll!(woken.as_mut()).is_pending());
        conn.execute("INSERT INTO queues VALUES ('q')", []).unwrap();
        tokio::time::timeout(Duration::from_secs(20), woken).await.unwrap();
    }

    #[test]
    fn sockets_stand_beside_the_file_unless_its_path_is_too_long() {
        assert_eq!(directory(Path::new("/a/w.db")), Path::new("/a/w.db.wake"));
        let long = PathBuf::from(format!("/{}/w.db", "x".repeat(90)));
        assert!(directory(&long).starts_with(std::env::temp_dir()));
        assert_ne!(directory(&long), directory(&long.with_extension("db2")));
    }
}
