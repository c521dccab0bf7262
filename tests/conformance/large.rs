//! Queues, seconds and lists that are longer than the bound of one step: each step is bounded, and the result is right.

use bytes::Bytes;
use windlass::store::effect::Verdict;
use windlass::store::failed_part::{FailedSide, ReadFailed};
use windlass::store::inspection::{JobsToDelete, QueueEnd};
use windlass::store::jobs_part::{DelayedAt, Queued};
use windlass::store::moving::Waiting;
use windlass::store::periodic::{Purpose, Reconcile, Reconciled};
use windlass::store::queueing::{CLAIM_BYTES, When};

use crate::fixture::{Fixture, NOW_S, Place};
use crate::instance::{Instance, claimed, payloads};
use crate::look::{delay, failed, fill, job, queue, queued, seconds};
use crate::support::redis::{Options, RedisServer};
use crate::support::resp::Reply;
use crate::support::verbs::Verbs as _;
use crate::tick::tick;

behaviours! {
    a_long_queue_is_deleted,
    equal_jobs_are_deleted_from_either_end_of_a_long_queue,
    a_copy_is_found_wherever_it_stands_on_a_long_queue,
    a_task_is_stopped_and_withdrawn_from_a_long_queue,
    a_long_failed_list_is_cleared,
    several_failed_jobs_are_found_in_one_walk,
    a_job_that_is_delayed_to_many_seconds_is_deleted,
    a_task_that_is_delayed_to_many_seconds_runs_once,
    jobs_of_any_size_are_read_and_moved_in_order,
    a_step_holds_no_more_than_it_should,
    long_jobs_of_one_length_are_told_apart,
    an_exchange_claims_a_bounded_number_of_bytes,
    a_job_of_any_size_is_claimed_whole,
    a_long_payload_of_control_characters_costs_no_more_than_its_length,
    listings_hold_a_bounded_part_of_what_is_long,
    a_listing_of_locks_ends_at_its_limit,
}

/// More than one step of any engine looks at.
const MANY: usize = 5500;

fn form() -> Bytes {
    Bytes::from_static(br#"{"class":"clean","queue":"q","args":[{}]}"#)
}

fn look(purpose: Purpose) -> Reconcile {
    Reconcile {
        tick: tick(30),
        forms: vec![form()],
        queue_lock: None,
        job_lock: None,
        grace_s: 3,
        workers: Vec::new(),
        purpose,
        stale_due_s: None,
        silent: Vec::new(),
        attempts: Vec::new(),
    }
}

/// Many jobs, with others between them at some places.
async fn crowd(f: &Fixture, others: &[usize], other: &Bytes) {
    let jobs: Vec<Bytes> = (0..MANY).map(|n| if others.contains(&n) { other.clone() } else { job(n) }).collect();
    for some in jobs.chunks(1000) {
        fill(&f.store, "q", some).await;
    }
}

async fn a_long_queue_is_deleted(f: &Fixture) {
    crowd(f, &[], &job(0)).await;
    fill(&f.store, "other", &[job(1)]).await;
    assert_eq!(f.store.delete_queue(&queue("q")).await.expect("delete_queue"), MANY as u64);
    assert_eq!(f.store.queue_names().await.expect("queue_names"), [queue("other")]);
    assert_eq!(queued(&f.store, "q").await.len(), 0);
    assert_eq!(f.store.delete_queue(&queue("q")).await.expect("delete_queue"), 0);
}

async fn equal_jobs_are_deleted_from_either_end_of_a_long_queue(f: &Fixture) {
    let places = [0, 1, 2600, 5300, MANY - 1];
    let other = job(9999);
    let standing = |queued: Vec<Bytes>| -> Vec<usize> {
        queued.iter().enumerate().filter(|(_, one)| **one == other).map(|(n, _)| n).collect()
    };
    crowd(f, &places, &other).await;
    let delete = async |count| f.store.delete_jobs(&queue("q"), &other, count).await.expect("delete_jobs");
    assert_eq!(delete(2).await, 2);
    assert_eq!(standing(queued(&f.store, "q").await), [2598, 5298, MANY - 3]);
    assert_eq!(delete(-2).await, 2);
    assert_eq!(standing(queued(&f.store, "q").await), [2598]);
    let to_delete = [
        JobsToDelete { payload: other.clone(), count: Some(5), locks: Vec::new() },
        JobsToDelete { payload: job(3000), count: None, locks: Vec::new() },
    ];
    assert_eq!(f.store.delete_each(&queue("q"), &to_delete, QueueEnd::Tail).await.expect("delete_each"), 2);
    assert_eq!(delete(0).await, 0);
    assert_eq!(queued(&f.store, "q").await.len(), MANY - 6);
}

async fn a_copy_is_found_wherever_it_stands_on_a_long_queue(f: &Fixture) {
    for place in [0, 2700, MANY - 1] {
        let f = &f.sibling().await;
        crowd(f, &[place], &form()).await;
        assert_eq!(f.store.reconcile(&look(Purpose::Look)).await.expect("reconcile"), Reconciled::Seeded);
        f.pass(100);
        assert_eq!(f.store.reconcile(&look(Purpose::Look)).await.expect("reconcile"), Reconciled::Fine, "at {place}");
        assert_eq!(f.store.reconcile(&look(Purpose::Run)).await.expect("reconcile"), Reconciled::Waits, "at {place}");
        assert_eq!(queued(&f.store, "q").await.len(), MANY, "at {place}");
        assert_eq!(f.store.delete_jobs(&queue("q"), &form(), 0).await.expect("delete_jobs"), 1);
        assert_eq!(f.store.reconcile(&look(Purpose::Look)).await.expect("reconcile"), Reconciled::Restored);
        assert_eq!(f.store.reconcile(&look(Purpose::Look)).await.expect("reconcile"), Reconciled::Fine, "once");
    }
}

async fn a_task_is_stopped_and_withdrawn_from_a_long_queue(f: &Fixture) {
    crowd(f, &[4, 2700], &form()).await;
    let tick = tick(30);
    assert_eq!(f.store.stop(&tick.task, &queue("q"), &[form()]).await.expect("stop"), 2);
    assert!(f.store.periodic(&[]).await.expect("periodic").0[0].stopped);
    assert_eq!(queued(&f.store, "q").await.len(), MANY - 2);
    fill(&f.store, "q", &[form()]).await;
    f.store.withdraw(&tick.task, &queue("q"), &[form()]).await.expect("withdraw");
    assert_eq!(f.store.periodic(&[]).await.expect("periodic").0, []);
    assert_eq!(queued(&f.store, "q").await.len(), MANY - 2);
}

async fn a_long_failed_list_is_cleared(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 50).await;
    let numbers: Vec<usize> = (1..=50).collect();
    let record = Bytes::from_static(b"{}");
    for _ in 0..50 {
        fill(&f.store, "q", &(0..50).map(job).collect::<Vec<_>>()).await;
        let claims = instance.claim(&["q"], &numbers).await;
        let end = |claim: &crate::instance::Claimed| claim.ends(Verdict::Failed { record: record.clone() });
        instance.settle(claims.iter().map(end).collect()).await;
    }
    assert_eq!(f.store.clear_failed().await.expect("clear_failed"), 2500);
    assert_eq!(failed(&f.store).await.len(), 0);
}

async fn several_failed_jobs_are_found_in_one_walk(f: &Fixture) {
    use windlass::admin::failed::{find_each, list};
    let mut instance = Instance::join(&f.store, "a", 50).await;
    let numbers: Vec<usize> = (1..=50).collect();
    for turn in 0..9 {
        fill(&f.store, "q", &(0..50).map(job).collect::<Vec<_>>()).await;
        let claims = instance.claim(&["q"], &numbers).await;
        let record = |n: usize| Bytes::from(format!("{{\"n\":{}}}", 50 * turn + n));
        let end = |(n, claim): (usize, &crate::instance::Claimed)| claim.ends(Verdict::Failed { record: record(n) });
        instance.settle(claims.iter().enumerate().map(end).collect()).await;
    }
    let store = &f.store.narrow();
    let all = list(store, 0, -1).await.expect("list").failed;
    assert_eq!(all.len(), 450);
    let read = || {
        let passes = store.passes().into_iter().filter(|passes| ["failed", "failed_part"].contains(&passes.arrow));
        passes.map(|passes| passes.count).sum::<u64>()
    };
    let before = read();
    // By ids, beginnings of ids and positions, one of them twice.
    let addresses = [&all[449].id, &all[200].id[..12], "-1", &all[3].id];
    let found = find_each(store, &addresses).await.expect("find_each");
    assert_eq!(found.iter().map(|one| one.position).collect::<Vec<_>>(), [449, 200, 3]);
    assert_eq!(read() - before, 3 + 1, "three pages, and one record by its position");
    let error = find_each(store, &[&all[3].id, "0123456789abcdef"]).await.expect_err("there is no such id");
    assert!(error.to_string().contains("0123456789abcdef"), "{error}");
}

async fn a_job_that_is_delayed_to_many_seconds_is_deleted(f: &Fixture) {
    for second in 0..1200 {
        delay(&f.store, &job(1), When::At(NOW_S + second)).await;
    }
    delay(&f.store, &job(2), When::At(NOW_S)).await;
    let all: Vec<i64> = (NOW_S..NOW_S + 1200).collect();
    assert_eq!(f.store.delete_delayed(&job(1)).await.expect("delete_delayed"), all);
    assert_eq!(seconds(&f.store).await.len(), 1);
}

async fn a_task_that_is_delayed_to_many_seconds_runs_once(f: &Fixture) {
    assert_eq!(f.store.reconcile(&look(Purpose::Look)).await.expect("reconcile"), Reconciled::Seeded);
    assert_eq!(f.store.delete_jobs(&queue("q"), &form(), 0).await.expect("delete_jobs"), 1);
    for second in 1..=1200 {
        delay(&f.store, &form(), When::At(NOW_S + second)).await;
    }
    assert_eq!(f.store.reconcile(&look(Purpose::Run)).await.expect("reconcile"), Reconciled::Started);
    assert_eq!(seconds(&f.store).await.len(), 0);
    assert_eq!(queued(&f.store, "q").await, [form()]);
}

/// A job of about so many bytes.
pub(crate) fn of_size(n: usize, bytes: usize) -> Bytes {
    Bytes::from(format!(r#"{{"class":"large","queue":"q","args":[{n},"{}"]}}"#, "x".repeat(bytes)))
}

async fn jobs_of_any_size_are_read_and_moved_in_order(f: &Fixture) {
    let all: Vec<Bytes> = (0..40).map(|n| of_size(n, if n % 2 == 0 { 300_000 } else { 10 })).collect();
    for some in all.chunks(5) {
        fill(&f.store, "q", some).await;
    }
    for job in &all {
        delay(&f.store, job, When::At(NOW_S + 1)).await;
    }
    for (start, stop, expected) in [
        (0, -1, &all[..]),
        (3, 30, &all[3..=30]),
        (-37, -2, &all[3..39]),
        (-90, -39, &all[..2]),
        (38, 90, &all[38..]),
        (-2, -3, &[]),
        (40, 50, &[]),
    ] {
        let read = f.store.queued(&queue("q"), start, stop).await.expect("queued");
        assert!(read == expected, "{start} to {stop}: {} jobs", read.len());
    }
    let half: Vec<JobsToDelete> = all
        .iter()
        .step_by(4)
        .map(|job| JobsToDelete { payload: job.clone(), count: None, locks: Vec::new() })
        .collect();
    assert_eq!(f.store.delete_each(&queue("q"), &half, QueueEnd::Head).await.expect("delete_each"), 10);
    let mut moved = Vec::new();
    while let Some(batch) = f.store.set_aside(250).await.expect("set_aside") {
        moved.extend(batch.items.iter().filter_map(|item| match item {
            Waiting::Queued { payload, .. } | Waiting::Delayed { payload, .. } => Some(payload.clone()),
            _ => None,
        }));
        f.store.let_go(&batch.id).await.expect("let_go");
    }
    let left = all.iter().enumerate().filter(|(n, _)| n % 4 != 0).map(|(_, job)| job);
    assert!(moved.iter().eq(left.chain(&all)), "each once and in order: {}", moved.len());
}

async fn an_exchange_claims_a_bounded_number_of_bytes(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 30).await;
    let all: Vec<Bytes> = (0..30).map(|n| of_size(n, 300_000)).collect();
    for (queue, jobs) in [("first", &all[..6]), ("q", &all[6..])] {
        for some in jobs.chunks(3) {
            fill(&f.store, queue, some).await;
        }
    }
    let numbers: Vec<usize> = (1..=30).collect();
    let (mut found, mut exchanges) = (Vec::new(), 0);
    while found.len() < all.len() {
        let free: Vec<usize> = numbers[found.len()..].to_vec();
        let exchange = instance.next_claim(&["first", "q"], &free);
        let exchanged = instance.send(&exchange).await;
        let claims = claimed(&exchange, &exchanged);
        let bytes: usize = claims.iter().map(|claim| claim.claim.payload.len()).sum();
        assert!(bytes < CLAIM_BYTES + 301_000, "{bytes}");
        assert_eq!(exchanged.more, claims.len() < free.len(), "what is left is told");
        let again = instance.send(&exchange).await;
        assert!(payloads(&claimed(&exchange, &again)) == payloads(&claims), "a repetition brings the same");
        found.extend(payloads(&claims));
        exchanges += 1;
    }
    assert!(found == all, "in the order of the queues");
    assert_eq!(exchanges, 8, "four jobs each, and the last two");
    let exchange = instance.next_claim(&["first", "q"], &[]);
    assert!(!instance.send(&exchange).await.more);
}

async fn a_job_of_any_size_is_claimed_whole(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 5).await;
    let all = [of_size(0, 10), of_size(1, 5_000_000), of_size(2, 10), of_size(3, 2_500_000), of_size(4, 10)];
    fill(&f.store, "q", &all[..2]).await;
    fill(&f.store, "q", &all[2..]).await;
    let mut free = vec![1, 2, 3, 4, 5];
    for expected in [&all[..2], &all[2..4], &all[4..]] {
        let exchange = instance.next_claim(&["q"], &free);
        for _ in 0..2 {
            let exchanged = instance.send(&exchange).await;
            let claims = claimed(&exchange, &exchanged);
            assert!(payloads(&claims) == expected, "{} of {}", claims.len(), expected.len());
            assert!(claims.iter().all(|claim| claim.claim.identity.id.as_ref() == claim.claim.token.as_str()));
        }
        free.drain(..expected.len());
    }
}

/// How many bytes a step reads at most, but for the job with which it has them.
const STEP_BYTES: usize = 1 << 20;

async fn a_step_holds_no_more_than_it_should(f: &Fixture) {
    let all: Vec<Bytes> = (10..16).map(|n| of_size(n, 1_000_000)).collect();
    let mut instance = Instance::join(&f.store, "a", 1).await;
    for job in &all {
        fill(&f.store, "q", std::slice::from_ref(job)).await;
        let claim = instance.claim_one("q").await;
        instance.settle_one(&claim, Verdict::Failed { record: claim.claim.payload.clone() }).await;
    }
    for job in &all {
        fill(&f.store, "q", std::slice::from_ref(job)).await;
        delay(&f.store, job, When::At(NOW_S + 1)).await;
    }
    f.pass(5);
    let part = |jobs: &[Bytes], of: &[Bytes], what: &str| {
        let bytes = jobs.iter().map(Bytes::len).sum::<usize>();
        assert!(!jobs.is_empty() && bytes < STEP_BYTES + all[0].len(), "{what}: {} jobs", jobs.len());
        assert!(*jobs == of[..jobs.len()], "{what}: in order");
    };
    for (start, stop, of) in [(0, -1, &all[..]), (1, 4, &all[1..]), (-4, -2, &all[2..]), (-99, 2, &all[..])] {
        let what = format!("{start} to {stop}");
        let queued = f.store.run(Queued { queue: queue("q"), start, stop }).await.expect("queued");
        part(&queued.jobs, of, &what);
        let delayed = f.store.run(DelayedAt { second: NOW_S + 1, start, stop }).await.expect("delayed_at");
        part(&delayed.jobs, of, &what);
        assert!(queued.rest.is_some() && delayed.rest.is_some(), "{what}: there is more");
    }
    part(&f.store.due(250, &[]).await.expect("due").jobs, &all, "due");
    let newest: Vec<Bytes> = all.iter().rev().cloned().collect();
    for (side, of) in [(FailedSide::From(0), &all), (FailedSide::Before(99), &newest)] {
        let records = f.store.run(ReadFailed { side, most: 99 }).await.expect("failed").records;
        part(&records, of, "failed");
    }
    let mut moved = Vec::new();
    while let Some(batch) = f.store.set_aside(250).await.expect("set_aside") {
        let some: Vec<Bytes> = batch.items.iter().filter_map(bytes_of).cloned().collect();
        if !some.is_empty() {
            part(&some, &some, "set aside");
        }
        moved.extend(some);
        f.store.let_go(&batch.id).await.expect("let_go");
    }
    assert!(moved.iter().eq(all.iter().chain(&all).chain(&all)), "each once and in order: {}", moved.len());
}

fn bytes_of(item: &Waiting) -> Option<&Bytes> {
    match item {
        Waiting::Queued { payload, .. } | Waiting::Delayed { payload, .. } => Some(payload),
        Waiting::Failed { record } => Some(record),
        _ => None,
    }
}

/// They are told apart only by their bytes, of which there are more than one look compares.
async fn long_jobs_of_one_length_are_told_apart(f: &Fixture) {
    let all: Vec<Bytes> = (10..30).map(|n| of_size(n, 1_000_000)).collect();
    for job in &all {
        fill(&f.store, "q", std::slice::from_ref(job)).await;
    }
    for (at, count) in [(18, 1), (2, -1)] {
        assert_eq!(f.store.delete_jobs(&queue("q"), &all[at], count).await.expect("delete_jobs"), 1, "{at}");
    }
    let many: Vec<JobsToDelete> =
        [0, 5, 10, 15, 19].map(|n| JobsToDelete { payload: all[n].clone(), count: None, locks: Vec::new() }).to_vec();
    assert_eq!(f.store.delete_each(&queue("q"), &many, QueueEnd::Tail).await.expect("delete_each"), 5);
    let left = (0..20).filter(|n| ![0, 2, 5, 10, 15, 18, 19].contains(n)).map(|n| &all[n]);
    assert!(queued(&f.store, "q").await.iter().eq(left));
}

/// Redis counts the calls of its scripts: what is removed of 600 seconds takes several.
#[tokio::test]
async fn a_task_is_taken_from_many_seconds_step_by_step() {
    let server = RedisServer::start(Options::default());
    let f = Fixture::at(Place::redis_on(&server)).await;
    f.store.reconcile(&look(Purpose::Look)).await.expect("reconcile");
    f.store.delete_jobs(&queue("q"), &form(), 0).await.expect("delete_jobs");
    for second in 1..=600 {
        delay(&f.store, &form(), When::At(NOW_S + second)).await;
    }
    server.command(&["CONFIG", "RESETSTAT"]);
    assert_eq!(f.store.reconcile(&look(Purpose::Run)).await.expect("reconcile"), Reconciled::Started);
    let stats = server.command(&["INFO", "commandstats"]).texts().concat();
    let calls = stats.split("cmdstat_evalsha:calls=").nth(1).and_then(|rest| rest.split(',').next());
    assert_eq!(calls, Some("3"), "{stats}");
}

/// What one call looks at does not grow with what stands where a job's seconds are kept.
#[tokio::test]
async fn what_strangers_keep_among_the_seconds_of_a_job_goes_step_by_step() {
    let server = RedisServer::start(Options::default());
    let f = Fixture::at(Place::redis_on(&server)).await;
    let (raw, kept) = (job(1), [5, 6, 7].map(|second| NOW_S + second));
    for second in kept {
        delay(&f.store, &raw, When::At(second)).await;
    }
    let stamps = f.key(&format!("timestamps:{}", String::from_utf8_lossy(&raw)));
    let script = "for i = 1, 2000 do redis.call('SADD', KEYS[1], 'stranger' .. i) end";
    server.command(&["EVAL", script, "1", &stamps]);
    server.command(&["CONFIG", "RESETSTAT"]);
    assert_eq!(f.store.delete_delayed(&raw).await.expect("delete_delayed"), kept);
    let stats = server.command(&["INFO", "commandstats"]).texts().concat();
    let calls = stats.split("cmdstat_evalsha:calls=").nth(1).and_then(|rest| rest.split(',').next());
    assert_eq!(calls, Some("9"), "{stats}");
    assert!(!stats.contains("cmdstat_smembers"), "{stats}");
    assert_eq!(server.command(&["EXISTS", &stamps]), Reply::Int(0));
    assert_eq!(seconds(&f.store).await.len(), 0);
}

async fn a_long_payload_of_control_characters_costs_no_more_than_its_length(f: &Fixture) {
    // Long ones stand as they are in their records, also those that look like records of other forms.
    let long = |byte: u8| Bytes::from(vec![byte; 1 << 21]);
    let quoted = Bytes::from([&b"\""[..], &long(1), b"\""].concat());
    let strange = [long(1), long(b'\\'), long(b'"'), long(b'='), quoted, Bytes::from_static(b"\x08\t\n\x0c\r/\x7f")];
    let mut instance = Instance::join(&f.store, "a", strange.len()).await;
    fill(&f.store, "q", &strange).await;
    for (n, payload) in strange.iter().enumerate() {
        let exchange = instance.next_claim(&["q"], &[n + 1]);
        for _ in 0..2 {
            let exchanged = instance.send(&exchange).await;
            let claims = claimed(&exchange, &exchanged);
            assert!(payloads(&claims) == [payload.clone()], "claimed and claimed again as it is");
        }
    }
    for (record, payload) in instance.working().await.iter().zip(&strange) {
        assert!(record.payload.as_ref() == Some(payload));
        assert!(record.raw.len() < payload.len() + 1000, "{} for {}", record.raw.len(), payload.len());
    }
}

async fn listings_hold_a_bounded_part_of_what_is_long(f: &Fixture) {
    let store = &f.store.narrow();
    let long = Bytes::from(format!(r#"{{"class":"add","queue":"q","args":["{}"]}}"#, "x".repeat(3 << 20)));
    let no_job = Bytes::from("y".repeat(3 << 20));
    let payloads = [job(1), long.clone(), no_job, job(2), long];
    fill(&f.store, "q", &payloads).await;
    let page = windlass::admin::queues::show(store, "q", 0, 99).await.expect("show");
    assert_eq!(page.jobs.len(), 5);
    assert_eq!(page.jobs[1].args_text(), "(about 3145732 bytes)");
    assert!(page.jobs.iter().all(|job| job.args_text().len() < 20_000));
    let last = windlass::admin::queues::show(store, "q", -2, -1).await.expect("show");
    assert_eq!(
        last.jobs.iter().map(|job| job.args_text().to_owned()).collect::<Vec<_>>(),
        ["[2]", "(about 3145732 bytes)"]
    );

    let mut instance = Instance::join(&f.store, "a", 5).await;
    for _ in 0..5 {
        let claim = instance.claim_one("q").await;
        instance.settle_one(&claim, claim.failed()).await;
    }
    let listed = windlass::admin::failed::list(store, 0, 99).await.expect("list");
    assert_eq!((listed.count, listed.failed.len()), (5, 5));
    let json = serde_json::to_string(&listed).expect("a listing is JSON");
    assert!(json.len() < 60_000, "{}", json.len());
    let tail = windlass::admin::failed::list(store, -2, -1).await.expect("list");
    assert_eq!(tail.failed.iter().map(|one| one.position).collect::<Vec<_>>(), [3, 4]);
    // One that is asked for by its id is shown whole.
    let whole = windlass::admin::failed::find(store, &listed.failed[1].id).await.expect("find").view();
    assert!(whole.args.is_some_and(|args| args.get().len() > 3 << 20));
}

async fn a_listing_of_locks_ends_at_its_limit(f: &Fixture) {
    for n in 0..30 {
        f.plant_lock(&crate::look::lock(n), &"9".repeat(if n == 7 { 1 << 20 } else { 10 }));
    }
    let store = &f.store.narrow();
    for (limit, found, more) in [(0, 0, true), (7, 7, true), (30, 30, false), (1000, 30, false)] {
        let page = windlass::admin::locks::list(store, limit).await.expect("list");
        assert_eq!((page.locks.len(), page.more), (found, more), "{limit}");
        assert!(page.locks.iter().all(|lock| lock.value.len() <= 1024));
    }
}
