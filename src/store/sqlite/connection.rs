//! Connections to the file: how they are opened, how they wait for others, and how large their log may become.
//!
//! Every commit appends pages to the write-ahead log. SQLite writes the log from its beginning again only after a
//! checkpoint has copied all of its pages into the file; until then the log grows. If the disk fills up while the log
//! holds pages that are new, the file finds no room for them, and then neither can go on. So the log is copied in time
//! where little room is left, and a write that finds no room is repeated once after the log was emptied (`commit`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::hooks::Wal;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::error::explain;
use super::migrate::migrate;
use crate::store::error::StoreError;

/// Settings for tests.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// The most pages the file may have; a write beyond them ends in [`StoreError::Full`].
    pub max_page_count: Option<u32>,
    /// How long a write waits for the transactions of other processes; about ten seconds if not set.
    pub patience: Option<Duration>,
}

/// How many parsed statements a connection keeps: more than there are, so that each is parsed once.
const STATEMENTS: usize = 160;
/// How many pages the log may hold where the disk has much room. A page that changes often is then copied seldom.
const MOST_LOG_PAGES: u64 = 4000;
/// With less room than this each commit is copied at once, because another program may take the rest at any moment.
const LITTLE_ROOM: u64 = 16 << 20;
/// The longest path that SQLite opens: it adds the names of the files beside the database, up to 512 bytes.
const LONGEST_PATH: usize = 504;
/// How long emptying the log waits for others that read from it.
const LOG_PATIENCE: Duration = Duration::from_millis(250);

/// Where the file is, by a path that means the same to every process.
pub(super) fn canonical(path: &Path) -> Result<PathBuf, StoreError> {
    let unavailable = |reason: String| StoreError::Unavailable(format!("{}: {reason}", path.display()));
    let name = path.file_name().ok_or_else(|| unavailable("this path names no file".to_owned()))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = parent
        .canonicalize()
        .map_err(|error| unavailable(format!("the directory {} cannot be used: {error}", parent.display())))?;
    let path = directory.join(name);
    if path.is_dir() {
        return Err(unavailable("this is a directory, not a database file".to_owned()));
    }
    // A link is followed, so that all processes know the file by the same name.
    let path = path.canonicalize().unwrap_or(path);
    let length = path.as_os_str().len();
    if length > LONGEST_PATH {
        return Err(unavailable(format!(
            "its full path has {length} bytes, and SQLite opens paths of at most {LONGEST_PATH}; choose a shorter one"
        )));
    }
    Ok(path)
}

/// The connection that writes; creates the file and its schema if need be.
pub(super) fn writer(path: &Path, options: Options) -> Result<Connection, StoreError> {
    let failed = |error| explain(error, path);
    let mut conn = connect(path)?;
    migrate(&mut conn, path)?;
    // The mode is stored in the file, so it is set only after the file is known to be ours.
    write_ahead(&conn).map_err(failed)?;
    conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA cache_size = -16384").map_err(failed)?;
    keep_log_small(&mut conn, path).map_err(failed)?;
    if let Some(pages) = options.max_page_count {
        conn.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).map_err(failed)?;
    }
    if let Some(patience) = options.patience {
        conn.busy_timeout(patience).map_err(failed)?;
    }
    Ok(conn)
}

/// Switches to a write-ahead log. When several processes do so on a new file, SQLite refuses all but one without
/// calling the busy handler, because it must not wait while it holds a lock.
fn write_ahead(conn: &Connection) -> rusqlite::Result<()> {
    let mut tries = 0;
    loop {
        match conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0)) {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && wait_for_turn(tries) => {
                tries += 1;
            }
            other => return other.map(drop),
        }
    }
}

/// A connection that reads.
pub(super) fn reader(path: &Path) -> Result<Connection, StoreError> {
    let conn = connect(path)?;
    conn.execute_batch("PRAGMA query_only = ON").map_err(|error| explain(error, path))?;
    Ok(conn)
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let failed = |error| explain(error, path);
    // Without the URI flag a path that begins with `file:` is a path.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags).map_err(failed)?;
    conn.busy_handler(Some(wait_for_turn)).map_err(failed)?;
    // The schema is judged by itself (see `added`). Ours has no views, and calls nothing of which harm could come.
    for (config, value) in [
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
    ] {
        conn.set_db_config(config, value).map_err(failed)?;
    }
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    // What SQLite keeps to take a command back is bounded, and needs no room on the disk of temporary files.
    conn.execute_batch("PRAGMA temp_store = MEMORY").map_err(failed)?;
    Ok(conn)
}

/// Waits for the transaction of another process, for about ten seconds in all. SQLite's own handler waits up to 100 ms
/// between two tries and so hardly ever gets a turn beside a process that writes without pause.
fn wait_for_turn(tries: i32) -> bool {
    let pause = if tries < 20 { Duration::from_micros(200) } else { Duration::from_millis(1) };
    std::thread::sleep(pause);
    tries < 10_000
}

/// Copies the log into the file after each commit that makes it due, in the place of SQLite's `wal_autocheckpoint`.
fn keep_log_small(conn: &mut Connection, path: &Path) -> rusqlite::Result<()> {
    let page_size: u32 = conn.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    let path = path.to_owned();
    conn.wal_hook(Some(move |log: &mut Wal, pages| {
        let pages = u64::try_from(pages).unwrap_or(0);
        if is_copy_due(pages, page_size.into(), || room(&path)) {
            // The commit stands even if this fails. The next commit tries again.
            let _ = log.checkpoint();
        }
        Ok(())
    }))
}

/// Has the log reached its limit or half of the room that is left, or is there little room?
fn is_copy_due(pages: u64, page_size: u64, room: impl FnOnce() -> Option<u64>) -> bool {
    let needed = pages.saturating_mul(page_size).saturating_mul(2).max(LITTLE_ROOM);
    pages >= MOST_LOG_PAGES || room().is_some_and(|room| room < needed)
}

/// How many bytes the disk of a file can still take; `None` where the system does not tell.
fn room(path: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Copies the whole log into the file, so that the next commit writes the log from its beginning. Returns whether that
/// was done: the file may find no room itself, and another process may be reading from the log.
///
/// The log is not shortened. The room that it has stays with this store when another program fills the disk.
pub(super) fn empty_log(conn: &mut Connection) -> bool {
    checkpoint(conn, "PRAGMA wal_checkpoint(RESTART)")
}

/// The same for a process that ends, which shortens the log too: afterwards the file alone holds everything, so that people
/// may copy it. Nothing depends on it, so that nobody is told where another process keeps it from being done.
pub(super) fn shorten_log(conn: &mut Connection) {
    checkpoint(conn, "PRAGMA wal_checkpoint(TRUNCATE)");
}

fn checkpoint(conn: &mut Connection, sql: &'static str) -> bool {
    let empty = |conn: &Connection| {
        conn.busy_timeout(LOG_PATIENCE)?;
        conn.query_row(sql, [], |row| Ok(row.get::<_, i64>(0)? == 0))
    };
    let is_empty = empty(conn);
    // Setting a handler cannot fail on an open connection; without one the next BEGIN would not wait, and say so.
    let _ = conn.busy_handler(Some(wait_for_turn));
    is_empty.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_copied_at_its_limit_or_when_it_could_take_the_room_that_the_file_needs() {
        let due = |pages, room| is_copy_due(pages, 4096, || room);
        assert!(due(MOST_LOG_PAGES, None) && due(MOST_LOG_PAGES, Some(u64::MAX)));
        assert!(!due(MOST_LOG_PAGES - 1, None) && !due(MOST_LOG_PAGES - 1, Some(1 << 30)));
        assert!(!due(3000, Some(3000 * 2 * 4096)) && due(3000, Some(3000 * 2 * 4096 - 1)));
        assert!(!due(1, Some(LITTLE_ROOM)) && due(1, Some(LITTLE_ROOM - 1)));
    }
}
