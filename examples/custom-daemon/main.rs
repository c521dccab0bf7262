//! A daemon of one's own: everything that `windlass` can, with a handler, a plugin and a queue operation in Rust.
//!
//! ```text
//! cd examples/custom-daemon
//! cargo run --example custom-daemon                                    # the daemon
//! cargo run --example custom-daemon -- enqueue greet --args '{"name":"Ada"}'
//! cargo run --example custom-daemon -- enqueue greet --args '{"name":"Bob","urgent":true}'
//! ```

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use windlass::job::PayloadView;
use windlass::prelude::*;
use windlass::store::layer::{Layered, StoreLayer};
use windlass::store::queueing::{Enqueue, Enqueued};
use windlass::store::{Store, StoreError};

fn main() -> ExitCode {
    Program::new()
        .handler_fn("greet", greet)
        .plugin("Polite", Polite)
        .queue("front", |store| Arc::new(Layered(FrontQueue { store })))
        .main()
}

/// What `greet` is enqueued with.
#[derive(serde::Deserialize)]
struct Inputs {
    name: String,
}

/// A handler: `builtin = "greet"` in a task file. Arguments that do not fit `Inputs` fail the job before it begins.
async fn greet(context: Context, Json(inputs): Json<Inputs>) -> Result<String, std::fmt::Error> {
    context.progress(50, "thinking of something nice");
    Ok(format!("Hello, {}!", inputs.name))
}

/// A plugin: `plugins = ["Polite"]` in a task file. It lets nobody be greeted without a name.
struct Polite;

#[async_trait]
impl Hook for Polite {
    async fn before_enqueue(&self, job: &HookJob) -> Result<Decision, HookError> {
        let arguments = String::from_utf8_lossy(&job.args);
        if arguments.contains("\"name\":\"\"") {
            return Ok(Decision::Deny { reason: "nobody is called that".to_owned() });
        }
        Ok(Decision::Allow)
    }
}

/// A queue with one operation more: `queue = "front"` under `[resque_overrides]`.
struct FrontQueue {
    store: Arc<dyn Store>,
}

impl FrontQueue {
    /// The operation: to the head of the queue instead of its end.
    async fn enqueue_front(&self, job: &Enqueue) -> Result<Vec<Enqueued>, StoreError> {
        self.store.enqueue(&[Enqueue { front: true, ..job.clone() }]).await
    }
}

#[async_trait]
impl StoreLayer for FrontQueue {
    fn inner(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// What says that it is urgent goes to the front, everything else where it always went.
    async fn enqueue(&self, jobs: &[Enqueue]) -> Result<Vec<Enqueued>, StoreError> {
        let mut enqueued = Vec::with_capacity(jobs.len());
        for job in jobs {
            enqueued.extend(if is_urgent(&job.payload) {
                self.enqueue_front(job).await?
            } else {
                self.store.enqueue(std::slice::from_ref(job)).await?
            });
        }
        Ok(enqueued)
    }
}

fn is_urgent(payload: &[u8]) -> bool {
    PayloadView::parse(payload).is_ok_and(|job| job.args().contains("\"urgent\":true"))
}
