//! The storm: two instances, a minute, faults at random, and a ledger that must add up.
//!
//! Every run of a handler writes its job, id, claim and attempt into the ledger, every fault its
//! time. In the end every job that was acknowledged ran, none failed, and no job ran twice without
//! a word: every run of a job but its last is explained by a fault that hit it, or an instance has
//! told in its log that it gave the job back (a machine under load is a fault that no dice threw).
//!
//! `WINDLASS_STORM_SEED` repeats a storm, `WINDLASS_STORM_SECONDS` makes it longer.

#![expect(clippy::print_stdout, reason = "a storm tells its seed, so that it can be repeated")]

#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "other test crates use the rest of it")]
mod support;

mod fault;
mod fleet;
mod ledger;

use std::time::Duration;

use fault::{Dice, Fault, Weather};
use fleet::Fleet;
use ledger::Ledger;
use support::redis::{Options, RedisServer};
use tokio::time::Instant;
use windlass::process::leftovers::{Marks, marked};

/// How long an instance may be silent; short, so that a storm sees many leases run out.
const LEASE: Duration = Duration::from_secs(2);
/// How long the fleet may go without finishing a job when the storm is over and some are left.
const CALM: Duration = Duration::from_secs(45);

#[test]
fn redis_survives_the_storm() {
    let server = RedisServer::start(Options { tcp: false, durable: true });
    let url = server.url();
    storm("redis", &url, Weather::Redis(Box::new(server)));
}

#[test]
fn sqlite_survives_the_storm() {
    let dir = tempfile::tempdir().expect("a temporary folder must be had");
    let path = dir.path().join("storm.db");
    storm("sqlite", &format!("sqlite:{}", path.display()), Weather::Sqlite(path));
}

fn storm(store: &str, url: &str, mut weather: Weather) {
    let seed =
        setting("WINDLASS_STORM_SEED").unwrap_or_else(|| u64::from(std::process::id()) << 16 | now_ms() & 0xffff);
    let seconds = setting("WINDLASS_STORM_SECONDS").unwrap_or(60);
    println!("{store}: WINDLASS_STORM_SEED={seed}");
    let mut dice = Dice::new(seed);
    let mut fleet = Fleet::new(store, url, LEASE);
    fleet.start_all();

    let begun = Instant::now();
    let mut faults: Vec<Fault> = Vec::new();
    let mut acknowledged = Vec::new();
    let mut next_job = 0;
    let mut next_fault = begun + Duration::from_secs(3);
    while begun.elapsed() < Duration::from_secs(seconds) {
        let batch: Vec<_> = (0..dice.below(12)).map(|at| (next_job + at, dice.nap())).collect();
        next_job += batch.len() as u64;
        if fleet.enqueue(&batch) {
            acknowledged.extend(batch.iter().map(|(job, _)| *job));
        }
        if Instant::now() >= next_fault {
            faults.push(weather.strike(&mut dice, &mut fleet, LEASE));
            next_fault = Instant::now() + Duration::from_millis(500 + dice.below(3000));
        }
        // The pace of the feed, not a wait for anything.
        std::thread::sleep(Duration::from_millis(100));
    }

    fleet.start_all();
    let mut progress = (0, Instant::now());
    let ledger = loop {
        let ledger = Ledger::read(&fleet.ledger());
        let ended = acknowledged.iter().filter(|job| ledger.has_ended(**job)).count();
        if ended > progress.0 {
            progress = (ended, Instant::now());
        }
        if ended == acknowledged.len() || progress.1.elapsed() > CALM {
            break ledger;
        }
        // The pace of asking; the ledger is written by other processes.
        std::thread::sleep(Duration::from_millis(200));
    };
    let exits = fleet.drain_all();
    let told = format!("{store}, seed {seed}, {} jobs, faults {faults:#?}\n{}", acknowledged.len(), fleet.log_tails());

    assert_eq!(fleet.failed(), 0, "no job fails; {told}");
    let missing: Vec<_> = acknowledged.iter().filter(|job| !ledger.has_ended(**job)).collect();
    assert!(missing.is_empty(), "jobs never finished: {missing:?}; {told}");
    for (job, runs) in ledger.jobs() {
        let ids: std::collections::BTreeSet<_> = runs.iter().map(|run| run.id.as_str()).collect();
        assert_eq!(ids.len(), 1, "job {job} keeps its id over all runs: {runs:?}; {told}");
        let claims: std::collections::BTreeSet<_> = runs.iter().map(|run| run.claim.as_str()).collect();
        assert_eq!(claims.len(), runs.len(), "each run of job {job} has a claim of its own: {runs:?}; {told}");
        let repeated = &runs[..runs.len() - 1];
        let unexplained: Vec<_> =
            repeated.iter().filter(|run| !faults.iter().any(|fault| fault.explains(run))).collect();
        let redelivered = fleet.redeliveries_told(&runs[0].id);
        assert!(
            unexplained.len() <= redelivered,
            "job {job} ran again without a word: no fault hit {unexplained:#?} of {runs:#?}, and the logs tell \
             {redelivered} redeliveries; {told}"
        );
    }
    assert!(exits.iter().all(|exit| exit.success()), "a drain ends with 0: {exits:?}; {told}");
    let left: Vec<_> = ledger.instances().iter().flat_map(|id| marked(&Marks::new(id, None))).collect();
    assert!(left.is_empty(), "no child outlives its daemon: {left:?}; {told}");
    let again = ledger.jobs().map(|(_, runs)| runs.len() - 1).sum::<usize>();
    println!("{store}: {} jobs, {} faults, {again} runs repeated", acknowledged.len(), faults.len());
    assert!(faults.len() > 3 && acknowledged.len() > 50, "a storm, not a breeze; {told}");
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} must be a number: {value:?}")))
}

/// Wall time in milliseconds, as the handler's `date` tells it.
fn now_ms() -> u64 {
    use windlass::clock::{Clock, SystemClock};
    u64::try_from(SystemClock.now_ms()).expect("the clock must be past 1970")
}
