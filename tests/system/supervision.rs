//! Nothing that should go on ends unnoticed, and nothing that should end goes on.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::{mpsc, watch};
use windlass::clock::{Clock, ManualClock, SystemClock};
use windlass::config::load::{Sources, load};
use windlass::event::Bus;
use windlass::handler::builtin::Builtins;
use windlass::handler::contract::{Handler, Invocation, StartedRun, Stop};
use windlass::handler::dispatch::Dispatch;
use windlass::pool::{Control, Ended, Phase, Setup, Work, run};
use windlass::store::instance::{Extend, InstanceRecord, Joined, ReadSuspicion};
use windlass::store::layer::{AnyArrow, AnyReply, Layer, Next};
use windlass::store::queueing::Enqueue;
use windlass::store::{StoreError, open};
use windlass::task;

use crate::daemon::{Daemon, Folder, eventually, signal};
use crate::support::verbs::Verbs as _;

/// The long-lived tasks and threads that a test can strike.
const TASKS: [&str; 15] = [
    "the log",
    "the core",
    "pool control",
    "pool lane 1",
    "pool lane 2",
    "pool heartbeat",
    "pool lease guard",
    "pool orphan watch",
    "pool timeouts",
    "pool manager",
    "pool waking",
    "scheduler promotion",
    "scheduler duties",
    "scheduler cron",
    "scheduler sampler",
];

/// A daemon in which this task panics when a file is there.
fn doomed(folder: &Folder, task: &str) -> Daemon {
    let mut command = folder.command(&["run"]);
    command.env("WINDLASS_PANIC_IN", task).env("WINDLASS_STRIKE_WHEN", folder.path("panic"));
    folder.start(command, "log")
}

#[track_caller]
fn assert_struck(mut daemon: Daemon, task: &str) {
    let mut ended = None;
    eventually(&format!("{task} ends the process"), || {
        ended = daemon.try_wait();
        ended.is_some()
    });
    let (code, log) = (ended.and_then(|status| status.code()), daemon.log());
    assert_eq!(code, Some(128 + 6), "{task}: {log}");
    assert!(log.contains(&format!("{task} panicked: ordered by a test")), "{task}: {log}");
    assert!(!log.contains("everything is settled"), "{task}: {log}");
}

#[test]
fn a_panic_of_any_task_is_told_by_name_and_ends_the_process() {
    for task in TASKS {
        let folder = Folder::new("sqlite:windlass.db", "");
        fs::write(folder.path("panic"), "").expect("the file must be written");
        assert_struck(doomed(&folder, task), task);
    }
}

#[test]
fn a_job_that_ran_when_the_heartbeat_panicked_is_run_again_by_the_next_start() {
    let folder = Folder::new("sqlite:windlass.db", "");
    folder.script("long", "echo $$ >>pids; exec sleep 1000");
    let daemon = doomed(&folder, "pool heartbeat");
    assert_eq!(folder.windlass(&["enqueue", "long"]).0, Some(0));
    let pids = || fs::read_to_string(folder.path("pids")).unwrap_or_default();
    eventually("the job begins", || !pids().is_empty());
    fs::write(folder.path("panic"), "").expect("the file must be written");
    assert_struck(daemon, "pool heartbeat");
    let pid = pids().trim().parse().expect("a number must have been written");
    assert!(!windlass::process::sweep::is_alive(pid, 0), "the job's process ended with the daemon");
    folder.script("long", "echo done >>pids");
    let next = folder.daemon();
    next.wait_log("redelivery 1");
    next.wait_log("job success");
    next.stop();
}

#[test]
fn a_hundred_starts_and_stops_at_random_moments_lose_nothing() {
    const ROUNDS: u32 = 100;
    let folder = Folder::new("sqlite:windlass.db", "");
    folder.script("note", "echo $WINDLASS_JOB_ID >>ran");
    let jobs = "{\"task\":\"note\"}\n".repeat(60);
    fs::write(folder.path("jobs"), jobs).expect("the file must be written");
    let file = folder.path("jobs");
    assert_eq!(folder.windlass(&["enqueue", "--bulk", &file.display().to_string()]).0, Some(0));
    // Not random, so that a failure comes again: all moments up to a tenth of a second, in no order.
    for round in 0..ROUNDS {
        let mut daemon = folder.daemon();
        std::thread::sleep(Duration::from_millis(u64::from(round * 37 % 101)));
        signal(daemon.parent(), Signal::TERM);
        let ended = daemon.wait();
        // One that was told before it could hear was ended by the signal itself.
        let unheard = std::os::unix::process::ExitStatusExt::signal(&ended) == Some(Signal::TERM.as_raw());
        let early = ended.code() == Some(128 + Signal::TERM.as_raw());
        assert!(ended.success() || unheard || early, "round {round}: {ended:?}: {}", daemon.log());
        assert!(!daemon.log().contains("panicked"), "round {round}: {}", daemon.log());
    }
    let last = folder.daemon_with_log("last");
    // All jobs may have run by now; it must be old enough to hear the signal.
    last.wait_log("[ worker ] started");
    let ran = || fs::read_to_string(folder.path("ran")).unwrap_or_default().lines().count();
    eventually("all jobs have run", || ran() >= 60);
    last.stop();
    assert_eq!(ran(), 60, "each ran once");
    assert_eq!(folder.windlass(&["--json", "failed", "count"]).1.trim(), "{\"count\":0}");
    assert!(!folder.windlass(&["--json", "workers"]).1.contains("-windlass"), "nothing is left registered");
}

#[test]
fn a_stop_that_parent_and_daemon_both_get_is_one_stop() {
    let folder = Folder::new("sqlite:windlass.db", "");
    folder.script("long", "touch begun; sleep 1; echo done >>ended");
    for round in 0..6 {
        let mut daemon = folder.daemon();
        assert_eq!(folder.windlass(&["enqueue", "long"]).0, Some(0));
        eventually("the job runs", || folder.path("begun").exists());
        fs::remove_file(folder.path("begun")).expect("it is there");
        // As pkill and a control group send it, in either order; GNU timeout sends it to the parent twice.
        let (parent, proper) = (daemon.parent(), daemon.proper());
        let pids = [[parent, proper], [proper, parent], [parent, parent]][round % 3];
        pids.into_iter().for_each(|pid| signal(pid, Signal::TERM));
        assert_eq!(daemon.wait().code(), Some(0), "round {round}: {}", daemon.log());
        assert!(!daemon.log().contains("SIGTERM again"), "round {round}: {}", daemon.log());
        assert_eq!(folder.read("ended").lines().count(), round + 1, "the job was let to its end");
    }
}

/// A handler whose runs end for nobody, and that tells how urgently they are asked to.
struct Stubborn(mpsc::UnboundedSender<watch::Receiver<Stop>>);

impl Handler for Stubborn {
    fn begin(&self, _job: Invocation, stop: watch::Receiver<Stop>) -> StartedRun {
        self.0.send(stop).unwrap();
        StartedRun::Running(Box::pin(std::future::pending()))
    }
}

/// A pool over a file, with a job of the stubborn handler running.
struct Pool {
    file: std::path::PathBuf,
    asked: watch::Receiver<Stop>,
    clock: Arc<ManualClock>,
    control: watch::Sender<Control>,
    pool: tokio::task::JoinHandle<Ended>,
    _work: watch::Sender<Work>,
    _dir: tempfile::TempDir,
}

/// A store whose leases cannot be extended, nor anything known about them.
struct Unextended;

#[async_trait::async_trait]
impl Layer for Unextended {
    async fn around(&self, arrow: AnyArrow, mut next: Next<'_>) -> Result<AnyReply, StoreError> {
        if arrow.get::<Extend>().is_some() || arrow.get::<ReadSuspicion>().is_some() {
            return Err(StoreError::Unavailable("nothing comes back".to_owned()));
        }
        next.pass(arrow).await
    }
}

async fn stubborn_pool(times: &str, layer: Option<Arc<dyn Layer>>) -> Pool {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::create_dir(path("tasks.d")).unwrap();
    let config =
        "queues = [\"default\"]\nmax_task_processors = 1\ntasks_dir = \"tasks.d\"\n[store]\nurl = \"sqlite:a.db\"\n";
    let config = format!("{config}{times}");
    fs::write(path("tasks.toml"), config).unwrap();
    fs::write(path("tasks.d/stubborn.toml"), "name = \"stubborn\"\n[run]\nbuiltin = \"stubborn\"\n").unwrap();
    let sources = Sources::new(dir.path()).file(path("tasks.toml"));
    let config = load(&sources).unwrap().config;
    let (begun, mut begins) = mpsc::unbounded_channel();
    let mut builtins = Builtins::standard(Bus::silent());
    builtins.register("stubborn", Stubborn(begun));
    let names: Vec<&str> = builtins.names().collect();
    let tasks = task::load::load(&config.tasks_dir, task::load::KnownNames::new(&names, &[]));
    let dispatch = Dispatch::new(&tasks.registry, &builtins, Bus::silent());
    let work = Work::new(Arc::new(config), Arc::new(dispatch));
    let host = windlass::daemon::host::identity();
    let record: InstanceRecord = windlass::daemon::host::record(&host, &work, 1);
    let config = Arc::clone(&work.config);
    let mut store = open::open(&config.store.url, &config.store.tls, &config.store.namespace).await.unwrap();
    let job = Enqueue {
        queue: windlass::job::QueueName::new("default").unwrap(),
        payload: "{\"class\":\"stubborn\",\"queue\":\"default\",\"args\":[]}".into(),
        front: false,
        admissions: Vec::new(),
    };
    store.enqueue(&[job]).await.unwrap();
    assert_eq!(store.join(&record).await.unwrap(), Joined::Yes);
    if let Some(layer) = layer {
        store = store.layered(layer);
    }
    let clock = Arc::new(ManualClock::at(SystemClock.now_ms()));
    let (work_sender, work) = watch::channel(work);
    let (control, orders) = watch::channel(Control::default());
    let mut setup = Setup::new(work, store.narrow(), tokio::runtime::Handle::current(), record);
    setup.clock = Arc::clone(&clock) as Arc<dyn Clock>;
    let pool = tokio::task::spawn_blocking(move || {
        let core = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        core.block_on(run(setup, orders))
    });
    let asked = begins.recv().await.expect("the job must begin");
    Pool { file: path("a.db"), asked, clock, control, pool, _work: work_sender, _dir: dir }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_is_ended_after_a_suspension_of_the_machine_that_used_up_the_lease() {
    let times = "lease = \"10m\"\n[shutdown]\ntimeout = \"5m\"\nkill_grace = \"200s\"";
    let Pool { asked, clock, control, pool, .. } = &mut stubborn_pool(times, Some(Arc::new(Unextended))).await;
    assert_eq!(*asked.borrow(), Stop::No);
    // Awake, nobody would be asked to end for minutes.
    clock.suspend(Duration::from_secs(500));
    let patience = Duration::from_secs(30);
    let first = tokio::time::timeout(patience, asked.wait_for(|asked| *asked > Stop::No)).await;
    assert_eq!(*first.expect("it must be asked to end").unwrap(), Stop::Terminate);
    // Still within the lease, by all that others can know.
    clock.suspend(Duration::from_secs(60));
    let killed = tokio::time::timeout(patience, asked.wait_for(|asked| *asked == Stop::Kill)).await;
    killed.expect("it must be killed").unwrap();
    control.send_modify(|control| control.phase = Phase::Kill);
    let ended = tokio::time::timeout(patience, pool).await;
    ended.expect("the pool must end").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_declared_dead_hears_the_signals_while_a_run_does_not_end() {
    let Pool { file, control, pool, .. } = &mut stubborn_pool("lease = \"1s\"", None).await;
    let sqlite = rusqlite::Connection::open(&file).unwrap();
    sqlite.busy_timeout(Duration::from_secs(10)).unwrap();
    let registered = |sqlite: &rusqlite::Connection| -> i64 {
        sqlite.query_row("SELECT COUNT(*) FROM instances", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(registered(&sqlite), 1);
    sqlite.execute("DELETE FROM instances", []).unwrap();
    // It finds out with the next extension of its lease of 1 s.
    tokio::time::sleep(Duration::from_millis(700)).await;
    control.send_modify(|control| control.phase = Phase::Drain);
    let ended = tokio::time::timeout(Duration::from_secs(6), pool).await;
    assert_eq!(ended.expect("a drain must end it").unwrap(), Ended::Unsettled);
}

#[test]
fn a_continue_after_a_stop_does_not_resume_what_was_paused() {
    let folder = Folder::new("sqlite:windlass.db", "");
    folder.script("note", "echo done >>notes");
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    signal(daemon.parent(), Signal::USR2);
    daemon.wait_log("paused: no jobs are claimed");
    assert_eq!(folder.windlass(&["enqueue", "note"]).0, Some(0));
    // Job control stops the process that people know; a debugger's user may stop the daemon proper.
    for (times, stopped) in [(1, daemon.parent()), (2, daemon.proper())] {
        signal(stopped, Signal::STOP);
        // A CONT that comes before the kernel has stopped the process cancels the stop.
        let stat = format!("/proc/{stopped}/stat");
        eventually("it is stopped", || fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T ")));
        signal(stopped, Signal::CONT);
        eventually("it is told", || daemon.log().matches("CONT after a stop: still paused").count() == times);
    }
    assert!(!daemon.log().contains("resumed:"), "{}", daemon.log());
    signal(daemon.parent(), Signal::CONT);
    daemon.wait_log("resumed: jobs are claimed again");
    eventually("the job is done", || fs::read_to_string(folder.path("notes")).is_ok_and(|notes| notes == "done\n"));
    daemon.stop();
}
