//! Finished runs that are kept: the parameters of `keep_run.lua`, and the read of the last ones.

use std::collections::BTreeSet;

use bytes::Bytes;
use fred::interfaces::Resp3Frame as Frame;

use super::connection::Connection;
use super::engine::RedisStore;
use super::keys::Keys;
use super::script::{Call, Script, script};
use super::{reply, values};
use crate::job::finished_run::LONGEST_RECORD;
use crate::job::{FinishedRun, KeptResult, kept_result};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::runs::{FindJob, FoundJob, KeepResult, KeepRun, KeptRuns, NO_RECORD, ReadRuns, RunList, TrackedJob};
use crate::store::unreadable::{PassedOver, RecordKind};

static RUNS: Script = script!("page", "runs");

/// How many lists one call names at most.
const LISTS: usize = 256;

impl Perform<ReadRuns> for RedisStore {
    async fn perform(&self, arrow: ReadRuns) -> Result<Vec<KeptRuns>, StoreError> {
        read(&self.connection, &arrow.lists, arrow.last).await
    }
}

/// What `keep_run.lua` reads.
pub(super) fn keep(call: &mut Call, keys: &Keys, keep: &KeepRun) {
    let KeepRun { list, most, lasts_s, run, result } = keep;
    call.key(keys.runs(list)).number(*most).number(lasts_s.saturating_mul(1000).max(1));
    call.text(run.outcome.word()).arg(run.rest());
    let Some(KeepResult { job, lasts_s, result }) = result else {
        call.literal("");
        return;
    };
    call.number(lasts_s.saturating_mul(1000).max(1)).key(keys.result(job));
    call.arg(kept_result::rest(run, result.as_deref()));
}

/// Is this the refusal of the key where a run is kept?
pub(super) fn is_refused(keys: &Keys, run: Option<&KeepRun>, error: &StoreError) -> bool {
    let StoreError::Barred { place, .. } = error else { return false };
    let is_of_result =
        |run: &KeepRun| run.result.as_ref().is_some_and(|kept| keys.result(&kept.job) == place.as_bytes());
    run.is_some_and(|run| keys.runs(&run.list) == place.as_bytes() || is_of_result(run))
}

impl Perform<FindJob> for RedisStore {
    async fn perform(&self, FindJob { id }: FindJob) -> Result<FoundJob, StoreError> {
        let keys = self.connection.keys();
        let mut found =
            values::read_all(&self.connection, vec![keys.tracked(&id), keys.result(&id)]).await?.into_iter();
        let mut next = || found.next().flatten();
        Ok(FoundJob {
            tracked: next().as_deref().and_then(TrackedJob::parse),
            result: next().as_deref().and_then(KeptResult::parse),
        })
    }
}

async fn read(connection: &Connection, lists: &[RunList], last: usize) -> Result<Vec<KeptRuns>, StoreError> {
    let keys: Vec<Bytes> = lists.iter().map(|list| connection.keys().runs(list)).collect();
    let (mut all, mut passed) = (Vec::with_capacity(keys.len()), PassedOver::of_some(RecordKind::Run));
    // What was read already of a list that is too long for one call.
    let mut begun: Vec<Bytes> = Vec::new();
    while let Some(rest) = keys.get(all.len()..).filter(|rest| !rest.is_empty()) {
        let some = rest.get(..LISTS).unwrap_or(rest);
        let mut call = connection.call();
        call.number(some.len()).number(last).number(begun.len()).number(LONGEST_RECORD).keys(some);
        let before = (all.len(), begun.len());
        for (key, part) in some.iter().zip(reply::list(connection.run(&RUNS, call).await?)?) {
            let mut part = reply::list(part)?.into_iter();
            let mut next = || reply::bytes(part.next().unwrap_or(Frame::Null)).map(Option::unwrap_or_default);
            let (state, fault) = (next()?, next()?);
            let mut records = part.map(|record| Ok(reply::bytes(record)?.unwrap_or_default()));
            let mut records = records.by_ref().collect::<Result<Vec<Bytes>, StoreError>>()?;
            // Runs that ended since the call before have moved the others on. Records that are too long all look the same,
            // so that none of them tells a place.
            let known = begun.last().filter(|last| !last.is_empty());
            if let Some(at) = known.and_then(|last| records.iter().position(|record| record == last)) {
                records.drain(..=at);
            }
            begun.append(&mut records);
            if state.starts_with(b"+") {
                break;
            }
            let fault = connection.findings(&fault).pop();
            if let Some(error) = fault.as_ref().filter(|error| !matches!(error, StoreError::Corrupt { .. })) {
                return Err(error.clone());
            }
            all.push(kept(key, &std::mem::take(&mut begun), fault.as_ref(), &mut passed));
        }
        if before == (all.len(), begun.len()) {
            return Err(StoreError::Unsupported("its reply has neither runs nor an end".to_owned()));
        }
    }
    connection.passed_over(&passed, places(connection.keys(), lists).as_bytes());
    Ok(all)
}

/// Where these lists stand: those of tasks, of schedules, or both.
fn places(keys: &Keys, lists: &[RunList]) -> String {
    let prefixes: BTreeSet<Bytes> = lists.iter().map(|list| keys.runs_prefix(list)).collect();
    let prefixes: Vec<_> = prefixes.iter().map(|prefix| String::from_utf8_lossy(prefix)).collect();
    prefixes.join(" and ")
}

/// The runs of a list. `fault` says why it is none.
fn kept(key: &Bytes, records: &[Bytes], fault: Option<&StoreError>, passed: &mut PassedOver) -> KeptRuns {
    let (mut runs, mut here) = (Vec::with_capacity(records.len()), PassedOver::new(RecordKind::Run));
    if let Some(StoreError::Corrupt { reason, .. }) = fault {
        here.add(key, reason);
        passed.add(key, reason);
    }
    for record in records {
        match FinishedRun::parse(record) {
            Some(run) => runs.push(run),
            None => {
                here.add(record, NO_RECORD);
                passed.add(key, NO_RECORD);
            }
        }
    }
    KeptRuns { runs, unreadable: here.unreadable(&String::from_utf8_lossy(key)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::TaskName;

    #[test]
    fn the_place_of_lists_is_that_where_they_are_written() {
        let keys = Keys::new("r");
        let (task, schedule) = (RunList::Task(TaskName::as_stored("a")), RunList::Schedule("a".to_owned()));
        let at = |lists: &[&RunList]| places(&keys, &lists.iter().map(|list| (*list).clone()).collect::<Vec<_>>());
        for list in [&task, &schedule] {
            assert_eq!(keys.runs(list), format!("{}a", at(&[list])));
        }
        assert_eq!(at(&[&task, &schedule, &task]), "r:windlass:runs: and r:windlass:schedule_runs:");
    }
}
