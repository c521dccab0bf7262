//! A store that lost everything: an instance tells it from its burial, and goes on with what it holds.

use std::sync::Arc;

use windlass::event::Bus;
use windlass::job::Identity;
use windlass::store::Store;
use windlass::store::effect::Verdict;
use windlass::store::findings::Findings;
use windlass::store::instance::LockRenewal;
use windlass::store::queueing::Claim;
use windlass::store::rejoin::{HeldJob, Rejoin, Rejoined};
use windlass::store::sqlite::SqliteStore;

use crate::fixture::{Fixture, Place};
use crate::instance::{Claimed, Instance};
use crate::look::{assert_named_once, counters, fill, gate, job, job_lock, jobs, locks, queued};
use crate::support::verbs::Verbs as _;

behaviours! {
    one_mark_is_told_to_all,
    the_mark_tells_an_emptied_store_from_a_burial,
    nobody_joins_again_where_he_was_buried,
    jobs_go_on_and_are_settled,
    an_exchange_without_an_answer_is_applied_when_it_is_repeated,
    a_repetition_brings_back_nothing_that_ended_since,
    each_instance_brings_back_its_own,
    locks_are_taken_again_if_they_are_free,
    a_name_that_another_took_is_not_taken_back,
}

/// The mark that an extension tells, and whether the registration is gone.
async fn extended(instance: &Instance) -> (bool, Option<String>) {
    let extend = instance.extension();
    let extended = instance.store.run(extend).await.expect("extend");
    (extended.dead, extended.birth)
}

/// Loses all that the store holds.
fn empty(f: &Fixture) {
    if let Place::Sqlite { .. } = &f.place {
        let file = rusqlite::Connection::open(f.place.file()).expect("the file must open");
        let mut select = file.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").expect("a statement");
        let names = select.query_map([], |row| row.get::<_, String>(0)).expect("names");
        for name in names.map(|name| name.expect("a name")).filter(|name| name != "stats" && name != "moving") {
            file.execute(&format!("DELETE FROM {name}"), []).expect("rows can be deleted");
        }
        file.execute("DELETE FROM stats WHERE name LIKE '%:%'", []).expect("rows can be deleted");
    } else {
        for key in f.redis_command(&["KEYS", &f.key("*")]).texts() {
            f.redis_command(&["DEL", &key]);
        }
    }
}

fn held(claimed: &Claimed) -> HeldJob {
    HeldJob {
        worker: claimed.worker.clone(),
        claim: claimed.claim.token.clone(),
        queue: claimed.claim.queue.clone(),
        identity: claimed.claim.identity.clone(),
        run_at: "2027-01-15T08:00:00.000Z".to_owned(),
        payload: claimed.claim.payload.clone(),
    }
}

fn rejoin(instance: &Instance, lost: &str, birth: &str, answered: u64, claims: &[Claimed]) -> Rejoin {
    Rejoin {
        record: instance.record.clone(),
        lost: lost.to_owned(),
        birth: birth.to_owned(),
        workers: instance.record.workers(),
        lanes: vec![(0, answered)],
        jobs: claims.iter().map(held).collect(),
        locks: Vec::new(),
    }
}

fn with(birth: &str) -> Rejoined {
    Rejoined::Yes { birth: birth.to_owned(), lost_locks: Vec::new() }
}

async fn one_mark_is_told_to_all(f: &Fixture) {
    let first = Instance::join(&f.store, "a", 1).await;
    let second = Instance::join(&f.store, "b", 1).await;
    assert_eq!(extended(&first).await, (false, Some("a".to_owned())));
    assert_eq!(extended(&second).await, (false, Some("a".to_owned())));
    f.store.leave(&first.record).await.expect("leave");
    assert_eq!(extended(&second).await, (false, Some("a".to_owned())), "it outlives who wrote it");
}

async fn the_mark_tells_an_emptied_store_from_a_burial(f: &Fixture) {
    let instance = Instance::join(&f.store, "a", 1).await;
    let state = instance.state().await.expect("it has joined");
    assert!(f.store.bury(&state).await.expect("bury"));
    assert_eq!(extended(&instance).await, (true, Some("a".to_owned())), "buried: the mark stands");
    empty(f);
    assert_eq!(extended(&instance).await, (true, None), "emptied");
    let other = Instance::join(&f.store, "b", 1).await;
    assert_eq!(extended(&instance).await, (true, Some("b".to_owned())), "emptied, and used since");
    assert_eq!(extended(&other).await, (false, Some("b".to_owned())));
}

async fn nobody_joins_again_where_he_was_buried(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let other = Instance::join(&f.store, "b", 1).await;
    fill(&f.store, "q", &jobs(0..1)).await;
    let claim = instance.claim_one("q").await;
    instance.settle_one(&claim, Verdict::Done).await;
    let state = instance.state().await.expect("it has joined");
    assert!(f.store.bury(&state).await.expect("bury"));
    let again = rejoin(&instance, "a", "new", 2, &[claim]);
    assert_eq!(f.store.run(again).await, Ok(Rejoined::Buried));
    assert_eq!(instance.state().await, None);
    assert_eq!(instance.working().await, []);
    assert_eq!(extended(&other).await, (false, Some("a".to_owned())));
}

async fn jobs_go_on_and_are_settled(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 3).await;
    fill(&f.store, "q", &[job(0), job(1), "no object".into()]).await;
    let mut claims = instance.claim(&["q"], &[1, 2, 3]).await;
    claims[1].claim.identity = Identity { redelivered: 2, ..claims[1].claim.identity.clone() };
    let before = instance.working().await;
    empty(f);
    assert_eq!(extended(&instance).await, (true, None));
    assert_eq!(f.store.run(rejoin(&instance, "a", "new", 1, &claims)).await, Ok(with("new")));
    let standing = instance.working().await;
    assert_eq!(standing.len(), 3);
    for (record, claimed) in standing.iter().zip(&claims) {
        assert_eq!(record.claim.as_ref(), Some(&claimed.claim.token));
        assert_eq!(record.payload.as_ref(), Some(&claimed.claim.payload));
        assert_eq!(record.identity.as_ref(), Some(&claimed.claim.identity));
        assert_eq!(record.queue.as_ref(), Some(&claimed.claim.queue));
    }
    assert_eq!(standing[0].raw.len(), before[0].raw.len(), "it is written as a claim writes it");
    assert_eq!(extended(&instance).await, (false, Some("new".to_owned())));
    assert_eq!(f.store.registered().await.expect("registered").len(), 3);
    let ends =
        vec![claims[0].ends(Verdict::Done), claims[1].ends(claims[1].requeued()), claims[2].ends(claims[2].failed())];
    assert_eq!(instance.settle(ends).await, [0_usize; 0], "none is lost");
    assert_eq!(queued(&f.store, "q").await, [job(1)]);
    let again = instance.claim_one("q").await;
    assert_eq!(again.claim.identity, claims[1].claim.identity.redelivered(), "it keeps its identity");
    assert_eq!(counters(&f.store).await, (1, 1));
}

async fn an_exchange_without_an_answer_is_applied_when_it_is_repeated(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    fill(&f.store, "q", &jobs(0..1)).await;
    let claim = instance.claim_one("q").await;
    let mut exchange = instance.next_claim(&["p"], &[1, 2]);
    exchange.settlements = vec![claim.ends(claim.requeued())];
    empty(f);
    assert!(instance.send(&exchange).await.dead, "the store knows no lane");
    assert_eq!(f.store.run(rejoin(&instance, "a", "new", 1, &[claim])).await, Ok(with("new")));
    fill(&f.store, "p", &jobs(5..7)).await;
    let applied = instance.send(&exchange).await;
    assert_eq!((applied.dead, applied.lost.len(), applied.claims.len()), (false, 0, 2));
    assert_eq!(queued(&f.store, "q").await, [job(0)]);
    let repeated = instance.send(&exchange).await;
    let tokens = |claims: &[Claim]| claims.iter().map(|claim| claim.token.clone()).collect::<Vec<_>>();
    assert_eq!(tokens(&repeated.claims), tokens(&applied.claims), "and once");
    assert_eq!(queued(&f.store, "q").await, [job(0)]);
}

async fn a_repetition_brings_back_nothing_that_ended_since(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    fill(&f.store, "q", &jobs(0..1)).await;
    let claim = instance.claim_one("q").await;
    empty(f);
    let again = rejoin(&instance, "a", "new", 1, std::slice::from_ref(&claim));
    assert_eq!(f.store.run(again.clone()).await, Ok(with("new")));
    instance.settle_one(&claim, Verdict::Done).await;
    assert_eq!(f.store.run(again).await, Ok(with("new")));
    assert_eq!(instance.working().await, []);
    let late = instance.settle(vec![claim.ends(Verdict::Done)]).await;
    assert_eq!(late, [0], "and its lane stands where it stood");
}

async fn each_instance_brings_back_its_own(f: &Fixture) {
    let mut first = Instance::join(&f.store, "a", 1).await;
    let mut second = Instance::join(&f.store, "b", 1).await;
    fill(&f.store, "q", &jobs(0..2)).await;
    let (one, two) = (first.claim_one("q").await, second.claim_one("q").await);
    empty(f);
    assert_eq!(f.store.run(rejoin(&first, "a", "new", 1, std::slice::from_ref(&one))).await, Ok(with("new")));
    assert_eq!(extended(&second).await, (true, Some("new".to_owned())));
    let kept = f.store.run(rejoin(&second, "a", "other", 1, std::slice::from_ref(&two))).await;
    assert_eq!(kept, Ok(with("new")), "the mark of the first stays");
    assert_eq!(extended(&first).await, (false, Some("new".to_owned())));
    first.settle_one(&one, Verdict::Done).await;
    second.settle_one(&two, Verdict::Done).await;
    assert_eq!(counters(&f.store).await.0, 2);
}

async fn locks_are_taken_again_if_they_are_free(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    let mut other = Instance::join(&f.store, "b", 1).await;
    fill(&f.store, "q", &jobs(0..2)).await;
    let claims = instance.claim(&["q"], &[1, 2]).await;
    empty(f);
    assert_eq!(f.store.run(rejoin(&other, "a", "new", 0, &[])).await, Ok(with("new")));
    fill(&f.store, "p", &jobs(5..6)).await;
    let theirs = other.claim_one("p").await;
    other.enter(&theirs, &[gate(&job_lock(2), 60)]).await;
    let renewal = |n: usize| LockRenewal { key: job_lock(n), claim: claims[n - 1].claim.token.clone(), ttl_s: 60 };
    let mut again = rejoin(&instance, "a", "other", 1, &claims);
    again.locks = vec![renewal(1), renewal(2)];
    let told = Rejoined::Yes { birth: "new".to_owned(), lost_locks: vec![1] };
    assert_eq!(f.store.run(again.clone()).await, Ok(told.clone()));
    assert_eq!(f.store.run(again).await, Ok(told), "repeated");
    assert_eq!(locks(&f.store).await.len(), 2);
}

async fn a_name_that_another_took_is_not_taken_back(f: &Fixture) {
    let instance = Instance::join(&f.store, "a", 1).await;
    empty(f);
    let mut other = instance.record.clone();
    other.id = "b".to_owned();
    f.store.join(&other).await.expect("join");
    assert_eq!(f.store.run(rejoin(&instance, "a", "new", 0, &[])).await, Ok(Rejoined::NameTaken));
    assert_eq!(f.store.instances().await.expect("instances").len(), 1);
}

#[tokio::test]
async fn a_database_file_that_was_deleted_or_replaced_while_it_is_open_is_told_once() {
    let f = Fixture::sqlite().await;
    let (bus, listeners) = Bus::new(&[u32::MAX], 1 << 20);
    let store = SqliteStore::open_telling(&f.place.file(), Arc::clone(&f.clock) as _, Findings::new(bus));
    let store = Store::from(store.expect("sqlite must open"));
    let instance = Instance::join(&store, "a", 1).await;
    let tell = async |what: &[&str]| {
        for _ in 0..3 {
            assert_eq!(extended(&instance).await, (false, Some("a".to_owned())), "what is open goes on");
        }
        assert_named_once(&listeners[0], what);
    };
    tell(&[]).await;
    let aside = f.place.file().with_extension("aside");
    std::fs::rename(f.place.file(), &aside).expect("the file can be renamed");
    tell(&["was deleted or renamed while it is open"]).await;
    std::fs::write(f.place.file(), "another").expect("another file can be put there");
    tell(&["was replaced by another file while it is open"]).await;
    std::fs::rename(aside, f.place.file()).expect("the file can be renamed");
    tell(&["stands at its place again"]).await;
}
