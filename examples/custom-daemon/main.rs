//! Your own daemon: everything that `windlass` has, with a handler, a plugin and a store layer in Rust.
//!
//! ```text
//! cd examples/custom-daemon
//! cargo run --example custom-daemon                                    # the daemon
//! cargo run --example custom-daemon -- enqueue greet --args '{"name":"Ada"}'
//! cargo run --example custom-daemon -- enqueue greet --args '{"name":"Bob","urgent":true}'
//! ```

use std::process::ExitCode;

use async_trait::async_trait;
use windlass::job::PayloadView;
use windlass::prelude::*;
use windlass::store::StoreError;
use windlass::store::layer::{AnyArrow, AnyReply, Layer, Next};
use windlass::store::queueing::EnqueueBatch;

fn main() -> ExitCode {
    Program::new().handler_fn("greet", greet).plugin("Polite", Polite).queue("front", UrgentFirst).main()
}

/// The arguments of `greet`.
#[derive(serde::Deserialize)]
struct Inputs {
    name: String,
}

/// A handler: `builtin = "greet"` in a task file. Arguments that do not fit `Inputs` fail the job before it begins.
async fn greet(context: Context, Json(inputs): Json<Inputs>) -> Result<String, std::fmt::Error> {
    context.progress(50, "thinking of something nice");
    Ok(format!("Hello, {}!", inputs.name))
}

/// A plugin: `plugins = ["Polite"]` in a task file. It refuses a greeting without a name.
struct Polite;

#[async_trait]
impl Hook for Polite {
    async fn before_enqueue(&self, job: &HookJob) -> Result<Decision, HookError> {
        let arguments = String::from_utf8_lossy(&job.args);
        if arguments.contains("\"name\":\"\"") {
            return Ok(Decision::deny("nobody is called that"));
        }
        Ok(Decision::Allow)
    }
}

/// A layer over the store: `queue = "front"` under `[resque_overrides]`. A job that is marked as urgent goes to the
/// head of its queue instead of its end; everything else passes unchanged.
struct UrgentFirst;

#[async_trait]
impl Layer for UrgentFirst {
    async fn around(&self, mut arrow: AnyArrow, mut next: Next<'_>) -> Result<AnyReply, StoreError> {
        if let Some(batch) = arrow.get_mut::<EnqueueBatch>() {
            for job in &mut batch.jobs {
                job.front |= is_urgent(&job.payload);
            }
        }
        next.pass(arrow).await
    }
}

fn is_urgent(payload: &[u8]) -> bool {
    PayloadView::parse(payload).is_ok_and(|job| job.args().contains("\"urgent\":true"))
}
