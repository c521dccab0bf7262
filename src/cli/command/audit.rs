//! `audit`: who changed what.

use crate::admin::audit::{self, AuditEntry, AuditOutcome};
use crate::cli::args::AuditArgs;
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{Text, local_time};
use crate::cli::table::TextTable;

/// Lists the last changes.
///
/// # Errors
/// Failures of the store.
pub(crate) async fn run(context: &CommandContext, args: &AuditArgs) -> Result<Exit, CliError> {
    let page = audit::read(&context.store().await?, 0, args.limit).await?;
    let manner = context.printer.manner();
    context.printer.print(&page, || {
        if page.audit.is_empty() {
            return Text::from("nobody changed anything since changes are kept");
        }
        let mut table = TextTable::new(&["at", "who", "from", "what", "of what", "outcome"]);
        for entry in &page.audit {
            let request = entry.request.as_deref().unwrap_or_default();
            table.row([
                &manner.time(&entry.at, || local_time(&entry.at)),
                &entry.who,
                &entry.from,
                &entry.what,
                request,
                &outcome(entry),
            ]);
        }
        table.text(manner).and(if page.more { "there are more: use audit --limit N" } else { "" })
    })?;
    Ok(Exit::Done)
}

fn outcome(entry: &AuditEntry) -> String {
    let told = entry.told.as_deref().or_else(|| entry.result.as_ref().map(|result| result.get())).unwrap_or_default();
    match entry.outcome {
        AuditOutcome::Done => told.to_owned(),
        AuditOutcome::Refused => format!("refused: {told}"),
        _ => format!("failed: {told}"),
    }
}
