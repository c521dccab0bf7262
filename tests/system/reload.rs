//! Reloads, kills and pauses of a daemon that goes on.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::process::Signal;

use crate::daemon::{Daemon, Folder, eventually, signal};
use crate::support::redis::{Options, RedisServer};

const STORE: &str = "sqlite:windlass.db";

/// Waits for the gate, then says this.
fn gated(word: &str) -> String {
    format!("echo $$ >>begun; until [ -e gate ]; do sleep 0.02; done; echo {word} >>ended")
}

fn lines(folder: &Folder, name: &str) -> Vec<String> {
    fs::read_to_string(folder.path(name)).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[track_caller]
fn enqueue(folder: &Folder, task: &str) {
    let (code, said) = folder.windlass(&["enqueue", task]);
    assert_eq!(code, Some(0), "{said}");
}

/// Asks for a reload and waits until it is over; what was told of it.
#[track_caller]
fn reload(daemon: &Daemon, times: usize) -> String {
    let told =
        || daemon.log().lines().filter(|line| line.contains("reloaded: ")).map(str::to_owned).collect::<Vec<_>>();
    signal(daemon.parent(), Signal::HUP);
    eventually("the reload is told", || told().len() >= times);
    told().remove(times - 1)
}

fn workers(folder: &Folder) -> Vec<String> {
    let answer: serde_json::Value = serde_json::from_str(&folder.windlass(&["--json", "workers"]).1).unwrap();
    let name = |worker: &serde_json::Value| worker["id"].as_str().map(str::to_owned);
    let mut names: Vec<String> = answer["workers"].as_array().unwrap().iter().filter_map(name).collect();
    names.sort();
    names
}

fn ready(folder: &Folder) -> Daemon {
    let daemon = folder.daemon();
    eventually("both processors are registered", || daemon.log().matches("[ worker ] started").count() >= 2);
    daemon
}

#[test]
fn a_reload_adds_and_removes_tasks_and_changes_queues_and_processors() {
    let folder = Folder::new(STORE, "unknown = \"fail\"");
    folder.script("goes", "echo goes >>goes");
    let daemon = ready(&folder);
    enqueue(&folder, "goes");
    eventually("it runs", || folder.path("goes").exists());
    fs::remove_file(folder.path("tasks.d/goes.toml")).unwrap();
    folder.script("comes", "echo comes >>comes");
    folder.reconfigure("queues = [\"default\"]", "queues = [\"first\", \"default\"]");
    folder.reconfigure(
        "min_task_processors = 2\nmax_task_processors = 2",
        "min_task_processors = 4\nmax_task_processors = 4",
    );
    let told = reload(&daemon, 1);
    for part in ["new tasks comes", "tasks that are gone goes", "queues", "max_task_processors"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let all_new =
        || workers(&folder).len() == 4 && workers(&folder).iter().all(|name| name.ends_with(":first,default"));
    eventually("four processors have their new names", all_new);
    let (code, said) = folder.windlass(&["enqueue", "comes", "--queue", "first"]);
    assert_eq!(code, Some(0), "{said}");
    eventually("a new task's job from a new queue runs", || folder.path("comes").exists());
    // Somebody who still knows the task that is gone.
    folder.windlass(&["enqueue", "goes", "--foreign", "--queue", "default"]);
    eventually("it fails", || folder.windlass(&["--json", "failed", "count"]).1.contains("1"));
    folder.reconfigure(
        "min_task_processors = 4\nmax_task_processors = 4",
        "min_task_processors = 1\nmax_task_processors = 1",
    );
    reload(&daemon, 2);
    eventually("one processor is left", || workers(&folder).len() == 1);
    daemon.stop();
    assert!(workers(&folder).is_empty(), "nothing is left registered");
}

#[test]
fn a_reload_with_problems_is_refused_whole_and_tells_them_all() {
    let folder = Folder::new(STORE, "");
    folder.script("note", "echo old >>notes");
    let daemon = ready(&folder);
    let before = workers(&folder);
    folder.script("note", "echo new >>notes");
    fs::write(folder.path("tasks.d/broken.toml"), "name = \"broken\"\nfrequncy = \"1m\"\n[run]\nbuiltin = \"noop\"\n")
        .unwrap();
    fs::write(folder.path("tasks.d/other.toml"), "name = \"other\"\n[run]\nbuiltin = \"nope\"\n").unwrap();
    folder.reconfigure("queues = [\"default\"]", "queues = [\"default\", \"more\"]");
    signal(daemon.parent(), Signal::HUP);
    daemon.wait_log("the reload is refused and nothing was changed");
    daemon.wait_log("broken.toml:2:1: frequncy");
    daemon.wait_log("other.toml:3:");
    enqueue(&folder, "note");
    eventually("the job runs as it was defined", || lines(&folder, "notes") == ["old"]);
    assert_eq!(workers(&folder), before);
    // Corrected, it is taken over.
    for file in ["broken", "other"] {
        fs::remove_file(folder.path(&format!("tasks.d/{file}.toml"))).unwrap();
    }
    reload(&daemon, 1);
    enqueue(&folder, "note");
    eventually("the job runs as it is defined now", || lines(&folder, "notes") == ["old", "new"]);
    daemon.stop();
}

#[test]
fn what_needs_a_restart_is_told_and_left_as_it_was() {
    let folder = Folder::new(STORE, "");
    folder.script("note", "echo done >>notes");
    let daemon = ready(&folder);
    folder.reconfigure("sqlite:windlass.db", "sqlite:other.db");
    folder.reconfigure("lease = \"3s\"", "lease = \"9s\"");
    folder.reconfigure("scheduler = true", "scheduler = false");
    reload(&daemon, 1);
    daemon.wait_log("applied only at a restart: scheduler, store.url, store.lease");
    folder.reconfigure("sqlite:other.db", "sqlite:windlass.db");
    enqueue(&folder, "note");
    eventually("it works on its store as before", || folder.path("notes").exists());
    daemon.stop();
}

#[test]
fn a_job_that_runs_through_a_reload_ends_as_it_began() {
    let folder = Folder::new(STORE, "");
    folder.script("gated", &gated("old"));
    let daemon = ready(&folder);
    let old = workers(&folder);
    enqueue(&folder, "gated");
    eventually("it begins", || folder.path("begun").exists());
    folder.script("gated", &gated("new"));
    folder.reconfigure("queues = [\"default\"]", "queues = [\"default\", \"more\"]");
    reload(&daemon, 1);
    // The idle processor has its new name, the busy one keeps its own.
    let renamed = || workers(&folder).iter().filter(|name| !old.contains(name)).count();
    eventually("the idle one is renamed", || renamed() == 1);
    assert_eq!(workers(&folder).len(), 2);
    fs::write(folder.path("gate"), "").unwrap();
    eventually("it ends", || lines(&folder, "ended") == ["old"]);
    eventually("the other one is renamed", || renamed() == 2 && workers(&folder).len() == 2);
    enqueue(&folder, "gated");
    eventually("the next one is new", || lines(&folder, "ended") == ["old", "new"]);
    daemon.stop();
    let stats = folder.windlass(&["--json", "stats"]).1;
    assert!(stats.contains("\"processed\":2") && stats.contains("\"failed\":0"), "{stats}");
}

#[test]
fn a_job_under_an_old_name_is_recovered_when_its_daemon_dies_after_a_reload() {
    let folder = Folder::new(STORE, "");
    folder.script("gated", &gated("done"));
    let mut daemon = ready(&folder);
    enqueue(&folder, "gated");
    eventually("it begins", || lines(&folder, "begun").len() == 1);
    for (times, queues) in [(1, "\"default\", \"more\""), (2, "\"most\", \"default\"")] {
        let now = fs::read_to_string(folder.path("tasks.toml")).unwrap();
        let line = now.lines().find(|line| line.starts_with("queues")).unwrap();
        folder.reconfigure(line, &format!("queues = [{queues}]"));
        reload(&daemon, times);
        let name = queues.replace(['"', ' '], "");
        eventually("the idle one is renamed", || {
            workers(&folder).iter().any(|worker| worker.ends_with(&format!(":{name}")))
        });
    }
    signal(daemon.proper(), Signal::KILL);
    daemon.wait();
    let next = folder.daemon_with_log("next");
    eventually("the job is run again", || lines(&folder, "begun").len() == 2);
    fs::write(folder.path("gate"), "").unwrap();
    next.wait_log("job success");
    eventually("nothing of the dead one is left", || workers(&folder).len() == 2);
    next.stop();
    assert_eq!(folder.windlass(&["--json", "failed", "count"]).1.trim(), "{\"count\":0}");
}

#[test]
fn reloads_under_load_lose_no_job_and_double_none() {
    const JOBS: usize = 600;
    let server = RedisServer::start(Options { tcp: false, durable: false });
    for store in [STORE.to_owned(), server.url()] {
        let folder = Folder::new(&store, "");
        folder.script("note", "echo $WINDLASS_JOB_ID >>ids");
        folder.reconfigure(
            "min_task_processors = 2\nmax_task_processors = 2",
            "min_task_processors = 4\nmax_task_processors = 8",
        );
        let daemon = ready(&folder);
        let bulk: String = (0..JOBS).map(|n| format!("{{\"task\":\"note\",\"args\":[{n}]}}\n")).collect();
        fs::write(folder.path("bulk"), bulk).unwrap();
        let file = folder.path("bulk").display().to_string();
        assert_eq!(folder.windlass(&["enqueue", "--bulk", &file]).0, Some(0));
        let lists = ["queues = [\"default\"]", "queues = [\"*\", \"default\"]", "queues = [\"first\", \"d*\"]"];
        let mut times = 0;
        // Fewer come together if jobs are lost; then the numbers below say so.
        while lines(&folder, "ids").len() < JOBS && times < 3_000 {
            folder.reconfigure(lists[times % 3], lists[(times + 1) % 3]);
            times += 1;
            reload(&daemon, times);
        }
        assert!(times >= 3, "only {times} reloads while jobs ran");
        daemon.stop();
        let mut ids = lines(&folder, "ids");
        ids.sort();
        ids.dedup();
        let stats = folder.windlass(&["--json", "stats"]).1;
        assert_eq!((ids.len(), lines(&folder, "ids").len()), (JOBS, JOBS), "{stats}");
        assert!(stats.contains(&format!("\"processed\":{JOBS}")) && stats.contains("\"failed\":0"), "{stats}");
        assert!(workers(&folder).is_empty(), "nothing is left registered: {:?}", workers(&folder));
    }
}

#[test]
fn flags_hold_through_a_reload() {
    let folder = Folder::new(STORE, "");
    folder.script("note", "true");
    let daemon = folder.start(folder.command(&["run", "--queues", "mine", "--min", "1", "--max", "1"]), "log");
    daemon.wait_log("[ worker ] started");
    folder.reconfigure("queues = [\"default\"]", "queues = [\"other\"]");
    folder.reconfigure("max_task_processors = 2", "max_task_processors = 3");
    folder.script("second", "true");
    let told = reload(&daemon, 1);
    assert!(told.contains("new tasks second") && !told.contains("queues"), "{told}");
    let names = workers(&folder);
    assert!(names.len() == 1 && names[0].ends_with(":mine"), "{names:?}");
    daemon.stop();
}

#[test]
fn a_reload_seeds_periodic_tasks_and_moves_ticks_of_another_cadence() {
    let folder = Folder::new(STORE, "");
    folder.script("note", "true");
    let daemon = ready(&folder);
    let periodic = |every: &str| {
        folder.script("tick", "echo tick >>ticks");
        let file = folder.path("tasks.d/tick.toml");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(file, text.replacen('\n', &format!("\nfrequency = \"{every}\"\n"), 1)).unwrap();
    };
    periodic("1h");
    reload(&daemon, 1);
    eventually("its first run comes at once", || lines(&folder, "ticks").len() == 1);
    eventually("its next is scheduled", || folder.windlass(&["delayed"]).1.contains("tick"));
    periodic("1s");
    reload(&daemon, 2);
    eventually("it runs every second now", || lines(&folder, "ticks").len() >= 3);
    daemon.stop();
}

#[test]
fn log_levels_change_with_a_reload() {
    let folder = Folder::new(STORE, "");
    folder.script("note", "echo done >>notes");
    let mut command = folder.command(&["run"]);
    command.env_remove("WINDLASS_LOG");
    let daemon = folder.start(command, "log");
    daemon.wait_log("[ worker ] started");
    enqueue(&folder, "note");
    daemon.wait_log("job success");
    assert!(!daemon.log().contains("working job"), "{}", daemon.log());
    let text = fs::read_to_string(folder.path("tasks.toml")).unwrap();
    fs::write(
        folder.path("tasks.toml"),
        format!("{text}[log]\nlevel = \"debug\"\n[worker_logging]\nsuccess = \"off\"\n"),
    )
    .unwrap();
    reload(&daemon, 1);
    enqueue(&folder, "note");
    daemon.wait_log("working job");
    eventually("it runs", || lines(&folder, "notes").len() == 2);
    let log = daemon.log();
    daemon.stop();
    assert_eq!(log.matches("job success").count(), 1, "{log}");
}

#[test]
fn usr1_kills_what_runs_and_work_goes_on() {
    let folder = Folder::new(STORE, "");
    folder.script("again", "if [ -e again ]; then echo done >>done; exit; fi; touch again; exec sleep 1000");
    folder.script("fails", "touch failing; exec sleep 1000");
    let file = folder.path("tasks.d/fails.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(file, format!("on_crash = \"fail\"\n{text}")).unwrap();
    let daemon = ready(&folder);
    enqueue(&folder, "again");
    enqueue(&folder, "fails");
    eventually("both run", || folder.path("again").exists() && folder.path("failing").exists());
    signal(daemon.parent(), Signal::USR1);
    daemon.wait_log("2 running jobs are asked to end; work goes on");
    eventually("one is run again", || folder.path("done").exists());
    daemon.wait_log("redelivery 1");
    eventually("one fails", || folder.windlass(&["--json", "failed", "count"]).1.trim() == "{\"count\":1}");
    daemon.stop();
    assert!(folder.windlass(&["failed"]).1.contains("Interrupted"));
}

#[test]
fn usr1_kills_after_the_grace_and_at_once_when_said_again() {
    let folder = Folder::new(STORE, "");
    folder.script(
        "stubborn",
        "trap '' TERM; [ -e second ] && exit; [ -e first ] && touch second; touch first; while :; do sleep 0.05; done",
    );
    let daemon = ready(&folder);
    enqueue(&folder, "stubborn");
    eventually("it runs", || folder.path("first").exists());
    // The grace of one second.
    signal(daemon.parent(), Signal::USR1);
    eventually("it is killed and run again", || folder.path("second").exists());
    folder.reconfigure("timeout = \"4s\"\nkill_grace = \"1s\"", "timeout = \"20m\"\nkill_grace = \"10m\"");
    reload(&daemon, 1);
    signal(daemon.parent(), Signal::USR1);
    daemon.wait_log("redelivery 1");
    eventually("it was asked twice", || daemon.log().matches("asked to end; work goes on").count() == 2);
    // Sooner it would be a copy of the last one.
    std::thread::sleep(Duration::from_millis(200));
    signal(daemon.parent(), Signal::USR1);
    daemon.wait_log("1 running job is killed; work goes on");
    daemon.wait_log("job success");
    daemon.stop();
}

#[test]
fn a_paused_queue_waits_until_it_is_resumed() {
    let folder = Folder::new(STORE, "");
    folder.script("note", "echo done >>notes");
    let daemon = ready(&folder);
    for verb in ["pause", "resume"] {
        let (code, said) = folder.windlass(&["queues", verb, "defualt"]);
        assert!(code == Some(1) && said.contains("no queue \"defualt\" (did you mean \"default\"?)"), "{said}");
    }
    let (code, said) = folder.windlass(&["queues", "pause", "defualt", "--new"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("there is no such queue yet"), "{said}");
    for (pause, resume) in [
        (["queues", "pause", "default"], ["queues", "resume", "default"]),
        (["queues", "pause", "--all"], ["queues", "resume", "--all"]),
    ] {
        let before = lines(&folder, "notes").len();
        assert_eq!(folder.windlass(&pause).0, Some(0));
        enqueue(&folder, "note");
        assert!(folder.windlass(&["queues"]).1.contains("paused"));
        // Nothing happening sends no signal.
        std::thread::sleep(Duration::from_millis(700));
        assert_eq!(lines(&folder, "notes").len(), before, "{}", daemon.log());
        assert_eq!(folder.windlass(&resume).0, Some(0));
        eventually("the job runs", || lines(&folder, "notes").len() == before + 1);
    }
    let (_, said) = folder.windlass(&["queues", "resume", "--all"]);
    assert!(said.contains("all queues were not paused; these are still paused one by one: defualt"), "{said}");
    daemon.stop();
    assert_eq!(folder.windlass(&["queues", "pause"]).0, Some(64), "a queue, or all of them");
}

#[test]
fn systemd_is_told_of_a_reload_and_that_the_core_is_alive() {
    let folder = Folder::new(STORE, "");
    folder.script("note", "true");
    let socket = UnixDatagram::bind(folder.path("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut command = folder.command(&["run"]);
    command.env("NOTIFY_SOCKET", folder.path("notify")).env("WATCHDOG_USEC", "400000");
    let daemon = folder.start(command, "log");
    let said = |wanted: &str| {
        let mut buffer = [0; 4096];
        loop {
            let length = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("{wanted}: {error}"));
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.lines().any(|line| line == wanted) {
                return text;
            }
        }
    };
    said("READY=1");
    said("WATCHDOG=1");
    said("WATCHDOG=1");
    signal(daemon.parent(), Signal::HUP);
    let reloading = said("RELOADING=1");
    let since = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).unwrap();
    assert!(since.parse::<u64>().unwrap() > 0);
    said("READY=1");
    daemon.stop();
    said("STOPPING=1");
}
