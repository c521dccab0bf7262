//! A scheduler over a fixture: its context, and the events that it emits.

use std::sync::Arc;
use std::time::Duration;

use windlass::config::element::crash_policy::OnCrash;
use windlass::event::{Bus, Event, Listener};
use windlass::plugin::ending::CrashPolicy;
use windlass::scheduler::{SchedulerConfig, SchedulerContext};
use windlass::store::instance::HostIdentity;
use windlass::task::load::load;

use crate::fixture::Fixture;

/// An instance's scheduler, and the events of it.
pub(crate) struct Scheduler {
    pub(crate) context: SchedulerContext,
    events: Listener,
}

impl Scheduler {
    /// One that knows the tasks of this file.
    pub(crate) async fn of(f: &Fixture, name: &str, tasks: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder must be had");
        if !tasks.is_empty() {
            std::fs::write(dir.path().join("tasks.toml"), tasks).expect("a new folder must be writable");
        }
        let loaded = load(dir.path(), &["noop"]);
        assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
        let (bus, mut events) = Bus::new(&[u32::MAX], 100_000);
        let policy = CrashPolicy { on_crash: OnCrash::Requeue, max_redeliveries: 25 };
        let mut config = SchedulerConfig::new(Arc::new(loaded.registry), policy);
        config.stuck_worker_timeout = Some(Duration::from_secs(3600));
        let host = HostIdentity {
            hostname: name.to_owned(),
            boot_id: "boot".to_owned(),
            pid_namespace: 1,
            pid: 1,
            started_ticks: 1,
        };
        let (store, config) = (f.handle().await.narrow(), config.without_reload());
        let mut context = SchedulerContext::new(store, config, format!("{name}-windlass:1"), host);
        context.clock = Arc::clone(&f.clock) as _;
        context.bus = bus;
        Self { context, events: events.remove(0) }
    }

    /// Its errors and warnings since the previous call.
    pub(crate) fn told(&self) -> Vec<String> {
        let mut told = Vec::new();
        while let Some(event) = self.events.try_next() {
            match event {
                Event::InternalError { error } => told.push(error),
                Event::Warning { text } => told.push(text),
                _ => {}
            }
        }
        told
    }
}
