//! The spans of one run of a job.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ring::digest::{SHA256, digest};

use super::beside::JobTrace;
use super::context::{SpanId, TraceContext};
use super::sampler::Sampler;
use crate::job::identity::{ClaimToken, Identity};

/// The request of an `http` handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpCall {
    /// GET, POST, ...
    pub method: String,
    /// The server's name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// When it began, in milliseconds since the Unix epoch.
    pub began_ms: i64,
    /// How long it took.
    pub duration: Duration,
    /// What the server answered; `None`: nothing.
    pub status: Option<u16>,
}

/// What is known of a run for its spans. Whoever runs the job and whoever writes the spans share it.
#[derive(Debug)]
#[non_exhaustive]
pub struct RunTrace {
    /// The span of the run.
    pub context: TraceContext,
    /// The span that it continues.
    pub parent: Option<SpanId>,
    /// Since when the job waited, on its first run.
    pub waited_since_ms: Option<i64>,
    /// When it was claimed, in milliseconds since the Unix epoch.
    pub claimed_ms: i64,
    /// Who the job is on this run.
    pub identity: Identity,
    /// Which run it is.
    pub claim: ClaimToken,
    /// When the handler began; 0: not yet.
    began_ms: AtomicI64,
    call: OnceLock<HttpCall>,
}

impl RunTrace {
    /// The trace of this run, claimed now. A job that nobody enqueued inside of a trace begins one with its first run; later
    /// runs continue it.
    #[must_use]
    pub fn begin(identity: &Identity, claim: &ClaimToken, sampler: Sampler, now_ms: i64) -> Self {
        let beside = JobTrace::of_id(&identity.id);
        let (own, first) = (Hash::of(claim.as_str()), Hash::of(&identity.id));
        let (trace, parent, span) = match &beside {
            Some(JobTrace { context, .. }) => (context.trace, Some(context.span), own.span()),
            None if identity.is_first_run() => (first.trace(), None, first.span()),
            None => (first.trace(), Some(first.span()), own.span()),
        };
        let sampled = sampler.samples(&trace, beside.map(|beside| beside.context.sampled));
        Self {
            context: TraceContext { trace, span, sampled },
            parent,
            waited_since_ms: beside.filter(|_| identity.is_first_run()).map(|beside| beside.since_ms),
            claimed_ms: now_ms,
            identity: identity.clone(),
            claim: claim.clone(),
            began_ms: AtomicI64::new(0),
            call: OnceLock::new(),
        }
    }

    /// The handler begins now.
    pub fn has_begun(&self, now_ms: i64) {
        self.began_ms.store(now_ms, Ordering::Relaxed);
    }

    /// When the handler began, if it did.
    #[must_use]
    pub fn began_ms(&self) -> Option<i64> {
        Some(self.began_ms.load(Ordering::Relaxed)).filter(|&began| began != 0)
    }

    /// The span of the time that the job waited before.
    #[must_use]
    pub fn wait_span(&self) -> SpanId {
        Hash::of(&format!("wait {}", self.claim)).span()
    }

    /// The span of the handler's request.
    #[must_use]
    pub fn call_context(&self) -> TraceContext {
        TraceContext { span: Hash::of(&format!("call {}", self.claim)).span(), ..self.context }
    }

    /// The handler's request has ended. The first one counts.
    pub fn called(&self, call: HttpCall) {
        // A handler makes one request a run.
        let _ = self.call.set(call);
    }

    /// The handler's request, if there was one.
    #[must_use]
    pub fn call(&self) -> Option<&HttpCall> {
        self.call.get()
    }
}

/// Ids that follow from a text. Claims and ids of jobs are unique, so these are.
struct Hash([u8; 32]);

impl Hash {
    fn of(text: &str) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
        Self(bytes)
    }

    fn trace(&self) -> [u8; 16] {
        let mut id = [0; 16];
        id.copy_from_slice(&self.0[..16]);
        id
    }

    fn span(&self) -> [u8; 8] {
        let mut id = [0; 8];
        id.copy_from_slice(&self.0[16..24]);
        id
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn claim(n: u64) -> ClaimToken {
        ClaimToken::new("854a3ab873f5a70a", 0, n, 0)
    }

    fn begin(identity: &Identity, n: u64) -> RunTrace {
        RunTrace::begin(identity, &claim(n), Sampler::default(), 7)
    }

    #[test]
    fn the_runs_of_a_job_are_one_trace() {
        let job = Identity::first(&claim(1));
        let (first, second, third) = (begin(&job, 1), begin(&job.next_attempt(), 2), begin(&job.redelivered(), 3));
        assert_eq!((first.parent, first.waited_since_ms), (None, None));
        for later in [&second, &third] {
            assert_eq!((later.context.trace, later.parent), (first.context.trace, Some(first.context.span)));
            assert_ne!(later.context.span, first.context.span);
        }
        assert_ne!(second.context.span, third.context.span);
        assert_ne!(begin(&Identity::first(&claim(4)), 4).context.trace, first.context.trace, "another job");
    }

    #[test]
    fn a_run_continues_the_trace_that_its_job_was_enqueued_in() {
        let context = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00").unwrap();
        let id = JobTrace { context, since_ms: 5 }.beside("854a3ab873f5a70a");
        let job = Identity { id: Arc::clone(&id), ..Identity::tracked("") };
        let (first, second) = (begin(&job, 1), begin(&job.next_attempt(), 2));
        assert_eq!((first.context.trace, first.parent), (context.trace, Some(context.span)));
        assert_eq!((second.context.trace, second.parent), (context.trace, Some(context.span)));
        assert!(!first.context.sampled, "who began the trace does not record it");
        assert_eq!((first.waited_since_ms, second.waited_since_ms), (Some(5), None));
        let spans = [first.context.span, second.context.span, first.wait_span(), first.call_context().span];
        assert!(spans.iter().enumerate().all(|(n, span)| !spans[..n].contains(span)), "{spans:?}");
    }
}
