use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::job::{QueueName, TaskName};
use crate::task::handler_spec::{BuiltinSpec, HandlerSpec};

/// Records where it was called, and answers as its options say.
struct Scripted {
    asked: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    fn answer(&self, point: &str, job: &HookJob) -> Result<Decision, HookError> {
        let options = job.options.trim_matches(|c| c == '{' || c == '}');
        self.asked.lock().unwrap().push(format!("{point} {options}"));
        let (at, what) = options.split_once(' ').unwrap_or_default();
        match what {
            _ if at != point => Ok(Decision::Allow),
            "deny" => Ok(Decision::deny("because")),
            "fail" => Err(HookError::new("broken")),
            "panic" => panic!("on purpose"),
            _ => Ok(Decision::Allow),
        }
    }
}

#[async_trait]
impl Hook for Scripted {
    async fn before_enqueue(&self, job: &HookJob) -> Result<Decision, HookError> {
        self.answer("before_enqueue", job)
    }

    async fn after_enqueue(&self, job: &HookJob) -> Result<(), HookError> {
        self.answer("after_enqueue", job).map(drop)
    }

    async fn before_perform(&self, job: &HookJob) -> Result<Decision, HookError> {
        self.answer("before_perform", job)
    }

    async fn after_perform(&self, job: &HookJob, outcome: Outcome) -> Result<Outcome, HookError> {
        match self.answer("after_perform", job)? {
            Decision::Allow => Ok(outcome),
            // Its way to clear.
            Decision::Deny { .. } => Ok(Outcome::Success { result: None }),
        }
    }
}

struct World {
    hooks: Hooks,
    asked: Arc<Mutex<Vec<String>>>,
}

/// Three plugins; the options of each say what it does, and where.
fn world(options: [&str; 3]) -> World {
    let asked = Arc::default();
    let mut plugins = Plugins::new();
    let names = ["a", "b", "c"];
    for name in names {
        plugins.register(name, Arc::new(Scripted { asked: Arc::clone(&asked) })).unwrap();
    }
    let own = |(name, options): (&str, &str)| {
        let options = Arc::from(format!("{{{options}}}"));
        PluginSpec::Custom(CustomPlugin { name: Arc::from(name), options, source: CustomPluginSource::Code })
    };
    let task = TaskDefinition { plugins: names.into_iter().zip(options).map(own).collect(), ..task() };
    let hooks = Hooks::of(&task, &plugins, HookPoint::BeforePerform, &Bus::silent()).unwrap();
    World { hooks, asked }
}

fn task() -> TaskDefinition {
    let noop = HandlerSpec::Builtin(BuiltinSpec { name: "noop".into() });
    TaskDefinition::new(TaskName::as_stored("t"), QueueName::as_stored("q"), noop)
}

fn job() -> HookJob {
    HookJob::new(TaskName::as_stored("t"), QueueName::as_stored("q"), "[]")
}

impl World {
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn failed() -> Outcome {
    Outcome::Failure(Failure::new("Error", "boom"))
}

fn error_of(outcome: Outcome) -> String {
    match outcome {
        Outcome::Failure(failure) => failure.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_first_that_denies_ends_the_asking() {
    let world = world(["x", "before_enqueue deny", "z"]);
    let refusal = world.hooks.before_enqueue(&job()).await.unwrap().unwrap();
    assert_eq!(refusal, Refusal { plugin: Arc::from("b"), reason: Some("because".into()) });
    assert_eq!(world.asked(), ["before_enqueue x", "before_enqueue before_enqueue deny"]);
}

#[tokio::test]
async fn an_error_ends_the_asking_before_and_is_collected_after_an_enqueue() {
    let before = world(["before_enqueue fail", "y", "z"]);
    let failure = before.hooks.before_enqueue(&job()).await.unwrap_err();
    assert_eq!(failure.to_string(), "plugin \"a\" failed in before_enqueue: PluginError: broken");
    assert_eq!(before.asked().len(), 1);
    let after = world(["after_enqueue fail", "y", "after_enqueue panic"]);
    let failures = after.hooks.after_enqueue(&job()).await;
    assert_eq!(
        failures.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "plugin \"a\" failed in after_enqueue: PluginError: broken",
            "plugin \"c\" failed in after_enqueue: PluginPanic: it panicked: on purpose"
        ]
    );
    assert_eq!(after.asked().len(), 3);
}

#[tokio::test]
async fn after_a_run_exactly_those_are_asked_that_were_passed_before() {
    let world = world(["x", "y", "before_perform fail"]);
    let mut passed = 0;
    let failure = world.hooks.before_perform(&job(), &mut passed).await.unwrap_err();
    assert_eq!(passed, 2);
    world.asked();
    let outcome = world.hooks.after_perform(&job(), Outcome::Failure(failure.failure()), passed).await;
    assert_eq!(error_of(outcome), "PluginError: plugin \"c\", before_perform: broken");
    assert_eq!(world.asked(), ["after_perform x", "after_perform y"]);
}

#[tokio::test]
async fn a_failure_may_be_cleared_and_an_error_fails_what_had_succeeded() {
    let clearing = world(["after_perform deny", "y", "z"]);
    assert_eq!(clearing.hooks.after_perform(&job(), failed(), 3).await, Outcome::Success { result: None });
    assert_eq!(clearing.asked().len(), 3, "the others are asked all the same");
    let failing = world(["after_perform fail", "y", "z"]);
    let outcome = failing.hooks.after_perform(&job(), Outcome::Success { result: None }, 3).await;
    assert_eq!(error_of(outcome), "PluginError: plugin \"a\", after_perform: broken");
    let Outcome::Failure(failure) = failing.hooks.after_perform(&job(), failed(), 3).await else { panic!() };
    assert_eq!(failure.error, "boom", "a job fails of what came first");
    assert_eq!(failure.backtrace, ["plugin \"a\" failed in after_perform: PluginError: broken"]);
}

#[tokio::test]
async fn a_plugin_that_is_not_there_is_an_error_and_never_a_yes() {
    let own = CustomPlugin { name: Arc::from("gone"), options: Arc::from("{}"), source: CustomPluginSource::Code };
    let task = TaskDefinition { plugins: vec![PluginSpec::Custom(own)], ..task() };
    assert!(Hooks::any(&task, &Plugins::new(), HookPoints::PERFORM));
    let failure = Hooks::of(&task, &Plugins::new(), HookPoint::BeforePerform, &Bus::silent()).unwrap_err();
    assert!(failure.failure().error.starts_with("plugin \"gone\", before_perform: no plugin of this name"));
}

#[test]
fn who_is_not_asked_around_a_run_costs_nothing_there() {
    struct Greeter;
    impl Hook for Greeter {
        fn points(&self) -> HookPoints {
            HookPoints::ENQUEUE
        }
    }
    let mut plugins = Plugins::new();
    plugins.register("greeter", Arc::new(Greeter)).unwrap();
    let own = CustomPlugin { name: Arc::from("greeter"), options: Arc::from("{}"), source: CustomPluginSource::Code };
    let task = TaskDefinition { plugins: vec![PluginSpec::Noop, PluginSpec::Custom(own)], ..task() };
    assert!(Hooks::any(&task, &plugins, HookPoints::ENQUEUE));
    assert!(!Hooks::any(&task, &plugins, HookPoints::PERFORM));
}
