//! `locks`: which are held, and how one is freed.

use serde::Serialize;

use crate::admin::locks::{self, LockView};
use crate::cli::args::LocksVerb;
use crate::cli::context::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{Table, clean};

#[derive(Debug, Serialize)]
struct Answer {
    locks: Vec<LockView>,
}

#[derive(Debug, Serialize)]
struct Deleted {
    deleted: bool,
    key: String,
}

/// Lists or deletes.
///
/// # Errors
/// Locks that are not held, failures of the store.
pub async fn run(context: &Context, verb: Option<LocksVerb>) -> Result<Exit, CliError> {
    let store = context.store().await?;
    match verb.unwrap_or(LocksVerb::List) {
        LocksVerb::List => {
            let answer = Answer { locks: locks::list(&store).await? };
            context.output.tell(&answer, || {
                if answer.locks.is_empty() {
                    return "no locks are held".to_owned();
                }
                let mut table = Table::new(&["#left", "value", "key"]);
                for lock in &answer.locks {
                    let left =
                        lock.ttl_ms.map_or_else(|| "for ever".to_owned(), |ms| format!("{}s", ms.div_ceil(1000)));
                    // The key comes last and in full: it is what `locks delete` takes.
                    table.row_with_last([&left, &lock.value], &lock.key);
                }
                table.text()
            })?;
        }
        LocksVerb::Delete { name } => {
            locks::delete(&store, &name).await?;
            let answer = Deleted { deleted: true, key: name };
            context.output.tell(&answer, || format!("freed {}", clean(&answer.key)))?;
        }
    }
    Ok(Exit::Done)
}
