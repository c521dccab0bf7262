//! Finds the task and the handler for a job's class.
//!
//! Built once for each registry and replaced as a whole with it. A look-up costs one hash.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::Instant;

use super::builtin::Builtins;
use super::contract::{Handler, Invocation, StartedRun, Stop};
use super::exec::Exec;
#[cfg(feature = "http")]
use super::http::{Http, SystemTrust};
use super::kept_output::KeptOutputs;
#[cfg(feature = "rpc")]
use super::rpc::Rpc;
#[cfg(feature = "http")]
use crate::clock::SystemClock;
use crate::event::Bus;
use crate::job::{Failure, Outcome, TaskName};
use crate::task::{HandlerSpec, Registry, TaskDefinition};

/// Tasks with their handlers, by class.
pub struct Dispatch {
    tasks: HashMap<TaskName, (Arc<TaskDefinition>, Arc<dyn Handler>)>,
}

impl Dispatch {
    /// Makes every task's handler. Output of jobs goes to `bus`, also that of tasks with `output = "file"`.
    #[must_use]
    pub fn new(registry: &Registry, builtins: &Builtins, bus: Bus) -> Self {
        Self::keeping(registry, builtins, bus, None)
    }

    /// The same, with a place for the output of tasks with `output = "file"`.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "a bus is a handle, and goes to every handler")]
    pub fn keeping(registry: &Registry, builtins: &Builtins, bus: Bus, kept: Option<&KeptOutputs>) -> Self {
        #[cfg(feature = "http")]
        let trust = SystemTrust::default();
        let handler = |task: &TaskDefinition| -> Arc<dyn Handler> {
            match &task.handler {
                HandlerSpec::Exec(spec) => Arc::new(Exec::new(spec.clone(), bus.clone(), kept.cloned())),
                #[cfg(feature = "rpc")]
                HandlerSpec::Rpc(spec) => {
                    Arc::new(Rpc::new(spec.clone(), task.name.clone(), bus.clone(), kept.cloned()))
                }
                #[cfg(feature = "http")]
                HandlerSpec::Http(spec) => match Http::new(spec, trust.clone(), Arc::new(SystemClock)) {
                    Ok(handler) => Arc::new(handler),
                    Err(why) => Arc::new(Unusable(why)),
                },
                HandlerSpec::Builtin(spec) => match builtins.get(&spec.name) {
                    Some(handler) => Arc::clone(handler),
                    None => Arc::new(Unusable(format!("there is no builtin called \"{}\"", spec.name))),
                },
                #[cfg(not(feature = "rpc"))]
                HandlerSpec::Rpc(_) => {
                    Arc::new(Unusable("this program was built without the feature `rpc`".to_owned()))
                }
                #[cfg(not(feature = "http"))]
                HandlerSpec::Http(_) => {
                    Arc::new(Unusable("this program was built without the feature `http`".to_owned()))
                }
            }
        };
        let tasks = registry.iter().map(|task| (task.name.clone(), (Arc::clone(task), handler(task)))).collect();
        Self { tasks }
    }

    /// The task and the handler of a class; `None` if this registry does not know it.
    #[must_use]
    pub fn get(&self, class: &str) -> Option<(&Arc<TaskDefinition>, &Arc<dyn Handler>)> {
        self.tasks.get(class).map(|(task, handler)| (task, handler))
    }
}

impl Dispatch {
    /// Asks every handler to release what it keeps between runs, and waits until all have.
    pub async fn retire(&self, end: Instant) {
        join_all(self.tasks.values().map(|(_, handler)| handler.retire(end))).await;
    }
}

impl fmt::Debug for Dispatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.tasks.keys()).finish()
    }
}

/// Takes the place of a handler that cannot be made, because a builtin is not registered or a secret is missing. The
/// daemon refuses such tasks, but a registry may also be built by hand, and a command may lack what the daemon has.
struct Unusable(String);

impl Handler for Unusable {
    fn begin(&self, job: Invocation, _stop: watch::Receiver<Stop>) -> StartedRun {
        let error = format!("task \"{}\": {}", job.task.name, self.0);
        StartedRun::Ended(Outcome::Failure(Failure::new("ConfigurationError", error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, EventKind};
    use crate::handler::fixture::{begin, invocation, task};
    use crate::task::handler_spec::BuiltinSpec;

    fn builtin(name: &str, builtin: &str) -> TaskDefinition {
        task(name, HandlerSpec::Builtin(BuiltinSpec { name: builtin.into() }))
    }

    #[tokio::test]
    async fn a_class_leads_to_its_task_and_its_handler() {
        let (bus, listeners) = Bus::new(&[EventKind::Output.bit()], 1 << 20);
        let registry =
            Registry::new([builtin("nothing", "noop"), builtin("say", "log"), builtin("broken", "no such builtin")]);
        let dispatch = Dispatch::new(&registry, &Builtins::standard(bus.clone()), bus);
        let (task, handler) = dispatch.get("nothing").unwrap();
        assert_eq!(task.name.as_str(), "nothing");
        assert!(matches!(begin(&**handler, invocation("[]")).0.await, Outcome::Success { result: None }));
        let say = dispatch.get("say").unwrap().1;
        begin(&**say, invocation(r#"["hello", 1.0]"#)).0.await;
        assert!(matches!(listeners[0].try_next(), Some(Event::Output { line, .. }) if line == r#"["hello", 1.0]"#));
        let broken = dispatch.get("broken").unwrap().1;
        assert!(matches!(
            begin(&**broken, invocation("[]")).0.await,
            Outcome::Failure(failure) if failure.error.contains("no such builtin")
        ));
        assert!(dispatch.get("unheard of").is_none());
    }
}
