//! A running process: it is spawned, fed one line, waited for, and reaped.
//!
//! Waiting and reaping are two steps. [`Child::exited`] returns while the process is still a zombie. Until
//! [`Child::reap`], its pid and process group id cannot be reused, so a signal to the group cannot reach another
//! process. Dropping a child that was not reaped kills its whole group.
//!
//! Requires a tokio runtime with I/O enabled.

use std::ffi::OsString;
use std::future::pending;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitStatus;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;
use tokio::task::JoinHandle;

use super::command::{Command, Started};
use super::memory_kill;
use super::output::Output;
use super::pipes::Ends;
use super::spawn_error::SpawnError;
use super::strays::Strays;

/// A spawned command: the process and its pipes, separate so that all three can be awaited at once.
#[derive(Debug)]
pub struct Running {
    /// The process.
    pub child: Child,
    /// Its stdin.
    pub input: Input,
    /// Its stdout and stderr.
    pub output: Output,
}

/// A process that was spawned and not yet reaped.
#[derive(Debug)]
pub struct Child {
    /// `None` once reaped.
    process: Option<std::process::Child>,
    pid: Pid,
    exit: Exit,
    /// What it started outside of its group.
    pub(super) strays: Strays,
}

/// How the end of a process is detected.
#[derive(Debug)]
enum Exit {
    Pidfd(AsyncFd<OwnedFd>),
    /// A waiting thread, where the kernel or a seccomp filter refuses pidfds.
    Thread(JoinHandle<()>),
    Ended,
}

/// The input of a child that is still being written. It is not an error if the child does not read it.
#[derive(Debug)]
pub struct Input {
    pipe: Option<pipe::Sender>,
    bytes: Vec<u8>,
    written: usize,
}

impl Running {
    /// Spawns a command and writes `input` to its stdin, if it has one.
    ///
    /// # Errors
    /// Says why the command did not start. Nothing fails once it did.
    pub fn spawn(command: &Command, input: Vec<u8>) -> Result<Self, SpawnError> {
        memory_kill::glance();
        let ready = |ours: Ends| {
            Ok((Input::new(ours.stdin, input)?, Output::new(ours.stdout, Some(ours.stderr))?.telling(ours.status)?))
        };
        let (Started { process, run, proof }, (input, output)) = command.spawn(ready)?;
        Ok(Self { child: Child::new(process, run), input, output: output.hearing(proof) })
    }
}

impl Exit {
    #[expect(deprecated, reason = "unsound only for types whose descriptor may change or close; an OwnedFd's does not")]
    fn watch(pid: Pid) -> Self {
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK).map_err(io::Error::from);
        match pidfd.and_then(|fd| AsyncFd::with_interest(fd, Interest::READABLE)) {
            Ok(fd) => Self::Pidfd(fd),
            Err(_) => Self::Thread(tokio::task::spawn_blocking(move || {
                let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
                while matches!(rustix::process::waitid(WaitId::Pid(pid), options), Err(Errno::INTR)) {}
            })),
        }
    }
}

impl Child {
    pub(super) fn new(process: std::process::Child, run: OsString) -> Self {
        let pid = Pid::from_child(&process);
        let strays = Strays::new(run, pid.as_raw_pid().unsigned_abs());
        // From here on, dropping it ends the process.
        let mut child = Self { process: Some(process), pid, exit: Exit::Ended, strays };
        child.exit = Exit::watch(pid);
        child
    }

    /// The pid, which is also the id of the process group.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits until the process has ended. Does not reap it; further calls return at once. Cancel safe.
    pub async fn exited(&mut self) {
        match &mut self.exit {
            // This fails only when the runtime shuts down, and then the whole run is dropped soon.
            Exit::Pidfd(fd) => drop(fd.readable().await),
            Exit::Thread(thread) => drop(thread.await),
            Exit::Ended => {}
        }
        self.exit = Exit::Ended;
    }

    /// Sends a signal to every process of the group.
    pub fn signal_group(&self, signal: Signal) {
        if self.process.is_some() {
            self.signal_now(signal);
        }
    }

    /// It must not have been reaped yet, so that the ids are still its own.
    fn signal_now(&self, signal: Signal) {
        // It fails if nothing of the group may be signalled.
        if rustix::process::kill_process_group(self.pid, signal) == Err(Errno::SRCH) {
            // A program of another user that has just been started has no group of its own yet.
            let _ = rustix::process::kill_process(self.pid, signal);
        }
    }

    /// Returns the exit status and releases the pid. Waits if the process still runs.
    ///
    /// # Errors
    /// The status is lost if the process was reaped elsewhere.
    pub fn reap(mut self) -> io::Result<ExitStatus> {
        self.process.take().map_or_else(|| Err(io::Error::other("reaped before")), |mut process| process.wait())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        self.signal_now(Signal::KILL);
        if !matches!(process.try_wait(), Ok(None)) {
            return;
        }
        // A killed process ends soon, but no runtime thread should wait for it.
        let _ = std::thread::Builder::new().name("reap".to_owned()).spawn(move || process.wait());
    }
}

impl Input {
    fn new(stdin: Option<OwnedFd>, bytes: Vec<u8>) -> io::Result<Self> {
        let mut input = Self { pipe: None, bytes, written: 0 };
        let Some(fd) = stdin else { return Ok(input) };
        rustix::io::ioctl_fionbio(fd.as_fd(), true)?;
        // Almost every job fits the pipe at once, and then the pipe is never registered with the reactor.
        if let Ok(written) = rustix::io::write(&fd, &input.bytes) {
            input.written = written;
        }
        if input.written < input.bytes.len() {
            input.pipe = Some(pipe::Sender::from_owned_fd_unchecked(fd)?);
        }
        Ok(input)
    }

    /// Writes the rest and closes the child's stdin, then never returns. Cancel safe.
    pub async fn feed(&mut self) -> std::convert::Infallible {
        while let Some(pipe) = &self.pipe {
            let rest = self.bytes.get(self.written..).unwrap_or_default();
            if rest.is_empty() || pipe.writable().await.is_err() {
                break;
            }
            match pipe.try_write(rest) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The child has closed its stdin and does not read the rest.
                Err(_) => break,
            }
        }
        self.pipe = None;
        self.bytes = Vec::new();
        pending().await
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::time::Duration;

    use super::super::output::OutputLine;
    use super::super::sweep;
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    async fn finish(mut running: Running) -> (ExitStatus, String) {
        let mut text = String::new();
        let mut sink = |line: OutputLine<'_>| text.extend([line.text, "\n"]);
        let mut open = true;
        loop {
            tokio::select! {
                () = running.child.exited() => break,
                never = running.input.feed() => match never {},
                more = running.output.pump(&mut sink), if open => open = more,
            }
        }
        running.output.rest(&mut sink).await;
        (running.child.reap().unwrap(), text)
    }

    #[tokio::test]
    async fn a_child_reads_its_line_and_its_status_is_known() {
        let big = format!("{}\n", "x".repeat(1_000_000));
        let (status, text) = finish(Running::spawn(&shell("wc -c; exit 3"), big.into_bytes()).unwrap()).await;
        assert_eq!((status.code(), text.trim()), (Some(3), "1000001"));
        let (status, _) = finish(Running::spawn(&shell("kill -9 $$"), b"{}\n".to_vec()).unwrap()).await;
        assert_eq!(status.signal(), Some(9));
    }

    #[tokio::test]
    async fn the_environment_is_inherited_but_for_what_is_removed_or_set() {
        let mut command = Command::new("/usr/bin/env");
        let path = |text: &str| text.lines().filter(|line| line.starts_with("PATH=")).map(str::to_owned).collect();
        let inherited: Vec<String> = path(&finish(Running::spawn(&command, Vec::new()).unwrap()).await.1);
        assert_eq!(inherited, [format!("PATH={}", std::env::var("PATH").unwrap())]);
        command.env_remove("PATH");
        let removed: Vec<String> = path(&finish(Running::spawn(&command, Vec::new()).unwrap()).await.1);
        assert!(removed.is_empty());
        command.env("PATH", "/mine");
        let set: Vec<String> = path(&finish(Running::spawn(&command, Vec::new()).unwrap()).await.1);
        assert_eq!(set, ["PATH=/mine"]);
    }

    #[tokio::test]
    async fn a_child_that_does_not_read_its_stdin_is_no_error() {
        let big = vec![b'x'; 1_000_000];
        let (status, _) = finish(Running::spawn(&shell("exec 0<&-; echo done"), big.clone()).unwrap()).await;
        assert!(status.success());
        // A grandchild keeps the pipe open without ever reading.
        let (status, text) = finish(Running::spawn(&shell("sleep 60 >&- 2>&- & echo $!"), big).unwrap()).await;
        assert!(status.success());
        let grandchild = Pid::from_raw(text.trim().parse().unwrap()).unwrap();
        rustix::process::kill_process(grandchild, Signal::KILL).unwrap();
    }

    #[tokio::test]
    async fn a_child_that_has_ended_keeps_its_number_until_it_is_reaped() {
        let mut running = Running::spawn(&shell("exit 0"), Vec::new()).unwrap();
        running.child.exited().await;
        let pid = running.child.pid();
        assert!(rustix::process::test_kill_process(pid).is_ok());
        running.child.exited().await;
        assert!(running.child.reap().unwrap().success());
        assert!(!std::path::Path::new(&format!("/proc/{}", pid.as_raw_pid())).exists());
    }

    #[tokio::test]
    async fn without_pidfds_a_thread_waits() {
        let mut running = Running::spawn(&shell("read line; exit 4"), Vec::new()).unwrap();
        let pid = running.child.pid();
        running.child.exit = Exit::Thread(tokio::task::spawn_blocking(move || {
            let _ = rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        }));
        drop(running.input);
        running.child.exited().await;
        assert_eq!(running.child.reap().unwrap().code(), Some(4));
    }

    #[tokio::test]
    async fn a_dropped_child_takes_its_group_with_it() {
        let mut running = Running::spawn(&shell("sleep 60 & echo $!; wait"), Vec::new()).unwrap();
        let mut text = String::new();
        while text.is_empty() {
            assert!(running.output.pump(&mut |line| text.push_str(line.text)).await);
        }
        let grandchild: u32 = text.trim().parse().unwrap();
        let started = sweep::start_ticks(grandchild).unwrap();
        drop(running.child);
        // The grandchild holds the pipes, so they end with it, except for a last moment.
        let ended = async {
            while running.output.pump(&mut |_| {}).await {}
            while sweep::is_alive(grandchild, started) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), ended).await.unwrap();
    }
}
