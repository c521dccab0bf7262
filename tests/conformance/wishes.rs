//! What people wish of a run: it reaches the instance that has the run, stands until that is over, and outlives the instance.

use windlass::job::{ClaimToken, Progress};
use windlass::store::instance::{Extend, Extended};
use windlass::store::wake::Watch;
use windlass::store::wishes::{AskRun, KEPT, MOST_TOLD, ProgressTold, ReadWishes, TellProgress, Want, Wish};

use crate::fixture::{Fixture, Place, soon};
use crate::instance::{Claimed, Instance};
use crate::look::{fill, jobs};
use crate::support::resp::Reply;
use crate::support::verbs::Verbs as _;

behaviours! {
    a_wish_reaches_the_instance_of_the_run_until_it_says_that_the_run_is_over,
    a_wish_is_for_one_run_of_one_instance,
    a_run_that_is_over_takes_no_wish,
    a_wish_outlives_its_instance_until_that_is_buried,
    leaving_takes_the_wishes_along,
    an_armed_waker_is_told_of_a_wish,
    a_wish_lapses,
    wishes_of_any_length_and_number_are_read_within_bounds,
    the_progress_of_a_run_is_left_for_its_instance_and_ends_with_it,
    told_progress_takes_no_room_from_wishes_to_end_runs,
}

/// Another program leaves these wishes for an instance.
fn plant(f: &Fixture, instance: &str, wishes: &[(&str, &str)]) {
    for (claim, want) in wishes {
        match &f.place {
            Place::Redis { .. } => {
                f.redis_command(&["HSET", &f.key(&format!("windlass:wishes:{instance}")), claim, want]);
            }
            Place::Sqlite { .. } => {
                let sql = "INSERT INTO wishes (claim, instance, want, lapses_ms) VALUES (?1, ?2, ?3, 9000000000000)";
                f.sqlite_execute(sql, rusqlite::params![claim, instance, want]);
            }
        }
    }
}

async fn wishes_of_any_length_and_number_are_read_within_bounds(f: &Fixture) {
    let (instance, claims) = claims(f, "a", 1).await;
    assert!(ask(f, &claims[0]).await);
    let (long, short) = ("x".repeat(1 << 20), "{\"want\":\"cancel\",\"by\":\"eve\"}");
    let long_by = format!("{{\"want\":\"cancel\",\"by\":\"{}\"}}", "y".repeat(1000));
    plant(f, "a", &[("a-long-wish", &long), (&long, short), ("a-long-name", &long_by)]);
    let read = wishes(f, "a").await;
    assert_eq!(extend(&instance, &[]).await.wishes.len(), read.len());
    let by = |claim: &str| match &read.iter().find(|wish| wish.claim.as_str() == claim)?.want {
        Want::Cancel { by } => Some(by.clone()),
        other => panic!("{other:?}"),
    };
    assert_eq!(read.len(), 2, "what is too long is passed over");
    assert_eq!(by(claims[0].claim.token.as_str()).as_deref(), Some("ada"));
    assert!(by("a-long-name").expect("it is short enough").len() <= 256);
}

fn wish(claimed: &Claimed, by: &str) -> AskRun {
    let want = Want::Cancel { by: by.to_owned() };
    AskRun { worker: claimed.worker.clone(), wish: Wish { claim: claimed.claim.token.clone(), want } }
}

fn tells(claimed: &Claimed, percent: f64) -> TellProgress {
    let (worker, claim) = (claimed.worker.clone(), claimed.claim.token.clone());
    TellProgress { worker, claim, progress: Progress::new(Some(percent), "copying") }
}

async fn tell(f: &Fixture, claimed: &Claimed, percent: f64) -> ProgressTold {
    f.handle().await.run(tells(claimed, percent)).await.expect("tell_progress")
}

async fn the_progress_of_a_run_is_left_for_its_instance_and_ends_with_it(f: &Fixture) {
    let (mut instance, claims) = claims(f, "a", 2).await;
    assert_eq!(tell(f, &claims[0], 1.0).await, ProgressTold::Left);
    assert_eq!(tell(f, &claims[0], 2.0).await, ProgressTold::Left);
    assert!(ask(f, &claims[0]).await, "both stand");
    let stand = extend(&instance, &[]).await.wishes;
    let told = |wish: &Wish| match &wish.want {
        Want::Progress { progress } => Progress::parse(progress.as_bytes()),
        _ => None,
    };
    assert_eq!(stand.len(), 2, "{stand:?}");
    assert_eq!(stand.iter().find_map(told), Some(Progress::new(Some(2.0), "copying")), "the last one counts");
    instance.settle_one(&claims[1], claims[1].requeued()).await;
    assert_eq!(tell(f, &claims[1], 3.0).await, ProgressTold::Over);
    let over = claims[0].claim.token.clone();
    assert_eq!(extend(&instance, &[over]).await.wishes, []);
    assert_eq!(wishes(f, "a").await, []);
}

async fn told_progress_takes_no_room_from_wishes_to_end_runs(f: &Fixture) {
    let (instance, claims) = claims(f, "a", 2).await;
    assert_eq!(tell(f, &claims[0], 1.0).await, ProgressTold::Left);
    let others: Vec<String> = (1..MOST_TOLD).map(|n| format!("0000-0-{n}-0/progress")).collect();
    let want = tells(&claims[0], 7.0).progress.encode();
    let want = serde_json::json!({"want": "progress", "progress": String::from_utf8(want).expect("text")}).to_string();
    plant(f, "a", &others.iter().map(|name| (name.as_str(), want.as_str())).collect::<Vec<_>>());
    assert_eq!(tell(f, &claims[1], 1.0).await, ProgressTold::Full);
    assert_eq!(tell(f, &claims[0], 2.0).await, ProgressTold::Left, "it replaces one");
    assert!(ask(f, &claims[1]).await);
    let stand = extend(&instance, &[]).await.wishes;
    assert!(stand.iter().any(|wish| matches!(wish.want, Want::Cancel { .. })), "{}", stand.len());
}

async fn ask(f: &Fixture, claimed: &Claimed) -> bool {
    f.handle().await.run(wish(claimed, "ada")).await.expect("ask_run")
}

async fn wishes(f: &Fixture, instance: &str) -> Vec<Wish> {
    f.handle().await.run(ReadWishes { instance: instance.to_owned() }).await.expect("read_wishes")
}

async fn extend(instance: &Instance, done: &[ClaimToken]) -> Extended {
    let extend = Extend { done: done.to_vec(), ..instance.extension() };
    instance.store.extend(&extend).await.expect("extend")
}

async fn claims(f: &Fixture, id: &str, count: usize) -> (Instance, Vec<Claimed>) {
    let mut instance = Instance::join(&f.store, id, count).await;
    fill(&f.store, "q", &jobs(0..count)).await;
    let slots: Vec<usize> = (1..=count).collect();
    let claims = instance.claim(&["q"], &slots).await;
    (instance, claims)
}

async fn a_wish_reaches_the_instance_of_the_run_until_it_says_that_the_run_is_over(f: &Fixture) {
    let (instance, claims) = claims(f, "a", 2).await;
    assert_eq!(extend(&instance, &[]).await.wishes, []);
    assert!(ask(f, &claims[1]).await);
    let stands = [wish(&claims[1], "ada").wish];
    for _ in 0..2 {
        assert_eq!(extend(&instance, &[]).await.wishes, stands, "it stands although it was told");
    }
    assert!(f.store.run(wish(&claims[1], "bob")).await.expect("ask_run"), "asking again is harmless");
    assert_eq!(extend(&instance, &[]).await.wishes, [wish(&claims[1], "bob").wish]);
    let over = claims[1].claim.token.clone();
    assert_eq!(extend(&instance, &[over]).await.wishes, []);
    assert_eq!(wishes(f, "a").await, []);
}

async fn a_wish_is_for_one_run_of_one_instance(f: &Fixture) {
    let (one, claims) = claims(f, "a", 1).await;
    let other = Instance::join(&f.store, "b", 1).await;
    assert!(ask(f, &claims[0]).await);
    assert_eq!(extend(&other, &[]).await.wishes, []);
    assert_eq!(wishes(f, "b").await, []);
    assert_eq!(extend(&one, &[]).await.wishes.len(), 1);
}

async fn a_run_that_is_over_takes_no_wish(f: &Fixture) {
    let (mut instance, claims) = claims(f, "a", 1).await;
    instance.settle_one(&claims[0], claims[0].requeued()).await;
    assert!(!ask(f, &claims[0]).await);
    let again = instance.claim_one("q").await;
    assert!(!ask(f, &claims[0]).await, "a later run of the job is not meant");
    assert_eq!(wishes(f, "a").await, []);
    assert!(ask(f, &again).await);
}

async fn a_wish_outlives_its_instance_until_that_is_buried(f: &Fixture) {
    let (mut instance, claims) = claims(f, "a", 1).await;
    assert!(ask(f, &claims[0]).await);
    instance.settle_one(&claims[0], claims[0].requeued()).await;
    assert_eq!(wishes(f, "a").await.len(), 1);
    let dead = instance.state().await.expect("it has joined");
    assert!(f.store.bury(&dead).await.expect("bury"));
    assert_eq!(wishes(f, "a").await, []);
}

async fn leaving_takes_the_wishes_along(f: &Fixture) {
    let (mut instance, claims) = claims(f, "a", 1).await;
    assert!(ask(f, &claims[0]).await);
    f.store.leave(&instance.record).await.expect("leave");
    assert_eq!(wishes(f, "a").await.len(), 1, "its run is left to recovery, and so is the wish");
    instance.settle_one(&claims[0], claims[0].requeued()).await;
    f.store.leave(&instance.record).await.expect("leave");
    assert_eq!(wishes(f, "a").await, []);
}

async fn an_armed_waker_is_told_of_a_wish(f: &Fixture) {
    let (_instance, claims) = claims(f, "a", 1).await;
    let waker = f.store.waker().await.expect("waker");
    let watch = Watch { wishes_for: Some("a".into()), ..Watch::default() };
    assert!(!waker.arm(&watch).await.expect("arm").wishes);
    assert!(ask(f, &claims[0]).await);
    soon("the wake", waker.woken()).await;
    assert!(waker.arm(&watch).await.expect("arm").wishes);
    assert!(!waker.arm(&Watch::default()).await.expect("arm").wishes, "nobody asked");
}

async fn a_wish_lapses(f: &Fixture) {
    let (mut instance, claims) = claims(f, "a", 2).await;
    assert!(ask(f, &claims[0]).await);
    let kept = i64::try_from(KEPT.as_secs()).expect("an hour");
    if let Place::Redis { .. } = f.place {
        // The server lets the key lapse by a clock of its own.
        let Reply::Int(left) = f.redis_command(&["PTTL".to_owned(), f.key("windlass:wishes:a")]) else {
            panic!("a time")
        };
        assert!((1..=kept * 1000).contains(&left), "{left}");
        return;
    }
    let waker = f.store.waker().await.expect("waker");
    let watch = Watch { wishes_for: Some("a".into()), ..Watch::default() };
    f.pass(kept - 1);
    assert_eq!(extend(&instance, &[]).await.wishes.len(), 1, "it has not lapsed");
    assert!(waker.arm(&watch).await.expect("arm").wishes);
    f.pass(1);
    assert_eq!(extend(&instance, &[]).await.wishes, []);
    assert_eq!(wishes(f, "a").await, []);
    assert!(!waker.arm(&watch).await.expect("arm").wishes);
    // Anyone who asks next sweeps it out.
    instance.settle_one(&claims[0], claims[0].requeued()).await;
    assert!(ask(f, &claims[1]).await);
    assert_eq!(wishes(f, "a").await, [wish(&claims[1], "ada").wish]);
}
