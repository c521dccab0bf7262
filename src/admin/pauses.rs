//! Who paused a queue, and when: what the audit tells of pauses that hold.

use std::collections::HashMap;

use serde::Deserialize;

use super::audit::{self, AuditEntry};
use super::error::AdminError;
use crate::store::handle::Store;
use crate::store::role::Admin;

/// How many of the last changes are looked at.
const LOOKED_AT: usize = 200;

/// Who paused, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PausedBy {
    /// Who, as the audit has it.
    pub who: String,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
}

/// The last pause of each queue that nobody has ended since, as far as the last changes tell; without a queue: of all.
pub type Pauses = HashMap<Option<String>, PausedBy>;

/// What a pause or its end answered.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    queue: Option<String>,
    paused: bool,
    changed: bool,
}

/// Reads them.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn pauses(store: &Store<Admin>) -> Result<Pauses, AdminError> {
    Ok(of(audit::read(store, 0, LOOKED_AT).await?.audit))
}

/// Those among these changes, the newest first.
fn of(changes: Vec<AuditEntry>) -> Pauses {
    let mut last: HashMap<Option<String>, Option<PausedBy>> = HashMap::new();
    for entry in changes {
        let answer = entry.result.as_ref().and_then(|result| serde_json::from_str::<Answer>(result.get()).ok());
        if let Some(answer) = answer.filter(|answer| answer.changed) {
            let by = PausedBy { who: entry.who, at_ms: entry.at_ms };
            last.entry(answer.queue).or_insert_with(|| answer.paused.then_some(by));
        }
    }
    last.into_iter().filter_map(|(queue, by)| Some((queue, by?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::audit::AuditOutcome;

    #[test]
    fn the_last_change_of_each_queue_counts() {
        let entry = |at_ms, answer: &str| {
            AuditEntry::new(at_ms, format!("ada {at_ms}"), String::new(), "x".into(), AuditOutcome::Done)
                .answered(answer.to_owned())
        };
        let told = of(vec![
            entry(9, r#"{"queue":"mail","paused":true,"changed":false}"#),
            entry(8, r#"{"queue":"mail","paused":true,"changed":true}"#),
            entry(7, r#"{"queue":"images","paused":false,"changed":true}"#),
            entry(6, r#"{"queue":"images","paused":true,"changed":true}"#),
            entry(5, r#"{"paused":true,"changed":true}"#),
            entry(4, r#"{"removed":1}"#),
            entry(3, "no JSON"),
        ]);
        let by = |at_ms| PausedBy { who: format!("ada {at_ms}"), at_ms };
        assert_eq!(told, HashMap::from([(Some("mail".to_owned()), by(8)), (None, by(5))]));
    }
}
