//! What an instance shows of its runs while somebody watches them, and how far runs are.
//!
//! ```text
//!   a person ──(AskRun: watch)──> its instance ──(ShowRuns, twice a second)──> the record of the claim ──(LookAtRuns)──> the person
//!   a handler tells how far it is ──(the next Extend of its instance)──> beside the claim ──(LookAtRuns)──> the person
//! ```
//!
//! A record lapses after [`KEPT`]. Nothing at all is written while nobody watches. No state depends on what stands here.

use std::time::Duration;

use bytes::Bytes;

use super::role::{Admin, Pool, arrow};
use super::wishes::Wish;
use crate::job::{ClaimToken, Progress, ShownRun};

/// For how long what is shown of a run stays.
pub const KEPT: Duration = Duration::from_secs(30);

/// For how long the progress of an instance's runs stays if none of them tells another one.
pub const PROGRESS_KEPT: Duration = Duration::from_secs(24 * 3600);

/// Shows runs of an instance, and takes away wishes to watch that were not renewed. Returns the wishes that stand.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct ShowRuns {
    /// The instance.
    pub instance: String,
    /// The claim of each run, and its record ([`ShownRun::encode`]).
    pub shown: Vec<(ClaimToken, Bytes)>,
    /// The runs that nobody watches any more.
    pub over: Vec<ClaimToken>,
}

arrow!(ShowRuns, "show_runs", Repeatable -> Vec<Wish>; Pool);

/// What stands about each of these runs, in order.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct LookAtRuns {
    /// The claims of the runs.
    pub claims: Vec<ClaimToken>,
    /// Also what their instances show, which may be long?
    pub shown: bool,
}

arrow!(LookAtRuns, "look_at_runs", Reads -> Vec<SeenRun>; Admin);

/// What stands about a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SeenRun {
    /// What its instance shows.
    pub shown: Option<ShownRun>,
    /// How far it is.
    pub progress: Option<Progress>,
}
