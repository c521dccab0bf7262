//! Which of the jobs that a dead instance ran is held to be what ended it.
//!
//! A job that ends its daemon each time takes what runs beside it along, and all of them would fail alike in the end. So a
//! job that was cut off three times may be poison, and an instance runs one such job at a time, beside any number of others.
//! When such an instance dies, only that job fails if it was cut off too often; the others run again. Which one it was
//! follows from the records, because one that finds another on record is put off before it begins: of several, the one that
//! was claimed first ran.
//!
//! That job may be innocent, and the culprit a job that runs beside it. Every redelivery is counted, so the culprit may
//! soon be poison itself, and then runs beside no other.
//!
//! The one that ran is recovered last. As long as its record stands, every observer judges the others alike, also one that
//! takes over halfway.

use super::cut_off::Blame;
use crate::store::working::WorkingRecord;

fn may_be_poison(record: &WorkingRecord) -> bool {
    record.identity.as_ref().is_some_and(|identity| identity.may_be_poison())
}

/// Puts records of a dead instance into the order in which they are recovered, and says whom to blame. Each job goes to the
/// head of its queue, so the newest comes first and the oldest runs first; the one that may be poison and ran comes last.
pub(crate) fn judge(mut records: Vec<WorkingRecord>) -> Vec<(WorkingRecord, Blame<'static>)> {
    let key = |record: &WorkingRecord| (record.run_at.clone(), record.claim.as_ref().map(|claim| claim.order()));
    records.sort_by_cached_key(|record| std::cmp::Reverse(key(record)));
    let Some(ran) = records.iter().rposition(may_be_poison) else {
        return records.into_iter().map(|record| (record, Blame::Possible)).collect();
    };
    let poison = records.remove(ran);
    records.into_iter().map(|record| (record, Blame::Another)).chain([(poison, Blame::Possible)]).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::cut_off::cut_off;
    use super::super::ending::CrashPolicy;
    use super::*;
    use crate::config::element::crash_policy::OnCrash;
    use crate::job::WorkerName;
    use crate::store::effect::Verdict;

    fn record(second: u32, index: u32, redelivered: u32) -> WorkingRecord {
        let raw = format!(
            r#"{{"claim":"00ff-0-7-{index}","id":"j{second}-{index}","attempt":1,"redelivered":{redelivered},"later":0,"run_at":"2026-11-24T03:26:{second:02}.000Z","queue":"q","payload":{{}}}}"#
        );
        WorkingRecord::parse(&WorkerName::parse("h-windlass:1+1:q"), Bytes::from(raw))
    }

    fn judged(records: Vec<WorkingRecord>) -> Vec<(String, bool)> {
        let told = |(record, blame): (WorkingRecord, Blame<'_>)| {
            (record.identity.unwrap().id.to_string(), blame == Blame::Possible)
        };
        judge(records).into_iter().map(told).collect()
    }

    fn expected(all: &[(&str, bool)]) -> Vec<(String, bool)> {
        all.iter().map(|(id, counts)| ((*id).to_owned(), *counts)).collect()
    }

    #[test]
    fn without_poison_it_may_have_been_any_and_the_newest_goes_first() {
        let records = vec![record(2, 0, 2), record(1, 0, 0), record(2, 1, 1)];
        assert_eq!(judged(records), expected(&[("j2-1", true), ("j2-0", true), ("j1-0", true)]));
    }

    #[test]
    fn what_may_be_poison_and_ran_is_blamed_alone_and_goes_last() {
        let records = vec![record(1, 0, 0), record(3, 0, 3), record(5, 1, 7), record(5, 0, 2), record(3, 1, 4)];
        let order = [("j5-1", false), ("j5-0", false), ("j3-1", false), ("j1-0", false), ("j3-0", true)];
        assert_eq!(judged(records), expected(&order));
    }

    #[test]
    fn a_neighbour_does_not_fail_but_is_told_of_every_redelivery() {
        let policy = CrashPolicy { on_crash: OnCrash::Requeue, max_redeliveries: 2 };
        let end = |record, blame| cut_off(record, None, |_| None, policy, blame, 0);
        let spared = end(record(1, 0, 2), Blame::Another);
        assert!(
            matches!(&spared.recovery.verdict, Verdict::Requeued { identity } if identity.redelivered == 3),
            "{:?}",
            spared.recovery
        );
        assert_eq!(spared.why, "its worker is gone; redelivery 3, beside a job that was cut off often");
        assert!(end(record(1, 0, 2), Blame::Possible).failure.is_some());
        let policy = CrashPolicy { on_crash: OnCrash::Fail, ..policy };
        assert!(cut_off(record(1, 0, 0), None, |_| None, policy, Blame::Another, 0).failure.is_some());
    }

    proptest::proptest! {
        #[test]
        fn an_observer_that_takes_over_halfway_judges_alike(
            all in proptest::collection::vec((0_u32..6, 0_u32..4, 0_u32..12), 1..8), done in 0_usize..8
        ) {
            let all: std::collections::BTreeMap<_, _> = all.into_iter().map(|(s, i, r)| ((s, i), r)).collect();
            let records: Vec<_> = all.iter().map(|((s, i), r)| record(*s, *i, *r)).collect();
            let whole = judge(records);
            let done = done.min(whole.len() - 1);
            let rest: Vec<_> = whole[done..].to_vec();
            let again = judge(rest.iter().map(|(record, _)| record.clone()).collect());
            proptest::prop_assert_eq!(again, rest);
        }
    }
}
