//! What the pool works by: configuration and tasks. A reload replaces both.

use std::cell::{Cell, Ref, RefCell};
use std::sync::Arc;
use std::time::Duration;

use super::control::Work;
use crate::config::Config;
use crate::handler::dispatch::Dispatch;
use crate::job::TaskName;
#[cfg(feature = "otel")]
use crate::job::trace::Sampler;
use crate::plugin::ending::CrashPolicy;
use crate::task::load::BrokenTasks;

/// The settings in force.
pub(super) struct Settings {
    config: RefCell<Arc<Config>>,
    dispatch: RefCell<Arc<Dispatch>>,
    broken: RefCell<Arc<BrokenTasks>>,
    policy: Cell<CrashPolicy>,
    kill_grace: Cell<Duration>,
    #[cfg(feature = "otel")]
    sampler: Cell<Option<Sampler>>,
}

impl Settings {
    pub(super) fn new(work: &Work) -> Self {
        Self {
            config: RefCell::new(Arc::clone(&work.config)),
            dispatch: RefCell::new(Arc::clone(&work.dispatch)),
            broken: RefCell::new(Arc::clone(&work.broken)),
            policy: Cell::new(policy(&work.config)),
            kill_grace: Cell::new(work.config.shutdown.kill_grace),
            #[cfg(feature = "otel")]
            sampler: Cell::new(work.config.otel.as_ref().map(|otel| otel.sampler)),
        }
    }

    /// These are in force from now on.
    pub(super) fn replace(&self, work: &Work) {
        let new = Self::new(work);
        #[cfg(feature = "otel")]
        self.sampler.swap(&new.sampler);
        let Self { config, dispatch, broken, policy, kill_grace, .. } = new;
        self.broken.swap(&broken);
        self.config.swap(&config);
        self.dispatch.swap(&dispatch);
        self.policy.swap(&policy);
        self.kill_grace.swap(&kill_grace);
    }

    pub(super) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.borrow())
    }

    pub(super) fn dispatch(&self) -> Ref<'_, Arc<Dispatch>> {
        self.dispatch.borrow()
    }

    /// Is this class perhaps a task that is skipped because its file has mistakes?
    pub(super) fn may_be_skipped(&self, class: &TaskName) -> bool {
        self.broken.borrow().may_hold(class)
    }

    /// What happens to a job whose run is cut off.
    pub(super) fn policy(&self) -> CrashPolicy {
        self.policy.get()
    }

    /// Which runs are traced; `None`: none.
    #[cfg(feature = "otel")]
    pub(super) fn sampler(&self) -> Option<Sampler> {
        self.sampler.get()
    }

    /// How long a run may take to end after it was asked to.
    pub(super) fn kill_grace(&self) -> Duration {
        self.kill_grace.get()
    }
}

fn policy(config: &Config) -> CrashPolicy {
    CrashPolicy { on_crash: config.on_crash, max_redeliveries: config.max_redeliveries }
}
