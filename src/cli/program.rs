//! Builds a program with the daemon, all commands of `windlass`, and extensions.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use super::dispatch::main_with;
use super::exit::Exit;
use super::output::warn;
use crate::daemon::extensions::{Extensions, MultiWorkerOverride, SchedulerOverride};
use crate::handler::contract::Handler;
use crate::handler::typed::Performs;
use crate::plugin::hook::Hook;
use crate::store::layer::Layer;

/// The extensions of a program; [`main`](Self::main) runs it.
#[derive(Debug, Default)]
pub struct Program {
    extensions: Extensions,
    mistakes: Vec<String>,
}

impl Program {
    /// A program that adds nothing: `windlass` itself.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a handler, for tasks with `builtin = "NAME"`. It replaces a built-in handler of the same name.
    #[must_use]
    pub fn handler(mut self, name: &str, handler: impl Handler + 'static) -> Self {
        self.extensions.handler(name, Arc::new(handler));
        self
    }

    /// Adds a handler made of a typed async function: `async fn(Context, Json<T>) -> Result<R, E>`, or without the
    /// arguments `async fn(Context) -> Result<R, E>`. See [`typed`](crate::handler::typed).
    #[must_use]
    pub fn handler_fn<F, Args>(mut self, name: &str, function: F) -> Self
    where
        F: Performs<Args>,
        Args: 'static,
    {
        self.extensions.handler_fn(name, function);
        self
    }

    /// Adds a plugin, for tasks that list it. A name that is not allowed is reported when the program starts.
    #[must_use]
    pub fn plugin(mut self, name: &str, hook: impl Hook + 'static) -> Self {
        if let Err(error) = self.extensions.plugin(name, Arc::new(hook)) {
            self.mistakes.push(error.to_string());
        }
        self
    }

    /// Adds a layer over the store, for `resque_overrides.queue`. Commands go through it as well as the daemon.
    #[must_use]
    pub fn queue(mut self, name: &str, layer: impl Layer + 'static) -> Self {
        self.extensions.queue(name, Arc::new(layer));
        self
    }

    /// Adds a runner of the processors, for `resque_overrides.multi_worker`.
    #[must_use]
    pub fn multi_worker(mut self, name: &str, multi_worker: MultiWorkerOverride) -> Self {
        self.extensions.multi_worker(name, multi_worker);
        self
    }

    /// Adds a runner of the scheduler, for `resque_overrides.scheduler`.
    #[must_use]
    pub fn scheduler(mut self, name: &str, scheduler: SchedulerOverride) -> Self {
        self.extensions.scheduler(name, scheduler);
        self
    }

    /// Runs the command that the command line names.
    #[must_use]
    pub fn main(self) -> ExitCode {
        self.run(std::env::args_os())
    }

    /// Runs the command of this line, the program's name first.
    #[must_use]
    pub fn run(self, line: impl IntoIterator<Item = OsString>) -> ExitCode {
        if !self.mistakes.is_empty() {
            self.mistakes.iter().for_each(|mistake| warn(mistake));
            return ExitCode::from(Exit::Usage.code());
        }
        main_with(line, self.extensions)
    }
}
