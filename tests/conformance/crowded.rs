//! Strangers may write any number of names: nobody waits for them, and nobody's own are missed among them.

use windlass::job::TaskName;
use windlass::store::inspection::CountQueues;
use windlass::store::periodic::{MOST_ENTRIES, Periodic};
use windlass::store::wake::Watch;

use crate::fixture::{Fixture, Place};
use crate::instance::{Instance, payloads};
use crate::look::{fill, jobs, queue};
use crate::support::verbs::Verbs as _;
use crate::tick::{reconcile, tick};

behaviours! {
    of_very_many_pauses_those_of_our_queues_count,
    of_very_many_periodic_entries_those_of_our_tasks_are_read,
    queues_are_counted_as_far_as_it_matters,
}

const MANY: usize = 30_000;

/// Rows of the numbers `n` from 1 to this.
fn insert(f: &Fixture, many: usize, what: &str) {
    let connection = rusqlite::Connection::open(f.place.file()).expect("the file must open");
    let numbers = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)";
    let many = i64::try_from(many).expect("few");
    connection.execute(&format!("{numbers} {what}"), [many]).expect("the rows must be written");
}

/// Pauses this many queues that nobody has.
fn plant_pauses(f: &Fixture, many: usize) {
    match &f.place {
        Place::Redis { .. } => {
            let script = "for i = 1, tonumber(ARGV[1]) do redis.call('SADD', KEYS[1], 'stranger' .. i) end";
            drop(f.redis_command(&["EVAL", script, "1", &f.key("windlass:paused"), &many.to_string()]));
        }
        Place::Sqlite { .. } => insert(f, many, "INSERT INTO paused (queue) SELECT 'stranger' || n FROM n"),
    }
}

async fn of_very_many_pauses_those_of_our_queues_count(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 4).await;
    fill(&f.store, "open", &jobs(0..2)).await;
    fill(&f.store, "shut", &jobs(2..4)).await;
    f.store.pause(Some(&queue("shut"))).await.expect("pause");
    plant_pauses(f, MANY);
    let claims = instance.claim(&["shut", "open", "stranger7"], &[1, 2, 3, 4]).await;
    assert_eq!(payloads(&claims), jobs(0..2));
    let waker = f.store.waker().await.expect("waker");
    let watch = |name: &str| Watch { queues: vec![queue(name)], ..Watch::default() };
    assert!(!waker.arm(&watch("shut")).await.expect("arm").ready);
    f.store.resume(Some(&queue("shut"))).await.expect("resume");
    assert!(waker.arm(&watch("shut")).await.expect("arm").ready);
    let paused = f.store.paused().await.expect("paused");
    assert_eq!((paused.all, paused.queues.len()), (false, MANY));
    assert!(paused.queues.is_sorted_by(|one, next| one.as_str() < next.as_str()));
}

async fn of_very_many_periodic_entries_those_of_our_tasks_are_read(f: &Fixture) {
    reconcile(f, 30).await;
    let many = MOST_ENTRIES + 2_000;
    match &f.place {
        Place::Redis { .. } => {
            let script = "for i = 1, tonumber(ARGV[1]) do redis.call('HSET', KEYS[1], 'a' .. i, '7 7 0 q') end \
                          redis.call('HSET', KEYS[1], 'b', string.rep('x', 100000))";
            f.redis_command(&["EVAL", script, "1", &f.key("windlass:periodic"), &many.to_string()]);
        }
        Place::Sqlite { .. } => {
            insert(f, many, "INSERT INTO periodic (task, queue, due_s, every_s) SELECT 'a' || n, 'q', 7, 7 FROM n");
        }
    }
    let ours = tick(30).task;
    let all = |tasks: Vec<TaskName>| f.store.run(Periodic { tasks, ..Periodic::default() });
    let (entries, _) = all(vec![ours.clone(), TaskName::as_stored("nobody's")]).await.expect("periodic");
    assert!(entries.len() < MOST_ENTRIES + 500, "{}", entries.len());
    assert_eq!(entries.iter().filter(|entry| entry.task == ours).count(), 1);
    assert!(entries.is_sorted_by(|one, next| one.task < next.task), "each once");
    assert!(all(Vec::new()).await.expect("periodic").0.len() < MOST_ENTRIES + 500);
}

async fn queues_are_counted_as_far_as_it_matters(f: &Fixture) {
    assert_eq!(f.store.run(CountQueues { most: 10 }).await.expect("count_queues"), 0);
    for name in ["a", "b", "c"] {
        fill(&f.store, name, &jobs(0..1)).await;
    }
    assert_eq!(f.store.run(CountQueues { most: 10 }).await.expect("count_queues"), 3);
    assert!(f.store.run(CountQueues { most: 2 }).await.expect("count_queues") >= 2);
}
