//! The counts and samples of one engine: beside other programs, and where they cannot be written.

use windlass::curve::Age;
use windlass::scheduler::sampling::Sampler;
use windlass::store::effect::Verdict;
use windlass::store::queueing::Enqueue;
use windlass::store::sampling::{AskForSamples, Sample};

use crate::fixture::{Fixture, Place};
use crate::instance::Instance;
use crate::look::{fill, job, jobs, push, queue};
use crate::sampling::{arrived, gauge, sample, state};
use crate::scheduler::Scheduler;
use crate::support::redis::{Options, RedisServer};
use crate::support::verbs::Verbs as _;

/// On Redis: workers of another program are registered, which do not count what they take.
#[tokio::test]
async fn where_others_work_ages_are_of_the_head_and_lower_bounds() {
    let f = Fixture::redis().await;
    let scheduler = Scheduler::of(&f, "h", "").await;
    let mut sampler = Sampler::new(&scheduler.context);
    Instance::join(&f.store, "a", 2).await;
    f.redis_command(&["SADD", &f.key("workers"), "ruby:4711:q,other"]);
    fill(&f.store, "q", &jobs(0..4)).await;
    fill(&f.store, "ours", &jobs(0..1)).await;
    let at_least = |seconds: u64| Some(Age { at_least_ms: seconds * 1000, at_most_ms: None, stood: true });
    // Who looks is told of each sample.
    f.store.run(AskForSamples).await.expect("ask_for_samples");
    sampler.round().await.expect("round");
    for second in 1..4 {
        f.pass(1);
        sampler.round().await.expect("round");
        assert_eq!(gauge(&f, "q").await.age(), at_least(second));
    }
    assert_eq!(gauge(&f, "ours").await.age().map(|age| age.stood), Some(false), "they do not work there");
    f.redis_command(&["LPOP", &f.key("queue:q")]);
    f.redis_command(&["RPUSH", &f.key("queue:q"), "{}"]);
    f.pass(1);
    sampler.round().await.expect("round");
    assert_eq!(gauge(&f, "q").await.age(), at_least(0), "another one is the first");
    assert_eq!(gauge(&f, "q").await.arrived_per_minute, None);
}

/// On Redis: what stands in place of the counts keeps no job from being claimed, and is told.
#[tokio::test]
async fn counts_that_cannot_be_written_keep_no_job_from_being_claimed() {
    let f = Fixture::redis().await;
    fill(&f.store, "q", &jobs(0..4)).await;
    f.redis_command(&["SET", &f.key("windlass:departed"), "no hash"]);
    let mut instance = Instance::join(&f.store, "a", 3).await;
    let exchange = instance.next_claim(&["q"], &[1, 2]);
    let reply = instance.send(&exchange).await;
    assert_eq!(reply.claims.len(), 2);
    let told: Vec<String> = reply.findings.iter().map(ToString::to_string).collect();
    assert!(told.len() == 1 && told[0].contains("windlass:departed"), "{told:?}");
    let claims = crate::instance::claimed(&exchange, &reply);
    let ends = vec![claims[0].ends(Verdict::Done), claims[1].ends(claims[1].requeued())];
    assert_eq!(instance.settle(ends).await, [0_usize; 0]);
    assert_eq!(f.store.delete_jobs(&queue("q"), &job(2), 0).await.expect("delete_jobs"), 1);
    let first = Enqueue { front: true, ..push("q", &job(9), &[]) };
    f.store.enqueue(&[first]).await.expect("enqueue");
    let state = state(&f).await;
    assert_eq!((state.length, state.departed), (3, Some(0)), "it counts as a store without counts");
    let scheduler = Scheduler::of(&f, "h", "").await;
    Sampler::new(&scheduler.context).round().await.expect("round");
    assert_eq!(scheduler.told(), [""; 0]);
}

/// On Redis: whatever other programs wrote into the keys of the samples is borne.
#[tokio::test]
async fn a_sample_bears_what_others_wrote() {
    let f = Fixture::redis().await;
    fill(&f.store, "q", &jobs(0..2)).await;
    f.redis_command(&["HSET", &f.key("windlass:departed"), "q", "many"]);
    f.redis_command(&["HSET", &f.key("windlass:departed:unsure"), "q", "so"]);
    f.redis_command(&["HSET", &f.key("windlass:arrivals"), "q", "1 2 3"]);
    f.redis_command(&["SADD", &f.key("queues"), "odd"]);
    f.redis_command(&["SET", &f.key("queue:odd"), "no list"]);
    for key in ["failed", "delayed_queue_schedule", "windlass:paused", "windlass:instances", "windlass:watched"] {
        f.redis_command(&["SADD", &f.key(key), "x"]);
    }
    f.redis_command(&["SET", &f.key("stat:processed"), "some"]);
    let sampled = sample(&f, &["odd", "q"]).await;
    let states = sampled.queues.expect("it was not quiet before");
    assert_eq!((states[0].length, states[1].length, states[1].departed), (0, 2, None));
    let totals = f.store.run(Sample { totals: true, ..Sample::default() }).await.expect("sample").totals;
    assert_eq!(totals.expect("they were asked for").failed, 0);
    f.redis_command(&["DEL", &f.key("windlass:instances")]);
    let scheduler = Scheduler::of(&f, "h", "").await;
    Sampler::new(&scheduler.context).round().await.expect("round");
}

/// On Redis: one write for each queue and exchange, however many jobs are claimed.
#[tokio::test]
async fn a_claim_counts_once_for_each_queue() {
    let server = RedisServer::start(Options { tcp: false, durable: false });
    let f = Fixture::at(Place::redis_on(&server)).await;
    fill(&f.store, "p", &jobs(0..5)).await;
    fill(&f.store, "q", &jobs(0..9)).await;
    let mut instance = Instance::join(&f.store, "a", 12).await;
    let calls = || {
        let stats = server.command(&["INFO", "commandstats"]).texts().concat();
        let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_hincrby:calls="));
        line.and_then(|line| line.split(',').next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    let before = calls();
    let numbers: Vec<usize> = (1..=12).collect();
    assert_eq!(instance.claim(&["p", "empty", "q"], &numbers).await.len(), 12);
    assert_eq!(calls() - before, 2);
}

/// On SQLite: what another program writes into the table is not counted, until a claim empties the queue.
#[tokio::test]
async fn a_claim_that_empties_a_queue_sets_its_counts_right() {
    let f = Fixture::sqlite().await;
    fill(&f.store, "q", &jobs(0..3)).await;
    let file = rusqlite::Connection::open(f.place.file()).expect("the file must open");
    let insert = "INSERT INTO jobs (queue, position, payload) VALUES ('q', ?1, '{}')";
    for position in 10..14 {
        file.execute(insert, [position]).expect("the row must be written");
    }
    let length = async || f.store.queues().await.expect("queues").queues[0].length;
    assert_eq!(length().await, 7, "a few are counted one by one");
    assert_eq!(arrived(&f).await, (3, 3));
    let mut instance = Instance::join(&f.store, "a", 9).await;
    assert_eq!(instance.claim(&["q"], &[1, 2, 3, 4, 5]).await.len(), 5);
    assert_eq!((length().await, state(&f).await.length), (2, 1), "it holds some");
    assert_eq!(instance.claim(&["q"], &[6, 7, 8, 9]).await.len(), 2);
    assert_eq!((arrived(&f).await, length().await), ((7, 0), 0));
    fill(&f.store, "q", &jobs(0..1)).await;
    file.execute("DELETE FROM jobs", []).expect("the row must be deleted");
    assert_eq!((arrived(&f).await, length().await), ((8, 0), 0), "an empty queue is empty, whatever was counted");
}

/// On SQLite: many jobs of a queue are not counted one by one, from wherever they are listed.
#[tokio::test]
async fn a_long_queue_is_listed_without_counting_it() {
    let f = Fixture::sqlite().await;
    fill(&f.store, "q", &jobs(0..1500)).await;
    assert_eq!(f.store.queues().await.expect("queues").queues[0].length, 1500);
    let listed = async |start, stop| f.store.queued(&queue("q"), start, stop).await.expect("queued");
    assert_eq!(listed(-2, -1).await, [job(1498), job(1499)]);
    assert_eq!(listed(-1500, -1499).await, [job(0), job(1)]);
    assert_eq!(listed(-9999, -1500).await, [job(0)]);
    assert_eq!(listed(1499, 9999).await, [job(1499)]);
    assert_eq!(listed(1498, -1).await, [job(1498), job(1499)]);
    assert_eq!(listed(1498, -2).await, [job(1498)]);
    assert_eq!(listed(-2, 1498).await, [job(1498)]);
    for (start, stop) in [(-1, -2), (3, 2), (1500, 1600), (1499, -2), (-1, 0)] {
        assert_eq!(listed(start, stop).await, [""; 0], "{start} to {stop}");
    }
    assert_eq!(listed(0, -1).await.len(), 1500);
}

/// On SQLite: a trigger on the counts keeps no job from being enqueued or claimed, however it refuses.
#[tokio::test]
async fn counts_that_are_refused_keep_no_job_from_being_claimed() {
    for way in ["RAISE(ABORT, 'no')", "RAISE(FAIL, 'no')", "RAISE(ROLLBACK, 'no')", "RAISE(IGNORE)"] {
        let f = Fixture::sqlite().await;
        let file = rusqlite::Connection::open(f.place.file()).expect("the file must open");
        let trigger = format!(
            "CREATE TRIGGER no_count BEFORE INSERT ON stats WHEN NEW.name LIKE 'queue:%' BEGIN SELECT {way}; END"
        );
        file.execute_batch(&trigger).expect("the trigger must be made");
        fill(&f.store, "q", &jobs(0..4)).await;
        let mut instance = Instance::join(&f.store, "a", 3).await;
        let claims = instance.claim(&["q"], &[1, 2]).await;
        assert_eq!(claims.len(), 2, "{way}");
        let ends = vec![claims[0].ends(Verdict::Done), claims[1].ends(claims[1].requeued())];
        assert_eq!(instance.settle(ends).await, [0_usize; 0], "{way}");
        assert_eq!(f.store.queues().await.expect("queues").queues[0].length, 3, "{way}");
    }
}
