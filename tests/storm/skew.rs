//! Daemons whose own clock is wrong, beside a Redis whose clock is right: their ticks come by Redis' clock.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::SteppingClock;
use crate::now_ms;
use crate::support::redis::{Options, RedisServer};
use crate::support::resp::Reply;

const CONFIG: &str =
    "queues = [\"default\"]\nmin_task_processors = 1\nmax_task_processors = 1\ntasks_dir = \"tasks.d\"\n";
const TASK: &str = "name = \"calendar\"\nschedule = \"* * * * * *\"\n[run]\nbuiltin = \"noop\"\n";
/// How long the ticks may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// How far ahead the next tick may be due: it is due in the next second, by a clock that is read a moment later.
const AHEAD_S: i64 = 5;

struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn a_calendar_goes_by_the_clock_of_redis_whatever_a_daemons_clock_shows() {
    for offset_s in [-7200, -60, 60, 7200] {
        let mut clock = SteppingClock::new();
        clock.set(offset_s * 1000);
        let server = RedisServer::start(Options { tcp: false, durable: false });
        let dir = tempfile::tempdir().expect("a temporary folder must be had");
        let path = |name: &str| dir.path().join(name);
        fs::create_dir(path("tasks.d")).expect("a folder must be made");
        fs::write(path("tasks.d/calendar.toml"), TASK).expect("the task must be written");
        let config = format!("{CONFIG}[store]\nurl = \"{}\"\n", server.url());
        fs::write(path("tasks.toml"), config).expect("the configuration must be written");
        let log = fs::File::create(path("log")).expect("a log must be opened");
        let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
        command.arg("--config").arg(path("tasks.toml")).arg("run").envs(clock.variables());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let daemon = Daemon(command.spawn().expect("the binary must start"));
        let said = || fs::read_to_string(path("log")).unwrap_or_default();
        let text = |args: &[&str]| server.command(args).texts().pop();
        let begun = Instant::now();
        let mut seen = false;
        while text(&["GET", "resque:stat:processed"]).and_then(|count| count.parse().ok()).unwrap_or(0) < 5 {
            assert!(begun.elapsed() < PATIENCE, "{offset_s} s: {}", said());
            // The entry is never away, which it is from a tick after which no other is known.
            match text(&["HGET", "resque:windlass:periodic", "calendar"]) {
                Some(entry) => {
                    let due_s: i64 = entry.split(' ').next().unwrap_or_default().parse().expect("a second");
                    let right_s = i64::try_from(now_ms() / 1000).expect("a time of this era");
                    assert!(due_s <= right_s + AHEAD_S, "{offset_s} s: due {} s ahead", due_s - right_s);
                    seen = true;
                }
                None => assert!(!seen, "{offset_s} s: the next tick is not known"),
            }
            // The pace of asking.
            std::thread::sleep(Duration::from_millis(2));
        }
        drop(daemon);
        let warnings = said().lines().filter(|line| line.contains("warning")).count();
        assert_eq!(warnings, 1, "the clocks differ, which is told once:\n{}", said());
        assert!(matches!(server.command(&["PING"]), Reply::Text(_)));
    }
}
