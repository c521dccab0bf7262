//! `audit`: who changed what.

use serde_json::Value;

use crate::admin::audit::{self, AuditEntry, AuditOutcome};
use crate::cli::args::AuditArgs;
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{Text, local_time};
use crate::cli::table::TextTable;
use crate::text::count::counted;

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
    let result = || entry.result.as_ref().map(|result| in_words(result.get()));
    let told = entry.told.clone().or_else(result).unwrap_or_default();
    match entry.outcome {
        AuditOutcome::Done => told,
        AuditOutcome::Refused => format!("refused: {told}"),
        _ => format!("failed: {told}"),
    }
}

/// An answer for people who read a table: its members without the signs of JSON. What is nested is only named; `--json` has it.
fn in_words(json: &str) -> String {
    let said = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => Some(counted(items.len() as u64, "entry", "entries")),
        Value::Object(members) if members.is_empty() => None,
        Value::Object(_) => Some("...".to_owned()),
        scalar => Some(scalar.to_string()),
    };
    match serde_json::from_str(json) {
        Ok(Value::Object(members)) => {
            let words = members
                .iter()
                .filter_map(|(name, value)| Some(format!("{}: {}", name.replace('_', " "), said(value)?)));
            words.collect::<Vec<_>>().join(", ")
        }
        Ok(other) => said(&other).unwrap_or_default(),
        Err(_) => json.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_in_words() {
        let told =
            r#"{"queue":"mail","paused":true,"still_paused":["a","b"],"lock":{"key":"k"},"at":null,"deleted":3}"#;
        let words = in_words(told);
        for part in ["queue: mail", "paused: true", "still paused: 2 entries", "lock: ...", "deleted: 3"] {
            assert!(words.contains(part), "{part}: {words}");
        }
        assert!(!words.contains(['{', '"', '[']) && !words.contains("at:"), "{words}");
        assert_eq!((in_words("7"), in_words("not json")), ("7".to_owned(), "not json".to_owned()));
    }
}
