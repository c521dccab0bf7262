//! What an id means that a person typed: a whole one, its beginning as a narrow listing shows it, or one under which the job is known
//! otherwise: the claim of a run, or the id of its failure.
//!
//! What is looked through is bounded: the runs, the newest failures, the delayed jobs that are due first.

use std::collections::BTreeMap;

use super::error::AdminError;
use super::failed::SHOWN_ID;
use super::id_text::{LEAST, begins, is_whole, one_of};
use super::running::{self, Which};
use super::{failed_page, waiting_jobs};
use crate::store::handle::Store;
use crate::store::role::Admin;

/// The whole id of the one job that this text means; nothing: it means none. `also` are ids with the claims of their runs that are known
/// otherwise.
///
/// # Errors
/// If it means several, and when the store cannot be reached.
pub async fn whole(
    store: &Store<Admin>,
    text: &str,
    also: impl IntoIterator<Item = (String, String)>,
) -> Result<Option<String>, AdminError> {
    let text = text.trim();
    let mut meant: BTreeMap<String, String> = BTreeMap::new();
    for (id, claim) in also {
        if claim == text || begins(&id, text) || begins(&claim, text) {
            meant.entry(id).or_insert_with(|| "its output is kept here".to_owned());
        }
    }
    let names = [text.to_owned()];
    for run in running::find(store, Which::Begun(&names), usize::MAX).await?.0 {
        let view = run.view();
        if let Some(id) = view.id {
            meant.insert(id, format!("{} runs on {}", view.class.as_deref().unwrap_or("it"), view.worker));
        }
    }
    for (found, id) in failed_page::of_jobs_begun(store, text).await? {
        let short = found.id.get(..SHOWN_ID).unwrap_or(&found.id).to_owned();
        let class = found.view().class.unwrap_or_default();
        meant.entry(id).or_insert_with(|| format!("{class} failed, as {short}"));
    }
    if text.len() >= LEAST && !is_whole(text) {
        for waiting in waiting_jobs::find(store, |id| begins(id, text)).await? {
            let attempt = format!("waits for attempt {}", waiting.identity.attempt);
            meant.entry(waiting.identity.id.to_string()).or_insert(attempt);
        }
    }
    one_of(text, meant)
}
