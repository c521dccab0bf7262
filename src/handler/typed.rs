//! Handlers made of async functions with typed arguments: `async fn(Context, Json<T>) -> Result<R, E>`.

use std::fmt::Display;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::contract::{Handler, Invocation, StartedRun, Stop, stopped};
use crate::event::{Bus, EventKind, OutputStream, OutputTeller};
use crate::job::{Failure, Outcome};

/// The arguments of a job, read as a `T`.
///
/// A job with one argument gives that argument; ActionHero enqueues its inputs this way. A job with several arguments
/// gives the array, which fits a tuple or a `Vec`. A job without arguments gives the first of `{}`, `null` and `[]`
/// that fits. If nothing fits, the job fails with the exception `ArgumentError` and the function is not called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> Json<T> {
    /// Reads the arguments of a job: one JSON array.
    fn read(args: &[u8]) -> Result<Self, serde_json::Error> {
        let list: Vec<&serde_json::value::RawValue> = serde_json::from_slice(args)?;
        let value = match &list[..] {
            [] => ["{}", "null", "[]"]
                .iter()
                .find_map(|none| serde_json::from_str(none).ok())
                .map_or_else(|| serde_json::from_str("{}"), Ok),
            [one] => serde_json::from_str(one.get()),
            _ => serde_json::from_slice(args),
        };
        value.map(Json)
    }
}

/// The error of serde without the value that it quotes, because the value may be a secret and errors go to the log.
fn without_value(error: &serde_json::Error) -> String {
    let text = error.to_string();
    // `invalid type: string "x", expected u32 at line 1 column 4`; the value stands in front of the last `, expected`.
    let quotes =
        ["invalid type: ", "invalid value: ", "unknown variant "].into_iter().find(|head| text.starts_with(head));
    match (quotes, text.rfind(", expected ")) {
        (Some(head), Some(at)) => {
            let found = text.get(head.len()..at).unwrap_or_default();
            let kind = found.split(['"', '`']).next().unwrap_or_default();
            format!("{}{}", format!("{head}{kind}").trim_end(), text.get(at..).unwrap_or_default())
        }
        _ => text,
    }
}

/// The run of a job, as its function sees it.
#[derive(Debug, Clone)]
pub struct Context {
    job: Invocation,
    stop: watch::Receiver<Stop>,
    bus: Bus,
    shared: Arc<Mutex<Shared>>,
}

/// What all copies of a [`Context`] share.
#[derive(Debug, Default)]
struct Shared {
    /// Asked for instead of a failure: another run after this delay.
    again: Option<Duration>,
    /// By which lines are logged, once there was one.
    log: Option<OutputTeller>,
}

impl Context {
    /// The job's id, the same in all its runs: the key to recognise a repeated run by.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.job.identity.id
    }

    /// Which attempt this is, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.job.identity.attempt
    }

    /// How often the job was redelivered because its worker died.
    #[must_use]
    pub fn redelivered(&self) -> u32 {
        self.job.identity.redelivered
    }

    /// The job: task, queue, raw arguments, identity and claim.
    #[must_use]
    pub fn job(&self) -> &Invocation {
        &self.job
    }

    /// How urgently the run should end; [`Stop::No`] until it is asked to.
    #[must_use]
    pub fn stop(&self) -> Stop {
        *self.stop.borrow()
    }

    /// Waits until the run is asked to end by its task's timeout, a drain or an operator. The function then has the
    /// grace (`shutdown.kill_grace`) to finish, and what it returns by then counts. After that its future is dropped
    /// and the job is interrupted. Cancel safe.
    pub async fn stopped(&self) -> Stop {
        stopped(&mut self.stop.clone(), Stop::No).await
    }

    /// Reports progress from 0 to 100 percent and the current step, as a line in the job's log.
    pub fn progress(&self, percent: u8, message: &str) {
        self.say(&format!("{}%: {message}", percent.min(100)));
    }

    /// Writes a line to the job's log, as if a program had printed it.
    pub fn say(&self, line: &str) {
        if self.bus.wants(EventKind::Output) {
            let (id, task) = (&self.job.identity.id, &self.job.task.name);
            let new = || OutputTeller::of_job(self.bus.clone(), Arc::clone(id), task.clone());
            self.shared().log.get_or_insert_with(new).tell(OutputStream::Stdout, line, false);
        }
    }

    /// Asks for another run after this delay instead of a failure: the next error that the function returns is logged
    /// and not recorded. A run that succeeds nevertheless is done.
    pub fn retry_later(&self, delay: Duration) {
        self.shared().again = Some(delay);
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The outcome for a function's error.
    fn failed<E: Display>(&self, error: &E) -> Outcome {
        let again = self.shared().again.take();
        if let Some(delay) = again {
            self.say(&format!("asks for another run: {error}"));
            return Outcome::Later { delay, tail: Vec::new() };
        }
        // The stop may have caused the error, so `on_crash` of the job decides, as for a program that TERM ended.
        if self.stop() != Stop::No {
            return Outcome::Interrupted;
        }
        Outcome::Failure(Failure::new(short_name::<E>(), error.to_string()))
    }
}

/// The last part of a type's name, without parameters. The failure record uses it as the exception.
fn short_name<E>() -> &'static str {
    let name = std::any::type_name::<E>();
    let name = name.split('<').next().unwrap_or(name);
    name.rsplit("::").next().unwrap_or(name)
}

/// An async function that can perform jobs. `Args` distinguishes the signatures and is inferred.
pub trait Performs<Args>: Send + Sync + 'static {
    /// Starts the function, or fails because the arguments do not fit.
    fn start(&self, context: Context) -> Result<BoxFuture<'static, Outcome>, Failure>;
}

impl<F, R, T, V, E> Performs<(Context, Json<T>)> for F
where
    F: Fn(Context, Json<T>) -> R + Send + Sync + 'static,
    R: Future<Output = Result<V, E>> + Send + 'static,
    T: DeserializeOwned,
    V: Serialize + 'static,
    E: Display + 'static,
{
    fn start(&self, context: Context) -> Result<BoxFuture<'static, Outcome>, Failure> {
        let args = Json::read(&context.job.args).map_err(|error| {
            Failure::new("ArgumentError", format!("the arguments do not fit: {}", without_value(&error)))
        })?;
        Ok(outcome(context.clone(), self(context, args)).boxed())
    }
}

impl<F, R, V, E> Performs<(Context,)> for F
where
    F: Fn(Context) -> R + Send + Sync + 'static,
    R: Future<Output = Result<V, E>> + Send + 'static,
    V: Serialize + 'static,
    E: Display + 'static,
{
    fn start(&self, context: Context) -> Result<BoxFuture<'static, Outcome>, Failure> {
        Ok(outcome(context.clone(), self(context)).boxed())
    }
}

async fn outcome<V: Serialize, E: Display>(context: Context, run: impl Future<Output = Result<V, E>>) -> Outcome {
    let value = match run.await {
        Ok(value) => value,
        Err(error) => return context.failed(&error),
    };
    match serde_json::to_value(value) {
        Ok(serde_json::Value::Null) => Outcome::Success { result: None },
        Ok(serde_json::Value::String(text)) => Outcome::Success { result: Some(text) },
        Ok(value) => Outcome::Success { result: Some(value.to_string()) },
        Err(error) => {
            let error = format!("the job is done, but its result is no JSON: {error}");
            Outcome::Failure(Failure::new("ResultError", error))
        }
    }
}

/// The handler of a typed function.
pub struct Typed<F, Args> {
    function: Arc<F>,
    bus: Bus,
    args: PhantomData<fn() -> Args>,
}

impl<F, Args> Typed<F, Args> {
    /// The handler of `function`; what its context says goes to `bus`.
    pub fn new(function: Arc<F>, bus: Bus) -> Self {
        Self { function, bus, args: PhantomData }
    }
}

impl<F: Performs<Args>, Args: 'static> Handler for Typed<F, Args> {
    fn begin(&self, job: Invocation, mut stop: watch::Receiver<Stop>) -> StartedRun {
        let context = Context { job, stop: stop.clone(), bus: self.bus.clone(), shared: Arc::default() };
        match self.function.start(context) {
            Ok(run) => StartedRun::Running(Box::pin(async move {
                tokio::select! {
                    outcome = run => outcome,
                    _ = stopped(&mut stop, Stop::Terminate) => Outcome::Interrupted,
                }
            })),
            Err(failure) => StartedRun::Ended(Outcome::Failure(failure)),
        }
    }
}

#[cfg(test)]
mod tests;
