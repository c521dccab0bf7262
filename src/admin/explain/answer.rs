//! The answer to a question, whatever it was about.

use serde::Serialize;

use super::cause::Finding;

/// What became of the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub enum State {
    /// It runs, or will run, or nothing waits.
    Runs,
    /// Something stands in its way.
    Blocked,
    /// There is no such thing.
    NotFound,
}

/// The answer.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Explanation {
    /// What was asked about, for people.
    pub subject: String,
    /// What became of it.
    pub state: State,
    /// The causes: what blocks it first.
    pub findings: Vec<Finding>,
}

impl Explanation {
    pub(super) fn of(subject: String, mut findings: Vec<Finding>) -> Self {
        // Stable: what was found first stays first among its kind.
        findings.sort_by_key(|finding| !finding.blocks);
        let blocked = findings.iter().any(|finding| finding.blocks);
        Self { subject, state: if blocked { State::Blocked } else { State::Runs }, findings }
    }

    pub(super) fn not_found(subject: String, finding: Finding) -> Self {
        Self { subject, state: State::NotFound, findings: vec![finding] }
    }
}
