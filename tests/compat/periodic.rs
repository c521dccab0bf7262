//! G: periodic tasks, as ActionHero's.

use std::time::Duration;

use crate::waiting::{after, eventually, throughout};
use crate::world::{Run, Settings, World};

/// A tick, as ActionHero writes one.
fn tick(task: &str) -> String {
    format!(r#"{{"class":"{task}","queue":"math","args":[{{}}]}}"#)
}

/// The seconds between the beginnings of consecutive runs.
fn gaps(runs: &[Run]) -> Vec<f64> {
    runs.windows(2).map(|pair| (pair[1].at_ns - pair[0].at_ns) as f64 / 1e9).collect()
}

#[test]
fn g01_at_start_each_periodic_task_is_enqueued_once_unless_it_is_there() {
    let world = World::new();
    for task in ["fresh", "queued", "delayed"] {
        world.task(task, r#"frequency = "1h""#);
    }
    world.task("plain", "");
    let mut peer = world.peer("{}");
    peer.queue("enqueue", r#"["math","queued",[{}]]"#);
    peer.queue("enqueueIn", r#"[600000,"math","delayed",[{}]]"#);
    let follower = world.daemon(&Settings { scheduler: false, min: 0, max: 0, ..Settings::default() });
    throughout("without a scheduler nothing is enqueued", after(Duration::from_secs(1)), || {
        world.queued("math") == [tick("queued")]
    });
    follower.stop();
    for _ in 0..2 {
        let daemons: Vec<_> = (0..3).map(|_| world.daemon(&Settings::scheduler_only())).collect();
        eventually("the fresh one is enqueued", || world.queued("math") == [tick("queued"), tick("fresh")]);
        throughout("and no more", after(Duration::from_secs(1)), || world.queued("math").len() == 2);
        daemons.into_iter().for_each(|daemon| daemon.stop());
    }
    assert_eq!(world.int(&["ZCARD", "resque:delayed_queue_schedule"]), 1);
}

#[test]
fn g03_the_next_run_comes_after_the_frequency_whether_it_succeeds_or_fails() {
    let world = World::new();
    world.task("good", r#"frequency = "2s""#);
    world.failing_task("bad", r#"frequency = "2s""#);
    world.failing_task("once", "frequency = \"2s\"\nre_enqueue_periodic_task_if_exception = false");
    let daemon = world.daemon(&Settings { min: 3, max: 3, ..Settings::default() });
    let of = |task: &str| world.begun().into_iter().filter(|run| run.task() == task).collect::<Vec<_>>();
    eventually("four runs of each", || of("good").len() >= 4 && of("bad").len() >= 4);
    daemon.stop();
    for task in ["good", "bad"] {
        let runs = of(task);
        assert!(runs.iter().all(|run| run.args() == "[{}]"), "ActionHero's arguments");
        for gap in gaps(&runs) {
            assert!((1.0..=3.0).contains(&gap), "{task}: {gap} s between runs");
        }
        // The schedule does not drift: the sum is as exact as its parts.
        let whole = gaps(&runs).iter().sum::<f64>() - 2.0 * (runs.len() - 1) as f64;
        assert!(whole.abs() <= 1.0, "{task}: {whole} s of drift");
    }
    assert_eq!(of("once").len(), 1, "it said that it does not go on after a failure");
    let failed = world.failed();
    assert!(failed.iter().any(|record| record.contains(r#""class":"bad""#)), "failures are recorded all the same");
}

#[test]
fn g04_a_killed_periodic_run_is_taken_up_and_its_schedule_goes_on_without_doubles() {
    let world = World::new();
    world.gated_task("beat", r#"frequency = "1s""#);
    let daemon = world.daemon(&Settings { min: 3, max: 3, ..Settings::default() });
    world.wait_begun(1);
    daemon.kill();
    world.open("beat");
    let daemon = world.daemon(&Settings { min: 3, max: 3, ..Settings::default() });
    world.wait_ended(4);
    daemon.stop();
    let begun = world.begun();
    // The run that was killed, its repetition at once, and from then on one run for each second, without a wait
    // for a lock that the killed one held.
    let seconds: Vec<_> = begun[1..].iter().map(|run| run.at_ns / 1_000_000_000).collect();
    assert!(seconds.windows(2).all(|pair| pair[0] < pair[1]), "two runs at once: {:?}", gaps(&begun));
    assert!(gaps(&begun).iter().all(|gap| *gap < 5.0), "the schedule stood still: {:?}", gaps(&begun));
    let waiting = world.queued("math").len() as i64 + world.int(&["ZCARD", "resque:delayed_queue_schedule"]);
    assert_eq!(waiting, 1, "exactly one next run waits");
}

#[test]
fn g06_locks_that_a_crash_left_do_not_stop_a_periodic_task() {
    let world = World::new();
    world.task("beat", r#"frequency = "1s""#);
    for lock in ["lock", "workerslock"] {
        world.redis(&["SET", &format!("resque:{lock}:beat:math:[{{}}]"), "4000000000", "EX", "3600"]);
    }
    let daemon = world.daemon(&Settings::default());
    world.wait_ended(3);
    daemon.stop();
    assert_eq!(world.texts(&["KEYS", "resque:*lock:beat*"]), Vec::<String>::new());
}
