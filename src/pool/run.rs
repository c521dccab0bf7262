//! A pool's whole life: opens the lanes, starts the processors and drains them; begins anew under a new id if the instance
//! was declared dead.

use std::cell::OnceCell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep, timeout};

use super::asking;
use super::control::{Control, Ended, Phase, Work, unless_told};
use super::core::{Core, bring_up_to_date};
use super::drain::{drain, end_lost_runs};
use super::elsewhere::Elsewhere;
use super::emptied::Emptied;
use super::exchanges::Exchanges;
use super::findings::Findings;
use super::held_locks::HeldLocks;
use super::history::History;
use super::holdups::Holdups;
use super::hunger::Hunger;
use super::interrupt::Interrupts;
use super::lane::LaneTask;
use super::lease::Lease;
use super::leaving::{LEAVE_LEAST, LEAVE_MOST, leave, leave_patience};
use super::manager::manage;
use super::orders::Orders;
use super::queues::Queues;
use super::seen_wishes::SeenWishes;
use super::settings::Settings;
use super::shortage::Shortage;
use super::slots::{LANES, Slots};
use super::tasks::Tasks;
use super::timeouts::Timeouts;
use super::{heartbeat, lease_guard, orphan, overdue, showing, waking};
use crate::backoff;
use crate::clock::{Clock, SystemClock};
use crate::event::{Bus, Tally};
use crate::plugin::registry::Plugins;
use crate::store::announce::Announcements;
use crate::store::handle::{Lane, Waker};
use crate::store::instance::{InstanceRecord, Join, Joined};
use crate::store::outage::Outage;
use crate::store::role;
use crate::store::{Store, StoreError};
use crate::supervise::pulse::{LONGEST, Pulses, TURN};

/// The names of the lanes' tasks.
const LANE_TASKS: [&str; LANES] = ["pool lane 1", "pool lane 2"];

/// Everything a pool works with.
#[non_exhaustive]
pub struct Setup {
    /// What it works by at present.
    pub work: watch::Receiver<Work>,
    /// The store, in which the instance has already joined.
    pub store: Store<role::Pool>,
    /// The source of wall time.
    pub clock: Arc<dyn Clock>,
    /// Where events go.
    pub bus: Bus,
    /// The plugins in code that tasks may list.
    pub plugins: Arc<Plugins>,
    /// The runtime on which handlers run.
    pub handlers: Handle,
    /// The instance, as it joined.
    pub record: InstanceRecord,
    /// Tells which id the instance has at present: it takes a new one after it was declared dead.
    pub instance: watch::Sender<Arc<str>>,
    /// Set when the process is about to kill all its children: nothing is settled any more.
    pub abandoned: Arc<AtomicBool>,
    /// Where its long-lived tasks say that they turn.
    pub pulses: Pulses,
    /// What this instance's loops tell each other when the path to the store is long.
    pub announcements: Announcements,
    /// What all loops of this instance know of an outage of the store.
    pub outage: Outage,
    /// Where the ends of jobs are counted.
    pub tally: Tally,
    /// Told when the first processors are registered, or at once if there is no pool.
    pub ready: oneshot::Sender<()>,
}

impl Setup {
    /// A pool that works by the system's clock, emits no events and knows no plugins in code.
    #[must_use]
    pub fn new(
        work: watch::Receiver<Work>,
        store: Store<role::Pool>,
        handlers: Handle,
        record: InstanceRecord,
    ) -> Self {
        Self {
            work,
            store,
            clock: Arc::new(SystemClock),
            bus: Bus::silent(),
            plugins: Arc::default(),
            handlers,
            instance: watch::channel(Arc::from(record.id.as_str())).0,
            record,
            abandoned: Arc::default(),
            pulses: Pulses::default(),
            announcements: Announcements::default(),
            outage: Outage::default(),
            tally: Tally::default(),
            ready: oneshot::channel().0,
        }
    }
}

/// Runs until an order to drain comes. It must be called on a current-thread runtime.
pub async fn run(setup: Setup, mut control: watch::Receiver<Control>) -> Ended {
    let Setup {
        mut work,
        store,
        clock,
        bus,
        plugins,
        handlers,
        mut record,
        instance,
        abandoned,
        pulses,
        announcements,
        outage,
        tally,
        ready,
    } = setup;
    let mut ready = Some(ready);
    let history = Rc::new(History::new(tally.clone()));
    let local = LocalSet::new();
    // A task of its own, because `run_until` polls its future whenever any other task wakes.
    let root = local.spawn_local(async move {
        loop {
            let parts = Parts {
                store: store.clone(),
                clock: Arc::clone(&clock),
                bus: bus.clone(),
                plugins: Arc::clone(&plugins),
                handlers: handlers.clone(),
                abandoned: Arc::clone(&abandoned),
                pulses: pulses.clone(),
                announcements: announcements.clone(),
                outage: outage.clone(),
                tally: tally.clone(),
                history: Rc::clone(&history),
            };
            if let Some(ended) = live(parts, &mut record, &mut work, &mut control, &mut ready).await {
                return ended;
            }
            history.begin_anew();
            record.id = InstanceRecord::new_id();
            bring_up_to_date(&mut record, &work.borrow());
            // That was of the life that is over.
            record.stuck = None;
            outage.set_stuck(false);
            instance.send_replace(Arc::from(record.id.as_str()));
            if !rejoin(&store, &Findings::new(bus.clone(), outage.clone()), &record, &mut control).await {
                return Ended::Clean;
            }
        }
    });
    match local.run_until(root).await {
        Ok(ended) => ended,
        // Nobody aborts it, so that it panicked; the panic goes on here.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

struct Parts {
    store: Store<role::Pool>,
    clock: Arc<dyn Clock>,
    bus: Bus,
    plugins: Arc<Plugins>,
    handlers: Handle,
    abandoned: Arc<AtomicBool>,
    pulses: Pulses,
    announcements: Announcements,
    outage: Outage,
    tally: Tally,
    history: Rc<History>,
}

/// One life under one id. `None` if it was declared dead. `record` is what it joined as, and afterwards what it became.
async fn live(
    parts: Parts,
    record: &mut InstanceRecord,
    work: &mut watch::Receiver<Work>,
    control: &mut watch::Receiver<Control>,
    ready: &mut Option<oneshot::Sender<()>>,
) -> Option<Ended> {
    let Parts { store, clock, bus, plugins, handlers, abandoned, pulses, announcements, outage, tally, history } =
        parts;
    let present = work.borrow_and_update().clone();
    let config = &present.config;
    let has_pool = config.max_task_processors > 0;
    // The lease began when the instance joined, so it is counted before anything else is done.
    let lease = Lease::new(Arc::clone(&clock), config.store.lease, record.clone());
    let mut reports = Vec::new();
    let finished = std::array::from_fn(|_| {
        let (finished, report) = mpsc::unbounded_channel();
        reports.push(report);
        finished
    });
    let core = Rc::new(Core {
        instance: Arc::from(record.id.as_str()),
        store: store.clone(),
        waker: OnceCell::new(),
        clock,
        findings: Findings::new(bus.clone(), outage),
        bus,
        handlers,
        finished,
        plugins,
        pulses,
        announcements,
        counter: tally.counter(),
        history: Rc::clone(&history),
        settings: Settings::new(&present),
        orders: Orders::new(abandoned),
        lease,
        emptied: Emptied::default(),
        locks: HeldLocks::default(),
        queues: Queues::new(&config.queues),
        hunger: Hunger::new(),
        slots: Slots::default(),
        exchanges: Exchanges::default(),
        shortage: Shortage::default(),
        timeouts: Timeouts::default(),
        wishes: SeenWishes::default(),
        watches: super::watches::Watches::default(),
        holdups: Holdups::default(),
        elsewhere: Elsewhere::default(),
    });
    // The instance may have joined before the last reload.
    core.adopt(&present);
    let lease = config.store.lease;
    // A later reload must be able to drop its handlers, with what they keep.
    drop(present);
    let mut tasks = Tasks::new(&core);
    tasks.start("pool heartbeat", heartbeat::beat);
    tasks.start("pool lease guard", lease_guard::guard);
    tasks.start("pool orphan watch", |core, pulse| orphan::watch(core, lease * 2, pulse));
    tasks.start("pool timeouts", overdue::enforce);
    tasks.start("pool elsewhere", asking::ask);
    showing::start(&mut tasks, &core);
    // The lease is extended meanwhile: opening takes many round trips.
    let opened = tokio::select! {
        opened = open(&core, has_pool, control) => opened,
        () = core.orders.died() => return None,
        never = tasks.fail() => match never {},
    };
    let Some((lanes, waker)) = opened else {
        drop(tasks);
        return Some(leave(&store, record, history.last(), LEAVE_LEAST).await);
    };
    let mut lane_tasks = Tasks::new(&core);
    for (index, ((lane, report), name)) in lanes.into_iter().zip(reports).zip(LANE_TASKS).enumerate() {
        lane_tasks.start(name, |core, pulse| LaneTask::new(index, core, lane, report, pulse).run());
    }
    let mut growing = Tasks::new(&core);
    if let Some(waker) = waker {
        // It is set here alone.
        let _ = core.waker.set(waker);
        growing.start("pool manager", |core, pulse| manage(core, ready.take(), pulse));
        growing.start("pool waking", waking::wake_lanes);
        growing.start("pool announcements", waking::wake_when_announced);
    }
    let pulse = core.pulses.begin("pool control", LONGEST);
    if let Some(ready) = ready.take() {
        // There is no pool to wait for. The receiver may have been dropped.
        let _ = ready.send(());
    }
    let mut interrupts = Interrupts::after(control.borrow().kills);
    let drained = loop {
        pulse.turn();
        let now = *control.borrow_and_update();
        interrupts.heed(&core, now.kills);
        if now.phase > Phase::Run {
            break true;
        }
        core.pause(now.paused);
        tokio::select! {
            changed = control.changed() => if changed.is_err() { break true },
            // An error means that no reload can come any more.
            Ok(()) = work.changed() => {
                let work = work.borrow_and_update().clone();
                core.adopt(&work);
            }
            () = core.orders.died() => break false,
            never = lane_tasks.fail() => match never {},
            never = tasks.fail() => match never {},
            never = growing.fail() => match never {},
            () = sleep(TURN) => {}
        }
    };
    drop(growing);
    let drain_began = Instant::now();
    let ended = tokio::select! {
        ended = async {
            if drained {
                drain(&core, &mut lane_tasks, control, &mut interrupts, &pulse).await
            } else {
                end_lost_runs(&core, &mut lane_tasks, control, &mut interrupts).await
            }
        } => ended,
        never = tasks.fail() => match never {},
    };
    drop(tasks);
    record.clone_from(&core.lease.record());
    match ended {
        Some(Ended::Clean) => {
            let patience = leave_patience(&core, drain_began, control.borrow().phase);
            Some(leave(&store, record, history.last(), patience).await)
        }
        other => other,
    }
}

/// Opens lanes and waker, as often as it takes. `None` if an order to stop comes first.
async fn open(
    core: &Core,
    has_pool: bool,
    control: &mut watch::Receiver<Control>,
) -> Option<(Vec<Lane>, Option<Waker>)> {
    if !has_pool {
        return Some((Vec::new(), None));
    }
    let Core { store, findings, instance, .. } = core;
    let mut attempt = 0;
    loop {
        let opened = async {
            // Where connections are few, the waker needs one most.
            let waker = store.waker().await?;
            let lanes = join_all((0..LANES).map(|lane| store.lane(instance, u8::try_from(lane).unwrap_or(u8::MAX))));
            Ok::<_, StoreError>((lanes.await.into_iter().collect::<Result<_, _>>()?, Some(waker)))
        };
        match unless_told(control, opened).await? {
            Ok(opened) => return Some(opened),
            Err(error) => {
                findings.failed("open the lanes", &error);
                pause_before_retry(error.longest_wait(), &mut attempt, control).await?;
            }
        }
    }
}

/// Waits before the next try. `None` if an order to stop comes first.
async fn pause_before_retry(
    longest: Duration,
    attempt: &mut u32,
    control: &mut watch::Receiver<Control>,
) -> Option<()> {
    let delay = backoff::exponential(*attempt, Duration::from_millis(100), longest, 0.5);
    *attempt += 1;
    unless_told(control, sleep(delay)).await
}

/// Joins again after the instance was declared dead. False if an order to stop comes first.
async fn rejoin(
    store: &Store<role::Pool>,
    findings: &Findings,
    record: &InstanceRecord,
    control: &mut watch::Receiver<Control>,
) -> bool {
    let mut attempt = 0;
    loop {
        let mut joining = pin!(store.run(Join { record: record.clone() }));
        let Some(joined) = unless_told(control, joining.as_mut()).await else {
            // A registration that is on its way would stay.
            if let Ok(Ok(Joined::Yes)) = timeout(LEAVE_LEAST, joining).await {
                leave(store, record, Vec::new(), LEAVE_LEAST).await;
            }
            return false;
        };
        let longest = match joined {
            Ok(Joined::Yes) => return true,
            Ok(Joined::NameTaken(by)) => {
                // The instance that declared us dead has not removed our registration yet.
                findings.held_up("join again", &format!("{} is still registered as {}", by.name, by.id));
                LEAVE_MOST
            }
            Err(error) => {
                findings.failed("join again", &error);
                error.longest_wait()
            }
        };
        if pause_before_retry(longest, &mut attempt, control).await.is_none() {
            return false;
        }
    }
}
