//! A stderr that takes nothing, fails, or goes away: the daemon works on, comes back to it, and ends when it is told to.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::process::Signal;

use crate::daemon::{Folder, eventually, signal};
use crate::support::redis::{Options, RedisServer};

/// A daemon that may not be left behind.
struct Running(Child);

impl Running {
    fn with_stderr(folder: &Folder, stderr: impl Into<Stdio>) -> Self {
        let mut command = folder.command(&["run"]);
        Self(command.stdout(Stdio::null()).stderr(stderr).spawn().expect("the binary must start"))
    }

    /// Drains it, which takes no longer than it may.
    fn stop(mut self) {
        signal(self.0.id(), Signal::TERM);
        let mut ended = None;
        eventually("the daemon ends", || {
            ended = self.0.try_wait().expect("the daemon must be waited for");
            ended.is_some()
        });
        assert_eq!(ended.and_then(|status| status.code()), Some(0));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already gone where the test came to its end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn folder() -> Folder {
    let folder = Folder::new("sqlite:windlass.db", "");
    fs::write(folder.path("tasks.d/note.toml"), "name = \"note\"\n[run]\nbuiltin = \"log\"\n")
        .expect("must be written");
    folder
}

/// Has so many jobs run, each of which writes a line.
fn run_jobs(folder: &Folder, count: usize, processed: usize) {
    let jobs = "{\"task\":\"note\",\"args\":[\"a line of output\"]}\n".repeat(count);
    fs::write(folder.path("jobs"), jobs).expect("the jobs must be written");
    let file = folder.path("jobs").display().to_string();
    let (code, said) = folder.windlass(&["enqueue", "--bulk", &file]);
    assert_eq!(code, Some(0), "{said}");
    let processed = format!("\"processed\":{processed},");
    eventually("the jobs are run", || folder.windlass(&["--json", "stats"]).1.contains(&processed));
}

/// Fills a pipe to its last byte.
fn fill(pipe: &PipeWriter) {
    // Another description of the same pipe, so that only this one does not block.
    let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).expect("a flag must fit");
    let mut pipe = File::options().write(true).custom_flags(flags).open(path).expect("the pipe must open again");
    for size in [4096, 1] {
        while pipe.write(&vec![b'.'; size]).is_ok() {}
    }
}

#[test]
fn a_pipe_that_nobody_reads_stops_neither_the_work_nor_the_end() {
    let folder = folder();
    let (_reader, writer) = std::io::pipe().expect("a pipe must be had");
    fill(&writer);
    let daemon = Running::with_stderr(&folder, writer);
    run_jobs(&folder, 500, 500);
    daemon.stop();
}

#[test]
fn a_pipe_that_is_read_late_tells_it_all_and_one_that_is_closed_stops_nothing() {
    let folder = folder();
    let (mut reader, writer) = std::io::pipe().expect("a pipe must be had");
    fill(&writer);
    let daemon = Running::with_stderr(&folder, writer);
    run_jobs(&folder, 50, 50);
    let mut read = Vec::new();
    let lines = |read: &[u8]| read.windows(14).filter(|bytes| bytes == b"a line of outp").count();
    while lines(&read) < 50 {
        let mut chunk = [0; 4096];
        let count = reader.read(&mut chunk).expect("the pipe must be readable");
        read.extend_from_slice(&chunk[..count]);
    }
    drop(reader);
    run_jobs(&folder, 50, 100);
    daemon.stop();
}

#[test]
fn a_log_that_failed_comes_back_and_says_what_was_lost() {
    let folder = folder();
    let path = folder.path("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, Mode::RWXU, 0)
        .expect("a fifo must be made");
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).expect("a flag must fit");
    let first = File::options().read(true).custom_flags(flags).open(&path).expect("the fifo must open");
    let stderr = File::options().write(true).open(&path).expect("the fifo must open");
    let daemon = Running::with_stderr(&folder, stderr);
    run_jobs(&folder, 1, 1);
    drop(first);
    // Nobody is there to read: every write fails.
    run_jobs(&folder, 20, 21);
    let second = File::options().read(true).open(&path).expect("the fifo must open");
    let mut lines = BufReader::new(second).lines().map(|line| line.expect("the log must be text"));
    let lost = lines.find(|line| line.contains("log lines were lost because writing the log failed"));
    let lost = lost.expect("it must say so");
    assert!(lost.contains("warning: ") && lost.contains("Broken pipe"), "{lost}");
    run_jobs(&folder, 1, 22);
    assert!(lines.any(|line| line.contains("a line of output")), "it goes on as before");
    std::thread::scope(|scope| {
        scope.spawn(|| daemon.stop());
        assert!(lines.any(|line| line.contains("drained")));
    });
}

#[test]
fn a_full_disk_under_the_log_stops_nothing() {
    let folder = folder();
    let daemon = Running::with_stderr(&folder, File::options().write(true).open("/dev/full").expect("must be there"));
    run_jobs(&folder, 50, 50);
    daemon.stop();
}

#[test]
fn bytes_that_are_no_job_are_not_told_as_classes_that_others_may_know() {
    let server = RedisServer::start(Options { tcp: false, durable: false });
    let folder = Folder::new(&server.url(), "unknown = \"fail\"");
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    let push = |bytes: &str| {
        for _ in 0..20 {
            server.command(&["RPUSH", "resque:queue:default", bytes]);
        }
        server.command(&["SADD", "resque:queues", "default"]);
    };
    push("no job");
    eventually("they are failed", || folder.windlass(&["--json", "failed", "count"]).1.contains("20"));
    assert!(!daemon.log().contains("classes unknown here"), "{}", daemon.log());
    push("{\"class\":\"nobodys\",\"queue\":\"default\",\"args\":[]}");
    daemon.wait_log(
        "10 jobs of classes unknown here came from queue \"default\" and failed; if other workers know them,",
    );
    daemon.stop();
}
