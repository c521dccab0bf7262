//! Faults of a connection: it is cut at the worst moment, its server dies, loses its scripts, or holds keys of another
//! type.
//!
//! Each test compares two runs: the run with cuts must end like the run without them.
//!
//! Longer than 400 lines because all tests share one proxy and one sequence of steps.

use std::sync::Arc;

use bytes::Bytes;
use windlass::clock::ManualClock;
use windlass::job::Failure;
use windlass::store::effect::{Busy, Gate, Verdict};
use windlass::store::inspection::Retried;
use windlass::store::instance::Joined;
use windlass::store::queueing::{Enqueued, Exchange, Exchanged, Schedule, When};
use windlass::store::scheduling::{Leadership, Promoted};
use windlass::store::wake::Watch;
use windlass::store::workers::{Recovered, Recovery};
use windlass::store::{Store, StoreError};

use crate::fixture::{Fixture, NOW_MS, NOW_S, Place, soon};
use crate::instance::{Claimed, Instance, claimed};
use crate::look::{
    counters, delay, delayed_at, failed, fill, gate, job, job_lock, jobs, lock, promotion, push, queue, queued,
    seconds, take,
};
use crate::support::proxy::{Cut, Proxy};
use crate::support::redis::{Options, RedisServer};
use crate::support::resp::Reply;
use crate::support::verbs::Verbs as _;
use crate::tick::tick;
use windlass::store::role::Whole;

/// A store behind a proxy, and a handle that connects to the server directly.
struct Broken {
    proxy: Proxy,
    through: Store<Whole>,
    straight: Fixture,
}

async fn broken() -> Broken {
    let straight = Fixture::redis().await;
    let proxy = Proxy::start(&RedisServer::shared().socket()).await;
    let Place::Redis { namespace, .. } = &straight.place else { panic!("this is redis") };
    let place = Place::Redis { url: proxy.url(), namespace: namespace.clone() };
    let through = place.open(&straight.clock).await;
    Broken { proxy, through, straight }
}

/// Repeats a call until the store can be reached.
async fn again<T>(mut call: impl AsyncFnMut() -> Result<T, StoreError>) -> T {
    soon("the end of the outage", async {
        loop {
            // Boxed, for the stack of a test is small and futures of debug builds are large.
            match Box::pin(call()).await {
                Ok(value) => return value,
                Err(error) if error.is_transient() => tokio::task::yield_now().await,
                Err(error) => panic!("an outage is no {error:?}"),
            }
        }
    })
    .await
}

impl Broken {
    /// A call that is cut, at the command that holds `needle`, and then repeated.
    async fn cut<T>(&self, cut: Cut, needle: &str, mut call: impl AsyncFnMut() -> Result<T, StoreError>) -> T {
        let mut told = self.proxy.cut_at(cut, &[needle]);
        // Loading the script may take a call of its own, so the first call may complete without a cut.
        match Box::pin(call()).await {
            Err(StoreError::Unavailable(_)) => {}
            Err(error) => panic!("a cut is no {error:?}"),
            Ok(_) => panic!("the reply cannot have come through"),
        }
        told.try_recv().expect("the cut must have happened");
        again(call).await
    }

    /// An exchange that is cut where `cut` says, if anywhere, and then repeated.
    async fn exchange(
        &self,
        cut: Option<Cut>,
        instance: &mut Instance,
        mut exchange: Exchange,
    ) -> (Exchange, Exchanged) {
        // Only this command contains the time of the claim.
        exchange.run_at = format!("cut {}", exchange.sequence);
        let exchanged = match cut {
            None => instance.send(&exchange).await,
            Some(cut) => {
                let needle = exchange.run_at.clone();
                self.cut(cut, &needle, async || instance.try_send(&exchange).await).await
            }
        };
        (exchange, exchanged)
    }

    /// Everything that the store holds, as text.
    async fn state(&self, instance: &Instance) -> String {
        let store = &self.straight.store;
        let mut working: Vec<String> =
            instance.working().await.iter().map(|record| format!("{:?}", record.raw)).collect();
        working.sort();
        let mut delayed = Vec::new();
        for (second, _) in seconds(store).await {
            delayed.push((second, delayed_at(store, second).await));
        }
        let locks: Vec<_> =
            store.locks().await.expect("locks").locks.into_iter().map(|lock| (lock.key, lock.value)).collect();
        format!(
            "queued {:?}\ndelayed {delayed:?}\nworking {working:#?}\nfailed {:?}\ncounted {:?}\nlocks {locks:?}\n",
            queued(store, "q").await,
            failed(store).await,
            store.stats().await.expect("stats"),
        )
    }
}

/// Claims, gates and every verdict, each in an exchange of its own and then all in one.
async fn story(cut: Option<Cut>) -> String {
    let broken = broken().await;
    let mut told = String::new();
    let mut instance = Instance::join(&broken.through, "a", 8).await;
    // The scripts are known before the first cut.
    let exchange = instance.next();
    instance.send(&exchange).await;
    fill(&broken.straight.store, "q", &jobs(0..14)).await;
    fill(&broken.straight.store, "q", &[Bytes::from_static(b"{bad"), Bytes::from_static(b"\0\"\xff\\")]).await;
    let numbers: Vec<usize> = (1..=8).collect();
    let mut note = async |instance: &Instance, exchanged: &Exchanged| {
        told.push_str(&format!("{exchanged:#?}\n{}", broken.state(instance).await));
    };

    let exchange = instance.next_claim(&["q"], &numbers);
    let (exchange, exchanged) = broken.exchange(cut, &mut instance, exchange).await;
    note(&instance, &exchanged).await;
    let claims: Vec<Claimed> = claimed(&exchange, &exchanged);
    assert_eq!(claims.len(), 8);

    broken.straight.plant_lock(&lock(1), "true");
    let drop_busy = Busy::Drop { free: vec![lock(1)], tick: Some(tick(30)), retry: None };
    let dropping = Gate::TakeLock { plugin: "JobLock", key: job_lock(1), ttl_s: 60, busy: drop_busy };
    let enters = vec![
        claims[0].enters(&[gate(&job_lock(1), 1000)]),
        claims[1].enters(&[gate(&job_lock(2), 1000), gate(&job_lock(1), 3000)]),
        claims[2].enters(&[dropping]),
    ];
    let exchange = Exchange { enters, ..instance.next() };
    let (_, exchanged) = broken.exchange(cut, &mut instance, exchange).await;
    note(&instance, &exchanged).await;

    let settlements = vec![
        claims[0].frees(Verdict::Done, &[job_lock(1)]),
        claims[1].ends(Verdict::Done),
        claims[3].ends(claims[3].failed()),
        claims[4].ends(claims[4].retried(5000)),
        claims[6].ends(claims[6].requeued()),
        claims[5].ends(claims[5].requeued()),
        claims[7].ticks(claims[7].failed(), &tick(30)),
    ];
    let exchange = Exchange { settlements, ..instance.next() };
    let (_, exchanged) = broken.exchange(cut, &mut instance, exchange).await;
    note(&instance, &exchanged).await;

    let exchange = instance.next_claim(&["q"], &[3, 1, 2, 5]);
    let (exchange, exchanged) = broken.exchange(cut, &mut instance, exchange).await;
    note(&instance, &exchanged).await;
    let held = claimed(&exchange, &exchanged);
    let exchange = Exchange {
        settlements: vec![held[0].ends(held[0].requeued()), held[1].ends(Verdict::Done)],
        enters: vec![held[2].enters(&[gate(&job_lock(1), 1000)]), held[3].enters(&[gate(&job_lock(1), 1000)])],
        ..instance.next_claim(&["q"], &[1, 3, 4, 6, 7, 8])
    };
    let (exchange, exchanged) = broken.exchange(cut, &mut instance, exchange).await;
    note(&instance, &exchanged).await;
    // Every exchange that came through counts: the store holds exactly what was reported.
    let mut held: Vec<Claimed> = vec![held[2].clone()];
    held.extend(claimed(&exchange, &exchanged));
    let settlements = held.iter().map(|one| one.ends(Verdict::Done)).collect();
    let exchange = Exchange { settlements, ..instance.next() };
    let (_, exchanged) = broken.exchange(cut, &mut instance, exchange).await;
    assert_eq!(exchanged.lost, [0_usize; 0]);
    note(&instance, &exchanged).await;
    assert_eq!(instance.working().await, []);
    told
}

#[tokio::test]
async fn an_exchange_cut_before_its_reply_is_as_if_it_were_not() {
    assert_eq!(story(Some(Cut::BeforeReply)).await, story(None).await);
}

#[tokio::test]
async fn an_exchange_cut_before_it_arrives_is_as_if_it_were_not() {
    assert_eq!(story(Some(Cut::BeforeRequest)).await, story(None).await);
}

#[tokio::test]
async fn a_cut_enqueue_leaves_one_job_or_none() {
    let broken = broken().await;
    fill(&broken.through, "warm", &jobs(0..1)).await;
    for (cut, there) in [(Cut::BeforeRequest, 0), (Cut::BeforeReply, 1)] {
        let told = broken.proxy.cut_at(cut, &["here is the job"]);
        let payload = Bytes::from_static(br#"{"class":"here is the job","args":[]}"#);
        let enqueued = broken.through.enqueue(&[push("q", &payload, &[])]).await;
        assert!(matches!(enqueued, Err(StoreError::Unavailable(_))), "{enqueued:?}");
        told.await.expect("the cut must have happened");
        assert_eq!(queued(&broken.straight.store, "q").await.len(), there, "the client sends nothing twice by itself");
        broken.straight.store.delete_queue(&queue("q")).await.expect("delete_queue");
        let locked = [push("q", &payload, &[take(&lock(1), 60)])];
        again(async || broken.through.enqueue(&locked).await).await;
        let held = broken.through.enqueue(&locked).await.expect("enqueue");
        assert_eq!(held, [Enqueued::Refused { plugin: "QueueLock" }]);
        broken.straight.store.delete_queue(&queue("q")).await.expect("delete_queue");
        broken.straight.store.delete_lock(lock(1).as_str()).await.expect("delete_lock");
    }
}

#[tokio::test]
async fn what_may_be_repeated_doubles_nothing_when_cut() {
    for cut in [Cut::BeforeRequest, Cut::BeforeReply] {
        let broken = broken().await;
        let store = &broken.straight.store;

        // Every script is known before the first cut.
        delay(&broken.through, &job(90), When::At(NOW_S)).await;
        broken.through.promote(&promotion("warm", NOW_S, &[job(90)])).await.expect("promote");

        let schedule = Schedule { payload: job(91), when: When::At(NOW_S) };
        broken
            .cut(cut, &format!("[{}]", 91), async || broken.through.schedule(std::slice::from_ref(&schedule)).await)
            .await;
        assert_eq!(delayed_at(store, NOW_S).await, [job(91)]);

        let promotion = promotion("q", NOW_S, &[job(91)]);
        broken.cut(cut, &format!("[{}]", 91), async || broken.through.promote(&promotion).await).await;
        assert_eq!(queued(store, "q").await, [job(91)]);
        assert_eq!(seconds(store).await, []);
        assert_eq!(broken.through.promote(&promotion).await.expect("promote"), Promoted::Moved(0));

        let mut instance = Instance::join(store, "a", 2).await;
        assert_eq!(instance.claim(&["q"], &[1]).await.len(), 1);
        let (state, record) = (instance.state().await.expect("state"), instance.working().await.remove(0));
        let recovery = Recovery {
            instance: Some((state.record.id.clone(), state.counter)),
            queue: queue("q"),
            payload: job(91),
            verdict: Verdict::Requeued { identity: record.identity.clone().expect("identity").redelivered() },
            record: record.clone(),
            free: Vec::new(),
            tick: None,
            run: None,
        };
        let warm =
            Recovery { record: windlass::store::working::WorkingRecord { raw: job(0), ..record }, ..recovery.clone() };
        assert_eq!(broken.through.recover(&warm).await.expect("recover"), Recovered::No);
        broken.cut(cut, "[91]", async || broken.through.recover(&recovery).await).await;
        assert_eq!(queued(store, "q").await, [job(91)]);
        let claims = instance.claim(&["q"], &[1, 2]).await;
        assert_eq!(claims.len(), 1);
        assert_eq!(claims[0].claim.identity.redelivered, 1);

        let failure = claims[0].failure();
        instance.settle_one(&claims[0], claims[0].failed()).await;
        let other = Failure::new("Error", "another").record("w", "q", &job(0), NOW_MS);
        let retry = async |record: &Bytes| broken.through.retry_failed(record, &queue("q"), &job(91), &[], None).await;
        assert_eq!(retry(&other).await.expect("retry_failed"), [Retried::Gone]);
        broken.cut(cut, "it broke", async || retry(&failure).await).await;
        assert_eq!((queued(store, "q").await, failed(store).await.len()), (vec![job(91)], 0));

        assert!(!broken.through.bury(&state).await.expect("bury") || instance.state().await.is_none());
        let record = crate::instance::record("fresh", 1);
        broken.through.join(&crate::instance::record("warm", 1)).await.expect("join");
        let joined = broken.cut(cut, "host-windlass:fresh", async || broken.through.join(&record).await).await;
        assert_eq!(joined, Joined::Yes);

        assert!(broken.through.lead(Leadership::Duties, "warm", 1).await.is_ok());
        let led =
            broken.cut(cut, "somebody", async || broken.through.lead(Leadership::Scheduler, "somebody", 60_000).await);
        assert!(led.await);
    }
}

#[tokio::test]
async fn a_stalled_server_fails_in_time_and_the_exchange_is_repeated() {
    let broken = broken().await;
    let mut instance = Instance::join(&broken.through, "a", 2).await;
    fill(&broken.straight.store, "q", &jobs(0..4)).await;
    let claims = instance.claim(&["q"], &[1, 2]).await;
    broken.proxy.stall();
    let settlements = claims.iter().map(|one| one.ends(Verdict::Done)).collect();
    let exchange = Exchange { settlements, ..instance.next_claim(&["q"], &[1, 2]) };
    let stalled = soon("an end to the waiting", instance.try_send(&exchange)).await;
    assert!(matches!(stalled, Err(StoreError::Unavailable(_))), "{stalled:?}");
    broken.proxy.heal();
    let exchanged = again(async || instance.try_send(&exchange).await).await;
    assert_eq!((exchanged.lost.len(), exchanged.claims.len()), (0, 2));
    assert_eq!(counters(&broken.straight.store).await, (2, 0));
    assert_eq!(queued(&broken.straight.store, "q").await, [""; 0]);
}

#[tokio::test]
async fn a_refused_connection_is_an_outage() {
    let broken = broken().await;
    broken.proxy.refuse();
    let Place::Redis { namespace, .. } = &broken.straight.place else { panic!("this is redis") };
    let time = windlass::store::TimeSource::Clock(Arc::clone(&broken.straight.clock) as _);
    let url = broken.proxy.url();
    let opened =
        soon("an answer", windlass::store::redis::RedisStore::connect(&url, namespace, time)).await.map(|_| ());
    assert!(matches!(opened, Err(StoreError::Unreached(_))), "nothing was sent: {opened:?}");
    broken.proxy.cut_all();
    broken.proxy.heal();
    again(async || broken.through.queue_names().await).await;
}

#[tokio::test]
async fn a_lost_connection_wakes() {
    let broken = broken().await;
    let waker = broken.through.waker().await.expect("waker");
    let watch = Watch { queues: vec![queue("q")], ..Watch::default() };
    assert!(!waker.arm(&watch).await.expect("arm").ready);
    broken.proxy.cut_all();
    fill(&broken.straight.store, "q", &jobs(0..1)).await;
    soon("the wake", waker.woken()).await;
    assert!(again(async || waker.arm(&watch).await).await.ready);
    broken.straight.store.delete_queue(&queue("q")).await.expect("delete_queue");
    again(async || waker.arm(&watch).await).await;
    fill(&broken.straight.store, "q", &jobs(0..1)).await;
    soon("the wake", waker.woken()).await;
}

/// A server of its own, with a fixture on it.
async fn own_server(options: Options) -> (RedisServer, Fixture) {
    let server = RedisServer::start(options);
    let place = Place::Redis { url: server.url(), namespace: "resque".to_owned() };
    let fixture = Fixture::at(place).await;
    (server, fixture)
}

#[tokio::test]
async fn forgotten_scripts_are_learned_again() {
    let (server, f) = own_server(Options::default()).await;
    let mut instance = Instance::join(&f.store, "a", 1).await;
    for n in 0..5 {
        server.command(&["SCRIPT", "FLUSH"]);
        fill(&f.store, "q", &jobs(n..n + 1)).await;
        server.command(&["SCRIPT", "FLUSH"]);
        let claim = instance.claim_one("q").await;
        assert_eq!(claim.claim.payload, job(n));
        server.command(&["SCRIPT", "FLUSH"]);
        instance.settle_one(&claim, Verdict::Done).await;
    }
    assert_eq!(counters(&f.store).await, (5, 0));
}

/// Kills the server again and again while jobs are enqueued, claimed and settled; it writes
/// everything down before it answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_the_death_of_the_server() {
    let (mut server, f) = own_server(Options { durable: true, ..Options::default() }).await;
    fill(&f.store, "q", &jobs(0..150)).await;
    let handle = f.handle().await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let enqueuing = tokio::spawn(async move {
        let (mut acknowledged, mut unknown, mut never) = (Vec::new(), Vec::new(), Vec::new());
        for n in 1000.. {
            if *stopped.borrow() {
                break;
            }
            match handle.enqueue(&[push("q", &job(n), &[])]).await {
                Ok(_) => acknowledged.push(job(n)),
                Err(StoreError::Unavailable(_)) => unknown.push(job(n)),
                Err(error) if error.changed_nothing() => never.push(job(n)),
                Err(error) => panic!("a death is no {error:?}"),
            }
        }
        (acknowledged, unknown, never)
    });
    let mut instance = Instance::join(&f.store, "a", 5).await;
    let (mut done, mut held): (Vec<Bytes>, Vec<Claimed>) = (Vec::new(), Vec::new());
    for round in 1.. {
        // Asked before the claim: the last job may come between a claim that finds nothing and the end of the enqueuer.
        let nothing_comes = enqueuing.is_finished();
        let settlements = held.iter().map(|one| one.ends(Verdict::Done)).collect();
        let exchange = Exchange { settlements, ..instance.next_claim(&["q"], &[1, 2, 3, 4, 5]) };
        if round % 12 == 0 && round <= 48 {
            // The exchange is on its way when the server dies.
            let (sent, ()) = tokio::join!(instance.try_send(&exchange), async {
                tokio::task::yield_now().await;
                tokio::task::block_in_place(|| {
                    server.kill();
                    server.restart();
                });
            });
            assert!(sent.as_ref().map_or_else(StoreError::is_transient, |_| true), "{sent:?}");
        }
        let exchanged = again(async || instance.try_send(&exchange).await).await;
        assert_eq!(exchanged.lost, [0_usize; 0], "round {round}");
        done.extend(held.iter().map(|one| one.claim.payload.clone()));
        held = claimed(&exchange, &exchanged);
        if round == 60 {
            stop.send_replace(true);
        }
        if held.is_empty() && nothing_comes {
            break;
        }
    }
    let (acknowledged, unknown, never) = enqueuing.await.expect("enqueuer");
    assert_eq!(counters(&f.store).await, (done.len() as u64, 0));
    done.sort();
    assert!(done.windows(2).all(|pair| pair[0] != pair[1]), "a job ran twice");
    let mut expected = jobs(0..150);
    expected.extend(acknowledged);
    for payload in &expected {
        assert!(done.binary_search(payload).is_ok(), "{payload:?} was acknowledged and is lost");
    }
    for payload in &never {
        assert!(done.binary_search(payload).is_err(), "{payload:?} was certainly not enqueued, and was run");
    }
    assert!(done.len() <= expected.len() + unknown.len());
}

#[tokio::test]
async fn a_queue_of_another_type_is_passed_over() {
    let f = Fixture::redis().await;
    let mut instance = Instance::join(&f.store, "a", 2).await;
    fill(&f.store, "good", &jobs(0..2)).await;
    f.redis_command(&["SET", &f.key("queue:bad"), "text"]);
    f.redis_command(&["SADD", &f.key("queues"), "bad"]);
    let claims = instance.claim(&["bad", "good"], &[1, 2]).await;
    assert_eq!(claims.len(), 2);
    let enqueued = f.store.enqueue(&[push("bad", &job(1), &[take(&lock(1), 60)])]).await;
    assert!(matches!(enqueued, Err(StoreError::Corrupt { .. })), "{enqueued:?}");
    // A job that cannot go back to its queue stays on record.
    let stuck = Claimed {
        claim: windlass::store::queueing::Claim { queue: queue("bad"), ..claims[0].claim.clone() },
        ..claims[0].clone()
    };
    let exchange = Exchange { settlements: vec![stuck.ends(stuck.requeued())], ..instance.next() };
    instance.try_send(&exchange).await.ok();
    assert_eq!(instance.working().await.len(), 2);
    assert_eq!(f.redis_command(&["GET", &f.key("queue:bad")]), Reply::Text(b"text".to_vec()));
    let lengths = f.store.queues().await;
    assert!(lengths.is_ok() || matches!(lengths, Err(StoreError::Corrupt { .. })), "{lengths:?}");
}

#[tokio::test]
async fn a_failed_list_of_another_type_loses_no_job() {
    let f = Fixture::redis().await;
    let mut instance = Instance::join(&f.store, "a", 3).await;
    fill(&f.store, "q", &jobs(0..3)).await;
    let claims = instance.claim(&["q"], &[1, 2, 3]).await;
    f.redis_command(&["SET", &f.key("failed"), "text"]);
    let settlements =
        vec![claims[0].ends(Verdict::Done), claims[1].ends(claims[1].failed()), claims[2].ends(Verdict::Done)];
    let exchange = Exchange { settlements, ..instance.next() };
    instance.try_send(&exchange).await.ok();
    let standing = instance.working().await;
    assert!(standing.iter().any(|record| record.payload == Some(job(1))), "the failed job stays on record");
    assert_eq!(counters(&f.store).await.1, 0);
    let listed = f.store.failed(0, -1).await;
    assert!(matches!(listed, Err(StoreError::Corrupt { .. })), "{listed:?}");
}

#[tokio::test]
async fn delayed_keys_of_another_type_lose_no_job() {
    let f = Fixture::redis().await;
    let mut instance = Instance::join(&f.store, "a", 1).await;
    fill(&f.store, "q", &jobs(0..1)).await;
    let claim = instance.claim_one("q").await;
    f.redis_command(&["SET", &f.key(&format!("delayed:{}", NOW_S + 5)), "text"]);
    let exchange = Exchange { settlements: vec![claim.ends(claim.retried(5000))], ..instance.next() };
    instance.try_send(&exchange).await.ok();
    assert_eq!(instance.working().await.len(), 1);
    let scheduled = f.store.schedule(&[Schedule { payload: job(1), when: When::At(NOW_S + 5) }]).await;
    assert!(matches!(scheduled, Err(StoreError::Corrupt { .. })), "{scheduled:?}");
    assert_eq!(f.store.scheduled_at(&job(1)).await.expect("scheduled_at"), [0_i64; 0], "nothing half written");

    // A promotion whose queue cannot take the job leaves it delayed.
    delay(&f.store, &job(2), When::At(NOW_S)).await;
    f.redis_command(&["SET", &f.key("queue:bad"), "text"]);
    let promoted = f.store.promote(&promotion("bad", NOW_S, &[job(2)])).await;
    assert!(!matches!(promoted, Ok(Promoted::Moved(1))), "{promoted:?}");
    assert_eq!(delayed_at(&f.store, NOW_S).await, [job(2)]);
    assert_eq!(f.store.scheduled_at(&job(2)).await.expect("scheduled_at"), [NOW_S]);
}

#[tokio::test]
async fn no_server_is_an_outage() {
    let dir = tempfile::tempdir().expect("a temporary folder must be had");
    let url = format!("redis+unix://{}/none.sock", dir.path().display());
    let time = windlass::store::TimeSource::Clock(Arc::new(ManualClock::at(NOW_MS)));
    let opened = soon("an answer", windlass::store::redis::RedisStore::connect(&url, "resque", time)).await.map(|_| ());
    assert!(matches!(opened, Err(StoreError::Unreached(_))), "nothing was sent: {opened:?}");
}
