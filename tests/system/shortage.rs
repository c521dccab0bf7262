//! A daemon that is short of file descriptors.

use std::fs;
use std::process::{Command, Stdio};

use crate::daemon::{Folder, eventually};

/// The daemon with a limit of open files that it cannot raise.
fn run(folder: &Folder, files: u32) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("ulimit -n {files}; exec \"$0\" \"$@\""));
    let command = folder.command(&["run"]);
    shell.arg(command.get_program()).args(command.get_args());
    shell.env_remove("WINDLASS_STORE_URL").stdin(Stdio::null());
    shell
}

#[test]
fn jobs_that_find_no_descriptor_are_given_back_and_each_is_run_once() {
    let folder = Folder::new("sqlite:store.db", "");
    folder.reconfigure(
        "min_task_processors = 2\nmax_task_processors = 2",
        "min_task_processors = 30\nmax_task_processors = 30",
    );
    folder.script("note", "sleep 0.2; echo $WINDLASS_JOB_ID $WINDLASS_ATTEMPT >>notes");
    let jobs: String = (0..60).map(|_| "{\"task\":\"note\"}\n").collect();
    fs::write(folder.path("jobs"), jobs).expect("the jobs must be written");
    let path = folder.path("jobs");
    let (code, said) = folder.windlass(&["enqueue", "--bulk", path.to_str().expect("the path is text")]);
    assert_eq!(code, Some(0), "{said}");
    let daemon = folder.start(run(&folder, 44), "log");
    daemon.wait_log("30 processors need up to");
    daemon.wait_log("is short of a resource");
    let stats = || folder.windlass(&["--json", "stats"]).1;
    eventually("all are run", || stats().contains("\"processed\":60"));
    assert!(stats().contains("\"failed\":0"), "{}", stats());
    let notes = fs::read_to_string(folder.path("notes")).expect("they ran");
    let mut notes: Vec<_> = notes.lines().collect();
    assert!(notes.iter().all(|note| note.ends_with(" 1")), "each on its first attempt: {notes:?}");
    notes.sort_unstable();
    notes.dedup();
    assert_eq!(notes.len(), 60, "each once");
    let log = daemon.log();
    assert_eq!(log.matches("is short of a resource").count(), 1, "it is told once: {log}");
    assert!(!log.contains("redelivery"), "and not counted: {log}");
    daemon.stop();
}
