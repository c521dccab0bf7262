//! A handler made of an async function.

use std::future::Future;
use std::marker::PhantomData;

use tokio::sync::watch;

use super::contract::{Begun, Handler, Invocation, Stop, stopped};
use crate::job::Outcome;

/// A handler made of a function from a job to a future of its outcome.
///
/// The future is dropped when its run is to end at once, and the run counts as interrupted; whoever wants to tidy up
/// before that implements [`Handler`] instead.
pub struct Function<F, R> {
    function: F,
    future: PhantomData<fn() -> R>,
}

impl<F, R> Function<F, R> {
    /// The handler of a function.
    pub fn new(function: F) -> Self {
        Self { function, future: PhantomData }
    }
}

impl<F, R> Handler for Function<F, R>
where
    F: Fn(Invocation) -> R + Send + Sync,
    R: Future<Output = Outcome> + Send + 'static,
{
    fn begin(&self, job: Invocation, mut stop: watch::Receiver<Stop>) -> Begun {
        let run = (self.function)(job);
        Begun::Running(Box::pin(async move {
            tokio::select! {
                outcome = run => outcome,
                _ = stopped(&mut stop, Stop::No) => Outcome::Interrupted,
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
    async fn a_run_that_is_to_end_is_dropped() {
        let handler = Function::new(|_| std::future::pending::<Outcome>());
        let (outcome, stop) = begin(&handler, invocation("[]"));
        stop.send_replace(Stop::Terminate);
        assert_eq!(outcome.await, Outcome::Interrupted);
    }
}
