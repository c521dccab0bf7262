//! Who is there, what is paused, who leads and what runs, read once.

use std::collections::{HashMap, HashSet};

use super::cause::{Cause, Finding};
use super::foreign::{Foreign, patterns};
use super::unread::Unread;
use crate::admin::error::AdminError;
use crate::admin::overview::{LeaderView, leader};
use crate::admin::queue_wait::{QueueWait, Waits};
use crate::admin::room::{Shortage, shortages};
use crate::admin::worker_page::Room;
use crate::config::element::queues::QueuePatterns;
use crate::job::{QueueName, TaskName, WorkerName, date};
use crate::process::sweep;
use crate::store::handle::Store;
use crate::store::inspection::{Paused, Queues, QueuesFound, ReadPaused};
use crate::store::instance::{Halt, HostIdentity, InstanceRecord, Instances};
use crate::store::role::Admin;
use crate::store::room::ReadRoom;
use crate::store::scheduling::ReadTime;
use crate::store::workers::{ReadWorkers, Registered, WorkerNames};
use crate::store::working::WorkingRecord;

/// How many workers and queues are read at most.
const MOST: usize = 5000;
/// How many workers are read together: each may hold a job of any length.
const READ: usize = 64;
/// How old a ping may be at least, however short the lease is: an idle worker is pinged every 5 s.
const LEAST_MS: i64 = 7000;

/// The facts.
pub(super) struct Fleet {
    /// The store's time.
    pub(super) now_ms: i64,
    pub(super) paused: Paused,
    pub(super) instances: Vec<InstanceFacts>,
    pub(super) foreign: Foreign,
    /// Who is there could not be read: it is not known who works on a queue.
    pub(super) blind: bool,
    /// `None`: that could not be read.
    pub(super) leader: Option<LeaderView>,
    pub(super) runs: Vec<RunFacts>,
    /// The queues that hold jobs, and how many.
    pub(super) queues: Vec<(QueueName, u64)>,
    /// How long jobs wait on them, as far as that is known.
    pub(super) waits: HashMap<String, QueueWait>,
    /// What the store lacks.
    pub(super) shortages: Vec<Shortage>,
    /// Are there more workers or queues than were read?
    pub(super) cut: bool,
    /// What could not be read.
    pub(super) unread: Vec<Finding>,
    /// Queues that could not be read, which concerns nobody who asks about others.
    pub(super) misplaced: Vec<Finding>,
}

/// An instance of Windlass.
pub(super) struct InstanceFacts {
    pub(super) record: InstanceRecord,
    /// The queues that it works on; none can be told from a record of a stranger.
    pub(super) patterns: Option<QueuePatterns>,
    /// How many of its processors are registered, and how many of these have a job.
    pub(super) processors: usize,
    pub(super) busy: usize,
    /// Why it does nothing, as far as that can be seen.
    pub(super) lost: Option<Lost>,
}

/// Why an instance does nothing that is on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// Its process was on this machine, and is gone.
    Gone,
    /// Its process is on this machine, and is stopped.
    Stopped,
    /// Its youngest ping is so many milliseconds old, longer than its lease. Nothing is known of one without processors.
    Silent(i64),
}

impl Lost {
    /// What can be seen of a process of this machine. The boot is compared, because machines may have one name.
    fn seen(there: &HostIdentity) -> Option<Self> {
        let is_here = there.hostname == sweep::hostname()
            && there.pid_namespace == sweep::pid_namespace()
            && there.boot_id == sweep::boot_id();
        match (is_here, sweep::is_alive(there.pid, there.started_ticks)) {
            (false, _) => None,
            (true, false) => Some(Self::Gone),
            (true, true) => sweep::is_stopped(there.pid).then_some(Self::Stopped),
        }
    }
}

/// A job that runs.
pub(super) struct RunFacts {
    pub(super) worker: WorkerName,
    pub(super) record: WorkingRecord,
    pub(super) class: Option<String>,
    pub(super) since_ms: Option<i64>,
}

impl InstanceFacts {
    /// Does it claim jobs from this queue?
    pub(super) fn is_willing(&self, queue: &QueueName) -> bool {
        self.record.halt.is_none() && self.record.stuck.is_none() && self.lost.is_none() && self.works_on(queue)
    }

    /// Does its configuration name this queue?
    pub(super) fn works_on(&self, queue: &QueueName) -> bool {
        self.processors > 0 && self.patterns.as_ref().is_some_and(|patterns| patterns.stand_for(queue))
    }

    pub(super) fn is_paused(&self) -> bool {
        self.record.halt == Some(Halt::Paused)
    }

    /// With the signal to its process that mends it.
    pub(super) fn signalled(&self, finding: Finding, name: &str) -> Finding {
        let command = format!("kill -{name} {}", self.record.host.pid);
        finding.command(command).on(&self.record.host.hostname)
    }
}

impl Fleet {
    /// Reads it: a few round trips, and one more for each 64 workers.
    pub(super) async fn read(store: &Store<Admin>) -> Result<Self, AdminError> {
        let mut unread = Unread::of(store);
        // Each on the heap: together they are large, and a thread of a server has a small stack.
        let (now_ms, paused, states, names, waits, leader, room) = tokio::join!(
            Box::pin(store.run(ReadTime)),
            Box::pin(store.run(ReadPaused)),
            Box::pin(store.run(Instances)),
            Box::pin(store.run(WorkerNames { limit: MOST + 1 })),
            Box::pin(Waits::read(store)),
            Box::pin(leader(store)),
            Box::pin(store.run(ReadRoom)),
        );
        let (now_ms, waits) = (now_ms?, waits?);
        let paused = unread.or_told("which queues are paused", paused)?.unwrap_or_default();
        let states = unread.or_told("which instances are registered", states)?;
        let names = unread.or_told("which workers are registered", names)?;
        let leader = unread.or_told("who leads", leader)?;
        let blind = states.is_none() || names.is_none();
        let (states, mut names) = (states.unwrap_or_default(), names.unwrap_or_default());
        let queues = Box::pin(store.run(Queues { limit: MOST + 1, first: waits.holding() })).await;
        let QueuesFound { mut queues, sampled_of, unread: queues_unread, .. } =
            unread.or_told("which queues there are", queues)?.unwrap_or_default();
        let mut misplaced = Unread::of(store);
        misplaced.each("which jobs are on a queue", queues_unread);
        let cut = names.len() > MOST || queues.len() > MOST || sampled_of.is_some();
        names.truncate(MOST);
        let registered = registered(store, &names).await?;
        let ours: HashSet<&str> = states.iter().map(|state| state.record.name.as_str()).collect();
        let mut of_instance: HashMap<&str, Vec<&Registered>> = HashMap::new();
        let mut foreign = Vec::new();
        for one in &registered {
            // `<instance>+<number>`.
            let owner = one.worker.name().rsplit_once('+').map(|(name, _)| name);
            match owner.filter(|name| ours.contains(*name)) {
                Some(name) => of_instance.entry(name).or_default().push(one),
                None => foreign.push((one.worker.name().to_owned(), one.worker.queues().map(str::to_owned))),
            }
        }
        let instances = states.into_iter().map(|state| {
            let workers = of_instance.get(state.record.name.as_str()).map(Vec::as_slice).unwrap_or_default();
            let youngest_s = workers.iter().filter_map(|worker| worker.pinged_s).max();
            let patience_ms = i64::try_from(state.record.lease_ms).unwrap_or(i64::MAX).max(LEAST_MS);
            let age = |pinged_s: i64| now_ms.saturating_sub(pinged_s.saturating_mul(1000));
            InstanceFacts {
                patterns: patterns(&state.record.queues),
                processors: workers.len(),
                busy: workers.iter().filter(|worker| worker.working.is_some()).count(),
                lost: Lost::seen(&state.record.host)
                    .or_else(|| youngest_s.map(age).filter(|age_ms| *age_ms > patience_ms).map(Lost::Silent)),
                record: state.record,
            }
        });
        let instances = instances.collect();
        let runs = registered.into_iter().filter_map(|one| Some(RunFacts::of(one.worker, one.working?))).collect();
        queues.retain(|queue| queue.length > 0);
        queues.truncate(MOST);
        let queues: Vec<(QueueName, u64)> = queues.into_iter().map(|queue| (queue.queue, queue.length)).collect();
        let shortages = shortages(store.describe(), room.ok().as_ref(), waits.refused());
        let waits = waits.of(store, queues.iter().map(|(queue, _)| queue.clone()).collect()).await?;

        let (foreign, unread, misplaced) = (Foreign::of(foreign), unread.into_findings(), misplaced.into_findings());
        Ok(Self {
            now_ms,
            paused,
            instances,
            foreign,
            blind,
            leader,
            runs,
            queues,
            waits,
            shortages,
            cut,
            unread,
            misplaced,
        })
    }

    /// Does the store take no jobs at present, for want of room?
    pub(super) fn is_full(&self) -> bool {
        self.shortages.iter().any(|one| one.is_full)
    }

    /// What the store lacks.
    pub(super) fn lacks(&self) -> impl Iterator<Item = Finding> {
        self.shortages.iter().map(|one| {
            let (cause, text) = (if one.evicts { Cause::StoreEvicts } else { Cause::StoreFull }, one.text.clone());
            let finding = if one.is_full { Finding::blocks(cause, text) } else { Finding::tells(cause, text) };
            finding.command(one.command.clone())
        })
    }

    /// How long jobs wait on a queue.
    pub(super) fn wait_on(&self, queue: &QueueName) -> QueueWait {
        self.waits.get(queue.as_str()).copied().unwrap_or_default()
    }

    /// The instance that has a claim.
    pub(super) fn owner(&self, run: &RunFacts) -> Option<&InstanceFacts> {
        let claim = run.record.claim.as_ref()?;
        self.instances.iter().find(|one| one.record.id == claim.instance())
    }

    /// The runs of an instance.
    pub(super) fn runs_of(&self, one: &InstanceFacts) -> impl Iterator<Item = &RunFacts> {
        let id = one.record.id.clone();
        self.runs.iter().filter(move |run| run.record.claim.as_ref().is_some_and(|claim| claim.instance() == id))
    }

    /// Does somebody move due jobs to their queues?
    pub(super) fn promotes(&self) -> bool {
        self.leader.as_ref().is_none_or(|leader| leader.leader.is_some() || leader.resque_scheduler.is_some())
    }

    /// Does an instance declare this periodic task? A worker of another program may do so unseen.
    pub(super) fn declares(&self, task: &TaskName) -> bool {
        !self.foreign.is_empty() || self.instances.iter().any(|one| one.record.declares(task))
    }

    /// May an instance have loaded this task?
    pub(super) fn loads(&self, task: &str) -> bool {
        let has =
            |one: &InstanceFacts| one.record.tasks.as_ref().is_none_or(|tasks| tasks.iter().any(|name| name == task));
        self.instances.iter().any(has)
    }

    /// Does an instance that works on this queue have this task? `None` if one of them does not tell which it has.
    pub(super) fn knows(&self, task: &str, queue: &QueueName) -> Option<bool> {
        let mut silent = false;
        for one in self.instances.iter().filter(|one| one.works_on(queue)) {
            match &one.record.tasks {
                Some(tasks) if tasks.iter().any(|name| name == task) => return Some(true),
                Some(_) => {}
                None => silent = true,
            }
        }
        (!silent).then_some(false)
    }
}

/// The workers of these names.
async fn registered(store: &Store<Admin>, names: &[WorkerName]) -> Result<Vec<Registered>, AdminError> {
    let (mut registered, mut room) = (Vec::with_capacity(names.len()), Room::default());
    for some in names.chunks(READ) {
        let read = store.run(ReadWorkers { workers: some.to_vec(), longest: room.longest() }).await?;
        room.take(&read);
        registered.extend(read);
    }
    Ok(registered)
}

/// What runs by now; `None` if there are more workers than are read.
pub(super) async fn runs_now(store: &Store<Admin>) -> Result<Option<Vec<RunFacts>>, AdminError> {
    let names = store.run(WorkerNames { limit: MOST + 1 }).await?;
    if names.len() > MOST {
        return Ok(None);
    }
    let run = |one: Registered| Some(RunFacts::of(one.worker, one.working?));
    Ok(Some(registered(store, &names).await?.into_iter().filter_map(run).collect()))
}

impl RunFacts {
    fn of(worker: WorkerName, record: WorkingRecord) -> Self {
        let (class, since_ms) = (record.class(), record.run_at.as_deref().and_then(date::parse));
        Self { worker, record, class, since_ms }
    }
}
