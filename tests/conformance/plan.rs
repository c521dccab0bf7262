//! The plan is compared with what then runs, tick by tick, over hours of a fake clock.

use std::sync::Arc;

use windlass::admin::plan::plan;
use windlass::clock::Clock;
use windlass::config::element::crash_policy::OnCrash;
use windlass::job::{Outcome, PayloadView};
use windlass::plugin::chain::Chain;
use windlass::plugin::ending::{CrashPolicy, Run, ending};
use windlass::scheduler::failures::Bulkheads;
use windlass::scheduler::periodic::{self, CheckedTasks};
use windlass::scheduler::{SchedulerConfig, SchedulerContext, cron};
use windlass::store::queueing::{Entered, Settlement, When};
use windlass::task::Registry;
use windlass::task::load::load;

use crate::fixture::Fixture;
use crate::instance::Instance;
use crate::look::{delay, job, promote_all};
use crate::support::verbs::Verbs as _;

behaviours! {
    what_is_planned_is_what_runs,
}

const TASKS: &str = r#"
[[task]]
name = "often"
queue = "q"
frequency = "7m"
run = { builtin = "noop" }

[[task]]
name = "nightly"
queue = "q"
schedule = "30 2 * * *"
time_zone = "Europe/Berlin"
run = { builtin = "noop" }

[[task]]
name = "quarterly"
queue = "q"
schedule = "*/15 * * * *"
time_zone = "Europe/Berlin"
jitter = "90s"
overlap = "allow"
run = { builtin = "noop" }

[[task]]
name = "report"
queue = "q"
run = { builtin = "noop" }
[[task.schedule]]
cron = "0 */2 * * *"
time_zone = "America/New_York"
args = { to = "ann" }
[[task.schedule]]
cron = "15 1 * * SUN"
time_zone = "Europe/Berlin"
args = [1, "two"]
"#;

/// 2026-10-24 20:00:07 UTC: the clocks of Berlin are set back five hours later, those of New York the week after.
const START_S: i64 = 1_792_872_007;
const HOURS: i64 = 40;

fn tasks() -> Registry {
    let dir = tempfile::tempdir().expect("a temporary folder must be had");
    std::fs::write(dir.path().join("tasks.toml"), TASKS).expect("a new folder must be writable");
    let tasks = load(dir.path(), &["noop"]);
    assert!(tasks.problems.is_empty(), "{:?}", tasks.problems);
    tasks.registry
}

/// Runs every job of the queue without letting time pass; returns the jobs.
async fn work(f: &Fixture, instance: &mut Instance, registry: &Registry) -> Vec<(i64, String, String)> {
    let now_ms = f.clock.now_ms();
    let mut ran = Vec::new();
    loop {
        let claims = instance.claim(&["q"], &[1, 2, 3, 4]).await;
        if claims.is_empty() {
            return ran;
        }
        for one in claims {
            let claim = &one.claim;
            let view = PayloadView::parse(&claim.payload).expect("a job");
            let task = registry.get(&view.class);
            let args = windlass::job::Args::of(&view).expect("arguments");
            if let Some(task) = task.filter(|task| Chain::of(task).has_gates()) {
                let gates = Chain::of(task).gates(&claim.queue, &args, &claim.identity, now_ms);
                assert_eq!(instance.enter(&one, &gates).await, Entered::Taken, "{}", view.class);
            }
            ran.push((now_ms / 1000, view.class.to_string(), args.as_str().to_owned()));
            let run = Run {
                worker: &one.worker,
                queue: &claim.queue,
                payload: &claim.payload,
                identity: &claim.identity,
                ms: None,
            };
            let policy = CrashPolicy { on_crash: OnCrash::Requeue, max_redeliveries: 25 };
            let ended = ending(task.map(|task| &**task), policy, run, Outcome::Success { result: None }, now_ms);
            let settlement = Settlement { free: ended.free, tick: ended.tick, ..one.ends(ended.verdict) };
            assert_eq!(instance.settle(vec![settlement]).await, [0_usize; 0]);
        }
    }
}

async fn what_is_planned_is_what_runs(f: &Fixture) {
    f.clock.set(START_S * 1000);
    let registry = Arc::new(tasks());
    let until_s = START_S + HOURS * 3600;
    delay(&f.store, &job(1), When::At(START_S + 5000)).await;
    let planned = plan(&f.store.narrow(), &registry, START_S * 1000, until_s * 1000, 10_000).await.expect("plan");
    assert!(!planned.more);
    let mut expected: Vec<_> = planned
        .plan
        .iter()
        .map(|one| {
            let args = one.args.as_ref().expect("arguments").get();
            (one.second, one.task.clone(), args.to_owned())
        })
        .collect();

    let mut instance = Instance::join(&f.store, "a", 4).await;
    let policy = CrashPolicy { on_crash: OnCrash::Requeue, max_redeliveries: 25 };
    let config = SchedulerConfig::new(Arc::clone(&registry), policy).without_reload();
    let host = instance.record.host.clone();
    let mut context = SchedulerContext::new(f.store.narrow(), config, "host-windlass:7".to_owned(), host);
    context.clock = Arc::clone(&f.clock) as Arc<dyn Clock>;
    let mut ran = Vec::new();
    let (mut bulkheads, mut checked) = (Bulkheads::default(), CheckedTasks::default());
    loop {
        let now_s = f.clock.now_ms() / 1000;
        periodic::reconcile(&context, &mut bulkheads, &mut checked).await.expect("reconcile");
        let next_fired = cron::run_once(&context, &mut bulkheads, true).await.expect("look");
        let next_fired = next_fired.map(|next| now_s + i64::try_from(next.wait.as_secs()).expect("a time"));
        promote_all(&f.store, "q", 100).await;
        ran.extend(work(f, &mut instance, &registry).await);
        let next_due = f.store.due(1, &[]).await.expect("due").second;
        let next_s = next_due.into_iter().chain(next_fired).min().expect("something is always due");
        assert!(next_s > now_s, "{next_s} at {now_s}");
        if next_s > until_s {
            break;
        }
        f.clock.set(next_s * 1000);
    }
    expected.sort();
    ran.sort();
    let odd = ran.iter().filter(|one| !expected.contains(one)).chain(expected.iter().filter(|one| !ran.contains(one)));
    assert_eq!(odd.collect::<Vec<_>>(), Vec::<&(i64, String, String)>::new());
    assert_eq!(ran, expected);
    let count = |task: &str| ran.iter().filter(|(_, class, _)| class == task).count();
    // Forty hours hold two nights, and in one of them two o'clock comes twice.
    assert_eq!((count("often"), count("nightly"), count("report"), count("add")), (343, 2, 21, 1));
    assert!((159..=161).contains(&count("quarterly")), "{}", count("quarterly"));
}
