//! A new store of one engine, its clock, and more handles on it.
//!
//! A handle stands for another process. All Redis tests of a process share one server,
//! each in a namespace of its own; each SQLite test has a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;
use tokio::time::{Duration, timeout};
use windlass::clock::{Clock, ManualClock};
use windlass::job::LockKey;
use windlass::store::effect::Tick;
use windlass::store::history::HistoryStep;
use windlass::store::redis::RedisStore;
use windlass::store::sqlite::SqliteStore;
use windlass::store::{Store, TimeSource};

use crate::support::redis::RedisServer;
use crate::support::resp::{Client, Reply};
use windlass::store::role::Whole;

/// Where every test's clock starts: a whole second.
pub(crate) const NOW_S: i64 = 1_800_000_000;

/// The same in milliseconds.
pub(crate) const NOW_MS: i64 = NOW_S * 1000;

/// A new store.
pub(crate) struct Fixture {
    /// The clock of every handle.
    pub(crate) clock: Arc<ManualClock>,
    /// The first handle.
    pub(crate) store: Store<Whole>,
    /// Where it is.
    pub(crate) place: Place,
}

/// Where a store is.
pub(crate) enum Place {
    /// A namespace of the shared server, or of another at a URL.
    Redis { url: String, namespace: String },
    /// A file in a folder that is deleted with the fixture.
    Sqlite { dir: TempDir },
}

impl Place {
    /// An unused namespace of the shared server.
    pub(crate) fn redis() -> Self {
        Self::redis_on(RedisServer::shared())
    }

    /// An unused namespace of a server.
    pub(crate) fn redis_on(server: &RedisServer) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let namespace = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
        Self::Redis { url: server.url(), namespace }
    }

    /// A new file.
    pub(crate) fn sqlite() -> Self {
        Self::Sqlite { dir: tempfile::tempdir().expect("a temporary folder must be had") }
    }

    /// The file.
    pub(crate) fn file(&self) -> PathBuf {
        match self {
            Self::Redis { .. } => panic!("redis has no file"),
            Self::Sqlite { dir } => dir.path().join("windlass.db"),
        }
    }

    /// A word that no other test of this process uses.
    pub(crate) fn unique(&self) -> String {
        match self {
            Self::Redis { namespace, .. } => namespace.clone(),
            Self::Sqlite { .. } => "alone".to_owned(),
        }
    }

    /// Opens a handle.
    pub(crate) async fn open(&self, clock: &Arc<ManualClock>) -> Store<Whole> {
        let clock: Arc<dyn Clock> = Arc::clone(clock) as _;
        match self {
            Self::Redis { url, namespace } => {
                let time = TimeSource::Clock(clock);
                RedisStore::connect(url, namespace, time).await.expect("redis must open").into()
            }
            Self::Sqlite { .. } => SqliteStore::open(&self.file(), clock).expect("sqlite must open").into(),
        }
    }
}

impl Fixture {
    /// A fresh store on Redis.
    pub(crate) async fn redis() -> Self {
        Self::at(Place::redis()).await
    }

    /// A fresh store on SQLite.
    pub(crate) async fn sqlite() -> Self {
        Self::at(Place::sqlite()).await
    }

    /// The store at a place.
    pub(crate) async fn at(place: Place) -> Self {
        let clock = Arc::new(ManualClock::at(NOW_MS));
        let store = place.open(&clock).await;
        Self { clock, store, place }
    }

    /// Another process' handle on the same store.
    pub(crate) async fn handle(&self) -> Store<Whole> {
        self.place.open(&self.clock).await
    }

    /// Another fresh store of the same engine.
    pub(crate) async fn sibling(&self) -> Self {
        match self.place {
            Place::Redis { .. } => Self::redis().await,
            Place::Sqlite { .. } => Self::sqlite().await,
        }
    }

    /// Lets the store's time pass.
    pub(crate) fn pass(&self, seconds: i64) {
        self.clock.advance(seconds * 1000);
    }

    /// The store's time, in whole seconds.
    pub(crate) fn second(&self) -> i64 {
        self.clock.now_ms() / 1000
    }

    /// Writes a lock of another program, whose end only its value tells.
    pub(crate) fn plant_lock(&self, key: &LockKey, value: &str) {
        match &self.place {
            Place::Redis { namespace, .. } => {
                let key = match key {
                    LockKey::Namespaced(key) => format!("{namespace}:{key}"),
                    LockKey::Verbatim(key) => key.clone(),
                };
                self.redis_command(&["SET", &key, value]);
            }
            Place::Sqlite { .. } => {
                let verbatim = matches!(key, LockKey::Verbatim(_));
                let sql = "INSERT OR REPLACE INTO locks (key, verbatim, value) VALUES (?1, ?2, ?3)";
                self.sqlite_execute(sql, rusqlite::params![key.as_str(), verbatim, value]);
            }
        }
    }

    /// Lets no job onto a queue: its key is no list, or a trigger refuses its rows.
    pub(crate) fn plant_barred_queue(&self, name: &str) {
        match &self.place {
            Place::Redis { .. } => drop(self.redis_command(&["SET", &self.key(&format!("queue:{name}")), "x"])),
            Place::Sqlite { .. } => {
                let connection = rusqlite::Connection::open(self.place.file()).expect("the file must open");
                let sql = format!(
                    "CREATE TRIGGER barred BEFORE INSERT ON jobs WHEN new.queue = '{name}' \
                     BEGIN SELECT RAISE(ABORT, 'closed'); END"
                );
                connection.execute_batch(&sql).expect("a trigger must be added");
            }
        }
    }

    /// Stops a periodic task that has an entry.
    pub(crate) fn plant_stopped(&self, tick: &Tick) {
        let task = tick.task.as_str();
        match &self.place {
            Place::Redis { namespace, .. } => {
                let place = format!("{namespace}:windlass:periodic");
                let entry = self.redis_command(&["HGET", &place, task]).texts().remove(0);
                let parts: Vec<&str> = entry.splitn(4, ' ').collect();
                let stopped = format!("{} {} 1 {}", parts[0], parts[1], parts[3]);
                self.redis_command(&["HSET", &place, task, &stopped]);
            }
            Place::Sqlite { .. } => {
                self.sqlite_execute("UPDATE periodic SET stopped = 1 WHERE task = ?1", rusqlite::params![task]);
            }
        }
    }

    /// Sets the number of the last batch that was set aside back, as in a store that fell back to an older snapshot.
    pub(crate) fn plant_fall_back(&self, batches: i64) {
        match &self.place {
            Place::Redis { .. } => {
                let less = (-batches).to_string();
                drop(self.redis_command(&["HINCRBY", &self.key("windlass:moving"), "number", &less]));
            }
            Place::Sqlite { .. } => {
                self.sqlite_execute("UPDATE moving SET number = number - ?1", rusqlite::params![batches]);
            }
        }
    }

    /// Forgets that anything was ever moved from or to this store, as a snapshot from before that does.
    pub(crate) fn plant_never_moved(&self) {
        match &self.place {
            Place::Redis { .. } => drop(self.redis_command(&["DEL", &self.key("windlass:moving")])),
            Place::Sqlite { .. } => {
                let file = rusqlite::Connection::open(self.place.file()).expect("the file must open");
                file.execute_batch("DELETE FROM moving; DELETE FROM itself").expect("the rows must be deleted");
            }
        }
    }

    /// Takes the tokens and targets out of the records of moves, which earlier versions did not write.
    pub(crate) fn plant_moves_without_tokens(&self) {
        match &self.place {
            Place::Redis { .. } => {
                drop(self.redis_command(&["HDEL", &self.key("windlass:moving"), "batch"]));
                let moved = self.key("windlass:moved");
                for field in self.redis_command(&["HKEYS", &moved]).texts() {
                    if field.ends_with(":batch") {
                        self.redis_command(&["HDEL", &moved, &field]);
                    }
                }
            }
            Place::Sqlite { .. } => {
                let file = rusqlite::Connection::open(self.place.file()).expect("the file must open");
                file.execute_batch(
                    "UPDATE moving SET token = NULL, target = NULL, address = NULL; UPDATE moved SET token = NULL",
                )
                .expect("the rows must be written");
            }
        }
    }

    /// Overwrites the lease counter of an instance.
    pub(crate) fn plant_counter(&self, instance: &str, value: &str) {
        match &self.place {
            Place::Redis { .. } => {
                drop(self.redis_command(&["HSET", &self.key("windlass:leases"), instance, value]));
            }
            Place::Sqlite { .. } => {
                let sql = "UPDATE instances SET counter = ?2 WHERE id = ?1";
                self.sqlite_execute(sql, rusqlite::params![instance, value]);
            }
        }
    }

    /// Overwrites the record of an instance.
    pub(crate) fn plant_record(&self, instance: &str, record: &str) {
        match &self.place {
            Place::Redis { .. } => {
                drop(self.redis_command(&["HSET", &self.key("windlass:instances"), instance, record]));
            }
            Place::Sqlite { .. } => {
                let sql = "UPDATE instances SET record = ?2 WHERE id = ?1";
                self.sqlite_execute(sql, rusqlite::params![instance, record]);
            }
        }
    }

    /// Removes the row of an instance from a file, and nothing else.
    pub(crate) fn remove_registration(&self, instance: &str) {
        self.sqlite_execute("DELETE FROM instances WHERE id = ?1", rusqlite::params![instance]);
    }

    /// Writes the last occurrence of a schedule.
    pub(crate) fn plant_occurrence(&self, schedule: &str, value: &str) {
        match &self.place {
            Place::Redis { .. } => {
                drop(self.redis_command(&["HSET", &self.key("windlass:schedules"), schedule, value]));
            }
            Place::Sqlite { .. } => {
                let sql = "INSERT OR REPLACE INTO schedules (id, last_s) VALUES (?1, ?2)";
                self.sqlite_execute(sql, rusqlite::params![schedule, value]);
            }
        }
    }

    /// Writes a Retry counter of another program.
    pub(crate) fn plant_attempts(&self, counter: &str, value: &str) {
        match &self.place {
            Place::Redis { .. } => drop(self.redis_command(&["SET", &self.key(counter), value])),
            Place::Sqlite { .. } => {
                let sql = "INSERT OR REPLACE INTO retries (key, value, expires_ms) VALUES (?1, ?2, ?3)";
                self.sqlite_execute(sql, rusqlite::params![counter, value, i64::MAX]);
            }
        }
    }

    /// Writes the counts of a task, as another program or version would.
    pub(crate) fn plant_counts(&self, step: HistoryStep, task: &str, value: &str) {
        let minute = step.bucket_at(self.clock.now_ms());
        match &self.place {
            Place::Redis { .. } => {
                let name = match step {
                    HistoryStep::Minute => "h",
                    HistoryStep::TenMinutes => "h10",
                    HistoryStep::Hour => "h60",
                };
                drop(self.redis_command(&["HSET", &self.key(&format!("windlass:{name}:{minute}")), task, value]));
            }
            Place::Sqlite { .. } => {
                let sql = "INSERT OR REPLACE INTO history (step, minute, task, counts) VALUES (?1, ?2, ?3, ?4)";
                self.sqlite_execute(sql, rusqlite::params![step.minutes(), minute, task, value.as_bytes()]);
            }
        }
    }

    /// Overwrites what the first lane of an instance stored.
    pub(crate) fn plant_lane(&self, instance: &str, value: &str) {
        match &self.place {
            Place::Redis { .. } => {
                let lane = self.key(&format!("windlass:lane:{instance}"));
                self.redis_command(&["HSET", &lane, "0", value]);
            }
            Place::Sqlite { .. } => {
                let sql = "UPDATE lanes SET sequence = ?2, reply = ?2 WHERE instance = ?1 AND lane = 0";
                self.sqlite_execute(sql, rusqlite::params![instance, value]);
            }
        }
    }

    /// A key of this store on Redis.
    pub(crate) fn key(&self, name: &str) -> String {
        let Place::Redis { namespace, .. } = &self.place else { panic!("sqlite has no keys") };
        format!("{namespace}:{name}")
    }

    /// A command to the Redis server that the store is on: the shared one, or one of its own at a socket.
    pub(crate) fn redis_command<A: AsRef<[u8]>>(&self, args: &[A]) -> Reply {
        let Place::Redis { url, .. } = &self.place else { panic!("sqlite takes no commands") };
        match url.strip_prefix("redis+unix://").filter(|path| !path.contains('@')) {
            Some(path) => {
                let mut client = Client::connect(Path::new(path)).expect("the server must be running");
                client.command(args).expect("the server must answer")
            }
            None => RedisServer::shared().command(args),
        }
    }

    pub(crate) fn sqlite_execute(&self, sql: &str, params: impl rusqlite::Params) {
        let connection = rusqlite::Connection::open(self.place.file()).expect("the file must open");
        connection.busy_timeout(SOON).expect("a timeout must be accepted");
        assert_eq!(connection.execute(sql, params).expect("the row must be written"), 1);
    }
}

/// How long a test waits before it fails.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Waits for something that must happen soon.
///
/// # Panics
/// If it does not happen.
pub(crate) async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    timeout(SOON, future).await.unwrap_or_else(|_| panic!("{what} did not happen within {SOON:?}"))
}

/// Asks again until the answer is yes. For things that end only by the passing of real time, which sends no signal.
pub(crate) async fn until<F: AsyncFnMut() -> bool>(what: &str, mut holds: F) {
    let ask = async {
        while !holds().await {
            // The pace of asking.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon(what, ask).await;
}
