//! What stands beside delayed jobs, under names that hold their bytes: what Retry keeps, and who they are.

use std::collections::BTreeMap;

use bytes::Bytes;
use fred::interfaces::Resp3Frame as Frame;

use super::connection::Connection;
use super::engine::RedisStore;
use super::lending::{LONG, Lending};
use super::reply;
use super::script::{Script, calls_of, script};
use super::standing::{Long, Standing, is_long};
use crate::job::{Identity, RetryKeys};
use crate::store::arrow::Perform;
use crate::store::delayed::{DelayedIdentities, DelayedJob, FailedAttempts, ReadAttempts};
use crate::store::error::StoreError;
use crate::store::listed::LISTED_BYTES;

static ATTEMPTS: Script = script!("attempts");
static ATTEMPTS_LENT: Script = script!("lend", "lent", "attempts");
static IDENTITIES: Script = script!("identities");
static IDENTITIES_STANDING: Script = script!("lend", "standing", "identities");

/// How many jobs' attempts are read in one call: their errors may be long.
const TOGETHER: usize = 50;

impl Perform<ReadAttempts> for RedisStore {
    async fn perform(&self, arrow: ReadAttempts) -> Result<Vec<Option<FailedAttempts>>, StoreError> {
        let mut attempts = Vec::with_capacity(arrow.keys.len());
        for keys in calls_of(&arrow.keys, TOGETHER, |keys| keys.counter.len()) {
            let mut values = reply::list(read_attempts(&self.connection, keys).await?)?.into_iter();
            for _ in keys {
                let mut next = || values.next().map(reply::bytes).transpose().map(Option::flatten);
                let (counter, failure) = (next()?, next()?);
                attempts.push(FailedAttempts::read(counter.as_deref(), failure));
            }
        }
        Ok(attempts)
    }
}

/// What stands under these keys. The arguments of a long job, which are in both of its keys, go once.
async fn read_attempts(connection: &Connection, keys: &[RetryKeys]) -> Result<Frame, StoreError> {
    let names = connection.keys();
    let places = |keys: &RetryKeys| [names.named(&keys.counter), names.named(&keys.failure)];
    let (mut call, mut lending) = (connection.call(), Lending::default());
    call.number(LISTED_BYTES);
    for keys in keys {
        let (from, counter) = (call.lengths(), Bytes::from(keys.counter.clone()));
        call.keys(&places(keys));
        if counter.len() >= LONG {
            call.arg(counter.clone());
            lending.lend_argument(&mut call, from, (from.1, &counter));
        }
    }
    let script = lending.pick(&mut call, [&ATTEMPTS, &ATTEMPTS_LENT]);
    connection.run(script, call).await
}

impl Perform<DelayedIdentities> for RedisStore {
    async fn perform(&self, arrow: DelayedIdentities) -> Result<Vec<Option<Identity>>, StoreError> {
        let jobs = &arrow.jobs;
        let (long, short): (Vec<usize>, Vec<usize>) =
            (0..jobs.len()).partition(|index| jobs.get(*index).is_some_and(|job| is_long(&job.payload)));
        let mut identities = vec![None; jobs.len()];
        let mut tell = |index: usize, lines: Frame| -> Result<(), StoreError> {
            let lines = reply::bytes(lines)?;
            if let Some((identity, job)) = identities.get_mut(index).zip(jobs.get(index)) {
                *identity = lines.and_then(|lines| identity_at(&lines, job.second));
            }
            Ok(())
        };
        for some in short.chunks(TOGETHER) {
            let fields = some.iter().filter_map(|index| jobs.get(*index)).map(field);
            let fields = std::iter::once(self.connection.keys().identity()).chain(fields).collect();
            let lines = known(self.connection.command("HMGET", fields).await)?;
            some.iter().zip(lines).try_for_each(|(index, lines)| tell(*index, lines))?;
        }
        let mut seconds: BTreeMap<i64, Vec<(usize, &DelayedJob)>> = BTreeMap::new();
        for (index, job) in long.into_iter().filter_map(|index| Some((index, jobs.get(index)?))) {
            seconds.entry(job.second).or_default().push((index, job));
        }
        for (second, jobs) in seconds {
            for some in jobs.chunks(TOGETHER) {
                for (index, lines) in of_long(&self.connection, second, some).await? {
                    tell(index, lines)?;
                }
            }
        }
        Ok(identities)
    }
}

/// What is known of long jobs of a second, which are taken from their list instead of being sent; by their indexes.
async fn of_long(
    connection: &Connection,
    second: i64,
    jobs: &[(usize, &DelayedJob)],
) -> Result<Vec<(usize, Frame)>, StoreError> {
    let keys = connection.keys();
    let mut long = Long::of(connection, keys.delayed(second), jobs.iter().map(|(_, job)| (&job.payload, None)));
    let build = |long: &Long<'_>| {
        let mut call = connection.call();
        call.key(keys.delayed(second));
        let mut standing = Standing::in_last_key(&call);
        call.key(keys.identity()).number((0..jobs.len()).filter(|at| !long.is_gone(*at)).count());
        for (at, (_, job)) in jobs.iter().enumerate().filter(|(at, _)| !long.is_gone(*at)) {
            let from = call.lengths();
            call.arg(field(job));
            if let Some(position) = long.position(at) {
                standing.lend(&mut call, from, &job.payload, position);
            }
        }
        (standing.pick(&mut call, [&IDENTITIES, &IDENTITIES_STANDING]), call)
    };
    let lines = match long.run(jobs.len(), build).await.transpose() {
        Some(lines) => known(lines)?,
        None => Vec::new(),
    };
    let standing = jobs.iter().enumerate().filter(|(at, _)| !long.is_gone(*at)).map(|(_, (index, _))| *index);
    Ok(standing.zip(lines).collect())
}

/// Under which a job's identities are kept.
fn field(job: &DelayedJob) -> Bytes {
    Bytes::from([job.queue.as_str().as_bytes(), b"\n", &job.payload].concat())
}

/// A key of another type knows nobody.
fn known(lines: Result<Frame, StoreError>) -> Result<Vec<Frame>, StoreError> {
    match lines {
        Ok(lines) => reply::list(lines),
        Err(StoreError::Corrupt { .. }) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// For how many seconds past due an identity is kept at most (`places.lua`, KEPT).
const KEPT_S: i64 = 2_592_000;

/// The first identity of a job that is due at this second, among lines as `identity.lua` writes them.
fn identity_at(lines: &[u8], second: i64) -> Option<Identity> {
    std::str::from_utf8(lines).ok()?.lines().find_map(|line| {
        let (who, expiry) = line.rsplit_once(' ')?;
        let is_due = expiry.parse::<i64>().ok()?.checked_sub(KEPT_S)? == second;
        is_due.then(|| Identity::decode(who)).flatten()
    })
}
