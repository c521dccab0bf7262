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
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct RefusingLock {
    /// Its key, as `locks` lists it.
    pub key: String,
    /// Until when it is held, if that is known: RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// The same in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<i64>,
}

impl RefusingLock {
    fn of(LockHolder { key, until, .. }: LockHolder) -> Self {
        Self { key, until: until.map(Moment::rfc3339), until_ms: until.map(Moment::ms) }
    }

    /// Who holds it, until when, and what to type next. It is pasted into a shell, and any enqueuer can have chosen it.
    #[must_use]
    pub fn text(&self) -> String {
        let until = self.until.as_deref().map(|until| format!(" until {until}")).unwrap_or_default();
        format!("the lock {} is held{until}; to free it: {}", self.key, command("locks delete", &[&self.key]))
    }
}

/// The locks that refused these jobs, in order. A job that a lock refused is refused whether the lock can be read or not.
pub async fn refusing_locks(client: &Client, refused: &[(&ResolvedJob, &Refusal)]) -> Vec<Option<RefusingLock>> {
    let by_lock = |refusal: &Refusal| &*refusal.plugin == QUEUE_LOCK && refusal.reason.is_none();
    let jobs: Vec<&ResolvedJob> = refused.iter().filter(|(_, refusal)| by_lock(refusal)).map(|(job, _)| *job).collect();
    let mut holders = match jobs.is_empty() {
        true => Vec::new(),
        false => client.lock_holders(&jobs).await.unwrap_or_default(),
    }
    .into_iter();
    let mut view = |by_lock: bool| if by_lock { holders.next().flatten().map(RefusingLock::of) } else { None };
    refused.iter().map(|(_, refusal)| view(by_lock(refusal))).collect()
}
