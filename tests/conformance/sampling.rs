//! What arrives at queues and leaves them is counted in the steps that do it, and the leader's sampler tells from that how long
//! jobs wait.

use std::sync::Arc;

use windlass::admin::explain::{self, Cause, Finding};
use windlass::clock::Clock;
use windlass::curve::Age;
use windlass::scheduler::sampling::Sampler;
use windlass::store::effect::Verdict;
use windlass::store::inspection::{JobsToDelete, QueueEnd};
use windlass::store::moving::PutBack;
use windlass::store::queueing::{Enqueue, When};
use windlass::store::sampling::{
    AskForSamples, Counters, ForgetQueues, Publish, PublishedSnapshot, QueueState, ReadCurves, ReadSnapshot, Sample,
    Sampled, SampledQueue,
};
use windlass::store::snapshot::{QueueGauge, Snapshot};
use windlass::task::Registry;

use crate::fixture::{Fixture, NOW_MS, NOW_S, Place};
use crate::instance::Instance;
use crate::look::{delay, fill, job, jobs, promote_all, push, queue};
use crate::scheduler::Scheduler;
use crate::support::resp::Reply;
use crate::support::verbs::Verbs as _;

behaviours! {
    what_is_claimed_and_given_back_is_counted,
    what_is_deleted_has_left,
    what_is_set_aside_has_left_until_it_is_put_back,
    promoted_jobs_arrive,
    jobs_put_first_count_as_arrived,
    a_deleted_queue_keeps_its_count_until_it_is_forgotten,
    while_all_is_quiet_nothing_else_is_read,
    a_snapshot_stands_for_a_while,
    numbers_of_the_store_are_read_when_they_are_asked_for,
    the_sampler_tells_how_long_jobs_wait,
    the_next_leader_knows_how_long_jobs_wait,
    the_sampler_samples_often_while_something_goes_on,
    a_queue_that_is_paused_is_sampled_although_jobs_are_told,
    a_queue_that_is_worked_off_too_slowly_is_told,
    the_sampler_forgets_queues_that_are_gone,
}

pub(crate) async fn sample(f: &Fixture, names: &[&str]) -> Sampled {
    let queues = names.iter().map(|name| SampledQueue { queue: queue(name), head: true }).collect();
    f.store.run(Sample { queues, totals: false, quiet: None }).await.expect("sample")
}

pub(crate) async fn state(f: &Fixture) -> QueueState {
    sample(f, &["q"]).await.queues.expect("it was not quiet before").remove(0)
}

/// How many jobs ever arrived, and how many the queue holds.
pub(crate) async fn arrived(f: &Fixture) -> (i64, u64) {
    let state = state(f).await;
    (state.departed.expect("it is counted") + i64::try_from(state.length).expect("a few"), state.length)
}

/// When the oldest job came, which only SQLite knows by itself.
fn came(f: &Fixture, ms: i64) -> Option<i64> {
    matches!(f.place, Place::Sqlite { .. }).then_some(ms)
}

async fn what_is_claimed_and_given_back_is_counted(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 4).await;
    fill(&f.store, "q", &jobs(0..2)).await;
    f.pass(1);
    fill(&f.store, "q", &jobs(2..5)).await;
    assert_eq!((arrived(f).await, state(f).await.oldest_ms), ((5, 5), came(f, NOW_MS)));
    let claims = instance.claim(&["q"], &[1, 2, 3]).await;
    assert_eq!((arrived(f).await, state(f).await.oldest_ms), ((5, 2), came(f, NOW_MS + 1000)));
    f.pass(1);
    let ends = vec![claims[0].ends(Verdict::Done), claims[1].ends(claims[1].requeued())];
    assert_eq!(instance.settle(ends).await, [0_usize; 0]);
    let state = state(f).await;
    assert_eq!((state.departed, state.length), (Some(2), 3));
    assert_eq!(state.oldest_ms, came(f, NOW_MS), "it came when it came first");
    match f.place {
        Place::Redis { .. } => assert_eq!(state.unsure, Some(3), "it may be any of the three"),
        Place::Sqlite { .. } => assert_eq!(state.unsure, None),
    }
    assert_eq!(instance.settle(vec![claims[2].ends(claims[2].failed())]).await, [0_usize; 0]);
    assert_eq!(arrived(f).await, (5, 3));
    let record = f.store.failed(0, 0).await.expect("failed").remove(0);
    f.store.retry_failed(&record, &queue("q"), &job(2), &[], None).await.expect("retry_failed");
    assert_eq!(arrived(f).await, (6, 4), "it arrives once more");
    let claims = instance.claim(&["q"], &[1, 2, 3, 4]).await;
    assert_eq!((claims.len(), arrived(f).await), (4, (6, 0)));
}

async fn what_is_deleted_has_left(f: &Fixture) {
    fill(&f.store, "q", &[job(1), job(2), job(1), job(3), job(4), job(1)]).await;
    assert_eq!(f.store.delete_jobs(&queue("q"), &job(1), 2).await.expect("delete_jobs"), 2);
    assert_eq!(arrived(f).await, (6, 4));
    let doomed = |n| JobsToDelete { payload: job(n), count: None, locks: Vec::new() };
    let some: Vec<JobsToDelete> = [2, 3, 7, 8, 9].map(doomed).into();
    assert_eq!(f.store.delete_each(&queue("q"), &some, QueueEnd::Head).await.expect("delete_each"), 2);
    assert_eq!(arrived(f).await, (6, 2));
    if let Place::Redis { .. } = f.place {
        assert_eq!(state(f).await.unsure, Some(6), "those that are left may be any of the six");
    }
    assert_eq!(f.store.delete_queue(&queue("q")).await.expect("delete_queue"), 2);
    assert_eq!(arrived(f).await, (6, 0));
}

async fn what_is_set_aside_has_left_until_it_is_put_back(f: &Fixture) {
    fill(&f.store, "q", &jobs(0..5)).await;
    let batch = f.store.set_aside(3).await.expect("set_aside").expect("something waits");
    assert_eq!(arrived(f).await, (5, 2));
    assert!(f.store.run(PutBack { batch, targets: Vec::new() }).await.expect("put_back"));
    assert_eq!(arrived(f).await, (5, 5));
    assert_eq!(state(f).await.oldest_ms, None, "the batch does not tell when they came");
}

async fn promoted_jobs_arrive(f: &Fixture) {
    delay(&f.store, &job(1), When::At(NOW_S + 5)).await;
    fill(&f.store, "q", &[job(2)]).await;
    f.pass(10);
    promote_all(&f.store, "q", 10).await;
    assert_eq!(arrived(f).await, (2, 2));
    assert_eq!(state(f).await.oldest_ms, came(f, NOW_MS));
}

async fn jobs_put_first_count_as_arrived(f: &Fixture) {
    let first = |n| Enqueue { front: true, ..push("q", &job(n), &[]) };
    f.store.enqueue(&[first(0)]).await.expect("enqueue");
    assert_eq!((arrived(f).await, state(f).await.unsure), ((1, 1), None), "there was no other");
    f.pass(1);
    f.store.enqueue(&[first(1), first(2), push("q", &job(3), &[])]).await.expect("enqueue");
    let state = state(f).await;
    assert_eq!((state.departed, state.length), (Some(0), 4));
    assert_eq!(state.oldest_ms, came(f, NOW_MS), "the one that they displaced is the oldest");
    if let Place::Redis { .. } = f.place {
        assert_eq!(state.unsure, Some(3));
    }
}

async fn a_deleted_queue_keeps_its_count_until_it_is_forgotten(f: &Fixture) {
    fill(&f.store, "q", &jobs(0..3)).await;
    fill(&f.store, "kept", &jobs(0..3)).await;
    f.store.delete_queue(&queue("q")).await.expect("delete_queue");
    fill(&f.store, "q", &jobs(0..1)).await;
    assert_eq!(arrived(f).await, (4, 1), "an equal number of jobs is no proof that it is the same");
    f.store.delete_queue(&queue("q")).await.expect("delete_queue");
    let mut forgotten = f.store.run(ForgetQueues { from: None }).await.expect("forget_queues");
    while let Some(from) = forgotten.next.take() {
        let more = f.store.run(ForgetQueues { from: Some(from) }).await.expect("forget_queues");
        forgotten.queues.extend(more.queues);
        forgotten.next = more.next;
    }
    assert_eq!(forgotten.queues, [queue("q")]);
    let states = sample(f, &["q", "kept"]).await.queues.expect("it was not quiet before");
    assert_eq!(states.iter().map(|state| state.length).collect::<Vec<_>>(), [0, 3]);
    fill(&f.store, "q", &jobs(0..1)).await;
    assert_eq!(arrived(f).await, (1, 1));
}

async fn while_all_is_quiet_nothing_else_is_read(f: &Fixture) {
    let quiet = |counters| {
        let queues = vec![SampledQueue { queue: queue("q"), head: false }];
        f.store.run(Sample { queues, totals: false, quiet: Some(counters) })
    };
    let before = Counters::default();
    assert_eq!(quiet(before).await.expect("sample").queues, None);
    fill(&f.store, "q", &jobs(0..1)).await;
    assert!(quiet(before).await.expect("sample").queues.is_some(), "a job waits");
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let claimed = instance.claim_one("q").await;
    assert_eq!(quiet(before).await.expect("sample").queues, None, "a job that runs does not wait");
    instance.settle_one(&claimed, Verdict::Done).await;
    let sampled = quiet(before).await.expect("sample");
    assert!(sampled.queues.is_some() && sampled.counters == Counters { processed: 1, failed: 0 });
    assert_eq!(quiet(sampled.counters).await.expect("sample").queues, None);
    f.store.run(AskForSamples).await.expect("ask_for_samples");
    let sampled = quiet(sampled.counters).await.expect("sample");
    assert!(sampled.watched && sampled.queues.is_some());
}

async fn a_snapshot_stands_for_a_while(f: &Fixture) {
    let nothing = PublishedSnapshot { now_ms: NOW_MS, bytes: None };
    assert_eq!(f.store.run(ReadSnapshot).await.expect("read_snapshot"), nothing);
    for text in ["one", "two"] {
        let publish = Publish { snapshot: text.into(), lasts_ms: 60_000, curves: Vec::new() };
        f.store.run(publish).await.expect("publish");
    }
    assert_eq!(f.store.run(ReadSnapshot).await.expect("read_snapshot").bytes, Some("two".into()));
    match &f.place {
        Place::Redis { .. } => {
            let left = f.redis_command(&["PTTL", &f.key("windlass:snapshot")]);
            assert!(matches!(left, Reply::Int(1..=60_000)), "{left:?}");
        }
        Place::Sqlite { .. } => {
            f.pass(60);
            assert_eq!(f.store.run(ReadSnapshot).await.expect("read_snapshot").bytes, None);
        }
    }
}

async fn numbers_of_the_store_are_read_when_they_are_asked_for(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    fill(&f.store, "q", &jobs(0..3)).await;
    let claimed = instance.claim_one("q").await;
    instance.settle_one(&claimed, claimed.failed()).await;
    delay(&f.store, &job(7), When::At(NOW_S + 9)).await;
    delay(&f.store, &job(8), When::At(NOW_S + 9)).await;
    delay(&f.store, &job(9), When::At(NOW_S + 11)).await;
    f.store.pause(Some(&queue("q"))).await.expect("pause");
    f.store.pause(None).await.expect("pause");
    let sampled = f.store.run(Sample { totals: true, ..Sample::default() }).await.expect("sample");
    let totals = sampled.totals.expect("they were asked for");
    assert_eq!((totals.failed, totals.delayed_seconds, totals.next_delayed_s), (1, 2, Some(NOW_S + 9)));
    assert_eq!((totals.all_paused, totals.paused, totals.instances), (true, vec![queue("q")], 1));
    let is_redis = matches!(f.place, Place::Redis { .. });
    assert_eq!(totals.evicted, is_redis.then_some(0), "of a file nothing is evicted");
    assert!(totals.memory.is_some_and(|memory| memory.used > 0) && totals.counted == 1);
    assert_eq!((sampled.known, sampled.counters), (1, Counters { processed: 0, failed: 1 }));
}

/// What the leader published of a queue.
pub(crate) async fn gauge(f: &Fixture, name: &str) -> QueueGauge {
    let bytes = f.store.run(ReadSnapshot).await.expect("read_snapshot").bytes.expect("it was published");
    let snapshot = Snapshot::read(&bytes).expect("it can be read");
    assert!(snapshot.is_fresh(f.clock.now_ms()), "{snapshot:?}");
    let found = snapshot.queues.into_iter().find(|gauge| gauge.queue == name);
    found.unwrap_or_else(|| panic!("no queue {name}"))
}

fn age(at_least_s: u64, at_most_s: u64) -> Option<Age> {
    Some(Age { at_least_ms: at_least_s * 1000, at_most_ms: Some(at_most_s * 1000), stood: false })
}

/// The bounds on Redis, and the age itself on SQLite.
fn within(f: &Fixture, at_least_s: u64, at_most_s: u64, exact_s: u64) -> Option<Age> {
    match f.place {
        Place::Redis { .. } => age(at_least_s, at_most_s),
        Place::Sqlite { .. } => age(exact_s, exact_s),
    }
}

async fn the_sampler_tells_how_long_jobs_wait(f: &Fixture) {
    let scheduler = Scheduler::of(f, "h", "").await;
    let mut sampler = Sampler::new(&scheduler.context);
    let mut instance = Instance::join(&f.store, "a", 10).await;
    fill(&f.store, "q", &jobs(0..1)).await;
    let claimed = instance.claim_one("q").await;
    sampler.round().await.expect("round");
    assert_eq!(gauge(f, "q").await.age(), None, "no job waits");
    f.pass(5);
    // Each second two jobs come, and in the later ones three go.
    for second in 0..20_u64 {
        f.pass(1);
        fill(&f.store, "q", &[job(1), job(2)]).await;
        if second >= 10 {
            let claims = instance.claim(&["q"], &[2, 3, 4]).await;
            instance.settle(claims.iter().map(|claim| claim.ends(Verdict::Done)).collect()).await;
        }
        sampler.round().await.expect("round");
        if second < 10 {
            // The first came between the sample before the loop and that of its first turn.
            assert_eq!(gauge(f, "q").await.age(), within(f, second, second + 6, second));
        }
    }
    let last = gauge(f, "q").await;
    assert_eq!((last.jobs, last.arrived - last.departed), (10, 10));
    assert_eq!(last.age(), within(f, 4, 5, 4), "the thirty-first came in the sixteenth turn");
    assert_eq!(
        (last.arrived_per_minute, last.departed_per_minute, last.empty_in_ms),
        (None, None, None),
        "no minute is known"
    );
    let counted = last.counted.expect("what was counted");
    assert!((20_000..=25_000).contains(&counted.over_ms), "{counted:?}");
    assert_eq!((counted.arrived, counted.departed), (40, 30));
    assert_eq!(last.waits.iter().sum::<u64>(), 30, "{:?}", last.waits);
    // Then one comes and one goes.
    for _ in 0..40 {
        f.pass(1);
        fill(&f.store, "q", &[job(3)]).await;
        let claims = instance.claim(&["q"], &[2]).await;
        instance.settle(claims.iter().map(|claim| claim.ends(Verdict::Done)).collect()).await;
        sampler.round().await.expect("round");
    }
    let last = gauge(f, "q").await;
    let (coming, going) = (last.arrived_per_minute.expect("in"), last.departed_per_minute.expect("out"));
    assert!((70..=80).contains(&coming) && (63..=70).contains(&going), "{coming} and {going}");
    assert_eq!(last.counted, None);
    instance.settle_one(&claimed, Verdict::Done).await;
    assert_eq!(scheduler.told(), [""; 0]);
}

async fn the_next_leader_knows_how_long_jobs_wait(f: &Fixture) {
    let (one, two) = (Scheduler::of(f, "h", "").await, Scheduler::of(f, "i", "").await);
    let mut first = Sampler::new(&one.context);
    fill(&f.store, "q", &[]).await;
    f.store.enqueue(&[push("q", &job(1), &[])]).await.expect("enqueue");
    first.round().await.expect("round");
    drop(first);
    f.pass(30);
    let mut second = Sampler::new(&two.context);
    second.round().await.expect("round");
    let expected = match f.place {
        Place::Redis { .. } => Some(Age { at_least_ms: 30_000, at_most_ms: None, stood: false }),
        Place::Sqlite { .. } => age(30, 30),
    };
    assert_eq!(gauge(f, "q").await.age(), expected);
    let kept = f.store.run(ReadCurves { queues: vec![queue("q"), queue("r")] }).await.expect("read_curves");
    assert_eq!(kept.iter().map(Option::is_some).collect::<Vec<_>>(), [matches!(f.place, Place::Redis { .. }), false]);
}

async fn the_sampler_samples_often_while_something_goes_on(f: &Fixture) {
    let scheduler = Scheduler::of(f, "h", "").await;
    let mut sampler = Sampler::new(&scheduler.context);
    let mut pause = async || {
        sampler.round().await.expect("round");
        sampler.pause().as_secs()
    };
    let mut pauses = async |rounds: usize| {
        let mut pauses = Vec::new();
        for _ in 0..rounds {
            pauses.push(pause().await);
        }
        pauses
    };
    assert_eq!(pauses(7).await, [1, 2, 4, 8, 15, 15, 15], "nothing goes on");
    let told = scheduler.context.announcements.stir.completely();
    assert_eq!(pauses(3).await, [60, 60, 60], "each job that comes is told");
    drop(told);
    assert_eq!(pauses(1).await, [15], "none is told any more");
    let told = scheduler.context.announcements.stir.completely_of(Arc::from([queue("q")]));
    assert_eq!(pauses(2).await, [60, 60], "there is no other queue");
    drop(told);
    assert_eq!(pauses(1).await, [15], "none is told any more");
    fill(&f.store, "q", &jobs(0..1)).await;
    assert_eq!(pauses(5).await, [1, 2, 4, 5, 5], "a job came, and waits");
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let claimed = instance.claim_one("q").await;
    assert_eq!(pauses(5).await, [1, 2, 4, 8, 15], "it was claimed");
    instance.settle_one(&claimed, Verdict::Done).await;
    assert_eq!(pauses(2).await, [1, 2], "it ended");
    fill(&f.store, "r", &jobs(0..1)).await;
    assert_eq!(pauses(2).await, [1, 2], "there is a new queue");
    instance.claim_one("r").await;
    let told = scheduler.context.announcements.stir.completely_of(Arc::from([queue("q")]));
    assert_eq!(pauses(6).await, [1, 2, 4, 8, 15, 15], "what comes to the new queue is not told");
    drop(told);
    f.store.run(AskForSamples).await.expect("ask_for_samples");
    assert_eq!(pauses(3).await, [1, 1, 1], "somebody looks");
}

async fn a_queue_that_is_paused_is_sampled_although_jobs_are_told(f: &Fixture) {
    let scheduler = Scheduler::of(f, "h", "").await;
    let _told = scheduler.context.announcements.stir.completely();
    fill(&f.store, "q", &[]).await;
    f.store.pause(Some(&queue("q"))).await.expect("pause");
    let mut sampler = Sampler::new(&scheduler.context);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        sampler.round().await.expect("round");
        pauses.push(sampler.pause().as_secs());
    }
    assert_eq!(pauses, [1, 2, 4, 8, 15, 15, 15, 15]);
    f.store.resume(Some(&queue("q"))).await.expect("resume");
    let mut sampler = Sampler::new(&scheduler.context);
    let mut pauses = Vec::new();
    for _ in 0..4 {
        sampler.round().await.expect("round");
        pauses.push(sampler.pause().as_secs());
    }
    assert_eq!(pauses, [1, 2, 60, 60]);
    // Somebody may have paused one meanwhile. That is not read more often than every ten seconds.
    sampler.stirred();
    assert_eq!(sampler.pause().as_secs(), 8);
}

async fn a_queue_that_is_worked_off_too_slowly_is_told(f: &Fixture) {
    let scheduler = Scheduler::of(f, "h", "").await;
    let mut sampler = Sampler::new(&scheduler.context);
    let registry = Registry::default();
    let store = f.store.narrow();
    let told = async || {
        let answer = explain::attention(&store, explain::Here::of(&registry)).await.expect("attention");
        let slow = |one: &Finding| matches!(one.cause, Cause::WaitsLong | Cause::FallsBehind);
        answer.findings.into_iter().filter(slow).map(|one| (one.cause, one.blocks)).collect::<Vec<_>>()
    };
    fill(&f.store, "q", &jobs(0..1)).await;
    for n in 1..12 {
        sampler.round().await.expect("round");
        f.pass(5);
        f.store.enqueue(&[push("q", &job(n), &[])]).await.expect("enqueue");
    }
    let mut instance = Instance::join(&f.store, "a", 20).await;
    sampler.round().await.expect("round");
    assert_eq!(told().await, [], "the first waits for 55 seconds, and no minute was counted");
    f.pass(5);
    fill(&f.store, "q", &[job(12)]).await;
    sampler.round().await.expect("round");
    assert_eq!(told().await, [(Cause::WaitsLong, false), (Cause::FallsBehind, false)]);
    let claims = instance.claim(&["q"], &(1..=13).collect::<Vec<_>>()).await;
    assert_eq!(claims.len(), 13);
    fill(&f.store, "q", &[job(13)]).await;
    sampler.round().await.expect("round");
    assert_eq!(told().await, [], "as many went as came, and the only one is new");
}

async fn the_sampler_forgets_queues_that_are_gone(f: &Fixture) {
    let scheduler = Scheduler::of(f, "h", "").await;
    for n in 0..30 {
        fill(&f.store, &format!("gone-{n}"), &jobs(0..2)).await;
        f.store.delete_queue(&queue(&format!("gone-{n}"))).await.expect("delete_queue");
    }
    fill(&f.store, "q", &jobs(0..2)).await;
    let mut sampler = Sampler::new(&scheduler.context);
    for _ in 0..3 {
        sampler.round().await.expect("round");
    }
    let totals = f.store.run(Sample { totals: true, ..Sample::default() }).await.expect("sample").totals;
    assert!(totals.expect("they were asked for").counted <= 1);
    assert_eq!(arrived(f).await, (2, 2), "what is counted of others stays");
}
