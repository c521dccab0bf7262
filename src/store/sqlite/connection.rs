//! Opening the file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::error::explain;
use super::migrate::migrate;
use crate::store::error::StoreError;

/// Choices that nobody needs to make, but for tests.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// The most pages the file may have; a write beyond them ends in [`StoreError::Full`].
    pub max_page_count: Option<u32>,
}

/// A statement is parsed once per connection: this many are kept.
const STATEMENTS: usize = 160;

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
    // A link to the file itself: follow it, so that all who use the file agree on its name.
    Ok(path.canonicalize().unwrap_or(path))
}

/// The connection that writes; creates the file and its schema if need be.
pub(super) fn writer(path: &Path, options: Options) -> Result<Connection, StoreError> {
    let failed = |error| explain(error, path);
    let mut conn = connect(path)?;
    migrate(&mut conn, path)?;
    // Only once it is known to be ours: the mode is stored in the file.
    write_ahead(&conn).map_err(failed)?;
    // Jobs come and go: pages that are written into the file late are written seldom.
    conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = 4000")
        .map_err(failed)?;
    if let Some(pages) = options.max_page_count {
        conn.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).map_err(failed)?;
    }
    Ok(conn)
}

/// Switches to a write-ahead log. Of several processes that do so on a new file, SQLite refuses all
/// but one without asking the busy handler, for it may not wait while it holds a lock.
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
    // No URI flag: a path is a path, whatever it looks like.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags).map_err(failed)?;
    conn.busy_handler(Some(wait_for_turn)).map_err(failed)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(conn)
}

/// Waits for another process' transaction, about ten seconds in all. SQLite's own handler backs
/// off to 100 ms, which starves whoever waits beside one that writes without pause.
fn wait_for_turn(tries: i32) -> bool {
    let pause = if tries < 20 { Duration::from_micros(200) } else { Duration::from_millis(1) };
    std::thread::sleep(pause);
    tries < 10_000
}
