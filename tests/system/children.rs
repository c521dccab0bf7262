//! No child outlives its daemon, whichever of its processes is killed.

use std::fs;

use rustix::process::Signal;
use windlass::process::sweep;

use crate::daemon::{Daemon, Folder, eventually, signal};

/// A child, its grandchild, one that left the process group, and one that left it and lost its parent.
const FAMILY: &str = "echo $$ >>pids; sleep 1000 & echo $! >>pids; setsid sh -c \"echo \\$\\$ >>pids; exec sleep 1000\" & \
     (setsid sh -c \"echo \\$\\$ >>pids; exec sleep 1000\" &); echo $WINDLASS_INSTANCE >instance; wait";

fn pids(folder: &Folder) -> Vec<u32> {
    let text = fs::read_to_string(folder.path("pids")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Starts a daemon whose job has a family of four.
fn start() -> (Folder, Daemon, Vec<u32>) {
    let folder = Folder::new("sqlite:windlass.db", "");
    folder.script("family", FAMILY);
    let (code, said) = folder.windlass(&["enqueue", "family"]);
    assert_eq!(code, Some(0), "{said}");
    let daemon = folder.daemon();
    eventually("the family is there", || pids(&folder).len() == 4 && folder.path("instance").exists());
    let family = pids(&folder);
    assert!(family.iter().all(|pid| sweep::start_ticks(*pid).is_some()), "{}", daemon.log());
    (folder, daemon, family)
}

fn assert_gone(what: &str, family: &[u32]) {
    eventually(what, || family.iter().all(|pid| !sweep::is_alive(*pid, 0)));
}

/// The job of the killed instance is run again by the next one, as a redelivery.
fn assert_redelivered(folder: &Folder) {
    fs::remove_file(folder.path("pids")).expect("the first run must have written it");
    folder.script("family", "echo $WINDLASS_JOB_ID >again");
    let daemon = folder.daemon();
    eventually("the job is run again", || folder.path("again").exists());
    daemon.wait_log("redelivery 1");
    daemon.wait_log("job success");
    daemon.stop();
    assert_eq!(folder.windlass(&["--json", "failed", "count"]).1.trim(), "{\"count\":0}");
}

#[test]
fn kill_9_of_the_daemon_takes_its_family_along_and_loses_no_job() {
    let (folder, mut daemon, family) = start();
    signal(daemon.proper(), Signal::KILL);
    assert_eq!(daemon.wait().code(), Some(128 + 9), "{}", daemon.log());
    // The parent ends only when everything below it has.
    assert!(family.iter().all(|pid| !sweep::is_alive(*pid, 0)), "{}", daemon.log());
    assert_redelivered(&folder);
}

#[test]
fn kill_9_of_the_parent_takes_the_daemon_and_its_family_along_and_loses_no_job() {
    let (folder, mut daemon, mut family) = start();
    family.push(daemon.proper());
    signal(daemon.parent(), Signal::KILL);
    daemon.wait();
    assert_gone("the daemon and its family end", &family);
    assert_redelivered(&folder);
}

/// A child that never answers.
const MUTE: &str = "#!/bin/sh
echo $$ >>../pids
echo '{\"jsonrpc\":\"2.0\",\"method\":\"ready\"}'
exec sleep 1000
";

#[test]
fn an_orphaned_daemon_tells_why_it_ends_and_no_failure_of_what_it_kills() {
    let folder = Folder::new("sqlite:windlass.db", "");
    folder.reconfigure(
        "min_task_processors = 2\nmax_task_processors = 2",
        "min_task_processors = 18\nmax_task_processors = 18",
    );
    folder.script("long", "echo $$ >>pids; exec sleep 1000");
    folder.worker("served", MUTE);
    folder.worker("unready", "#!/bin/sh\necho $$ >>../pids\nexec sleep 1000\n");
    let mut lines = "{\"task\":\"long\"}\n".repeat(16);
    lines += "{\"task\":\"served\"}\n{\"task\":\"unready\"}\n";
    fs::write(folder.path("jobs"), lines).expect("the jobs must be written");
    let jobs = folder.path("jobs");
    assert_eq!(folder.windlass(&["enqueue", "--bulk", jobs.to_str().expect("the path is text")]).0, Some(0));
    let mut daemon = folder.daemon();
    eventually("all run", || pids(&folder).len() == 18);
    let proper = daemon.proper();
    signal(daemon.parent(), Signal::KILL);
    daemon.wait();
    eventually("the daemon ends", || !sweep::is_alive(proper, 0));
    let log = daemon.log();
    let (_, last) = log.split_once("the parent of this daemon is gone").expect("it says why it ends");
    assert_eq!(last.lines().count(), 1, "and nothing after that: {log}");
    assert!(!log.contains("job failure"), "{log}");
}

/// Kills both at one instant, as far as anybody can tell: stopped, neither can react to the other's end.
fn kill_both(daemon: &mut Daemon) {
    let both = [daemon.proper(), daemon.parent()];
    both.into_iter().for_each(|pid| signal(pid, Signal::STOP));
    both.into_iter().for_each(|pid| signal(pid, Signal::KILL));
    daemon.wait();
}

#[test]
fn without_an_environment_a_session_and_a_parent_they_are_still_found_before_the_job_is_run_again() {
    let folder = Folder::new("sqlite:windlass.db", "");
    // The program itself, a child in a session of its own, and one that has also lost its parent; all without any of
    // our variables.
    let bare = "echo \\$\\$ >>pids; exec sleep 1000";
    let script = format!(
        "env -i PATH=\"$PATH\" setsid sh -c \"{bare}\" & (env -i PATH=\"$PATH\" setsid sh -c \"{bare}\" &); \
         echo $$ >>pids; exec env -i sleep 1000"
    );
    folder.script("family", &script);
    assert_eq!(folder.windlass(&["enqueue", "family"]).0, Some(0));
    let mut daemon = folder.daemon();
    let environ = |pid: &u32| fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let bare = |pid: &u32| !String::from_utf8_lossy(&environ(pid)).contains("WINDLASS");
    eventually("the family is there", || pids(&folder).len() == 3 && pids(&folder).iter().all(bare));
    let family = pids(&folder);
    kill_both(&mut daemon);
    assert!(family.iter().all(|pid| sweep::is_alive(*pid, 0)), "nobody was left to clean up");
    fs::remove_file(folder.path("pids")).expect("the first run must have written it");
    // The second run says who is alive when it begins.
    let alive = family
        .iter()
        .map(|pid| format!("kill -0 {pid} && ! grep -q ') Z' /proc/{pid}/stat && echo {pid} >>alive; "))
        .collect::<String>();
    folder.script("family", &format!("{alive} echo $WINDLASS_JOB_ID >again"));
    let daemon = folder.daemon();
    eventually("the job is run again", || folder.path("again").exists());
    assert!(!folder.path("alive").exists(), "{}", fs::read_to_string(folder.path("alive")).unwrap_or_default());
    daemon.wait_log("redelivery 1");
    daemon.stop();
}

#[test]
fn what_a_kill_9_of_both_left_is_swept_before_the_job_is_run_again() {
    let (folder, mut daemon, family) = start();
    kill_both(&mut daemon);
    assert!(family.iter().any(|pid| sweep::is_alive(*pid, 0)), "nobody was left to clean up");
    assert_redelivered(&folder);
    assert_gone("the next start sweeps", &family);
}

/// What a signal to the process group does not reach: three ways out, and one without our variables.
const AWAY: &str = "say='echo $$ >>pids; exec sleep 1000'; setsid sh -c \"$say\" & timeout 1000 sh -c \"$say\" & \
     env -i PATH=\"$PATH\" setsid sh -c \"$say\" & (setsid sh -c \"$say\" &); set -m; sh -c \"$say\" & wait";

fn stays_behind(pids: &[u32]) -> Vec<u32> {
    pids.iter().copied().filter(|pid| sweep::is_alive(*pid, 0)).collect()
}

#[test]
fn a_run_that_is_killed_leaves_nothing_that_left_its_group() {
    let folder = Folder::new("sqlite:windlass.db", "on_crash = \"fail\"\n");
    folder.script("away", AWAY);
    assert_eq!(folder.windlass(&["enqueue", "away"]).0, Some(0));
    let daemon = folder.daemon();
    eventually("they are there", || pids(&folder).len() == 5);
    let family = pids(&folder);
    signal(daemon.parent(), Signal::USR1);
    eventually("it is settled", || folder.windlass(&["--json", "failed", "count"]).1.trim() == "{\"count\":1}");
    assert_eq!(stays_behind(&family), [0; 0], "{}", daemon.log());
    daemon.stop();
}

#[test]
fn a_run_whose_time_is_over_leaves_nothing_that_left_its_group() {
    let folder = Folder::new("sqlite:windlass.db", "");
    // One of them needs a moment to clean up, and gets it.
    let polite =
        "(setsid sh -c 'trap \"echo orderly >>said; exit\" TERM; echo $$ >>pids; while :; do sleep 0.01; done' &)";
    folder.script("late", &format!("{polite}; {AWAY}"));
    let path = folder.path("tasks.d/late.toml");
    let text = fs::read_to_string(&path).expect("the task must be there");
    fs::write(&path, format!("timeout = \"4s\"\n{text}")).expect("the task must be written");
    assert_eq!(folder.windlass(&["enqueue", "late"]).0, Some(0));
    let daemon = folder.daemon();
    eventually("it is settled", || folder.windlass(&["--json", "failed", "count"]).1.trim() == "{\"count\":1}");
    let family = pids(&folder);
    assert!(!family.is_empty());
    assert_eq!(stays_behind(&family), [0; 0], "{}", daemon.log());
    assert_eq!(fs::read_to_string(folder.path("said")).unwrap_or_default(), "orderly\n");
    daemon.stop();
}

/// Like `ssh-agent`: in a session of its own, without its parent, and not dumpable, so that only root can read its environment.
const AGENT: &str = "use POSIX; fork and exit; setsid(); fork and POSIX::_exit(0); close STDOUT; close STDERR; \
     my $number = `uname -m` eq qq(x86_64\\n) ? 157 : 167; syscall($number, 4, 0, 0, 0, 0) == 0 or die; \
     open(F, q(>>), q(pids)); print F $$, qq(\\n); close F; sleep 1000";

#[test]
fn a_run_whose_time_is_over_leaves_nothing_whose_environment_tells_nothing() {
    for keys in ["", "umask = \"077\"\n"] {
        let folder = Folder::new("sqlite:windlass.db", "");
        let bare = "env -i PATH=\"$PATH\" WINDLASS_RUN=1-2-3";
        let agent = format!("perl -e \"{}\"", AGENT.replace('$', "\\$").replace('`', "\\`"));
        folder.script("late", &format!("{agent}; {bare} {agent}; {bare} setsid {agent}; sleep 1000"));
        folder.add_keys("late", "timeout = \"3s\"");
        let path = folder.path("tasks.d/late.toml");
        let text = fs::read_to_string(&path).expect("the task must be there");
        fs::write(&path, text + keys).expect("the task must be written");
        assert_eq!(folder.windlass(&["enqueue", "late"]).0, Some(0));
        let daemon = folder.daemon();
        eventually("it is settled", || folder.windlass(&["--json", "failed", "count"]).1.trim() == "{\"count\":1}");
        let family = pids(&folder);
        assert_eq!(family.len(), 3);
        assert_eq!(stays_behind(&family), [0; 0], "{}", daemon.log());
        daemon.stop();
    }
}

#[test]
fn a_run_that_ends_by_itself_leaves_its_background_processes_alone() {
    let folder = Folder::new("sqlite:windlass.db", "");
    folder.script("starts", "setsid sh -c 'echo $$ >>pids; exec sleep 1000' >/dev/null 2>&1 & echo done");
    assert_eq!(folder.windlass(&["enqueue", "starts"]).0, Some(0));
    let daemon = folder.daemon();
    daemon.wait_log("job success");
    eventually("it is there", || pids(&folder).len() == 1);
    let family = pids(&folder);
    assert_eq!(stays_behind(&family), family);
    daemon.stop();
    assert_gone("they end with the daemon", &family);
}
