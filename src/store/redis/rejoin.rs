//! An instance goes on in a server that lost everything.

use bytes::Bytes;
use fred::interfaces::Resp3Frame as Frame;

use super::connection::Connection;
use super::engine::RedisStore;
use super::lease::{encoded, indexes};
use super::lending::Lending;
use super::script::{Script, script};
use super::worker_keys::members;
use super::{reply, rights};
use crate::job::Identity;
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::rejoin::{HeldJob, Rejoin, Rejoined};
use crate::store::working;

static REJOIN: Script = script!("locks", "members", "rejoin");
static REJOIN_LENT: Script = script!("lend", "lent", "locks", "members", "rejoin");

impl Perform<Rejoin> for RedisStore {
    async fn perform(&self, arrow: Rejoin) -> Result<Rejoined, StoreError> {
        rejoin(&self.connection, &arrow).await
    }
}

async fn rejoin(connection: &Connection, rejoin: &Rejoin) -> Result<Rejoined, StoreError> {
    rights::ensure(connection).await?;
    let (keys, record) = (connection.keys(), &rejoin.record);
    let mut call = connection.call();
    call.key(keys.birth()).key(keys.instances()).key(keys.leases()).key(keys.names());
    call.key(keys.lane(&record.id)).key(keys.workers());
    call.text(&record.id).text(&record.name).arg(encoded(record)?).text(&rejoin.lost).text(&rejoin.birth);
    members(&mut call, keys, &rejoin.workers);
    call.number(rejoin.lanes.len());
    for (lane, sequence) in &rejoin.lanes {
        call.number(lane).number(sequence);
    }
    call.number(rejoin.jobs.len());
    // Of each job where its record stands among the arguments.
    let mut records = Vec::with_capacity(rejoin.jobs.len());
    for job in &rejoin.jobs {
        let record = on_record(job);
        records.push((call.lengths().1, record.clone()));
        call.key(keys.working(&job.worker)).arg(record);
    }
    let mut lending = Lending::default();
    call.number(rejoin.locks.len());
    for lock in &rejoin.locks {
        let (job, from) = (rejoin.jobs.iter().zip(&records).find(|(job, _)| job.claim == lock.claim), call.lengths());
        call.key(keys.lock(&lock.key)).key(keys.lock_shadow(&lock.key)).text(lock.claim.as_str());
        call.arg(job.map_or_else(Bytes::new, |(job, _)| keys.working(&job.worker))).number(lock.ttl_s);
        if let Some((_, (at, record))) = job {
            lending.lend_argument(&mut call, from, (*at, record));
        }
    }
    let script = lending.pick(&mut call, [&REJOIN, &REJOIN_LENT]);
    let mut reply = reply::list(connection.run(script, call).await?)?.into_iter();
    let mut next = || reply.next().unwrap_or(Frame::Null);
    match &*reply::bytes(next())?.unwrap_or_default() {
        b"B" => Ok(Rejoined::Buried),
        b"N" => Ok(Rejoined::NameTaken),
        _ => {
            let birth = reply::bytes(next())?.unwrap_or_default();
            let birth = String::from_utf8_lossy(&birth).into_owned();
            Ok(Rejoined::Yes { birth, lost_locks: indexes(next())? })
        }
    }
}

fn on_record(job: &HeldJob) -> Bytes {
    let HeldJob { worker, claim, queue, identity, run_at, payload } = job;
    let again = (*identity != Identity::first(claim)).then_some(identity);
    working::encode(worker, claim, again, run_at, queue.as_str(), payload)
}
