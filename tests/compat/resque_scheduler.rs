//! The leader of Ruby's resque-scheduler beside ours, command by command as it sends them (version 5.0): it renews its lock
//! before each look, reads up to 100 jobs, only then watches their list, and moves them if it was not touched since.

use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::resp::{Client, Reply};
use crate::waiting::{after, eventually, throughout};
use crate::world::{Settings, World};

/// The namespace stands in it twice.
const LOCK: &str = "resque:resque:resque_scheduler_master_lock";
const BATCH: usize = 100;
const JOBS: usize = 5_000;

/// A process of resque-scheduler.
pub(crate) struct RubyScheduler {
    client: Client,
    name: &'static str,
}

impl RubyScheduler {
    pub(crate) fn connect(world: &World, name: &'static str) -> Self {
        let client = Client::connect(&world.redis.socket()).expect("the server must be there");
        Self { client, name }
    }

    fn say(&mut self, args: &[&str]) -> Reply {
        self.client.command(args).expect("the server must answer")
    }

    /// Takes the lock or renews it; false if another has it.
    fn leads(&mut self) -> bool {
        const ACQUIRE: &str = "if redis.call('SETNX', KEYS[1], ARGV[1]) == 1 then \
            redis.call('EXPIRE', KEYS[1], 180) return 1 else return 0 end";
        const LOCKED: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('EXPIRE', KEYS[1], 180) \
            if redis.call('GET', KEYS[1]) == ARGV[1] then return 1 end end return 0";
        let name = self.name;
        [ACQUIRE, LOCKED].iter().any(|script| matches!(self.say(&["EVAL", script, "1", LOCK, name]), Reply::Int(1)))
    }

    fn gives_the_lock_back(&mut self) {
        assert!(self.leads());
        self.say(&["DEL", LOCK]);
    }

    /// Moves a batch of a second's jobs; the pause is between reading them and watching their list. Tells how many, or
    /// `None` if another program changed the list: then it looks again.
    pub(crate) fn move_batch(&mut self, second: &str, pause: Duration) -> Option<usize> {
        let list = format!("resque:delayed:{second}");
        let items = self.say(&["LRANGE", &list, "0", &(BATCH - 1).to_string()]).texts();
        sleep(pause);
        self.say(&["WATCH", &list]);
        self.say(&["MULTI"]);
        for item in &items {
            let job: Value = serde_json::from_str(item).expect("a delayed job must be JSON");
            self.say(&["SREM", &format!("resque:timestamps:{item}"), &format!("delayed:{second}")]);
            self.say(&["SADD", "resque:queues", "math"]);
            let bare = format!(r#"{{"class":{},"args":{}}}"#, job["class"], job["args"]);
            self.say(&["RPUSH", "resque:queue:math", &bare]);
        }
        self.say(&["LTRIM", &list, &BATCH.to_string(), "-1"]);
        if matches!(self.say(&["EXEC"]), Reply::Nil) {
            return None;
        }
        if items.len() < BATCH {
            self.say(&["WATCH", &list]);
            if matches!(self.say(&["LLEN", &list]), Reply::Int(0)) {
                self.say(&["MULTI"]);
                self.say(&["DEL", &list]);
                self.say(&["ZREM", "resque:delayed_queue_schedule", second]);
                self.say(&["EXEC"]);
            } else {
                self.say(&["UNWATCH"]);
            }
        }
        Some(items.len())
    }

    /// Moves all that is due, as one look does.
    fn look(&mut self) -> usize {
        assert!(self.leads());
        let mut moved = 0;
        loop {
            let bounds = ["-inf", "1000000000", "LIMIT", "0", "1"];
            let due = [&["ZRANGEBYSCORE", "resque:delayed_queue_schedule"][..], &bounds].concat();
            let Some(second) = self.say(&due).texts().pop() else { return moved };
            while let Some(batch) = self.move_batch(&second, Duration::ZERO) {
                moved += batch;
                if batch < BATCH {
                    break;
                }
            }
        }
    }
}

fn moved(world: &World) -> usize {
    usize::try_from(world.int(&["LLEN", "resque:queue:math"])).expect("a length is not negative")
}

fn says(daemon: &Daemon, what: &str) {
    eventually(what, || daemon.log().contains(what));
}

/// Each job of `delay_many` stands on the queue, once.
fn assert_each_once(world: &World, count: usize) {
    eventually("all are moved", || moved(world) >= count);
    throughout("and no more", after(Duration::from_millis(500)), || moved(world) == count);
    let args = |job: &String| serde_json::from_str::<Value>(job).expect("a job must be JSON")["args"].to_string();
    let mut numbers: Vec<String> = world.queued("math").iter().map(args).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), count, "some were lost and others doubled");
}

#[test]
fn b13_e05_due_jobs_are_left_to_a_leader_of_resque_scheduler_until_it_stops() {
    let world = World::new();
    let mut ruby = RubyScheduler::connect(&world, "elsewhere:20701");
    assert!(ruby.leads());
    world.delay_many(1000, JOBS);
    assert_eq!(ruby.move_batch("1000", Duration::ZERO), Some(BATCH));
    let daemon = world.daemon(&Settings::scheduler_only());
    says(&daemon, "resque-scheduler (elsewhere:20701) leads");
    // Its unguarded moment is made long: anyone who moves a job in it loses and doubles some.
    for batch in 2..=JOBS / BATCH / 2 {
        assert_eq!(ruby.move_batch("1000", Duration::from_millis(50)), Some(BATCH));
        assert_eq!(moved(&world), batch * BATCH, "nobody else moves jobs meanwhile");
    }
    let shown = world.windlass(&["leader"]).json();
    assert_eq!(shown["resque_scheduler"], json!("elsewhere:20701"), "{shown}");
    assert!(shown["leader"].as_str().is_some_and(|leader| leader.contains("-windlass")), "{shown}");
    ruby.gives_the_lock_back();
    assert_each_once(&world, JOBS);
    assert_eq!(daemon.log().matches("leads; due jobs are left to it").count(), 1);
    daemon.stop();
}

#[test]
fn b13_e05_a_leader_of_resque_scheduler_that_begins_meets_no_step_of_ours() {
    const MANY: usize = 30_000;
    let world = World::new();
    for second in 0..3 {
        world.delay_many(1000 + second, MANY / 3);
    }
    let daemon = world.daemon(&Settings::scheduler_only());
    eventually("ours moves jobs", || moved(&world) > 0);
    let mut ruby = RubyScheduler::connect(&world, "elsewhere:20701");
    assert!(ruby.leads());
    // Nothing of ours is moved from here on.
    let (before, theirs) = (moved(&world), ruby.look());
    assert_eq!(moved(&world), before + theirs);
    assert_eq!(moved(&world), MANY, "the numbers of each second are the same");
    assert_eq!(world.texts(&["KEYS", "resque:delayed*"]), Vec::<String>::new(), "nothing is left");
    daemon.stop();
}

#[test]
fn b13_e05_a_dead_leader_of_resque_scheduler_is_followed_before_its_lock_lapses() {
    let world = World::new();
    let mut ruby = RubyScheduler::connect(&world, "elsewhere:20701");
    assert!(ruby.leads());
    world.delay_many(1000, JOBS);
    let daemon = world.daemon(&Settings::scheduler_only());
    assert_each_once(&world, JOBS);
    assert!(world.int(&["TTL", LOCK]) > 0, "it is not for its end that was waited");
    says(&daemon, "holds its leader lock and moves no jobs");
    // It is not dead: it looks again, and what is due from then on is left to it.
    assert!(ruby.leads());
    world.redis(&["DEL", "resque:queue:math"]);
    world.delay_many(2000, JOBS);
    for _ in 0..20 {
        assert_eq!(ruby.move_batch("2000", Duration::from_millis(50)), Some(BATCH));
    }
    assert_eq!(moved(&world), 20 * BATCH);
    assert_eq!(ruby.look(), JOBS - 20 * BATCH);
    assert_each_once(&world, JOBS);
    assert_eq!(world.text(&["GET", LOCK]).as_deref(), Some("elsewhere:20701"), "its lock is not touched");
    daemon.stop();
}
