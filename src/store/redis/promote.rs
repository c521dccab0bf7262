//! Delayed -> queue.

use bytes::Bytes;
use fred::interfaces::Resp3Frame as Frame;

use super::connection::Connection;
use super::engine::RedisStore;
use super::lending::{Known, LONG, Lending};
use super::script::{Call, Script, script};
use super::{refusal, reply, rights, verdict};
use crate::job::QueueName;
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::scheduling::{Broken, Leadership, Promote, PromoteTo, Promoted, Promotion, RubyLeader};

static PROMOTE: Script = script!("locks", "places", "delay", "unlink", "trim_second", "ruby_leader", "lend", "promote");

/// What the script returns in place of a number of jobs if the second is not due yet.
const EARLY: i64 = -2;
/// And if a leader of resque-scheduler may be moving the jobs.
const RUBY_LEADS: i64 = -3;

impl Perform<Promotion> for RedisStore {
    async fn perform(&self, arrow: Promotion) -> Result<Promoted, StoreError> {
        promote(&self.connection, &arrow).await
    }
}

async fn promote(connection: &Connection, promotion: &Promotion) -> Result<Promoted, StoreError> {
    let keys = connection.keys();
    let jobs = promotion.jobs.len();
    let mut call = Call::sized(connection.origin.now_ms(), 3 * jobs + 13, 4 * jobs + 7);
    verdict::places(&mut call, keys);
    call.key(keys.leadership(Leadership::Scheduler)).key(keys.ruby_leadership());
    call.key(keys.delayed(promotion.second)).key(keys.twins(promotion.second));
    call.text(promotion.leader.as_deref().unwrap_or_default());
    let still = promotion.ruby.as_ref();
    call.arg(still.map(|ruby| ruby.name.clone()).unwrap_or_default());
    call.number(still.and_then(|ruby| ruby.expires_ms).unwrap_or(-1)).number(RubyLeader::READINGS_MS);
    let (loans_at, mut lending, mut position) = (call.lengths().1, Lending::default(), 0);
    call.literal("0").number(promotion.second).number(jobs);
    for group in promotion.jobs.chunk_by(|one, next| plain(one).is_some() && plain(one) == plain(next)) {
        let Some(first) = group.first() else { continue };
        let kind = match &first.to {
            PromoteTo::Queue { lock: None, .. } => "Q",
            PromoteTo::Queue { lock: Some(_), .. } => "L",
            PromoteTo::Failed { .. } => "F",
            PromoteTo::Later { .. } => "P",
        };
        call.literal(kind).number(group.len());
        if let PromoteTo::Queue { queue, .. } = &first.to {
            call.key(keys.queue(queue)).text(queue.as_str());
        }
        for (at, job) in group.iter().enumerate() {
            let from = call.lengths();
            // Of a long job neither is known here: both are put together where it stands.
            let payload = if job.long.is_some() { Bytes::new() } else { job.payload.clone() };
            call.key(keys.timestamps(&payload)).arg(payload);
            if at + 1 == group.len() {
                match &first.to {
                    PromoteTo::Queue { lock: Some((lock, ttl_s)), .. } => call.number(ttl_s).key(keys.lock(lock)),
                    PromoteTo::Queue { lock: None, .. } => &mut call,
                    PromoteTo::Failed { record } => call.arg(record.clone()),
                    PromoteTo::Later { wait_ms } => call.number(wait_ms),
                };
            }
            position += 1;
            if let Some(long) = &job.long {
                lending.lend_whole(from, keys.timestamps(b""), position, long);
            } else if job.payload.len() >= LONG {
                lending.lend(&mut call, from, (position, &job.payload), &Known::Digest);
            }
        }
    }
    lending.write(&mut call, loans_at);
    rights::ensure(connection).await?;
    let mut reply = match connection.run(&PROMOTE, call).await {
        Ok(reply) => reply::list(reply)?.into_iter(),
        Err(error) => return Err(rights::explain(connection, error).await),
    };
    let moved = reply::number(reply.next().unwrap_or(Frame::Null))?;
    if moved == EARLY {
        return Ok(Promoted::Early { now_ms: reply::number(reply.next().unwrap_or(Frame::Null))? });
    }
    if moved == RUBY_LEADS {
        return Ok(Promoted::RubyLeads);
    }
    let Ok(moved) = usize::try_from(moved) else { return Ok(Promoted::NotLeader) };
    let mut text = || reply.next().and_then(|part| reply::bytes(part).ok().flatten());
    let (place, reason) = (text(), text());
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let Some(place) = place else { return Ok(Promoted::Moved(moved)) };
    let reason = reason.as_ref().map(text).unwrap_or_default();
    // A key of another type, or one that this user may not touch, concerns this queue alone. Other errors concern the store.
    let refused = refusal::refused_to(&connection.origin.user(), &connection.origin.cli(), &reason);
    match &refused {
        StoreError::Corrupt { reason, .. } | StoreError::Barred { reason, .. } => {
            return Ok(Promoted::Refused { moved, by: Broken { place: text(&place), reason: reason.clone() } });
        }
        _ => {}
    }
    // This also notes whether a command was refused.
    let found = connection.findings(reason.as_bytes()).pop();
    if moved > 0 {
        return Ok(Promoted::Moved(moved));
    }
    Err(rights::explain(connection, found.unwrap_or(refused)).await)
}

/// The queue of a job that is pushed without a lock. Neighbours of one queue are pushed together.
fn plain(job: &Promote) -> Option<&QueueName> {
    match &job.to {
        PromoteTo::Queue { queue, lock: None } => Some(queue),
        PromoteTo::Queue { .. } | PromoteTo::Failed { .. } | PromoteTo::Later { .. } => None,
    }
}
