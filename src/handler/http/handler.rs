//! One job: a request, an answer, an outcome.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{SemaphorePermit, watch};
use tokio::time::{Instant, timeout};

use super::connect::{Connector, SystemTrust};
use super::connection_pool::ConnectionPool;
use super::request::RequestTemplate;
use super::response::{self, BodyEnd, FAILURE_CAP, RESULT_CAP, StatusMeaning, judge};
#[cfg(feature = "otel")]
use super::traced::{Server, TracedCall};
use super::transport_error::TransportError;
use crate::clock::Clock;
use crate::handler::contract::{Handler, Invocation, StartedRun, Stop, stopped};
use crate::job::{Failure, Outcome};
use crate::task::handler_spec::{HttpSpec, RetryLater};

/// How long to wait for the body of a response whose status already decided the outcome.
const PATIENCE: Duration = Duration::from_secs(5);

/// The handler of a task with `http = "..."`.
#[derive(Clone)]
pub(crate) struct Http(Arc<HttpClient>);

/// What the jobs of a task share.
struct HttpClient {
    template: RequestTemplate,
    pool: Arc<ConnectionPool>,
    clock: Arc<dyn Clock>,
    origin: String,
    keep_body: bool,
    later: RetryLater,
    #[cfg(feature = "otel")]
    server: Server,
}

impl Http {
    /// Makes the handler that `[run]` describes.
    ///
    /// # Errors
    /// Says what is missing: a secret that could not be read when the task was loaded.
    pub(crate) fn new(spec: &HttpSpec, system: SystemTrust, clock: Arc<dyn Clock>) -> Result<Self, String> {
        Ok(Self(Arc::new(HttpClient {
            template: RequestTemplate::new(spec)?,
            pool: ConnectionPool::new(Connector::new(spec, system)?, spec.connections),
            clock,
            origin: spec.url.origin(),
            keep_body: spec.keep_body,
            later: spec.later,
            #[cfg(feature = "otel")]
            server: Server::of(spec),
        })))
    }
}

impl Handler for Http {
    fn begin(&self, job: Invocation, mut stop: watch::Receiver<Stop>) -> StartedRun {
        let client = Arc::clone(&self.0);
        let late = job.task.timeout.map(|timeout| Instant::now() + timeout);
        StartedRun::Running(Box::pin(async move {
            // A run whose request has not been sent ends as soon as it is asked to.
            let slot = tokio::select! {
                biased;
                _ = stopped(&mut stop, Stop::No) => return Outcome::Interrupted,
                slot = client.pool.acquire() => slot,
            };
            tokio::select! {
                biased;
                () = given_up(&mut stop, late) => Outcome::Interrupted,
                outcome = client.perform(slot, &job) => outcome,
            }
        }))
    }
}

/// Waits until a response no longer counts. After TERM that is the end of the grace, because a response within the
/// grace saves a second run. After a timeout it is at once, because the response no longer counts.
async fn given_up(stop: &mut watch::Receiver<Stop>, late: Option<Instant>) {
    let asked = stopped(stop, Stop::No).await;
    if asked == Stop::Terminate && late.is_none_or(|late| Instant::now() < late) {
        stopped(stop, Stop::Terminate).await;
    }
}

impl HttpClient {
    async fn perform(&self, slot: Result<SemaphorePermit<'_>, TransportError>, job: &Invocation) -> Outcome {
        match self.exchange(slot, job).await {
            Ok(outcome) => outcome,
            Err(TransportError::ClaimDoubted) => Outcome::ClaimDoubted,
            Err(TransportError::Short(why)) => Outcome::NotStarted(format!("{}: {why}", self.origin)),
            Err(error) => Outcome::Failure(error.failure(&self.origin)),
        }
    }

    async fn exchange(
        &self,
        slot: Result<SemaphorePermit<'_>, TransportError>,
        job: &Invocation,
    ) -> Result<Outcome, TransportError> {
        #[cfg(feature = "otel")]
        let mut call = TracedCall::begin(&self.server, job, &*self.clock);
        let request = self.template.request(job, self.now_s());
        let (response, mut lease) = self.pool.send(slot?, request, &job.lease).await?;
        let (head, mut body) = response.into_parts();
        #[cfg(feature = "otel")]
        if let Some(call) = &mut call {
            call.status = Some(head.status.as_u16());
        }
        let meaning = judge(head.status, &head.headers, job.identity.later, self.later, self.now_s());
        let mut kept = Vec::new();
        if meaning == StatusMeaning::Done {
            // Only a complete response means done. A response that broke off may have broken off in the middle of the
            // work.
            let keep = if self.keep_body { RESULT_CAP } else { 0 };
            match response::read(&mut lease, &mut body, keep, &mut kept).await {
                BodyEnd::Whole => lease.keep().await,
                BodyEnd::Long => drop(lease),
                BodyEnd::Broken(error) => return Err(TransportError::of_exchange(&error)),
            }
            return Ok(Outcome::Success { result: self.keep_body.then(|| response::text(kept)) });
        }
        let read = response::read(&mut lease, &mut body, FAILURE_CAP, &mut kept);
        if matches!(timeout(PATIENCE, read).await, Ok(BodyEnd::Whole)) {
            lease.keep().await;
        }
        Ok(match meaning {
            StatusMeaning::Done => Outcome::Success { result: None },
            StatusMeaning::Later(delay) => Outcome::Later { delay, tail: Vec::new() },
            StatusMeaning::Failed(why) => {
                let failure = Failure::new("HttpStatus", format!("{} answered {why}", self.origin));
                Outcome::Failure(failure.with_backtrace(response::lines(kept)))
            }
        })
    }

    fn now_s(&self) -> i64 {
        self.clock.now_ms().div_euclid(1000)
    }
}
