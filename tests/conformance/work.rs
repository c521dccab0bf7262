//! How much work arrows do on long lists, counted by the server and not timed.

use std::collections::HashMap;

use bytes::Bytes;
use windlass::job::Failure;
use windlass::store::inspection::{JobsToDelete, QueueEnd};
use windlass::store::periodic::{Purpose, Reconcile};
use windlass::store::queueing::When;
use windlass::store::workers::{REGISTERED_BYTES, Registered};

use crate::fixture::{Fixture, NOW_MS, NOW_S, Place};
use crate::instance::Instance;
use crate::look::{delay, fill, job, queue};
use crate::support::redis::{Options, RedisServer};
use crate::support::resp::Reply;
use crate::support::verbs::Verbs as _;
use crate::tick::tick;

/// How long the lists are.
const MANY: usize = 100_000;

/// How many jobs or records one step looks at, at most.
const PAGE: usize = 500;

/// How many parts of a list one step reads at most: the first job by itself, then eight at a time (`page.lua`).
const PARTS: usize = PAGE / 8 + 3;

/// A server of its own, which counts the calls.
struct Counted {
    server: RedisServer,
    f: Fixture,
}

impl Counted {
    async fn new() -> Self {
        let server = RedisServer::start(Options::default());
        let f = Fixture::at(Place::Redis { url: server.url(), namespace: "t".to_owned() }).await;
        Self { server, f }
    }

    /// A list of so many entries.
    fn list(&self, key: &str, entry: impl Fn(usize) -> Bytes) {
        for from in (0..MANY).step_by(1000) {
            let mut command = vec![Bytes::from_static(b"RPUSH"), Bytes::from(self.f.key(key))];
            command.extend((from..from + 1000).map(&entry));
            self.server.command(&command);
        }
    }

    fn queue(&self) {
        self.list("queue:q", job);
        self.server.command(&["SADD", &self.f.key("queues"), "q"]);
    }

    fn begin(&self) {
        self.server.command(&["CONFIG", "RESETSTAT"]);
    }

    /// How often each command was called since `begin`.
    fn calls(&self) -> Calls {
        let text = self.server.command(&["INFO", "commandstats"]).texts().concat();
        let line = |line: &str| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((name.to_owned(), rest.split_once(',')?.0.parse().ok()?))
        };
        Calls(text.lines().filter_map(line).collect())
    }
}

struct Calls(HashMap<String, usize>);

impl Calls {
    fn of(&self, command: &str) -> usize {
        self.0.get(command).copied().unwrap_or(0)
    }

    /// How many scripts were run.
    fn steps(&self) -> usize {
        self.of("evalsha") + self.of("eval")
    }

    #[track_caller]
    fn at_most(&self, command: &str, most: usize) {
        assert!(
            self.of(command) <= most,
            "{command}: {} calls, at most {most} are enough: {:?}",
            self.of(command),
            self.0
        );
    }
}

#[tokio::test]
async fn many_different_jobs_are_deleted_by_one_pass_a_page() {
    let c = Counted::new().await;
    c.queue();
    let every = |n: usize, count: Option<u64>| -> Vec<JobsToDelete> {
        (0..MANY).step_by(n).map(|n| JobsToDelete { payload: job(n), count, locks: Vec::new() }).collect()
    };
    let mut left = MANY;
    for (to_delete, from) in
        [(every(5, None), QueueEnd::Head), (every(3, Some(1)), QueueEnd::Tail), (every(2, Some(1)), QueueEnd::Head)]
    {
        c.begin();
        let deleted = c.f.store.delete_each(&queue("q"), &to_delete, from).await.expect("delete_each");
        let calls = c.calls();
        // The first ones are short, because nobody knows how long the jobs are.
        let pages = left / PAGE + 4;
        calls.at_most("lrem", 2 * pages);
        calls.at_most("lrange", 3 * PARTS * pages);
        calls.at_most("lpos", 0);
        // One to count, one to read and one to delete.
        assert!(calls.steps() <= 3 * pages + 1, "{:?}", calls.0);
        // One more a page asks whether it may be called.
        calls.at_most("lset", usize::try_from(deleted).expect("small") + pages);
        left -= usize::try_from(deleted).expect("small");
        assert_eq!(c.server.command(&["LLEN", &c.f.key("queue:q")]), Reply::Int(i64::try_from(left).expect("small")));
    }
    // Each that no step of the three meant, and no other.
    let stay: Vec<Bytes> = (0..MANY).filter(|n| n % 5 != 0 && n % 3 != 0 && n % 2 != 0).map(job).collect();
    assert_eq!(left, stay.len());
    assert_eq!(c.f.store.queued(&queue("q"), 0, -1).await.expect("queued"), stay);
}

#[tokio::test]
async fn equal_jobs_are_deleted_by_one_pass() {
    let c = Counted::new().await;
    c.list("queue:q", |n| job(n % 2));
    c.begin();
    assert_eq!(c.f.store.delete_jobs(&queue("q"), &job(1), 0).await.expect("delete_jobs"), MANY as u64 / 2);
    c.calls().at_most("lrem", 1);
    assert_eq!(c.calls().steps(), 2, "the script is unknown at first");
}

#[tokio::test]
async fn a_task_is_looked_for_and_withdrawn_by_one_pass_a_form() {
    let c = Counted::new().await;
    c.queue();
    let tick = tick(30);
    let forms: Vec<Bytes> = [&tick.payload, &job(MANY + 1), &job(MANY + 2)].map(Clone::clone).to_vec();
    let look = Reconcile {
        tick: tick.clone(),
        forms: forms.clone(),
        queue_lock: None,
        job_lock: None,
        grace_s: 5,
        workers: Vec::new(),
        silent: Vec::new(),
        attempts: Vec::new(),
        purpose: Purpose::Look,
        stale_due_s: None,
    };
    c.f.store.reconcile(&look).await.expect("reconcile");
    c.server.command(&["LREM", &c.f.key("queue:q"), "-1", &String::from_utf8_lossy(&tick.payload)]);
    c.f.pass(3600);
    for _ in 0..2 {
        c.begin();
        c.f.store.reconcile(&look).await.expect("reconcile");
        c.calls().at_most("lpos", forms.len());
        c.calls().at_most("lrem", 0);
    }
    c.begin();
    assert_eq!(c.f.store.stop(&tick.task, &queue("q"), &forms).await.expect("stop"), 1);
    c.calls().at_most("lrem", forms.len());
}

#[tokio::test]
async fn a_job_of_many_seconds_is_deleted_in_bounded_steps() {
    let c = Counted::new().await;
    let seconds = 2000;
    for second in 0..seconds {
        delay(&c.f.store, &job(0), When::At(NOW_S + second)).await;
    }
    c.begin();
    let deleted = c.f.store.delete_delayed(&job(0)).await.expect("delete_delayed");
    assert_eq!(deleted, (NOW_S..NOW_S + seconds).collect::<Vec<_>>());
    let calls = c.calls();
    assert!(calls.of("lrem") <= 250 * calls.steps(), "{:?}", calls.0);
    assert_eq!(calls.of("lrem"), 2000);
}

#[tokio::test]
async fn what_is_set_aside_is_read_and_trimmed_and_nothing_else() {
    let c = Counted::new().await;
    c.queue();
    c.begin();
    let batch = c.f.store.set_aside(PAGE).await.expect("set aside").expect("a batch");
    assert_eq!(batch.items.len(), PAGE);
    let calls = c.calls();
    calls.at_most("ltrim", 2);
    calls.at_most("lrem", 0);
    calls.at_most("lpos", 0);
    calls.at_most("lrange", 2 * PARTS);
}

#[tokio::test]
async fn locks_are_found_by_one_scan() {
    let c = Counted::new().await;
    for n in 0..5 {
        let mut command = vec!["MSET".to_owned()];
        command.extend((0..1000).flat_map(|m| [format!("t:other:{n}:{m}"), "x".to_owned()]));
        c.server.command(&command);
    }
    c.server.command(&["SET", &c.f.key("workerslock:clean:q:[1]"), "held"]);
    c.begin();
    let locks = c.f.store.locks().await.expect("locks").locks;
    assert!(locks.iter().any(|lock| lock.key == "workerslock:clean:q:[1]"), "{locks:?}");
    c.calls().at_most("scan", 5 + 4);
    c.calls().at_most("get", locks.len());
}

#[tokio::test]
async fn the_failed_list_is_searched_in_bounded_steps() {
    let c = Counted::new().await;
    fill(&c.f.store, "q", &[job(0)]).await;
    let mut instance = Instance::join(&c.f.store, "a", 1).await;
    let claim = instance.claim_one("q").await;
    // The oldest is the one that is looked for, and none says when it was written.
    let stuck = Failure::stuck("host", NOW_MS).record(claim.worker.name(), "q", &job(0), NOW_MS);
    c.server.command(&[b"RPUSH", c.f.key("failed").as_bytes(), &stuck[..]]);
    c.list("failed", |n| Bytes::from(format!("{{\"worker\":\"w{n}\"}}")));
    c.server.command(&["SREM", &c.f.key("workers"), claim.worker.id()]);
    c.server.command(&["DEL", &c.f.key(&format!("worker:ping:{}", claim.worker.name()))]);
    c.begin();
    let extended = instance.extend().await;
    assert_eq!(extended.removed.len(), 1, "{extended:?}");
    let calls = c.calls();
    assert!(calls.steps() > MANY / PAGE && calls.of("lrange") <= PARTS * calls.steps(), "{:?}", calls.0);
}

#[tokio::test]
async fn of_long_working_records_no_more_is_read_at_once_than_is_told() {
    let c = Counted::new().await;
    let long = "x".repeat(2 << 20);
    for n in 0..8 {
        let worker = format!("host:{n}:q");
        c.server.command(&["SADD", &c.f.key("workers"), &worker]);
        c.server.command(&["SET", &c.f.key(&format!("worker:{worker}")), &long]);
        // Where nothing stands, the server is asked once more.
        c.server.command(&["SET", &c.f.key(&format!("worker:{worker}:started")), "now"]);
        c.server.command(&["SET", &c.f.key(&format!("worker:ping:host:{n}")), "{}"]);
    }
    c.begin();
    let all = c.f.store.registered().await.expect("registered");
    let read = |one: &Registered| one.working.as_ref().map(|it| it.raw.len());
    assert!(
        all.len() == 8 && all.iter().all(|one| read(one) == Some(REGISTERED_BYTES)),
        "{:?}",
        all.iter().map(read).collect::<Vec<_>>()
    );
    // A command that reads values whole would hold up the server for as long as all of them take.
    c.calls().at_most("mget", 0);
    c.calls().at_most("get", 0);
}
