//! Promotion by the scheduler: a broken entry delays nothing but itself, and is reported once.

use bytes::Bytes;
use windlass::job::FailureView;
use windlass::scheduler::transfer::{StepOutcome, Transfer};
use windlass::store::delayed::DelayedCursor;
use windlass::store::queueing::When;
use windlass::store::scheduling::{Promote, PromoteTo, Promoted, Promotion, RubyLeader};

use crate::fixture::{Fixture, NOW_S, Place};
use crate::look::{delay, delayed_at, failed, job, locks, promotion, queue, queued, seconds};
use crate::scheduler::Scheduler;
use crate::support::verbs::Verbs as _;

behaviours! {
    what_is_due_goes_to_its_queue,
    jobs_that_have_just_become_due_are_moved_in_one_step,
    a_job_that_is_put_off_is_due_later,
    equal_jobs_that_are_put_off_are_all_kept,
    a_second_that_is_passed_over_hides_no_other,
    long_jobs_go_where_they_belong_as_they_were,
    a_job_that_must_be_read_whole_lets_others_go_first,
}

fn of_queue(name: &str, n: usize) -> Bytes {
    Bytes::from(format!(r#"{{"class":"c","queue":"{name}","args":[{n}]}}"#))
}

/// Takes steps until nothing is left to do at this time.
async fn run(transfer: &mut Transfer, scheduler: &Scheduler) -> StepOutcome {
    for _ in 0..1000 {
        let step = transfer.step(&scheduler.context, None).await.expect("step");
        if matches!(step, StepOutcome::Nothing { .. }) {
            return step;
        }
    }
    panic!("it never comes to rest");
}

async fn what_is_due_goes_to_its_queue(f: &Fixture) {
    for n in 0..3 {
        delay(&f.store, &of_queue("q", n), When::At(NOW_S - 3 + n as i64)).await;
    }
    delay(&f.store, &of_queue("q", 9), When::At(NOW_S + 9)).await;
    delay(&f.store, &Bytes::from_static(b"{bad"), When::At(NOW_S)).await;
    let scheduler = Scheduler::of(f, "a", "").await;
    let rest = run(&mut Transfer::default(), &scheduler).await;
    assert_eq!(rest, StepOutcome::Nothing { next_ms: Some((NOW_S + 9) * 1000) });
    assert_eq!(queued(&f.store, "q").await.len(), 3);
    assert_eq!(failed(&f.store).await.len(), 1);
}

async fn jobs_that_have_just_become_due_are_moved_in_one_step(f: &Fixture) {
    for n in 0..3 {
        delay(&f.store, &of_queue("q", n), When::At(NOW_S)).await;
    }
    delay(&f.store, &of_queue("q", 9), When::At(NOW_S - 60)).await;
    let scheduler = Scheduler::of(f, "a", "").await;
    let mut transfer = Transfer::default();
    let mut step = async || transfer.step(&scheduler.context, None).await.expect("step");
    assert_eq!(step().await, StepOutcome::Moved, "a backlog may be longer");
    assert_eq!(step().await, StepOutcome::InTime);
    assert_eq!(queued(&f.store, "q").await.len(), 4);
}

async fn a_job_that_is_put_off_is_due_later(f: &Fixture) {
    for n in 1..=3 {
        delay(&f.store, &job(n), When::At(NOW_S)).await;
    }
    f.clock.advance(1);
    let put = |n, wait_ms| Promote { payload: job(n), long: None, to: PromoteTo::Later { wait_ms } };
    let to_queue = Promote { payload: job(2), long: None, to: PromoteTo::Queue { queue: queue("q"), lock: None } };
    let jobs = vec![put(1, 1000), to_queue, put(3, 999)];
    let promotion = Promotion { leader: None, ruby: None, second: NOW_S, jobs };
    assert_eq!(f.store.promote(&promotion).await.expect("promote"), Promoted::Moved(3));
    assert_eq!(seconds(&f.store).await, [(NOW_S + 1, 1), (NOW_S + 2, 1)], "never before its time");
    assert_eq!(f.store.scheduled_at(&job(1)).await.expect("scheduled_at"), [NOW_S + 2]);
    assert_eq!(f.store.scheduled_at(&job(3)).await.expect("scheduled_at"), [NOW_S + 1]);
    assert_eq!(queued(&f.store, "q").await, [job(2)]);
}

async fn equal_jobs_that_are_put_off_are_all_kept(f: &Fixture) {
    delay(&f.store, &job(1), When::At(NOW_S)).await;
    delay(&f.store, &job(1), When::At(NOW_S + 1)).await;
    let put = |second, wait_ms| Promotion {
        leader: None,
        ruby: None,
        second,
        jobs: vec![Promote { payload: job(1), long: None, to: PromoteTo::Later { wait_ms } }],
    };
    assert_eq!(f.store.promote(&put(NOW_S, 5000)).await.expect("promote"), Promoted::Moved(1));
    f.pass(1);
    assert_eq!(f.store.promote(&put(NOW_S + 1, 4000)).await.expect("promote"), Promoted::Moved(1));
    assert_eq!(delayed_at(&f.store, NOW_S + 5).await, [job(1), job(1)]);
    f.pass(4);
    let one = Promote { payload: job(1), long: None, to: PromoteTo::Queue { queue: queue("q"), lock: None } };
    let one = Promotion { leader: None, ruby: None, second: NOW_S + 5, jobs: vec![one] };
    assert_eq!(f.store.promote(&one).await.expect("promote"), Promoted::Moved(1));
    assert_eq!(f.store.scheduled_at(&job(1)).await.expect("scheduled_at"), [NOW_S + 5], "one is left, and is found");
}

async fn a_second_that_is_passed_over_hides_no_other(f: &Fixture) {
    for n in 1..=4 {
        delay(&f.store, &job(n), When::At(NOW_S - 10 + n as i64)).await;
    }
    let passed = [NOW_S - 9, NOW_S - 8].map(|second| Bytes::from(second.to_string()));
    let due = f.store.due(10, &passed).await.expect("due");
    assert_eq!((due.second, due.jobs), (Some(NOW_S - 7), vec![job(3)]));
}

#[tokio::test]
async fn nothing_is_moved_that_a_leader_of_resque_scheduler_may_have_read() {
    let f = Fixture::redis().await;
    let lock = f.key(&format!("{}resque_scheduler_master_lock", f.key("")));
    for n in 0..3 {
        delay(&f.store, &job(n), When::At(NOW_S)).await;
    }
    let look = async || f.store.due(10, &[]).await.expect("due");
    assert_eq!((look().await.ruby, look().await.length), (None, 3));
    f.redis_command(&["SET", &lock, "r:1", "PX", "100000"]);
    let seen = look().await.ruby.expect("its lock is there");
    let ahead_ms = seen.expires_ms.expect("it lapses") - NOW_S * 1000;
    assert!(seen.name == "r:1" && (90_000..=101_000).contains(&ahead_ms), "{seen:?}");
    let promote = async |ruby: Option<&RubyLeader>, n| {
        let promotion = Promotion { ruby: ruby.cloned(), ..promotion("q", NOW_S, &[job(n)]) };
        f.store.promote(&promotion).await.expect("promote")
    };
    assert_eq!(promote(None, 0).await, Promoted::RubyLeads);
    assert_eq!(promote(Some(&seen), 0).await, Promoted::Moved(1), "it was seen to move nothing");
    // It renews its lock, another takes it, somebody lets it live for ever.
    f.redis_command(&["SET", &lock, "r:1", "PX", "180000"]);
    assert_eq!(promote(Some(&seen), 1).await, Promoted::RubyLeads);
    f.redis_command(&["SET", &lock, "r:2", "PX", "1000"]);
    assert_eq!(promote(Some(&seen), 1).await, Promoted::RubyLeads);
    f.redis_command(&["SET", &lock, "r:1"]);
    assert_eq!(look().await.ruby.map(|ruby| ruby.expires_ms), Some(None));
    assert_eq!(promote(Some(&seen), 1).await, Promoted::Moved(1));
    // It gives it back. What is no lock is none.
    f.redis_command(&["DEL", &lock]);
    assert_eq!(promote(Some(&seen), 2).await, Promoted::Moved(1));
    f.redis_command(&["RPUSH", &lock, "x"]);
    delay(&f.store, &job(3), When::At(NOW_S)).await;
    assert_eq!((look().await.ruby, promote(None, 3).await), (None, Promoted::Moved(1)));
}

/// All broken entries are due before the sound ones.
async fn sound(f: &Fixture, count: usize) {
    for n in 0..count {
        delay(&f.store, &of_queue("good", n), When::At(NOW_S)).await;
    }
}

#[tokio::test]
async fn a_queue_that_takes_no_jobs_holds_up_no_other_queue() {
    let f = Fixture::redis().await;
    f.redis_command(&["SET", &f.key("queue:bad"), "x"]);
    for n in 0..3 {
        delay(&f.store, &of_queue("bad", n), When::At(NOW_S - 1)).await;
        delay(&f.store, &of_queue("good", 100 + n), When::At(NOW_S - 1)).await;
    }
    sound(&f, 600).await;
    let (scheduler, mut transfer) = (Scheduler::of(&f, "a", "").await, Transfer::default());
    run(&mut transfer, &scheduler).await;
    assert_eq!(queued(&f.store, "good").await.len(), 603, "in the same second and after it");
    let told = scheduler.told();
    assert!(told.len() == 1 && told[0].contains(&f.key("queue:bad")) && told[0].contains("failed retry"), "{told:?}");
    assert_eq!(failed(&f.store).await.len(), 0, "they are tried again first");
    for second in 0..10 {
        f.pass(1);
        run(&mut transfer, &scheduler).await;
        assert!(second < 1 || seconds(&f.store).await.len() <= 1);
    }
    let records = failed(&f.store).await;
    assert_eq!(records.len(), 3);
    let mut payloads: Vec<_> = records.iter().filter_map(|record| FailureView::parse(record).payload).collect();
    payloads.sort();
    assert_eq!(payloads, [of_queue("bad", 0), of_queue("bad", 1), of_queue("bad", 2)]);
    assert_eq!(FailureView::parse(&records[0]).queue.as_deref(), Some("bad"));
    assert_eq!(scheduler.told(), [""; 0], "it was told once");
    // Somebody repairs it.
    f.redis_command(&["DEL", &f.key("queue:bad")]);
    f.pass(60);
    delay(&f.store, &of_queue("bad", 7), When::At(NOW_S)).await;
    run(&mut transfer, &scheduler).await;
    assert_eq!(queued(&f.store, "bad").await, [of_queue("bad", 7)]);
}

#[tokio::test]
async fn a_second_that_holds_no_list_holds_up_no_other_second() {
    let f = Fixture::redis().await;
    for second in [NOW_S - 9, NOW_S - 8] {
        f.redis_command(&["SET", &f.key(&format!("delayed:{second}")), "x"]);
        f.redis_command(&["ZADD", &f.key("delayed_queue_schedule"), &second.to_string(), &second.to_string()]);
    }
    sound(&f, 3).await;
    let (scheduler, mut transfer) = (Scheduler::of(&f, "a", "").await, Transfer::default());
    run(&mut transfer, &scheduler).await;
    assert_eq!(queued(&f.store, "good").await.len(), 3);
    assert_eq!(scheduler.told().len(), 2, "each once");
    for _ in 0..10 {
        f.pass(1);
        run(&mut transfer, &scheduler).await;
    }
    assert_eq!(scheduler.told(), [""; 0]);
    assert_eq!(f.redis_command(&["ZCARD", &f.key("delayed_queue_schedule")]), crate::support::resp::Reply::Int(0));
    let records = failed(&f.store).await;
    assert_eq!(records.len(), 2, "each is told on the failed list");
    let told = FailureView::parse(&records[0]).error.unwrap_or_default();
    assert!(told.contains(&f.key(&format!("delayed:{}", NOW_S - 9))), "{told}");
    let left = f.redis_command(&["GET", &f.key(&format!("delayed:{}", NOW_S - 9))]).texts();
    assert_eq!(left, ["x"], "what is not ours stays");
}

#[tokio::test]
async fn entries_that_name_no_whole_second_are_due_by_their_scores() {
    let f = Fixture::redis().await;
    let due = (NOW_S - 100).to_string();
    for n in 0..40 {
        let name = format!("{}.{n:03}", NOW_S - 100);
        f.redis_command(&["ZADD", &f.key("delayed_queue_schedule"), &due, &name]);
        f.redis_command(&[&b"RPUSH"[..], f.key(&format!("delayed:{name}")).as_bytes(), &of_queue("odd", n)]);
        let stamps = [f.key("timestamps:").as_bytes(), &of_queue("odd", n)].concat();
        f.redis_command(&[b"SADD", &stamps[..], format!("delayed:{name}").as_bytes()]);
    }
    // One that is another program's idea of a time, one far away, one that holds nothing, one that holds no list.
    let empty = [("soon", "inf"), ("nothing", "-inf"), ("007", "7")];
    for (name, score) in empty {
        f.redis_command(&["ZADD", &f.key("delayed_queue_schedule"), score, name]);
    }
    f.redis_command(&["ZADD", &f.key("delayed_queue_schedule"), "5", "text"]);
    f.redis_command(&["SET", &f.key("delayed:text"), "x"]);
    sound(&f, 3).await;
    let (scheduler, mut transfer) = (Scheduler::of(&f, "a", "").await, Transfer::default());
    run(&mut transfer, &scheduler).await;
    assert_eq!(queued(&f.store, "odd").await.len(), 40);
    assert_eq!(queued(&f.store, "good").await.len(), 3);
    assert_eq!(f.store.scheduled_at(&of_queue("odd", 5)).await.expect("scheduled_at"), [0_i64; 0]);
    assert_eq!(f.redis_command(&["KEYS", &f.key("timestamps:*")]).texts(), [""; 0]);
    for _ in 0..10 {
        f.pass(1);
        run(&mut transfer, &scheduler).await;
    }
    assert_eq!(scheduler.told().len(), 1, "the one that holds no list");
    assert_eq!(failed(&f.store).await.len(), 1);
    assert_eq!(f.redis_command(&["ZRANGE", &f.key("delayed_queue_schedule"), "0", "-1"]).texts(), ["soon"]);
}

#[tokio::test]
async fn a_second_with_another_score_is_due_by_that() {
    let f = Fixture::redis().await;
    delay(&f.store, &of_queue("late", 1), When::At(NOW_S - 5)).await;
    delay(&f.store, &of_queue("early", 1), When::At(NOW_S + 500)).await;
    let schedule = f.key("delayed_queue_schedule");
    f.redis_command(&["ZADD", &schedule, &(NOW_S + 5).to_string(), &(NOW_S - 5).to_string()]);
    f.redis_command(&["ZADD", &schedule, &(NOW_S - 1).to_string(), &(NOW_S + 500).to_string()]);
    sound(&f, 1).await;
    let (scheduler, mut transfer) = (Scheduler::of(&f, "a", "").await, Transfer::default());
    let rest = run(&mut transfer, &scheduler).await;
    assert_eq!(rest, StepOutcome::Nothing { next_ms: Some((NOW_S + 5) * 1000) });
    assert_eq!((queued(&f.store, "early").await.len(), queued(&f.store, "late").await.len()), (1, 0));
    f.pass(5);
    run(&mut transfer, &scheduler).await;
    assert_eq!(queued(&f.store, "late").await.len(), 1);
    assert_eq!(scheduler.told(), [""; 0]);
}

#[tokio::test]
async fn an_entry_that_names_no_second_hides_no_other_from_readers() {
    let f = Fixture::redis().await;
    let schedule = f.key("delayed_queue_schedule");
    // Longer than any number, not written as numbers are, and no number at all; the first is due only tomorrow.
    let tomorrow = (NOW_S + 86_400).to_string();
    let names = [("99999999999999999999999", tomorrow.as_str()), ("+7", "7"), ("007", "7"), ("text", "8")];
    for (n, (name, score)) in names.iter().enumerate() {
        f.redis_command(&["ZADD", &schedule, score, name]);
        f.redis_command(&[&b"RPUSH"[..], f.key(&format!("delayed:{name}")).as_bytes(), &of_queue("odd", n)]);
    }
    for n in 0..200 {
        f.redis_command(&["ZADD", &schedule, "9", &format!("text {n}")]);
    }
    delay(&f.store, &of_queue("good", 1), When::At(NOW_S + 86_401)).await;
    assert_eq!(seconds(&f.store).await, [(NOW_S + 86_401, 1)]);
    let aside = f.store.set_aside(10).await.expect("set_aside").expect("what is delayed is set aside");
    assert_eq!(aside.items.len(), 1);
    f.store.let_go(&aside.id).await.expect("let_go");
    let (scheduler, mut transfer) = (Scheduler::of(&f, "a", "").await, Transfer::default());
    // One look moves a bounded number of such entries and asks to be taken again at once.
    let mut step = run(&mut transfer, &scheduler).await;
    for _ in 0..15 {
        step = run(&mut transfer, &scheduler).await;
    }
    assert_eq!(queued(&f.store, "odd").await.len(), 3);
    let due_ms = (NOW_S + 86_400) * 1000;
    assert!(
        matches!(step, StepOutcome::Nothing { next_ms: Some(at) } if at == due_ms),
        "tomorrow's is waited for: {step:?}"
    );
    f.pass(86_400);
    run(&mut transfer, &scheduler).await;
    assert_eq!(queued(&f.store, "odd").await.len(), 4);
}

/// Walks through all seconds, some at a time; (second, due), and in how many pages.
async fn walk(f: &Fixture, limit: usize) -> (Vec<(i64, i64)>, usize) {
    let (mut next, mut all, mut pages) = (Some(DelayedCursor::first()), Vec::new(), 0);
    while let Some(from) = next {
        let page = f.store.delayed_seconds(from.clone(), limit).await.expect("delayed_seconds");
        assert_ne!(page.next.as_ref(), Some(&from), "a walk goes on or ends");
        all.extend(page.seconds.iter().map(|one| (one.second, one.due_s)));
        (next, pages) = (page.next, pages + 1);
        assert!(pages < 1000, "a walk ends");
    }
    (all, pages)
}

#[tokio::test]
async fn every_second_is_read_once_whatever_scores_the_entries_have() {
    let f = Fixture::redis().await;
    let schedule = f.key("delayed_queue_schedule");
    let mut expected = Vec::new();
    let entries = [
        ("-inf", 3, i64::MIN),
        ("5", 100, 5),
        ("7", 7, 7),
        ("1800000050", 1, 1_800_000_050),
        ("1800000050", i64::MAX, 1_800_000_050),
        ("1800000050.5", i64::MIN, 1_800_000_051),
        ("1e300", 2, i64::MAX),
        ("inf", 4, i64::MAX),
    ];
    for (score, second, due_s) in entries {
        f.redis_command(&["ZADD", &schedule, score, &second.to_string()]);
        expected.push((second, due_s));
    }
    // Many entries of one score, some of which name no second.
    for n in 1000..1100 {
        f.redis_command(&["ZADD", &schedule, "1800000060", &n.to_string(), "1800000060", &format!("junk {n}")]);
        expected.push((n, 1_800_000_060));
    }
    expected.sort_unstable();
    for limit in [1, 2, 7, 64, 1000] {
        let (mut all, _) = walk(&f, limit).await;
        let order: Vec<i64> = all.iter().map(|(_, due_s)| *due_s).collect();
        assert!(order.is_sorted_by_key(|due_s| (*due_s != i64::MIN, *due_s)), "by the time at which they are due");
        all.sort_unstable();
        assert_eq!(all, expected, "{limit}");
    }
}

#[tokio::test]
async fn a_schedule_of_nothing_but_other_entries_is_read_to_its_end_in_steps() {
    let f = Fixture::redis().await;
    let schedule = f.key("delayed_queue_schedule");
    for n in 0..30 {
        let members: Vec<String> = (0..1000).flat_map(|m| [n.to_string(), format!("junk {n} {m}")]).collect();
        let command: Vec<&str> = ["ZADD", &schedule].into_iter().chain(members.iter().map(String::as_str)).collect();
        f.redis_command(&command);
    }
    f.redis_command(&["ZADD", &schedule, "1900000000", "1900000000"]);
    let (all, pages) = walk(&f, 1000).await;
    assert_eq!(all, [(1_900_000_000, 1_900_000_000)]);
    assert!(pages > 1, "one step reads only so much");
}

async fn long_jobs_go_where_they_belong_as_they_were(f: &Fixture) {
    let padding = "x".repeat(100_000);
    let first = |n| Bytes::from(format!(r#"{{"class":"c","queue":"q","args":[{n},"{padding}"]}}"#));
    let last = |n| Bytes::from(format!(r#"{{"class":"c","args":[{n},"{padding}"],"queue":"q"}}"#));
    let locked = Bytes::from(format!(r#"{{"class":"locked","queue":"q","args":["{padding}"]}}"#));
    let homeless = Bytes::from(format!(r#"{{"class":"c","args":["{padding}"]}}"#));
    let bad = Bytes::from(format!(r#"{{"class":"c","args":["{padding}"#));
    let all = [first(0), job(1), last(2), locked.clone(), homeless.clone(), bad.clone(), first(7)];
    for payload in &all {
        delay(&f.store, payload, When::At(NOW_S)).await;
    }
    let tasks = "name = \"locked\"\nplugins = [\"QueueLock\"]\n[run]\nbuiltin = \"noop\"\n";
    let scheduler = Scheduler::of(f, "a", tasks).await;
    run(&mut Transfer::default(), &scheduler).await;
    let expected = [first(0), job(1), last(2), locked.clone(), first(7)];
    assert!(queued(&f.store, "q").await == expected, "in their order");
    let key = format!("lock:locked:q:[\"{padding}\"]");
    assert!(locks(&f.store).await.iter().any(|lock| lock.contains(&key)));
    let records = failed(&f.store).await;
    assert_eq!(records.len(), 2);
    assert!(records[0].windows(homeless.len()).any(|part| part == &homeless[..]), "it fails whole");
    for payload in &all {
        assert_eq!(f.store.scheduled_at(payload).await.expect("scheduled_at"), [0_i64; 0], "no stamp is left");
    }
}

async fn a_job_that_must_be_read_whole_lets_others_go_first(f: &Fixture) {
    let padding = "x".repeat(100_000);
    let locked = |n: usize| Bytes::from(format!(r#"{{"class":"locked","queue":"q","args":[{n},"{padding}"]}}"#));
    delay(&f.store, &locked(0), When::At(NOW_S - 5)).await;
    delay(&f.store, &locked(1), When::At(NOW_S - 4)).await;
    delay(&f.store, &job(2), When::At(NOW_S - 3)).await;
    delay(&f.store, &locked(3), When::At(NOW_S + 5)).await;
    let tasks = "name = \"locked\"\nplugins = [\"QueueLock\"]\n[run]\nbuiltin = \"noop\"\n";
    let scheduler = Scheduler::of(f, "a", tasks).await;
    let rest = run(&mut Transfer::default(), &scheduler).await;
    assert_eq!(rest, StepOutcome::Nothing { next_ms: Some((NOW_S + 5) * 1000) });
    let expected = match f.place {
        Place::Redis { .. } => [job(2), locked(0), locked(1)],
        // Nothing is far away there.
        Place::Sqlite { .. } => [locked(0), locked(1), job(2)],
    };
    assert!(queued(&f.store, "q").await == expected);
}
