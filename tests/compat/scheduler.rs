//! E: leadership, backlog, and a store that goes away.

use std::time::Duration;

use crate::resp::Reply;
use crate::waiting::{after, eventually, eventually_some, throughout};
use crate::world::{Settings, World};

const LOCK: &str = "resque:resque_scheduler_leader_lock";

impl World {
    fn leader(&self) -> Option<String> {
        self.text(&["GET", LOCK])
    }

    fn moved(&self) -> i64 {
        self.int(&["LLEN", "resque:queue:math"])
    }
}

#[test]
fn e01_a_scheduler_alone_leads_and_says_so() {
    let world = World::new();
    let mut peer = world.peer("{}");
    let daemon = world.daemon(&Settings::scheduler_only());
    let leader = eventually_some("somebody leads", || world.leader());
    assert_eq!(leader.matches(':').count(), 1, "host and process, as others name themselves: {leader}");
    assert_eq!(peer.queue("leader", "[]"), leader.as_str());
    let ours = world.windlass(&["leader"]).json().to_string();
    assert!(ours.contains(&leader), "{ours}");
    assert_eq!(world.windlass(&["leader", "--check"]).code, Some(0), "the leader runs on this host");
    // It is renewed long before it runs out, and never for longer than node-resque's.
    let ttl = || world.int(&["PTTL", LOCK]);
    for _ in 0..2 {
        let shortest = ttl();
        assert!((1..=180_000).contains(&shortest), "{shortest}");
        let mut last = shortest;
        eventually("the lock is renewed", || {
            let now = ttl();
            let renewed = now > last;
            last = now;
            renewed
        });
    }
    daemon.stop();
    assert_eq!(world.leader(), None, "it resigns");
}

#[test]
fn e02_of_two_schedulers_one_leads_and_the_other_follows_a_clean_stop() {
    let world = World::new();
    let mut peer = world.peer("{}");
    peer.start_scheduler("peer:1", r#""timeout":100"#);
    eventually("node-resque leads", || world.leader().as_deref() == Some("peer:1"));
    let daemon = world.daemon(&Settings::scheduler_only());
    throughout("node-resque stays leader", after(Duration::from_secs(1)), || {
        world.leader().as_deref() == Some("peer:1")
    });
    peer.stop_scheduler("peer:1");
    let ours = eventually_some("we lead", || world.leader().filter(|leader| leader.contains("-windlass")));
    peer.start_scheduler("peer:2", r#""timeout":100"#);
    throughout("we stay leader", after(Duration::from_secs(1)), || world.leader().as_ref() == Some(&ours));
    daemon.stop();
    eventually("node-resque leads again", || world.leader().as_deref() == Some("peer:2"));
    peer.stop_scheduler("peer:2");
}

#[test]
fn e02_a_killed_leader_is_followed_when_its_lock_runs_out() {
    let world = World::new();
    let mut peer = world.peer("{}");
    peer.start_scheduler("peer:1", r#""timeout":100,"leaderLockTimeout":2"#);
    eventually("node-resque leads", || world.leader().as_deref() == Some("peer:1"));
    let daemon = world.daemon(&Settings::scheduler_only());
    peer.kill();
    eventually("we lead", || world.leader().is_some_and(|leader| leader.contains("-windlass")));
    let mut peer = world.peer("{}");
    peer.start_scheduler("peer:2", r#""timeout":100"#);
    daemon.kill();
    let ttl = world.int(&["PTTL", LOCK]);
    assert!(ttl <= 180_000, "it runs out: {ttl}");
    eventually("node-resque leads", || world.leader().as_deref() == Some("peer:2"));
    peer.stop_scheduler("peer:2");
}

/// node-resque's lock stays for three minutes after its holder was killed; jobs do not wait for that.
#[test]
fn e02_what_a_killed_leader_leaves_overdue_is_promoted_although_its_lock_stands() {
    let world = World::new();
    let mut peer = world.peer("{}");
    peer.start_scheduler("peer:1", r#""timeout":100"#);
    eventually("node-resque leads", || world.leader().as_deref() == Some("peer:1"));
    peer.kill();
    let daemon = world.daemon(&Settings::scheduler_only());
    world.delay(1000, r#"{"class":"good","queue":"math","args":[1]}"#);
    eventually("it is promoted", || world.moved() == 1);
    assert_eq!(world.leader().as_deref(), Some("peer:1"), "the lock is not ours, and stays");
    world.delay(1001, r#"{"class":"good","queue":"math","args":[2]}"#);
    eventually("so is the next", || world.moved() == 2);
    daemon.stop();
}

#[test]
fn e03_who_lost_the_lead_stops_within_a_batch_and_leaves_the_lock_alone() {
    const JOBS: usize = 100_000;
    /// A script, so that nothing comes between: as soon as something is moved, somebody else leads.
    const TAKE: &str = r#"
        local moved = redis.call('LLEN', 'resque:queue:math')
        if moved > 0 then redis.call('SET', ARGV[1], 'other:1', 'EX', 120) end
        return moved"#;
    let world = World::new();
    world.delay_many(1000, JOBS);
    let daemon = world.daemon(&Settings::scheduler_only());
    let at_loss =
        eventually_some("some are moved", || Some(world.int(&["EVAL", TAKE, "0", LOCK])).filter(|moved| *moved > 0));
    assert!(at_loss < JOBS as i64, "the lead was lost on the way");
    // One batch may have been judged before and be on its way.
    throughout("it stops", after(Duration::from_secs(2)), || world.moved() <= at_loss + 250);
    assert_eq!(world.leader().as_deref(), Some("other:1"));
    let ttl = world.int(&["TTL", LOCK]);
    assert!((100..=118).contains(&ttl), "not extended: {ttl}");
    daemon.stop();
    assert_eq!(world.leader().as_deref(), Some("other:1"), "not deleted");

    world.redis(&["DEL", LOCK]);
    let daemon = world.daemon(&Settings::scheduler_only());
    eventually("all are moved", || world.int(&["EXISTS", "resque:delayed_queue_schedule"]) == 0);
    daemon.stop();
    world.assert_promoted_once(JOBS);
}

#[test]
fn e04_a_large_backlog_is_moved_once_although_the_lock_is_short() {
    const JOBS: usize = 100_000;
    let world = World::new();
    let mut peer = world.peer("{}");
    world.delay_many(1000, JOBS);
    let daemon = world.daemon(&Settings::scheduler_only());
    eventually("some are moved", || world.moved() > 0);
    world.redis(&["PEXPIRE", LOCK, "2000"]);
    peer.start_scheduler("peer:1", r#""timeout":50,"leaderLockTimeout":2"#);
    eventually("all are moved", || world.int(&["EXISTS", "resque:delayed_queue_schedule"]) == 0);
    daemon.stop();
    peer.stop_scheduler("peer:1");
    world.assert_promoted_once(JOBS);
}

#[test]
fn e06_an_idle_daemon_never_searches_the_whole_store() {
    let world = World::new();
    world.task("good", "");
    const FILL: &str = "for i = 1, 200000 do redis.call('SET', 'foreign:' .. i, i) end return redis.status_reply('OK')";
    world.redis(&["EVAL", FILL, "0"]);
    let daemon = world.daemon(&Settings { queues: r#"["*"]"#, max: 3, ..Settings::default() });
    let worker = world.only_worker();
    world.redis(&["CONFIG", "RESETSTAT"]);
    let (name, _) = worker.rsplit_once(':').expect("a worker has three parts");
    let ping = || world.text(&["GET", &format!("resque:worker:ping:{name}")]);
    for _ in 0..3 {
        let last = ping();
        eventually("it pings on", || ping() != last);
    }
    world.push("math", r#"{"class":"good","queue":"math","args":[]}"#);
    world.wait_ended(1);
    daemon.stop();
    let Reply::Text(statistics) = world.redis(&["INFO", "commandstats"]) else { panic!("INFO must give a text") };
    let statistics = String::from_utf8_lossy(&statistics).to_lowercase();
    assert!(statistics.contains("cmdstat_"), "{statistics}");
    for command in ["scan", "keys"] {
        assert!(!statistics.contains(&format!("cmdstat_{command}:")), "{statistics}");
    }
}

#[test]
fn e07_a_daemon_goes_on_when_redis_forgets_its_scripts_or_starts_anew() {
    let mut world = World::durable();
    world.task("good", "");
    let daemon = world.daemon(&Settings::default());
    let mut done = 0;
    let mut runs_on = |world: &World| {
        done += 1;
        world.push("math", &format!(r#"{{"class":"good","queue":"math","args":[{done}]}}"#));
        world.delay(1000 + done, &format!(r#"{{"class":"good","queue":"math","args":["delayed {done}"]}}"#));
        eventually("both jobs are done", || world.counter("resque:stat:processed") == 2 * done);
    };
    runs_on(&world);
    world.redis(&["SCRIPT", "FLUSH"]);
    runs_on(&world);
    world.redis(&["CLIENT", "KILL", "TYPE", "normal"]);
    runs_on(&world);
    for _ in 0..2 {
        world.redis.kill();
        world.redis.restart();
        runs_on(&world);
    }
    daemon.stop();
    assert_eq!(world.failed(), Vec::<String>::new());
    assert_eq!(world.begun().len(), 10, "each ran once");
    assert_eq!(world.texts(&["KEYS", "resque:worker*"]), Vec::<String>::new());
}
