//! The scheduler of a daemon, on a thread of its own, so that no handler delays it.

use std::io;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};

use super::extensions::Extensions;
use crate::config::Config;
use crate::scheduler::{self, SchedulerContext};
use crate::supervise::scope::{own_thread, until_told};

/// How long the scheduler may take to resign.
const RESIGN: Duration = Duration::from_secs(2);

/// The scheduler, if the configuration wants one.
pub(super) struct RunningScheduler {
    stop: watch::Sender<bool>,
    /// Closed when its thread ends.
    ended: Option<oneshot::Receiver<()>>,
}

impl RunningScheduler {
    /// Starts it.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(super) fn start(context: &SchedulerContext, config: &Config, extensions: &Extensions) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        if !config.scheduler {
            return Ok(Self { stop, ended: None });
        }
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (context, told) = (context.clone(), stopped.clone());
        let overriding = extensions.scheduler_of(&config.overrides).cloned();
        let (end, ended) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("scheduler".to_owned());
        let run = move || {
            own_thread("the scheduler");
            let running = match overriding {
                Some(scheduler) => scheduler(context, stopped),
                None => Box::pin(scheduler::run(context, stopped)),
            };
            runtime.block_on(until_told("the scheduler", running, move || *told.borrow()));
            // Its connections are closed in the background, and the thread does not wait for that.
            runtime.shutdown_background();
            drop(end);
        };
        thread.spawn(run)?;
        Ok(Self { stop, ended: Some(ended) })
    }

    /// Lets it resign and end.
    pub(super) async fn end(self) {
        self.stop.send_replace(true);
        if let Some(ended) = self.ended {
            // If it does not resign in time, its leadership expires.
            let _ = tokio::time::timeout(RESIGN, ended).await;
        }
    }
}
