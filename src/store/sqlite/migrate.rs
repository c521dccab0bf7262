//! Brings a file to the schema of this version, or refuses it: one SQL file per version, applied in
//! one transaction.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::added;
use super::error::explain;
use super::steps::STEPS;
use crate::store::error::StoreError;

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
    let shown = path.display();
    if application != APPLICATION
        && (application != 0 || version != 0 || read("SELECT count(*) FROM sqlite_schema")? > 0)
    {
        return Err(StoreError::Unsupported(format!("{shown} is a database of another program")));
    }
    if usize::try_from(version).map_or(true, |version| version > STEPS.len()) {
        let ours = STEPS.len();
        return Err(StoreError::Unsupported(format!(
            "{shown} has schema version {version}, this Windlass knows versions up to {ours}"
        )));
    }
    if version > 0 {
        // Before any of our statements runs, those of the missing steps included.
        added::judge(conn, path)?.map_err(StoreError::Unsupported)?;
    }
    Ok(version)
}
