//! What a service manager is told, and that one which does not listen stops nothing.

use std::fs;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg, sockopt};
use rustix::process::Signal;
use tokio::time::Instant;

use crate::daemon::{Daemon, Folder, PATIENCE, eventually, signal};

const UNIT: &str = include_str!("../../systemd/windlass.service");
const HARDENED: &str = include_str!("../../systemd/windlass-hardened.conf");

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

    /// Reads until a message holds this, and returns who sent the messages.
    fn senders_until(&self, needle: &str) -> Vec<u32> {
        let mut senders = Vec::new();
        loop {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut message = [0; 4096];
            let got = recvmsg(&self.0, &mut [IoSliceMut::new(&mut message)], &mut control, RecvFlags::empty());
            let length = got.expect("a message must come").bytes;
            senders.extend(control.drain().filter_map(|part| match part {
                RecvAncillaryMessage::ScmCredentials(sender) => Some(sender.pid.as_raw_pid().unsigned_abs()),
                _ => None,
            }));
            if String::from_utf8_lossy(&message[..length]).contains(needle) {
                return senders;
            }
        }
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
fn a_start_that_waits_for_its_store_is_not_timed_out() {
    let folder = Folder::new("redis+unix:///nonexistent/redis.sock", "");
    let manager = Manager::new(&folder);
    let daemon = Manager::daemon(&folder, Duration::from_secs(60), &[]);
    for _ in 0..2 {
        manager.wait("EXTEND_TIMEOUT_USEC=120000000\nSTATUS=waiting for the store");
    }
    daemon.stop();
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

#[test]
fn only_the_main_process_speaks_and_no_job_can() {
    let folder = Folder::new("sqlite:windlass.db", "");
    folder.script("look", "env >env; ls -l /proc/self/fd >fds");
    let manager = Manager::new(&folder);
    sockopt::set_socket_passcred(&manager.0, true).expect("an option must be set");
    let daemon = Manager::daemon(&folder, Duration::from_millis(500), &[]);
    let mut senders = manager.senders_until("READY=1");
    senders.extend(manager.senders_until("WATCHDOG=1"));
    assert_eq!(folder.windlass(&["enqueue", "look"]).0, Some(0));
    daemon.wait_log("job success");
    let parent = daemon.parent();
    std::thread::scope(|scope| {
        scope.spawn(|| daemon.stop());
        senders.extend(manager.senders_until("STOPPING=1"));
    });
    assert!(senders.iter().all(|sender| *sender == parent), "{parent}: {senders:?}");
    let env = std::fs::read_to_string(folder.path("env")).expect("the job must have run");
    for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WINDLASS_NOTIFIES"] {
        assert!(!env.contains(name), "{env}");
    }
    let fds = std::fs::read_to_string(folder.path("fds")).expect("the job must have run");
    assert!(!fds.contains("socket:"), "{fds}");
}

/// The unit with the built binary in place of the installed one, and the drop-in beside it if that is wanted.
fn unit(folder: &Folder, hardened: bool) -> PathBuf {
    let text = UNIT.replace("/usr/local/bin/windlass", env!("CARGO_BIN_EXE_windlass"));
    let unit = folder.path("windlass.service");
    fs::write(&unit, text).expect("the unit must be written");
    if hardened {
        let folder = folder.path("windlass.service.d");
        fs::create_dir_all(&folder).expect("a folder must be made");
        fs::write(folder.join("hardened.conf"), HARDENED).expect("the drop-in must be written");
    }
    unit
}

/// What `systemd-analyze` says, or nothing if it is not on this system or does not know this argument.
fn analyze(arguments: &[&str], unit: &Path) -> Option<(bool, String)> {
    let said = |output: &Output| String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
    let help = Command::new("systemd-analyze").arg("--help").output().ok()?;
    let option = |argument: &&&str| argument.starts_with("--");
    if !arguments.iter().filter(option).all(|one| said(&help).contains(one.split('=').next().unwrap_or_default())) {
        return None;
    }
    let output = Command::new("systemd-analyze").args(arguments).arg(unit).env("SYSTEMD_COLORS", "0").output();
    let output = output.expect("it was run before");
    Some((output.status.success(), said(&output)))
}

#[test]
fn the_units_are_valid_and_let_the_main_process_alone_speak() {
    assert!(UNIT.lines().any(|line| line == "NotifyAccess=main"), "{UNIT}");
    assert!(UNIT.lines().any(|line| line == "LogRateLimitIntervalSec=0"), "the journal would drop lines of any job");
    assert!(!HARDENED.contains("NotifyAccess="), "{HARDENED}");
    let reload: Vec<_> = UNIT.lines().filter_map(|line| line.strip_prefix("ExecReload=")).collect();
    assert_eq!(reload, ["/usr/local/bin/windlass check", "/bin/kill -HUP $MAINPID"], "a mistake fails the reload");
    for hardened in [false, true] {
        let folder = Folder::new("sqlite:windlass.db", "");
        let unit = unit(&folder, hardened);
        let Some((valid, said)) = analyze(&["verify"], &unit) else {
            eprintln!("skipped: systemd-analyze is not on this system, the units are not verified");
            return;
        };
        // It also names what is wrong with other units of this system.
        assert!(valid && !said.contains("windlass.service") && !said.contains("hardened.conf"), "{said}");
    }
}

#[test]
fn the_hardened_unit_is_exposed_little() {
    for (hardened, threshold, expected) in [(true, "--threshold=20", true), (false, "--threshold=20", false)] {
        let folder = Folder::new("sqlite:windlass.db", "");
        let unit = unit(&folder, hardened);
        let Some((passes, said)) = analyze(&["security", "--offline=true", threshold, "--no-pager"], &unit) else {
            eprintln!("skipped: this system has no systemd-analyze that judges unit files");
            return;
        };
        assert_eq!(passes, expected, "hardened: {hardened}: {said}");
    }
}
