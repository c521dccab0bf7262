//! Triggers that another program added to a SQLite file: what they refuse of an exchange fails or waits alone, whichever way they
//! refuse it, and the rest goes on.

use std::sync::Arc;

use windlass::client::Client;
use windlass::clock::Clock;
use windlass::store::StoreError;
use windlass::store::effect::Verdict;
use windlass::store::queueing::{Entered, Exchange, Exchanged, Extra, Part, Settlement};
use windlass::store::sqlite::SqliteStore;
use windlass::task::Registry;

use crate::fixture::Fixture;
use crate::instance::{Instance, claimed, payloads};
use crate::look::{counters, failed, fill, gate, job, job_lock, jobs, queue, queued};
use crate::support::verbs::Verbs as _;
use crate::tick::tick;

/// SQLite takes back the statement, nothing, or the whole transaction, or does nothing and tells no error.
const WAYS: [&str; 4] = ["ABORT", "FAIL", "ROLLBACK", "IGNORE"];

fn execute(f: &Fixture, sql: &str) {
    let file = rusqlite::Connection::open(f.place.file()).expect("the file must open");
    file.execute_batch(sql).expect("the statement must be executed");
}

/// Refuses rows of these jobs.
fn refuse(f: &Fixture, name: &str, when: &str, row: &str, way: &str, numbers: &[usize]) {
    let raise = if way == "IGNORE" { "RAISE(IGNORE)".to_owned() } else { format!("RAISE({way}, 'none of these')") };
    let of = |n: &usize| format!("CAST({row}.payload AS TEXT) LIKE '%[{n}]%'");
    let condition = numbers.iter().map(of).collect::<Vec<_>>().join(" OR ");
    execute(f, &format!("CREATE TRIGGER {name} {when} WHEN {condition} BEGIN SELECT {raise}; END"));
}

fn of_settlement(reply: &Exchanged, index: usize) -> (Vec<Extra>, String) {
    let of_it = reply.refused.iter().find_map(|refused| match &refused.part {
        Part::Settlement { index: at, extras } if *at == index => Some((extras.clone(), refused.error.to_string())),
        _ => None,
    });
    of_it.unwrap_or_else(|| panic!("{reply:?}"))
}

fn told(reply: &Exchanged) -> Vec<String> {
    reply.findings.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_row_that_a_trigger_refuses_stops_its_job_alone() {
    for way in WAYS {
        let f = Fixture::sqlite().await;
        fill(&f.store, "q", &jobs(0..6)).await;
        fill(&f.store, "odd", &jobs(6..8)).await;
        let mut instance = Instance::join(&f.store, "a", 5).await;
        let held = instance.claim(&["q"], &[1, 2, 3, 4]).await;
        refuse(&f, "no_delay", "BEFORE INSERT ON delayed", "NEW", way, &[1]);
        refuse(&f, "no_claim", "BEFORE INSERT ON working", "NEW", way, &[6]);
        let whole = Exchange {
            settlements: vec![
                held[0].ends(Verdict::Done),
                held[1].ends(held[1].retried(500)),
                held[2].ends(held[2].retried(500)),
            ],
            ..instance.next_claim(&["odd", "q"], &[1, 3, 5])
        };
        let reply = instance.send(&whole).await;
        assert_eq!((&reply.lost[..], &reply.undone[..]), (&[][..], &[1][..]), "{way}: {reply:?}");
        let (extras, said) = of_settlement(&reply, 1);
        assert_eq!(extras, [Extra::Place]);
        let why = if way == "IGNORE" { "ignores a row of table delayed" } else { "none of these" };
        assert!(said.contains(why) && said.contains(".schema"), "{said}");
        let claims = claimed(&whole, &reply);
        assert_eq!(payloads(&claims), [job(7), job(4), job(5)], "{way}: the jobs behind the refused one go on");
        assert_eq!(queued(&f.store, "odd").await, [job(6)], "nothing is lost");
        let again = instance.send(&whole).await;
        assert_eq!(
            (&again.undone[..], payloads(&claimed(&whole, &again))),
            (&[1][..], payloads(&claims)),
            "told alike"
        );
        assert_eq!(instance.settle(vec![held[1].ends(held[1].failed())]).await, [0_usize; 0]);
        assert_eq!((counters(&f.store).await, failed(&f.store).await.len()), ((1, 1), 1));
    }
}

#[tokio::test]
async fn a_job_whose_claim_is_refused_waits_alone_and_is_named_once() {
    for (when, row, way) in [
        ("BEFORE INSERT ON working", "NEW", "ABORT"),
        ("AFTER INSERT ON working", "NEW", "FAIL"),
        ("AFTER INSERT ON working", "NEW", "ROLLBACK"),
        ("BEFORE INSERT ON working", "NEW", "IGNORE"),
        ("AFTER DELETE ON jobs", "OLD", "ABORT"),
        ("BEFORE DELETE ON jobs", "OLD", "ROLLBACK"),
        ("BEFORE DELETE ON jobs", "OLD", "IGNORE"),
    ] {
        let what = format!("{way} {when}");
        let f = Fixture::sqlite().await;
        fill(&f.store, "q", &jobs(0..6)).await;
        fill(&f.store, "r", &jobs(6..9)).await;
        let mut instance = Instance::join(&f.store, "a", 3).await;
        refuse(&f, "no_claim", when, row, way, &[0, 3]);
        let first = instance.next_claim(&["q", "r"], &[1, 2, 3]);
        let reply = instance.send(&first).await;
        let claims = claimed(&first, &reply);
        assert_eq!(payloads(&claims), [job(1), job(2), job(4)], "{what}: in order");
        let said = told(&reply);
        assert!(said.len() == 1 && said[0].contains("job add at 1 of queue q"), "{what}: {said:?}");
        assert!(said[0].contains(".schema"), "{what}: {said:?}");
        // The jobs that are stepped over take no worker and are not named again.
        let next = Exchange {
            settlements: claims.iter().map(|claim| claim.ends(Verdict::Done)).collect(),
            ..instance.next_claim(&["q", "r"], &[1, 2, 3])
        };
        let reply = instance.send(&next).await;
        assert_eq!(payloads(&claimed(&next, &reply)), [job(5), job(6), job(7)], "{what}");
        assert_eq!(told(&reply), [""; 0], "{what}");
        assert_eq!(queued(&f.store, "q").await, [job(0), job(3)], "{what}: nothing is lost");
        assert_eq!(instance.working().await.len(), 3, "{what}: nothing is claimed twice");
        let ends = claimed(&next, &reply).iter().map(|claim| claim.ends(Verdict::Done)).collect();
        assert_eq!(instance.settle(ends).await, [0_usize; 0]);
        execute(&f, "DROP TRIGGER no_claim");
        instance.reopen().await;
        let claims = instance.claim(&["q", "r"], &[1, 2, 3]).await;
        assert_eq!(payloads(&claims), [job(0), job(3), job(8)], "{what}: they are claimed when they may be");
    }
}

/// Whatever a trigger ignores of a settlement, an enter or a claim: no job is lost, none is doubled, and all go on when the
/// trigger is dropped.
#[tokio::test]
async fn a_job_of_which_something_is_ignored_goes_on_when_the_trigger_is_gone() {
    for what in [
        "INSERT ON delayed",
        "INSERT ON failed",
        "INSERT ON jobs",
        "DELETE ON jobs",
        "INSERT ON working",
        "DELETE ON working",
        "INSERT ON locks",
        "INSERT ON periodic",
        "UPDATE ON stats",
        "UPDATE ON workers",
        "INSERT ON queues",
        "INSERT ON lanes",
    ] {
        let f = Fixture::sqlite().await;
        fill(&f.store, "q", &jobs(0..8)).await;
        let mut instance = Instance::join(&f.store, "a", 6).await;
        let held = instance.claim(&["q"], &[1, 2, 3, 4, 5]).await;
        let row = format!("CREATE TRIGGER ignored BEFORE {what} BEGIN SELECT RAISE(IGNORE); END");
        execute(&f, &row);
        let requeued = Settlement { queue: queue("new"), ..held[3].ends(held[3].requeued()) };
        let ends = [
            held[0].ticks(Verdict::Done, &tick(30)),
            held[1].ends(held[1].retried(500)),
            held[2].ends(held[2].failed()),
            requeued,
        ];
        let enters = vec![held[4].enters(&[gate(&job_lock(1), 9)])];
        let whole = Exchange { settlements: ends.to_vec(), enters, ..instance.next_claim(&["q"], &[1, 2]) };
        let refused = instance.try_send(&whole).await;
        execute(&f, "DROP TRIGGER ignored");
        let (undone, mut claims) = match refused {
            Ok(reply) => (reply.undone.clone(), claimed(&whole, &reply)),
            Err(error) => {
                assert!(what.ends_with(" lanes") && error.to_string().contains("table lanes"), "{what}: {error}");
                let reply = instance.send(&whole).await;
                (reply.undone.clone(), claimed(&whole, &reply))
            }
        };
        let again: Vec<_> = undone.iter().map(|&index| ends[index].clone()).collect();
        assert_eq!(instance.settle(again).await, [0_usize; 0], "{what}: the claims of refused settlements stand");
        // A lane steps over jobs whose claim was refused, for a while.
        instance.reopen().await;
        claims.extend(instance.claim(&["q"], &[3, 4, 6]).await);
        let mut payloads = payloads(&claims);
        payloads.sort();
        assert_eq!(payloads, jobs(5..8), "{what}");
        assert!(queued(&f.store, "q").await.is_empty(), "{what}");
        assert_eq!(queued(&f.store, "new").await, [job(3)], "{what}");
        assert_eq!(failed(&f.store).await.len(), 1, "{what}");
        let of = |table: &str| -> i64 {
            let file = rusqlite::Connection::open(f.place.file()).expect("the file must open");
            file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("a number")
        };
        assert_eq!((of("delayed"), of("working")), (2, 4), "{what}: the retried job and the next tick; who runs");
    }
}

/// However many parts end the transaction, each fails alone.
#[tokio::test]
async fn many_parts_that_end_the_transaction_fail_alone() {
    let f = Fixture::sqlite().await;
    fill(&f.store, "q", &jobs(0..30)).await;
    let mut instance = Instance::join(&f.store, "a", 20).await;
    let numbers: Vec<usize> = (1..=20).collect();
    let held = instance.claim(&["q"], &numbers).await;
    refuse(&f, "no_delay", "BEFORE INSERT ON delayed", "NEW", "ROLLBACK", &[1, 5, 9]);
    refuse(&f, "no_claim", "AFTER INSERT ON working", "NEW", "ROLLBACK", &[21, 22, 24]);
    execute(
        &f,
        "CREATE TRIGGER no_lock BEFORE INSERT ON locks WHEN NEW.key LIKE '%2%' BEGIN SELECT RAISE(ROLLBACK, 'no lock'); END;
         CREATE TRIGGER no_count BEFORE UPDATE ON stats BEGIN SELECT RAISE(ROLLBACK, 'no count'); END;
         CREATE TRIGGER no_tick BEFORE INSERT ON periodic BEGIN SELECT RAISE(ROLLBACK, 'no tick'); END",
    );
    let mut settlements: Vec<_> = held[..10].iter().map(|one| one.ends(one.retried(500))).collect();
    settlements.push(held[10].ticks(Verdict::Done, &tick(30)));
    settlements.push(held[11].ends(Verdict::Done));
    let enters = vec![held[12].enters(&[gate(&job_lock(1), 9)]), held[13].enters(&[gate(&job_lock(2), 9)])];
    let whole = Exchange { settlements, enters, ..instance.next_claim(&["q"], &[12, 1, 3]) };
    let reply = instance.send(&whole).await;
    assert_eq!(reply.undone, [1, 5, 9, 10], "{reply:?}");
    assert_eq!(of_settlement(&reply, 10).0, [Extra::Tick]);
    assert!(of_settlement(&reply, 10).1.contains("no tick") && of_settlement(&reply, 5).1.contains("none of these"));
    assert_eq!(reply.entered, [Entered::Taken, Entered::Undone]);
    assert_eq!(payloads(&claimed(&whole, &reply)), [job(20), job(23), job(25)]);
    assert!(told(&reply).iter().any(|said| said.contains("no count")), "{reply:?}");
    let left: Vec<_> = [21, 22].into_iter().chain([24]).chain(26..30).map(job).collect();
    assert_eq!(queued(&f.store, "q").await, left);
}

/// A trigger that refuses every claim takes no job off its queue.
#[tokio::test]
async fn where_every_claim_is_refused_every_job_stays() {
    for way in ["ABORT", "ROLLBACK", "IGNORE"] {
        let f = Fixture::sqlite().await;
        fill(&f.store, "q", &jobs(0..5)).await;
        let mut instance = Instance::join(&f.store, "a", 2).await;
        let raise = if way == "IGNORE" { "RAISE(IGNORE)".to_owned() } else { format!("RAISE({way}, 'closed')") };
        execute(&f, &format!("CREATE TRIGGER closed BEFORE INSERT ON working BEGIN SELECT {raise}; END"));
        for _ in 0..3 {
            assert!(instance.claim(&["q"], &[1, 2]).await.is_empty(), "{way}");
        }
        execute(&f, "DROP TRIGGER closed");
        assert_eq!(queued(&f.store, "q").await, jobs(0..5), "{way}");
        instance.reopen().await;
        assert_eq!(payloads(&instance.claim(&["q"], &[1, 2]).await), jobs(0..2), "{way}");
    }
}

#[tokio::test]
async fn lines_that_a_trigger_refuses_are_known_not_to_be_enqueued() {
    let f = Fixture::sqlite().await;
    let text: String = (0..3).map(|n| format!("{{\"task\":\"add\",\"args\":[{n}],\"queue\":\"q\"}}\n")).collect();
    let lines = windlass::client::bulk::read(text.as_bytes(), true, &Registry::default()).expect("they are jobs");
    for way in WAYS {
        refuse(&f, "refuses", "BEFORE INSERT ON jobs", "NEW", way, &[1]);
        let client = Client::new(f.store.narrow(), Arc::default());
        let report = client.enqueue_bulk(&lines, false).await;
        let failure = report.failure.expect("one is refused");
        assert!(failure.changed_nothing, "{way}: {}", failure.error);
        assert_eq!((failure.first, failure.last, report.outcomes.len()), (1, 3, 0), "{way}");
        assert!(failure.error.to_string().contains("a trigger"), "{way}: {}", failure.error);
        assert_eq!(queued(&f.store, "q").await, [""; 0], "{way}");
        execute(&f, "DROP TRIGGER refuses");
    }
}

/// What computes without end is run neither by a daemon that has the file open nor by who opens it.
#[tokio::test]
async fn what_could_run_without_end_is_not_run() {
    let endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)";
    let f = Fixture::sqlite().await;
    fill(&f.store, "q", &jobs(0..2)).await;
    let mut instance = Instance::join(&f.store, "a", 2).await;
    execute(
        &f,
        &format!(
            "CREATE TRIGGER endless BEFORE INSERT ON working BEGIN SELECT count(*) FROM ({endless} SELECT x FROM c); END"
        ),
    );
    let open = || SqliteStore::open(&f.place.file(), Arc::clone(&f.clock) as Arc<dyn Clock>);
    let told = |error: &StoreError| {
        let said = error.to_string();
        assert!(said.contains("trigger endless on table working"), "{said}");
        assert!(said.contains("'DROP TRIGGER \"endless\"'"), "{said}");
    };
    let claim = instance.next_claim(&["q"], &[1]);
    let refused = instance.try_send(&claim).await.expect_err("the claim would not end");
    assert!(matches!(refused, StoreError::Unavailable(_)), "it is tried again: {refused:?}");
    told(&refused);
    let refused = open().expect_err("nothing of it is run");
    assert!(matches!(refused, StoreError::Unsupported(_)), "{refused:?}");
    told(&refused);
    execute(&f, "DROP TRIGGER endless");
    instance.reopen().await;
    assert_eq!(payloads(&instance.claim(&["q"], &[1]).await), [job(0)], "it goes on once that is gone");
    // A view hides the table whose name it has, also from those who only read.
    execute(
        &f,
        &format!(
            "ALTER TABLE stats RENAME TO kept; CREATE VIEW stats AS {endless} SELECT 'processed' AS name, x AS value FROM c"
        ),
    );
    let refused = f.store.stats().await.expect_err("the count would not end");
    assert!(refused.to_string().contains("view stats on table stats"), "{refused}");
    assert!(open().is_err());
    execute(&f, "DROP VIEW stats; ALTER TABLE kept RENAME TO stats");
    assert_eq!(counters(&f.store).await, (0, 0));
}
