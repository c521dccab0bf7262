//! What a listing reads: of long jobs and of many locks no more than it shows.

use bytes::Bytes;
use windlass::admin::running::Which;
use windlass::store::inspection::{LockPlace, Locks};
use windlass::store::instance::MOST_INSTANCES;
use windlass::store::listed::{JobList, LISTED_BYTES, ListJobs, ListedJob};
use windlass::store::queueing::When;
use windlass::store::role::Admin;
use windlass::store::unreadable::RecordKind;
use windlass::store::workers::{ForceClean, ReadWorkers, Working};

use crate::fixture::{Fixture, NOW_S, Place};
use crate::instance::Instance;
use crate::look::{delay, fill, job, queue, unreadable};
use crate::support::verbs::Verbs as _;

behaviours! {
    listings_read_no_more_of_long_jobs_than_they_show,
    locks_are_listed_in_pages,
    of_very_many_registrations_a_look_reads_a_bounded_number,
}

async fn listings_read_no_more_of_long_jobs_than_they_show(f: &Fixture) {
    let store = &f.store.narrow::<Admin>();
    let long = Bytes::from(format!(r#"{{"class":"add","queue":"q","args":["{}"]}}"#, "x".repeat(3 << 20)));
    fill(&f.store, "q", &[long.clone(), job(1), long.clone()]).await;
    delay(&f.store, &long, When::At(NOW_S + 60)).await;
    for (list, count) in [(JobList::Queue(queue("q")), 3), (JobList::Delayed(NOW_S + 60), 1)] {
        let jobs = store.run(ListJobs { list: list.clone(), start: 0, stop: 9 }).await.expect("list_jobs");
        assert_eq!(jobs.len(), count, "{list:?}");
        let cut = |job: &ListedJob| job.bytes.len() == LISTED_BYTES && job.length == long.len() as u64;
        assert!(jobs.iter().all(|one| cut(one) || one.whole() == Some(&job(1))), "{list:?}");
        assert_eq!(jobs.iter().filter(|one| cut(one)).count(), count.min(2), "{list:?}");
    }
    let some = store.run(ListJobs { list: JobList::Queue(queue("q")), start: 1, stop: 1 }).await.expect("list_jobs");
    assert_eq!(some, [ListedJob { bytes: job(1), length: job(1).len() as u64 }]);
    let delayed = windlass::admin::delayed::list(store, None, 9).await.expect("list");
    assert_eq!((delayed.jobs.len(), delayed.jobs[0].job.args_text()), (1, "(about 3145732 bytes)"));

    let mut instance = Instance::join(&f.store, "a", 2).await;
    let claim = instance.claim_one("q").await;
    let workers = vec![claim.worker.clone(), instance.record.workers().remove(1)];
    for longest in [600, LISTED_BYTES] {
        let read = store.run(ReadWorkers { workers: workers.clone(), longest }).await.expect("read_workers");
        let record = read[0].working.as_ref().expect("it works");
        assert!(record.raw.len() <= longest + 300 && record.left_out > 3_000_000, "{}", record.raw.len());
        assert_eq!((record.claim.as_ref(), record.class().as_deref()), (Some(&claim.claim.token), Some("add")));
        assert_eq!(read[1].working, None);
        // Nothing is done by a record of which only the beginning is known.
        let clean = ForceClean {
            worker: claim.worker.clone(),
            working: Some(record.clone()),
            record: None,
            free: Vec::new(),
            run: None,
        };
        assert!(!store.run(clean).await.expect("force_clean"));
    }
    let whole = store.run(Working { workers: workers.clone() }).await.expect("working")[0].clone().expect("it works");
    let registered = f.store.registered().await.expect("registered");
    let listed = registered.iter().find_map(|one| one.working.as_ref()).expect("it works");
    assert!(listed.left_out > 0 && whole.continues(listed));
    let page = windlass::admin::worker_page::list(store, 9).await.expect("list");
    let shown = page.workers.iter().find_map(|worker| worker.working.as_ref()).expect("it works");
    assert_eq!(shown.class.as_deref(), Some("add"));
    assert!(shown.args.is_none() && shown.args_left_out.is_some());
    let (runs, more) = windlass::admin::running::find(store, Which::Class("add"), 9).await.expect("find");
    assert_eq!((runs.len(), more), (1, false));
    // The one that is asked for by name is shown whole.
    let one = windlass::admin::workers::show(store, claim.worker.id()).await.expect("show");
    assert!(one.working.expect("it works").args.is_some_and(|args| args.get().len() > 3 << 20));
}

async fn locks_are_listed_in_pages(f: &Fixture) {
    (0..30).for_each(|n| f.plant_lock(&crate::look::lock(n), "9"));
    let (mut seen, mut next) = (Vec::new(), Some(LockPlace::default()));
    while let Some(from) = next.take() {
        let found = f.store.run(Locks { from, limit: 7, keys: 1 }).await.expect("locks");
        assert!(found.locks.len() <= 7);
        seen.extend(found.locks.into_iter().map(|lock| lock.key));
        next = found.next;
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 30);
}

async fn of_very_many_registrations_a_look_reads_a_bounded_number(f: &Fixture) {
    let instance = Instance::join(&f.store, "a", 1).await;
    let long = "x".repeat(2 << 20);
    match &f.place {
        Place::Redis { .. } => {
            f.redis_command(&["HSET", &f.key("windlass:instances"), "long", &long]);
        }
        Place::Sqlite { .. } => {
            let sql = "INSERT INTO instances (id, name, record, counter) VALUES ('long', 'long', ?1, 1)";
            f.sqlite_execute(sql, [&long]);
        }
    }
    let states = f.store.instances().await.expect("instances");
    assert_eq!(states.iter().map(|state| &state.record.id).collect::<Vec<_>>(), [&instance.record.id]);
    assert_eq!(unreadable(&f.store).await, [(RecordKind::Instance, 1)], "it is longer than any of ours");
    match &f.place {
        Place::Redis { .. } => {
            let ids: Vec<String> = (0..15_000).map(|n| format!("forged{n}")).collect();
            let mut command = vec!["HSET", "", "f", "x"];
            let key = f.key("windlass:instances");
            command[1] = &key;
            ids.iter().for_each(|id| command.extend([id.as_str(), "x"]));
            f.redis_command(&command);
        }
        Place::Sqlite { .. } => {
            let many = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 14999) \
                        INSERT INTO instances (id, name, record, counter) SELECT 'forged' || i, 'forged' || i, 'x', 1 FROM n";
            let file = rusqlite::Connection::open(f.place.file()).expect("the file must open");
            file.execute(many, []).expect("the rows must be written");
        }
    }
    let counts = unreadable(&f.store).await;
    let [(RecordKind::Instance, count)] = counts[..] else { panic!("{counts:?}") };
    let most = MOST_INSTANCES as u64;
    assert!((most - 10..most + 500).contains(&count), "{count}");
    // Each instance goes on by itself.
    assert!(!f.store.extend(&instance.extension()).await.expect("extend").dead);
}
