//! The span of a request.

use std::sync::Arc;

use tokio::time::Instant;

use crate::clock::Clock;
use crate::handler::contract::Invocation;
use crate::job::trace::{HttpCall, RunTrace};
use crate::task::handler_spec::HttpSpec;

/// Where the requests of a task go, as spans show it. Path and query may hold secrets.
#[derive(Debug, Clone)]
pub(super) struct Server {
    method: String,
    host: String,
    port: u16,
}

impl Server {
    pub(super) fn of(spec: &HttpSpec) -> Self {
        Self { method: spec.method.to_string(), host: spec.url.host.clone(), port: spec.url.port }
    }
}

/// A request that is under way. However it ends, its span ends with it.
pub(super) struct TracedCall {
    trace: Arc<RunTrace>,
    server: Server,
    began: Instant,
    began_ms: i64,
    /// What the server answered.
    pub(super) status: Option<u16>,
}

impl TracedCall {
    /// Begins now, if the run is traced.
    pub(super) fn begin(server: &Server, job: &Invocation, clock: &dyn Clock) -> Option<Self> {
        let trace = job.trace.clone().filter(|trace| trace.context.sampled)?;
        Some(Self { trace, server: server.clone(), began: Instant::now(), began_ms: clock.now_ms(), status: None })
    }
}

impl Drop for TracedCall {
    fn drop(&mut self) {
        let Server { method, host, port } = self.server.clone();
        let (began_ms, duration, status) = (self.began_ms, self.began.elapsed(), self.status);
        self.trace.called(HttpCall { method, host, port, began_ms, duration, status });
    }
}
