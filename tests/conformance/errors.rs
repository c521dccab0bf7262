//! Each writing arrow on SQLite, with an error at each table that it touches, in the middle of the step: nothing is
//! changed, the error says what it is, and the arrow when it is repeated does what it would have done at first.
//!
//! Triggers in the file make the errors. Triggers record as well which tables and operations an arrow touches, so the
//! table below names only the arrows.
//!
//! Longer than 400 lines because each error has its test for both engines.

use std::collections::BTreeMap;
use std::pin::Pin;

use bytes::Bytes;
use windlass::job::{Identity, TaskName};
use windlass::store::StoreError;
use windlass::store::delayed::{DeleteDelayed, MoveDelayed, MoveTo};
use windlass::store::effect::{Gate, Retry, RetryKeys, Verdict};
use windlass::store::instance::{InstanceState, LockRenewal};
use windlass::store::moving::{Batch, BatchId, Decline, Identify, Waiting};
use windlass::store::periodic::{Purpose, Reconcile};
use windlass::store::queueing::{Enqueue, EnqueueTracked, Exchange, Schedule, When};
use windlass::store::runs::TrackedJob;
use windlass::store::scheduling::{Fire, Leadership, Promote, PromoteTo, Promotion};
use windlass::store::showing::ShowRuns;
use windlass::store::wishes::{AskRun, Want, Wish};
use windlass::store::workers::{Recovery, WorkerLock};
use windlass::store::working::WorkingRecord;

use crate::fixture::{Fixture, NOW_S};
use crate::instance::{Claimed, Instance, record};
use crate::look::{delay, failed, fill, gate, job, job_lock, jobs, lock, push, queue, take};
use crate::support::verbs::Verbs as _;
use crate::tick::tick;

/// A store with items of every kind, the same each time.
pub(crate) struct Stage {
    pub(crate) f: Fixture,
    pub(crate) instance: Instance,
    claims: Vec<Claimed>,
    dead: InstanceState,
    left: WorkingRecord,
    failure: Bytes,
}

impl Stage {
    pub(crate) async fn set() -> Self {
        let f = Fixture::sqlite().await;
        let mut instance = Instance::join(&f.store, "a", 5).await;
        fill(&f.store, "q", &jobs(0..8)).await;
        let mut claims = instance.claim(&["q"], &[1, 2, 3, 4]).await;
        let last = claims.pop().expect("four were claimed");
        instance.settle_one(&last, last.failed()).await;
        instance.enter(&claims[0], &[gate(&job_lock(1), 1000)]).await;
        let mut other = Instance::join(&f.store, "dead", 1).await;
        other.claim_one("q").await;
        let left = other.working().await.remove(0);
        let dead = other.state().await.expect("state");
        delay(&f.store, &job(30), When::At(NOW_S)).await;
        delay(&f.store, &job(31), When::At(NOW_S + 50)).await;
        assert!(f.store.lead(Leadership::Scheduler, "one", 60_000).await.expect("lead"));
        let failure = failed(&f.store).await.remove(0);
        Self { f, instance, claims, dead, left, failure }
    }

    fn exchange(&self) -> Exchange {
        Exchange {
            sequence: 99,
            settlements: Vec::new(),
            enters: Vec::new(),
            idle: Vec::new(),
            queues: std::sync::Arc::from([]),
            share: 1,
            run_at: "2027".into(),
        }
    }

    fn look(&self, purpose: Purpose) -> Reconcile {
        Reconcile {
            tick: tick(30),
            forms: vec![form()],
            queue_lock: Some((lock(9), 60)),
            job_lock: Some(job_lock(9)),
            grace_s: 3,
            workers: Vec::new(),
            purpose,
            stale_due_s: None,
            silent: Vec::new(),
            attempts: Vec::new(),
        }
    }

    /// Every row of every table, but those beside the store.
    pub(crate) fn rows(&self) -> BTreeMap<String, Vec<String>> {
        let file = self.file();
        let rows = |table: &String| {
            let mut select = file.prepare(&format!("SELECT * FROM {table}")).expect("the table must be there");
            let columns = select.column_count();
            let read = |row: &rusqlite::Row<'_>| {
                (0..columns)
                    .map(|n| row.get::<_, rusqlite::types::Value>(n).map(|value| format!("{value:?}")))
                    .collect()
            };
            let rows = select.query_map([], read).expect("the rows must be readable");
            let mut rows: Vec<String> =
                rows.map(|row: rusqlite::Result<Vec<String>>| row.expect("a row must be readable").join(" ")).collect();
            rows.sort();
            (table.clone(), rows)
        };
        self.tables().iter().filter(|table| !BESIDE.contains(&table.as_str())).map(rows).collect()
    }

    fn tables(&self) -> Vec<String> {
        let file = self.file();
        let mut select = file.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").expect("a statement");
        let names = select.query_map([], |row| row.get(0)).expect("names");
        names.collect::<Result<_, _>>().expect("names")
    }

    pub(crate) fn file(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.f.place.file()).expect("the file must open")
    }

    fn execute(&self, sql: &str) {
        self.file().execute_batch(sql).expect("the statement must be executed");
    }
}

/// Tables of the test, and the random id of a store.
const BESIDE: [&str; 4] = ["moving", "touched", "no_room", "sqlite_sequence"];

fn form() -> Bytes {
    Bytes::from_static(br#"{"class":"clean","queue":"q","args":[{}]}"#)
}

fn attempted(one: &Claimed) -> Verdict {
    Verdict::Attempted(Box::new(Retry {
        keys: RetryKeys { counter: "counter".into(), failure: "failure".into() },
        last_error: Bytes::from_static(b"{}"),
        attempts: 3,
        delays_ms: vec![1000],
        identity: one.claim.identity.next_attempt(),
        last: Some(one.failure()),
    }))
}

pub(crate) type Answer<'a> = Pin<Box<dyn Future<Output = Result<String, StoreError>> + 'a>>;
pub(crate) type Arrow = for<'a> fn(&'a mut Stage) -> Answer<'a>;

macro_rules! arrows {
    ($($name:ident: $steps:ident |$stage:ident| $body:expr;)+) => {
        $(
            fn $name($stage: &mut Stage) -> Answer<'_> {
                Box::pin(async move { $body.await.map(|reply| format!("{reply:?}")) })
            }
        )+
        pub(crate) const ARROWS: &[(&str, Steps, Arrow)] =
            &[$((stringify!($name), Steps::$steps, $name)),+];
    };
}

/// Whether an arrow is one transaction, one of parts of which a refused one is left out alone, or many bounded transactions,
/// of which some may have been committed before an error.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Steps {
    One,
    Parts,
    Many,
}

arrows! {
    enqueue: One |s| s.f.store.enqueue(&[
        push("new", &job(20), &[take(&lock(1), 60)]),
        Enqueue { front: true, ..push("q", &job(21), &[]) },
    ]);
    enqueue_tracked: One |s| {
        let tracked = TrackedJob { queue: "q".to_owned(), class: "add".to_owned(), at_ms: 7 };
        s.f.store.run(EnqueueTracked { job: push("q", &job(23), &[]), identity: Identity::tracked("x"), tracked: Some(tracked) })
    };
    schedule: One |s| s.f.store.schedule(&[Schedule { payload: job(22), when: When::At(NOW_S + 9) }]);
    promote: One |s| s.f.store.promote(&Promotion {
        leader: None,
        ruby: None,
        second: NOW_S,
        jobs: vec![Promote {
            payload: job(30),
            long: None,
            to: PromoteTo::Queue { queue: queue("new"), lock: Some((lock(2), 60)) },
        }],
    });
    promote_to_failed: One |s| s.f.store.promote(&Promotion {
        leader: None,
        ruby: None,
        second: NOW_S,
        jobs: vec![Promote { payload: job(30), long: None, to: PromoteTo::Failed { record: Bytes::from_static(b"{}") } }],
    });
    claim: Parts |s| {
        let exchange =
            Exchange { idle: vec![s.instance.worker(4), s.instance.worker(5)], queues: [queue("q")].into(), ..s.exchange() };
        async move { s.instance.try_send(&exchange).await }
    };
    settle: Parts |s| {
        let settlements = vec![
            windlass::store::queueing::Settlement {
                free: vec![job_lock(1)],
                ..s.claims[0].ticks(Verdict::Done, &tick(30))
            },
            s.claims[1].ends(s.claims[1].failed()),
            s.claims[2].ends(attempted(&s.claims[2])),
        ];
        let exchange = Exchange { settlements, ..s.exchange() };
        async move { s.instance.try_send(&exchange).await }
    };
    give_back: Parts |s| {
        let settlements = vec![
            s.claims[2].ends(s.claims[2].requeued()),
            s.claims[1].ends(s.claims[1].retried(500)),
            s.claims[0].ends(Verdict::Vetoed { retry: None }),
        ];
        let exchange = Exchange { settlements, ..s.exchange() };
        async move { s.instance.try_send(&exchange).await }
    };
    enter: Parts |s| {
        let gates = [Gate::FreeLock { key: lock(3) }, gate(&job_lock(2), 1000)];
        let enters = vec![s.claims[1].enters(&gates), s.claims[2].enters(&[gate(&job_lock(1), 1000)])];
        let exchange = Exchange { enters, ..s.exchange() };
        async move { s.instance.try_send(&exchange).await }
    };
    recover: One |s| {
        let recovery = Recovery {
            instance: Some((s.dead.record.id.clone(), s.dead.counter)),
            queue: queue("q"),
            payload: s.left.payload.clone().expect("payload"),
            verdict: Verdict::Requeued { identity: s.left.identity.clone().expect("identity").redelivered() },
            record: s.left.clone(),
            free: vec![job_lock(4)],
            tick: Some(tick(30)),
            run: None,
        };
        s.f.store.run(recovery)
    };
    force_clean: One |s| s.f.store.force_clean(&s.left.worker, Some(&s.left), Some(&s.failure), &[WorkerLock { key: job_lock(1), value: None }]);
    join: One |s| {
        let record = record("new", 1);
        async move { s.f.store.join(&record).await }
    };
    register: One |s| {
        let workers = [s.instance.worker(6), s.instance.worker(7)];
        async move { s.f.store.register("a", &workers).await }
    };
    unregister: One |s| {
        let workers = s.instance.record.workers();
        async move { s.f.store.unregister("a", &workers).await }
    };
    extend: One |s| {
        let locks = vec![LockRenewal { key: job_lock(1), claim: s.claims[0].claim.token.clone(), ttl_s: 90 }];
        let extend = windlass::store::instance::Extend {
            record: s.instance.record.clone(),
            publish: true,
            census: true,
            workers: s.instance.record.workers(),
            pinged: Vec::new(),
            locks,
            done: vec![s.claims[1].claim.token.clone()],
            progress: vec![(s.claims[0].claim.token.clone(), Some(windlass::job::Progress::new(Some(4.0), "x")))],
            ran: Vec::new(),
            long: Vec::new(),
        };
        s.f.store.run(extend)
    };
    ask_run: One |s| {
        let want = Want::Cancel { by: "ada".to_owned() };
        let wish = Wish { claim: s.claims[0].claim.token.clone(), want };
        s.f.store.run(AskRun { worker: s.claims[0].worker.clone(), wish })
    };
    show_runs: One |s| {
        let claim = s.claims[0].claim.token.clone();
        let shown = vec![(claim.clone(), crate::showing::record(0, &["x"]))];
        s.f.store.run(ShowRuns { instance: "a".to_owned(), shown, over: vec![claim] })
    };
    leave: One |s| s.f.store.leave(&s.instance.record);
    lead: One |s| s.f.store.lead(Leadership::Duties, "two", 60_000);
    resign: One |s| s.f.store.resign(Leadership::Scheduler, "one");
    seed: One |s| s.f.store.run(s.look(Purpose::Look));
    run_now: One |s| s.f.store.run(s.look(Purpose::Run));
    stop: Many |s| {
        let task = TaskName::new("clean").expect("name");
        async move { s.f.store.stop(&task, &queue("q"), &[form(), job(31), job(6)]).await }
    };
    withdraw: Many |s| {
        let task = TaskName::new("clean").expect("name");
        async move { s.f.store.withdraw(&task, &queue("q"), &[form(), job(31), job(6)]).await }
    };
    pause: One |s| {
        let queue = queue("q");
        async move { s.f.store.pause(Some(&queue)).await }
    };
    delete_queue: Many |s| {
        let queue = queue("q");
        async move { s.f.store.delete_queue(&queue).await }
    };
    delete_jobs: Many |s| {
        let queue = queue("q");
        async move { s.f.store.delete_jobs(&queue, &job(6), 0).await }
    };
    remove_failed: One |s| s.f.store.remove_failed(&s.failure);
    clear_failed: Many |s| s.f.store.clear_failed();
    retry_failed: One |s| {
        let failure = s.failure.clone();
        async move { s.f.store.retry_failed(&failure, &queue("new"), &job(3), &[take(&lock(7), 60)], None).await }
    };
    delete_delayed: Many |s| s.f.store.run(DeleteDelayed { payload: job(31) });
    move_delayed: One |s| {
        s.f.store.run(MoveDelayed { second: NOW_S + 50, jobs: vec![job(31)], to: MoveTo::Second(NOW_S + 60) })
    };
    delete_lock: One |s| {
        let key = job_lock(1);
        async move { s.f.store.delete_lock(key.as_str()).await }
    };
    fire: One |s| {
        let job = Some(push("new", &job(23), &[take(&lock(8), 60)]));
        s.f.store.run(Fire { id: "x".into(), seen_s: None, last_s: NOW_S, job })
    };
    set_aside: One |s| async move { s.f.store.set_aside(3).await.map(|batch| batch.map(|batch| batch.items)) };
    take_in: One |s| {
        let items = vec![
            Waiting::Queued { queue: queue("new"), payload: job(40), identity: None },
            Waiting::Delayed { second: NOW_S + 5, payload: job(41), identity: None },
            Waiting::Failed { record: Bytes::from_static(b"{}") },
            Waiting::Fired { id: "y".into(), last_s: NOW_S },
            Waiting::Counted { processed: 3, failed: 4 },
        ];
        let id = BatchId { source: "there".into(), number: 1, token: None };
        let batch = Batch { id, target: None, items };
        async move { s.f.store.take_in(&batch, &[]).await }
    };
    decline: One |s| {
        let id = BatchId { source: "there".into(), number: 1, token: Some("t".into()) };
        s.f.store.run(Decline { id })
    };
    identify: One |s| s.f.store.run(Identify { fresh: "here".into(), mark: Some("mark".into()) });
}

const OPERATIONS: [&str; 3] = ["INSERT", "UPDATE", "DELETE"];

/// A table whose last row number is taken: SQLite answers an insert into it as it answers one on a full disk.
const NO_ROOM: &str = "CREATE TABLE no_room (n INTEGER PRIMARY KEY AUTOINCREMENT); \
                       INSERT INTO no_room VALUES (9223372036854775807);";

/// Errors before and after a row is written, and whether they say that there is no room. SQLite takes back the statement,
/// nothing, or the whole transaction.
const ERRORS: [(&str, &str, bool); 5] = [
    ("BEFORE", "SELECT RAISE(ABORT, 'an error in the middle')", false),
    ("AFTER", "SELECT RAISE(FAIL, 'an error in the middle')", false),
    ("AFTER", "SELECT RAISE(ROLLBACK, 'an error in the middle')", false),
    ("BEFORE", "INSERT INTO no_room VALUES (NULL)", true),
    ("AFTER", "INSERT INTO no_room VALUES (NULL)", true),
];

/// An operation on a table, for a trigger. The counts of queues are left out: that they are refused keeps no step from being
/// taken (the chapter counts).
fn rows(what: &str) -> String {
    let row = if what.starts_with("DELETE") { "OLD" } else { "NEW" };
    if what.ends_with(" stats") { format!("{what} WHEN {row}.name NOT LIKE 'queue:%'") } else { what.to_owned() }
}

/// What an arrow answers and does without an error, and the operations on tables that are part of it.
async fn sound(name: &str, run: Arrow) -> (Stage, String, Vec<String>) {
    let mut sound = Stage::set().await;
    let mut triggers = "CREATE TABLE touched (what TEXT PRIMARY KEY);".to_owned();
    for table in sound.tables() {
        for operation in OPERATIONS {
            triggers += &format!(
                "CREATE TRIGGER {operation}_{table} AFTER {} \
                 BEGIN INSERT OR IGNORE INTO touched VALUES ('{operation} ON {table}'); END;",
                rows(&format!("{operation} ON {table}"))
            );
        }
    }
    sound.execute(&triggers);
    let answer = run(&mut sound).await.expect("nothing goes wrong here");
    let touched: Vec<String> = {
        let file = sound.file();
        let mut select = file.prepare("SELECT what FROM touched").expect("a statement");
        let touched = select.query_map([], |row| row.get(0)).expect("rows");
        touched.collect::<Result<_, _>>().expect("rows")
    };
    assert!(!touched.is_empty(), "{name} writes");
    (sound, answer, touched)
}

/// A trigger may also let a statement succeed and do nothing. Before a row is written, that is an error which names the
/// table; afterwards it changes nothing.
#[tokio::test]
async fn a_row_that_is_ignored_is_an_error_that_changes_nothing() {
    const IGNORE: &str = "SELECT RAISE(IGNORE)";
    for (name, steps, run) in ARROWS {
        let (sound, answer, touched) = sound(name, *run).await;
        // What the file counts by itself, no statement of ours sees.
        for what in touched.iter().filter(|what| !what.ends_with(" failed_blocks")) {
            let (_, table) = what.split_once(" ON ").expect("as written above");
            let mut stage = Stage::set().await;
            let before = stage.rows();
            stage.execute(&format!("CREATE TRIGGER ignored BEFORE {} BEGIN {IGNORE}; END", rows(what)));
            let refused = run(&mut stage).await;
            stage.execute("DROP TRIGGER ignored");
            let by_parts = *steps == Steps::Parts && table != "lanes";
            let said = match &refused {
                Err(error @ StoreError::Barred { .. }) if !by_parts => error.to_string(),
                Ok(reply) if by_parts => reply.clone(),
                other => panic!("{name} with {what} ignored: {other:?}"),
            };
            assert!(said.contains(&format!("ignores a row of table {table}: look for it")), "{name} {what}: {said}");
            if *steps != Steps::Many && !by_parts {
                assert_eq!(stage.rows(), before, "{name} with {what} ignored");
            }
            if !by_parts {
                let repeated = run(&mut stage).await.expect("nothing is ignored any more");
                if *steps == Steps::One {
                    assert_eq!(repeated, answer, "{name} answers as it would have before {what} was ignored");
                }
                assert_eq!(stage.rows(), sound.rows(), "{name} does at last what it would have done without {what}");
            }

            let mut stage = Stage::set().await;
            stage.execute(&format!("CREATE TRIGGER ignored AFTER {} BEGIN {IGNORE}; END", rows(what)));
            assert_eq!(run(&mut stage).await.ok().as_ref(), Some(&answer), "{name} with {what} ignored afterwards");
            // Such a trigger also ends those by which the file counts failed jobs.
            let counted = |mut rows: BTreeMap<String, Vec<String>>| {
                rows.retain(|name, _| name != "failed_blocks" || table != "failed");
                rows
            };
            assert_eq!(counted(stage.rows()), counted(sound.rows()), "{name} with {what} ignored afterwards");
        }
    }
}

#[tokio::test]
async fn an_error_in_the_middle_of_an_arrow_changes_nothing() {
    for (name, steps, run) in ARROWS {
        let (sound, answer, touched) = sound(name, *run).await;
        let mut stage = Stage::set().await;
        stage.execute(NO_ROOM);
        let before = stage.rows();
        let mut partly = false;
        for what in &touched {
            for (when, raise, is_full) in ERRORS {
                stage.execute(&format!("CREATE TRIGGER error {when} {} BEGIN {raise}; END", rows(what)));
                let erred = run(&mut stage).await;
                stage.execute("DROP TRIGGER error");
                if let Err(error) = &erred {
                    let said = matches!(error, StoreError::Full(_));
                    assert_eq!(said, is_full, "{name} with {raise} {when} {what}: {error:?}");
                }
                match steps {
                    Steps::One => {
                        assert!(erred.is_err(), "{name} with an error at {when} {what}: {erred:?}");
                        assert_eq!(stage.rows(), before, "{name} with {raise} {when} {what}");
                    }
                    Steps::Parts => {
                        // What a lane did must be known; the rest is refused by parts, whichever way the trigger refuses.
                        let by_parts = !is_full && !what.ends_with(" lanes");
                        assert!(erred.is_ok() || !by_parts, "{name} with {raise} {when} {what}: {erred:?}");
                        if let Ok(reply) = &erred {
                            assert!(reply.contains("an error in the middle"), "{name} at {when} {what}: {reply}");
                            stage = Stage::set().await;
                            stage.execute(NO_ROOM);
                        } else {
                            assert_eq!(stage.rows(), before, "{name} with {raise} {when} {what}");
                        }
                    }
                    Steps::Many => partly = true,
                }
            }
        }
        let repeated = run(&mut stage).await.expect("nothing goes wrong any more");
        if !partly {
            assert_eq!(repeated, answer, "{name} answers as it would have");
        }
        assert_eq!(stage.rows(), sound.rows(), "{name} does at last what it would have done at first");
    }
}
