//! A handler made of an async function.

use std::future::Future;
use std::marker::PhantomData;

use tokio::sync::watch;

use super::contract::{Begun, Handler, Invocation, Stop, stopped};
use crate::job::Outcome;

/// A handler made of a function from a job, and if it wants one a [`Stopping`], to a future of its outcome.
///
/// A run that should end (a drain whose time is nearly over, `USR1`, a task's `timeout`) goes on until the grace is over;
/// then the future is dropped, and the run counts as interrupted. A function that takes a [`Stopping`] hears of it at
/// once, and may use the grace to tidy up or to end early.
pub struct Function<F, R> {
    function: F,
    future: PhantomData<fn() -> R>,
}

/// Tells a function how urgently its run should end.
#[derive(Debug, Clone)]
pub struct Stopping(watch::Receiver<Stop>);

impl Stopping {
    /// Waits until the run should end. From then on the grace counts: when it is over the future is dropped. May be
    /// awaited any number of times; once it has returned it returns at once.
    pub async fn wait(&mut self) {
        stopped(&mut self.0, Stop::No).await;
    }

    /// How urgently the run should end at this moment.
    #[must_use]
    pub fn now(&self) -> Stop {
        *self.0.borrow()
    }
}

impl<F, R> Function<F, R> {
    /// The handler of a function from a job to its outcome.
    #[expect(clippy::new_ret_no_self, reason = "the closure around the function has a type without a name")]
    pub fn new(function: F) -> impl Handler
    where
        F: Fn(Invocation) -> R + Send + Sync,
        R: Future<Output = Outcome> + Send + 'static,
    {
        Function::with_stop(move |job, _| function(job))
    }
}

impl<F, R> Function<F, R>
where
    F: Fn(Invocation, Stopping) -> R + Send + Sync,
    R: Future<Output = Outcome> + Send + 'static,
{
    /// The handler of a function that is told when its run should end.
    pub fn with_stop(function: F) -> Self {
        Self { function, future: PhantomData }
    }
}

impl<F, R> Handler for Function<F, R>
where
    F: Fn(Invocation, Stopping) -> R + Send + Sync,
    R: Future<Output = Outcome> + Send + 'static,
{
    fn begin(&self, job: Invocation, mut stop: watch::Receiver<Stop>) -> Begun {
        let run = (self.function)(job, Stopping(stop.clone()));
        Begun::Running(Box::pin(async move {
            tokio::select! {
                outcome = run => outcome,
                _ = stopped(&mut stop, Stop::Terminate) => Outcome::Interrupted,
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::fixture::{begin, invocation};

    #[tokio::test]
    async fn a_function_gets_the_job_and_gives_its_outcome() {
        let handler = Function::new(|job: Invocation| async move {
            Outcome::Success { result: Some(String::from_utf8_lossy(&job.args).into_owned()) }
        });
        let (outcome, _stop) = begin(&handler, invocation("[1]"));
        assert_eq!(outcome.await, Outcome::Success { result: Some("[1]".into()) });
    }

    #[tokio::test]
    async fn a_run_that_should_end_has_the_grace_and_is_dropped_when_that_is_over() {
        let (finish, finished) = tokio::sync::oneshot::channel::<()>();
        let finished = std::sync::Mutex::new(Some(finished));
        let handler = Function::new(move |_| {
            let finished = finished.lock().unwrap().take();
            async move {
                match finished {
                    Some(finished) => {
                        finished.await.map_or(Outcome::Interrupted, |()| Outcome::Success { result: None })
                    }
                    None => std::future::pending().await,
                }
            }
        });
        let (mut outcome, stop) = begin(&handler, invocation("[]"));
        stop.send_replace(Stop::Terminate);
        assert!(futures_util::poll!(outcome.as_mut()).is_pending(), "it may finish");
        finish.send(()).unwrap();
        assert_eq!(outcome.await, Outcome::Success { result: None });
        let (outcome, stop) = begin(&handler, invocation("[]"));
        stop.send_replace(Stop::Kill);
        assert_eq!(outcome.await, Outcome::Interrupted);
    }

    #[tokio::test]
    async fn a_function_that_asks_hears_that_it_should_end() {
        let handler = Function::with_stop(|_, mut stopping: Stopping| async move {
            stopping.wait().await;
            Outcome::Success { result: Some(format!("{:?}", stopping.now())) }
        });
        let (outcome, stop) = begin(&handler, invocation("[]"));
        stop.send_replace(Stop::Terminate);
        assert_eq!(outcome.await, Outcome::Success { result: Some("Terminate".into()) });
    }
}
