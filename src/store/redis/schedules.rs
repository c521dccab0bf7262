//! The last occurrences of schedules that enqueue tasks with arguments.

use bytes::Bytes;

use super::connection::Connection;
use super::engine::RedisStore;
use super::script::{Script, script};
use super::{enqueue, reply};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::queueing::Enqueued;
use crate::store::scheduling::{Fire, Fired, LastFired};
use crate::store::stored::Second;

static FIRE: Script = script!("locks", "admit", "fire");

impl Perform<LastFired> for RedisStore {
    async fn perform(&self, arrow: LastFired) -> Result<Vec<Option<i64>>, StoreError> {
        last_fired(&self.connection, &arrow.ids).await
    }
}

impl Perform<Fire> for RedisStore {
    async fn perform(&self, arrow: Fire) -> Result<Fired, StoreError> {
        fire(&self.connection, &arrow).await
    }
}

pub(super) async fn last_fired(connection: &Connection, ids: &[String]) -> Result<Vec<Option<i64>>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let fields = ids.iter().map(|id| Bytes::copy_from_slice(id.as_bytes()));
    let arguments = std::iter::once(connection.keys().schedules()).chain(fields).collect();
    let found = reply::list(connection.command("HMGET", arguments).await?)?;
    found
        .into_iter()
        .map(|value| Ok(reply::bytes(value)?.as_deref().and_then(reply::parsed::<Second>).map(Second::get)))
        .collect()
}

pub(super) async fn fire(connection: &Connection, fire: &Fire) -> Result<Fired, StoreError> {
    let keys = connection.keys();
    let mut call = connection.call();
    call.key(keys.schedules()).key(keys.queues()).text(&fire.id);
    call.text(&fire.seen_s.map(|second| second.to_string()).unwrap_or_default()).number(fire.last_s);
    call.flag(fire.job.is_some());
    if let Some(job) = &fire.job {
        call.key(keys.queue(&job.queue)).text(job.queue.as_str()).arg(job.payload.clone());
        enqueue::admissions(&mut call, keys, &job.payload, &job.admissions);
    }
    Ok(match (reply::number(connection.run(&FIRE, call).await?)?, &fire.job) {
        (-1, _) => Fired::No,
        (number @ 1.., Some(job)) => {
            Fired::Yes(Enqueued::Refused { plugin: enqueue::refusing(&job.admissions, number) })
        }
        _ => Fired::Yes(Enqueued::Yes),
    })
}
