//! H: the process: signals, drains, and how many work.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;

use crate::waiting::{after, eventually, throughout};
use crate::world::{Settings, World};

fn job(class: &str, args: &str) -> String {
    format!(r#"{{"class":"{class}","queue":"math","args":{args}}}"#)
}

impl World {
    /// Nothing of any worker may be left behind.
    #[track_caller]
    fn assert_registry_is_clean(&self) {
        assert_eq!(self.texts(&["KEYS", "resque:worker*"]), Vec::<String>::new());
        assert_eq!(self.int(&["EXISTS", "resque:resque_scheduler_leader_lock"]), 0);
    }
}

#[test]
fn h01_each_signal_lets_the_running_job_end_and_claims_nothing_more() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let world = World::new();
        world.gated_task("hold", "");
        let mut daemon = world.daemon(&Settings::default());
        world.push("math", &job("hold", "[1]"));
        world.wait_begun(1);
        world.push("math", &job("hold", "[2]"));
        daemon.signal(signal);
        throughout("it waits for the job", after(Duration::from_millis(500)), || !daemon.has_exited());
        world.open("hold");
        assert_eq!(daemon.wait().code(), Some(0), "{signal:?}");
        assert_eq!(world.ended().len(), 1, "{signal:?}");
        assert_eq!(world.counter("resque:stat:processed"), 1);
        assert_eq!(world.queued("math"), [job("hold", "[2]")]);
        world.assert_registry_is_clean();
    }
}

#[test]
fn h01_h02_a_job_that_hangs_is_ended_in_time_and_goes_back_to_the_head() {
    let world = World::new();
    // It ignores TERM, and its child does so too.
    world.task_file(
        "hang",
        "name = \"hang\"\nqueue = \"math\"\n[run]\nexec = [\"sh\", \"-c\", \"trap '' TERM; echo begin 0 {} >>../runs; sleep 1000; sleep 1000\"]\n"
            .replace("{}", "x")
            .as_str(),
    );
    let shutdown = "timeout = \"4s\"\nkill_grace = \"1s\"";
    let mut daemon = world.daemon(&Settings { shutdown, ..Settings::default() });
    let raw = r#"{"class":"hang","args":[1.0]}"#;
    world.push("math", raw);
    world.wait_begun(1);
    world.push("math", &job("hang", "[2]"));
    let asked = Instant::now();
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait().code(), Some(0));
    let took = asked.elapsed();
    assert!(took <= Duration::from_millis(4500), "all is over within shutdown.timeout: {took:?}");
    assert!(took >= Duration::from_millis(2500), "but not before its time: {took:?}");
    assert_eq!(world.queued("math"), [raw.to_owned(), job("hang", "[2]")], "back at the head, byte for byte");
    assert_eq!(world.failed(), Vec::<String>::new());
    world.assert_registry_is_clean();
}

#[test]
fn h02_a_second_signal_does_not_wait() {
    let world = World::new();
    world.gated_task("hold", "");
    let mut daemon = world.daemon(&Settings::default());
    world.push("math", &job("hold", "[1]"));
    world.wait_begun(1);
    daemon.signal(Signal::TERM);
    throughout("it waits for the job", after(Duration::from_millis(300)), || !daemon.has_exited());
    let asked = Instant::now();
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait().code(), Some(1));
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert_eq!(world.queued("math"), [job("hold", "[1]")]);
    world.assert_registry_is_clean();
}

#[test]
fn h03_the_pool_grows_and_shrinks_one_by_one_between_its_bounds() {
    let world = World::new();
    for n in 0..8 {
        world.gated_task(&format!("hold{n}"), "");
        world.push("math", &job(&format!("hold{n}"), "[]"));
    }
    let count = || world.int(&["SCARD", "resque:workers"]);
    let daemon = world.daemon(&Settings { max: 3, ..Settings::default() });
    // Ready is said before the first one is registered.
    let mut seen = vec![0];
    let mut until = |wanted: i64| {
        eventually(&format!("{wanted} workers"), || {
            let now = count();
            if seen.last() != Some(&now) {
                seen.push(now);
            }
            now == wanted
        });
        std::mem::replace(&mut seen, vec![wanted])
    };
    assert_eq!(until(3), [0, 1, 2, 3], "one by one, as all are busy");
    world.wait_begun(3);
    // Two of three busy is more than half, and no more than the maximum is started.
    let running: Vec<_> = world.begun().iter().map(|run| run.task()).collect();
    throughout("never more than the most", after(Duration::from_millis(500)), || count() <= 3);
    for n in 0..8 {
        if !running.contains(&format!("hold{n}")) {
            world.open(&format!("hold{n}"));
        }
    }
    // One goes on with all that wait; the other two still run.
    world.open(&running[0]);
    world.wait_ended(6);
    // Now two of three are busy, so nothing changes; with one of three busy it shrinks to two, and there, at
    // exactly half, it stays.
    throughout("two of three busy is no reason to shrink", after(Duration::from_millis(500)), || count() == 3);
    world.open(&running[1]);
    assert_eq!(until(2), [3, 2]);
    throughout("exactly half is a reason for nothing", after(Duration::from_millis(800)), || count() == 2);
    world.open(&running[2]);
    world.wait_ended(8);
    assert_eq!(until(1), [2, 1]);
    throughout("never fewer than the fewest", after(Duration::from_millis(500)), || count() == 1);
    daemon.stop();
}

#[test]
fn h04_shrinking_takes_the_idle_and_leaves_the_busy_alone() {
    let world = World::new();
    for n in 0..3 {
        world.gated_task(&format!("hold{n}"), "");
        world.push("math", &job(&format!("hold{n}"), "[]"));
    }
    let daemon = world.daemon(&Settings { max: 3, ..Settings::default() });
    world.wait_begun(3);
    let workers = world.workers();
    assert_eq!(workers.len(), 3);
    let last = workers.iter().find(|worker| worker.contains("+3:")).expect("the third is number 3");
    let record = world.text(&["GET", &format!("resque:worker:{last}")]).expect("it is busy");
    let of_last = (0..3).map(|n| format!("hold{n}")).find(|task| record.contains(task.as_str()));
    let of_last = of_last.expect("it runs one of the jobs");
    for n in 0..3 {
        if of_last != format!("hold{n}") {
            world.open(&format!("hold{n}"));
        }
    }
    world.wait_ended(2);
    eventually("an idle one is removed", || world.workers().len() == 2);
    assert!(world.workers().contains(last), "the busy one stays");
    assert_eq!(world.text(&["GET", &format!("resque:worker:{last}")]), Some(record), "with its job");
    world.open(&of_last);
    world.wait_ended(3);
    eventually("the checks go on", || world.workers().len() == 1);
    daemon.stop();
}

#[test]
fn h05_a_paused_daemon_claims_nothing_until_it_goes_on() {
    let world = World::new();
    world.gated_task("hold", "");
    world.task("good", "");
    let daemon = world.daemon(&Settings::default());
    world.push("math", &job("hold", "[]"));
    world.wait_begun(1);
    daemon.signal(Signal::USR2);
    world.push("math", &job("good", "[]"));
    world.open("hold");
    world.wait_ended(1);
    throughout("nothing is claimed", after(Duration::from_millis(800)), || world.queued("math").len() == 1);
    daemon.signal(Signal::CONT);
    world.wait_ended(2);
    daemon.stop();
}

#[test]
fn h06_connections_that_break_all_the_time_lose_no_job_and_double_none() {
    const JOBS: usize = 2_000;
    let world = World::new();
    world.task_file("add", "name = \"add\"\nqueue = \"math\"\n[run]\nbuiltin = \"noop\"\n");
    let mut peer = world.peer("{}");
    peer.queue("enqueue", r#"["math","add",[0]]"#);
    let clients = |world: &World| world.texts(&["CLIENT", "LIST"]).concat();
    let ids = |list: &str| -> Vec<String> {
        let id = |line: &str| line.split(' ').next().and_then(|id| id.strip_prefix("id=")).map(str::to_owned);
        list.lines().filter_map(id).collect()
    };
    // The enqueuing client keeps its connection, so the last acknowledged job is known.
    let spared = ids(&clients(&world));
    let daemon = world.daemon(&Settings { min: 4, max: 4, lease: "15s", ..Settings::default() });
    let mut killed = 0;
    for n in 1..JOBS {
        peer.queue("enqueue", &format!(r#"["math","add",[{n}]]"#));
        if n % 100 == 0 {
            for id in ids(&clients(&world)).iter().filter(|id| !spared.contains(id)) {
                // The connection that asked for the list is gone by now.
                killed += world.int(&["CLIENT", "KILL", "ID", id]);
            }
        }
    }
    assert!(killed >= 10, "only {killed} connections were cut");
    eventually("all are done", || world.counter("resque:stat:processed") >= JOBS as i64);
    daemon.stop();
    assert_eq!(world.counter("resque:stat:processed"), JOBS as i64);
    assert_eq!((world.failed(), world.queued("math")), (Vec::new(), Vec::new()));
}
