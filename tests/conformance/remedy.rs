//! Keys that the server refuses to this user, whichever arrow needs them: what is told names the key, and what it says to type
//! is enough.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use windlass::clock::Clock;
use windlass::store::periodic::{Purpose, Reconcile};
use windlass::store::redis::RedisStore;
use windlass::store::role::Whole;
use windlass::store::scheduling::ReadDue;
use windlass::store::{Store, StoreError, TimeSource};

use crate::faults::rows;
use crate::fixture::{Fixture, NOW_S, Place};
use crate::look::{delay, job, lock};
use crate::support::redis::{Options, RedisServer};
use crate::support::verbs::Verbs as _;
use crate::tick::tick;

/// A store whose user may touch only keys of these patterns.
async fn poor(f: &Fixture, server: &RedisServer, patterns: &[String]) -> Store<Whole> {
    let Place::Redis { url, namespace } = &f.place else { unreachable!("it is Redis") };
    allow_only(server, patterns);
    let url = url.replace("redis+unix://", "redis+unix://poor:p@");
    let time = TimeSource::Clock(Arc::clone(&f.clock) as Arc<dyn Clock>);
    RedisStore::connect(&url, namespace, time).await.expect("it opens").into()
}

fn allow_only(server: &RedisServer, patterns: &[String]) {
    let mut rule = vec!["ACL", "SETUSER", "poor", "on", ">p", "resetkeys", "&*", "+@all"];
    rule.extend(patterns.iter().map(String::as_str));
    server.command(&rule);
}

/// Types what a text says to type. Returns the patterns.
fn obey(server: &RedisServer, what: &str, said: &str) -> Vec<String> {
    let rest = said.split_once("type ACL SETUSER poor").unwrap_or_else(|| panic!("{what}: no remedy: {said}")).1;
    let typed: Vec<&str> = rest.split_whitespace().take_while(|word| word.starts_with('~')).collect();
    assert!(!typed.is_empty(), "{what}: nothing to type: {said}");
    let patterns: Vec<String> = typed.iter().map(|word| word.trim_end_matches(';').to_owned()).collect();
    let mut command = vec!["ACL", "SETUSER", "poor"];
    command.extend(patterns.iter().map(String::as_str));
    server.command(&command);
    patterns
}

/// Whatever letter the refused keys begin with, a person who types what is told gets each arrow through.
#[tokio::test]
async fn typing_what_is_told_gets_every_arrow_through() {
    let server = RedisServer::start(Options::default());
    let mut asked = BTreeMap::new();
    for row in rows() {
        let f = Fixture::at(Place::redis_on(&server)).await;
        let pass = (row.arrange)(&f).await;
        let Place::Redis { namespace, .. } = &f.place else { unreachable!("it is Redis") };
        for letter in 'a'..='z' {
            let what = format!("{} without keys that begin with {letter}", row.arrow);
            let store = poor(&f, &server, &[format!("~{namespace}:[^{letter}]*"), format!("~{namespace}:")]).await;
            let mut typed = BTreeSet::new();
            loop {
                let error = match pass(store.clone()).await {
                    Ok(told) => {
                        let is_told =
                            told.contains("ACL SETUSER") || !told.contains("NOPERM") && !told.contains("access");
                        assert!(is_told, "{what}: {told}");
                        break;
                    }
                    Err(error) => error,
                };
                if let StoreError::Barred { place, .. } = &error {
                    assert!(place.starts_with(&format!("{namespace}:{letter}")), "{what}: {error}");
                }
                let patterns = obey(&server, &what, &error.to_string());
                assert!(patterns.into_iter().any(|pattern| typed.insert(pattern)), "{what}: said again: {error}");
                *asked.entry(row.arrow).or_insert(0) += 1;
            }
        }
    }
    assert!(asked.len() > 25, "most arrows were refused something: {asked:?}");
}

fn look(queue_lock: usize) -> Reconcile {
    Reconcile {
        tick: tick(30),
        forms: vec![tick(30).payload],
        queue_lock: Some((lock(queue_lock), 60)),
        job_lock: None,
        grace_s: 5,
        workers: Vec::new(),
        silent: Vec::new(),
        attempts: Vec::new(),
        purpose: Purpose::Look,
        stale_due_s: None,
    }
}

#[tokio::test]
async fn a_lock_that_may_not_be_touched_concerns_its_periodic_task_alone() {
    let server = RedisServer::start(Options::default());
    let f = Fixture::at(Place::redis_on(&server)).await;
    let Place::Redis { namespace, .. } = &f.place else { unreachable!("it is Redis") };
    let good = crate::look::job_lock(1);
    let store = poor(&f, &server, &[format!("~{namespace}:[^l]*")]).await;
    f.store.run(look(1)).await.expect("reconcile");
    let (entries, held) = store.periodic(&[lock(2), good]).await.expect("the others are read");
    assert_eq!(
        (entries.len(), held),
        (1, vec![true, false]),
        "who knows: its task is looked after, and the refusal told"
    );
    let error = store.run(Reconcile { purpose: Purpose::Run, ..look(2) }).await.expect_err("its lock is refused");
    let key = f.key(lock(2).as_str());
    assert!(matches!(&error, StoreError::Barred { place, .. } if *place == key), "{error}");
    obey(&server, "reconcile", &error.to_string());
    store.run(look(2)).await.expect("it may be touched now");
}

#[tokio::test]
async fn a_second_that_may_not_be_read_is_told_with_what_to_type() {
    let server = RedisServer::start(Options::default());
    let f = Fixture::at(Place::redis_on(&server)).await;
    let Place::Redis { namespace, .. } = &f.place else { unreachable!("it is Redis") };
    delay(&f.store, &job(1), windlass::store::queueing::When::At(NOW_S - 1)).await;
    let patterns = ["delayed:", "[^d]*", "delayed_*"].map(|pattern| format!("~{namespace}:{pattern}"));
    let store = poor(&f, &server, &patterns).await;
    let due = || store.run(ReadDue { limit: 10, passed: Vec::new(), ahead_ms: 0, begun: false });
    let broken = due().await.expect("due").broken.expect("it may not be read");
    assert_eq!(broken.place, f.key(&format!("delayed:{}", NOW_S - 1)));
    obey(&server, "due", &broken.to_string());
    assert_eq!(due().await.expect("due").jobs, [job(1)]);
}
