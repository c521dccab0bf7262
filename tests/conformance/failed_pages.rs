//! Pages of failed jobs take a bounded time, and exports come back.

use bytes::Bytes;
use tokio::time::Instant;
use windlass::admin::brake::Brake;
use windlass::admin::failed::remove_all;
use windlass::admin::failed_export::export_whole;
use windlass::admin::failed_groups::groups;
use windlass::admin::failed_import::{import, record_of};
use windlass::admin::failed_page::{FailedPlace, page};
use windlass::admin::failed_search::{FailedFilter, newest};
use windlass::store::failed_part::{FAILED_READ_BYTES, FailedSide, ReadFailed};
use windlass::store::role::{Admin, Mover};

use crate::fixture::Fixture;
use crate::inspect::fail;
use crate::look::jobs;
use crate::support::verbs::Verbs as _;

behaviours! {
    an_export_comes_back_once_as_it_was,
    a_page_whose_time_is_over_has_a_next_one,
    groups_whose_time_is_over_are_not_complete,
    a_step_meets_one_long_record_at_most,
}

async fn an_export_comes_back_once_as_it_was(f: &Fixture) {
    let mut records: Vec<Bytes> = fail(f, &jobs(0..5)).await;
    records.extend(fail(f, &[Bytes::from_static(b"{\"class\":\"a\",\"args\":[\"\xff\"]}")]).await);
    let (list, mover) = (f.store.narrow::<Admin>(), f.store.narrow::<Mover>());
    let mut lines = Vec::new();
    export_whole(&list, &FailedFilter::default(), async |some| {
        lines.extend(some.iter().map(|one| serde_json::to_vec(one).expect("a document")));
        true
    })
    .await
    .expect("export");
    let read = |line: &Vec<u8>| record_of(line).expect("a line of an export");
    let mut back: Vec<Bytes> = lines.iter().map(read).collect();
    back.reverse();
    assert_eq!(back, records);
    let brake = Brake::default();
    let again = || import((&list, &mover), &back, &brake, |_| {});
    let there = again().await.expect("import");
    assert_eq!((there.imported, there.already), (0, 6), "each is there");
    remove_all(&list).await.expect("remove");
    // Two at once, of the same jobs.
    let (one, other) = tokio::join!(again(), again());
    let (one, other) = (one.expect("import"), other.expect("import"));
    assert_eq!((one.imported + other.imported, one.already + other.already), (6, 6));
    let on_list = f.store.failed(0, -1).await.expect("records");
    assert_eq!(on_list, records, "in order, byte for byte");
    let twice: Vec<Bytes> = back.iter().chain(&back).cloned().collect();
    remove_all(&list).await.expect("remove");
    let done = import((&list, &mover), &twice, &brake, |_| {}).await.expect("import");
    assert_eq!((done.imported, done.already), (6, 6));
}

async fn a_page_whose_time_is_over_has_a_next_one(f: &Fixture) {
    let records: Vec<Bytes> = fail(f, &jobs(0..5)).await;
    let (store, nothing) = (f.store.narrow::<Admin>(), FailedFilter::default());
    let none = FailedFilter { task: Some("nowhere".to_owned()), ..FailedFilter::default() };
    for (filter, found) in [(&nothing, records.len()), (&none, 0)] {
        let (mut after, mut pages, mut positions) = (None::<FailedPlace>, 0, Vec::new());
        loop {
            let page = page(&store, filter, after.as_ref(), 50, Instant::now()).await.expect("page");
            assert_eq!((page.scanned, page.moved), (1, false), "its first step, and no other");
            pages += 1;
            positions.extend(page.failed.iter().map(|view| view.position));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!((pages, positions.len()), (records.len(), found));
        assert!(positions.is_sorted_by(|one, next| one > next), "{positions:?}");
    }
    let in_time = page(&store, &nothing, None, 50, Instant::now() + std::time::Duration::from_secs(600)).await;
    assert_eq!(in_time.expect("page").failed.len(), records.len());
}

async fn groups_whose_time_is_over_are_not_complete(f: &Fixture) {
    fail(f, &jobs(0..5)).await;
    let store = f.store.narrow::<Admin>();
    for (until, scanned) in [(Some(Instant::now()), 1), (None, 5)] {
        let counted = groups(&store, FailedFilter::default(), 100, 10, until, |_| {}).await.expect("groups");
        assert_eq!((counted.scanned, counted.complete), (scanned, scanned == 5));
    }
}

async fn a_step_meets_one_long_record_at_most(f: &Fixture) {
    let long = |n: usize| {
        let args = "x".repeat(FAILED_READ_BYTES);
        Bytes::from(format!(r#"{{"class":"add","queue":"q","args":["{n}{args}"]}}"#))
    };
    let mut records = fail(f, &jobs(0..40)).await;
    for n in 0..3 {
        records.extend(fail(f, &[long(n)]).await);
    }
    records.extend(fail(f, &jobs(40..80)).await);
    for is_back in [false, true] {
        let (mut at, mut steps, mut seen) = (if is_back { i64::MAX } else { 0 }, Vec::new(), Vec::new());
        loop {
            let side = if is_back { FailedSide::Before(at) } else { FailedSide::From(at) };
            let part = f.store.run(ReadFailed { side, most: 64 }).await.expect("failed_part");
            let Some(last) = part.records.last() else { break };
            let bytes: usize = part.records.iter().map(Bytes::len).sum();
            assert!(bytes - last.len() < FAILED_READ_BYTES, "a step ends with the record that fills it: {bytes}");
            let count = i64::try_from(part.records.len()).expect("few");
            at = if is_back { part.position + 1 - count } else { part.position + count };
            steps.push(count);
            seen.extend(part.records);
        }
        assert_eq!(steps, [41, 1, 1, 40], "back: {is_back}");
        if is_back {
            seen.reverse();
        }
        assert_eq!(seen, records, "back: {is_back}");
    }
    // All that is read of the list goes this way: each is found once, whatever is long.
    let all = newest(&f.store.narrow(), &FailedFilter::default(), 1000, |_| {}).await.expect("newest").failed;
    assert_eq!(all.iter().map(|view| view.position).collect::<Vec<_>>(), (0..83).rev().collect::<Vec<_>>());
    let counted = groups(&f.store.narrow(), FailedFilter::default(), 100, 10, None, |_| {}).await.expect("groups");
    assert_eq!((counted.scanned, counted.complete), (83, true));
    assert_eq!(f.store.failed(-3, -1).await.expect("failed"), records[80..]);
    assert_eq!(f.store.failed(39, 41).await.expect("failed"), records[39..42]);
}
