//! What can go wrong, at random. Faults last for a while, and overlap.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::clock::SteppingClock;
use crate::fault::{Dice, Fault, Hit};
use crate::fleet::{Fleet, Victim};
use crate::now_ms;
use crate::support::proxy::{Cut, Direction, Proxy};
use crate::support::redis::{Options, RedisServer};
use crate::support::resp::Reply;

/// Commands that the daemons' user may lose for a while.
const RIGHTS: [&str; 25] = [
    "hset",
    "hget",
    "hdel",
    "hmget",
    "hgetall",
    "hincrby",
    "lpush",
    "rpush",
    "lpop",
    "lrange",
    "lrem",
    "sadd",
    "srem",
    "smembers",
    "sscan",
    "zadd",
    "zrem",
    "zrangebyscore",
    "set",
    "get",
    "del",
    "incr",
    "exists",
    "pexpire",
    "eval",
];
/// By how much clocks step, in milliseconds.
const STEPS: [i64; 6] = [1500, -1500, 40_000, -40_000, 7_200_000, 30 * 86_400_000];

/// A store, and what it can suffer.
pub(crate) enum Store {
    Redis { server: Box<RedisServer>, proxy: Arc<Proxy>, _runtime: Runtime },
    Sqlite { path: PathBuf },
}

/// A fault that lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Lasting {
    Stopped(usize),
    Away,
    Refused(&'static str),
    /// So many milliseconds off.
    Clock(i64),
    /// Nothing moves, or new connections are refused.
    Path,
}

impl Lasting {
    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Stopped(one), Self::Stopped(two)) => one == two,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

pub(crate) struct Weather {
    pub(crate) store: Store,
    pub(crate) clock: SteppingClock,
    pub(crate) faults: Vec<Fault>,
    lease: Duration,
    /// What lasts, until when, and its place among the faults.
    lasting: Vec<(Instant, usize, Lasting)>,
    /// Holds the write lock of a SQLite file.
    locked: Option<rusqlite::Connection>,
}

impl Store {
    pub(crate) fn redis(clock: &SteppingClock) -> Self {
        let server = RedisServer::start_with(Options { tcp: false, durable: true }, &clock.variables());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime must be had");
        let proxy = Arc::new(runtime.block_on(Proxy::start(&server.socket())));
        Self::Redis { server: Box::new(server), proxy, _runtime: runtime }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Redis { proxy, .. } => proxy.url(),
            Self::Sqlite { path } => format!("sqlite:{}", path.display()),
        }
    }
}

impl Weather {
    pub(crate) fn new(store: Store, clock: SteppingClock, lease: Duration) -> Self {
        Self { store, clock, faults: Vec::new(), lease, lasting: Vec::new(), locked: None }
    }

    /// Lets something happen.
    pub(crate) fn strike(&mut self, dice: &mut Dice, fleet: &mut Fleet) {
        let seat = usize::try_from(dice.below(2)).expect("a seat must be small");
        let a_while = Duration::from_millis(200 + dice.below(3300));
        match dice.below(20) {
            0..=5 => {
                let victim = *dice.one_of(&[Victim::Parent, Victim::Daemon, Victim::Both]);
                let at = self.fault(format!("kill -9: {victim:?}"), Hit::Seat(seat));
                fleet.kill(seat, victim);
                fleet.start(seat);
                self.faults[at].to_ms = now_ms();
            }
            6..=7 => {
                self.over_with(fleet, |lasting| *lasting == Lasting::Stopped(seat));
                let at = self.fault("drain".to_owned(), Hit::Seat(seat));
                fleet.drain(seat);
                fleet.start(seat);
                self.faults[at].to_ms = now_ms();
            }
            8..=10 => {
                let how_long = self.lease + Duration::from_millis(1000 + dice.below(1500));
                self.last(
                    how_long,
                    format!("SIGSTOP for {how_long:?}"),
                    Hit::Seat(seat),
                    Lasting::Stopped(seat),
                    fleet,
                );
            }
            11..=13 => {
                let step = *dice.one_of(&STEPS);
                let what = format!("the clock {step} ms off for {a_while:?}");
                self.last(a_while, what, Hit::Nobody, Lasting::Clock(step), fleet);
            }
            _ => self.strike_store(dice, fleet, a_while),
        }
    }

    fn strike_store(&mut self, dice: &mut Dice, fleet: &mut Fleet, a_while: Duration) {
        let Store::Redis { proxy, .. } = &self.store else {
            return self.last(a_while, format!("the store locked for {a_while:?}"), Hit::All, Lasting::Away, fleet);
        };
        let proxy = Arc::clone(proxy);
        match dice.below(7) {
            0..=1 => self.last(a_while, format!("the store away for {a_while:?}"), Hit::All, Lasting::Away, fleet),
            2..=3 => {
                let command = *dice.one_of(&RIGHTS);
                let what = format!("no right to {command} for {a_while:?}");
                self.last(a_while, what, Hit::All, Lasting::Refused(command), fleet);
            }
            4 => {
                proxy.stall();
                self.last(a_while, format!("nothing moves for {a_while:?}"), Hit::All, Lasting::Path, fleet);
            }
            5 => {
                proxy.refuse();
                proxy.cut_all();
                self.last(a_while, format!("all connections dropped for {a_while:?}"), Hit::All, Lasting::Path, fleet);
            }
            _ => {
                let what = if dice.below(2) == 0 {
                    let direction = *dice.one_of(&[Direction::Requests, Direction::Replies]);
                    proxy.silence(direction);
                    format!("all connections lose their {direction:?}")
                } else {
                    let cut = *dice.one_of(&[Cut::BeforeRequest, Cut::BeforeReply]);
                    drop(proxy.cut_at(cut, &["EVAL"]));
                    format!("a connection is cut {cut:?}")
                };
                let at = self.fault(what, Hit::All);
                // It is noticed within a lease.
                self.faults[at].to_ms = now_ms() + u64::try_from(self.lease.as_millis()).expect("a lease is short");
            }
        }
    }

    /// Ends what has lasted long enough.
    pub(crate) fn pass(&mut self, fleet: &mut Fleet) {
        let now = Instant::now();
        let due: Vec<_> = self.lasting.extract_if(.., |(until, ..)| *until <= now).collect();
        due.into_iter().for_each(|(_, at, lasting)| self.end(fleet, at, &lasting));
    }

    /// Ends all faults. What was put off while the clock was ahead comes due.
    pub(crate) fn clear_up(&mut self, fleet: &mut Fleet) {
        self.over_with(fleet, |_| true);
        self.clock.overtake();
    }

    /// How often each kind of fault struck.
    pub(crate) fn summary(&self) -> String {
        let mut kinds = BTreeMap::new();
        for fault in &self.faults {
            *kinds.entry(fault.what.split(" for ").next().unwrap_or_default().to_owned()).or_insert(0) += 1;
        }
        kinds.iter().map(|(kind, times)| format!("{times} of {kind:?}")).collect::<Vec<_>>().join(", ")
    }

    fn over_with(&mut self, fleet: &mut Fleet, which: impl Fn(&Lasting) -> bool) {
        let over: Vec<_> = self.lasting.extract_if(.., |(.., lasting)| which(lasting)).collect();
        over.into_iter().for_each(|(_, at, lasting)| self.end(fleet, at, &lasting));
    }

    fn fault(&mut self, what: String, hit: Hit) -> usize {
        self.faults.push(Fault { what, hit, from_ms: now_ms(), to_ms: u64::MAX });
        self.faults.len() - 1
    }

    /// Begins what lasts, unless the like of it lasts already.
    fn last(&mut self, how_long: Duration, what: String, hit: Hit, lasting: Lasting, fleet: &mut Fleet) {
        if self.lasting.iter().any(|(.., other)| other.is_like(&lasting)) {
            return;
        }
        if let (Lasting::Away, Store::Sqlite { path }) = (&lasting, &self.store) {
            let connection = rusqlite::Connection::open(path).expect("the store must be there");
            connection.busy_timeout(Duration::from_secs(1)).expect("a timeout must be settable");
            // A daemon that is stopped may hold it, and goes on only after this.
            if connection.execute_batch("BEGIN IMMEDIATE").is_err() {
                return;
            }
            self.locked = Some(connection);
        }
        let at = self.fault(what, hit);
        match (&lasting, &mut self.store) {
            (Lasting::Stopped(seat), _) => fleet.stop(*seat),
            (Lasting::Away, Store::Redis { server, .. }) => server.kill(),
            (Lasting::Refused(command), _) => self.allow('-', command),
            (Lasting::Clock(step), _) => self.clock.set(*step),
            (Lasting::Path, _) | (Lasting::Away, Store::Sqlite { .. }) => {}
        }
        self.lasting.push((Instant::now() + how_long, at, lasting));
    }

    fn end(&mut self, fleet: &mut Fleet, at: usize, lasting: &Lasting) {
        match (lasting, &mut self.store) {
            (Lasting::Stopped(seat), _) => fleet.go_on(*seat),
            (Lasting::Away, Store::Redis { server, .. }) => server.restart(),
            // Its transaction ends with the connection.
            (Lasting::Away, Store::Sqlite { .. }) => drop(self.locked.take()),
            (Lasting::Refused(command), _) => self.allow('+', command),
            (Lasting::Clock(_), _) => self.clock.set(0),
            (Lasting::Path, Store::Redis { proxy, .. }) => proxy.heal(),
            (Lasting::Path, Store::Sqlite { .. }) => {}
        }
        if let Some(fault) = self.faults.get_mut(at) {
            fault.to_ms = now_ms();
        }
    }

    /// Gives or takes a right. A server that is away forgets what was taken.
    fn allow(&self, sign: char, command: &str) {
        let Store::Redis { server, .. } = &self.store else { return };
        if !self.lasting.iter().any(|(.., lasting)| *lasting == Lasting::Away) {
            let reply = server.command(&["ACL", "SETUSER", "default", &format!("{sign}{command}")]);
            assert_eq!(reply, Reply::Text(b"OK".to_vec()), "{sign}{command}");
        }
    }
}
