//! What others added to the schema of the file, and whether our statements may meet it.
//!
//! Who may write the file may also add to its schema, and SQLite runs what stands there inside of our own statements, with the
//! rights and the memory of this process: a trigger, a view in the place of a table, a generated column, an index on an
//! expression. One that computes without end would hold up the daemon and fill its memory. So the schema is judged before a
//! file is used, and again in each transaction that finds it changed, which costs the others the look at one number.
//!
//! What is fit to meet our statements does a bounded amount of work: a trigger that refuses rows by what stands in their
//! columns, or that writes one row to a table of its own; an index on columns. Other tables and views are not met at all.

mod tokens;
mod trigger;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

use ring::digest::{Context, SHA256};
use rusqlite::Connection;

use self::tokens::{is_plain_index, is_plain_table, tokens};
use super::steps::STEPS;
use crate::store::error::StoreError;
use crate::text::shell::word;

/// The digest of the schema that the steps of this version make, by which it is known without a closer look.
const OURS: &str = "99b1f86c76df58733d3dfbb4bda966ae";

/// A row of the schema.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Object {
    kind: String,
    name: String,
    table: String,
    /// Nothing for an index that SQLite made by itself.
    sql: String,
}

/// The version of the schema that was last judged, and found fit.
#[derive(Debug, Default)]
pub(super) struct Judged(Cell<Option<i64>>);

impl Judged {
    /// Judges the schema that the present transaction sees, if it is not the one that was judged last.
    ///
    /// # Errors
    /// Says what somebody added, and what to type. Once that is gone, the file can be used again.
    pub(super) fn look(&self, conn: &Connection) -> Result<(), StoreError> {
        let version = conn.prepare_cached("PRAGMA schema_version")?.query_row([], |row| row.get(0))?;
        if self.0.get() == Some(version) {
            return Ok(());
        }
        let path = conn.path().unwrap_or_default().to_owned();
        judge(conn, Path::new(&path))?.map_err(StoreError::Unavailable)?;
        self.0.set(Some(version));
        Ok(())
    }
}

/// Judges the schema of a file. The inner error says what somebody added, and what to type.
pub(super) fn judge(conn: &Connection, path: &Path) -> Result<Result<(), String>, StoreError> {
    let found = objects(conn)?;
    Ok(if digest(&found) == OURS { Ok(()) } else { judge_all(&found, ours()?, path) })
}

/// The schema of a file, but for what SQLite keeps there for itself.
fn objects(conn: &Connection) -> rusqlite::Result<Vec<Object>> {
    let mut select = conn.prepare("SELECT type, name, tbl_name, sql FROM sqlite_master")?;
    let object = |row: &rusqlite::Row<'_>| {
        let sql = row.get::<_, Option<String>>(3)?.unwrap_or_default();
        Ok(Object { kind: row.get(0)?, name: row.get(1)?, table: row.get(2)?, sql })
    };
    let all: Vec<Object> = select.query_map([], object)?.collect::<Result<_, _>>()?;
    let is_made = |object: &Object| !object.name.starts_with("sqlite_") && !object.sql.is_empty();
    let mut made: Vec<Object> = all.into_iter().filter(is_made).collect();
    made.sort();
    Ok(made)
}

fn digest(objects: &[Object]) -> String {
    let mut context = Context::new(&SHA256);
    for Object { kind, name, table, sql } in objects {
        for text in [kind, name, table, sql] {
            context.update(text.as_bytes());
            context.update(b"\0");
        }
    }
    context.finish().as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The schema that the steps of this version make.
fn ours() -> rusqlite::Result<&'static [Object]> {
    static OURS: OnceLock<Vec<Object>> = OnceLock::new();
    if let Some(ours) = OURS.get() {
        return Ok(ours);
    }
    let made = Connection::open_in_memory()?;
    for step in STEPS {
        made.execute_batch(step)?;
    }
    let made = objects(&made)?;
    Ok(OURS.get_or_init(|| made))
}

/// A schema that is not exactly ours.
struct Schema<'s> {
    found: &'s [Object],
    ours: &'s [Object],
    /// The names of our tables.
    tables: BTreeSet<&'s str>,
}

fn judge_all(found: &[Object], ours: &[Object], path: &Path) -> Result<(), String> {
    let tables = ours.iter().filter(|object| object.kind == "table").map(|object| object.name.as_str()).collect();
    let schema = Schema { found, ours, tables };
    let unfit: Vec<&Object> = found.iter().filter(|object| !schema.is_fit(object)).collect();
    let Some(first) = unfit.first() else { return Ok(()) };
    let of = |object: &&Object| format!("{} {} on table {}", object.kind, object.name, object.table);
    let named: Vec<String> = unfit.iter().take(5).map(of).collect();
    let rest = unfit.len().saturating_sub(named.len());
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    let file = word(&path.to_string_lossy());
    let look = word(&format!(".schema {}", first.table));
    let remedy = match first.kind.as_str() {
        "trigger" | "index" => {
            let name = first.name.replace('"', "\"\"");
            let drop = word(&format!("DROP {} \"{name}\"", first.kind.to_uppercase()));
            format!("sqlite3 {file} {drop}")
        }
        _ => format!("put a backup of {} in its place", path.display()),
    };
    Err(format!(
        "somebody changed the schema of {}, so that statements of Windlass would run what Windlass did not write, for as long \
         as that takes: {}{more}; look at it: sqlite3 {file} {look}; then: {remedy}",
        path.display(),
        named.join(", ")
    ))
}

impl Schema<'_> {
    /// Can our statements meet it without harm, or do they not meet it at all?
    fn is_fit(&self, object: &Object) -> bool {
        let Object { kind, name, table, sql } = object;
        let is_ours = |name: &str| self.tables.contains(name.to_lowercase().as_str());
        let same = |ours: &&Object| ours.kind == *kind && ours.name.eq_ignore_ascii_case(name);
        if let Some(made) = self.ours.iter().find(same)
            && (made.sql == *sql || tokens(&made.sql) == tokens(sql))
        {
            return made.table.eq_ignore_ascii_case(table);
        }
        match kind.as_str() {
            // Columns that were added have a value, and no more.
            "table" => !is_ours(name) || is_plain_table(&tokens(sql)),
            "index" => !is_ours(table) || is_plain_index(&tokens(sql)),
            "trigger" => !is_ours(table) || self.is_fit_trigger(sql),
            // Views are switched off. One in the place of a table hides it.
            "view" => !is_ours(name),
            _ => false,
        }
    }

    fn is_fit_trigger(&self, sql: &str) -> bool {
        trigger::targets(&tokens(sql)).is_some_and(|targets| targets.iter().all(|target| self.may_be_written(target)))
    }

    /// May a trigger write one row to this table, so that no more comes of it?
    fn may_be_written(&self, target: &str) -> bool {
        let of_it = |object: &&Object| object.table.eq_ignore_ascii_case(target);
        let is_plain = |object: &Object| match object.kind.as_str() {
            "table" => is_plain_table(&tokens(&object.sql)),
            "index" => is_plain_index(&tokens(&object.sql)),
            _ => false,
        };
        !self.tables.contains(target.to_lowercase().as_str())
            && self.found.iter().any(|object| object.kind == "table" && object.name.eq_ignore_ascii_case(target))
            && self.found.iter().filter(of_it).all(is_plain)
    }
}

#[cfg(test)]
mod tests;
