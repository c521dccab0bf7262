//! A process that runs: spawned, fed one line, waited for, reaped.
//!
//! Waiting and reaping are two steps. [`Child::exited`] returns while the process is still a
//! zombie: until [`Child::reap`] its number, and with it the number of its group, belongs to it
//! alone, so a signal to the group can never meet a stranger. A child that is dropped before it
//! was reaped is killed with its whole group.
//!
//! All of this wants a tokio runtime with I/O enabled.

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

use super::command::{Command, SpawnError};
use super::output::Output;

/// A spawned command: the process and the ends of its pipes, apart so that all three can be
/// waited for at once.
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
}

/// How the end of a process is noticed.
#[derive(Debug)]
enum Exit {
    Pidfd(AsyncFd<OwnedFd>),
    /// Where the kernel, or a filter before it, refuses pidfds: a thread that waits.
    Thread(JoinHandle<()>),
    Ended,
}

/// What a child is to read, on its way. A child that does not read it is no error.
#[derive(Debug)]
pub struct Input {
    pipe: Option<pipe::Sender>,
    bytes: Vec<u8>,
    written: usize,
}

impl Running {
    /// Spawns a command; `input` is what its stdin will hold.
    ///
    /// # Errors
    /// Says why the command did not start. A process that did start is never lost by an error.
    pub fn spawn(command: &Command, input: Vec<u8>) -> Result<Self, SpawnError> {
        let mut process = command.spawn()?;
        let (stdin, stdout, stderr) = (process.stdin.take(), process.stdout.take(), process.stderr.take());
        // From here on the process has an owner that ends it if the rest goes wrong.
        let child = Child::new(process);
        let pipes = || -> io::Result<(Input, Output)> {
            Ok((
                Input::new(stdin.map(OwnedFd::from), input)?,
                Output::new(stdout.map(Into::into), stderr.map(Into::into))?,
            ))
        };
        match pipes() {
            Ok((input, output)) => Ok(Self { child, input, output }),
            Err(source) => Err(SpawnError::Other { program: command.program(), source }),
        }
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
    pub(super) fn new(process: std::process::Child) -> Self {
        let pid = Pid::from_child(&process);
        Self { process: Some(process), pid, exit: Exit::watch(pid) }
    }

    /// The process' number, which is also its group's.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits until the process has ended. It is not reaped by this, and further calls return at
    /// once. Cancel safe.
    pub async fn exited(&mut self) {
        match &mut self.exit {
            // A pidfd that cannot be waited on any more means a runtime that is going down, and
            // then the whole run is about to be dropped.
            Exit::Pidfd(fd) => drop(fd.readable().await),
            Exit::Thread(thread) => drop(thread.await),
            Exit::Ended => {}
        }
        self.exit = Exit::Ended;
    }

    /// Sends a signal to the process and everything in its group.
    pub fn signal_group(&self, signal: Signal) {
        if self.process.is_some() {
            // The only way to fail is that the group may not be signalled (it changed its user).
            let _ = rustix::process::kill_process_group(self.pid, signal);
        }
    }

    /// Takes the process' status and gives its number back to the system. Waits if it runs.
    ///
    /// # Errors
    /// If somebody else has reaped it, the status is lost.
    pub fn reap(mut self) -> io::Result<ExitStatus> {
        self.process.take().map_or_else(|| Err(io::Error::other("reaped before")), |mut process| process.wait())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        // Not reaped yet, so the group's number is still its own.
        let _ = rustix::process::kill_process_group(self.pid, Signal::KILL);
        if !matches!(process.try_wait(), Ok(None)) {
            return;
        }
        // A killed process is gone in a moment, but nobody's runtime should wait for it.
        let _ = std::thread::Builder::new().name("reap".to_owned()).spawn(move || process.wait());
    }
}

impl Input {
    fn new(stdin: Option<OwnedFd>, bytes: Vec<u8>) -> io::Result<Self> {
        let mut input = Self { pipe: None, bytes, written: 0 };
        let Some(fd) = stdin else { return Ok(input) };
        rustix::io::ioctl_fionbio(fd.as_fd(), true)?;
        // Nearly every job fits the pipe at once, and then the reactor need not know of it.
        if let Ok(written) = rustix::io::write(&fd, &input.bytes) {
            input.written = written;
        }
        if input.written < input.bytes.len() {
            input.pipe = Some(pipe::Sender::from_owned_fd_unchecked(fd)?);
        }
        Ok(input)
    }

    /// Writes the rest, and closes the child's stdin; then it never returns. Cancel safe.
    pub async fn feed(&mut self) -> std::convert::Infallible {
        while let Some(pipe) = &self.pipe {
            let rest = self.bytes.get(self.written..).unwrap_or_default();
            if rest.is_empty() || pipe.writable().await.is_err() {
                break;
            }
            match pipe.try_write(rest) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The child has closed its stdin: it does not want to know.
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
        // Here a grandchild keeps the pipe open without ever reading.
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
        // The grandchild holds the pipes: their end is its end, but for a last moment.
        let ended = async {
            while running.output.pump(&mut |_| {}).await {}
            while sweep::is_alive(grandchild, started) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), ended).await.unwrap();
    }
}
