//! The plan is compared with what then runs, tick by tick, over hours of a fake clock.

use std::sync::Arc;

use windlass::admin::TaskApi;
use windlass::admin::periodic::StartOutcome;
use windlass::admin::plan::{PlanEntry, PlanReason, plan};
use windlass::clock::{Clock, ManualClock};
use windlass::config::element::crash_policy::OnCrash;
use windlass::job::{Failure, Outcome, PayloadView};
use windlass::plugin::chain::Chain;
use windlass::plugin::ending::{CrashPolicy, Run, ending};
use windlass::scheduler::failures::Bulkheads;
use windlass::scheduler::periodic::{self, CheckedTasks};
use windlass::scheduler::set_back::PATIENCE;
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
    after_the_clock_was_set_back_by_a_second,
    after_the_clock_was_set_back_by_hours,
    after_the_clock_was_set_back_by_a_month,
    after_the_clock_was_set_ahead_by_hours,
    after_the_clock_was_set_ahead_by_a_month,
    a_task_starts_by_the_clock_of_the_store,
    while_a_run_waits_for_its_next_attempt_that_is_planned_and_what_follows_it,
    with_overlap_the_ticks_go_on_beside_a_run_that_waits_for_its_next_attempt,
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

/// Tasks whose first runs fail, and are retried long after their next ticks.
const FAILING: &str = r#"
[[task]]
name = "often"
queue = "q"
frequency = "7m"
plugins = ["Retry"]
plugin_options = { Retry = { retry_limit = 5, retry_delay = "2h 3m" } }
run = { builtin = "noop" }

[[task]]
name = "hourly"
queue = "q"
schedule = "0 * * * *"
jitter = "90s"
plugins = ["Retry"]
plugin_options = { Retry = { retry_limit = 5, retry_delay = "3h 7m" } }
run = { builtin = "noop" }
"#;

fn tasks() -> Registry {
    read(TASKS)
}

fn read(tasks: &str) -> Registry {
    let dir = tempfile::tempdir().expect("a temporary folder must be had");
    std::fs::write(dir.path().join("tasks.toml"), tasks).expect("a new folder must be writable");
    let tasks = load(dir.path(), &["noop"]);
    assert!(tasks.problems.is_empty(), "{:?}", tasks.problems);
    tasks.registry
}

/// Runs every job of the queue without letting time pass; returns the jobs.
/// Adds to `late` how many seconds late each tick was. With `fails` every first attempt does.
async fn work(f: &Fixture, instance: &mut Instance, registry: &Registry, fails: bool, late: &mut Vec<i64>) -> Vec<Ran> {
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
            if let Some(task) = task.filter(|task| Chain::of(task).may_have_gates()) {
                let gates = Chain::of(task).gates(&claim.queue, &args, &claim.identity);
                let (entered, due_s) = instance.enter_tick(&one, &gates).await;
                assert_eq!(entered, Entered::Taken, "{}", view.class);
                // With `overlap` the entry is that of the next tick, and a second attempt is told nothing.
                if claim.identity.attempt == 1 || !task.overlap {
                    let due_s = due_s.unwrap_or_else(|| panic!("{} must know for when it was due", view.class));
                    late.push(now_ms / 1000 - due_s - Chain::of(task).spread(due_s));
                }
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
            let outcome = match fails && claim.identity.attempt == 1 {
                true => Outcome::Failure(Failure::new("Error", "no luck")),
                false => Outcome::Success { result: None },
            };
            let ended = ending(task.map(|task| &**task), policy, run, outcome, now_ms);
            let settlement = Settlement { free: ended.free, tick: ended.tick, ..one.ends(ended.verdict) };
            assert_eq!(instance.settle(vec![settlement]).await, [0_usize; 0]);
        }
    }
}

/// A job that ran: when, its task and its arguments.
type Ran = (i64, String, String);

/// A scheduler and a worker that have looked at the tasks.
struct World<'a> {
    f: &'a Fixture,
    registry: Arc<Registry>,
    instance: Instance,
    context: SchedulerContext,
    bulkheads: Bulkheads,
    checked: CheckedTasks,
    /// How many seconds late each tick was.
    late: Vec<i64>,
    /// Does every first attempt fail?
    fails: bool,
}

impl<'a> World<'a> {
    async fn new(f: &'a Fixture) -> Self {
        Self::of(f, tasks()).await
    }

    async fn of(f: &'a Fixture, tasks: Registry) -> Self {
        f.clock.set(START_S * 1000);
        let registry = Arc::new(tasks);
        let instance = Instance::join(&f.store, "a", 4).await;
        let policy = CrashPolicy { on_crash: OnCrash::Requeue, max_redeliveries: 25 };
        let config = SchedulerConfig::new(Arc::clone(&registry), policy).without_reload();
        let host = instance.record.host.clone();
        let mut context = SchedulerContext::new(f.store.narrow(), config, "host-windlass:7".to_owned(), host);
        context.clock = Arc::clone(&f.clock) as Arc<dyn Clock>;
        let (bulkheads, checked) = (Bulkheads::default(), CheckedTasks::default());
        Self { f, registry, instance, context, bulkheads, checked, late: Vec::new(), fails: false }
    }

    /// Does what is due now; returns what ran, and when more is due.
    async fn look(&mut self) -> (Vec<Ran>, i64) {
        let now_s = self.f.second();
        let Self { f, registry, instance, context, bulkheads, checked, late, fails } = self;
        periodic::reconcile(context, bulkheads, checked).await.expect("reconcile");
        let next_fired = cron::run_once(context, bulkheads, true).await.expect("look");
        let next_fired = next_fired.map(|next| now_s + i64::try_from(next.wait.as_secs()).expect("a time"));
        promote_all(&f.store, "q", 100).await;
        let ran = work(f, instance, registry, *fails, late).await;
        let next_due = f.store.due(1, &[]).await.expect("due").second;
        let next_s = next_due.into_iter().chain(next_fired).min().expect("something is always due");
        assert!(next_s > now_s, "{next_s} at {now_s}");
        (ran, next_s)
    }

    /// Compares the plan of the next hours with what then runs; returns the jobs.
    async fn runs_as_planned(&mut self, hours: i64) -> Vec<Ran> {
        let now_s = self.f.second();
        let until_s = now_s + hours * 3600;
        let planned = plan(&self.f.store.narrow(), &self.registry, now_s * 1000, until_s * 1000, 10_000).await;
        let planned = planned.expect("plan");
        assert!(!planned.more);
        let entry =
            |one: &PlanEntry| (one.second, one.task.clone(), one.args.as_ref().expect("arguments").get().to_owned());
        let mut expected: Vec<Ran> = planned.plan.iter().map(entry).collect();
        let mut ran = Vec::new();
        loop {
            let (more, next_s) = self.look().await;
            ran.extend(more);
            if next_s > until_s {
                break;
            }
            self.f.clock.set(next_s * 1000);
        }
        expected.sort();
        ran.sort();
        let odd =
            ran.iter().filter(|one| !expected.contains(one)).chain(expected.iter().filter(|one| !ran.contains(one)));
        assert_eq!(odd.collect::<Vec<_>>(), Vec::<&Ran>::new());
        assert_eq!(ran, expected);
        ran
    }
}

async fn what_is_planned_is_what_runs(f: &Fixture) {
    let mut world = World::new(f).await;
    delay(&f.store, &job(1), When::At(START_S + 5000)).await;
    let ran = world.runs_as_planned(HOURS).await;
    let count = |task: &str| ran.iter().filter(|(_, class, _)| class == task).count();
    assert!(world.late.len() > 500 && world.late.iter().all(|late_s| *late_s == 0), "{:?}", world.late);
    // Forty hours hold two nights, and in one of them two o'clock comes twice.
    assert_eq!((count("often"), count("nightly"), count("report"), count("add")), (343, 2, 21, 1));
    assert!((159..=161).contains(&count("quarterly")), "{}", count("quarterly"));
}

/// The tasks are looked at before the clock was set, and not afterwards.
async fn set_and_compare(f: &Fixture, back_s: i64) {
    let mut world = World::new(f).await;
    f.pass(back_s.max(0));
    world.look().await;
    if back_s < 0 {
        delay(&f.store, &job(1), When::At(START_S + 5000)).await;
    }
    f.pass(-back_s);
    // A clock that is behind what ran is believed after a while.
    world.look().await;
    world.context.set_back.skip(PATIENCE);
    assert!(world.runs_as_planned(8).await.len() > 90);
}

async fn after_the_clock_was_set_back_by_a_second(f: &Fixture) {
    set_and_compare(f, 1).await;
}

async fn after_the_clock_was_set_back_by_hours(f: &Fixture) {
    set_and_compare(f, 7200).await;
}

async fn after_the_clock_was_set_back_by_a_month(f: &Fixture) {
    set_and_compare(f, 30 * 86_400).await;
}

async fn after_the_clock_was_set_ahead_by_hours(f: &Fixture) {
    set_and_compare(f, -7200).await;
}

async fn after_the_clock_was_set_ahead_by_a_month(f: &Fixture) {
    set_and_compare(f, -30 * 86_400).await;
}

async fn while_a_run_waits_for_its_next_attempt_that_is_planned_and_what_follows_it(f: &Fixture) {
    let mut world = World::of(f, read(FAILING)).await;
    world.fails = true;
    // Until each has failed: the calendars have their first occurrence within an hour.
    for _ in 0..8 {
        let (_, next_s) = world.look().await;
        if next_s - START_S > 3700 {
            break;
        }
        f.clock.set(next_s * 1000);
    }
    world.fails = false;
    let now_ms = f.clock.now_ms();
    let planned = plan(&f.store.narrow(), &world.registry, now_ms, now_ms + 8 * 3_600_000, 1000).await.expect("plan");
    let of = |task: &str| {
        let of_task = planned.plan.iter().filter(|one| one.task == task);
        of_task.map(|one| (one.second - f.second(), one.why)).collect::<Vec<_>>()
    };
    for task in ["often", "hourly"] {
        let planned = of(task);
        assert_eq!(planned[0].1, PlanReason::Retry, "{task}: {planned:?}");
        assert!(planned[0].0 > 600, "the ticks before it are skipped: {planned:?}");
        assert!(planned[1..].iter().all(|(_, why)| *why == PlanReason::Periodic), "{planned:?}");
    }
    let states = windlass::admin::periodic::list(&f.store.narrow(), &world.registry, now_ms, 10).await.expect("list").0;
    for one in &states {
        let told = (one.state, one.failed_attempts, one.last_error.as_deref());
        assert_eq!(told, ("delayed", Some(1), Some("Error: no luck")), "{}", one.task);
    }
    world.runs_as_planned(8).await;
}

/// Its ticks go on beside it, whether they come before it, with it or after it.
async fn with_overlap_the_ticks_go_on_beside_a_run_that_waits_for_its_next_attempt(f: &Fixture) {
    for delay in ["3m", "2h 3m", "2h 20m"] {
        let f = &f.sibling().await;
        let beside = FAILING.replace("queue = \"q\"", "queue = \"q\"\noverlap = \"allow\"");
        let beside = beside.replace("2h 3m", delay).replace("3h 7m", delay);
        let mut world = World::of(f, read(&beside)).await;
        world.fails = true;
        world.look().await;
        world.fails = false;
        let now_ms = f.clock.now_ms();
        let planned =
            plan(&f.store.narrow(), &world.registry, now_ms, now_ms + 8 * 3_600_000, 1000).await.expect("plan");
        let often: Vec<_> = planned.plan.iter().filter(|one| one.task == "often").collect();
        let retries = often.iter().filter(|one| one.why == PlanReason::Retry).count();
        assert_eq!((retries, often.len()), (1, 1 + 8 * 60 / 7), "{delay}");
        world.runs_as_planned(8).await;
        // Now of the task whose ticks come by a calendar.
        world.fails = true;
        let at_s = f.second().div_euclid(3600) * 3600 + 3600 + 90;
        f.clock.set(at_s * 1000);
        world.look().await;
        world.fails = false;
        world.runs_as_planned(8).await;
    }
}

#[tokio::test]
async fn an_entry_whose_score_is_not_its_name_is_planned_when_it_is_due_and_once() {
    let f = Fixture::redis().await;
    let schedule = f.key("delayed_queue_schedule");
    let due_s = f.second() + 50;
    // Its name lies before all others, its score behind them.
    f.redis_command(&["ZADD", &schedule, &due_s.to_string(), "1"]);
    f.redis_command(&[&b"RPUSH"[..], f.key("delayed:1").as_bytes(), &job(1)]);
    // Another is at the end of all seconds and due now.
    f.redis_command(&["ZADD", &schedule, "5", &i64::MAX.to_string()]);
    f.redis_command(&[&b"RPUSH"[..], f.key(&format!("delayed:{}", i64::MAX)).as_bytes(), &job(2)]);
    delay(&f.store, &job(3), When::At(f.second() + 20)).await;
    let planned = plan(&f.store.narrow(), &Registry::default(), f.clock.now_ms(), (due_s + 9) * 1000, 100).await;
    let planned: Vec<_> = planned.expect("plan").plan.iter().map(|entry| entry.second - f.second()).collect();
    assert_eq!(planned, [0, 20, 50]);
    let seconds = windlass::admin::delayed::timestamps(&f.store.narrow(), 2).await.expect("timestamps");
    assert_eq!((seconds.timestamps.len(), seconds.more), (2, true));
    let seconds = windlass::admin::delayed::timestamps(&f.store.narrow(), 3).await.expect("timestamps");
    assert_eq!((seconds.timestamps.len(), seconds.more), (3, false));
    let listed = windlass::admin::delayed::list(&f.store.narrow(), None, 100).await.expect("list");
    assert_eq!((listed.jobs.len(), listed.more), (3, false));
}

/// The clock of the machine where somebody starts it is behind or ahead.
async fn a_task_starts_by_the_clock_of_the_store(f: &Fixture) {
    f.clock.set(START_S * 1000);
    for apart_s in [-7200, 7200] {
        let here = Arc::new(ManualClock::at((START_S + apart_s) * 1000));
        let api = TaskApi::new(&f.store, Arc::new(tasks()), here, "h");
        api.stop_recurrent_task("quarterly").await.expect("stop");
        assert_eq!(api.enqueue_recurrent_task("quarterly").await.expect("start"), StartOutcome::Started);
        let (entries, _) = f.store.periodic(&[]).await.expect("periodic");
        let entry = entries.iter().find(|entry| entry.task.as_str() == "quarterly").expect("entry");
        assert_eq!((entry.stopped, entry.due_s), (false, START_S.div_euclid(900) * 900 + 900), "{apart_s}");
    }
}
