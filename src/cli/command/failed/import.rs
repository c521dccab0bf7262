//! `failed import`: what an export holds comes back to the failed list.

use std::path::Path;

use super::many;
use crate::admin::AdminError;
use crate::admin::failed_import::{self, FailedImported};
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::input;
use crate::cli::output::{Text, warn};
use crate::cli::progress::Progress;
use crate::config::error::MOST_TOLD;
use crate::file::bounded;
use crate::store::handle::Store;
use crate::store::role::Whole;
use crate::text::count::counted;

/// `failed import`.
///
/// # Errors
/// Lines that are no export, of which all are told; failures of the store.
pub(super) async fn run(context: &CommandContext, file: &Path) -> Result<Exit, CliError> {
    let text = input::bytes(context, file, bounded::JOBS)?;
    let (mut records, mut wrong) = (Vec::new(), 0);
    let lines = text.split(|byte| *byte == b'\n').enumerate();
    for (number, line) in lines.filter(|(_, line)| !line.trim_ascii().is_empty()) {
        match failed_import::record_of(line) {
            Ok(record) => records.push(record),
            Err(why) => {
                wrong += 1;
                if wrong <= MOST_TOLD {
                    warn(&format!("line {}: {why}", number + 1));
                }
            }
        }
    }
    if wrong > 0 {
        let lines = counted(wrong as u64, "line is no exported job", "lines are no exported jobs");
        return Err(CliError::Usage(format!("{lines}; nothing was imported")));
    }
    // An export is written from the newest on, and the list begins with the oldest.
    records.reverse();
    let store: Store<Whole> = context.store().await?;
    let (mut progress, mut so_far) = (Progress::new("failed jobs were imported"), FailedImported::default());
    let brake = many::stopped_by_signal()?;
    let imported = failed_import::import((&store.narrow(), &store.narrow()), &records, &brake, |done| {
        so_far = *done;
        progress.at(done.imported);
    })
    .await;
    let done = imported.map_err(|error| match error {
        AdminError::Store(error) => {
            let jobs = counted(so_far.imported, "job was", "jobs were");
            let message =
                format!("failed to {error}; {jobs} imported until then, and are left out if the command is repeated");
            CliError::Interrupted { message, error }
        }
        other => other.into(),
    })?;
    context.printer.report(&done, || {
        let mut text = Text::from(format!("imported {}", counted(done.imported, "failed job", "failed jobs")));
        if done.already > 0 {
            text.push(format!("{} on the list already", counted(done.already, "was", "were")));
        }
        text
    })?;
    many::unless_stopped(&brake, done.imported, "imported")?;
    Ok(Exit::Done)
}
