//! What ran by a calendar does not run again because a clock shows an earlier time for a while.

use tokio::time::Duration;
use windlass::admin::periodic as tasks;
use windlass::job::PayloadView;
use windlass::plugin::chain::Chain;
use windlass::scheduler::cron;
use windlass::scheduler::failures::Bulkheads;
use windlass::scheduler::periodic::{self, CheckedTasks};
use windlass::scheduler::set_back::PATIENCE;
use windlass::store::Store;
use windlass::store::effect::{Gate, Tick, Verdict};
use windlass::store::queueing::Entered;
use windlass::store::role::Admin;

use crate::clocks::{TASKS, THIRTY_DAYS_S, TWO_HOURS_S};
use crate::fixture::Fixture;
use crate::instance::Instance;
use crate::look::{promote_all, queued};
use crate::scheduler::Scheduler;

behaviours! {
    what_ran_does_not_come_again_when_the_clock_is_behind_for_a_moment,
    what_ran_does_not_come_again_when_an_instance_starts_with_a_clock_that_is_behind,
    what_ran_does_not_come_again_when_it_is_stopped_and_started_while_the_clock_is_behind,
    what_halted_does_not_come_again_when_an_instance_starts_with_a_clock_that_is_behind,
    a_clock_that_stays_behind_is_believed_after_a_while,
    after_a_month_ahead_a_task_of_the_calendar_goes_on,
    of_two_who_go_on_by_a_clock_that_is_behind_one_is_faster,
}

const DAILY: &str = r#"
[[task]]
name = "daily"
queue = "q"
schedule = "5 8 * * *"
run = { builtin = "noop" }

[[task]]
name = "report"
queue = "q"
run = { builtin = "noop" }
[[task.schedule]]
cron = "5 8 * * *"
args = [1]
[[task.schedule]]
cron = "* * * * * *"
args = [2]
"#;

/// Ends each job that waits as a worker does, with its next tick; returns the bytes of those that ran.
async fn work(f: &Fixture, scheduler: &Scheduler, instance: &mut Instance) -> Vec<String> {
    promote_all(&f.store, "q", 1000).await;
    let mut ran = Vec::new();
    while let Some(claim) = instance.claim(&["q"], &[1]).await.pop() {
        let view = PayloadView::parse(&claim.claim.payload).expect("a job");
        let registry = scheduler.context.registry();
        let tick = Chain::of(registry.get(&view.class).expect("a task")).tick();
        let mut name = String::from_utf8_lossy(&claim.claim.payload).into_owned();
        if let Some(tick) = tick {
            let (entered, due_s) = instance.enter_tick(&claim, &[Gate::TellDue { task: tick.task.clone() }]).await;
            assert_eq!(entered, Entered::Taken);
            name = format!("{} {due_s:?}", view.class);
            instance.settle(vec![claim.ticks(Verdict::Done, &tick)]).await;
        } else {
            instance.settle_one(&claim, Verdict::Done).await;
        }
        ran.push(name);
    }
    ran
}

/// Both loops look, and a worker works off what is due; what ran is added to `ran`.
async fn look(f: &Fixture, scheduler: &Scheduler, instance: &mut Instance, ran: &mut Vec<String>) {
    let mut bulkheads = Bulkheads::default();
    let mut checked = CheckedTasks::default();
    periodic::reconcile(&scheduler.context, &mut bulkheads, &mut checked).await.expect("reconcile");
    periodic::reconcile(&scheduler.context, &mut bulkheads, &mut checked).await.expect("reconcile");
    cron::run_once(&scheduler.context, &mut bulkheads, true).await.expect("look");
    ran.extend(work(f, scheduler, instance).await);
}

/// Lets the store's clock and the timers go on.
fn go_on(f: &Fixture, scheduler: &Scheduler, seconds: u32) {
    f.pass(i64::from(seconds));
    scheduler.context.set_back.skip(Duration::from_secs(u64::from(seconds)));
}

/// Looks at each second of so many.
async fn each_second(
    f: &Fixture,
    scheduler: &Scheduler,
    instance: &mut Instance,
    ran: &mut Vec<String>,
    seconds: usize,
) {
    for _ in 0..seconds {
        look(f, scheduler, instance, ran).await;
        go_on(f, scheduler, 1);
    }
}

fn assert_once(ran: &[String]) {
    let mut sorted = ran.to_vec();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), ran.len(), "{ran:?}");
}

/// How many of them are runs of the daily task and of the daily schedule.
fn daily(ran: &[String]) -> (usize, usize) {
    let count = |what: &str| ran.iter().filter(|one| one.contains(what)).count();
    (count("daily"), count("\"args\":[1]"))
}

/// Seen from eight o'clock until the tasks of five past eight have run.
async fn ran_daily(f: &Fixture, scheduler: &Scheduler, instance: &mut Instance) -> Vec<String> {
    let mut ran = Vec::new();
    look(f, scheduler, instance, &mut ran).await;
    for _ in 0..11 {
        go_on(f, scheduler, 30);
        look(f, scheduler, instance, &mut ran).await;
    }
    assert_eq!(daily(&ran), (1, 1));
    ran
}

async fn what_ran_does_not_come_again_when_the_clock_is_behind_for_a_moment(f: &Fixture) {
    let scheduler = Scheduler::of(f, "a", DAILY).await;
    let mut instance = Instance::join(&f.store, "i", 1).await;
    let mut ran = ran_daily(f, &scheduler, &mut instance).await;
    for back_s in [3600, 30, 45, 20] {
        f.pass(-back_s);
        each_second(f, &scheduler, &mut instance, &mut ran, 4).await;
        f.pass(back_s);
        each_second(f, &scheduler, &mut instance, &mut ran, 6).await;
    }
    assert_once(&ran);
    assert_eq!(daily(&ran), (1, 1));
    let told = scheduler.told();
    assert!(told.iter().any(|line| line.contains("ran for 2027-01-15T08:05:00Z, but it is only 2027-01-15T07:05:")));
    // Nothing that was due meanwhile is left out, and the next day comes.
    let seconds = ran.iter().filter(|one| one.contains("\"args\":[2]")).count();
    assert!(seconds >= 330 + 40 - 2, "{seconds}");
    go_on(f, &scheduler, 86_400);
    look(f, &scheduler, &mut instance, &mut ran).await;
    assert_eq!(daily(&ran), (2, 2));
}

async fn what_ran_does_not_come_again_when_an_instance_starts_with_a_clock_that_is_behind(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "i", 1).await;
    let mut ran = ran_daily(f, &Scheduler::of(f, "a", DAILY).await, &mut instance).await;
    go_on(f, &Scheduler::of(f, "a", DAILY).await, 90);
    // Years behind, too, as a machine without a clock of its own.
    for back_s in [3600, 40 * 365 * 86_400] {
        let scheduler = Scheduler::of(f, "a", DAILY).await;
        f.pass(-back_s);
        each_second(f, &scheduler, &mut instance, &mut ran, 6).await;
        f.pass(back_s);
        each_second(f, &scheduler, &mut instance, &mut ran, 20).await;
    }
    assert_once(&ran);
    assert_eq!(daily(&ran), (1, 1));
}

async fn what_ran_does_not_come_again_when_it_is_stopped_and_started_while_the_clock_is_behind(f: &Fixture) {
    let admin: Store<Admin> = f.handle().await.narrow();
    let mut instance = Instance::join(&f.store, "i", 1).await;
    let mut ran = ran_daily(f, &Scheduler::of(f, "a", DAILY).await, &mut instance).await;
    // Before and behind what ran, and so far that its next occurrence is not among the next ones.
    for (back_s, stops_behind) in [(3600, false), (3600, true), (40 * 86_400, false)] {
        // One that has not seen the clock elsewhere.
        let scheduler = Scheduler::of(f, "a", DAILY).await;
        let registry = scheduler.context.registry();
        let stop = async || {
            assert_eq!(tasks::stop(&admin, &registry, "daily").await.expect("stop"), 1, "its next run waits");
            assert_eq!(tasks::stop(&admin, &registry, "daily").await.expect("stop"), 0, "it is stopped");
        };
        if !stops_behind {
            stop().await;
        }
        f.pass(-back_s);
        if stops_behind {
            stop().await;
        }
        tasks::start(&admin, &registry, "daily").await.expect("start");
        each_second(f, &scheduler, &mut instance, &mut ran, 20).await;
        // To a moment after the time for which it ran, as it is not yet known that the clock is right again.
        f.pass(back_s);
        each_second(f, &scheduler, &mut instance, &mut ran, 6).await;
    }
    assert_eq!(daily(&ran).0, 1, "{ran:?}");
    f.pass(86_400);
    look(f, &Scheduler::of(f, "a", DAILY).await, &mut instance, &mut ran).await;
    assert_eq!(daily(&ran).0, 2, "the next day comes");
}

async fn what_halted_does_not_come_again_when_an_instance_starts_with_a_clock_that_is_behind(f: &Fixture) {
    let scheduler = Scheduler::of(f, "a", DAILY).await;
    let mut instance = Instance::join(&f.store, "i", 1).await;
    look(f, &scheduler, &mut instance, &mut Vec::new()).await;
    f.pass(330);
    promote_all(&f.store, "q", 1000).await;
    let claim = instance.claim_one("q").await;
    let tick = Chain::of(scheduler.context.registry().get("daily").expect("a task")).tick().expect("it ticks");
    instance.settle(vec![claim.ticks(claim.failed(), &Tick { halt: true, ..tick })]).await;
    let mut ran = Vec::new();
    f.pass(-3600);
    for _ in 0..70 {
        look(f, &scheduler, &mut instance, &mut ran).await;
        f.pass(60);
    }
    assert_eq!(daily(&ran).0, 0, "{ran:?}");
    f.pass(86_400);
    look(f, &scheduler, &mut instance, &mut ran).await;
    assert_eq!(daily(&ran).0, 1, "the next day comes");
}

async fn a_clock_that_stays_behind_is_believed_after_a_while(f: &Fixture) {
    let scheduler = Scheduler::of(f, "a", DAILY).await;
    let mut instance = Instance::join(&f.store, "i", 1).await;
    let mut ran = ran_daily(f, &scheduler, &mut instance).await;
    f.pass(-1800);
    let before = ran.len();
    look(f, &scheduler, &mut instance, &mut ran).await;
    // Real time goes on beside, so that nothing is looked at close to the five minutes.
    go_on(f, &scheduler, 240);
    look(f, &scheduler, &mut instance, &mut ran).await;
    assert_eq!(ran.len(), before);
    assert_eq!(scheduler.told().len(), 3, "each once");
    go_on(f, &scheduler, 60);
    look(f, &scheduler, &mut instance, &mut ran).await;
    assert_eq!(ran.len(), before + 61, "the last minute, and one for those before");
    for _ in 0..60 {
        go_on(f, &scheduler, 30);
        look(f, &scheduler, &mut instance, &mut ran).await;
    }
    assert_eq!(daily(&ran), (1, 1), "their time has come again, but they ran for it");
    assert_eq!(ran.len(), before + 61 + 1800, "each second");
    assert_eq!(scheduler.told(), [""; 0]);
}

async fn after_a_month_ahead_a_task_of_the_calendar_goes_on(f: &Fixture) {
    let scheduler = Scheduler::of(f, "a", DAILY).await;
    let mut instance = Instance::join(&f.store, "i", 1).await;
    let mut ran = ran_daily(f, &scheduler, &mut instance).await;
    // Two days pass there, so that it runs for seconds of the future.
    f.pass(THIRTY_DAYS_S);
    for _ in 0..3 {
        look(f, &scheduler, &mut instance, &mut ran).await;
        f.pass(86_400);
    }
    f.pass(-THIRTY_DAYS_S - 3 * 86_400);
    let (tasks, schedules) = daily(&ran);
    assert!(tasks >= 3 && schedules >= 3);
    look(f, &scheduler, &mut instance, &mut ran).await;
    for _ in 0..2880 {
        go_on(f, &scheduler, 60);
        if f.second() % 86_400 / 60 == 8 * 60 + 4 || f.second() % 86_400 / 60 == 8 * 60 + 5 {
            look(f, &scheduler, &mut instance, &mut ran).await;
        }
    }
    let (more, fired) = daily(&ran);
    assert_eq!((more - tasks, fired - schedules), (2, 2), "once a day");
}

async fn of_two_who_go_on_by_a_clock_that_is_behind_one_is_faster(f: &Fixture) {
    let (one, two) = (Scheduler::of(f, "a", TASKS).await, Scheduler::of(f, "b", TASKS).await);
    let (mut in_one, mut in_two) = (Bulkheads::default(), Bulkheads::default());
    cron::run_once(&one.context, &mut in_one, true).await.expect("look");
    f.pass(-TWO_HOURS_S);
    for _ in 0..2 {
        let (looks, other_looks) =
            (cron::run_once(&one.context, &mut in_one, true), cron::run_once(&two.context, &mut in_two, true));
        let (a, b) = tokio::join!(looks, other_looks);
        a.expect("look");
        b.expect("look");
        assert_eq!(queued(&f.store, "q").await.len(), 0);
        one.context.set_back.skip(PATIENCE);
        two.context.set_back.skip(PATIENCE);
    }
    f.pass(60);
    let (a, b) =
        tokio::join!(cron::run_once(&one.context, &mut in_one, true), cron::run_once(&two.context, &mut in_two, true));
    a.expect("look");
    b.expect("look");
    assert_eq!(queued(&f.store, "q").await.len(), 1);
}
