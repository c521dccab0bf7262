//! The storm: two instances, a minute, faults at random, and a ledger that must add up.
//!
//! Daemons and their parents are killed, stopped and drained; the store is killed, locked, loses a right of its user, drops
//! connections, swallows replies and stands still; clocks step by seconds, hours and a month. Faults overlap. Every run of a
//! handler writes its job, id, claim, attempt and redeliveries into the ledger, every fault its time. In the end every job
//! that was acknowledged ran and none failed; no two runs of a job with a JobLock overlap; no tick ran twice; and no job ran
//! twice without a word: each run is told of one redelivery more than the one before, and every run of a job but its last is
//! explained by a fault that hit it, or an instance has told in its log that it gave the job back (a machine under load is a
//! fault that no dice threw).
//!
//! `WINDLASS_STORM_SEED` repeats a storm, `WINDLASS_STORM_SECONDS` makes it longer.

#![expect(clippy::print_stdout, reason = "a storm tells its seed, so that it can be repeated")]

#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "other test crates use the rest of it")]
mod support;

mod clock;
mod fault;
mod fleet;
mod ledger;
mod skew;
mod verdict;
mod weather;

use std::collections::BTreeSet;
use std::process::Child;
use std::time::Duration;

use clock::SteppingClock;
use fault::Dice;
use fleet::{ALONE, ANY, Fleet, Order};
use ledger::Ledger;
use tokio::time::Instant;
use verdict::Aftermath;
use weather::{Store, Weather};
use windlass::process::leftovers::{Marks, marked};

/// How long an instance may be silent; short, so that a storm sees many leases run out.
const LEASE: Duration = Duration::from_secs(2);
/// How long the fleet may go without finishing a job when the storm is over and some are left.
const CALM: Duration = Duration::from_secs(45);

#[test]
fn redis_survives_the_storm() {
    let clock = SteppingClock::new();
    let store = Store::redis(&clock);
    storm("redis", store, clock);
}

#[test]
fn sqlite_survives_the_storm() {
    let dir = tempfile::tempdir().expect("a temporary folder must be had");
    storm("sqlite", Store::Sqlite { path: dir.path().join("storm.db") }, SteppingClock::new());
}

/// Feeds the fleet, one command at a time.
#[derive(Default)]
struct Feed {
    next_job: u64,
    in_flight: Option<(Child, Vec<Order>)>,
    acknowledged: BTreeSet<u64>,
}

impl Feed {
    fn pass(&mut self, dice: &mut Dice, fleet: &Fleet) {
        if self.is_idle() {
            let order = |job, dice: &mut Dice| {
                // One at a time: they must not pile up.
                let task = if dice.below(20) == 0 { ALONE } else { ANY };
                Order { job, task, nap_ms: dice.nap() }
            };
            let batch: Vec<_> = (0..dice.below(8)).map(|at| order(self.next_job + at, dice)).collect();
            self.next_job += batch.len() as u64;
            self.in_flight = (!batch.is_empty()).then(|| (fleet.enqueue(&batch), batch));
        }
    }

    /// Has the last command ended?
    fn is_idle(&mut self) -> bool {
        let Some((child, batch)) = &mut self.in_flight else { return true };
        let Some(exit) = child.try_wait().expect("it is our child") else { return false };
        if exit.success() {
            self.acknowledged.extend(batch.iter().map(|order| order.job));
        }
        self.in_flight = None;
        true
    }
}

fn storm(store: &str, place: Store, clock: SteppingClock) {
    let seed =
        setting("WINDLASS_STORM_SEED").unwrap_or_else(|| u64::from(std::process::id()) << 16 | now_ms() & 0xffff);
    let seconds = setting("WINDLASS_STORM_SECONDS").unwrap_or(40);
    println!("{store}: WINDLASS_STORM_SEED={seed}");
    let mut dice = Dice::new(seed);
    let mut fleet = Fleet::new(store, &place.url(), LEASE, &clock);
    let mut weather = Weather::new(place, clock, LEASE);
    fleet.start_all();

    let begun = Instant::now();
    let mut feed = Feed::default();
    let mut next_fault = begun + Duration::from_secs(3);
    while begun.elapsed() < Duration::from_secs(seconds) {
        feed.pass(&mut dice, &fleet);
        weather.pass(&mut fleet);
        if Instant::now() >= next_fault {
            weather.strike(&mut dice, &mut fleet);
            next_fault = Instant::now() + Duration::from_millis(300 + dice.below(2500));
        }
        // The pace of the feed, not a wait for anything.
        std::thread::sleep(Duration::from_millis(100));
    }

    weather.clear_up(&mut fleet);
    fleet.start_all();
    let mut progress = (0, Instant::now());
    let ledger = loop {
        let fed = feed.is_idle();
        let ledger = Ledger::read(&fleet.ledger());
        let ended = ledger.ended().intersection(&feed.acknowledged).count();
        if ended > progress.0 {
            progress = (ended, Instant::now());
        }
        if fed && ended == feed.acknowledged.len() || progress.1.elapsed() > CALM {
            break ledger;
        }
        // The pace of asking; the ledger is written by other processes.
        std::thread::sleep(Duration::from_millis(200));
    };
    let exits = fleet.drain_all();
    // What ran during the drain counts as well.
    let ledger = if feed.is_idle() { Ledger::read(&fleet.ledger()) } else { ledger };
    let aftermath = Aftermath {
        ledger: &ledger,
        faults: &weather.faults,
        steps: weather.clock.steps(),
        acknowledged: &feed.acknowledged,
        seconds: begun.elapsed().as_secs(),
        told: &|id| fleet.redeliveries_told(id),
    };
    let mut objections = aftermath.objections();
    if fleet.failed() > 0 {
        objections.push(format!("{} jobs failed", fleet.failed()));
    }
    if !exits.iter().all(|exit| exit.success()) {
        objections.push(format!("a drain must end with 0: {exits:?}"));
    }
    let left: Vec<_> = ledger
        .instances()
        .iter()
        .flat_map(|id| marked(&Marks::new(id, None)).expect("descriptors are enough"))
        .collect();
    if !left.is_empty() {
        objections.push(format!("no child may outlive its daemon: {left:?}"));
    }
    let (jobs, faults) = (feed.acknowledged.len(), weather.faults.len());
    assert!(
        objections.is_empty(),
        "{store}, seed {seed}, {jobs} jobs: {objections:#?}\nfaults {:#?}\n{}",
        weather.faults,
        fleet.log_tails()
    );
    let again = ledger.jobs().map(|runs| runs.len() - 1).sum::<usize>();
    println!("{store}: {jobs} jobs, {faults} faults, {again} runs repeated");
    println!("{store}: {}", weather.summary());
    assert!(faults > 5 && jobs > 30, "a storm, not a breeze");
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} must be a number: {value:?}")))
}

/// Wall time in milliseconds, as the handler's `date` tells it.
fn now_ms() -> u64 {
    use windlass::clock::{Clock, SystemClock};
    u64::try_from(SystemClock.now_ms()).expect("the clock must be past 1970")
}
