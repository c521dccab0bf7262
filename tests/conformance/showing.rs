//! What an instance shows of its runs to those who watch them, and how far runs are.

use bytes::Bytes;
use windlass::job::{ClaimToken, Progress, ShownRun};
use windlass::store::instance::Extend;
use windlass::store::showing::{KEPT, LookAtRuns, SeenRun, ShowRuns};
use windlass::store::wishes::{AskRun, ReadWishes, Want, Wish};

use crate::fixture::{Fixture, Place};
use crate::instance::{Claimed, Instance};
use crate::look::{fill, jobs};
use crate::support::resp::Reply;
use crate::support::verbs::Verbs as _;

behaviours! {
    what_is_shown_of_a_run_is_seen_until_it_lapses,
    a_wish_to_watch_stands_beside_one_to_cancel_and_goes_by_itself,
    progress_goes_along_with_the_lease_and_ends_with_its_run_or_instance,
    what_others_wrote_in_its_place_is_nothing,
}

pub(crate) fn record(first: u64, lines: &[&str]) -> Bytes {
    let mut shown = ShownRun::default();
    (shown.first, shown.lines) = (first, lines.iter().map(|line| (*line).to_owned()).collect());
    Bytes::from(shown.encode())
}

async fn claim(f: &Fixture, id: &str) -> (Instance, Claimed) {
    let mut instance = Instance::join(&f.store, id, 1).await;
    fill(&f.store, "q", &jobs(0..1)).await;
    let claimed = instance.claim_one("q").await;
    (instance, claimed)
}

async fn look(f: &Fixture, claim: &ClaimToken) -> SeenRun {
    let claims = vec![ClaimToken::new("none", 0, 1, 1), claim.clone()];
    let mut seen = f.handle().await.run(LookAtRuns { claims, shown: true }).await.expect("look_at_runs");
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0], SeenRun::default());
    seen.remove(1)
}

async fn show(f: &Fixture, shown: Vec<(ClaimToken, Bytes)>, over: &[ClaimToken]) -> Vec<Wish> {
    let show = ShowRuns { instance: "a".to_owned(), shown, over: over.to_vec() };
    f.store.run(show).await.expect("show_runs")
}

async fn what_is_shown_of_a_run_is_seen_until_it_lapses(f: &Fixture) {
    let (_instance, claimed) = claim(f, "a").await;
    let token = claimed.claim.token;
    assert_eq!(look(f, &token).await, SeenRun::default());
    show(f, vec![(token.clone(), record(0, &["one"]))], &[]).await;
    show(f, vec![(token.clone(), record(7, &["two", "three"]))], &[]).await;
    let shown = look(f, &token).await.shown.expect("it is shown");
    let short = f.store.run(LookAtRuns { claims: vec![token.clone()], shown: false }).await.expect("look_at_runs");
    assert_eq!(short, [SeenRun::default()], "what is shown was not asked for");
    assert_eq!((shown.first, shown.lines), (7, vec!["two".to_owned(), "three".to_owned()]));
    if let Place::Redis { .. } = f.place {
        // The server lets it lapse by a clock of its own.
        let Reply::Int(left) = f.redis_command(&["PTTL".to_owned(), f.key(&format!("windlass:tail:{token}"))]) else {
            panic!("a time")
        };
        assert!((1..=30_000).contains(&left), "{left}");
        return;
    }
    f.pass(i64::try_from(KEPT.as_secs()).expect("seconds"));
    assert_eq!(look(f, &token).await, SeenRun::default());
}

async fn a_wish_to_watch_stands_beside_one_to_cancel_and_goes_by_itself(f: &Fixture) {
    let (_instance, claimed) = claim(f, "a").await;
    let token = claimed.claim.token.clone();
    let wishes = || async {
        let mut wishes = f.store.run(ReadWishes { instance: "a".to_owned() }).await.expect("read_wishes");
        wishes.sort_by_key(Wish::name);
        wishes
    };
    let wish = |want| Wish { claim: token.clone(), want };
    let ask = |wish: &Wish| f.store.run(AskRun { worker: claimed.worker.clone(), wish: wish.clone() });
    let cancel = wish(Want::Cancel { by: "ada".to_owned() });
    let (watch, renewed) = (wish(Want::Watch { turn: 1 }), wish(Want::Watch { turn: 2 }));
    for one in [&watch, &cancel, &renewed] {
        assert!(ask(one).await.expect("ask_run"));
    }
    assert_eq!(wishes().await, [cancel.clone(), renewed]);
    assert_eq!(show(f, Vec::new(), std::slice::from_ref(&token)).await, std::slice::from_ref(&cancel));
    assert_eq!(wishes().await, [cancel]);
}

async fn progress_goes_along_with_the_lease_and_ends_with_its_run_or_instance(f: &Fixture) {
    let (mut instance, claimed) = claim(f, "a").await;
    let token = claimed.claim.token.clone();
    let told = |progress| vec![(token.clone(), progress)];
    let extend = |progress| Extend { progress, ..instance.extension() };
    let send = |extend| async { f.store.run(extend).await.expect("extend") };
    for progress in [Progress::new(Some(1.0), "a"), Progress::new(None, "b\n\u{1}")] {
        send(extend(told(Some(progress.clone())))).await;
        assert_eq!(look(f, &token).await.progress, Some(progress));
    }
    send(instance.extension()).await;
    assert!(look(f, &token).await.progress.is_some(), "it stays as it is");
    send(extend(told(None))).await;
    assert_eq!(look(f, &token).await.progress, None);
    send(extend(told(Some(Progress::new(Some(2.0), ""))))).await;
    instance.settle_one(&claimed, claimed.requeued()).await;
    f.store.leave(&instance.record).await.expect("leave");
    assert_eq!(look(f, &token).await, SeenRun::default());
}

async fn what_others_wrote_in_its_place_is_nothing(f: &Fixture) {
    let (instance, claimed) = claim(f, "a").await;
    let token = claimed.claim.token.clone();
    for junk in ["", "[1]", "{\"lines\":7}", &"x".repeat(70_000)] {
        show(f, vec![(token.clone(), Bytes::from(junk.to_owned()))], &[]).await;
        assert_eq!(look(f, &token).await, SeenRun::default());
    }
    if let Place::Redis { .. } = f.place {
        for key in [format!("windlass:tail:{token}"), "windlass:progress:a".to_owned()] {
            f.redis_command(&["DEL".to_owned(), f.key(&key)]);
            f.redis_command(&["RPUSH".to_owned(), f.key(&key), "x".to_owned()]);
        }
        assert_eq!(look(f, &token).await, SeenRun::default());
        let progress = vec![(token.clone(), Some(Progress::new(Some(1.0), "a")))];
        let extended = f.store.run(Extend { progress, ..instance.extension() }).await.expect("the lease is worth more");
        assert!(!extended.dead && !extended.findings.is_empty(), "{extended:?}");
    }
}
