//! What ran: handed over with the lease, counted once, kept by minute, ten minutes and hour, bounded.

use windlass::event::tally::{ALL, OTHER, UNKNOWN};
use windlass::job::{RunCounts, RunEnd, TaskName};
use windlass::store::Store;
use windlass::store::history::{Buckets, HistoryStep, MOST_TASKS, Ran, ReadHistory, ReadTaskHistory};
use windlass::store::instance::{Extend, Extended, Leave};
use windlass::store::role::Whole;
use windlass::store::scheduling::ReadTime;

use crate::fixture::{Fixture, NOW_MS, Place};
use crate::instance::Instance;
use crate::support::resp::Reply;
use crate::support::verbs::Verbs as _;

behaviours! {
    what_ran_is_kept_by_minute_ten_minutes_and_hour,
    where_nothing_ran_nothing_is_kept,
    a_batch_is_counted_once,
    instances_add_up,
    leaving_hands_over_the_rest_once,
    an_instance_that_is_not_registered_counts_nothing,
    tasks_that_find_no_room_count_as_others,
    however_large_counts_are_they_are_read_as_they_were_counted,
    what_no_windlass_wrote_counts_as_nothing_and_is_told,
    counts_of_a_later_version_are_kept,
    each_step_lapses,
    a_bound_is_kept_of_what_is_read_at_once,
    a_bucket_that_others_filled_is_read_within_bounds,
}

/// A batch in which each task was done so often, for so many milliseconds each time.
pub(crate) fn ran(sequence: u64, tasks: &[(&str, u64)]) -> Ran {
    let counted = |(task, times): &(&str, u64)| {
        let mut counts = RunCounts::default();
        (0..*times).for_each(|n| counts.count(RunEnd::Done, Some(10 * n)));
        (TaskName::as_stored(task), counts)
    };
    Ran { sequence, tasks: tasks.iter().map(counted).collect() }
}

/// The counts of one task in such a batch.
fn counts(times: u64) -> RunCounts {
    ran(1, &[("t", times)]).tasks[0].1.clone()
}

/// The buckets of the last hours of a store, those of its present included.
async fn recent(store: &Store<Whole>, step: HistoryStep) -> Buckets {
    let now_ms = store.run(ReadTime).await.expect("time");
    Buckets { step, from: step.bucket_at(now_ms) - 23 * step.minutes(), count: 24 }
}

/// What a store keeps of the last hours.
pub(crate) async fn whole_history(store: &Store<Whole>) -> Vec<(HistoryStep, Vec<(TaskName, RunCounts)>)> {
    let mut history = Vec::new();
    for step in HistoryStep::ALL {
        let buckets = recent(store, step).await;
        history.push((step, store.run(ReadTaskHistory { buckets }).await.expect("task_history")));
    }
    history
}

async fn of(store: &Store<Whole>, task: &str, step: HistoryStep) -> Vec<(i64, RunCounts)> {
    let buckets = recent(store, step).await;
    store.run(ReadHistory { task: TaskName::as_stored(task), buckets }).await.expect("history")
}

async fn extend(instance: &Instance, ran: Vec<Ran>) -> Extended {
    instance.store.run(Extend { ran, ..instance.extension() }).await.expect("extend")
}

async fn what_ran_is_kept_by_minute_ten_minutes_and_hour(f: &Fixture) {
    let instance = Instance::join(&f.store, "a", 1).await;
    // 1,800,000,000 is a whole hour.
    let hour = NOW_MS / 60_000;
    for (sequence, (second, tasks)) in
        [(0, vec![("add", 3), ("sub", 1)]), (30, vec![("add", 1)]), (60, vec![("add", 2)]), (3600, vec![("sub", 4)])]
            .into_iter()
            .enumerate()
    {
        f.clock.set(NOW_MS + second * 1000);
        let sequence = u64::try_from(sequence).expect("there are few") + 1;
        let extended = extend(&instance, vec![ran(sequence, &tasks)]).await;
        assert_eq!((extended.taken, &extended.findings[..]), (sequence, &[][..]));
    }
    let sum = |parts: &[u64]| {
        let mut sum = RunCounts::default();
        parts.iter().for_each(|times| sum.add(&counts(*times)));
        sum
    };
    let other = f.handle().await;
    assert_eq!(of(&other, "add", HistoryStep::Hour).await, [(hour, sum(&[3, 1, 2]))]);
    assert_eq!(of(&other, "sub", HistoryStep::Hour).await, [(hour, sum(&[1])), (hour + 60, sum(&[4]))]);
    assert_eq!(of(&other, ALL, HistoryStep::TenMinutes).await, [(hour, sum(&[3, 1, 1, 2])), (hour + 60, sum(&[4]))]);
    f.clock.set(NOW_MS + 61_000);
    assert_eq!(of(&other, "add", HistoryStep::Minute).await, [(hour, sum(&[3, 1])), (hour + 1, sum(&[2]))]);
    let together: Vec<_> = whole_history(&other).await.remove(0).1;
    let expected = [(ALL, sum(&[3, 1, 1, 2])), ("add", sum(&[3, 1, 2])), ("sub", sum(&[1]))];
    assert_eq!(together, expected.map(|(task, counts)| (TaskName::as_stored(task), counts)));
}

async fn where_nothing_ran_nothing_is_kept(f: &Fixture) {
    let instance = Instance::join(&f.store, "a", 1).await;
    assert_eq!(extend(&instance, Vec::new()).await.taken, 0);
    f.store.run(Leave { record: instance.record.clone(), ran: Vec::new() }).await.expect("leave");
    assert!(whole_history(&f.store).await.iter().all(|(_, tasks)| tasks.is_empty()));
    if let Place::Redis { .. } = &f.place {
        assert_eq!(f.redis_command(&["KEYS", &f.key("windlass:h*")]).texts(), [""; 0], "not a key");
    }
}

async fn a_batch_is_counted_once(f: &Fixture) {
    let instance = Instance::join(&f.store, "a", 1).await;
    let (first, second) = (ran(1, &[("add", 2)]), ran(2, &[("add", 1)]));
    assert_eq!(extend(&instance, vec![first.clone()]).await.taken, 1);
    let other = Extend { ran: vec![first.clone()], ..instance.extension() };
    assert_eq!(f.handle().await.run(other).await.expect("extend").taken, 1, "sent again");
    assert_eq!(extend(&instance, vec![first.clone(), second.clone()]).await.taken, 2, "with the next one");
    assert_eq!(extend(&instance, vec![first]).await.taken, 2, "it comes late");
    let mut expected = counts(2);
    expected.add(&counts(1));
    assert_eq!(of(&f.store, "add", HistoryStep::Minute).await[0].1, expected);
}

async fn instances_add_up(f: &Fixture) {
    let (one, two) = (Instance::join(&f.store, "a", 1).await, Instance::join(&f.store, "b", 1).await);
    extend(&one, vec![ran(1, &[("add", 2)])]).await;
    extend(&two, vec![ran(1, &[("add", 2)])]).await;
    assert_eq!(of(&f.store, "add", HistoryStep::Hour).await[0].1.of(RunEnd::Done), 4, "each has its own sequence");
}

async fn leaving_hands_over_the_rest_once(f: &Fixture) {
    let instance = Instance::join(&f.store, "a", 1).await;
    let (first, second) = (ran(1, &[("add", 2)]), ran(2, &[("add", 1)]));
    extend(&instance, vec![first.clone()]).await;
    let leave = Leave { record: instance.record.clone(), ran: vec![first, second] };
    for _ in 0..2 {
        f.store.run(leave.clone()).await.expect("leave");
        assert_eq!(of(&f.store, "add", HistoryStep::Minute).await[0].1.of(RunEnd::Done), 3);
    }
    // Under the same id it is another life.
    let instance = Instance::join(&f.store, "a", 1).await;
    assert_eq!(extend(&instance, vec![ran(1, &[("add", 1)])]).await.taken, 1);
}

async fn an_instance_that_is_not_registered_counts_nothing(f: &Fixture) {
    let instance = Instance::join(&f.store, "a", 1).await;
    assert!(f.store.bury(&instance.state().await.expect("state")).await.expect("bury"));
    let extended = extend(&instance, vec![ran(1, &[("add", 1)])]).await;
    assert_eq!((extended.dead, extended.taken), (true, 0));
    f.store.run(Leave { record: instance.record.clone(), ran: vec![ran(1, &[("add", 1)])] }).await.expect("leave");
    assert!(whole_history(&f.store).await.iter().all(|(_, tasks)| tasks.is_empty()));
}

async fn tasks_that_find_no_room_count_as_others(f: &Fixture) {
    let instance = Instance::join(&f.store, "a", 1).await;
    let names: Vec<String> = (0..150).map(|n| format!("task{n:03}")).collect();
    let mut tasks: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    tasks.push((OTHER, 5));
    tasks.push((UNKNOWN, 3));
    extend(&instance, vec![ran(1, &tasks)]).await;
    extend(&instance, vec![ran(2, &[("task000", 1), ("late", 2)])]).await;
    for (step, tasks) in whole_history(&f.store).await {
        let done = |name: &str| {
            tasks.iter().find(|(task, _)| task.as_str() == name).map_or(0, |(_, counts)| counts.of(RunEnd::Done))
        };
        let named = tasks.iter().filter(|(task, _)| !task.as_str().starts_with('_'));
        let own: u64 = named.clone().map(|(_, counts)| counts.of(RunEnd::Done)).sum();
        assert!(named.count() <= MOST_TASKS, "{step:?}");
        assert_eq!((done("task000"), done("late"), done(UNKNOWN)), (2, 0, 3), "{step:?}");
        assert_eq!(done(ALL), 150 + 5 + 3 + 3, "{step:?}");
        assert_eq!(own + done(OTHER) + done(UNKNOWN), done(ALL), "{step:?}: nothing is lost");
    }
}

async fn however_large_counts_are_they_are_read_as_they_were_counted(f: &Fixture) {
    let instance = Instance::join(&f.store, "a", 1).await;
    let all_ends: String = "CDFKLRVX".chars().map(|letter| format!("{letter}123456789")).collect();
    let all_durations: String = ('a'..='q').map(|letter| format!("{letter}98765432101")).collect();
    let large = RunCounts::unpack(format!("{all_ends}M999999999999{all_durations}").as_bytes()).expect("counts");
    let batch = |sequence| Ran {
        sequence,
        tasks: [(TaskName::as_stored("large"), large.clone()), (TaskName::as_stored("small"), counts(1))].into(),
    };
    let (mut expected, mut small) = (RunCounts::default(), RunCounts::default());
    for sequence in 1..4 {
        extend(&instance, vec![batch(sequence)]).await;
        expected.add(&large);
        small.add(&counts(1));
        let kept = whole_history(&f.store).await.remove(2).1;
        assert_eq!(
            kept[1..],
            [(TaskName::as_stored("large"), expected.clone()), (TaskName::as_stored("small"), small.clone())]
        );
        assert_eq!(of(&f.store, "large", HistoryStep::Minute).await[0].1, expected);
    }
    if let Place::Redis { .. } = &f.place {
        for key in f.redis_command(&["KEYS", &f.key("windlass:h*")]).texts() {
            for value in f.redis_command(&["HVALS", &key]).texts() {
                assert!(value.len() <= 160, "a long value is laid out in pieces: {value}");
            }
        }
    }
}

async fn what_no_windlass_wrote_counts_as_nothing_and_is_told(f: &Fixture) {
    let instance = Instance::join(&f.store, "a", 1).await;
    for (sequence, strange) in (1..).zip(["", "7", "D", "D1 ", "D-1", "D1234567890123456", "\u{e9}1", "done:1"]) {
        HistoryStep::ALL.into_iter().for_each(|step| f.plant_counts(step, "add", strange));
        let before = of(&f.store, "add", HistoryStep::Hour).await;
        assert!(before.iter().all(|(_, counts)| counts.is_empty()), "{strange:?}: {before:?}");
        let extended = extend(&instance, vec![ran(sequence, &[("add", 2)])]).await;
        assert_eq!((extended.taken, extended.dead), (sequence, false), "{strange:?}");
        assert_eq!(of(&f.store, "add", HistoryStep::Hour).await[0].1, counts(2), "{strange:?}: they begin anew");
        let told: Vec<String> = extended.findings.iter().map(ToString::to_string).collect();
        if let Place::Redis { .. } = &f.place {
            assert_eq!(told.len(), if strange.is_empty() { 0 } else { 3 }, "{strange:?}: {told:?}");
            assert!(told.iter().all(|one| one.contains("windlass:h") && one.contains("of \"add\"")), "{told:?}");
        }
    }
}

async fn a_bucket_that_others_filled_is_read_within_bounds(f: &Fixture) {
    let instance = Instance::join(&f.store, "a", 1).await;
    extend(&instance, vec![ran(1, &[("add", 7)])]).await;
    let minute = HistoryStep::Minute.bucket_at(NOW_MS);
    let long = "z".repeat(1 << 20);
    match &f.place {
        Place::Redis { .. } => {
            let key = f.key(&format!("windlass:h:{minute}"));
            let fields: Vec<String> = (0..3000).map(|n| format!("Forged{n}")).collect();
            let mut command = vec!["HSET", &key, &long, "D1", "Long", &long];
            fields.iter().for_each(|field| command.extend([field.as_str(), "D1"]));
            f.redis_command(&command);
        }
        Place::Sqlite { .. } => {
            let insert = "INSERT INTO history (step, minute, task, counts) ";
            let many = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 2999) \
                        SELECT 1, ?1, 'Forged' || i, 'D1' FROM n";
            let file = rusqlite::Connection::open(f.place.file()).expect("the file must open");
            file.execute(&format!("{insert}{many}"), [minute]).expect("the rows must be written");
            f.sqlite_execute(&format!("{insert}VALUES (1, ?1, ?2, 'D1')"), rusqlite::params![minute, long]);
            f.sqlite_execute(&format!("{insert}VALUES (1, ?1, 'Long', ?2)"), rusqlite::params![minute, long]);
        }
    }
    let buckets = Buckets { step: HistoryStep::Minute, from: minute, count: 1 };
    let tasks = f.store.run(ReadTaskHistory { buckets }).await.expect("task_history");
    let done = |name: &str| {
        tasks.iter().find(|(task, _)| task.as_str() == name).map_or(0, |(_, counts)| counts.of(RunEnd::Done))
    };
    assert!(tasks.len() <= MOST_TASKS + 3, "{}", tasks.len());
    assert!(tasks.iter().all(|(task, _)| task.as_str().len() <= 512), "a name that is too long is none");
    assert_eq!((done(ALL), done("Long")), (7, 0), "the sum of all is ours");
    assert!(done(OTHER) > 0, "what finds no room counts as others");
    // A task of ours that comes now finds no room.
    let extended = extend(&instance, vec![ran(2, &[("late", 2)])]).await;
    assert_eq!(extended.taken, 2);
    assert_eq!(of(&f.store, "late", HistoryStep::Minute).await, []);
    assert_eq!(of(&f.store, OTHER, HistoryStep::Minute).await[0].1.of(RunEnd::Done), 2);
}

async fn counts_of_a_later_version_are_kept(f: &Fixture) {
    let instance = Instance::join(&f.store, "a", 1).await;
    f.plant_counts(HistoryStep::Minute, "add", "D1Q5z2");
    extend(&instance, vec![ran(1, &[("add", 1)])]).await;
    let mut expected = counts(1);
    expected.count(RunEnd::Done, None);
    assert_eq!(of(&f.store, "add", HistoryStep::Minute).await[0].1, expected);
    if let Place::Redis { .. } = &f.place {
        let key = f.key(&format!("windlass:h:{}", HistoryStep::Minute.bucket_at(NOW_MS)));
        assert_eq!(f.redis_command(&["HGET", &key, "add"]).texts(), ["D2Q5a1z2"]);
    }
}

async fn each_step_lapses(f: &Fixture) {
    let instance = Instance::join(&f.store, "a", 1).await;
    extend(&instance, vec![ran(1, &[("add", 1)])]).await;
    match &f.place {
        Place::Redis { .. } => {
            for (name, hours) in [("h", 3), ("h10", 3 * 24), ("h60", 30 * 24)] {
                let key = f.redis_command(&["KEYS", &f.key(&format!("windlass:{name}:*"))]).texts().remove(0);
                let Reply::Int(left) = f.redis_command(&["TTL", &key]) else { panic!("a number") };
                let kept = hours * 3600;
                assert!((kept - 60..=kept + 3600).contains(&left), "{key} is kept for {left} s");
            }
        }
        Place::Sqlite { .. } => {
            let rows = || {
                let file = rusqlite::Connection::open(f.place.file()).expect("the file must open");
                let mut select = file.prepare("SELECT step, COUNT(*) FROM history GROUP BY step").expect("a statement");
                let rows = select.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)));
                rows.expect("rows").collect::<Result<Vec<_>, _>>().expect("rows")
            };
            assert_eq!(rows(), [(1, 2), (10, 2), (60, 2)]);
            for (sequence, hours, left) in [(2, 4, [2, 4, 4]), (3, 4 * 24, [2, 2, 6]), (4, 31 * 24, [2, 2, 2])] {
                f.pass(hours * 3600);
                extend(&instance, vec![ran(sequence, &[("add", 1)])]).await;
                assert_eq!(rows(), [(1, left[0]), (10, left[1]), (60, left[2])], "after {hours} more hours");
            }
        }
    }
}

async fn a_bound_is_kept_of_what_is_read_at_once(f: &Fixture) {
    let instance = Instance::join(&f.store, "a", 1).await;
    let from = HistoryStep::Minute.bucket_at(NOW_MS);
    extend(&instance, vec![ran(1, &[("add", 1)])]).await;
    f.pass(24 * 60);
    extend(&instance, vec![ran(2, &[("add", 1)])]).await;
    let read = async |from| {
        let buckets = Buckets { step: HistoryStep::Minute, from, count: 1000 };
        let tasks = f.store.run(ReadTaskHistory { buckets }).await.expect("task_history");
        tasks.iter().map(|(_, counts)| counts.of(RunEnd::Done)).max()
    };
    assert_eq!((read(from).await, read(from + 1).await, read(from + 25).await), (Some(1), Some(1), None));
    let buckets = Buckets { step: HistoryStep::Minute, from, count: 25 };
    let all = f.store.run(ReadHistory { task: TaskName::as_stored("add"), buckets }).await.expect("history");
    assert_eq!(all.iter().map(|(minute, _)| minute - from).collect::<Vec<_>>(), [0, 24]);
}
