//! Taking over what a reload has brought, while jobs run.
//!
//! What runs keeps the definition it began with. Where the queues have changed, so have the processors' names, and each
//! gets its new one when it is idle; first the store must have the new list on our record, beside the old one, so that
//! whoever finds us dead looks for our jobs under both. The old name goes before the new one comes: they share a ping.

use std::sync::Arc;

use super::control::Work;
use super::core::Core;
use super::slots::{Slot, State};
use crate::config::Config;
use crate::job::WorkerName;
use crate::plugin::ending::CrashPolicy;
use crate::store::instance::InstanceRecord;

/// What an instance says of itself when it works by this.
pub(super) fn bring_up_to_date(record: &mut InstanceRecord, work: &Work) {
    record.change_queues(work.config.queues.as_configured());
    // The highest number that any worker ever had.
    record.processors = record.processors.max(work.config.max_task_processors);
    record.periodic = work.periodic.to_vec();
}

/// The crash policy of a configuration.
pub(super) fn policy(config: &Config) -> CrashPolicy {
    CrashPolicy { on_crash: config.on_crash, max_redeliveries: config.max_redeliveries }
}

impl Core {
    /// The configuration at present.
    pub(super) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.borrow())
    }

    /// Works by this from now on.
    pub(super) fn adopt(&self, work: &Work) {
        let Work { config, dispatch, .. } = work;
        *self.config.borrow_mut() = Arc::clone(config);
        *self.dispatch.borrow_mut() = Arc::clone(dispatch);
        self.policy.set(policy(config));
        self.kill_grace.set(config.shutdown.kill_grace);
        self.unknown.borrow_mut().clear();
        {
            self.lease.change_record(|record| bring_up_to_date(record, work));
            let record = self.lease.record();
            for slot in self.slots.borrow_mut().iter_mut() {
                slot.stale = slot.nameless || slot.worker != record.worker(slot.number);
            }
        }
        if *self.patterns.borrow() != config.queues {
            *self.queues.borrow_mut() = config.queues.resolve(&self.known.borrow()).into();
            *self.patterns.borrow_mut() = config.queues.clone();
        }
        self.look_anew.notify_one();
        self.reconsider.notify_one();
        self.hunger.notify_all();
    }

    /// Takes their names from idle processors that are to have new ones: number, present name, new name.
    pub(super) fn unname(&self) -> Vec<(usize, WorkerName, WorkerName)> {
        let record = self.lease.record();
        let mut slots = self.slots.borrow_mut();
        let idle = slots.iter_mut().filter(|slot| slot.stale && !slot.retiring && matches!(slot.state, State::Idle));
        let unname = |slot: &mut Slot| {
            slot.nameless = true;
            (slot.number, slot.worker.clone(), record.worker(slot.number))
        };
        idle.map(unname).collect()
    }

    /// Gives a processor the name under which it is registered by now. Should another reload have come between, it is
    /// to have yet another.
    pub(super) fn name(&self, number: usize, worker: &WorkerName) {
        let wanted = self.lease.record().worker(number);
        if let Some(slot) = self.slots.borrow_mut().get_mut(number) {
            slot.worker = worker.clone();
            slot.stale = *worker != wanted;
            slot.nameless = slot.stale;
        }
    }
}
