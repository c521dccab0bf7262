//! What a program built from this library adds: handlers, plugins, and replacements of parts.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures_util::future::{BoxFuture, LocalBoxFuture};
use tokio::sync::watch;

use crate::config::error::{Problem, closest};
use crate::config::overrides::{Override, Overrides};
use crate::event::Bus;
use crate::handler::builtin::Builtins;
use crate::handler::contract::Handler;
use crate::handler::typed::{Performs, Typed};
use crate::plugin::hook::Hook;
use crate::plugin::registry::{PluginNameError, Plugins};
use crate::pool::{Control, Ended, Setup};
use crate::scheduler::SchedulerContext;
use crate::store::Store;
use crate::store::layer::Layer;
use crate::store::role::Whole;

/// Runs the processors in place of [`pool::run`](crate::pool::run): `resque_overrides.multi_worker`.
pub type MultiWorkerOverride =
    Arc<dyn Fn(Setup, watch::Receiver<Control>) -> LocalBoxFuture<'static, Ended> + Send + Sync>;

/// Runs the scheduler in place of [`scheduler::run`](crate::scheduler::run) until it is told to stop: `resque_overrides.scheduler`.
pub type SchedulerOverride =
    Arc<dyn Fn(SchedulerContext, watch::Receiver<bool>) -> BoxFuture<'static, ()> + Send + Sync>;

/// Makes a handler that sends its events to a bus.
type MakeHandler = Arc<dyn Fn(&Bus) -> Arc<dyn Handler> + Send + Sync>;

/// Everything that a program adds.
#[derive(Clone, Default)]
pub struct Extensions {
    handlers: BTreeMap<String, MakeHandler>,
    plugins: Plugins,
    queues: BTreeMap<String, Arc<dyn Layer>>,
    multi_workers: BTreeMap<String, MultiWorkerOverride>,
    schedulers: BTreeMap<String, SchedulerOverride>,
}

impl Extensions {
    /// Adds a handler; task files name it with `builtin = "..."`.
    pub fn handler(&mut self, name: &str, handler: Arc<dyn Handler>) {
        self.handlers.insert(name.to_owned(), Arc::new(move |_| Arc::clone(&handler)));
    }

    /// Adds a handler made of a typed function; task files name it with `builtin = "..."`.
    pub fn handler_fn<F, Args>(&mut self, name: &str, function: F)
    where
        F: Performs<Args>,
        Args: 'static,
    {
        let function = Arc::new(function);
        let make = move |bus: &Bus| -> Arc<dyn Handler> { Arc::new(Typed::new(Arc::clone(&function), bus.clone())) };
        self.handlers.insert(name.to_owned(), Arc::new(make));
    }

    /// Adds a plugin; task files list it in `plugins`.
    ///
    /// # Errors
    /// If it cannot have this name.
    pub fn plugin(&mut self, name: &str, hook: Arc<dyn Hook>) -> Result<(), PluginNameError> {
        self.plugins.register(name, hook).map(drop)
    }

    /// Adds a layer of the store that `resque_overrides.queue` may name.
    pub fn queue(&mut self, name: &str, layer: Arc<dyn Layer>) {
        self.queues.insert(name.to_owned(), layer);
    }

    /// Adds a pool that `resque_overrides.multi_worker` may name.
    pub fn multi_worker(&mut self, name: &str, multi_worker: MultiWorkerOverride) {
        self.multi_workers.insert(name.to_owned(), multi_worker);
    }

    /// Adds a scheduler that `resque_overrides.scheduler` may name.
    pub fn scheduler(&mut self, name: &str, scheduler: SchedulerOverride) {
        self.schedulers.insert(name.to_owned(), scheduler);
    }

    /// The standard builtins and those that were added.
    #[must_use]
    pub fn builtins(&self, bus: Bus) -> Builtins {
        let mut builtins = Builtins::standard(bus.clone());
        for (name, make) in &self.handlers {
            builtins.register_shared(name.clone(), make(&bus));
        }
        builtins
    }

    /// The plugins that were added.
    #[must_use]
    pub fn plugins(&self) -> Arc<Plugins> {
        Arc::new(self.plugins.clone())
    }

    /// The names in a configuration that nothing was added under.
    #[must_use]
    pub fn check(&self, overrides: &Overrides) -> Vec<Problem> {
        let Overrides { queue, multi_worker, scheduler } = overrides;
        let unknown = [
            unknown(queue.as_ref(), self.queues.keys()),
            unknown(multi_worker.as_ref(), self.multi_workers.keys()),
            unknown(scheduler.as_ref(), self.schedulers.keys()),
        ];
        unknown.into_iter().flatten().collect()
    }

    /// The store under the layer that the configuration names.
    #[must_use]
    pub fn over(&self, overrides: &Overrides, store: Store<Whole>) -> Store<Whole> {
        match overrides.queue.as_ref().and_then(|queue| self.queues.get(&queue.name)) {
            Some(layer) => store.layered(Arc::clone(layer)),
            None => store,
        }
    }

    /// The pool that the configuration names, if it names one.
    #[must_use]
    pub fn multi_worker_of(&self, overrides: &Overrides) -> Option<&MultiWorkerOverride> {
        overrides.multi_worker.as_ref().and_then(|one| self.multi_workers.get(&one.name))
    }

    /// The scheduler that the configuration names, if it names one.
    #[must_use]
    pub fn scheduler_of(&self, overrides: &Overrides) -> Option<&SchedulerOverride> {
        overrides.scheduler.as_ref().and_then(|one| self.schedulers.get(&one.name))
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extensions")
            .field("handlers", &self.handlers.keys())
            .field("plugins", &self.plugins)
            .field("queues", &self.queues.keys())
            .field("multi_workers", &self.multi_workers.keys())
            .field("schedulers", &self.schedulers.keys())
            .finish()
    }
}

fn unknown<'a>(asked: Option<&Override>, known: impl Iterator<Item = &'a String>) -> Option<Problem> {
    let asked = asked?;
    let names: Vec<&str> = known.map(String::as_str).collect();
    if names.contains(&asked.name.as_str()) {
        return None;
    }
    let message = match &names[..] {
        [] => format!("expected nothing, because this program registers no implementation (found {:?})", asked.name),
        names => format!("expected one of {} (found {:?})", names.join(", "), asked.name),
    };
    let suggestion = closest(&asked.name, names.iter().copied()).map(str::to_owned);
    Some(Problem { message, suggestion, ..asked.location.clone() })
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::store::StoreError;
    use crate::store::layer::{AnyArrow, AnyReply, Next};

    struct Unchanged;

    #[async_trait]
    impl Layer for Unchanged {
        async fn around(&self, arrow: AnyArrow, mut next: Next<'_>) -> Result<AnyReply, StoreError> {
            next.pass(arrow).await
        }
    }

    #[test]
    fn a_name_that_nobody_registered_is_told_with_those_that_exist() {
        let location =
            Problem { line: 3, column: 9, key: "resque_overrides.queue".into(), ..Problem::of_source("f.toml", "") };
        let overrides = Overrides { queue: Some(Override { name: "fornt".into(), location }), ..Overrides::default() };
        let mut extensions = Extensions::default();
        let told = |extensions: &Extensions| extensions.check(&overrides)[0].to_string();
        assert_eq!(
            told(&extensions),
            "f.toml:3:9: resque_overrides.queue: expected nothing, because this program registers no implementation (found \"fornt\")"
        );
        extensions.queue("front", Arc::new(Unchanged));
        assert_eq!(
            told(&extensions),
            "f.toml:3:9: resque_overrides.queue: expected one of front (found \"fornt\"); did you mean \"front\"?"
        );
    }
}
