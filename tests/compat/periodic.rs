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
    // The run that was killed, its repetition at once, and from then on a run for each second, without a wait for a lock
    // that the killed one held. A tick that is less than a second late runs all the same.
    for (next, ended) in begun[2..].iter().zip(world.ended()) {
        assert!(next.at_ns >= ended.at_ns, "two runs at once: {:?}", gaps(&begun));
    }
    // Each run but the repetition has a second of its own in which it is due.
    for (seconds, run) in begun[3..].iter().enumerate() {
        let passed_ns = run.at_ns - begun[0].at_ns;
        assert!(passed_ns > seconds as i64 * 1_000_000_000, "more runs than seconds: {:?}", gaps(&begun));
    }
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

#[test]
fn g05_a_stopped_task_is_gone_in_every_form_and_stays_stopped() {
    let world = World::new();
    world.task("per", r#"frequency = "1s""#);
    let mut peer = world.peer("{}");
    for form in ["[{}]", "[null]", "[]"] {
        peer.queue("enqueue", &format!(r#"["math","per",{form}]"#));
        peer.queue("enqueueIn", &format!(r#"[600000,"math","per",{form}]"#));
    }
    let stopped = world.windlass(&["periodic", "stop", "per"]).json();
    assert_eq!(stopped, serde_json::json!({"task": "per", "removed": 6}));
    assert_eq!(world.queued("math"), Vec::<String>::new());
    assert_eq!(world.texts(&["KEYS", "resque:delayed*"]), Vec::<String>::new());
    for _ in 0..2 {
        let daemon = world.daemon(&Settings::default());
        throughout("it stays stopped", after(Duration::from_millis(1500)), || world.begun().is_empty());
        daemon.stop();
    }
    assert_eq!(world.windlass(&["periodic"]).json()["periodic"][0]["state"], "stopped");
    assert_eq!(world.windlass(&["periodic", "start", "per"]).json()["outcome"], "started");
    let daemon = world.daemon(&Settings::default());
    world.wait_ended(2);
    daemon.stop();
    let unknown = world.windlass(&["periodic", "stop", "perr"]);
    assert!(unknown.code == Some(1) && unknown.said().contains("per"), "{unknown:?}");
}

#[test]
fn a_schedule_runs_at_its_seconds_no_matter_who_leads() {
    let world = World::new();
    world.task("clock", "schedule = \"*/2 * * * * *\"");
    let daemons: Vec<_> = (0..2).map(|_| world.daemon(&Settings::default())).collect();
    world.wait_ended(3);
    daemons.into_iter().for_each(|daemon| daemon.stop());
    let seconds: Vec<_> = world.begun().iter().map(|run| run.at_ns / 1_000_000_000).collect();
    // Promotion may come late on a busy machine, but never early, and never twice.
    let mut marks: Vec<_> = seconds.iter().map(|second| second / 2).collect();
    marks.dedup();
    assert_eq!(marks.len(), seconds.len(), "{seconds:?}");
}

#[test]
fn instances_with_different_task_files_do_not_fight_over_a_periodic_task() {
    let world = World::new();
    world.task("per", r#"frequency = "2s""#);
    let old = world.daemon(&Settings::default());
    world.wait_ended(1);
    // The new version does not know the task; the old one goes on declaring it.
    std::fs::remove_file(world.path().join("tasks.d/per.toml")).unwrap();
    world.task("other", "");
    let new = world.daemon(&Settings { queues: r#"["elsewhere"]"#, ..Settings::default() });
    world.wait_ended(3);
    old.stop();
    new.stop();
    for gap in gaps(&world.begun()) {
        assert!((1.0..=4.0).contains(&gap), "{gap} s between runs");
    }
    assert_eq!(world.int(&["HLEN", "resque:windlass:periodic"]), 1, "it is not withdrawn at once");
    assert_eq!(world.windlass(&["periodic"]).json()["periodic"][0]["defined"], false);
}

#[test]
fn a_schedule_with_arguments_enqueues_once_however_many_instances() {
    let world = World::new();
    let schedule = "[[schedule]]\ncron = \"* * * * * *\"\nargs = { to = \"ann\" }\n";
    world.task_file(
        "report",
        &format!("name = \"report\"\nqueue = \"math\"\nrun = {{ exec = [\"./job\", \"\", \"0\"] }}\n{schedule}"),
    );
    let daemons: Vec<_> = (0..3).map(|_| world.daemon(&Settings::default())).collect();
    world.wait_ended(3);
    daemons.into_iter().for_each(|daemon| daemon.stop());
    let runs = world.begun();
    let mut seen = std::collections::BTreeSet::new();
    for run in &runs {
        assert_eq!(run.args(), r#"[{"to":"ann"}]"#);
        let job: serde_json::Value = serde_json::from_str(&run.job).unwrap();
        let at = job["scheduled_at"].as_str().expect("scheduled_at").to_owned();
        assert!(seen.insert(at.clone()), "{at} ran twice");
    }
    // node-resque reads such a job like any other.
    let planned = world.windlass(&["plan", "--hours", "1", "--limit", "3"]).json();
    assert_eq!(planned["plan"][0]["why"], "schedule");
    assert_eq!((planned["plan"].as_array().unwrap().len(), &planned["more"]), (3, &serde_json::json!(true)));
}
