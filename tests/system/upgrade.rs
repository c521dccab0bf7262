//! A daemon takes over from another one without a gap.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::Signal;
use windlass::config::load::{Sources, load};
use windlass::job::QueueName;
use windlass::store::open;
use windlass::store::queueing::Enqueue;

use crate::daemon::{Daemon, Folder, eventually, signal};
use crate::support::verbs::Verbs as _;

/// A folder with a task that runs until it is let go, and one that notes its job.
fn folder(more: &str) -> Folder {
    let folder = Folder::new("sqlite:windlass.db", more);
    folder.script(
        "long",
        "echo $WINDLASS_JOB_ID >>begun; while [ ! -e go ]; do sleep 0.05; done; echo $WINDLASS_JOB_ID >>ended",
    );
    folder.script("note", "echo \"$WINDLASS_ARGS\" >>ran");
    folder
}

/// The lines of a file.
fn lines(folder: &Folder, name: &str) -> Vec<String> {
    folder.read(name).lines().map(str::to_owned).collect()
}

/// Jobs that arrive all the time.
struct Arrivals {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Arrivals {
    fn begin(folder: &Folder) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&stop);
        let sources = Sources::new(folder.path("")).file(folder.path("tasks.toml"));
        let store = load(&sources).expect("the configuration must be right").config.store;
        let arrive = async move {
            let store = open::open(&store.url, &store.tls, &store.namespace).await.expect("the store must open");
            let mut count = 0;
            while !ends.load(Ordering::SeqCst) {
                count += 1;
                let payload = format!("{{\"class\":\"note\",\"queue\":\"default\",\"args\":[{{\"n\":{count}}}]}}");
                let job = Enqueue {
                    queue: QueueName::new("default").expect("a plain word is a name"),
                    payload: payload.into(),
                    front: false,
                    admissions: Vec::new(),
                };
                store.enqueue(&[job]).await.expect("the store must take it");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            count
        };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime must be had");
        Self { stop, thread: std::thread::spawn(move || runtime.block_on(arrive)) }
    }

    /// How many came.
    fn end(self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("the thread must not panic")
    }
}

/// Each of so many jobs has run, and once.
#[track_caller]
fn assert_ran_once(folder: &Folder, count: usize) {
    eventually("all jobs have run", || lines(folder, "ran").len() >= count);
    let mut times = BTreeMap::new();
    for args in lines(folder, "ran") {
        *times.entry(args).or_insert(0) += 1;
    }
    assert_eq!((times.len(), times.values().max()), (count, Some(&1)), "none is lost, none is doubled");
    assert_eq!(folder.windlass(&["--json", "failed", "count"]).1.trim(), "{\"count\":0}");
}

/// Begins the long job.
fn begin_long(folder: &Folder) {
    folder.enqueue(&["long"]);
    eventually("the long job runs", || lines(folder, "begun").len() == 1);
}

/// The long job was let to its end by the daemon that began it.
#[track_caller]
fn assert_long_ended(folder: &Folder) {
    fs::write(folder.path("go"), "").expect("the file must be written");
    eventually("the long job ends", || !lines(folder, "ended").is_empty());
    assert_eq!(lines(folder, "begun"), lines(folder, "ended"), "it ran once, to its end");
}

/// Asks for health again and again, over new connections.
struct Visits {
    stop: Arc<AtomicBool>,
    failed: Arc<Mutex<Vec<String>>>,
    thread: JoinHandle<u32>,
}

impl Visits {
    fn begin(address: String) -> Self {
        let (stop, failed) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (ends, fails) = (Arc::clone(&stop), Arc::clone(&failed));
        let thread = std::thread::spawn(move || {
            let mut count = 0;
            while !ends.load(Ordering::SeqCst) {
                count += 1;
                match visit(&address) {
                    Ok(answer) if answer.starts_with("HTTP/1.1 200") => {}
                    other => fails.lock().expect("nobody panics with it").push(format!("{other:?}")),
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            count
        });
        Self { stop, failed, thread }
    }

    #[track_caller]
    fn assert_all_answered(self) {
        self.stop.store(true, Ordering::SeqCst);
        assert!(self.thread.join().expect("the thread must not panic") > 0);
        assert_eq!(*self.failed.lock().expect("nobody panics with it"), Vec::<String>::new());
    }
}

fn visit(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    write!(stream, "GET /health/ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn a_daemon_that_is_started_by_hand_replaces_the_one_that_runs() {
    let folder = folder("");
    listen(&folder);
    let mut old = folder.daemon();
    old.wait_log("[ worker ] started");
    begin_long(&folder);
    let address = old.http_address().to_string();
    eventually("it is ready", || visit(&address).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")));
    let (visits, arrivals) = (Visits::begin(address.clone()), Arrivals::begin(&folder));
    eventually("jobs run", || lines(&folder, "ran").len() > 3);
    let new = folder.start(folder.command(&["run", "--replace"]), "new");
    old.wait_log("has taken over: nothing more is claimed here");
    let before = lines(&folder, "ran").len();
    eventually("jobs run on", || lines(&folder, "ran").len() > before + 10);
    assert_eq!(new.http_address().to_string(), address, "it has the very same socket");
    assert!(old.try_wait().is_none(), "it lets its job end");
    assert_long_ended(&folder);
    assert_eq!(old.wait().code(), Some(0), "{}", old.log());
    assert_ran_once(&folder, arrivals.end());
    visits.assert_all_answered();
    new.stop();
}

#[test]
fn a_daemon_that_was_replaced_drains_with_the_first_signal_and_its_job_runs_again() {
    let folder = folder("");
    let mut old = folder.daemon();
    old.wait_log("[ worker ] started");
    begin_long(&folder);
    let new = folder.start(folder.command(&["run", "--replace"]), "new");
    old.wait_log("has taken over: nothing more is claimed here");
    signal(old.parent(), Signal::TERM);
    assert_eq!(old.wait().code(), Some(0), "{}", old.log());
    assert!(old.log().contains("SIGTERM: draining"), "{}", old.log());
    eventually("the job runs again", || lines(&folder, "begun").len() == 2);
    fs::write(folder.path("go"), "").expect("the file must be written");
    eventually("the job ends", || lines(&folder, "ended").len() == 1);
    new.stop();
}

#[test]
fn a_daemon_that_was_replaced_ends_its_jobs_when_their_time_is_over() {
    let folder = folder("");
    folder.reconfigure("kill_grace = \"1s\"", "kill_grace = \"1s\"\nupgrade_timeout = \"2s\"");
    let mut old = folder.daemon();
    old.wait_log("[ worker ] started");
    begin_long(&folder);
    let new = folder.start(folder.command(&["run", "--replace"]), "new");
    assert_eq!(old.wait().code(), Some(0), "{}", old.log());
    assert!(old.log().contains("the drain takes too long: 1 job is asked to end"), "{}", old.log());
    eventually("the job runs again", || lines(&folder, "begun").len() == 2);
    new.stop();
}

#[test]
fn a_job_cannot_replace_its_daemon_and_only_a_daemon_that_is_there_is_replaced() {
    let folder = folder("");
    let binary = crate::daemon::BINARY;
    folder.script(
        "usurp",
        &format!("timeout 20 {binary} --config tasks.toml run --replace=$(cat pid) 2>usurped; touch over"),
    );
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    fs::write(folder.path("pid"), daemon.parent().to_string()).expect("the file must be written");
    folder.enqueue(&["usurp"]);
    eventually("it is refused", || {
        folder.read("usurped").contains("a job, or what it has started, cannot replace its daemon")
    });
    assert!(!daemon.log().contains("has taken over"), "{}", daemon.log());
    daemon.stop();
    let mut command: Command = folder.command(&["run", "--replace=1"]);
    let refused = command.output().expect("the binary must run");
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("process 1 is no daemon that can be asked"), "{said}");
    let first = folder.start(folder.command(&["run", "--replace"]), "first");
    first.wait_log("there is nothing to replace");
    first.wait_log("[ worker ] started");
    first.stop();
}

/// A folder with a program of its own, which is the built one.
fn installed(folder: &Folder) -> PathBuf {
    let program = folder.path("windlass");
    install(&program);
    program
}

/// Puts another program in the place of that one, as a package does. It differs in nothing but its file.
fn install(program: &Path) {
    let next = program.with_extension("new");
    fs::copy(crate::daemon::BINARY, &next).expect("the program must be copied");
    fs::rename(next, program).expect("the program must be put in place");
}

/// The same with a script.
fn install_script(program: &Path, script: &str) {
    let next = program.with_extension("new");
    fs::write(&next, format!("#!/bin/sh\n{script}\n")).expect("the script must be written");
    fs::set_permissions(&next, fs::Permissions::from_mode(0o755)).expect("one's own file must be changeable");
    fs::rename(next, program).expect("the script must be put in place");
}

/// A daemon of that program.
fn start(folder: &Folder, program: &Path) -> Daemon {
    let mut command = Command::new(program);
    command.arg("--config").arg(folder.path("tasks.toml")).arg("run");
    command.env_remove("WINDLASS_STORE_URL").stdin(std::process::Stdio::null());
    let daemon = folder.start(command, "log");
    daemon.wait_log("[ worker ] started");
    daemon
}

/// The daemons below this parent, the oldest first.
fn propers(parent: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    let is_daemon = |pid: &u32| {
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.ends_with(b"run\0") && line.starts_with(b"/"))
    };
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).filter(is_daemon).collect()
}

/// Does this process execute this very file? True where that cannot be seen.
fn executes(pid: u32, program: &Path) -> bool {
    let inode = |path: &Path| fs::metadata(path).map(|found| found.ino());
    inode(Path::new(&format!("/proc/{pid}/exe"))).is_ok_and(|found| found == inode(program).expect("it is there"))
        || fs::metadata(format!("/proc/{pid}/exe"))
            .is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
}

fn upgraded(daemon: &Daemon) -> usize {
    daemon.log().matches("upgraded to windlass").count()
}

/// Upgrades by HUP, and returns the daemon that works since.
#[track_caller]
fn upgrade(daemon: &Daemon, program: &Path) -> u32 {
    let before = (upgraded(daemon), daemon.log().matches("has taken over: nothing more is claimed here").count());
    install(program);
    signal(daemon.parent(), Signal::HUP);
    eventually("the parent executes the new program", || upgraded(daemon) > before.0);
    let taken_over = || daemon.log().matches("has taken over: nothing more is claimed here").count();
    eventually("the old daemon retires", || taken_over() > before.1);
    let new = *propers(daemon.parent()).last().expect("a daemon must work");
    assert!(executes(daemon.parent(), program) && executes(new, program), "{}", daemon.log());
    new
}

fn listen(folder: &Folder) {
    let file = fs::OpenOptions::new().append(true).open(folder.path("tasks.toml"));
    let written = file.and_then(|mut file| file.write_all(b"[http]\nlisten = \"127.0.0.1:0\"\n"));
    written.expect("the configuration must be written");
}

#[test]
fn a_new_program_takes_over_while_the_old_daemon_lets_its_job_end() {
    let folder = folder("");
    listen(&folder);
    let program = installed(&folder);
    let mut daemon = start(&folder, &program);
    let old = propers(daemon.parent());
    begin_long(&folder);
    let address = daemon.http_address().to_string();
    eventually("it is ready", || visit(&address).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")));
    let (visits, arrivals) = (Visits::begin(address), Arrivals::begin(&folder));
    let new = upgrade(&daemon, &program);
    assert_eq!(propers(daemon.parent()), [old[0], new]);
    let before = lines(&folder, "ran").len();
    eventually("jobs run on", || lines(&folder, "ran").len() > before + 10);
    assert_long_ended(&folder);
    eventually("the old daemon ends", || propers(daemon.parent()) == [new]);
    assert_ran_once(&folder, arrivals.end());
    visits.assert_all_answered();
    // The same program is reloaded by HUP, and replaced by itself with URG.
    signal(daemon.parent(), Signal::HUP);
    daemon.wait_log("reloaded: nothing has changed");
    signal(daemon.parent(), Signal::URG);
    eventually("another daemon works", || propers(daemon.parent()).last().is_some_and(|last| *last != new));
    eventually("it works alone", || propers(daemon.parent()).len() == 1);
    assert_eq!((upgraded(&daemon), daemon.try_wait()), (1, None));
    daemon.stop();
}

#[test]
fn two_upgrades_in_a_row_leave_three_daemons_until_the_job_of_the_first_ends() {
    let folder = folder("");
    let program = installed(&folder);
    let daemon = start(&folder, &program);
    begin_long(&folder);
    let arrivals = Arrivals::begin(&folder);
    let first = propers(daemon.parent())[0];
    upgrade(&daemon, &program);
    let third = upgrade(&daemon, &program);
    eventually("the second has nothing to end", || propers(daemon.parent()) == [first, third]);
    assert_long_ended(&folder);
    eventually("the first ends", || propers(daemon.parent()) == [third]);
    assert_ran_once(&folder, arrivals.end());
    daemon.stop();
}

#[test]
fn a_program_that_does_not_take_over_changes_nothing() {
    let folder = folder("");
    let program = installed(&folder);
    let daemon = start(&folder, &program);
    let old = propers(daemon.parent());
    let refused = |count: usize, why: &str| {
        signal(daemon.parent(), Signal::HUP);
        let all = || daemon.log().matches("the upgrade is refused and nothing was changed").count();
        eventually("it is refused", || all() == count);
        assert!(daemon.log().contains(why), "{why}: {}", daemon.log());
        assert_eq!(propers(daemon.parent()), old);
        folder.enqueue(&["note"]);
        eventually("jobs run", || lines(&folder, "ran").len() == count);
    };
    // One that does not know the word, one that dies at once, and one that cannot read the configuration.
    install_script(&program, "exit 3");
    refused(1, "ended with exit code 3");
    install_script(&program, "case \"$*\" in *--rehearse=1) exit 0;; esac; kill -9 $$");
    refused(2, "the new daemon was killed by signal 9 before it worked");
    install(&program);
    folder.reconfigure("max_task_processors = 2", "max_task_processors = \"many\"");
    signal(daemon.parent(), Signal::HUP);
    daemon.wait_log("max_task_processors: expected");
    eventually("it is refused", || daemon.log().contains("windlass ended with exit code 64"));
    folder.reconfigure("max_task_processors = \"many\"", "max_task_processors = 2");
    upgrade(&daemon, &program);
    eventually("the new one works alone", || propers(daemon.parent()).len() == 1);
    daemon.stop();
}

#[test]
fn a_stop_in_the_middle_drains_both() {
    let folder = folder("");
    let program = installed(&folder);
    let mut daemon = start(&folder, &program);
    begin_long(&folder);
    let rising = folder.path("rising");
    let waits = format!("echo >{}; trap 'exit 0' TERM; while :; do sleep 0.05; done", rising.display());
    install_script(&program, &format!("case \"$*\" in *--rehearse=1) exit 0;; esac; {waits}"));
    signal(daemon.parent(), Signal::HUP);
    eventually("the new one starts", || rising.exists());
    signal(daemon.parent(), Signal::TERM);
    assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.log());
    // And with both at work.
    let program = installed(&folder);
    let mut daemon = start(&folder, &program);
    eventually("the job runs again", || lines(&folder, "begun").len() == 2);
    upgrade(&daemon, &program);
    signal(daemon.parent(), Signal::TERM);
    assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.log());
    assert_eq!(daemon.log().matches("drained: everything is settled and unregistered").count(), 3, "{}", daemon.log());
    assert!(folder.windlass(&["queues"]).1.contains("default"), "the job waits for the next start");
    assert!(!folder.windlass(&["--json", "workers"]).1.contains("-windlass"), "nothing is left registered");
}

#[test]
fn whichever_process_is_killed_in_the_middle_nothing_is_lost() {
    for victim in ["old", "new", "parent"] {
        let folder = folder("");
        let program = installed(&folder);
        let mut daemon = start(&folder, &program);
        begin_long(&folder);
        let arrivals = Arrivals::begin(&folder);
        let old = propers(daemon.parent())[0];
        let new = upgrade(&daemon, &program);
        let next = match victim {
            "old" => {
                signal(old, Signal::KILL);
                eventually("its job runs again", || lines(&folder, "begun").len() == 2);
                None
            }
            "new" => {
                signal(new, Signal::KILL);
                daemon.wait_log("older ones let their jobs end, and it is started again");
                eventually("another one works", || {
                    propers(daemon.parent()).last().is_some_and(|last| ![old, new].contains(last))
                });
                assert_eq!(lines(&folder, "begun").len(), 1, "the old one's job goes on");
                None
            }
            _ => {
                signal(daemon.parent(), Signal::KILL);
                daemon.wait();
                eventually("nothing outlives it", || {
                    !windlass::process::sweep::is_alive(old, 0) && !windlass::process::sweep::is_alive(new, 0)
                });
                let next = start(&folder, &program);
                eventually("the job runs again", || lines(&folder, "begun").len() == 2);
                Some(next)
            }
        };
        fs::write(folder.path("go"), "").expect("the file must be written");
        eventually("the long job ends", || lines(&folder, "ended").len() == 1);
        let count = arrivals.end();
        eventually("all jobs have run", || {
            let ran: std::collections::BTreeSet<_> = lines(&folder, "ran").into_iter().collect();
            ran.len() == count
        });
        assert_eq!(folder.windlass(&["--json", "failed", "count"]).1.trim(), "{\"count\":0}", "{victim}");
        next.unwrap_or(daemon).stop();
    }
}
