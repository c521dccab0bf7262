//! Waking: each waker has a datagram socket in a directory beside the database file.
//!
//! A process that commits something that others wait for sends an empty datagram to every socket there. If that fails
//! (the directory is another user's, the process dies between commit and datagram), a look at SQLite's `data_version`
//! every quarter of a second finds the change.

use std::fs::{self, DirBuilder, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::OptionalExtension as _;
use tokio::net::UnixDatagram;
use tokio::time::Instant;

use super::commit::Handle;
use super::notifier::is_ours;
use super::pause::PausedQueues;
use super::private;
use super::step::Step;
use super::{delayed, enqueue, leader, wishes};
use crate::config::element::queues::{QueuePatterns, ResolvedQueues, Resolving};
use crate::job::QueueName;
use crate::store::backend::EngineWaker;
use crate::store::error::StoreError;
use crate::store::mutex::lock;
use crate::store::wake::{ArmedState, FEW_QUEUES, Watch};

/// How often the file itself is looked at while no datagram comes.
const SAFETY_POLL: Duration = Duration::from_millis(250);

/// How long it stays which queues are worked on while too many match.
const KEPT: Duration = Duration::from_secs(5);
/// The same once their jobs are done and others wait for their turn.
const DRAINED: Duration = Duration::from_millis(500);
/// Of so many queues a look reads whether they hold jobs.
const MOST_WALKED: usize = 100_000;

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
    /// What more queues match than are worked on, and when that was read.
    surplus: Arc<Mutex<Option<Surplus>>>,
}

/// Which queues are worked on while too many match.
struct Surplus {
    patterns: Arc<QueuePatterns>,
    resolved: Arc<ResolvedQueues>,
    /// How far was read which queues hold jobs.
    walked: Option<Vec<u8>>,
    read: Instant,
    /// None of them holds jobs any more, and others do.
    is_drained: bool,
}

impl Surplus {
    /// Until when it stays.
    fn ends(&self) -> Instant {
        self.read + if self.is_drained { DRAINED } else { KEPT }
    }
}

impl SqliteWaker {
    /// Opens a waker; must be called within a runtime.
    pub(super) fn open(reader: Handle, directory: &Path) -> Self {
        // Another process whose socket was the last may remove the directory between the two steps of binding, so a
        // second try follows.
        let socket = Socket::bind(directory).or_else(|_| Socket::bind(directory)).ok();
        Self { reader, socket, changed: AtomicBool::new(true), version: AtomicI64::new(0), surplus: Arc::default() }
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
        let (watch, surplus) = (watch.clone(), Arc::clone(&self.surplus));
        let seen = move |step: &Step<'_>| Ok((version(step)?, look(step, &watch, &surplus)?));
        let (version, seen) = self.reader.call(seen).await?;
        self.version.store(version, Ordering::SeqCst);
        Ok(seen)
    }

    async fn woken(&self) {
        let due = lock(&self.surplus).as_ref().map(Surplus::ends);
        while !self.changed.load(Ordering::SeqCst) && due.is_none_or(|due| Instant::now() < due) {
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
fn look(step: &Step<'_>, watch: &Watch, surplus: &Mutex<Option<Surplus>>) -> Result<ArmedState, StoreError> {
    let mut seen = ArmedState { now_ms: step.now_ms, ..ArmedState::default() };
    let mut ready = step.sql("SELECT 1 FROM jobs WHERE queue = ?1 LIMIT 1")?;
    if !watch.queues.is_empty() {
        let paused = PausedQueues::read(step)?;
        for queue in &watch.queues {
            if !paused.holds(queue)? && ready.exists([queue.as_str()])? {
                seen.ready = true;
                if watch.queues.len() <= FEW_QUEUES {
                    break;
                }
                seen.busy.push(queue.clone());
            }
        }
    }
    if let Some(patterns) = &watch.patterns {
        let mut surplus = lock(surplus);
        if !seen.ready && !watch.queues.is_empty() {
            surplus.iter_mut().for_each(|surplus| surplus.is_drained = surplus.resolved.others_wait());
        }
        seen.resolved = Some(resolve(step, patterns, &mut surplus)?);
    } else {
        *lock(surplus) = None;
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

/// What the patterns stand for. If more match than are worked on, those with jobs come first, and that stays for a while,
/// so that the list does not change with every job.
fn resolve(
    step: &Step<'_>,
    patterns: &Arc<QueuePatterns>,
    surplus: &mut Option<Surplus>,
) -> Result<Arc<ResolvedQueues>, StoreError> {
    let before = surplus.take().filter(|surplus| surplus.patterns == *patterns);
    if let Some(kept) = before.as_ref().filter(|surplus| Instant::now() < surplus.ends()) {
        let resolved = Arc::clone(&kept.resolved);
        *surplus = before;
        return Ok(resolved);
    }
    let mut resolving = patterns.resolving();
    enqueue::each_queue(step, usize::MAX, |name| resolving.add(name))?;
    let (is_too_many, mut walked) = (resolving.is_too_many(), None);
    if is_too_many {
        resolving.begin_busy(before.as_ref().map(|surplus| &*surplus.resolved));
        walked = walk(step, &mut resolving, before.and_then(|surplus| surplus.walked))?;
    }
    let resolved = Arc::new(resolving.done());
    let (patterns, read) = (Arc::clone(patterns), Instant::now());
    *surplus =
        is_too_many.then(|| Surplus { patterns, resolved: Arc::clone(&resolved), walked, read, is_drained: false });
    Ok(resolved)
}

/// Tells which queues hold jobs, from behind this one on and around, one step through the index for each, however many jobs
/// it has. Returns where it ended if there are too many for one look.
fn walk(step: &Step<'_>, resolving: &mut Resolving<'_>, begin: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, StoreError> {
    let mut first = step.sql("SELECT queue FROM jobs ORDER BY queue LIMIT 1")?;
    let mut behind = step.sql("SELECT queue FROM jobs WHERE queue > CAST(?1 AS TEXT) ORDER BY queue LIMIT 1")?;
    let name = |row: &rusqlite::Row<'_>| Ok(row.get_ref(0)?.as_bytes().map(<[u8]>::to_vec).unwrap_or_default());
    let (mut last, mut is_around) = (begin.clone(), begin.is_none());
    for _ in 0..MOST_WALKED {
        let found = match &last {
            Some(last) => behind.query_row([last], name).optional()?,
            None => first.query_row([], name).optional()?,
        };
        let Some(found) = found.filter(|found| last.as_ref().is_none_or(|last| found > last)) else {
            if std::mem::replace(&mut is_around, true) {
                return Ok(None);
            }
            last = None;
            continue;
        };
        if is_around && begin.as_ref().is_some_and(|begin| found > *begin) {
            return Ok(None);
        }
        if let Ok(text) = std::str::from_utf8(&found) {
            resolving.add_busy(QueueName::as_stored(text));
        }
        last = Some(found);
    }
    Ok(last)
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

    #[tokio::test]
    async fn of_too_many_queues_those_with_jobs_are_worked_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.db");
        let conn = connection::writer(&path, connection::Options::default()).unwrap();
        let empty = "WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < 10049)
             INSERT INTO queues SELECT printf('a%05d', n) FROM n";
        conn.execute(empty, []).unwrap();
        conn.execute("INSERT INTO queues VALUES ('y'), ('z')", []).unwrap();
        let clock = Arc::new(ManualClock::at(0));
        let reader = spawn(connection::reader(&path).unwrap(), clock, Role::Reader, Findings::default()).unwrap();
        let waker = SqliteWaker::open(reader, &dir.path().join("wake"));
        conn.execute("INSERT INTO jobs (queue, position, payload) VALUES ('z', 0, '{}'), ('z', 1, '{}')", []).unwrap();
        conn.execute("INSERT INTO jobs (queue, position, payload) VALUES ('a10044', 0, '{}')", []).unwrap();
        let watch = Watch { patterns: Some(Arc::new(QueuePatterns::all())), ..Watch::default() };
        let resolved = waker.arm(&watch).await.unwrap().resolved.unwrap();
        assert_eq!((resolved.queues.len(), resolved.left_out), (10_000, 52));
        let last: Vec<_> = resolved.queues[9997..].iter().map(QueueName::as_str).collect();
        assert_eq!(last, ["a09997", "a10044", "z"]);
        let again = waker.arm(&watch).await.unwrap().resolved.unwrap();
        assert_eq!(again, resolved, "it stays for a while");
    }

    #[test]
    fn sockets_stand_beside_the_file_unless_its_path_is_too_long() {
        assert_eq!(directory(Path::new("/a/w.db")), Path::new("/a/w.db.wake"));
        let long = PathBuf::from(format!("/{}/w.db", "x".repeat(90)));
        assert!(directory(&long).starts_with(std::env::temp_dir()));
        assert_ne!(directory(&long), directory(&long.with_extension("db2")));
    }
}
