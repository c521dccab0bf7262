//! Watches a run: it ends in time, and a panic in it fails only its job.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::slots::urge;
use crate::handler::contract::Stop;
use crate::job::{Failure, Outcome};
use crate::supervise::scope::{contained_future, message};

/// Awaits a run; stops it when it takes too long; turns a panic into a failure.
pub(super) async fn watched(
    run: BoxFuture<'_, Outcome>,
    stop: &watch::Sender<Stop>,
    timeout: Option<Duration>,
    grace: Duration,
) -> Outcome {
    let mut run = pin!(contained_future(run));
    let flatten = |ended: std::thread::Result<Outcome>| match ended {
        Ok(outcome) => outcome,
        Err(panic) => Outcome::Failure(panicked(&*panic)),
    };
    let Some(limit) = timeout else { return flatten(run.await) };
    if let Ok(ended) = tokio::time::timeout(limit, run.as_mut()).await {
        return flatten(ended);
    }
    urge(stop, Stop::Terminate);
    let ended = match tokio::time::timeout(grace, run.as_mut()).await {
        Ok(ended) => ended,
        Err(_) => {
            urge(stop, Stop::Kill);
            run.await
        }
    };
    timed_out(limit, ended.ok())
}

/// The outcome of a run that took too long, whatever it reported. Its last words are kept.
pub(super) fn timed_out(limit: Duration, ended: Option<Outcome>) -> Outcome {
    let failure = Failure::new("Timeout", format!("timed out after {}", humantime::format_duration(limit)));
    Outcome::Failure(match ended {
        Some(Outcome::Stopped { tail }) => failure.with_backtrace(tail),
        Some(Outcome::Failure(before)) => failure.with_backtrace(before.backtrace),
        _ => failure,
    })
}

/// The failure of a run whose handler panicked.
pub(super) fn panicked(panic: &(dyn std::any::Any + Send)) -> Failure {
    Failure::new("Panic", format!("the handler panicked: {}", message(panic)))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_run_that_takes_too_long_is_stopped_and_fails() {
        for (yields_to, wanted) in [(Stop::Terminate, Stop::Terminate), (Stop::Kill, Stop::Kill)] {
            let stop = watch::Sender::new(Stop::No);
            let mut told = stop.subscribe();
            let run = async move {
                told.wait_for(|now| *now >= yields_to).await.expect("the sender must live");
                Outcome::Success { result: None }
            };
            let seconds = Duration::from_secs;
            let outcome = watched(run.boxed(), &stop, Some(seconds(60)), seconds(5)).await;
            let Outcome::Failure(failure) = outcome else { panic!("{outcome:?}") };
            assert_eq!((failure.exception.as_str(), failure.error.as_str()), ("Timeout", "timed out after 1m"));
            assert_eq!(*stop.borrow(), wanted);
        }
    }

    #[tokio::test]
    async fn a_panic_is_a_failure_of_the_job_alone() {
        let stop = watch::Sender::new(Stop::No);
        let outcome = watched(async { panic!("boom") }.boxed(), &stop, None, Duration::ZERO).await;
        assert!(matches!(outcome, Outcome::Failure(failure) if failure.error.ends_with("boom")));
    }
}
