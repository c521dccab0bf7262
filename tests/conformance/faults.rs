//! Each writing arrow through each fault: nothing lost, nothing doubled, and the same answer when it is repeated.
//!
//! [`rows`] is the table. A row arranges a store and gives the arrow; the chapter runs it once undisturbed, and once
//! through each fault on an equal store, and compares what both stores hold. A writing arrow
//! without a row fails [`every_writing_arrow_has_a_row`].
//!
//! Longer than 400 lines because the table has a row for each writing arrow, and the code that reads it belongs beside it.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::Duration;
use windlass::job::{ClaimToken, Identity, LockKey, Progress, RunOutcome};
use windlass::store::arrow::{Arrow, Kind, Perform};
use windlass::store::audit::{KeepAudit, ReadAudit};
use windlass::store::delayed::{DeleteDelayed, MoveDelayed, MoveTo};
use windlass::store::effect::Verdict;
use windlass::store::engine::Engine;
use windlass::store::engine::OpenLane;
use windlass::store::faults::{Fault, Faults};
use windlass::store::inspection::{
    ClearFailed, DeleteEach, DeleteJobs, DeleteLock, DeleteQueue, FailedJob, JobsToDelete, Pause, QueueEnd,
    RemoveFailed, RenameQueue, Resume, RetryFailed,
};
use windlass::store::instance::{Bury, Extend, Join, Leave, LockRenewal, Oversee, Register, Suspect, Unregister};
use windlass::store::meter::Outcome;
use windlass::store::moving::{
    Batch, BatchId, Decline, Identify, LetGo, PutBack, RenewSource, SetAside, TakeIn, Target, Waiting,
};
use windlass::store::operations::{KeepOperation, ReadOperation};
use windlass::store::periodic::{Purpose, Reconcile, Stop, Withdraw};
use windlass::store::queueing::{EnqueueBatch, EnqueueTracked, Exchange, Schedule, ScheduleBatch, Settlement, When};
use windlass::store::rejoin::{HeldJob, Rejoin};
use windlass::store::role::Whole;
use windlass::store::runs::TrackedJob;
use windlass::store::sampling::{AskForSamples, ForgetQueues, Publish, ReadSnapshot, Sample, SampledQueue};
use windlass::store::scheduling::{DropEntry, Fire, Lead, Leadership, Promotion, Resign};
use windlass::store::showing::{LookAtRuns, ShowRuns};
use windlass::store::wishes::{AskRun, ReadWishes, TellProgress, Want, Wish};
use windlass::store::workers::{ForceClean, Recovery, SweepIdentities};
use windlass::store::{Store, StoreError};

use crate::fixture::{Fixture, NOW_S, Place};
use crate::history::{ran, whole_history};
use crate::instance::{Instance, record};
use crate::look::{
    admit, delay, failed, fill, gate, job, job_lock, jobs, lock, promotion, push, queue, queued, seconds, take,
};
use crate::marks::mark;
use crate::runs::{list, run};
use crate::support::resp::Reply;
use crate::support::verbs::Verbs as _;
use crate::tick::{reconcile, tick};

behaviours! {
    cut_before_the_step,
    cut_after_the_step,
    refused,
    full,
    of_another_type,
    slow,
}

async fn cut_before_the_step(f: &Fixture) {
    each(f, Fault::CutBefore, Outcome::Unavailable).await;
}

async fn cut_after_the_step(f: &Fixture) {
    each(f, Fault::CutAfter, Outcome::Unavailable).await;
}

async fn refused(f: &Fixture) {
    each(f, Fault::Refused, Outcome::Unsupported).await;
}

async fn full(f: &Fixture) {
    each(f, Fault::Full, Outcome::Full).await;
}

async fn of_another_type(f: &Fixture) {
    each(f, Fault::WrongType, Outcome::Corrupt).await;
}

async fn slow(f: &Fixture) {
    each(f, Fault::Slow(Duration::from_millis(2)), Outcome::Ok).await;
}

/// Runs every row through a fault.
async fn each(f: &Fixture, fault: Fault, outcome: Outcome) {
    for row in rows() {
        let control = f.sibling().await;
        let undisturbed = (row.arrange)(&control).await;
        let before = everything(&control.store).await;
        let answer = undisturbed(control.store.clone()).await.unwrap_or_else(|error| panic!("{}: {error}", row.arrow));
        let after = everything(&control.store).await;
        let seen = before != after || UNSEEN.contains(&row.arrow);
        assert!(seen, "{}: the row must show what the arrow changes", row.arrow);

        let disturbed = f.sibling().await;
        let pass = (row.arrange)(&disturbed).await;
        assert_eq!(everything(&disturbed.store).await, before, "{}: both must be arranged alike", row.arrow);
        let faults = Arc::new(Faults::default());
        let through = disturbed.store.layered(Arc::clone(&faults) as _);
        faults.next_named(row.arrow, fault);
        let told = pass(through.clone()).await;
        assert!(faults.are_spent(), "{}: the fault must have happened", row.arrow);
        let what = format!("{} x {fault:?}", row.arrow);
        let counted = through.passes().into_iter().any(|passes| (passes.arrow, passes.outcome) == (row.arrow, outcome));
        assert!(counted, "{what}: the pass must be counted as {outcome:?}");
        let happened = matches!(fault, Fault::CutAfter | Fault::Slow(_));
        let stands = everything(&disturbed.store).await;
        assert_eq!(stands, if happened { after.clone() } else { before }, "{what}: whole or not at all");
        match told {
            Ok(told) => assert_eq!(told, answer, "{what}"),
            // A caller that does not know the outcome may repeat only arrows that allow it.
            Err(StoreError::Unavailable(_)) if row.kind == Kind::Once && happened => {}
            Err(_) => {
                let again = pass(through).await.unwrap_or_else(|error| panic!("{what}, repeated: {error}"));
                let expected = match row.again {
                    Again::Answers(other) if happened => other.to_owned(),
                    _ => answer,
                };
                assert_eq!(again, expected, "{what}: the answer to the repetition");
                assert_eq!(everything(&disturbed.store).await, after, "{what}: repeated, as if run once");
            }
        }
    }
}

/// The reply to the repetition of a step that took effect.
#[derive(Clone, Copy)]
enum Again {
    /// The same reply again.
    Same,
    /// This reply, which says that there was nothing left to do.
    Answers(&'static str),
    /// It must not be repeated.
    Never,
}

/// Runs the arrow on a handle of its store, and returns the reply as text.
pub(crate) type Pass = Box<dyn Fn(Store<Whole>) -> BoxFuture<'static, Result<String, StoreError>> + Send + Sync>;

pub(crate) type Arrange = Box<dyn for<'a> Fn(&'a Fixture) -> BoxFuture<'a, Pass> + Send + Sync>;

pub(crate) struct Row {
    pub(crate) arrow: &'static str,
    kind: Kind,
    again: Again,
    pub(crate) arrange: Arrange,
}

/// A row for an arrow that a handle runs.
fn row<A>(again: Again, arrange: for<'a> fn(&'a Fixture) -> BoxFuture<'a, A>) -> Row
where
    A: Arrow,
    A::Reply: Debug,
    Engine: Perform<A>,
{
    told(again, arrange, |reply| format!("{reply:?}"))
}

/// The same, if only a part of the reply is equal on two stores.
fn told<A>(again: Again, arrange: for<'a> fn(&'a Fixture) -> BoxFuture<'a, A>, tell: fn(&A::Reply) -> String) -> Row
where
    A: Arrow,
    Engine: Perform<A>,
{
    let arrange: Arrange = Box::new(move |f| {
        Box::pin(async move {
            let arrow = arrange(f).await;
            let pass: Pass = Box::new(move |store| {
                let arrow = arrow.clone();
                Box::pin(async move { store.run(arrow).await.map(|reply| tell(&reply)) })
            });
            pass
        })
    });
    Row { arrow: A::NAME, kind: A::KIND, again, arrange }
}

/// The row of the exchange, which a lane runs.
fn exchange_row() -> Row {
    let arrange: Arrange = Box::new(|f| {
        Box::pin(async move {
            let mut instance = Instance::join(&f.store, "a", 3).await;
            fill(&f.store, "q", &jobs(0..5)).await;
            let claims = instance.claim(&["q"], &[1, 2]).await;
            let run = Some(run(RunOutcome::Failed, 1));
            let settlements = vec![Settlement { run, ..claims[0].ends(claims[0].failed()) }];
            let enters = vec![claims[1].enters(&[gate(&job_lock(1), 1000)])];
            let exchange = Exchange { settlements, enters, ..instance.next_claim(&["q"], &[1, 3]) };
            let pass: Pass = Box::new(move |store| {
                let exchange = exchange.clone();
                Box::pin(async move {
                    let mut lane = store.lane("a", 0).await?;
                    lane.exchange(&exchange).await.map(|exchanged| format!("{exchanged:?}"))
                })
            });
            pass
        })
    });
    Row { arrow: Exchange::NAME, kind: Exchange::KIND, again: Again::Same, arrange }
}

/// Arrows whose change [`everything`] cannot show (where a lane stands, what is set aside or declined, who a job or store was,
/// who is suspected, what is counted of queues that are gone: the chapters sequence, moving, identity, busy and sampling
/// look at those), or that have nothing to change on SQLite.
const UNSEEN: &[&str] = &[
    OpenLane::NAME,
    Identify::NAME,
    LetGo::NAME,
    RenewSource::NAME,
    Decline::NAME,
    DropEntry::NAME,
    SweepIdentities::NAME,
    Suspect::NAME,
    ForgetQueues::NAME,
];

/// The table.
pub(crate) fn rows() -> Vec<Row> {
    let mut rows = jobs_rows();
    rows.extend(instance_rows());
    rows.extend(sampling_rows());
    rows.extend(time_rows());
    rows.extend(correction_rows());
    rows.extend(moving_rows());
    rows
}

fn jobs_rows() -> Vec<Row> {
    use Again::{Never, Same};
    vec![
        row::<EnqueueBatch>(Never, |_| {
            Box::pin(async {
                let locked = push("q", &job(1), &[take(&lock(1), 60)]);
                EnqueueBatch { jobs: vec![locked.clone(), push("p", &job(2), &[]), locked] }
            })
        }),
        row::<EnqueueTracked>(Never, |_| {
            Box::pin(async {
                let tracked = TrackedJob { queue: "q".to_owned(), class: "add".to_owned(), at_ms: 7 };
                let job = push("q", &job(1), &[take(&lock(1), 60)]);
                EnqueueTracked { job, identity: Identity::tracked("x"), tracked: Some(tracked) }
            })
        }),
        row::<ScheduleBatch>(Never, |_| {
            Box::pin(async {
                let schedule = |n, when| Schedule { payload: job(n), when };
                ScheduleBatch {
                    jobs: vec![schedule(1, When::At(NOW_S + 5)), schedule(2, When::In(1500))],
                    mark: None,
                    known: None,
                }
            })
        }),
        row::<ScheduleBatch>(Never, |_| {
            Box::pin(async {
                let jobs = vec![Schedule { payload: job(1), when: When::In(1500) }];
                let known = Some((queue("q"), Identity::unrun("x")));
                ScheduleBatch { jobs, mark: Some(mark("k")), known }
            })
        }),
        exchange_row(),
        row::<Recovery>(Again::Answers("No"), |f| {
            Box::pin(async move {
                let mut instance = Instance::join(&f.store, "a", 1).await;
                fill(&f.store, "q", &jobs(0..2)).await;
                instance.claim_one("q").await;
                let state = instance.state().await.expect("it has joined");
                let record = instance.working().await.remove(0);
                let identity = record.identity.as_ref().expect("our record tells who the job is").redelivered();
                Recovery {
                    instance: Some((state.record.id, state.counter)),
                    queue: queue("q"),
                    payload: job(0),
                    verdict: Verdict::Requeued { identity },
                    record,
                    free: Vec::new(),
                    tick: None,
                    run: Some(run(RunOutcome::CutOff, 2)),
                }
            })
        }),
        row::<ForceClean>(Again::Answers("false"), |f| {
            Box::pin(async move {
                let mut instance = Instance::join(&f.store, "a", 1).await;
                fill(&f.store, "q", &jobs(0..2)).await;
                let claimed = instance.claim_one("q").await;
                let working = instance.working().await.pop();
                let record = Some(claimed.failure());
                ForceClean {
                    worker: claimed.worker,
                    working,
                    record,
                    free: Vec::new(),
                    run: Some(run(RunOutcome::Failed, 3)),
                }
            })
        }),
        row::<SweepIdentities>(Same, |f| {
            Box::pin(async move {
                let mut instance = Instance::join(&f.store, "a", 1).await;
                fill(&f.store, "q", &jobs(0..1)).await;
                let claimed = instance.claim_one("q").await;
                instance.settle_one(&claimed, claimed.requeued()).await;
                SweepIdentities { cursor: 0 }
            })
        }),
        row::<Pause>(Again::Answers("false"), |_| Box::pin(async { Pause { queue: Some(queue("q")) } })),
        row::<Resume>(Again::Answers("false"), |f| {
            Box::pin(async move {
                f.store.pause(None).await.expect("pause");
                Resume { queue: None }
            })
        }),
        row::<DeleteQueue>(Again::Answers("0"), |f| {
            Box::pin(async move {
                fill(&f.store, "q", &jobs(0..3)).await;
                DeleteQueue { queue: queue("q"), most: u64::MAX }
            })
        }),
        row::<RenameQueue>(Again::Answers("Renamed { known: false, moved: 0, more: false }"), |f| {
            Box::pin(async move {
                fill(&f.store, "q", &jobs(0..3)).await;
                RenameQueue { name: Bytes::from_static(b"q"), to: queue("r"), most: 10 }
            })
        }),
        row::<AskRun>(Same, |f| {
            Box::pin(async move {
                let mut instance = Instance::join(&f.store, "a", 1).await;
                fill(&f.store, "q", &jobs(0..1)).await;
                let claimed = instance.claim_one("q").await;
                let want = Want::Cancel { by: "ada".to_owned() };
                AskRun { worker: claimed.worker, wish: Wish { claim: claimed.claim.token, want } }
            })
        }),
        row::<TellProgress>(Same, |f| {
            Box::pin(async move {
                let mut instance = Instance::join(&f.store, "a", 1).await;
                fill(&f.store, "q", &jobs(0..1)).await;
                let claimed = instance.claim_one("q").await;
                let progress = windlass::job::Progress::new(Some(40.0), "copying");
                TellProgress { worker: claimed.worker, claim: claimed.claim.token, progress }
            })
        }),
        row::<ShowRuns>(Same, |f| {
            Box::pin(async move {
                let mut instance = Instance::join(&f.store, "a", 1).await;
                fill(&f.store, "q", &jobs(0..1)).await;
                let claim = instance.claim_one("q").await.claim.token;
                let (shown, over) = (vec![(claim.clone(), crate::showing::record(0, &["x"]))], vec![claim]);
                ShowRuns { instance: "a".to_owned(), shown, over }
            })
        }),
        row::<Extend>(Same, |f| {
            Box::pin(async move {
                let mut instance = Instance::join(&f.store, "a", 1).await;
                fill(&f.store, "q", &jobs(0..1)).await;
                let claimed = instance.claim_one("q").await;
                instance.enter(&claimed, &[gate(&job_lock(1), 1000)]).await;
                let mut record = instance.record.clone();
                record.periodic.push("clean".to_owned());
                let (workers, done) = (record.workers(), vec![claimed.claim.token.clone()]);
                let locks = vec![LockRenewal { key: job_lock(1), claim: claimed.claim.token.clone(), ttl_s: 90 }];
                let ran = vec![ran(1, &[("add", 2), ("sub", 1)])];
                let pinged = Vec::new();
                let progress = vec![(claimed.claim.token.clone(), Some(Progress::new(Some(4.0), "copying")))];
                Extend {
                    pinged,
                    workers,
                    record,
                    publish: true,
                    census: true,
                    locks,
                    done,
                    progress,
                    ran,
                    long: Vec::new(),
                }
            })
        }),
    ]
}

fn instance_rows() -> Vec<Row> {
    use Again::{Answers, Same};
    vec![
        row::<Join>(Same, |_| Box::pin(async { Join { record: record("a", 1) } })),
        row::<Register>(Same, |f| {
            Box::pin(async move {
                let instance = Instance::join(&f.store, "a", 1).await;
                let workers = vec![instance.worker(2), instance.worker(3)];
                Register { instance: "a".to_owned(), workers }
            })
        }),
        row::<Rejoin>(Same, |_| {
            Box::pin(async {
                let record = record("a", 2);
                let claim = ClaimToken::new("a", 0, 3, 0);
                let held = HeldJob {
                    worker: record.worker(1),
                    identity: Identity::first(&claim).redelivered(),
                    claim: claim.clone(),
                    queue: queue("q"),
                    run_at: "2027".to_owned(),
                    payload: job(1),
                };
                Rejoin {
                    workers: record.workers(),
                    record,
                    lost: "lost".to_owned(),
                    birth: "new".to_owned(),
                    lanes: vec![(0, 3)],
                    jobs: vec![held],
                    locks: vec![LockRenewal { key: job_lock(1), claim, ttl_s: 90 }],
                }
            })
        }),
        row::<Unregister>(Same, |f| {
            Box::pin(async move {
                let instance = Instance::join(&f.store, "a", 3).await;
                Unregister { instance: "a".to_owned(), workers: vec![instance.worker(2)] }
            })
        }),
        row::<Leave>(Same, |f| {
            Box::pin(async move {
                let record = Instance::join(&f.store, "a", 2).await.record;
                Leave { record, ran: vec![ran(1, &[("add", 2)]), ran(2, &[("sub", 1)])] }
            })
        }),
        row::<Bury>(Answers("false"), |f| {
            Box::pin(async move {
                let instance = Instance::join(&f.store, "a", 2).await;
                Bury { dead: instance.state().await.expect("it has joined") }
            })
        }),
        row::<OpenLane>(Same, |f| {
            Box::pin(async move {
                Instance::join(&f.store, "a", 1).await;
                OpenLane { instance: "a".to_owned(), lane: 1 }
            })
        }),
        row::<Suspect>(Same, |f| {
            Box::pin(async move {
                let instance = Instance::join(&f.store, "a", 2).await;
                Suspect { state: instance.state().await.expect("it has joined") }
            })
        }),
        row::<Lead>(Same, |_| Box::pin(async { lead() })),
        row::<Resign>(Same, |f| {
            Box::pin(async move {
                f.store.run(lead()).await.expect("lead");
                Resign { which: lead().which, owner: lead().owner }
            })
        }),
        row::<Oversee>(Same, |f| {
            Box::pin(async move {
                Instance::join(&f.store, "a", 1).await;
                Oversee { owner: "a".to_owned(), ttl_ms: 15_000, alone: None, also: Some(lead()) }
            })
        }),
    ]
}

fn lead() -> Lead {
    Lead { which: Leadership::Scheduler, owner: "a".to_owned(), ttl_ms: 15_000 }
}

fn sampling_rows() -> Vec<Row> {
    use Again::{Answers, Same};
    vec![
        row::<Publish>(Same, |_| {
            Box::pin(async {
                let curves = vec![(queue("q"), Some("1 0 5 0 1 1,5,0".to_owned())), (queue("p"), None)];
                Publish { snapshot: "{}".into(), lasts_ms: 60_000, curves }
            })
        }),
        row::<AskForSamples>(Same, |_| Box::pin(async { AskForSamples })),
        row::<ForgetQueues>(Answers("Forgotten { queues: [], next: None }"), |f| {
            Box::pin(async move {
                fill(&f.store, "q", &jobs(0..2)).await;
                f.store.delete_queue(&queue("q")).await.expect("delete_queue");
                ForgetQueues { from: None }
            })
        }),
    ]
}

fn time_rows() -> Vec<Row> {
    use Again::{Answers, Never};
    vec![
        row::<Promotion>(Answers("Moved(0)"), |f| {
            Box::pin(async move {
                for n in 1..4 {
                    delay(&f.store, &job(n), When::At(NOW_S - 1)).await;
                }
                promotion("q", NOW_S - 1, &[job(1), job(2)])
            })
        }),
        row::<DropEntry>(Answers("false"), |f| {
            Box::pin(async move {
                let second = (NOW_S - 1).to_string();
                if let Place::Redis { .. } = &f.place {
                    f.redis_command(&["ZADD", &f.key("delayed_queue_schedule"), &second, &second]);
                    f.redis_command(&["SET", &f.key(&format!("delayed:{second}")), "no list"]);
                }
                DropEntry { entry: second.into(), record: r#"{"error":"no list"}"#.into() }
            })
        }),
        row::<Fire>(Answers("No"), |_| {
            Box::pin(async {
                let id = "report/daily".to_owned();
                Fire { id, seen_s: None, last_s: NOW_S, job: Some(push("q", &job(1), &[])) }
            })
        }),
        row::<Reconcile>(Answers("Fine"), |_| {
            Box::pin(async {
                Reconcile {
                    tick: tick(30),
                    forms: vec![tick(30).payload],
                    queue_lock: Some((lock(1), 60)),
                    job_lock: None,
                    grace_s: 5,
                    workers: Vec::new(),
                    silent: Vec::new(),
                    attempts: Vec::new(),
                    purpose: Purpose::Look,
                    stale_due_s: None,
                }
            })
        }),
        row::<Withdraw>(Again::Same, |f| {
            Box::pin(async move {
                reconcile(f, 30).await;
                let tick = tick(30);
                Withdraw { task: tick.task, queue: tick.queue, forms: vec![tick.payload], locks: Vec::new() }
            })
        }),
        row::<Stop>(Answers("0"), |f| {
            Box::pin(async move {
                reconcile(f, 30).await;
                let tick = tick(30);
                Stop { task: tick.task, queue: tick.queue, forms: vec![tick.payload], locks: Vec::new() }
            })
        }),
        row::<DeleteDelayed>(Answers("[]"), |f| {
            Box::pin(async move {
                for second in 1..4 {
                    delay(&f.store, &job(1), When::At(NOW_S + second)).await;
                }
                DeleteDelayed { payload: job(1) }
            })
        }),
        row::<MoveDelayed>(Never, |f| {
            Box::pin(async move {
                for n in 0..3 {
                    delay(&f.store, &job(n), When::At(NOW_S + 5)).await;
                }
                MoveDelayed { second: NOW_S + 5, jobs: jobs(0..2), to: MoveTo::Second(NOW_S + 9) }
            })
        }),
    ]
}

fn correction_rows() -> Vec<Row> {
    use Again::{Answers, Never};
    vec![
        row::<DeleteJobs>(Never, |f| {
            Box::pin(async move {
                fill(&f.store, "q", &[job(1), job(2), job(1), job(1)]).await;
                DeleteJobs { queue: queue("q"), payload: job(1), count: 2, locks: Vec::new() }
            })
        }),
        row::<DeleteEach>(Never, |f| {
            Box::pin(async move {
                fill(&f.store, "q", &[job(1), job(2), job(1), job(3)]).await;
                let to_delete = |n, count| JobsToDelete { payload: job(n), count, locks: Vec::new() };
                DeleteEach {
                    queue: queue("q"),
                    to_delete: vec![to_delete(1, Some(1)), to_delete(3, None)],
                    from: QueueEnd::Head,
                }
            })
        }),
        row::<RemoveFailed>(Never, |f| {
            Box::pin(async move {
                two_failed(f).await;
                RemoveFailed { records: failed(&f.store).await.iter().map(Into::into).collect() }
            })
        }),
        row::<RetryFailed>(Never, |f| {
            Box::pin(async move {
                two_failed(f).await;
                let job = |(n, record): (usize, &Bytes)| FailedJob {
                    failed: record.into(),
                    queue: queue("q"),
                    payload: job(n),
                    identity: None,
                    mended: None,
                    admissions: vec![take(&lock(n), 60)],
                };
                RetryFailed { jobs: failed(&f.store).await.iter().enumerate().map(job).collect() }
            })
        }),
        row::<KeepAudit>(Never, |_| Box::pin(async { KeepAudit { entry: Bytes::from_static(b"{}") } })),
        row::<KeepOperation>(Again::Same, |_| {
            Box::pin(async { KeepOperation { id: "7".to_owned(), record: Bytes::from_static(b"{}") } })
        }),
        row::<ClearFailed>(Answers("0"), |f| {
            Box::pin(async move {
                two_failed(f).await;
                ClearFailed
            })
        }),
        row::<DeleteLock>(Answers("false"), |f| {
            Box::pin(async move {
                admit(&f.store, "q", &job(1), &[take(&lock(1), 60)]).await;
                let (LockKey::Namespaced(key) | LockKey::Verbatim(key)) = lock(1);
                DeleteLock { key, verbatim: false }
            })
        }),
    ]
}

/// Jobs 0 and 1 on the failed list.
async fn two_failed(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    fill(&f.store, "q", &jobs(0..2)).await;
    let claims = instance.claim(&["q"], &[1, 2]).await;
    instance.settle(claims.iter().map(|one| one.ends(one.failed())).collect()).await;
}

fn moving_rows() -> Vec<Row> {
    use Again::{Answers, Same};
    vec![
        // The source's name is random, and another on each store.
        told::<SetAside>(
            Same,
            |f| {
                Box::pin(async move {
                    fill(&f.store, "q", &jobs(0..3)).await;
                    let target = Target { id: "0f".to_owned(), address: "sqlite:there.db".to_owned() };
                    SetAside { limit: 2, target }
                })
            },
            |batch| format!("{:?}", batch.as_ref().map(|batch| (batch.id.number, &batch.target, &batch.items))),
        ),
        row::<TakeIn>(Answers("Before"), |_| {
            Box::pin(async {
                let queued = |n| Waiting::Queued { queue: queue("q"), payload: job(n), identity: None };
                let items = vec![queued(1), queued(2)];
                let targets = vec![windlass::store::moving::TakeInTarget::default(); 2];
                TakeIn { batch: Batch { id: batch_id(), target: None, items }, targets }
            })
        }),
        row::<LetGo>(Same, |f| {
            Box::pin(async move {
                fill(&f.store, "q", &jobs(0..3)).await;
                let batch = f.store.set_aside(2).await.expect("set_aside").expect("something waits");
                LetGo { id: batch.id }
            })
        }),
        row::<PutBack>(Answers("false"), |f| {
            Box::pin(async move {
                fill(&f.store, "q", &jobs(0..3)).await;
                let batch = f.store.set_aside(2).await.expect("set_aside").expect("something waits");
                PutBack { batch, targets: Vec::new() }
            })
        }),
        row::<RenewSource>(Same, |f| {
            Box::pin(async move {
                fill(&f.store, "q", &jobs(0..3)).await;
                let batch = f.store.set_aside(2).await.expect("set_aside").expect("something waits");
                RenewSource { id: batch.id, fresh: "0f".to_owned() }
            })
        }),
        row::<Decline>(Same, |_| Box::pin(async { Decline { id: batch_id() } })),
        row::<Identify>(Same, |_| Box::pin(async { Identify { fresh: "0f".to_owned(), mark: Some("f0".to_owned()) } })),
    ]
}

fn batch_id() -> BatchId {
    BatchId { source: "00ff".to_owned(), number: 1, token: Some("77".to_owned()) }
}

/// All that a store holds, as text, except the lease counters and the remaining time of locks.
pub(crate) async fn everything(store: &Store<Whole>) -> String {
    let mut lines = Vec::new();
    let names = store.queue_names().await.expect("queue_names");
    for name in &names {
        lines.push(format!("queue {name}: {:?}", queued(store, name.as_str()).await));
    }
    let queues = names.into_iter().map(|queue| SampledQueue { queue, head: false }).collect();
    let sampled = store.run(Sample { queues, totals: false, quiet: None }).await.expect("sample");
    let counted: Vec<_> = sampled.queues.iter().flatten().map(|state| (state.length, state.departed)).collect();
    lines.push(format!("counted: {counted:?}, watched: {}", sampled.watched));
    lines.push(format!("snapshot: {:?}", store.run(ReadSnapshot).await.expect("read_snapshot").bytes));
    for (second, _) in seconds(store).await {
        lines.push(format!("due {second}: {:?}", store.delayed_at(second, 0, -1).await.ok()));
    }
    lines.push(format!("failed: {:?}", failed(store).await));
    lines.push(format!("paused: {:?}", store.paused().await.expect("paused")));
    lines.push(format!("stats: {:?}", store.stats().await.expect("stats")));
    let mut registered = store.registered().await.expect("registered");
    registered.sort_by(|one, other| one.worker.name().cmp(other.worker.name()));
    lines.push(format!("workers: {registered:?}"));
    let mut instances = store.instances().await.expect("instances");
    instances.sort_by(|one, other| one.record.id.cmp(&other.record.id));
    lines.extend(instances.iter().map(|state| format!("instance: {:?}", state.record)));
    let mut locks = store.locks().await.expect("locks").locks;
    locks.sort_by(|one, other| one.key.cmp(&other.key));
    lines.extend(locks.iter().map(|lock| format!("lock {}: {}", lock.key, lock.value)));
    lines.push(format!("history: {:?}", whole_history(store).await));
    lines.push(format!("periodic: {:?}", store.periodic(&[]).await.expect("periodic").0));
    lines.push(format!("fired: {:?}", store.last_fired(&["report/daily".to_owned()]).await.expect("last_fired")));
    for state in &instances {
        let wishes = store.run(ReadWishes { instance: state.record.id.clone() }).await.expect("wishes");
        lines.push(format!("wishes: {wishes:?}"));
    }
    let claims =
        (1..3).flat_map(|sequence| (0..3).map(move |index| ClaimToken::new("a", 0, sequence, index))).collect();
    lines.push(format!("shown: {:?}", store.run(LookAtRuns { claims, shown: true }).await.expect("look_at_runs")));
    lines.push(format!("runs: {:?}", store.read_runs(&[list("clean")], 9).await.expect("read_runs")));
    lines.push(format!("audit: {:?}", store.run(ReadAudit { skip: 0, limit: 9 }).await.expect("read_audit")));
    let operation = store.run(ReadOperation { id: "7".to_owned() }).await.expect("read_operation");
    lines.push(format!("operation: {operation:?}"));
    for which in [Leadership::Scheduler, Leadership::Duties] {
        lines.push(format!("{which:?}: {:?}", store.leader(which).await.expect("leader")));
    }
    lines.join("\n")
}

/// On Redis: if any key that an arrow uses holds another type, the arrow changes nothing and names the key, or does
/// without that key.
#[tokio::test]
async fn a_key_of_another_type_tears_no_arrow() {
    let (mut torn, mut unnamed) = (Vec::new(), Vec::new());
    for row in rows() {
        let control = Fixture::redis().await;
        let pass = (row.arrange)(&control).await;
        let mut keys = raw(&control);
        // Keys that the arrow would make count as well.
        pass(control.store.clone()).await.expect("undisturbed");
        keys.extend(raw(&control));
        for key in keys.into_keys() {
            let f = Fixture::redis().await;
            let pass = (row.arrange)(&f).await;
            let name = f.key(&key);
            let was_list = f.redis_command(&["TYPE", &name]).texts() == ["list"];
            f.redis_command(&["DEL", &name]);
            f.redis_command(&[if was_list { "SET" } else { "RPUSH" }, &name, "another type"]);
            let before = raw(&f);
            let error = match pass(f.store.clone()).await {
                Ok(told) if is_raw(&told) => {
                    unnamed.push(format!("{} with {key} of another type: {told}", row.arrow));
                    continue;
                }
                Ok(_) => continue,
                Err(error) => error,
            };
            if !matches!(&error, StoreError::Corrupt { place, .. } if *place == name) {
                unnamed.push(format!("{} with {key} of another type: {error}", row.arrow));
            }
            let after = raw(&f);
            if before != after {
                let changed = before.keys().chain(after.keys()).filter(|key| before.get(*key) != after.get(*key));
                let changed: BTreeSet<_> = changed.collect();
                torn.push(format!("{} with {key} of another type changed {changed:?}: {error}", row.arrow));
            }
        }
    }
    assert!(torn.is_empty(), "these arrows were torn:\n{}", torn.join("\n"));
    assert!(unnamed.is_empty(), "these arrows did not name the key:\n{}", unnamed.join("\n"));
}

/// Are these the server's words about a key of another type, without what to type?
fn is_raw(told: &str) -> bool {
    told.contains("user_script") || told.contains("WRONGTYPE") && !told.contains("RENAMENX")
}

/// Anyone who looks is told of a key of another type by its name and with what to type.
#[tokio::test]
async fn a_look_at_a_key_of_another_type_names_it() {
    let (mut known, mut unnamed, mut named) = (BTreeSet::new(), Vec::new(), BTreeSet::new());
    for row in rows() {
        let f = Fixture::redis().await;
        let pass = (row.arrange)(&f).await;
        pass(f.store.clone()).await.expect("undisturbed");
        for (key, value) in raw(&f) {
            if !known.insert(key.clone()) {
                continue;
            }
            let (name, Reply::Text(value)) = (f.key(&key), value) else { continue };
            let was_list = f.redis_command(&["TYPE", &name]).texts() == ["list"];
            f.redis_command(&["DEL", &name]);
            f.redis_command(&[if was_list { "SET" } else { "RPUSH" }, &name, "another type"]);
            for (look, error) in looks(&f.store).await {
                if matches!(&error, StoreError::Corrupt { place, .. } if *place == name) && !is_raw(&error.to_string())
                {
                    named.insert(look);
                } else {
                    unnamed.push(format!("{look} with {key} of another type: {error}"));
                }
            }
            f.redis_command(&["DEL", &name]);
            f.redis_command(&[b"RESTORE", name.as_bytes(), b"0", &value[..]]);
        }
    }
    assert!(unnamed.is_empty(), "these looks did not name the key:\n{}", unnamed.join("\n"));
    assert!(named.len() > 10, "most looks were at such a key: {named:?}");
}

/// What looks of all kinds fail with.
async fn looks(store: &Store<Whole>) -> Vec<(&'static str, StoreError)> {
    let mut failed = Vec::new();
    macro_rules! look {
        ($($verb:ident($($argument:expr),*);)+) => {
            $(if let Err(error) = store.$verb($($argument),*).await {
                failed.push((stringify!($verb), error));
            })+
        };
    }
    look! {
        queue_names();
        queues();
        queued(&queue("q"), 0, -1);
        paused();
        stats();
        registered();
        instances();
        locks();
        periodic(&[job_lock(1)]);
        last_fired(&["report/daily".to_owned()]);
        leader(Leadership::Scheduler);
        leader(Leadership::Duties);
        read_runs(&[list("clean")], 9);
        failed_count();
        failed(0, -1);
        due(10, &[]);
        delayed_seconds(windlass::store::delayed::DelayedCursor::first(), 100);
        delayed_at(NOW_S, 0, -1);
        scheduled_at(&job(1));
        ping_of("h-windlass:1+1");
        working(&record("a", 1).workers());
    }
    failed
}

/// An instance leaves only once, so a broken key must not keep its other entries.
#[tokio::test]
async fn an_instance_leaves_beside_a_key_of_another_type() {
    for key in ["workers", "windlass:instances", "windlass:leases", "windlass:names"] {
        let f = Fixture::redis().await;
        let instance = Instance::join(&f.store, "a", 2).await;
        let name = f.key(key);
        f.redis_command(&["DEL", &name]);
        f.redis_command(&["RPUSH", &name, "another type"]);
        f.store.run(Leave { record: instance.record.clone(), ran: Vec::new() }).await.expect(key);
        let left: Vec<_> = raw(&f).into_keys().filter(|left| left != key && left != "windlass:birth").collect();
        assert_eq!(left, [""; 0], "what stays beside {key} of another type");
    }
}

/// Every key of a fixture on Redis, without its namespace, with all that it holds.
fn raw(f: &Fixture) -> std::collections::BTreeMap<String, Reply> {
    let names = f.redis_command(&["KEYS", &f.key("*")]).texts();
    let held = |name: String| {
        let value = f.redis_command(&["DUMP", &name]);
        (name[f.key("").len()..].to_owned(), value)
    };
    names.into_iter().map(held).collect()
}

/// Reads the sources, so that an arrow that somebody adds is asked for here.
#[test]
fn every_writing_arrow_has_a_row() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let mut writing = BTreeSet::new();
    for file in std::fs::read_dir(folder).expect("the sources must be there") {
        let path = file.expect("the sources must be there").path();
        let Some("rs") = path.extension().and_then(|extension| extension.to_str()) else { continue };
        let text = std::fs::read_to_string(&path).expect("sources are text");
        assert!(!text.contains("impl Arrow for "), "declare the arrow by arrow!(...) in {}", path.display());
        for arrow in text.split("\narrow!(").skip(1) {
            let line = arrow.split(";\n").next().unwrap_or_default();
            let name = line.split('"').nth(1);
            let name = name.unwrap_or_else(|| panic!("an arrow without a name in {}", path.display()));
            if !line.contains("Reads ->") {
                assert!(writing.insert(name.to_owned()), "two arrows are called {name}");
            }
        }
    }
    assert!(writing.len() > 30, "the sources hold more writing arrows than {writing:?}");
    let rows: BTreeSet<String> = rows().iter().map(|row| row.arrow.to_owned()).collect();
    let missing: Vec<_> = writing.difference(&rows).collect();
    assert!(missing.is_empty(), "give these arrows a row in tests/conformance/faults.rs: {missing:?}");
}

/// Only arrows that may be repeated have a reply to a repetition.
#[test]
fn rows_agree_with_their_arrows() {
    for row in rows() {
        let never = matches!(row.again, Again::Never);
        assert_eq!(never, row.kind == Kind::Once, "{}", row.arrow);
        assert_ne!(row.kind, Kind::Reads, "{} changes nothing", row.arrow);
    }
}
