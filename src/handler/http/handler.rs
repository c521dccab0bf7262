//! One job: a request, an answer, an outcome.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::answer::{self, End, FAILURE_CAP, RESULT_CAP, Verdict, judge};
use super::connect::{Connector, SystemTrust};
use super::pool::Pool;
use super::request::Template;
use super::trouble::Trouble;
use crate::clock::Clock;
use crate::handler::contract::{Begun, Handler, Invocation, Stop, stopped};
use crate::job::{Failure, Outcome};
use crate::task::handler_spec::{HttpSpec, Later};

/// How long the body of an answer is waited for that decided already by its status.
const PATIENCE: Duration = Duration::from_secs(5);

/// The handler of a task with `http = "..."`.
#[derive(Clone)]
pub struct Http(Arc<Client>);

/// What the jobs of a task share.
struct Client {
    template: Template,
    pool: Arc<Pool>,
    clock: Arc<dyn Clock>,
    origin: String,
    keep_body: bool,
    later: Later,
}

impl Http {
    /// A handler as `[run]` says it.
    ///
    /// # Errors
    /// Says what it lacks: a secret that could not be had when the task was loaded.
    pub fn new(spec: &HttpSpec, system: SystemTrust, clock: Arc<dyn Clock>) -> Result<Self, String> {
        Ok(Self(Arc::new(Client {
            template: Template::new(spec)?,
            pool: Pool::new(Connector::new(spec, system)?, spec.connections),
            clock,
            origin: spec.url.origin(),
            keep_body: spec.keep_body,
            later: spec.later,
        })))
    }
}

impl Handler for Http {
    fn begin(&self, job: Invocation, mut stop: watch::Receiver<Stop>) -> Begun {
        let client = Arc::clone(&self.0);
        Begun::Running(Box::pin(async move {
            tokio::select! {
                biased;
                _ = stopped(&mut stop, Stop::No) => Outcome::Interrupted,
                outcome = client.perform(&job) => outcome,
            }
        }))
    }
}

impl Client {
    async fn perform(&self, job: &Invocation) -> Outcome {
        self.exchange(job).await.unwrap_or_else(|trouble| Outcome::Failure(trouble.failure(&self.origin)))
    }

    async fn exchange(&self, job: &Invocation) -> Result<Outcome, Trouble> {
        let request = self.template.request(job, self.now_s());
        let (response, mut lease) = self.pool.send(request).await?;
        let (head, mut body) = response.into_parts();
        let verdict = judge(head.status, &head.headers, job.identity.later, self.later, self.now_s());
        let mut kept = Vec::new();
        if verdict == Verdict::Done {
            // Done is what was told to its end: what broke off may have broken off in the middle of the work.
            let keep = if self.keep_body { RESULT_CAP } else { 0 };
            match answer::read(&mut lease, &mut body, keep, &mut kept).await {
                End::Whole => lease.keep().await,
                End::Long => drop(lease),
                End::Broken(error) => return Err(Trouble::of_exchange(&error)),
            }
            return Ok(Outcome::Success { result: self.keep_body.then(|| answer::text(kept)) });
        }
        let read = answer::read(&mut lease, &mut body, FAILURE_CAP, &mut kept);
        if matches!(timeout(PATIENCE, read).await, Ok(End::Whole)) {
            lease.keep().await;
        }
        Ok(match verdict {
            Verdict::Done => Outcome::Success { result: None },
            Verdict::Later(delay) => Outcome::Later { delay },
            Verdict::Failed(why) => Outcome::Failure(Failure {
                exception: "HttpStatus".to_owned(),
                error: format!("{} answered {why}", self.origin),
                backtrace: answer::lines(kept),
            }),
        })
    }

    fn now_s(&self) -> i64 {
        self.clock.now_ms().div_euclid(1000)
    }
}
