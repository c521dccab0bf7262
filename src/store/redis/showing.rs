//! What is shown of runs: a string for each that is watched, and a hash of progress for each instance.

use bytes::Bytes;
use fred::interfaces::Resp3Frame as Frame;

use super::connection::Connection;
use super::engine::RedisStore;
use super::keys::Keys;
use super::script::{Call, Script, script};
use super::{reply, wishes};
use crate::job::shown_run::LONGEST;
use crate::job::{ClaimToken, Progress, ShownRun};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::showing::{KEPT, LookAtRuns, PROGRESS_KEPT, SeenRun, ShowRuns};
use crate::store::wishes::{MOST, Wish, watch_name};

static SHOW_RUNS: Script = script!("wishes", "show_runs");
static LOOK_AT_RUNS: Script = script!("look_at_runs");

/// How many runs one call looks at, and how many without what is shown of them.
const LOOKED_AT: usize = 32;
const LOOKED_AT_IN_SHORT: usize = 512;

impl Perform<ShowRuns> for RedisStore {
    async fn perform(&self, arrow: ShowRuns) -> Result<Vec<Wish>, StoreError> {
        show(&self.connection, &arrow).await
    }
}

impl Perform<LookAtRuns> for RedisStore {
    async fn perform(&self, arrow: LookAtRuns) -> Result<Vec<SeenRun>, StoreError> {
        look(&self.connection, &arrow).await
    }
}

/// What `extend.lua` reads of the progress of runs.
pub(super) fn progress(call: &mut Call, keys: &Keys, instance: &str, told: &[(ClaimToken, Option<Progress>)]) {
    call.key(keys.progress(instance)).number(PROGRESS_KEPT.as_millis()).number(told.len());
    for (claim, progress) in told {
        call.text(claim.as_str()).arg(Bytes::from(progress.as_ref().map(Progress::encode).unwrap_or_default()));
    }
}

async fn show(connection: &Connection, ShowRuns { instance, shown, over }: &ShowRuns) -> Result<Vec<Wish>, StoreError> {
    let keys = connection.keys();
    let mut call = connection.call();
    call.key(keys.wishes(instance)).number(MOST).number(KEPT.as_millis()).number(shown.len());
    for (claim, record) in shown {
        call.key(keys.tail(claim)).arg(record.clone());
    }
    call.number(over.len());
    for claim in over {
        call.text(&watch_name(claim));
    }
    wishes::wishes(connection, instance, connection.run(&SHOW_RUNS, call).await?)
}

async fn look(connection: &Connection, LookAtRuns { claims, shown }: &LookAtRuns) -> Result<Vec<SeenRun>, StoreError> {
    let keys = connection.keys();
    let mut seen = Vec::with_capacity(claims.len());
    for some in claims.chunks(if *shown { LOOKED_AT } else { LOOKED_AT_IN_SHORT }) {
        let mut call = connection.call();
        call.number(LONGEST).flag(*shown).number(some.len());
        for claim in some {
            call.key(keys.progress(claim.instance())).text(claim.as_str());
            if *shown {
                call.key(keys.tail(claim));
            }
        }
        let mut reply = reply::list(connection.run(&LOOK_AT_RUNS, call).await?)?.into_iter();
        for _ in some {
            let mut next = || reply::bytes(reply.next().unwrap_or(Frame::Null)).map(Option::unwrap_or_default);
            seen.push(SeenRun { shown: ShownRun::parse(&next()?), progress: Progress::parse(&next()?) });
        }
    }
    Ok(seen)
}
