//! What only a file suffers: a process that is killed, and a disk that is full.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use windlass::admin::explain::Cause;
use windlass::clock::Clock;
use windlass::job::RunOutcome;
use windlass::store::effect::Verdict;
use windlass::store::queueing::{Enqueued, When};
use windlass::store::sqlite::{Options, SqliteStore};
use windlass::store::workers::{ForceClean, Recovered, Recovery};
use windlass::store::{Store, StoreError};

use crate::explained::findings;
use crate::fixture::{Fixture, NOW_S, Place};
use crate::instance::Instance;
use crate::look::{counters, delay, delayed_at, failed, fill, job, jobs, push, queue, queued};
use crate::support::verbs::Verbs as _;
use windlass::store::role::Whole;

/// A handle whose file may have no more than so many pages.
fn narrow(f: &Fixture, pages: u32) -> Store<Whole> {
    let clock: Arc<dyn Clock> = Arc::clone(&f.clock) as _;
    let options = Options { max_page_count: Some(pages), ..Options::default() };
    SqliteStore::open_with(&f.place.file(), clock, options).expect("sqlite must open").into()
}

/// How many pages the file has, all of which are in use.
fn pages(f: &Fixture) -> u32 {
    let file = rusqlite::Connection::open(f.place.file()).expect("the file must open");
    let number = |pragma: &str| file.pragma_query_value(None, pragma, |row| row.get(0)).expect("a number");
    assert_eq!(number("freelist_count"), 0);
    number("page_count")
}

#[tokio::test]
async fn a_process_that_is_killed_loses_nothing_acknowledged() {
    let mut f = Fixture::sqlite().await;
    let mut instance = Instance::join(&f.store, "a", 3).await;
    fill(&f.store, "q", &jobs(0..10)).await;
    delay(&f.store, &job(20), When::At(NOW_S + 10)).await;
    let claims = instance.claim(&["q"], &[1, 2, 3]).await;
    instance.settle_one(&claims[0], Verdict::Done).await;
    instance.settle_one(&claims[1], claims[1].failed()).await;
    // A kill leaves what the files hold at this moment.
    let crashed = copy_of(&f);
    let after = Fixture::at(crashed).await;
    assert_eq!(queued(&after.store, "q").await, jobs(3..10));
    assert_eq!(delayed_at(&after.store, NOW_S + 10).await, [job(20)]);
    assert_eq!(failed(&after.store).await, [claims[1].failure()]);
    assert_eq!(counters(&after.store).await, (1, 1));
    let standing = after.store.working(&instance.record.workers()).await.expect("working");
    assert_eq!(standing[2].as_ref().and_then(|record| record.payload.clone()), Some(job(2)));
    // The file is opened again after a handle was dropped without closing.
    f.store = f.handle().await;
    drop(instance);
    assert_eq!(queued(&f.store, "q").await, jobs(3..10));
}

/// The store's files as they stand on the disk, copied while they are in use.
fn copy_of(f: &Fixture) -> Place {
    let copy = Place::sqlite();
    for suffix in ["", "-wal"] {
        let name = |place: &Place| format!("{}{suffix}", place.file().display());
        std::fs::copy(name(&f.place), name(&copy)).expect("the file must be there");
    }
    copy
}

#[tokio::test]
async fn the_file_alone_holds_everything_after_a_clean_end() {
    let f = Fixture::sqlite().await;
    let log = || std::fs::metadata(format!("{}-wal", f.place.file().display())).expect("the log must be there").len();
    let instance = Instance::join(&f.store, "a", 1).await;
    let reader = rusqlite::Connection::open(f.place.file()).expect("the file must open");
    let count = |table| reader.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, u32>(0));
    reader.execute_batch("BEGIN").expect("begin");
    assert_eq!(count("jobs").expect("count"), 0);
    fill(&f.store, "q", &jobs(0..10)).await;
    f.store.leave(&instance.record).await.expect("an end beside somebody who reads is as clean");
    assert!(log() > 0, "what the reader does not see yet cannot be in the file");
    reader.execute_batch("COMMIT").expect("commit");
    let instance = Instance::join(&f.store, "b", 1).await;
    fill(&f.store, "q", &jobs(10..20)).await;
    f.store.leave(&instance.record).await.expect("leave");
    assert_eq!(log(), 0);
    let copy = Place::sqlite();
    std::fs::copy(f.place.file(), copy.file()).expect("the file must be there");
    assert_eq!(queued(&Fixture::at(copy).await.store, "q").await, jobs(0..20));
}

#[tokio::test]
async fn a_job_whose_process_died_after_the_exchange_is_recovered() {
    let f = Fixture::sqlite().await;
    fill(&f.store, "q", &jobs(0..1)).await;
    let mut instance = Instance::join(&f.handle().await, "a", 1).await;
    instance.claim_one("q").await;
    drop(instance);
    let other = f.handle().await;
    let state = other.instances().await.expect("instances").remove(0);
    let record = other.working(&state.record.workers()).await.expect("working").remove(0).expect("record");
    let recovery = windlass::store::workers::Recovery {
        instance: Some((state.record.id.clone(), state.counter)),
        queue: record.queue.clone().expect("queue"),
        payload: record.payload.clone().expect("payload"),
        verdict: Verdict::Requeued { identity: record.identity.clone().expect("identity").redelivered() },
        record,
        free: Vec::new(),
        tick: None,
        run: None,
    };
    assert_eq!(other.recover(&recovery).await.expect("recover"), Recovered::Yes);
    assert!(other.bury(&state).await.expect("bury"));
    assert_eq!(queued(&other, "q").await, [job(0)]);
}

#[tokio::test]
async fn a_full_store_refuses_and_keeps_what_it_holds() {
    let f = Fixture::sqlite().await;
    let narrow = narrow(&f, 120);
    let large = bytes::Bytes::from(format!(r#"{{"class":"x","args":["{}"]}}"#, "x".repeat(4000)));
    let mut accepted = 0;
    let error = loop {
        match narrow.enqueue(&[push("q", &large, &[])]).await {
            Ok(enqueued) => {
                assert_eq!(enqueued, [Enqueued::Yes]);
                accepted += 1;
            }
            Err(error) => break error,
        }
        assert!(accepted < 10_000, "the store never fills");
    };
    assert!(matches!(error, StoreError::Full(_)), "{error:?}");
    assert!(error.is_transient());
    assert_eq!(queued(&f.store, "q").await.len(), accepted, "what was acknowledged is there, the rest is not");
    // Room is made, and it goes on.
    f.store.delete_queue(&crate::look::queue("q")).await.expect("delete_queue");
    fill(&narrow, "q", &jobs(0..3)).await;
    assert_eq!(queued(&f.store, "q").await, jobs(0..3));
}

#[tokio::test]
async fn an_exchange_on_a_full_store_is_repeated_once_there_is_room() {
    let f = Fixture::sqlite().await;
    let narrow = narrow(&f, 120);
    let mut instance = Instance::join(&narrow, "a", 4).await;
    fill(&narrow, "q", &jobs(0..8)).await;
    let claims = instance.claim(&["q"], &[1, 2, 3, 4]).await;
    let large = bytes::Bytes::from("x".repeat(3000));
    while narrow.enqueue(&[push("ballast", &large, &[])]).await.is_ok() {}
    let record = bytes::Bytes::from(format!(r#"{{"error":"{}"}}"#, "y".repeat(100_000)));
    let settlements = vec![
        claims[0].ends(Verdict::Done),
        claims[1].ends(Verdict::Failed { record: record.clone() }),
        claims[2].ends(claims[2].requeued()),
    ];
    let exchange = windlass::store::queueing::Exchange { settlements, ..instance.next_claim(&["q"], &[1, 2]) };
    let error = instance.try_send(&exchange).await.expect_err("there is no room for the record");
    assert!(matches!(error, StoreError::Full(_)), "{error:?}");
    assert_eq!(counters(&f.store).await, (0, 0), "nothing was changed");
    assert_eq!(instance.working().await.len(), 4);
    f.store.delete_queue(&crate::look::queue("ballast")).await.expect("delete_queue");
    let exchanged = instance.send(&exchange).await;
    assert_eq!(exchanged.lost, [0_usize; 0]);
    assert_eq!(exchanged.claims.len(), 2);
    assert_eq!(failed(&f.store).await, [record]);
    assert_eq!(counters(&f.store).await, (1, 1));
    assert_eq!(exchanged.claims[0].payload, job(2), "the one put back is at the head");
    assert_eq!(queued(&f.store, "q").await, jobs(5..8));
}

#[tokio::test]
async fn jobs_are_recovered_on_a_full_store_without_the_records_of_their_runs() {
    let f = Fixture::sqlite().await;
    let mut instance = Instance::join(&f.store, "a", 2).await;
    fill(&f.store, "q", &jobs(0..2)).await;
    let claims = instance.claim(&["q"], &[1, 2]).await;
    // It takes a page, and there is none.
    let narrow = narrow(&f, pages(&f));
    let mut run = crate::runs::run(RunOutcome::CutOff, 1);
    run.run.output = vec!["y".repeat(500); 20];
    let records = instance.working().await;
    let recovery = Recovery {
        instance: None,
        queue: queue("q"),
        payload: job(0),
        verdict: Verdict::Done,
        record: records[0].clone(),
        free: Vec::new(),
        tick: None,
        run: Some(run.clone()),
    };
    assert_eq!(narrow.recover(&recovery).await.expect("recover"), Recovered::Yes);
    let clean = ForceClean {
        worker: claims[1].worker.clone(),
        working: Some(records[1].clone()),
        record: Some(claims[1].failure()),
        free: Vec::new(),
        run: Some(run.clone()),
    };
    assert!(narrow.run(clean).await.expect("force_clean"));
    assert_eq!((counters(&f.store).await, failed(&f.store).await), ((1, 1), vec![claims[1].failure()]));
    assert_eq!(instance.working().await.len(), 0);
    let kept = f.store.read_runs(&[run.list.clone()], 10).await.expect("read_runs");
    assert_eq!(kept[0].runs.len(), 0, "there was no room for it");
}

/// A small disk in memory, mounted over the folder of a store.
struct Disk(PathBuf);

impl Disk {
    /// A store on a disk of so many KiB. `None` where this user may not mount one: then these tests show nothing.
    fn of(kib: u32) -> Option<(Self, Place)> {
        let place = Place::sqlite();
        let folder = place.file().parent().expect("the file must be in a folder").to_owned();
        let size = format!("size={kib}k");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&folder).output();
        mounted.is_ok_and(|mounted| mounted.status.success()).then(|| (Self(folder), place))
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let mut ballast = std::fs::File::create(self.ballast()).expect("the disk must take a name");
        for size in [4096, 1] {
            while ballast.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.ballast()).expect("the disk must give room back");
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily, because threads of the store may still have the files open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn size(path: &Path, suffix: &str) -> u64 {
    std::fs::metadata(format!("{}{suffix}", path.display())).map_or(0, |found| found.len())
}

#[tokio::test]
async fn a_queue_shrinks_on_a_disk_that_is_full() {
    let Some((disk, place)) = Disk::of(2048) else { return };
    let f = Fixture::at(place).await;
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let all = jobs(0..1000);
    fill(&f.store, "q", &all).await;
    disk.fill();
    for expected in &all {
        let claim = instance.claim_one("q").await;
        assert_eq!(claim.claim.payload, *expected);
        instance.settle_one(&claim, Verdict::Done).await;
        instance.extend().await;
    }
    assert_eq!(counters(&f.store).await, (1000, 0));
    assert_eq!(queued(&f.store, "q").await, [""; 0]);
}

#[tokio::test]
async fn a_full_disk_is_told_until_there_is_room() {
    let Some((disk, place)) = Disk::of(2048) else { return };
    let f = Fixture::at(place).await;
    fill(&f.store, "q", &jobs(0..1)).await;
    let told = async || findings(&f).await.into_iter().find(|one| one.cause == Cause::StoreFull);
    assert!(told().await.is_some_and(|one| !one.blocks), "there is little room");
    disk.fill();
    let full = told().await.expect("it is full");
    assert!(full.blocks && full.text.contains("cannot grow"), "{full:?}");
    assert!(full.command.is_some_and(|command| command.starts_with("du -xah ")));
    disk.make_room();
    assert!(told().await.is_some_and(|one| !one.blocks));
}

#[tokio::test]
async fn the_log_leaves_the_room_that_the_file_needs() {
    let Some((_disk, place)) = Disk::of(2048) else { return };
    let f = Fixture::at(place).await;
    let file = f.place.file();
    let mut accepted = 0;
    while accepted < 10_000 && f.store.enqueue(&[push("q", &job(accepted), &[])]).await.is_ok() {
        accepted += 1;
        let (log, stored) = (size(&file, "-wal"), size(&file, ""));
        assert!(log + stored < 1600 * 1024, "{accepted} jobs: the log has {log} bytes, the file {stored}");
    }
    assert_eq!(accepted, 10_000, "10,000 short jobs need half of the disk");
}

#[tokio::test]
async fn a_full_disk_refuses_what_is_new_and_takes_it_once_there_is_room() {
    let Some((disk, place)) = Disk::of(2048) else { return };
    let f = Fixture::at(place).await;
    fill(&f.store, "q", &jobs(0..3)).await;
    disk.fill();
    let large = push("q", &bytes::Bytes::from("x".repeat(1 << 20)), &[]);
    for _ in 0..3 {
        let error = f.store.enqueue(std::slice::from_ref(&large)).await.expect_err("there is no room");
        assert!(matches!(error, StoreError::Full(_)), "{error:?}");
    }
    let store = SqliteStore::open(&f.place.file(), Arc::clone(&f.clock) as _).map(Store::from).expect("it can be read");
    assert_eq!(queued(&store, "q").await, jobs(0..3));
    disk.make_room();
    assert_eq!(f.store.enqueue(&[push("q", &job(3), &[])]).await.expect("enqueue"), [Enqueued::Yes]);
    assert_eq!(queued(&store, "q").await, jobs(0..4));
}

#[tokio::test]
async fn a_file_on_a_full_disk_that_nobody_has_open_is_told_as_full() {
    let Some((disk, place)) = Disk::of(512) else { return };
    let f = Fixture::at(place).await;
    let file = f.place.file();
    drop(f.store);
    // The last connection that is closed removes the log and its index.
    crate::fixture::until("the log is removed", async || !Path::new(&format!("{}-wal", file.display())).exists()).await;
    disk.fill();
    let open = || SqliteStore::open(&file, Arc::clone(&f.clock) as Arc<dyn Clock>);
    let error = open().expect_err("there is no room for the index of the log");
    assert!(matches!(error, StoreError::Full(_)), "{error:?}");
    disk.make_room();
    open().expect("it opens when there is room");
}

#[tokio::test]
async fn a_path_is_opened_up_to_the_length_that_is_named() {
    let dir = tempfile::tempdir().expect("a temporary folder must be had");
    let folder = dir.path().canonicalize().expect("it exists").join("d".repeat(200)).join("e".repeat(200));
    std::fs::create_dir_all(&folder).expect("folders can be made");
    let open = |length: usize| {
        let name = "f".repeat(length - folder.as_os_str().len() - 1);
        SqliteStore::open(&folder.join(name), Arc::new(windlass::clock::SystemClock))
    };
    assert!(open(504).is_ok());
    let Err(StoreError::Unavailable(said)) = open(505) else { panic!("it must be refused") };
    assert!(
        said.ends_with("its full path has 505 bytes, and SQLite opens paths of at most 504; choose a shorter one"),
        "{said}"
    );
}
