//! What a service manager is told, and that one which does not listen stops nothing.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;

use crate::daemon::{Daemon, Folder, PATIENCE, eventually, signal};

/// The socket of a service manager.
struct Manager(UnixDatagram);

impl Manager {
    fn new(folder: &Folder) -> Self {
        let socket = UnixDatagram::bind(folder.path("notify")).expect("the socket must be bound");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout must be set");
        Self(socket)
    }

    /// One whose socket takes nothing more before it is read.
    fn full(folder: &Folder) -> Self {
        let manager = Self::new(folder);
        let filler = UnixDatagram::unbound().expect("a socket must be had");
        filler.connect(folder.path("notify")).expect("the manager must be there");
        filler.set_nonblocking(true).expect("a flag must be set");
        while filler.send(b"FULL=1").is_ok() {}
        manager
    }

    /// A daemon that tells it, with a watchdog that wants to hear of it this often.
    fn daemon(folder: &Folder, watchdog: Duration, more: &[(&str, &str)]) -> Daemon {
        let mut command = folder.command(&["run"]);
        command.env("NOTIFY_SOCKET", folder.path("notify")).env("WATCHDOG_USEC", watchdog.as_micros().to_string());
        command.envs(more.iter().copied());
        folder.start(command, "log")
    }

    fn next(&self) -> io::Result<String> {
        let mut message = [0; 4096];
        let length = self.0.recv(&mut message)?;
        Ok(String::from_utf8_lossy(&message[..length]).into_owned())
    }

    /// Reads until a message holds this.
    #[track_caller]
    fn wait(&self, needle: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.next().unwrap_or_else(|error| panic!("{needle}: {error}")).contains(needle) {
            assert!(Instant::now() < deadline, "{needle}: other messages came");
        }
    }
}

#[test]
fn a_loop_that_hangs_is_named_and_the_watchdog_is_no_longer_fed() {
    hangs("pool heartbeat");
}

#[test]
fn a_runtime_of_the_handlers_that_hangs_is_named_and_the_watchdog_is_no_longer_fed() {
    hangs("the handlers' runtime");
}

/// A daemon in which this one hangs.
#[track_caller]
fn hangs(name: &str) {
    let folder = Folder::new("sqlite:windlass.db", "");
    let manager = Manager::new(&folder);
    let strike = folder.path("strike");
    let hang = [("WINDLASS_HANG_IN", name), ("WINDLASS_STRIKE_WHEN", strike.to_str().expect("text"))];
    let daemon = Manager::daemon(&folder, Duration::from_millis(500), &hang);
    manager.wait("READY=1");
    for _ in 0..3 {
        manager.wait("WATCHDOG=1");
    }
    std::fs::write(&strike, "").expect("the file must be written");
    manager.wait(&format!("STATUS={name} hangs"));
    manager.0.set_read_timeout(Some(Duration::from_secs(3))).expect("a timeout must be set");
    let after = manager.next();
    assert!(after.is_err(), "the watchdog is fed no more: {after:?}");
    daemon.wait_log(&format!("{name} has not turned for"));
    // By itself it does not end: that is what the service manager is for.
    signal(daemon.proper(), Signal::KILL);
}

#[test]
fn a_service_manager_that_does_not_read_stops_neither_the_work_nor_the_end() {
    let folder = Folder::new("sqlite:windlass.db", "");
    folder.script("note", "echo done >>notes");
    let _manager = Manager::full(&folder);
    let mut daemon = Manager::daemon(&folder, Duration::from_millis(500), &[]);
    daemon.wait_log("[ worker ] started");
    assert_eq!(folder.windlass(&["enqueue", "note"]).0, Some(0));
    daemon.wait_log("job success");
    signal(daemon.parent(), Signal::TERM);
    eventually("it ends", || daemon.try_wait().is_some());
    assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.log());
    assert!(daemon.log().contains("drained"), "{}", daemon.log());
}

#[test]
fn a_service_manager_that_reads_late_hears_it_all_in_order() {
    let folder = Folder::new("sqlite:windlass.db", "");
    let manager = Manager::full(&folder);
    let daemon = Manager::daemon(&folder, Duration::from_secs(60), &[]);
    daemon.wait_log("[ worker ] started");
    manager.wait("READY=1");
    std::thread::scope(|scope| {
        scope.spawn(|| daemon.stop());
        manager.wait("STOPPING=1");
    });
}
