//! Pages of failed jobs take a bounded time.

use bytes::Bytes;
use tokio::time::Instant;
use windlass::admin::failed_groups::groups;
use windlass::admin::failed_page::{FailedPlace, page};
use windlass::admin::failed_search::FailedFilter;
use windlass::store::role::Admin;

use crate::fixture::Fixture;
use crate::inspect::fail;
use crate::look::jobs;

behaviours! {
    a_page_whose_time_is_over_has_a_next_one,
    groups_whose_time_is_over_are_not_complete,
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
