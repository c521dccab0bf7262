//! Finished runs that are kept: written once, in the step that ends a claim, and never in its way.

use windlass::job::finished_run::LONGEST_RECORD;
use windlass::job::{FinishedRun, RunOutcome, TaskName};
use windlass::store::Store;
use windlass::store::effect::{Busy, Gate, Retry, RetryKeys, Verdict};
use windlass::store::queueing::{Enter, Entered, Exchange, Extra, Part, Settlement};
use windlass::store::role::Whole;
use windlass::store::runs::{KeepRun, KeptRuns, RunList};
use windlass::store::workers::{ForceClean, Recovered, Recovery};

use crate::fixture::{Fixture, NOW_MS, Place};
use crate::instance::{Claimed, Instance};
use crate::look::{counters, failed, fill, job, job_lock, jobs, queue, queued};
use crate::support::redis::{Options, RedisServer};
use crate::support::resp::Reply;
use crate::support::verbs::Verbs as _;
use crate::tick::{reconcile, tick};

behaviours! {
    a_run_is_kept_in_the_step_that_ends_it,
    a_repeated_exchange_keeps_one,
    a_lost_claim_keeps_none,
    only_the_last_are_kept,
    the_store_says_whether_a_failed_attempt_is_repeated,
    each_list_is_its_own,
    a_withdrawn_task_takes_its_runs_along,
    a_run_that_was_cut_off_is_kept_by_who_recovers_its_job,
    a_removed_worker_keeps_the_run_that_failed,
    a_job_that_its_gates_drop_is_kept_as_left_out,
}

pub(crate) fn list(task: &str) -> RunList {
    RunList::Task(TaskName::as_stored(task))
}

/// A run of task `clean`, which keeps three.
pub(crate) fn run(word: RunOutcome, n: u64) -> Box<KeepRun> {
    let run = FinishedRun { ms: Some(n), id: Some(format!("job-{n}")), ..FinishedRun::new(word, NOW_MS) };
    Box::new(KeepRun { list: list("clean"), most: 3, lasts_s: 3600, run })
}

fn keeps(claimed: &Claimed, verdict: Verdict, run: Box<KeepRun>) -> Settlement {
    Settlement { run: Some(run), ..claimed.ends(verdict) }
}

/// The runs of the task that are kept, the newest first.
async fn kept(f: &Fixture) -> Vec<FinishedRun> {
    let mut all = f.store.read_runs(&[list("clean")], 100).await.expect("read_runs");
    assert_eq!((all.len(), &all[0].unreadable), (1, &None));
    all.remove(0).runs
}

fn lengths(runs: &[FinishedRun]) -> Vec<u64> {
    runs.iter().map(|run| run.ms.expect("it has a length")).collect()
}

async fn claims(f: &Fixture, instance: &mut Instance, count: usize) -> Vec<Claimed> {
    fill(&f.store, "q", &jobs(0..count)).await;
    instance.claim(&["q"], &(1..=count).collect::<Vec<_>>()).await
}

async fn a_run_is_kept_in_the_step_that_ends_it(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 5).await;
    let claims = claims(f, &mut instance, 5).await;
    assert_eq!(kept(f).await, []);
    let own = FinishedRun {
        claim: Some(claims[0].claim.token.to_string()),
        attempt: Some(2),
        redelivered: Some(1),
        worker: Some("host-windlass:a+1".to_owned()),
        scheduled_at: Some("2027-01-15T08:00:00Z".to_owned()),
        error: Some("ExitStatus: exited with 3".to_owned()),
        output: vec!["disk full\u{1b}\"".to_owned(), "\u{fc}".to_owned()],
        ..run(RunOutcome::Failed, 7).run
    };
    let first = Box::new(KeepRun { run: own.clone(), ..*run(RunOutcome::Failed, 7) });
    // With a tick, with a lock, with both, and one that keeps nothing.
    let settlements = vec![
        keeps(&claims[0], claims[0].failed(), first),
        Settlement { free: vec![job_lock(1)], ..keeps(&claims[1], Verdict::Done, run(RunOutcome::Done, 8)) },
        Settlement {
            free: vec![job_lock(2)],
            tick: Some(tick(30)),
            ..keeps(&claims[2], claims[2].requeued(), run(RunOutcome::CutOff, 9))
        },
        claims[3].ends(Verdict::Done),
    ];
    assert_eq!(instance.settle(settlements).await, [0_usize; 0]);
    let runs = kept(f).await;
    assert_eq!((lengths(&runs), &runs[2]), (vec![9, 8, 7], &own));
    assert_eq!(runs.iter().map(|run| run.outcome.word()).collect::<Vec<_>>(), ["cut_off", "done", "failed"]);
    assert_eq!((counters(&f.store).await, failed(&f.store).await.len()), ((2, 1), 1));
    instance.settle(vec![keeps(&claims[4], claims[4].retried(1000), run(RunOutcome::Later, 10))]).await;
    assert_eq!(kept(f).await[0].outcome, RunOutcome::Later);
}

async fn a_repeated_exchange_keeps_one(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let claims = claims(f, &mut instance, 1).await;
    let settlements = vec![keeps(&claims[0], Verdict::Done, run(RunOutcome::Done, 1))];
    let exchange = Exchange { settlements, ..instance.next() };
    for _ in 0..3 {
        assert_eq!(instance.send(&exchange).await.lost, [0_usize; 0]);
        instance.reopen().await;
    }
    assert_eq!(kept(f).await.len(), 1);
}

async fn a_lost_claim_keeps_none(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    let claims = claims(f, &mut instance, 2).await;
    let record = instance.working().await.remove(0);
    assert!(f.store.force_clean(&claims[0].worker, Some(&record), None, &[]).await.expect("force_clean"));
    let ends = |n: u64| keeps(&claims[n as usize], Verdict::Done, run(RunOutcome::Done, n));
    // The second of the same claim finds it over.
    assert_eq!(instance.settle(vec![ends(0), ends(1), ends(1)]).await, [0, 2]);
    assert_eq!(lengths(&kept(f).await), [1]);
}

async fn only_the_last_are_kept(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 5).await;
    let claims = claims(f, &mut instance, 5).await;
    for (n, claim) in (0..).zip(&claims) {
        instance.settle(vec![keeps(claim, Verdict::Done, run(RunOutcome::Done, n))]).await;
    }
    assert_eq!(lengths(&kept(f).await), [4, 3, 2]);
    let two = f.store.read_runs(&[list("clean")], 2).await.expect("read_runs").remove(0);
    assert_eq!(lengths(&two.runs), [4, 3], "no more than was asked for");
    fill(&f.store, "q", &jobs(5..6)).await;
    let last = instance.claim_one("q").await;
    let fewer = Box::new(KeepRun { most: 1, ..*run(RunOutcome::Done, 5) });
    instance.settle(vec![keeps(&last, Verdict::Done, fewer)]).await;
    assert_eq!(lengths(&kept(f).await), [5], "a lower bound holds from the next run on");
}

async fn the_store_says_whether_a_failed_attempt_is_repeated(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    fill(&f.store, "q", &jobs(0..1)).await;
    for n in 1..=2 {
        let claim = instance.claim_one("q").await;
        let verdict = Verdict::Attempted(Box::new(Retry {
            keys: RetryKeys { counter: "c".to_owned(), failure: "f".to_owned() },
            last_error: bytes::Bytes::from_static(b"{}"),
            attempts: 2,
            delays_ms: vec![1000],
            identity: claim.claim.identity.next_attempt(),
            last: Some(claim.failure()),
        }));
        // A job that is tried again is still the present tick.
        let ends = Settlement { tick: Some(tick(30)), ..keeps(&claim, verdict, run(RunOutcome::Failed, n)) };
        assert_eq!(instance.settle(vec![ends]).await, [0_usize; 0]);
        f.pass(2);
        crate::look::promote_all(&f.store, "q", 10).await;
    }
    let runs = kept(f).await;
    assert_eq!((&runs[0].outcome, &runs[1].outcome), (&RunOutcome::Failed, &RunOutcome::Retried));
    assert_eq!((lengths(&runs), failed(&f.store).await.len()), (vec![2, 1], 1));
}

async fn each_list_is_its_own(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 4).await;
    let claims = claims(f, &mut instance, 4).await;
    let lists = [list("clean"), RunList::Schedule("clean".to_owned()), list("clean/daily"), list("a b\u{fc}:*")];
    let ends = |(claim, (n, list)): (&Claimed, (u64, &RunList))| {
        keeps(claim, Verdict::Done, Box::new(KeepRun { list: list.clone(), ..*run(RunOutcome::Done, n) }))
    };
    let settlements = claims.iter().zip((0..).zip(&lists)).map(ends).collect();
    assert_eq!(instance.settle(settlements).await, [0_usize; 0]);
    let asked = [&lists[3], &list("nobody"), &lists[1], &lists[0], &lists[2], &lists[1]].map(Clone::clone);
    let all = f.store.read_runs(&asked, 1).await.expect("read_runs");
    let found: Vec<_> = all.iter().map(|kept| lengths(&kept.runs)).collect();
    assert_eq!(found, [vec![3], vec![], vec![1], vec![0], vec![2], vec![1]], "as many answers as questions, in order");
    assert_eq!(f.store.read_runs(&[], 1).await.expect("read_runs"), []);
    let none = f.store.read_runs(&asked, 0).await.expect("read_runs");
    assert!(none.iter().all(|kept| *kept == KeptRuns::default()));
}

async fn a_withdrawn_task_takes_its_runs_along(f: &Fixture) {
    reconcile(f, 30).await;
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let claim = instance.claim_one("q").await;
    let ends = Settlement { tick: Some(tick(30)), ..keeps(&claim, Verdict::Done, run(RunOutcome::Done, 1)) };
    assert_eq!(instance.settle(vec![ends]).await, [0_usize; 0]);
    let tick = tick(30);
    f.store.stop(&tick.task, &tick.queue, std::slice::from_ref(&tick.payload)).await.expect("stop");
    assert_eq!(kept(f).await.len(), 1, "a task that is stopped shows what it did");
    f.store.withdraw(&tick.task, &tick.queue, &[tick.payload]).await.expect("withdraw");
    assert_eq!(kept(f).await, []);
}

async fn a_run_that_was_cut_off_is_kept_by_who_recovers_its_job(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let claim = claims(f, &mut instance, 1).await.remove(0);
    let state = instance.state().await.expect("it has joined");
    let record = instance.working().await.remove(0);
    let recovery = |run| Recovery {
        instance: Some((state.record.id.clone(), state.counter)),
        queue: queue("q"),
        payload: job(0),
        verdict: claim.requeued(),
        record: record.clone(),
        free: Vec::new(),
        tick: None,
        run,
    };
    let first = recovery(Some(run(RunOutcome::CutOff, 1)));
    assert_eq!(f.store.recover(&first).await.expect("recover"), Recovered::Yes);
    assert_eq!(f.store.recover(&first).await.expect("recover"), Recovered::No);
    assert_eq!((queued(&f.store, "q").await, lengths(&kept(f).await)), (vec![job(0)], vec![1]));
    assert_eq!(kept(f).await[0].outcome, RunOutcome::CutOff);
}

async fn a_removed_worker_keeps_the_run_that_failed(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    let claims = claims(f, &mut instance, 2).await;
    let records = instance.working().await;
    let clean = |n: usize, record: bool| ForceClean {
        worker: claims[n].worker.clone(),
        working: Some(records[n].clone()),
        record: record.then(|| claims[n].failure()),
        free: Vec::new(),
        run: Some(run(RunOutcome::Failed, n as u64)),
    };
    for _ in 0..2 {
        f.store.run(clean(0, true)).await.expect("force_clean");
    }
    f.store.run(clean(1, false)).await.expect("force_clean");
    assert_eq!((lengths(&kept(f).await), failed(&f.store).await.len()), (vec![0], 1), "the other did not fail");
}

/// The gates of a tick that is left out if it is more than five seconds late, or if its lock is held.
fn dropping() -> Vec<Gate> {
    let (free, retry) = (Vec::new(), None);
    let busy = Busy::Drop { free: free.clone(), tick: Some(tick(30)), retry: None };
    vec![
        Gate::TellDue { task: tick(30).task },
        Gate::Fresh { plugin: "missed", max_age_s: 5, tick: tick(30), free, retry },
        Gate::TakeLock { plugin: "JobLock", key: job_lock(1), ttl_s: 600, busy },
    ]
}

fn enters(claimed: &Claimed, n: u64) -> Enter {
    Enter { run: Some(run(RunOutcome::Missed, n)), ..claimed.enters(&dropping()) }
}

async fn a_job_that_its_gates_drop_is_kept_as_left_out(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 3).await;
    reconcile(f, 30).await;
    f.pass(7);
    let late = instance.claim_one("q").await;
    let exchange = Exchange { enters: vec![enters(&late, 1)], ..instance.next() };
    for _ in 0..2 {
        assert_eq!(instance.send(&exchange).await.entered, [Entered::Dropped { plugin: "missed" }]);
    }
    let runs = kept(f).await;
    assert_eq!((lengths(&runs), &runs[0].outcome), (vec![1], &RunOutcome::Missed));
    assert_eq!(runs[0].scheduled_at.as_deref(), Some("2027-01-15T08:00:00Z"), "the tick of the start was left out");

    f.pass(23);
    crate::look::promote_all(&f.store, "q", 10).await;
    let on_time = instance.claim_one("q").await;
    fill(&f.store, "q", &[tick(30).payload]).await;
    let beside = instance.claim(&["q"], &[2]).await.remove(0);
    let both = Exchange { enters: vec![enters(&on_time, 2), enters(&beside, 3)], ..instance.next() };
    let entered = instance.send(&both).await.entered;
    assert_eq!(entered, [Entered::Taken, Entered::Dropped { plugin: "JobLock" }]);
    let runs = kept(f).await;
    assert_eq!((lengths(&runs), &runs[0].outcome), (vec![3, 1], &RunOutcome::Busy), "who runs is not kept yet");
    // Whose claim is lost is neither taken nor dropped.
    let exchange = Exchange { enters: vec![enters(&beside, 4)], ..instance.next() };
    assert_eq!(instance.send(&exchange).await.entered, [Entered::Lost]);
    assert_eq!(lengths(&kept(f).await), [3, 1]);
}

/// A job that is too late, whose run cannot be kept; returns what is told.
async fn drop_with_run(f: &Fixture, store: &Store<Whole>) -> Vec<String> {
    let mut instance = Instance::join(store, "late", 1).await;
    fill(&f.store, "late", &[tick(30).payload]).await;
    reconcile(f, 30).await;
    f.pass(7);
    let late = instance.claim_one("late").await;
    let exchange = Exchange { enters: vec![enters(&late, 1)], ..instance.next() };
    let reply = instance.send(&exchange).await;
    assert_eq!(reply.entered, [Entered::Dropped { plugin: "missed" }]);
    assert_eq!(instance.working().await, []);
    reply.findings.iter().map(ToString::to_string).collect()
}

/// A settlement that keeps a run, and all that is told of it.
async fn settle_with_run(f: &Fixture) -> Vec<String> {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    let claims = claims(f, &mut instance, 2).await;
    let settlements =
        vec![keeps(&claims[0], claims[0].failed(), run(RunOutcome::Failed, 1)), claims[1].ends(Verdict::Done)];
    let exchange = Exchange { settlements, ..instance.next() };
    let reply = instance.send(&exchange).await;
    assert_eq!((&reply.lost[..], &reply.undone[..], reply.refused.len()), (&[][..], &[][..], 0), "{reply:?}");
    let again = instance.send(&exchange).await;
    assert_eq!((&again.lost[..], &again.undone[..]), (&[][..], &[][..]), "{again:?}");
    assert_eq!((counters(&f.store).await, failed(&f.store).await.len()), ((1, 1), 1), "the jobs have ended, each once");
    assert_eq!(instance.working().await, []);
    reply.findings.iter().map(ToString::to_string).collect()
}

/// Something else in the place of the runs stops nothing: neither the end of a job nor a look at other runs.
#[tokio::test]
async fn a_key_of_another_type_is_named_and_passed_over() {
    let f = Fixture::redis().await;
    let key = f.key("windlass:runs:clean");
    f.redis_command(&["SET", &key, "mine"]);
    let told = settle_with_run(&f).await;
    assert!(told.len() == 1 && told[0].contains(&key) && told[0].contains("RENAMENX"), "{told:?}");
    let other = run(RunOutcome::Done, 5).run.record();
    f.redis_command(&[b"RPUSH", f.key("windlass:runs:other").as_bytes(), &other]);
    let all = f.store.read_runs(&[list("clean"), list("other")], 9).await.expect("read_runs");
    let unreadable = all[0].unreadable.as_ref().expect("it is counted");
    assert!(unreadable.count == 1 && unreadable.text.contains(&key), "{unreadable:?}");
    assert_eq!((all[0].runs.len(), lengths(&all[1].runs)), (0, vec![5]));
    let told = drop_with_run(&f, &f.store).await;
    assert!(told.len() == 1 && told[0].contains(&key), "{told:?}");
}

#[tokio::test]
async fn what_is_no_record_is_passed_over_and_counted() {
    let long = "x".repeat(LONGEST_RECORD + 1);
    for f in [Fixture::redis().await, Fixture::sqlite().await] {
        settle_with_run(&f).await;
        match &f.place {
            Place::Redis { .. } => {
                f.redis_command(&[
                    b"RPUSH",
                    f.key("windlass:runs:clean").as_bytes(),
                    b"\xff{",
                    b"",
                    long.as_bytes(),
                    b"{}",
                ]);
            }
            Place::Sqlite { .. } => {
                let file = rusqlite::Connection::open(f.place.file()).expect("the file must open");
                let rows = format!(
                    "INSERT INTO runs (scheduled, name, place, record) VALUES (0, 'clean', 7, x'ff7b'), (0, 'clean', 8, ''), \
                     (0, 'clean', 9, '{long}'), (0, 'clean', 10, 1.5)"
                );
                file.execute_batch(&rows).expect("the rows must be written");
            }
        }
        let all = f.store.read_runs(&[list("clean")], 100).await.expect("read_runs").remove(0);
        assert_eq!(lengths(&all.runs), [1]);
        let unreadable = all.unreadable.expect("they are counted");
        assert!(unreadable.count == 4 && unreadable.text.contains("4 records of finished runs"), "{unreadable:?}");
        // They count as any other, so that the next runs push them out.
        let mut instance = Instance::join(&f.store, "b", 1).await;
        for n in 2..5 {
            let claim = claims(&f, &mut instance, 1).await.remove(0);
            instance.settle(vec![keeps(&claim, Verdict::Done, run(RunOutcome::Done, n))]).await;
        }
        assert_eq!(lengths(&kept(&f).await), [4, 3, 2]);
    }
}

/// The server holds others up for no longer than a call of one mebibyte, however many runs are asked for.
#[tokio::test]
async fn a_long_list_is_read_in_several_calls() {
    let f = Fixture::redis().await;
    let record = |n: u64| {
        let output = (0..6).map(|_| "y".repeat(500)).collect();
        FinishedRun { output, ..run(RunOutcome::Done, n).run }.record()
    };
    let key = f.key("windlass:runs:clean");
    let records: Vec<_> = (0..1000).map(record).collect();
    let mut push: Vec<&[u8]> = vec![b"RPUSH", key.as_bytes()];
    push.extend(records.iter().map(|record| &record[..]));
    f.redis_command(&push);
    f.redis_command(&[b"RPUSH", f.key("windlass:runs:other").as_bytes(), &records[3][..]]);
    let all = f.store.read_runs(&[list("other"), list("clean"), list("other")], 900).await.expect("read_runs");
    assert_eq!(lengths(&all[1].runs), (100..1000).rev().collect::<Vec<_>>());
    assert_eq!((lengths(&all[0].runs), lengths(&all[2].runs)), (vec![3], vec![3]));
}

/// A list lapses by itself, and each run renews it.
#[tokio::test]
async fn a_list_lapses_as_a_whole() {
    let f = Fixture::redis().await;
    settle_with_run(&f).await;
    let left = f.redis_command(&["PTTL", &f.key("windlass:runs:clean")]);
    assert!(matches!(left, Reply::Int(3_000_000..=3_600_000)), "{left:?}");

    let f = Fixture::sqlite().await;
    settle_with_run(&f).await;
    let mut instance = Instance::join(&f.store, "b", 1).await;
    for n in 2..4 {
        f.pass(2000);
        let claim = claims(&f, &mut instance, 1).await.remove(0);
        instance.settle(vec![keeps(&claim, Verdict::Done, run(RunOutcome::Done, n))]).await;
    }
    assert_eq!(lengths(&kept(&f).await), [3, 2, 1]);
    f.pass(3600);
    assert_eq!(kept(&f).await, []);
    // The next run begins a new list, and one of another task removes what has lapsed.
    let claim = claims(&f, &mut instance, 1).await.remove(0);
    instance.settle(vec![keeps(&claim, Verdict::Done, run(RunOutcome::Done, 4))]).await;
    assert_eq!(lengths(&kept(&f).await), [4]);
    f.pass(3600);
    let claim = claims(&f, &mut instance, 1).await.remove(0);
    let other = Box::new(KeepRun { list: list("other"), ..*run(RunOutcome::Done, 5) });
    instance.settle(vec![keeps(&claim, Verdict::Done, other)]).await;
    let file = rusqlite::Connection::open(f.place.file()).expect("the file must open");
    let held: (i64, i64) = file
        .query_row("SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM run_lists)", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .expect("numbers");
    assert_eq!(held, (1, 1));
}

/// SQLite: whichever way a trigger refuses the record of a run, its job ends.
#[tokio::test]
async fn a_trigger_that_refuses_runs_stops_no_job() {
    for way in ["ABORT, 'none of these'", "FAIL, 'none of these'", "ROLLBACK, 'none of these'", "IGNORE"] {
        for table in ["runs", "run_lists"] {
            let f = Fixture::sqlite().await;
            let file = rusqlite::Connection::open(f.place.file()).expect("the file must open");
            let trigger = format!("CREATE TRIGGER no BEFORE INSERT ON {table} BEGIN SELECT RAISE({way}); END");
            file.execute_batch(&trigger).expect("a trigger must be made");
            let told = settle_with_run(&f).await;
            assert!(told.len() == 1 && told[0].contains(".schema"), "{way}: {told:?}");
            let told = drop_with_run(&f, &f.store).await;
            assert!(told.len() == 1 && told[0].contains(".schema"), "{way}: {told:?}");
            assert_eq!(kept(&f).await, []);
        }
    }
    let f = Fixture::sqlite().await;
    let file = rusqlite::Connection::open(f.place.file()).expect("the file must open");
    file.execute_batch("DROP TABLE runs").expect("a table must be dropped");
    let told = settle_with_run(&f).await;
    assert!(told.len() == 1 && told[0].contains("no such table"), "{told:?}");
}

/// Redis: where the user may not touch the runs, the store names the key, and all else goes on without.
#[tokio::test]
async fn a_refused_key_stops_no_job() {
    let server = RedisServer::start(Options::default());
    let f = Fixture::at(Place::redis_on(&server)).await;
    let Place::Redis { url, namespace } = &f.place else { unreachable!("it is Redis") };
    let keys = ["[^w]*", "worker:*", "workers", "workers:*", "workerslock:*", "windlass:[^r]*"]
        .map(|key| format!("~{namespace}:{key}"));
    let mut rule = vec!["ACL", "SETUSER", "poor", "on", ">p", "+@all"];
    rule.extend(keys.iter().map(String::as_str));
    server.command(&rule);
    let place =
        Place::Redis { url: url.replace("redis+unix://", "redis+unix://poor:p@"), namespace: namespace.clone() };
    let store = place.open(&f.clock).await;
    let mut instance = Instance::join(&store, "a", 3).await;
    let claims = claims(&f, &mut instance, 3).await;
    let ends = keeps(&claims[0], Verdict::Done, run(RunOutcome::Done, 1));
    let reply = instance.settlements(vec![ends.clone(), claims[1].ends(Verdict::Done)]).await;
    let part = Part::Settlement { index: 0, extras: vec![Extra::Run] };
    assert!(reply.undone == [0] && reply.refused.len() == 1 && reply.refused[0].part == part, "{reply:?}");
    let said = reply.refused[0].error.to_string();
    assert!(said.contains(&format!("type ACL SETUSER poor ~{namespace}:windlass:runs:clean")), "{said}");
    assert_eq!(instance.settle(vec![Settlement { run: None, ..ends }]).await, [0_usize; 0]);
    assert_eq!(counters(&f.store).await, (2, 0));

    let state = instance.state().await.expect("it has joined");
    let record = instance.working().await.remove(0);
    let recovery = Recovery {
        instance: Some((state.record.id, state.counter)),
        queue: queue("q"),
        payload: job(2),
        verdict: claims[2].requeued(),
        record: record.clone(),
        free: Vec::new(),
        tick: None,
        run: Some(run(RunOutcome::CutOff, 2)),
    };
    assert_eq!(store.recover(&recovery).await.expect("recover"), Recovered::Yes);
    assert_eq!(queued(&f.store, "q").await, [job(2)]);
    let claim = instance.claim_one("q").await;
    let clean = ForceClean {
        worker: claim.worker.clone(),
        working: instance.working().await.pop(),
        record: Some(claim.failure()),
        free: Vec::new(),
        run: Some(run(RunOutcome::Failed, 3)),
    };
    assert!(store.run(clean).await.expect("force_clean"));
    assert_eq!(failed(&f.store).await.len(), 1);
    let told = drop_with_run(&f, &store).await;
    assert!(told.len() == 1 && told[0].contains("windlass:runs:clean"), "{told:?}");
    assert_eq!(kept(&f).await, []);
}

/// SQLite: on a full disk a job ends without the record of its run.
#[tokio::test]
async fn a_full_disk_keeps_the_end_of_a_job_and_leaves_out_its_run() {
    let f = Fixture::sqlite().await;
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let claim = claims(&f, &mut instance, 1).await.remove(0);
    // No page is left, not even an empty one.
    let file = rusqlite::Connection::open(f.place.file()).expect("the file must open");
    let pages = |name: &str| -> u32 { file.pragma_query_value(None, name, |row| row.get(0)).expect("a number") };
    file.execute_batch("CREATE TABLE ballast (x)").expect("a table must be made");
    while pages("freelist_count") > 0 {
        file.execute("INSERT INTO ballast VALUES (zeroblob(4000))", []).expect("there is a page");
    }
    let options = windlass::store::sqlite::Options { max_page_count: Some(pages("page_count")), ..Default::default() };
    let clock = std::sync::Arc::clone(&f.clock) as _;
    let narrow = windlass::store::sqlite::SqliteStore::open_with(&f.place.file(), clock, options);
    instance.store = windlass::store::Store::from(narrow.expect("sqlite must open"));
    instance.reopen().await;
    let output = (0..6).map(|_| "y".repeat(500)).collect();
    let large =
        Box::new(KeepRun { run: FinishedRun { output, ..run(RunOutcome::Done, 1).run }, ..*run(RunOutcome::Done, 1) });
    assert_eq!(instance.settle(vec![keeps(&claim, Verdict::Done, large)]).await, [0_usize; 0]);
    assert_eq!((counters(&f.store).await, kept(&f).await.len()), ((1, 0), 0));
}
