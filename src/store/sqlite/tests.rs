//! What concerns this engine alone: a full file, other processes on it, files of other programs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rusqlite::Connection;
use tempfile::TempDir;

use super::{Options, SqliteStore};
use crate::clock::{Clock, ManualClock};
use crate::config::element::queues::QueuePatterns;
use crate::job::{QueueName, WorkerName};
use crate::store::effect::Verdict;
use crate::store::error::StoreError;
use crate::store::handle::{Lane, Store};
use crate::store::instance::{Extend, HostIdentity, InstanceRecord, Joined, Removed, RemovedState};
use crate::store::queueing::{Enqueue, Exchange, Exchanged, Settlement};
use crate::store::role::Whole;
use crate::store::verbs::Verbs as _;
use crate::store::wake::Watch;

struct Place {
    dir: TempDir,
    clock: Arc<ManualClock>,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), clock: Arc::new(ManualClock::at(1_800_000_000_000)) }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("w.db")
    }

    fn open(&self) -> Store<Whole> {
        self.try_open(&self.file(), Options::default()).unwrap()
    }

    fn try_open(&self, path: &Path, options: Options) -> Result<Store<Whole>, StoreError> {
        SqliteStore::open_with(path, Arc::clone(&self.clock) as Arc<dyn Clock>, options).map(Store::from)
    }
}

fn queue() -> QueueName {
    QueueName::new("q").unwrap()
}

fn push(payload: impl Into<Bytes>) -> Enqueue {
    Enqueue { queue: queue(), payload: payload.into(), front: false, admissions: Vec::new() }
}

fn record(id: &str, processors: usize) -> InstanceRecord {
    let host = HostIdentity { hostname: "h".into(), boot_id: "b".into(), pid_namespace: 1, pid: 7, started_ticks: 1 };
    let name = format!("h-windlass:{id}");
    let (queues, version) = ("*".into(), "0".into());
    InstanceRecord {
        id: id.into(),
        name,
        queues,
        former_queues: Vec::new(),
        host,
        processors,
        lease_ms: 15_000,
        periodic: Vec::new(),
        version,
        halt: None,
        tasks: None,
        skipped: Vec::new(),
        stuck: None,
        reload_refused: None,
        queues_given: false,
    }
}

async fn join(store: &Store<Whole>, id: &str, processors: usize) -> (InstanceRecord, Lane) {
    let record = record(id, processors);
    assert_eq!(store.join(&record).await.unwrap(), Joined::Yes);
    assert_eq!(store.register(id, &record.workers()).await.unwrap(), []);
    let lane = store.lane(id, 0).await.unwrap();
    (record, lane)
}

fn claim(sequence: u64, idle: Vec<WorkerName>) -> Exchange {
    let (settlements, enters) = (Vec::new(), Vec::new());
    Exchange { sequence, settlements, enters, idle, queues: Arc::from([queue()]), share: 1, run_at: "2027".into() }
}

/// The claims of an exchange, settled as done.
fn done(exchange: &Exchange, exchanged: &Exchanged) -> Vec<Settlement> {
    let done = |claim: &crate::store::queueing::Claim| Settlement {
        worker: exchange.idle[claim.index].clone(),
        claim: claim.token.clone(),
        queue: claim.queue.clone(),
        payload: claim.payload.clone(),
        verdict: Verdict::Done,
        free: Vec::new(),
        tick: None,
        run: None,
    };
    exchanged.claims.iter().map(done).collect()
}

#[tokio::test]
async fn a_full_file_refuses_whole_steps_and_goes_on_once_there_is_room() {
    let place = Place::new();
    let store = place.try_open(&place.file(), Options { max_page_count: Some(60), ..Options::default() }).unwrap();
    let batch = vec![push(vec![b'x'; 3000]), push(vec![b'y'; 3000])];
    let mut stored = 0;
    let error = loop {
        match store.enqueue(&batch).await {
            Ok(_) => stored += 2,
            Err(error) => break error,
        }
        assert!(stored < 1000, "60 pages must be full before that");
    };
    assert!(matches!(error, StoreError::Full(_)), "{error:?}");
    assert_eq!(store.queued(&queue(), 0, -1).await.unwrap().len(), stored);
    assert_eq!(store.delete_queue(&queue()).await.unwrap(), stored as u64);
    store.enqueue(&batch).await.unwrap();
    assert_eq!(store.queues().await.unwrap().queues[0].length, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_claim_every_job_once() {
    const JOBS: u32 = 600;
    let place = Place::new();
    let (one, two) = (place.open(), place.open());
    let jobs: Vec<Enqueue> = (0..JOBS).map(|n| push(n.to_string())).collect();
    one.enqueue(&jobs).await.unwrap();
    let work = |store: Store<Whole>, id: &'static str| async move {
        let (record, mut lane) = join(&store, id, 7).await;
        let mut exchange = claim(0, record.workers());
        let mut seen = Vec::new();
        loop {
            exchange.sequence += 1;
            let exchanged = lane.exchange(&exchange).await.unwrap();
            assert_eq!(exchanged.lost, [0_usize; 0]);
            if exchanged.claims.is_empty() && exchange.settlements.is_empty() {
                break seen;
            }
            seen.extend(exchanged.claims.iter().map(|claim| claim.payload.clone()));
            exchange.settlements = done(&exchange, &exchanged);
        }
    };
    let (first, second) = tokio::join!(tokio::spawn(work(one, "a")), tokio::spawn(work(two, "b")));
    let mut seen: Vec<u32> = [first.unwrap(), second.unwrap()]
        .concat()
        .iter()
        .map(|payload| std::str::from_utf8(payload).unwrap().parse().unwrap())
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..JOBS).collect::<Vec<_>>());
    assert_eq!(place.open().stats().await.unwrap().processed, u64::from(JOBS));
}

#[tokio::test]
async fn a_lane_remembers_its_last_exchange_over_a_new_start() {
    let place = Place::new();
    let store = place.open();
    store.enqueue(&[push("{1}"), push("2"), push("{3}")]).await.unwrap();
    let (record, mut lane) = join(&store, "a", 2).await;
    let exchange = claim(1, record.workers());
    let first = lane.exchange(&exchange).await.unwrap();
    drop((store, lane));
    let store = place.open();
    let mut lane = store.lane("a", 0).await.unwrap();
    let again = lane.exchange(&exchange).await.unwrap();
    assert_eq!(format!("{again:?}"), format!("{first:?}"));
    assert_eq!(again.claims.len(), 2);
    assert_eq!(store.queued(&queue(), 0, -1).await.unwrap(), ["{3}"]);
}

#[tokio::test]
async fn a_worker_cleaned_by_force_has_no_claims_until_its_instance_knows() {
    let place = Place::new();
    let store = place.open();
    let (record, mut lane) = join(&store, "a", 2).await;
    assert!(store.force_clean(&record.worker(1), None, None, &[]).await.unwrap());
    store.enqueue(&[push("1"), push("2")]).await.unwrap();
    let exchanged = lane.exchange(&claim(1, record.workers())).await.unwrap();
    assert_eq!(exchanged.claims.iter().map(|claim| claim.index).collect::<Vec<_>>(), [1]);
    let extend = Extend {
        progress: Vec::new(),
        ran: Vec::new(),
        pinged: Vec::new(),
        record: record.clone(),
        publish: true,
        census: false,
        workers: record.workers(),
        locks: Vec::new(),
        done: Vec::new(),
        long: Vec::new(),
    };
    let removed = store.extend(&extend).await.unwrap().removed;
    assert_eq!(removed, [Removed { index: 0, left: RemovedState::Nothing }]);
    let exchanged = lane.exchange(&claim(2, vec![record.worker(1)])).await.unwrap();
    assert_eq!(exchanged.claims[0].payload, "2", "no job was lost meanwhile");
}

#[tokio::test]
async fn a_waker_hears_other_processes() {
    let place = Place::new();
    let (store, other) = (place.open(), place.open());
    let waker = store.waker().await.unwrap();
    let watch = Watch { queues: vec![queue()], patterns: Some(Arc::new(QueuePatterns::all())), ..Watch::default() };
    let seen = waker.arm(&watch).await.unwrap();
    assert_eq!((seen.ready, &seen.resolved.unwrap().queues[..]), (false, &[][..]));
    other.enqueue(&[push("1")]).await.unwrap();
    waker.woken().await;
    // It stays woken until it looks.
    waker.woken().await;
    let seen = waker.arm(&watch).await.unwrap();
    assert_eq!((seen.ready, &seen.resolved.unwrap().queues[..]), (true, &[queue()][..]));
}

#[tokio::test]
async fn a_file_of_others_is_refused_and_left_alone() {
    let place = Place::new();
    drop(place.open());
    let refused = |path: &Path, words: &str| {
        let error = place.try_open(path, Options::default()).unwrap_err();
        assert!(matches!(error, StoreError::Unsupported(_) | StoreError::Unavailable(_)), "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
    };
    let raw = Connection::open(place.file()).unwrap();
    raw.pragma_update(None, "user_version", 999).unwrap();
    refused(&place.file(), "schema version 999");
    let text = place.dir.path().join("text");
    std::fs::write(&text, "a text of more than a hundred bytes ".repeat(9)).unwrap();
    refused(&text, "text is not a SQLite database");
    let foreign = place.dir.path().join("foreign");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    refused(&foreign, "another program");
    refused(&place.dir.path().join("none/w.db"), "none");
    refused(place.dir.path(), "directory");
}

/// Positions are found by blocks of places, no matter who writes to the list, and where.
#[tokio::test]
async fn failed_jobs_are_found_by_their_positions_wherever_gaps_are() {
    let place = Place::new();
    let store = place.open();
    let raw = Connection::open(place.file()).unwrap();
    let insert = |place: i64| {
        let sql = "INSERT INTO failed (place, digest, record) VALUES (?1, 0, CAST(?1 AS BLOB))";
        raw.execute(sql, [place]).unwrap();
    };
    raw.execute_batch("BEGIN").unwrap();
    (-1500..3000).step_by(3).for_each(&insert);
    insert(i64::MAX / 2);
    raw.execute("DELETE FROM failed WHERE place BETWEEN 100 AND 1300 OR place % 7 = 0", []).unwrap();
    raw.execute_batch("COMMIT").unwrap();
    let mut select = raw.prepare("SELECT place FROM failed ORDER BY place").unwrap();
    let stands: Vec<Bytes> = select
        .query_map([], |row| Ok(Bytes::from(row.get::<_, i64>(0)?.to_string())))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let length = i64::try_from(stands.len()).unwrap();
    assert_eq!(store.failed_count().await.unwrap(), stands.len() as u64);
    for start in (0..length).step_by(97).chain([length - 1]) {
        let at = usize::try_from(start).unwrap();
        assert_eq!(store.failed(start, start + 40).await.unwrap(), stands[at..(at + 41).min(stands.len())], "{start}");
    }
    assert_eq!(store.failed(-3, -1).await.unwrap(), stands[stands.len() - 3..]);
    assert_eq!(store.failed(length, length + 5).await.unwrap(), [""; 0]);
    assert_eq!(store.clear_failed().await.unwrap(), stands.len() as u64);
    assert_eq!((store.failed_count().await.unwrap(), store.failed(0, -1).await.unwrap().len()), (0, 0));
    let blocks: i64 = raw.query_row("SELECT count(*) FROM failed_blocks", [], |row| row.get(0)).unwrap();
    assert_eq!(blocks, 0, "no block stays behind");
}

#[tokio::test]
async fn many_processes_may_create_the_file_at_once() {
    for _ in 0..10 {
        let place = Place::new();
        let stores: Vec<Store<Whole>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| place.open())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for store in &stores {
            store.enqueue(&[push("1")]).await.unwrap();
        }
        assert_eq!(stores[0].queues().await.unwrap().queues[0].length, 8);
    }
}

#[tokio::test]
async fn a_damaged_file_is_told_and_nothing_panics() {
    let place = Place::new();
    let store = place.open();
    store.enqueue(&(0..200).map(|n| push(vec![b'x'; n * 10])).collect::<Vec<_>>()).await.unwrap();
    drop(store);
    let sound = place.dir.path().join("sound.db");
    Connection::open(place.file()).unwrap().execute("VACUUM INTO ?1", [sound.to_str().unwrap()]).unwrap();
    let mut bytes = std::fs::read(&sound).unwrap();
    // The first page and those of the schema say what the file is; all others are noise.
    let is_schema = |page: &[u8]| page.windows(7).any(|word| word == b"CREATE ");
    for page in bytes.chunks_mut(4096).skip(1).filter(|page| !is_schema(page)) {
        for (at, byte) in page.iter_mut().enumerate() {
            *byte = u8::try_from(at * 31 % 251).unwrap();
        }
    }
    let damaged = place.dir.path().join("damaged.db");
    std::fs::write(&damaged, bytes).unwrap();
    let store = place.try_open(&damaged, Options::default()).unwrap();
    let error = store.enqueue(&[push("1")]).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
    let error = store.queued(&queue(), 0, -1).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
}

#[tokio::test]
async fn a_dropped_store_ends_its_threads() {
    let place = Place::new();
    for _ in 0..20 {
        let store = place.open();
        store.enqueue(&[push("1")]).await.unwrap();
    }
    let ended = async {
        // The threads hold the clock, and only that shows their end.
        while Arc::strong_count(&place.clock) > 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap();
    assert_eq!(place.open().queues().await.unwrap().queues[0].length, 20);
}
