//! The order in which a daemon starts and ends.
//!
//! It starts the log first, so that everything after it is logged; then signals, because waiting for a store must be
//! interruptible; then it opens the store, recovers what dead instances of this machine left, registers, and starts the
//! scheduler and the pool. It ends the scheduler first, so that no more jobs are promoted that this daemon will not run;
//! then the pool, which drains, settles and unregisters; then it tells people of what failed last; and the log ends last.
//!
//! The core (store and pool), the scheduler, the log and the signals have one thread each. Handlers have a runtime of
//! their own, so that a handler that blocks its threads delays neither core nor scheduler. Only the core touches a job
//! between its claim and its run.
//!
//! A panic of one of our threads or tasks ends the process, and so does a task that ends before it is told to (`panics`).
//! A task that hangs is named (`watchdog`).

use std::io;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock, RwLock};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, timeout};

use super::assemble::App;
use super::ending::{Around, LAST_MESSAGES, last_moment, tell_last};
use super::extensions::Extensions;
use super::options::RunError;
use super::orphaned::Orphaned;
use super::reload::Reloader;
use super::running_scheduler::RunningScheduler;
use super::succession::{Offer, Predecessor, predecessor};
use super::web::{self, WebBound, WebTold};
use super::{descriptors, directions, host, notify, panics, signal, systemd, traces, warnings, watchdog};
use crate::backoff;
use crate::clock::Clock;
use crate::config::Config;
use crate::config::model::StoreConfig;
use crate::event::{Bus, Event, Tally};
use crate::pool::{self, Control, Ended, Phase, Work, unless_told};
use crate::process::mark;
use crate::process::sweep::hostname;
use crate::scheduler::failures::Bulkheads;
use crate::scheduler::recover::{is_gone_from_here, recover};
use crate::scheduler::set_back::SetBack;
use crate::scheduler::{SchedulerConfig, SchedulerContext};
use crate::store::access::Access;
use crate::store::announce::Announcements;
use crate::store::findings::Findings;
use crate::store::instance::{HostIdentity, InstanceRecord, Instances, Join, Joined, Leave};
use crate::store::outage::Outage;
use crate::store::role::Whole;
use crate::store::{Store, StoreError, open};
use crate::supervise::pulse::{LONGEST, Pulse, Pulses, TURN};
use crate::supervise::scope::{own_thread, until_told};
use crate::telemetry::log::Log;

/// How long a registration on its way may take to be undone.
const RESIGN: Duration = Duration::from_secs(2);

/// How long the log may take to write what is left when all else has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Runs an app to its end.
///
/// # Errors
/// Says why it does not start.
pub fn run(app: App) -> Result<ExitCode, RunError> {
    let extensions = Arc::clone(&app.options.extensions);
    let App { options, mut parts, clock, bus, listener, notified, streamed, traced, log_style, level_control } = app;
    let log_style = Arc::new(RwLock::new(log_style));
    let log = Log::new(&bus);
    // Before the first thread of ours starts, so that no panic goes unnoticed.
    panics::watch(bus.clone(), log.clone());
    log.start(listener, Arc::clone(&log_style)).map_err(system("start the log"))?;
    own_thread("the core");
    let pulses = Pulses::default();
    let _watchdog = watchdog::start(pulses.clone(), bus.clone()).map_err(system("start the watchdog"))?;
    for text in std::mem::take(&mut parts.remarks) {
        bus.emit(Event::Warning { text });
    }
    let (orders, control) = watch::channel(Control::default());
    let (pool, work) = watch::channel(parts.work());
    let (scheduler, scheduler_config) = watch::channel(parts.scheduler_config());
    let predecessor = predecessor(options.replace, &parts.config, &bus)?;
    let inherited = predecessor.as_ref().map(|predecessor| predecessor.sockets(&bus)).unwrap_or_default();
    let (web, web_reload) = WebBound::bind(&parts.config, &parts.registry, inherited)?;
    let reloader =
        Reloader { options, bus: bus.clone(), parts, pool, scheduler, log_style, level_control, web: web_reload };
    let reload = reloader.start().map_err(system("start the thread that reloads"))?;
    let last = signal::LastResort { work: work.clone(), bus: bus.clone(), log: log.clone() };
    signal::listen(orders.clone(), bus.clone(), reload, last).map_err(system("listen for signals"))?;
    let (instance, instance_now) = watch::channel(Arc::<str>::from(""));
    let abandoned = Arc::new(AtomicBool::new(false));
    let abandon = Arc::clone(&abandoned);
    let host = host::identity();
    // The mark is inherited, so it is set before any child is started.
    if !host::mark(&host) {
        let text = "no mark can be set that survives a cleared environment (RLIMIT_RTTIME is too low): should this \
                    daemon and its parent be killed at one instant, programs without WINDLASS_INSTANCE live on";
        bus.emit(Event::Warning { text: text.to_owned() });
    }
    let connections = web::connections(&work.borrow().config);
    if let Some(text) = descriptors::provide(work.borrow().config.max_task_processors, connections) {
        bus.emit(Event::Warning { text });
    }
    let orphaned =
        Orphaned { bus: bus.clone(), log: log.clone(), abandoned: abandon, instance: instance_now, host: host.clone() };
    orphaned.watch().map_err(system("watch the parent"))?;
    let handlers = handlers_runtime().map_err(system("start the handlers' runtime"))?;
    let (place, runtime) = (hostname(), handlers.handle().clone());
    let notifying = notify::start(notified, bus.clone(), work.clone(), scheduler_config.clone(), runtime, place)
        .map_err(system("start the thread that notifies"))?;
    let traces =
        traces::start(traced, &bus, &work, handlers.handle()).map_err(system("start the thread that makes spans"))?;
    let (present, told_at) = (work.clone(), Arc::new(OnceLock::new()));
    // If the threads of handlers are blocked or stopped, no job begins or ends.
    handlers.spawn(turn(pulses.begin("the handlers' runtime", LONGEST)));
    match directions::give(&work.borrow().config, handlers.handle()) {
        Ok(name) => mark::name_daemon(name),
        Err(error) => bus.emit(Event::Warning {
            text: format!(
                "programs of jobs cannot ask where this daemon works, so that `windlass enqueue` in them fails: {error}"
            ),
        }),
    }
    let (told, outage, tally) = (WebTold::default(), Outage::default(), Tally::default());
    let around = web::Surroundings {
        plugins: extensions.plugins(),
        handlers: handlers.handle().clone(),
        clock: Arc::clone(&clock),
        pulses: pulses.clone(),
        outage: outage.clone(),
        bus: bus.clone(),
        tally: tally.clone(),
        streamed,
    };
    let core = Builder::new_current_thread().enable_all().build().map_err(system("start the core's runtime"))?;
    // The last that may fail: nobody would end it.
    let web = web.serve(&told, around).map_err(system("start the HTTP server"))?;
    Offer { work: work.clone(), control: orders, sockets: web.sockets(), bus: bus.clone() }.make(handlers.handle());
    let orders = control.clone();
    let life = DaemonRun {
        web: told.clone(),
        work,
        scheduler_config,
        extensions,
        clock,
        bus: bus.clone(),
        host,
        handlers: handlers.handle().clone(),
        control,
        instance,
        abandoned,
        pulses: pulses.clone(),
        announcements: Announcements::default(),
        outage,
        tally,
        told_at: Arc::clone(&told_at),
        predecessor,
    };
    let code = core.block_on(async {
        tokio::select! {
            code = life.run() => code,
            never = turn(pulses.begin("the core", LONGEST)) => match never {},
        }
    });
    // A daemon that was not told to end has not begun.
    let until = told_at.get().map_or_else(Instant::now, |told_at| last_moment(*told_at, &present.borrow()));
    let at_once = orders.borrow().phase == Phase::Kill;
    handlers.block_on(async {
        let last = tell_last(notifying, until, orders.clone(), &bus);
        tokio::join!(last, traces.end(until.max(Instant::now() + LAST_MESSAGES), orders));
    });
    // To the end it tells that this instance drains.
    core.block_on(web.end(&told, at_once));
    // Handlers in Rust that still run are not waited for.
    handlers.shutdown_timeout(Duration::from_millis(100));
    log.close(LAST_WORDS);
    code
}

/// Turns for as long as the runtime that polls it does.
async fn turn(pulse: Pulse) -> std::convert::Infallible {
    loop {
        pulse.turn();
        sleep(TURN.min(pulse.longest() / 2)).await;
    }
}

fn system(doing: &'static str) -> impl FnOnce(io::Error) -> RunError {
    move |error| RunError::System { doing, error }
}

fn handlers_runtime() -> io::Result<Runtime> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from).max(2);
    Builder::new_multi_thread().worker_threads(threads).thread_name("handlers").enable_all().build()
}

/// A run of the daemon, on the core's thread.
struct DaemonRun {
    web: WebTold,
    work: watch::Receiver<Work>,
    scheduler_config: watch::Receiver<SchedulerConfig>,
    extensions: Arc<Extensions>,
    clock: Arc<dyn Clock>,
    bus: Bus,
    host: HostIdentity,
    handlers: Handle,
    control: watch::Receiver<Control>,
    instance: watch::Sender<Arc<str>>,
    abandoned: Arc<AtomicBool>,
    pulses: Pulses,
    announcements: Announcements,
    outage: Outage,
    tally: Tally,
    /// When it was told to end.
    told_at: Arc<OnceLock<Instant>>,
    /// The daemon that retires as soon as this one works.
    predecessor: Option<Predecessor>,
}

/// What a run has once it has joined.
struct Begun {
    store: Store<Whole>,
    /// The scheduler's context.
    context: SchedulerContext,
    record: InstanceRecord,
}

/// Why a run ended before its pool ran.
enum StartAborted {
    /// A signal came.
    Told,
    /// The store cannot be used.
    Unusable(StoreError),
}

impl DaemonRun {
    /// The configuration at present.
    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.work.borrow().config)
    }

    async fn run(self) -> Result<ExitCode, RunError> {
        self.bus.emit(Event::Notice {
            text: format!("windlass {} starts on {}", env!("CARGO_PKG_VERSION"), self.config().store.url),
        });
        let Begun { store, context, record } = match self.begin().await {
            Ok(begun) => begun,
            Err(StartAborted::Told) => return Ok(ExitCode::SUCCESS),
            Err(StartAborted::Unusable(error)) => return Err(RunError::Store(error)),
        };
        self.instance.send_replace(Arc::from(record.id.as_str()));
        let scheduler = RunningScheduler::start(&context, &self.config(), &self.extensions)
            .map_err(system("start the scheduler"))?;
        let multi_worker = self.extensions.multi_worker_of(&self.config().overrides).cloned();
        let (ready, started) = oneshot::channel();
        let present = self.work.clone();
        let setup = pool::Setup {
            work: self.work,
            store: store.narrow(),
            clock: self.clock,
            bus: self.bus.clone(),
            plugins: self.extensions.plugins(),
            handlers: self.handlers.clone(),
            record,
            instance: self.instance,
            abandoned: self.abandoned,
            pulses: self.pulses,
            announcements: self.announcements,
            outage: self.outage,
            tally: self.tally,
            ready,
        };
        let (web, predecessor, bus) = (self.web.clone(), self.predecessor, self.bus.clone());
        let say_ready = self.handlers.spawn(async move {
            if started.await.is_ok() {
                web.works();
                systemd::ready("working");
                if let Some(predecessor) = predecessor {
                    // The parent must know it before the predecessor ends.
                    systemd::told().await;
                    predecessor.retire(bus).await;
                }
            }
        });
        let (works, worked) = oneshot::channel();
        let around = Around { work: present, control: self.control.clone(), web: &self.web, told_at: &self.told_at };
        let ending = around.end(scheduler, worked);
        // The scheduler ends while the pool drains; neither waits for the other.
        let working = match multi_worker {
            Some(multi_worker) => multi_worker(setup, self.control.clone()),
            None => Box::pin(pool::run(setup, self.control.clone())),
        };
        let told = self.control.clone();
        let working = until_told("pool control", working, move || told.borrow().phase > Phase::Run);
        let working = working.inspect(|_| drop(works));
        let (ended, ()) = tokio::join!(working, ending);
        say_ready.abort();
        let killed = self.control.borrow().phase == Phase::Kill;
        let text = match (ended, killed) {
            (Ended::Clean, false) => "drained: everything is settled and unregistered",
            (Ended::Clean, true) => "stopped at once: everything is settled and unregistered",
            (Ended::Unsettled, _) => "stopped with claims on record: they will be recovered when the lease runs out",
        };
        self.bus.emit(Event::Notice { text: text.to_owned() });
        Ok(if killed || ended == Ended::Unsettled { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    /// Opens the store, recovers the dead instances of this machine, and joins.
    async fn begin(&self) -> Result<Begun, StartAborted> {
        let mut control = self.control.clone();
        let mut attempt = 0;
        let mut store = None;
        let mut told = None;
        loop {
            let begun = async {
                if store.is_none() {
                    let config = self.config();
                    let StoreConfig { url, namespace, .. } = &config.store;
                    let files = config.store.files();
                    let findings = Findings::new(self.bus.clone());
                    let access = Access::daemon(config.security.trusted());
                    let opened = open::open_telling(url, &files, namespace, access, findings).await?;
                    let opened = self.extensions.over(&config.overrides, opened);
                    self.web.opened(&opened);
                    host::name_store(&config.store);
                    store = Some(opened);
                }
                // It was set above, now or in an earlier try.
                let store = store.as_ref().expect("the store must be open by now");
                self.join(store).await
            };
            let mut begun = pin!(begun);
            let Some(begun) = unless_told(&mut control, begun.as_mut()).await else {
                // A registration that is on its way would stay, and look like an instance that died.
                if let Ok(Ok(Begun { store, record, .. })) = timeout(RESIGN, begun).await {
                    drop(store.run(Leave { record, ran: Vec::new() }).await);
                }
                return Err(StartAborted::Told);
            };
            let error = match begun {
                Ok(begun) => return Ok(begun),
                Err(error) if error.is_transient() => error,
                Err(error) => return Err(StartAborted::Unusable(error)),
            };
            systemd::waiting("waiting for the store");
            let text = format!("failed to {error} ({}); trying again until it answers", self.config().store.url);
            if told.as_ref() != Some(&text) {
                self.bus.emit(Event::InternalError { error: text.clone() });
                told = Some(text);
            }
            let delay = backoff::exponential(attempt, Duration::from_millis(250), error.longest_wait(), 0.5);
            attempt = attempt.saturating_add(1);
            if unless_told(&mut control, sleep(delay)).await.is_none() {
                return Err(StartAborted::Told);
            }
        }
    }

    async fn join(&self, store: &Store<Whole>) -> Result<Begun, StoreError> {
        let mut context = SchedulerContext {
            store: store.narrow(),
            config: self.scheduler_config.clone(),
            clock: Arc::clone(&self.clock),
            bus: self.bus.clone(),
            name: String::new(),
            host: self.host.clone(),
            lease: self.config().store.lease,
            pulses: self.pulses.clone(),
            announcements: self.announcements.clone(),
            lost: Arc::default(),
            shared_renewal: Arc::default(),
            outage: self.outage.clone(),
            tally: self.tally.clone(),
            set_back: SetBack::default(),
        };
        let instances = store.run(Instances).await?;
        let mut bulkheads = Bulkheads::default();
        for state in &instances {
            if is_gone_from_here(&self.host, state).await {
                recover(&context, &mut bulkheads, state).await?;
            }
        }
        warnings::foreigners(&self.config(), store, &self.bus).await?;
        warnings::set_aside(store, &self.bus).await?;
        for try_number in 1.. {
            let record = host::record(&self.host, &self.work.borrow(), try_number);
            if store.run(Join { record: record.clone() }).await? == Joined::Yes {
                context.name.clone_from(&record.name);
                return Ok(Begun { store: store.clone(), context, record });
            }
        }
        unreachable!("names are tried without end")
    }
}
