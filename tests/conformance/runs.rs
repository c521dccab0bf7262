//! Finished runs that are kept: written once, in the step that ends a claim, and never in its way.

use windlass::job::{FinishedRun, RunOutcome, TaskName};
use windlass::store::effect::{Busy, Gate, Retry, RetryKeys, Verdict};
use windlass::store::queueing::{Enter, Entered, Exchange, Settlement};
use windlass::store::runs::{KeepRun, KeptRuns, RunList};
use windlass::store::workers::{ForceClean, Recovered, Recovery};

use crate::fixture::{Fixture, NOW_MS};
use crate::instance::{Claimed, Instance};
use crate::look::{counters, failed, fill, job, job_lock, jobs, queue, queued};
use crate::support::verbs::Verbs as _;
use crate::tick::{reconcile, tick};

mod apart;

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
    Box::new(KeepRun { list: list("clean"), most: 3, lasts_s: 3600, run, result: None })
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
