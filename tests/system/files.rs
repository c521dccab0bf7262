//! Files that are not what they should be: nothing hangs, each is told by name.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;

use rustix::fs::{CWD, FileType, mknodat};

use crate::daemon::{Folder, eventually, signal};

fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, 0o644.into(), 0).unwrap();
}

/// What a command says; it must end by itself.
#[track_caller]
fn said(folder: &Folder, args: &[&str]) -> (Option<i32>, String) {
    let mut command = folder.command(args);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut ended = None;
    let deadline = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually("the command ends", || {
            ended = child.try_wait().unwrap();
            ended.is_some()
        });
    }));
    if let Err(late) = deadline {
        child.kill().unwrap();
        child.wait().unwrap();
        std::panic::resume_unwind(late);
    }
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn what_is_no_regular_file_is_told_and_hangs_no_command() {
    let folder = Folder::new("sqlite:w.db", "");
    folder.script("good", "true");
    fifo(&folder.path("tasks.d/fifo.toml"));
    fs::create_dir(folder.path("tasks.d/folder.toml")).unwrap();
    symlink("/dev/zero", folder.path("tasks.d/zero.toml")).unwrap();
    fs::write(folder.path("tasks.d/huge.toml"), vec![b'#'; (4 << 20) + 1]).unwrap();
    fifo(&folder.path("key"));
    let http = "[run]\nhttp = \"https://localhost/\"\n";
    fs::write(folder.path("tasks.d/key.toml"), format!("name = \"key\"\n{http}secret = {{ file = \"../key\" }}\n"))
        .unwrap();
    fs::write(folder.path("tasks.d/ca.toml"), format!("name = \"ca\"\n{http}ca_file = \"../key\"\n")).unwrap();
    let (code, text) = said(&folder, &["check"]);
    assert_eq!(code, Some(64), "{text}");
    for expected in [
        "tasks.d/fifo.toml: cannot be read: it is a FIFO, expected a regular file",
        "tasks.d/folder.toml: cannot be read: it is a directory, expected a regular file",
        "tasks.d/zero.toml: cannot be read: it is a device, expected a regular file",
        "tasks.d/huge.toml: cannot be read: it holds more than 4 MiB",
        "run.secret.file: expected a readable file (it is a FIFO, expected a regular file)",
        "key cannot be read: it is a FIFO, expected a regular file",
        "\n6 problems\n",
    ] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
    // What works goes on.
    assert_eq!(said(&folder, &["enqueue", "good"]).0, Some(0));
}

#[test]
fn a_configuration_that_is_no_regular_file_hangs_no_command() {
    let folder = Folder::new("sqlite:w.db", "");
    folder.reconfigure("url = \"sqlite:w.db\"", "url = { file = \"address\" }");
    fifo(&folder.path("address"));
    let (code, text) = said(&folder, &["queues"]);
    assert!(
        code == Some(64) && text.contains("store.url.file: expected a readable file that holds the address"),
        "{text}"
    );
    assert!(text.contains("it is a FIFO"), "{text}");
    folder.reconfigure("url = { file = \"address\" }", "url = \"rediss://localhost\"\ntls = { ca = \"address\" }");
    let (code, text) = said(&folder, &["queues"]);
    assert!(code == Some(64) && text.contains("store.tls.ca: expected a readable PEM file (it is a FIFO"), "{text}");
    fs::remove_file(folder.path("tasks.toml")).unwrap();
    fifo(&folder.path("tasks.toml"));
    let (code, text) = said(&folder, &["queues"]);
    assert!(code == Some(64) && text.contains("tasks.toml: cannot be read: it is a FIFO"), "{text}");
}

#[test]
fn a_reload_refuses_a_fifo_and_the_next_one_works() {
    let folder = Folder::new("sqlite:w.db", "");
    folder.script("note", "echo one >>done");
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    fifo(&folder.path("tasks.d/fifo.toml"));
    signal(daemon.parent(), rustix::process::Signal::HUP);
    daemon.wait_log("the reload is refused and nothing was changed, because of 1 problem:");
    fs::remove_file(folder.path("tasks.d/fifo.toml")).unwrap();
    folder.script("more", "true");
    signal(daemon.parent(), rustix::process::Signal::HUP);
    daemon.wait_log("reloaded: new tasks more");
    daemon.stop();
}

#[test]
fn jobs_come_through_a_pipe_by_name() {
    let folder = Folder::new("sqlite:w.db", "");
    folder.script("note", "true");
    let pipe = folder.path("jobs");
    fifo(&pipe);
    let writer = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::write(pipe, "{\"task\":\"note\",\"args\":[1]}\n")
    });
    let (code, text) = said(&folder, &["enqueue", "--bulk", pipe.to_str().unwrap()]);
    assert!(code == Some(0) && text.contains("1 enqueued"), "{text}");
    writer.join().unwrap().unwrap();
    let (code, text) = said(&folder, &["enqueue", "--bulk", folder.path("").to_str().unwrap()]);
    assert!(code == Some(64) && text.contains("it is a directory"), "{text}");
}

#[test]
fn of_many_problems_the_first_are_told_and_all_are_counted() {
    let folder = Folder::new("sqlite:w.db", "");
    let bad =
        |number: usize| format!("[[task]]\nname = \"t{number}\"\nqueue = {number}\n[task.run]\nbuiltin = \"noop\"\n");
    for file in 0..2 {
        let text: String = (0..1500).map(|number| bad(file * 1500 + number)).collect();
        fs::write(folder.path(&format!("tasks.d/{file}.toml")), text).unwrap();
    }
    let (code, text) = said(&folder, &["check"]);
    assert!(code == Some(64) && text.ends_with("\nproblem: 2900 more\n\n3000 problems\n"), "{text}");
    assert_eq!(text.matches("problem: ").count(), 101, "{text}");
    assert!(text.contains("tasks.d/0.toml:3:9: queue: expected a string (found 0)"), "{text}");
    let (code, text) = said(&folder, &["check", "--json"]);
    assert!(code == Some(64) && text.contains("\"problem_count\":3000"), "{text}");
    let (code, text) = said(&folder, &["run"]);
    assert!(code == Some(64) && text.contains("2900 more problems"), "{text}");
    assert!(text.lines().count() < 110, "{text}");
}
