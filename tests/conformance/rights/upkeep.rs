//! The arrows of instances that join and leave, the arrows for people, and those that tidy the schedule.

use bytes::Bytes;
use windlass::job::Identity;
use windlass::store::effect::Verdict;
use windlass::store::inspection::{JobsToDelete, QueueEnd};
use windlass::store::instance::{Joined, RemovedState};
use windlass::store::scheduling::{DropEntry, Leadership};

use super::{TIMES, World, commands};
use crate::fixture::{NOW_MS, NOW_S};
use crate::instance::{Instance, record};
use crate::look::{failed, fill, job, jobs, promote_all, queue, queued, seconds};
use crate::support::resp::Reply;
use crate::support::verbs::Verbs as _;

arrows! {
    join: ["rights", "join"];
    register: ["members", "register"];
    reinstate: ["members", "reinstate"];
    unregister: ["members", "unregister"];
    leave: ["members", "leave"];
    bury: ["members", "bury"];
    lead: ["leadership", "lead", "resign"];
    rename_entry: ["places", "delay", "rename_entry"];
    drop_entry: ["drop_entry"];
    delete_each: ["places", "identity", "recall", "forget", "delete_each"];
    delete_page: ["places", "identity", "recall", "forget", "page", "delete_page"];
    delete_queue: ["places", "unlink", "delete_queue"];
    sweep_identities: ["places", "identity", "recall", "sweep_identities"];
}

impl World {
    fn members(&self) -> Vec<String> {
        self.f.redis_command(&["SMEMBERS", &self.f.key("workers")]).texts()
    }

    /// Everything that stands in the namespace.
    /// All keys but the birth mark, which stays for ever.
    fn all_keys(&self) -> Vec<String> {
        let mut keys = self.f.redis_command(&["KEYS", &self.f.key("*")]).texts();
        keys.retain(|key| !key.ends_with("windlass:birth"));
        keys.sort();
        keys
    }
}

async fn join(w: &World) {
    w.refuse();
    for _ in 0..TIMES {
        w.check(w.f.store.join(&record("a", 1)).await);
    }
    w.allow();
    assert_eq!(w.f.store.join(&record("a", 1)).await.expect("join"), Joined::Yes, "{}", w.command);
    assert_eq!(w.f.store.instances().await.expect("instances").len(), 1, "{}", w.command);
}

async fn register(w: &World) {
    let record = record("a", 2);
    w.f.store.join(&record).await.expect("join");
    w.refuse();
    for _ in 0..TIMES {
        w.check(w.f.store.register("a", &record.workers()).await);
        // A member without a ping would read as a worker of a program that never pings.
        for member in w.members() {
            let name = member.rsplit_once(':').expect("a worker's id").0;
            let ping = w.f.redis_command(&["EXISTS", &w.f.key(&format!("worker:ping:{name}"))]);
            assert_eq!(ping, Reply::Int(1), "{}: {member}", w.command);
        }
    }
    w.allow();
    assert_eq!(w.f.store.register("a", &record.workers()).await.expect("register"), [], "{}", w.command);
    assert_eq!(w.members().len(), 2, "{}", w.command);
}

/// Somebody removes two workers and fails the job of the first. No refused command may let the first job continue, and
/// the second job continues.
async fn reinstate(w: &World) {
    fill(&w.f.store, "q", &jobs(0..2)).await;
    let mut instance = Instance::join(&w.f.store, "a", 2).await;
    let claims = instance.claim(&["q"], &[1, 2]).await;
    let stuck = windlass::job::Failure::stuck("host", NOW_MS);
    let stuck = stuck.record(claims[0].worker.name(), "q", &claims[0].claim.payload, NOW_MS);
    w.f.redis_command(&[b"RPUSH", w.f.key("failed").as_bytes(), &stuck[..]]);
    for claim in &claims {
        w.f.redis_command(&["SREM", &w.f.key("workers"), claim.worker.id()]);
        w.f.redis_command(&["DEL", &w.f.key(&format!("worker:ping:{}", claim.worker.name()))]);
    }
    let extend = instance.extension();
    let (mut lost, mut kept) = (0, 0);
    let mut count = |removed: &[windlass::store::instance::Removed]| {
        for one in removed {
            match &one.left {
                RemovedState::Failed(_) | RemovedState::Nothing if one.index == 0 => lost += 1,
                RemovedState::Claim(_) if one.index == 1 => kept += 1,
                left => panic!("{}: worker {}: {left:?}", w.command, one.index),
            }
        }
    };
    w.refuse();
    for _ in 0..TIMES {
        if let Some(extended) = w.check(w.f.store.extend(&extend).await) {
            assert!(!extended.dead, "{}", w.command);
            extended.findings.iter().for_each(|finding| w.names_it(finding));
            count(&extended.removed);
        }
    }
    w.allow();
    count(&w.f.store.extend(&extend).await.expect("extend").removed);
    assert!(lost >= 1 && kept >= 1, "{}: told of {lost} lost and {kept} kept", w.command);
    assert_eq!(w.members().len(), 2, "{}", w.command);
    // Only the second is still its own.
    assert_eq!(instance.settle(vec![claims[0].ends(Verdict::Done)]).await, [0], "{}", w.command);
    assert_eq!(instance.settle(vec![claims[1].ends(Verdict::Done)]).await, [0_usize; 0], "{}", w.command);
    w.stands_once(&job(0));
    assert_eq!(w.copies(&job(1)), 0, "{}", w.command);
}

async fn unregister(w: &World) {
    fill(&w.f.store, "q", &[job(0)]).await;
    let mut instance = Instance::join(&w.f.store, "a", 3).await;
    let claim = instance.claim_one("q").await;
    w.refuse();
    for _ in 0..TIMES {
        w.check(w.f.store.unregister("a", &instance.record.workers()).await);
        w.stands_once(&job(0));
        assert!(w.members().iter().any(|member| member == claim.worker.id()), "{}: a busy one stays", w.command);
    }
    w.allow();
    w.f.store.unregister("a", &instance.record.workers()).await.expect("unregister");
    assert_eq!(w.members(), [claim.worker.id()], "{}", w.command);
    let left = w.all_keys().into_iter().filter(|key| key.ends_with(":started")).count();
    assert_eq!(left, 1, "{}", w.command);
    instance.settle_one(&claim, Verdict::Done).await;
}

async fn leave(w: &World) {
    let instance = Instance::join(&w.f.store, "a", 2).await;
    w.refuse();
    for _ in 0..TIMES {
        w.check(w.f.store.leave(&instance.record).await);
    }
    w.allow();
    w.f.store.leave(&instance.record).await.expect("leave");
    assert_eq!(w.all_keys(), [""; 0], "{}: nothing is left of it", w.command);
}

async fn bury(w: &World) {
    fill(&w.f.store, "q", &[job(0)]).await;
    let mut instance = Instance::join(&w.f.store, "a", 2).await;
    let claim = instance.claim_one("q").await;
    let state = instance.state().await.expect("state");
    w.refuse();
    for _ in 0..TIMES {
        let buried = w.check(w.f.store.bury(&state).await);
        assert_ne!(buried, Some(true), "{}: it has a job", w.command);
        w.stands_once(&job(0));
    }
    w.allow();
    instance.settle_one(&claim, Verdict::Done).await;
    w.refuse();
    let mut buried = false;
    for _ in 0..TIMES {
        buried |= w.check(w.f.store.bury(&state).await) == Some(true);
        // Until it is buried it can be found.
        let found = w.f.redis_command(&["HEXISTS", &w.f.key("windlass:instances"), "a"]);
        assert_eq!(found, Reply::Int(i64::from(!buried)), "{}", w.command);
    }
    w.allow();
    buried |= w.f.store.bury(&state).await.expect("bury");
    assert!(buried, "{}", w.command);
    assert_eq!(w.members(), [""; 0], "{}", w.command);
    // The counts of queues are the store's.
    let left: Vec<String> = w.all_keys().into_iter().filter(|key| !key.ends_with(":departed")).collect();
    assert!(left.iter().all(|key| !key.contains("windlass:") && !key.contains(":worker:")), "{}: {left:?}", w.command);
}

async fn lead(w: &World) {
    let lead = async |owner: &str| w.f.store.lead(Leadership::Duties, owner, 60_000).await;
    // Taken, renewed, and given back.
    w.refuse();
    for _ in 0..TIMES {
        w.check(lead("one").await);
    }
    w.allow();
    assert!(lead("one").await.expect("lead"), "{}", w.command);
    w.refuse();
    for _ in 0..TIMES {
        w.check(lead("one").await);
        assert_ne!(w.check(lead("two").await), Some(true), "{}", w.command);
        w.check(w.f.store.resign(Leadership::Duties, "two").await);
    }
    w.allow();
    assert!(!lead("two").await.expect("lead"), "{}", w.command);
    w.refuse();
    for _ in 0..TIMES {
        w.check(w.f.store.resign(Leadership::Duties, "one").await);
    }
    w.allow();
    w.f.store.resign(Leadership::Duties, "one").await.expect("resign");
    assert!(lead("two").await.expect("lead"), "{}", w.command);
}

async fn rename_entry(w: &World) {
    let entry = format!("{}.5", NOW_S - 9);
    for n in 0..3 {
        let raw = String::from_utf8(job(n).to_vec()).expect("text");
        w.f.redis_command(&["RPUSH", &w.f.key(&format!("delayed:{entry}")), &raw]);
        w.f.redis_command(&["SADD", &w.f.key(&format!("timestamps:{raw}")), &format!("delayed:{entry}")]);
    }
    w.f.redis_command(&["ZADD", &w.f.key("delayed_queue_schedule"), &entry, &entry]);
    w.refuse();
    for _ in 0..TIMES {
        w.check(w.f.store.due(10, &[]).await);
        w.stand_once(&jobs(0..3));
    }
    w.allow();
    assert_eq!(promote_all(&w.f.store, "q", 10).await, 3, "{}", w.command);
    assert_eq!(queued(&w.f.store, "q").await, jobs(0..3), "{}", w.command);
    assert_eq!(seconds(&w.f.store).await, [], "{}", w.command);
    let schedule = w.f.redis_command(&["ZRANGE", &w.f.key("delayed_queue_schedule"), "0", "-1"]).texts();
    assert_eq!(schedule, [""; 0], "{}", w.command);
}

async fn drop_entry(w: &World) {
    let (entry, told) = (Bytes::from((NOW_S - 9).to_string()), Bytes::from_static(b"{\"error\":\"no list\"}"));
    let text = String::from_utf8(entry.to_vec()).expect("text");
    w.f.redis_command(&["SET", &w.f.key(&format!("delayed:{text}")), "x"]);
    w.f.redis_command(&["ZADD", &w.f.key("delayed_queue_schedule"), &text, &text]);
    let drops = async || w.f.store.run(DropEntry { entry: entry.clone(), record: told.clone() }).await;
    let mut dropped = 0;
    w.refuse();
    for _ in 0..TIMES {
        dropped += i64::from(w.check(drops().await) == Some(true));
        let told = w.f.redis_command(&["LLEN", &w.f.key("failed")]);
        assert_eq!(told, Reply::Int(dropped), "{}: told as often as it was dropped", w.command);
    }
    w.allow();
    dropped += i64::from(drops().await.expect("drop_entry"));
    // The same from another leader that also saw it.
    w.refuse();
    w.check(drops().await);
    w.allow();
    assert_eq!((dropped, failed(&w.f.store).await), (1, vec![told]), "{}", w.command);
}

/// A job that was given back; tells who it is.
async fn given_back(instance: &mut Instance) -> Identity {
    let one = instance.claim_one("q").await;
    instance.settle_one(&one, one.requeued()).await;
    one.claim.identity.redelivered()
}

/// The next job of these bytes is one that nobody ran before.
async fn is_new(w: &World, instance: &mut Instance) {
    fill(&w.f.store, "q", &[job(0)]).await;
    let one = instance.claim_one("q").await;
    assert_eq!(one.claim.identity, Identity::first(&one.claim.token), "{}", w.command);
    instance.settle_one(&one, Verdict::Done).await;
}

async fn delete_each(w: &World) {
    let mut instance = Instance::join(&w.f.store, "a", 1).await;
    for from in [QueueEnd::Head, QueueEnd::Tail] {
        fill(&w.f.store, "q", &jobs(0..1)).await;
        given_back(&mut instance).await;
        fill(&w.f.store, "q", &[jobs(1..4), jobs(1..4)].concat()).await;
        let doom = |(n, count): (usize, Option<u64>)| JobsToDelete { payload: job(n), count, locks: Vec::new() };
        let to_delete: Vec<JobsToDelete> = [(0, None), (1, Some(1)), (2, None)].map(doom).to_vec();
        let mut deleted = None;
        w.refuse();
        for _ in 0..TIMES {
            if deleted.is_none() {
                deleted = w.check(w.f.store.delete_each(&queue("q"), &to_delete, from).await);
            }
        }
        w.allow();
        if deleted.is_none() {
            deleted = Some(w.f.store.delete_each(&queue("q"), &to_delete, from).await.expect("delete_each"));
        }
        assert_eq!(deleted, Some(4), "{}: what was not told was not done", w.command);
        let left = if from == QueueEnd::Head { [3, 1, 3] } else { [1, 3, 3] };
        assert_eq!(queued(&w.f.store, "q").await, left.map(job), "{}", w.command);
        w.f.store.delete_queue(&queue("q")).await.expect("delete_queue");
        is_new(w, &mut instance).await;
    }
}

/// Many different jobs are deleted page by page; without LSET one after the other.
async fn delete_page(w: &World) {
    let mut instance = Instance::join(&w.f.store, "a", 1).await;
    for from in [QueueEnd::Head, QueueEnd::Tail] {
        fill(&w.f.store, "q", &jobs(0..1)).await;
        given_back(&mut instance).await;
        fill(&w.f.store, "q", &[jobs(1..10), jobs(1..10)].concat()).await;
        let to_delete: Vec<JobsToDelete> =
            (0..8).map(|n| JobsToDelete { payload: job(n), count: (n == 1).then_some(1), locks: Vec::new() }).collect();
        let mut deleted = None;
        w.refuse();
        for _ in 0..TIMES {
            if deleted.is_none() {
                deleted = w.check(w.f.store.delete_each(&queue("q"), &to_delete, from).await);
            }
        }
        w.allow();
        if deleted.is_none() {
            deleted = Some(w.f.store.delete_each(&queue("q"), &to_delete, from).await.expect("delete_each"));
        }
        assert_eq!(deleted, Some(14), "{}: what was not told was not done", w.command);
        let left = if from == QueueEnd::Head { [8, 9, 1, 8, 9] } else { [1, 8, 9, 8, 9] };
        assert_eq!(queued(&w.f.store, "q").await, left.map(job), "{}", w.command);
        w.f.store.delete_queue(&queue("q")).await.expect("delete_queue");
        is_new(w, &mut instance).await;
    }
}

async fn delete_queue(w: &World) {
    let mut instance = Instance::join(&w.f.store, "a", 1).await;
    fill(&w.f.store, "q", &jobs(0..1)).await;
    given_back(&mut instance).await;
    fill(&w.f.store, "q", &jobs(1..3)).await;
    let mut deleted = None;
    w.refuse();
    for _ in 0..TIMES {
        if deleted.is_none() {
            deleted = w.check(w.f.store.delete_queue(&queue("q")).await);
        }
    }
    w.allow();
    if deleted.is_none() {
        deleted = Some(w.f.store.delete_queue(&queue("q")).await.expect("delete_queue"));
    }
    assert_eq!(deleted, Some(3), "{}: what was not told was not done", w.command);
    assert_eq!(w.f.store.queue_names().await.expect("queue_names"), [], "{}", w.command);
    is_new(w, &mut instance).await;
}

async fn sweep_identities(w: &World) {
    let mut instance = Instance::join(&w.f.store, "a", 1).await;
    fill(&w.f.store, "q", &jobs(0..1)).await;
    let known = given_back(&mut instance).await;
    w.f.redis_command(&["RENAME", &w.f.key("queue:q"), &w.f.key("queue:aside")]);
    fill(&w.f.store, "q", &jobs(1..2)).await;
    given_back(&mut instance).await;
    // Another program deletes the second; the first stands where it did.
    w.f.redis_command(&["RENAME", &w.f.key("queue:aside"), &w.f.key("queue:q")]);
    w.f.pass(120);
    w.refuse();
    for _ in 0..TIMES {
        w.check(w.f.store.sweep_identities(0).await);
    }
    w.allow();
    w.f.store.sweep_identities(0).await.expect("sweep");
    let entries = w.f.redis_command(&["HLEN", &w.f.key("windlass:identity")]);
    assert_eq!(entries, Reply::Int(1), "{}", w.command);
    let one = instance.claim_one("q").await;
    assert_eq!((&one.claim.payload, one.claim.identity.clone()), (&job(0), known), "{}", w.command);
    instance.settle_one(&one, Verdict::Done).await;
}

/// Each is one command.
#[tokio::test]
async fn a_pause_that_is_refused_names_its_command() {
    for (command, name) in [("SADD", Some(queue("q"))), ("SET", None), ("SREM", Some(queue("q"))), ("GETDEL", None)] {
        let w = World::new(command).await;
        let (pauses, name) = (command.starts_with('S') && command != "SREM", name.as_ref());
        if !pauses {
            w.f.store.pause(name).await.expect("pause");
        }
        let before = w.f.store.paused().await.expect("paused");
        w.refuse();
        let done = if pauses { w.f.store.pause(name).await } else { w.f.store.resume(name).await };
        assert_eq!(w.check(done), None, "{command}");
        assert_eq!(w.f.store.paused().await.expect("paused"), before, "{command}");
        w.allow();
        assert!(
            if pauses { w.f.store.pause(name).await } else { w.f.store.resume(name).await }.expect("it is given back")
        );
    }
}
