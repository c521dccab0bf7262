use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::event::Bus;
use crate::job::{QueueName, TaskName};
use crate::plugin::hook::{Decision, Hook, HookError, HookPoint};
use crate::plugin::registry::Plugins;
use crate::task::handler_spec::{BuiltinSpec, HandlerSpec};
use crate::task::plugin_spec::{CustomPlugin, CustomPluginSource};
use crate::task::{PluginSpec, TaskDefinition};

/// What happened, in order.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn read(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// What a plugin does before and after.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Allow,
    Deny,
    Fail,
    Short,
    Hang,
    Clear,
}

struct Plugin {
    name: &'static str,
    before: Way,
    after: Way,
    diary: Diary,
}

#[async_trait]
impl Hook for Plugin {
    async fn before_perform(&self, job: &HookJob) -> Result<Decision, HookError> {
        self.diary.note(format!("{} before", self.name));
        match self.before {
            Way::Deny => Ok(Decision::deny("no")),
            Way::Fail => Err(HookError::new("broken")),
            Way::Short => Err(HookError { short: true, ..HookError::new("no descriptor") }),
            Way::Hang => {
                job.cancelled.wait().await;
                self.diary.note(format!("{} hears", self.name));
                std::future::pending().await
            }
            Way::Allow | Way::Clear => Ok(Decision::Allow),
        }
    }

    async fn after_perform(&self, _job: &HookJob, outcome: Outcome) -> Result<Outcome, HookError> {
        let how = match &outcome {
            Outcome::Failure(failure) => failure.exception.clone(),
            other => format!("{other:?}").split(' ').next().unwrap_or_default().to_owned(),
        };
        self.diary.note(format!("{} after {how}", self.name));
        match self.after {
            Way::Fail | Way::Short => Err(HookError::new("broken")),
            Way::Hang => std::future::pending().await,
            Way::Clear => Ok(Outcome::Success { result: None }),
            Way::Allow | Way::Deny => Ok(outcome),
        }
    }
}

/// Runs until it is stopped, or gives its outcome at once.
struct Run {
    outcome: Option<Outcome>,
    diary: Diary,
}

impl Handler for Run {
    fn begin(&self, _job: Invocation, mut stop: watch::Receiver<Stop>) -> StartedRun {
        self.diary.note("run");
        match self.outcome.clone() {
            Some(outcome) => StartedRun::Ended(outcome),
            None => StartedRun::Running(Box::pin(async move {
                stopped(&mut stop, Stop::No).await;
                Outcome::Interrupted
            })),
        }
    }
}

struct World {
    hooked: HookedRun,
    diary: Diary,
    stop: watch::Sender<Stop>,
}

fn world(plugins: &[(&'static str, Way, Way)], outcome: Option<Outcome>, timeout: Option<Duration>) -> World {
    let diary = Diary::default();
    let mut registry = Plugins::new();
    for &(name, before, after) in plugins {
        registry.register(name, Arc::new(Plugin { name, before, after, diary: diary.clone() })).unwrap();
    }
    let own = |name: &str| {
        PluginSpec::Custom(CustomPlugin {
            name: Arc::from(name),
            options: Arc::from("{}"),
            source: CustomPluginSource::Code,
        })
    };
    let noop = HandlerSpec::Builtin(BuiltinSpec { name: "noop".into() });
    let task = TaskDefinition {
        plugins: plugins.iter().map(|(name, ..)| own(name)).collect(),
        timeout,
        ..TaskDefinition::new(TaskName::as_stored("t"), QueueName::as_stored("q"), noop)
    };
    let hooks = Hooks::of(&task, &registry, HookPoint::BeforePerform, &Bus::silent()).unwrap();
    let invocation = Invocation::new(Arc::new(task), "[]");
    let handler = Arc::new(Run { outcome, diary: diary.clone() });
    let hooked = HookedRun { hooks, handler, invocation, grace: Duration::from_secs(5) };
    World { hooked, diary, stop: watch::Sender::new(Stop::No) }
}

fn success() -> Option<Outcome> {
    Some(Outcome::Success { result: None })
}

fn boom() -> Option<Outcome> {
    Some(Outcome::Failure(Failure::new("Error", "boom")))
}

fn failure(performed: Performed) -> Failure {
    match performed {
        Performed::Ran(Outcome::Failure(failure)) => failure,
        other => panic!("{other:?}"),
    }
}

const MINUTE: Option<Duration> = Some(Duration::from_secs(60));

#[tokio::test]
async fn a_run_has_its_plugins_around_it_in_the_listed_order() {
    let world = world(&[("a", Way::Allow, Way::Allow), ("b", Way::Allow, Way::Allow)], success(), None);
    let performed = world.hooked.perform(world.stop.subscribe()).await;
    assert_eq!(performed, Performed::Ran(Outcome::Success { result: None }));
    assert_eq!(world.diary.read(), ["a before", "b before", "run", "a after Success", "b after Success"]);
}

#[tokio::test]
async fn a_veto_runs_nothing_and_asks_nobody_afterwards() {
    let world = world(&[("a", Way::Allow, Way::Allow), ("b", Way::Deny, Way::Allow)], success(), None);
    let performed = world.hooked.perform(world.stop.subscribe()).await;
    let Performed::Vetoed(refusal) = performed else { panic!("{performed:?}") };
    assert_eq!((&*refusal.plugin, refusal.reason.as_deref()), ("b", Some("no")));
    assert_eq!(world.diary.read(), ["a before", "b before"]);
}

#[tokio::test]
async fn an_error_in_front_fails_the_run_and_asks_those_that_were_passed() {
    let plugins = [("a", Way::Allow, Way::Allow), ("b", Way::Fail, Way::Allow), ("c", Way::Allow, Way::Allow)];
    let world = world(&plugins, success(), None);
    let failure = failure(world.hooked.perform(world.stop.subscribe()).await);
    assert_eq!(failure.to_string(), "PluginError: plugin \"b\", before_perform: broken");
    assert_eq!(world.diary.read(), ["a before", "b before", "a after PluginError"]);
}

#[tokio::test]
async fn a_failed_run_asks_all_and_one_may_clear_it() {
    let world = world(&[("a", Way::Allow, Way::Clear), ("b", Way::Allow, Way::Allow)], boom(), None);
    let performed = world.hooked.perform(world.stop.subscribe()).await;
    assert_eq!(performed, Performed::Ran(Outcome::Success { result: None }));
    assert_eq!(world.diary.read()[2..], ["run", "a after Error", "b after Success"]);
}

#[tokio::test]
async fn an_error_behind_fails_what_had_succeeded() {
    let world = world(&[("a", Way::Allow, Way::Fail)], success(), None);
    let failure = failure(world.hooked.perform(world.stop.subscribe()).await);
    assert_eq!(failure.error, "plugin \"a\", after_perform: broken");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_takes_too_long_is_stopped_and_asked_about() {
    let world = world(&[("a", Way::Allow, Way::Allow)], None, MINUTE);
    let failure = failure(world.hooked.perform(world.stop.subscribe()).await);
    assert_eq!(failure.to_string(), "Timeout: timed out after 1m");
    assert_eq!(world.diary.read(), ["a before", "run", "a after Timeout"]);
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_never_answers_is_bound_by_the_tasks_timeout() {
    let before = world(&[("a", Way::Allow, Way::Allow), ("b", Way::Hang, Way::Allow)], success(), MINUTE);
    let late = failure(before.hooked.perform(before.stop.subscribe()).await);
    assert_eq!(late.to_string(), "Timeout: timed out after 1m");
    assert_eq!(before.diary.read(), ["a before", "b before", "b hears", "a after Timeout"]);
    let after = world(&[("a", Way::Allow, Way::Hang)], success(), MINUTE);
    let late = failure(after.hooked.perform(after.stop.subscribe()).await);
    assert_eq!(late.to_string(), "Timeout: after_perform timed out after 1m");
    let failed = world(&[("a", Way::Allow, Way::Hang)], boom(), MINUTE);
    let late = failure(failed.hooked.perform(failed.stop.subscribe()).await);
    assert_eq!((late.error.as_str(), late.backtrace.len()), ("boom", 1));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_to_end_is_cut_off_wherever_it_is() {
    let asking = world(&[("a", Way::Hang, Way::Allow)], success(), None);
    let perform = asking.hooked.perform(asking.stop.subscribe());
    let (performed, ()) = tokio::join!(perform, async {
        asking.stop.send_replace(Stop::Terminate);
        while !asking.diary.read().contains(&"a hears".to_owned()) {
            tokio::task::yield_now().await;
        }
        asking.stop.send_replace(Stop::Kill);
    });
    assert_eq!(performed, Performed::NotBegun);
    assert_eq!(asking.diary.read(), ["a before", "a hears"]);

    let running = world(&[("a", Way::Allow, Way::Allow)], None, None);
    let perform = running.hooked.perform(running.stop.subscribe());
    let (performed, ()) = tokio::join!(perform, async {
        while !running.diary.read().contains(&"run".to_owned()) {
            tokio::task::yield_now().await;
        }
        running.stop.send_replace(Stop::Terminate);
    });
    assert_eq!(performed, Performed::Ran(Outcome::Interrupted));
    assert!(!running.diary.read().iter().any(|line| line.contains("after")), "nobody is asked of it");
}

#[tokio::test(start_paused = true)]
async fn behind_a_run_only_an_urgent_end_cuts_off_and_what_failed_stays_failed() {
    for (outcome, cut_off) in [(success(), Outcome::Interrupted), (boom(), boom().unwrap())] {
        let world = world(&[("a", Way::Allow, Way::Hang)], outcome, None);
        let perform = world.hooked.perform(world.stop.subscribe());
        let (performed, ()) = tokio::join!(perform, async {
            while world.diary.read().len() < 3 {
                tokio::task::yield_now().await;
            }
            world.stop.send_replace(Stop::Terminate);
            // The time of the test, which passes at once.
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(world.diary.read().len() == 3, "it is waited for");
            world.stop.send_replace(Stop::Kill);
        });
        assert_eq!(performed, Performed::Ran(cut_off));
    }
}

#[tokio::test]
async fn a_job_whose_plugin_finds_no_descriptor_before_the_run_is_given_back() {
    let world = world(&[("a", Way::Allow, Way::Allow), ("b", Way::Short, Way::Allow)], success(), None);
    let performed = world.hooked.perform(world.stop.subscribe()).await;
    assert!(matches!(&performed, Performed::Ran(Outcome::NotStarted(why)) if why.contains("\"b\"")), "{performed:?}");
    assert_eq!(world.diary.read(), ["a before", "b before"]);
}
