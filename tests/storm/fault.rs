//! What can go wrong, at random from a seed, and which runs it explains.

use std::path::PathBuf;
use std::time::Duration;

use crate::fleet::{Fleet, Victim};
use crate::ledger::Run;
use crate::now_ms;
use crate::support::redis::RedisServer;

/// How long after a fault a run may still suffer from it: a settlement that waited for the store,
/// a guard that ends runs before a lease does.
const AFTERMATH_MS: u64 = 4000;
/// How much earlier than its record a fault may have struck.
const SLACK_MS: u64 = 300;

/// A fault that happened.
#[derive(Debug)]
pub(crate) struct Fault {
    #[expect(dead_code, reason = "Debug tells it when a storm fails")]
    what: String,
    /// The instance it hit; `None`: all.
    seat: Option<usize>,
    from_ms: u64,
    to_ms: u64,
}

impl Fault {
    /// Can it be the reason why this run was not the last of its job?
    pub(crate) fn explains(&self, run: &Run) -> bool {
        let hit = self.seat.is_none_or(|seat| seat == run.seat);
        let run_to = run.ended_ms.unwrap_or(u64::MAX).saturating_add(AFTERMATH_MS);
        hit && self.from_ms <= run_to && run.started_ms <= self.to_ms + AFTERMATH_MS + SLACK_MS
    }
}

/// Random numbers that a seed repeats (splitmix64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    /// How long a job sleeps, in milliseconds: mostly hardly, sometimes longer than a lease.
    pub(crate) fn nap(&mut self) -> u64 {
        match self.below(20) {
            0 => 2500,
            1..=4 => 200 + self.below(600),
            _ => self.below(60),
        }
    }
}

/// What the store can suffer.
pub(crate) enum Weather {
    Redis(Box<RedisServer>),
    Sqlite(PathBuf),
}

impl Weather {
    /// Lets something happen.
    pub(crate) fn strike(&mut self, dice: &mut Dice, fleet: &mut Fleet, lease: Duration) -> Fault {
        let seat = usize::try_from(dice.below(2)).expect("a seat must be small");
        let from_ms = now_ms();
        let fault = |what: String, seat| Fault { what, seat, from_ms, to_ms: now_ms() };
        match dice.below(10) {
            0..=2 => {
                let victim = if dice.below(2) == 0 { Victim::Parent } else { Victim::Daemon };
                fleet.kill(seat, victim);
                let fault = fault(format!("kill -9 of the {victim:?}"), Some(seat));
                fleet.start(seat);
                fault
            }
            3..=4 => {
                fleet.stop(seat, lease + Duration::from_millis(1000 + dice.below(1500)));
                fault("SIGSTOP beyond the lease".to_owned(), Some(seat))
            }
            5..=6 => {
                fleet.drain(seat);
                let fault = fault("drain".to_owned(), Some(seat));
                fleet.start(seat);
                fault
            }
            _ => {
                let away = Duration::from_millis(dice.below(3500));
                self.store_away(away);
                fault(format!("the store away for {away:?}"), None)
            }
        }
    }

    fn store_away(&mut self, away: Duration) {
        match self {
            Self::Redis(server) => {
                server.kill();
                std::thread::sleep(away);
                server.restart();
            }
            Self::Sqlite(path) => {
                let connection = rusqlite::Connection::open(path).expect("the store must be there");
                connection.busy_timeout(Duration::from_secs(20)).expect("a timeout must be settable");
                connection.execute_batch("BEGIN IMMEDIATE").expect("the write lock must be had");
                std::thread::sleep(away);
                connection.execute_batch("ROLLBACK").expect("the write lock must be given back");
            }
        }
    }
}
