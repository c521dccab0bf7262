//! What metrics know of this process beside the tally: rare things, counted where they happen, and states.
//!
//! Every room reaches them through the [bus](super::bus::Bus::figures), as it reaches the log. Nothing here is touched for each
//! job, and nobody is asked anything unless somebody [watches](Figures::watch).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::children::{Children, ChildrenOf, TaskChildren};
use super::question::PoolQuestion;
use crate::job::TaskName;

/// Whose jobs were recovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Those of a dead instance.
    Windlass,
    /// That of a worker of another program which fell silent.
    Other,
}

/// A leadership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lead {
    /// Of promotion, which is shared with node-resque.
    Scheduler,
    /// Of recovery and periodic tasks.
    Duties,
}

/// The figures of a process. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Figures(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    watched: AtomicBool,
    leases_lost: AtomicU64,
    outages_over: AtomicU64,
    recovered: [AtomicU64; 2],
    leads: [AtomicBool; 2],
    reload: Mutex<Reload>,
    children: Children,
    pool: PoolQuestion,
}

/// How the last reload ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reload {
    /// The last one failed, and what was read before is in force.
    pub is_refused: bool,
    /// When files were taken over last, in milliseconds since the Unix epoch.
    pub taken_over_ms: i64,
}

/// The figures at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// How often the lease of this process was lost.
    pub leases_lost: u64,
    /// How often the store answered again after it was away.
    pub outages_over: u64,
    /// How many jobs it recovered: of dead instances, of other programs.
    pub recovered: [u64; 2],
    /// What it leads: promotion, duties.
    pub leads: [bool; 2],
    /// How the last reload ended.
    pub reload: Reload,
    /// The children of each task.
    pub children: Vec<ChildrenOf>,
}

impl Figures {
    /// Somebody reads them from now on.
    pub fn watch(&self) {
        self.0.watched.store(true, Ordering::Relaxed);
    }

    /// Does somebody read them?
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.0.watched.load(Ordering::Relaxed)
    }

    /// This instance was declared dead.
    pub fn lease_lost(&self) {
        self.0.leases_lost.fetch_add(1, Ordering::Relaxed);
    }

    /// The store answers again.
    pub fn outage_over(&self) {
        self.0.outages_over.fetch_add(1, Ordering::Relaxed);
    }

    /// A job was recovered.
    pub fn recovered(&self, whose: Whose) {
        self.0.recovered[whose as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// This instance leads, or leads no more.
    pub fn lead(&self, what: Lead, leads: bool) {
        self.0.leads[what as usize].store(leads, Ordering::Relaxed);
    }

    /// The files were read and are in force.
    pub fn taken_over(&self, now_ms: i64) {
        *self.reload() = Reload { is_refused: false, taken_over_ms: now_ms };
    }

    /// A reload was refused.
    pub fn reload_refused(&self) {
        self.reload().is_refused = true;
    }

    /// Where the children of a task are counted.
    #[must_use]
    pub fn children_of(&self, task: &TaskName) -> Arc<TaskChildren> {
        self.0.children.of(task)
    }

    /// What the pool is asked.
    #[must_use]
    pub fn pool(&self) -> &PoolQuestion {
        &self.0.pool
    }

    /// Reads them.
    #[must_use]
    pub fn read(&self) -> Seen {
        let Shared { leases_lost, outages_over, recovered, leads, .. } = &*self.0;
        Seen {
            leases_lost: leases_lost.load(Ordering::Relaxed),
            outages_over: outages_over.load(Ordering::Relaxed),
            recovered: recovered.each_ref().map(|count| count.load(Ordering::Relaxed)),
            leads: leads.each_ref().map(|leads| leads.load(Ordering::Relaxed)),
            reload: *self.reload(),
            children: self.0.children.read(),
        }
    }

    fn reload(&self) -> std::sync::MutexGuard<'_, Reload> {
        self.0.reload.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_figure_counts_for_itself() {
        let figures = Figures::default();
        figures.clone().lease_lost();
        (0..2).for_each(|_| figures.outage_over());
        (0..3).for_each(|_| figures.recovered(Whose::Windlass));
        figures.recovered(Whose::Other);
        figures.lead(Lead::Duties, true);
        figures.taken_over(7);
        figures.reload_refused();
        let seen = figures.read();
        assert_eq!((seen.leases_lost, seen.outages_over, seen.recovered, seen.leads), (1, 2, [3, 1], [false, true]));
        assert_eq!(seen.reload, Reload { is_refused: true, taken_over_ms: 7 });
        figures.taken_over(9);
        assert_eq!(figures.read().reload, Reload { is_refused: false, taken_over_ms: 9 });
    }
}
