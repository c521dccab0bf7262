//! `locks`: lists and deletes locks.

use serde::Serialize;

use crate::admin::locks;
use crate::cli::args::{LISTED, LocksVerb};
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::Text;
use crate::cli::table::TextTable;

#[derive(Debug, Serialize)]
struct LockDeleteOutput {
    deleted: bool,
    key: String,
}

/// Lists or deletes.
///
/// # Errors
/// Locks that are not held, failures of the store.
pub(crate) async fn run(context: &CommandContext, verb: Option<LocksVerb>) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let manner = context.printer.manner();
    match verb.unwrap_or(LocksVerb::List { limit: LISTED }) {
        LocksVerb::List { limit } => {
            let output = locks::list(&store, limit).await?;
            context.printer.print(&output, || {
                if output.locks.is_empty() && !output.more {
                    return Text::from("no locks are held");
                }
                let mut table = TextTable::new(&["#left", "value", "key"]).falling_away(&["value"]);
                for lock in &output.locks {
                    let left = lock.ttl_ms.map_or_else(
                        || "for ever".to_owned(),
                        |ms| manner.span(ms.div_ceil(1000) * 1000, || format!("{}s", ms.div_ceil(1000))),
                    );
                    // The key comes last and in full: it is what `locks delete` takes.
                    table.row_with_last([&left, &lock.value], &lock.key);
                }
                table.text(manner).and(if output.more { "there are more: use locks list --limit N" } else { "" })
            })?;
        }
        LocksVerb::Delete { name } => {
            locks::delete(&store, &context.tasks()?.registry, &name).await?;
            let output = LockDeleteOutput { deleted: true, key: name };
            context.printer.report(&output, || format!("freed {}", output.key))?;
        }
    }
    Ok(Exit::Done)
}
