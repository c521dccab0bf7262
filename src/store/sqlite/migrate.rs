//! Brings a file to the schema of this version, or refuses it: one SQL file per version, applied in
//! one transaction.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::error::explain;
use crate::store::error::StoreError;

/// The steps from each version to the next.
const STEPS: &[&str] = &[
    include_str!("schema/0001_initial.sql"),
    include_str!("schema/0002_retries.sql"),
    include_str!("schema/0003_moving.sql"),
    include_str!("schema/0004_schedules.sql"),
    include_str!("schema/0005_paused.sql"),
    include_str!("schema/0006_leases.sql"),
    include_str!("schema/0007_suspected.sql"),
    include_str!("schema/0008_tokens.sql"),
    include_str!("schema/0009_birth.sql"),
    include_str!("schema/0010_wishes.sql"),
    include_str!("schema/0011_history.sql"),
    include_str!("schema/0012_runs.sql"),
    include_str!("schema/0013_counts.sql"),
    include_str!("schema/0014_ran.sql"),
    include_str!("schema/0015_failed_blocks.sql"),
    include_str!("schema/0016_showing.sql"),
    include_str!("schema/0017_audit.sql"),
    include_str!("schema/0018_tallies.sql"),
    include_str!("schema/0019_marks.sql"),
    include_str!("schema/0020_results.sql"),
    include_str!("schema/0021_asked.sql"),
    include_str!("schema/0022_operations.sql"),
];

/// `Wndl`, by which a file is known to be ours.
const APPLICATION: i64 = 0x576e_646c;

/// Checks whose file this is and applies the missing steps. Another process may do the same at once.
pub(super) fn migrate(conn: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |error| explain(error, path);
    let latest = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    // Both numbers are read in one transaction, because another process may be creating the file. It takes no write lock,
    // so that a file that is refused is left alone.
    let look = conn.transaction_with_behavior(TransactionBehavior::Deferred).map_err(failed)?;
    let found = version(&look, path)?;
    drop(look);
    if found == latest {
        return Ok(());
    }
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let found = version(&transaction, path)?;
    let missing = usize::try_from(found).ok().and_then(|found| STEPS.get(found..)).unwrap_or_default();
    for step in missing {
        transaction.execute_batch(step).map_err(failed)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION).map_err(failed)?;
    transaction.pragma_update(None, "user_version", latest).map_err(failed)?;
    transaction.commit().map_err(failed)
}

/// The schema version of the file; 0 for a new one.
fn version(conn: &Connection, path: &Path) -> Result<i64, StoreError> {
    let read = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(|error| explain(error, path));
    let version = read("PRAGMA user_version")?;
    let application = read("PRAGMA application_id")?;
    let path = path.display();
    if application != APPLICATION
        && (application != 0 || version != 0 || read("SELECT count(*) FROM sqlite_schema")? > 0)
    {
        return Err(StoreError::Unsupported(format!("{path} is a database of another program")));
    }
    if usize::try_from(version).map_or(true, |version| version > STEPS.len()) {
        let ours = STEPS.len();
        return Err(StoreError::Unsupported(format!(
            "{path} has schema version {version}, this Windlass knows versions up to {ours}"
        )));
    }
    Ok(version)
}
