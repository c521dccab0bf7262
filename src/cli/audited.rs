//! Writes down who changed what by a command, right after the change.

use std::ffi::OsString;

use clap::CommandFactory as _;

use super::args::Cli;
use super::context::CommandContext;
use super::exit::{CliError, Exit};
use super::output::warn;
use crate::admin::audit::{self, AuditEntry, AuditOutcome};
use crate::clock::{Clock as _, SystemClock};
use crate::text::redact::Redactor;
use crate::text::shell;

/// Adds an entry to the audit if the command changed anything, or may have. If that fails it is told, and the command ends
/// as it would have.
pub(super) async fn keep(context: &CommandContext, line: &[OsString], ended: &Result<Exit, CliError>) {
    let reported = context.printer.take_reported();
    let outcome = match ended {
        Ok(Exit::Done) => AuditOutcome::Done,
        Ok(_) => AuditOutcome::Refused,
        Err(CliError::Unreported { .. } | CliError::Stopped(_)) => AuditOutcome::Done,
        Err(_) => AuditOutcome::Failed,
    };
    // A usage error, a no, a name that does not exist: nothing was changed.
    let may_have = reported.is_some() || matches!(ended, Err(CliError::Interrupted { .. }));
    let (true, Some(store)) = (may_have, context.store_in_use()) else { return };
    let (what, request) = words(line);
    let redacted = context.config().map(|loaded| loaded.config.log.redact).unwrap_or_default();
    let redactor = Redactor::new(&redacted);
    let mut entry = AuditEntry::new(SystemClock.now_ms(), context.user(), context.host(), what, outcome)
        .request(redactor.hide(&request).into_owned());
    if let Some((document, told)) = reported {
        entry = entry.answered(redactor.hide(&document).into_owned()).because(redactor.hide(&told).into_owned());
    }
    if let Err(error) = ended {
        entry = entry.because(error.to_string());
    }
    if let Err(error) = audit::keep(&store, entry).await {
        warn(&outcome.unwritten("the command", &error.to_string()));
    }
}

/// The words that name a command, and the rest of the line without what all commands take: an address may hold a password.
fn words(line: &[OsString]) -> (String, String) {
    let (mut command, mut named, mut rest) = (Cli::command(), Vec::new(), Vec::new());
    let mut words = line.iter().skip(1).map(|word| word.to_string_lossy());
    while let Some(word) = words.next() {
        match &*word {
            "--store" | "--config" => drop(words.next()),
            "--json" | "--yes" => {}
            word if word.starts_with("--store=") || word.starts_with("--config=") => {}
            word => match command.find_subcommand(word).filter(|_| rest.is_empty()).cloned() {
                Some(verb) => {
                    named.push(verb.get_name().to_owned());
                    command = verb;
                }
                None => rest.push(shell::word(word)),
            },
        }
    }
    (named.join(" "), rest.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_the_words_of_its_command_and_no_address() {
        let told = |line: &str| words(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        let is = |what: &str, request: &str| (what.to_owned(), request.to_owned());
        assert_eq!(told("w --store redis://:pw@h failed remove --task a*b --yes"), is("failed remove", "--task 'a*b'"));
        assert_eq!(told("w queues delete delete --store=redis://:pw@h --json"), is("queues delete", "delete"));
        assert_eq!(told("w failed retry 0a1b2c3d4e --config f"), is("failed retry", "0a1b2c3d4e"));
    }
}
