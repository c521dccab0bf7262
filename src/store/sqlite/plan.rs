//! A check that no statement takes long, because one that writes holds the write lock, and all that read wait for each other:
//! each may look only at a bounded number of rows of the tables that grow with the jobs. Builds with debug assertions, and so
//! all tests, ask SQLite for the plan of every statement that a connection prepares.

use rusqlite::Connection;

use crate::store::error::StoreError;

/// The tables that may hold millions of rows.
const LARGE: [&str; 4] = ["jobs", "delayed", "failed", "queues"];

/// Panics if a statement reads such a table from one end to the other.
///
/// # Panics
/// With the statement and the line of its plan.
pub(super) fn assert_bounded(conn: &Connection, sql: &str) -> Result<(), StoreError> {
    if let Some(line) = unbounded(conn, sql)? {
        panic!("this statement would take as long as the table is large: {sql}: {line}");
    }
    Ok(())
}

/// The line of a statement's plan that visits too many rows: a whole table, queue or second, unless the statement has a
/// LIMIT or asks for the first or last row.
fn unbounded(conn: &Connection, sql: &str) -> Result<Option<String>, StoreError> {
    if ["LIMIT", "min(", "max("].iter().any(|bound| sql.contains(bound)) {
        return Ok(None);
    }
    // SQLite empties a table without a plan.
    if LARGE.iter().any(|table| sql.trim_end() == format!("DELETE FROM {table}")) {
        return Ok(Some("the whole table is deleted".to_owned()));
    }
    let mut explain = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
    let mut rows = explain.raw_query();
    while let Some(row) = rows.next()? {
        let line: String = row.get(3)?;
        let whole = LARGE.iter().any(|table| {
            line == format!("SCAN {table}")
                || line.starts_with(&format!("SCAN {table} "))
                || line.starts_with(&format!("SEARCH {table} "))
                    && (line.ends_with("(queue=?)") || line.ends_with("(second=?)"))
        });
        if whole {
            return Ok(Some(line));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::super::connection::{Options, writer};
    use super::*;

    #[test]
    fn a_statement_that_reads_a_whole_table_or_queue_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let conn = writer(&dir.path().join("w.db"), Options::default()).unwrap();
        for sql in [
            "SELECT 1 FROM jobs WHERE payload = ?1",
            "SELECT 1 FROM jobs WHERE queue = ?1 AND payload = ?2",
            "DELETE FROM jobs WHERE queue = ?1",
            "DELETE FROM failed",
            "DELETE FROM delayed WHERE second = ?1",
            "SELECT record FROM failed WHERE record = ?1",
            "SELECT count(*) FROM queues",
        ] {
            assert!(unbounded(&conn, sql).unwrap().is_some(), "{sql}");
        }
        for sql in [
            "DELETE FROM jobs WHERE queue = ?1 AND position = ?2",
            "SELECT place FROM failed WHERE digest = ?1 AND record = ?2",
            "SELECT max(position) FROM jobs WHERE queue = ?1",
            "SELECT name FROM queues WHERE name = ?1",
            "SELECT 1 FROM working WHERE claim = ?1",
        ] {
            assert_eq!(unbounded(&conn, sql).unwrap(), None, "{sql}");
        }
    }
}
