//! No value in any column of the file breaks an arrow. SQLite keeps whatever type a program writes, and other programs
//! may write into the file: after rows of any content were put into any table, every arrow is still answered.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use windlass::config::element::queues::QueuePatterns;
use windlass::event::Bus;
use windlass::job::{RunOutcome, TaskName};
use windlass::store::StoreError;
use windlass::store::delayed::DelayedCursor;
use windlass::store::effect::Verdict;
use windlass::store::findings::Findings;
use windlass::store::inspection::{JobsToDelete, QueueEnd};
use windlass::store::instance::{ReadSuspicion, Suspect};
use windlass::store::moving::{Batch, BatchId, Decline, Identify, PutBack, ReadAside, RenewSource, Waiting};
use windlass::store::periodic::{Purpose, Reconcile};
use windlass::store::queueing::{Exchange, Schedule, Settlement, When};
use windlass::store::scheduling::{Fire, Leadership, ReadTime};
use windlass::store::sqlite::SqliteStore;
use windlass::store::unreadable::{CountUnreadable, RecordKind};
use windlass::store::wake::Watch;
use windlass::store::wishes::ReadWishes;
use windlass::store::{Store, workers::LockValues};

use crate::fixture::{Fixture, NOW_S};
use crate::instance::Instance;
use crate::look::{assert_named_once, delay, fill, job, job_lock, jobs, lock, promotion, push, queue, queued, take};
use crate::runs::{list, run};
use crate::support::verbs::Verbs as _;
use crate::tick::tick;

/// The tables, without those of which [`sequence`](crate::sequence) says what other values in them mean.
const TABLES: [&str; 19] = [
    "queues",
    "jobs",
    "delayed",
    "working",
    "failed",
    "stats",
    "locks",
    "instances",
    "workers",
    "leaders",
    "periodic",
    "retries",
    "schedules",
    "outbox",
    "moving",
    "moved",
    "itself",
    "runs",
    "run_lists",
];

/// A value as a literal of SQL, of any type.
fn value() -> impl Strategy<Value = String> {
    let hex = |bytes: Vec<u8>| {
        bytes.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("a string can be written to");
            hex
        })
    };
    let number =
        prop_oneof![-3_i64..5, NOW_S - 2..NOW_S + 3, Just(i64::MAX), Just(i64::MIN + 1), Just(1 << 53), any::<i64>(),];
    let word = prop_oneof![
        Just("q"),
        Just("a"),
        Just("one"),
        Just("scheduler"),
        Just("duties"),
        Just("clean"),
        Just("processed"),
        Just("report"),
        Just("Q"),
        Just("D"),
        Just("F"),
        Just("P"),
        Just("C"),
        Just("S"),
        Just("1"),
        Just("1.5"),
        Just("")
    ];
    prop_oneof![
        Just("NULL".to_owned()),
        number.prop_map(|number| number.to_string()),
        prop_oneof![Just("1.5"), Just("-0.5"), Just("1e300"), Just("9e999"), Just("1800000000.5")]
            .prop_map(str::to_owned),
        word.prop_map(|word| format!("'{word}'")),
        any::<Vec<u8>>().prop_map(move |bytes| format!("x'{}'", hex(bytes))),
        any::<Vec<u8>>().prop_map(move |bytes| format!("CAST(x'{}' AS TEXT)", hex(bytes))),
    ]
}

/// What another program does: a new row, or one value in a column of all rows.
fn strange() -> impl Strategy<Value = (usize, bool, Vec<String>)> {
    (0..TABLES.len(), any::<bool>(), proptest::collection::vec(value(), 8))
}

fn plant(f: &Fixture, (table, insert, values): &(usize, bool, Vec<String>)) {
    let table = TABLES[*table];
    let file = rusqlite::Connection::open(f.place.file()).expect("the file must open");
    let columns: Vec<String> = {
        let mut select = file.prepare(&format!("SELECT name FROM pragma_table_info('{table}')")).expect("a statement");
        let names = select.query_map([], |row| row.get(0)).expect("names");
        names.collect::<Result<_, _>>().expect("names")
    };
    let sql = if *insert {
        let values: Vec<&str> = columns.iter().zip(values).map(|(_, value)| value.as_str()).collect();
        format!("INSERT OR IGNORE INTO {table} ({}) VALUES ({})", columns.join(", "), values.join(", "))
    } else {
        let column = &columns[values[1].len() % columns.len()];
        format!("UPDATE OR IGNORE {table} SET {column} = {}", values[0])
    };
    // A key that is a number by itself takes nothing else.
    let _ = file.execute_batch(&sql);
}

/// Runs every arrow; an error names itself.
async fn every_arrow(f: &Fixture, instance: &mut Instance) -> Result<(), StoreError> {
    let store = &f.store;
    let (q, task, form) = (queue("q"), TaskName::new("clean").expect("name"), tick(30).payload);
    store.run(CountUnreadable).await?;
    store.queue_names().await?;
    store.queues().await?;
    store.queued(&q, 0, -1).await?;
    store.run(ReadTime).await?;
    store.scheduled_at(&job(1)).await?;
    store.failed_count().await?;
    store.failed(0, -1).await?;
    store.stats().await?;
    store.locks().await?;
    for second in store.delayed_seconds(DelayedCursor::first(), 100).await?.seconds {
        store.delayed_at(second.second, 0, -1).await?;
    }
    store.instances().await?;
    store.registered().await?;
    store.paused().await?;
    store.ping_of("1").await?;
    store.working(&instance.record.workers()).await?;
    store.run(LockValues { keys: vec![lock(1), job_lock(1)] }).await?;
    store.periodic(&[job_lock(1)]).await?;
    store.last_fired(&["report".to_owned()]).await?;
    store.read_runs(&[list("clean")], 5).await?;
    let leaderships = vec![Leadership::Scheduler, Leadership::Duties];
    let watch = Watch {
        queues: vec![q.clone()],
        patterns: Some(Arc::new(QueuePatterns::all())),
        names: true,
        delayed: true,
        leaderships,
        wishes_for: Some("a".into()),
        poll: None,
    };
    store.waker().await?.arm(&watch).await?;
    store.run(ReadWishes { instance: "a".to_owned() }).await?;
    store.run(ReadSuspicion { instance: "a".to_owned() }).await?;

    store.oversee("one", 1000).await?;
    store.lead(Leadership::Scheduler, "one", 1000).await?;
    store.enqueue(&[push("q", &job(1), &[take(&lock(1), 60)]), push("q", &job(2), &[])]).await?;
    store.enqueue(&[windlass::store::queueing::Enqueue { front: true, ..push("q", &job(3), &[]) }]).await?;
    store.schedule(&[Schedule { payload: job(4), when: When::At(NOW_S) }]).await?;
    let exchange = instance.next_claim(&["q"], &[1, 2, 3]);
    let exchanged = instance.try_send(&exchange).await?;
    for claim in crate::instance::claimed(&exchange, &exchanged) {
        let run = Some(run(RunOutcome::Done, 1));
        let settlements = vec![Settlement { run, ..claim.ticks(Verdict::Done, &tick(30)) }];
        let exchange = Exchange { settlements, ..instance.next() };
        instance.try_send(&exchange).await?;
    }
    for _ in 0..5 {
        let due = store.due(3, &[]).await?;
        if let Some(second) = due.second.filter(|_| due.is_due()) {
            store.promote(&promotion("q", second, &due.jobs)).await?;
        }
    }
    for purpose in [Purpose::Look, Purpose::Run, Purpose::Start] {
        let reconcile = Reconcile {
            tick: tick(30),
            forms: vec![form.clone()],
            queue_lock: Some((lock(9), 60)),
            job_lock: Some(job_lock(9)),
            grace_s: 3,
            workers: Vec::new(),
            purpose,
            stale_due_s: None,
            silent: Vec::new(),
            attempts: Vec::new(),
        };
        store.reconcile(&reconcile).await?;
    }
    let seen_s = store.last_fired(&["report".to_owned()]).await?[0];
    store.fire(&Fire { id: "report".into(), seen_s, last_s: NOW_S, job: None }).await?;
    if let Some(record) = store.failed(0, 0).await?.first() {
        store.retry_failed(record, &q, &job(5), &[], None).await?;
        store.remove_failed(record).await?;
    }
    for state in store.instances().await? {
        store.run(Suspect { state: state.clone() }).await?;
        store.bury(&state).await?;
    }
    let batch = Batch {
        id: BatchId { source: "there".into(), number: 1, token: Some("t".into()) },
        target: None,
        items: vec![
            Waiting::Queued { queue: q.clone(), payload: job(6), identity: None },
            Waiting::Delayed { second: NOW_S, payload: job(7), identity: None },
            Waiting::Counted { processed: 1, failed: 1 },
            Waiting::Fired { id: "report".into(), last_s: NOW_S },
        ],
    };
    store.take_in(&batch, &[]).await?;
    let each = [JobsToDelete { payload: job(1), count: None, locks: Vec::new() }];
    store.delete_each(&q, &each, QueueEnd::Tail).await?;
    store.delete_jobs(&q, &job(2), 1).await?;
    store.delete_delayed(&job(4)).await?;
    store.delete_lock("l").await?;
    store.stop(&task, &q, std::slice::from_ref(&form)).await?;
    store.withdraw(&task, &q, &[form]).await?;
    store.run(Identify { fresh: "here".into(), mark: Some("mark".into()) }).await?;
    store.run(Decline { id: BatchId { source: "there".into(), number: 2, token: None } }).await?;
    if let Some(batch) = store.set_aside(5).await? {
        store.run(ReadAside).await?;
        let renewed = store.run(RenewSource { id: batch.id.clone(), fresh: "new".into() }).await?;
        assert!(renewed, "a batch is known by what was told of it");
        let id = BatchId { source: "new".into(), ..batch.id.clone() };
        let put_back = store.run(PutBack { batch: Batch { id, ..batch }, targets: Vec::new() }).await?;
        assert!(put_back, "a batch is known by what was told of it");
    }
    let mut batches = 0;
    while let Some(batch) = store.set_aside(5).await? {
        store.let_go(&batch.id).await?;
        batches += 1;
        assert!(batches < 1000, "what is set aside and let go is gone");
    }
    let file = rusqlite::Connection::open(f.place.file()).expect("the file must open");
    // An entry of a periodic task or a schedule that cannot be read stays where it is.
    for table in ["jobs", "delayed", "failed"] {
        let left: i64 =
            file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("a count");
        assert_eq!(left, 0, "all that {table} held was moved");
    }
    store.delete_queue(&q).await?;
    store.clear_failed().await?;
    store.leave(&instance.record).await
}

/// How much stack all arrows in one function take without optimisation: a test has less.
const STACK: usize = 32 << 20;

#[test]
fn no_value_in_any_column_breaks_an_arrow() {
    let tried = std::thread::Builder::new().stack_size(STACK).spawn(try_values).expect("a thread must be had");
    tried.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

fn try_values() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime must be had");
    let mut runner = TestRunner::new(Config { cases: 96, failure_persistence: None, ..Config::default() });
    let all = proptest::collection::vec(strange(), 1..8);
    let outcome = runner.run(&all, |all| {
        runtime.block_on(async {
            let f = Fixture::sqlite().await;
            let mut instance = Instance::join(&f.store, "a", 3).await;
            fill(&f.store, "q", &jobs(0..3)).await;
            delay(&f.store, &job(8), When::At(NOW_S)).await;
            for strange in &all {
                plant(&f, strange);
            }
            let result = every_arrow(&f, &mut instance).await;
            prop_assert!(result.is_ok(), "{result:?}");
            Ok(())
        })
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

#[tokio::test]
async fn a_job_in_a_place_of_any_type_is_claimed_and_nothing_new_is_refused() {
    let f = Fixture::sqlite().await;
    let mut instance = Instance::join(&f.store, "a", 8).await;
    fill(&f.store, "q", &jobs(1..3)).await;
    let file = rusqlite::Connection::open(f.place.file()).expect("the file must open");
    file.execute_batch(
        "INSERT INTO jobs (queue, position, payload) VALUES \
         ('q', 'text', '7'), ('q', x'00', '8'), ('q', 1.5, 'real'), ('q', 9223372036854775807, 'last')",
    )
    .expect("the rows must be written");
    fill(&f.store, "q", &jobs(3..5)).await;
    let order = [&job(1)[..], b"real", &job(2), &job(3), &job(4), b"last", b"7", b"8"];
    assert_eq!(queued(&f.store, "q").await, order);
    let claims = instance.claim(&["q"], &[1, 2]).await;
    assert_eq!(claims.iter().map(|one| &one.claim.payload[..]).collect::<Vec<_>>(), order[..2]);
    assert_eq!(f.store.delete_jobs(&queue("q"), &Bytes::from_static(b"7"), -1).await.expect("delete_jobs"), 1);
    let claims = instance.claim(&["q"], &[3, 4, 5, 6, 7, 8]).await;
    let rest = [&job(2)[..], &job(3), &job(4), b"last", b"8"];
    assert_eq!(claims.iter().map(|one| &one.claim.payload[..]).collect::<Vec<_>>(), rest);
    assert_eq!(queued(&f.store, "q").await, [""; 0]);
}

#[tokio::test]
async fn the_last_places_of_a_queue_may_be_taken() {
    let f = Fixture::sqlite().await;
    let file = rusqlite::Connection::open(f.place.file()).expect("the file must open");
    file.execute_batch(
        "INSERT INTO jobs (queue, position, payload) VALUES \
         ('q', 9007199254740991, 'last'), ('q', -9007199254740991, 'first'), ('q', 9223372036854775807, 'beyond')",
    )
    .expect("the rows must be written");
    fill(&f.store, "q", &jobs(1..4)).await;
    for n in 4..6 {
        let front = windlass::store::queueing::Enqueue { front: true, ..push("q", &job(n), &[]) };
        f.store.enqueue(&[front]).await.expect("enqueue");
    }
    let order = [&job(5)[..], &job(4), b"first", b"last", &job(1), &job(2), &job(3), b"beyond"];
    assert_eq!(queued(&f.store, "q").await, order);
}

#[tokio::test]
async fn delayed_jobs_without_a_whole_second_are_counted_and_keep_none_back() {
    let f = Fixture::sqlite().await;
    delay(&f.store, &job(1), When::At(NOW_S - 1)).await;
    let file = rusqlite::Connection::open(f.place.file()).expect("the file must open");
    file.execute_batch(
        "INSERT INTO delayed VALUES (1.5, 1, 0, 'a', NULL), ('soon', 1, 0, 'b', NULL), (x'05', 1, 0, 'c', NULL)",
    )
    .expect("the rows must be written");
    let (bus, listeners) = Bus::new(&[u32::MAX], 1 << 20);
    let store = SqliteStore::open_telling(&f.place.file(), Arc::clone(&f.clock) as _, Findings::new(bus));
    let store = Store::from(store.expect("sqlite must open"));
    for _ in 0..3 {
        let due = store.due(10, &[]).await.expect("due");
        assert_eq!((due.second, due.jobs), (Some(NOW_S - 1), vec![job(1)]));
    }
    assert_named_once(&listeners[0], &["3 delayed jobs"]);
    let unreadable = store.run(CountUnreadable).await.expect("count_unreadable");
    assert_eq!(unreadable.iter().map(|one| (one.kind, one.count)).collect::<Vec<_>>(), [(RecordKind::Delayed, 3)]);
    assert_eq!(crate::look::seconds(&store).await, [(NOW_S - 1, 1)]);
    assert_eq!(crate::look::promote_all(&store, "q", 10).await, 1);
}

#[tokio::test]
async fn what_another_program_set_aside_keeps_no_job_back() {
    let f = Fixture::sqlite().await;
    fill(&f.store, "q", &[job(1)]).await;
    let file = rusqlite::Connection::open(f.place.file()).expect("the file must open");
    file.execute_batch(
        "INSERT INTO outbox (kind, name, bytes) VALUES ('X', 1, 'theirs'), ('D', 'soon', '2'), ('C', 'report', 'x'), \
         ('P', 'clean', x'ff'), ('S', 'many', ''); \
         INSERT INTO moving (id, number) VALUES (x'00', 'first')",
    )
    .expect("the rows must be written");
    let batch = f.store.set_aside(10).await.expect("set_aside").expect("a batch stands");
    let id = batch.id.clone();
    let delayed = Waiting::Delayed { second: 0, payload: Bytes::from_static(b"2"), identity: None };
    assert_eq!((batch.id.number, batch.items), (1, vec![delayed]), "a job is moved, whatever stands beside it");
    f.store.let_go(&id).await.expect("let_go");
    let batch = f.store.set_aside(10).await.expect("set_aside").expect("a job waits");
    let id = batch.id.clone();
    let queued = Waiting::Queued { queue: queue("q"), payload: job(1), identity: None };
    assert_eq!((batch.id.number, batch.items), (2, vec![queued]));
    f.store.let_go(&id).await.expect("let_go");
    assert_eq!(f.store.set_aside(10).await.expect("set_aside"), None);
    let theirs: i64 = file.query_row("SELECT count(*) FROM outbox", [], |row| row.get(0)).expect("a count");
    assert_eq!(theirs, 1, "what no version of Windlass sets aside stays");
}
