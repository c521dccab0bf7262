//! Which lock refused a job, until when it is held, and how to free it.

use serde::Serialize;

use crate::client::Client;
use crate::client::enqueue::LockHolder;
use crate::client::moment::Moment;
use crate::client::request::ResolvedJob;
use crate::plugin::chain::QUEUE_LOCK;
use crate::plugin::hooks::Refusal;
use crate::text::shell::command;

/// The lock that refused a job.
#[derive(Debug, Serialize)]
pub(super) struct LockView {
    key: String,
    /// Until when it is held, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until_ms: Option<i64>,
}

impl LockView {
    fn of(LockHolder { key, until, .. }: LockHolder) -> Self {
        Self { key, until: until.map(Moment::rfc3339), until_ms: until.map(Moment::ms) }
    }

    /// Who holds it, until when, and what to type next. It is pasted into a shell, and any enqueuer can have chosen it.
    pub(super) fn text(&self) -> String {
        let until = self.until.as_deref().map(|until| format!(" until {until}")).unwrap_or_default();
        format!("the lock {} is held{until}; to free it: {}", self.key, command("locks delete", &[&self.key]))
    }
}

/// The locks that refused these jobs, in order. A job that a lock refused is refused whether the lock can be read or not.
pub(super) async fn refusing_locks(client: &Client, refused: &[(&ResolvedJob, &Refusal)]) -> Vec<Option<LockView>> {
    let by_lock = |refusal: &Refusal| &*refusal.plugin == QUEUE_LOCK && refusal.reason.is_none();
    let jobs: Vec<&ResolvedJob> = refused.iter().filter(|(_, refusal)| by_lock(refusal)).map(|(job, _)| *job).collect();
    let mut holders = match jobs.is_empty() {
        true => Vec::new(),
        false => client.lock_holders(&jobs).await.unwrap_or_default(),
    }
    .into_iter();
    let mut view = |by_lock: bool| if by_lock { holders.next().flatten().map(LockView::of) } else { None };
    refused.iter().map(|(_, refusal)| view(by_lock(refusal))).collect()
}
