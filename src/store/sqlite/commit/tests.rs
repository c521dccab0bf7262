//! Group commit: what waits together, what fails alone, what is run once more.

use std::sync::atomic::{AtomicU32, Ordering};

use super::super::connection;
use super::*;
use crate::clock::ManualClock;
use crate::supervise::scope::{Scope, scope};

/// Holds the thread at a command, which comes to its end when what is returned beside it is dropped.
async fn held(handle: &Handle) -> (impl Future<Output = Result<(), StoreError>>, mpsc::Sender<()>) {
    let (begun, has_begun) = mpsc::channel();
    let (go, held) = mpsc::channel::<()>();
    let mut command = Box::pin(handle.call(move |_| {
        // Both channels may be closed by the time this is run again.
        let _ = begun.send(());
        let _ = held.recv();
        Ok(())
    }));
    assert!(futures_util::poll!(command.as_mut()).is_pending());
    has_begun.recv().unwrap();
    (command, go)
}

/// Holds a thread at its first command until three more wait. Returns whether each of the three succeeded, which of
/// their rows were stored, and how many transactions were committed.
async fn three(second: fn(&Step<'_>) -> Result<(), StoreError>) -> (Vec<bool>, Vec<i64>, u32) {
    let mut conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE rows (n)").unwrap();
    let commits = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&commits);
    conn.commit_hook(Some(move || {
        counter.fetch_add(1, Ordering::SeqCst);
        false
    }))
    .unwrap();
    let role = Role::Writer(Notifier::new(std::path::PathBuf::from("/nonexistent")));
    let handle = spawn(conn, Arc::new(ManualClock::at(0)), role, Findings::default()).unwrap();
    let (first, go) = held(&handle).await;
    let insert = |n: i64| {
        move |step: &Step<'_>| {
            step.sql("INSERT INTO rows VALUES (?1)")?.execute([n])?;
            Ok(())
        }
    };
    let failing = move |step: &Step<'_>| insert(2)(step).and_then(|()| second(step));
    // Each is sent when it is first polled; the last of all lets the thread go on.
    let (first, one, two, three, ()) =
        tokio::join!(first, handle.call(insert(1)), handle.call(failing), handle.call(insert(3)), async move {
            drop(go);
        });
    first.unwrap();
    let outcomes = vec![one.is_ok(), two.is_ok(), three.is_ok()];
    let commits = commits.load(Ordering::SeqCst);
    let rows = handle
        .call(|step| {
            let mut select = step.sql("SELECT n FROM rows ORDER BY n")?;
            let rows = select.query_map([], |row| row.get(0))?;
            Ok(rows.collect::<Result<Vec<i64>, _>>()?)
        })
        .await
        .unwrap();
    (outcomes, rows, commits)
}

#[tokio::test]
async fn commands_that_wait_are_committed_together() {
    let (outcomes, rows, commits) = three(|_| Ok(())).await;
    assert_eq!((outcomes, rows), (vec![true, true, true], vec![1, 2, 3]));
    assert_eq!(commits, 2, "one for the command that was held, one for the three");
}

#[tokio::test]
async fn a_failing_command_undoes_no_other() {
    let (outcomes, rows, commits) = three(|_| Err(gone())).await;
    assert_eq!((outcomes, rows), (vec![true, false, true], vec![1, 3]));
    assert_eq!(commits, 2);
}

#[tokio::test]
async fn a_command_that_fails_alone_leaves_nothing() {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE rows (n)").unwrap();
    let role = Role::Writer(Notifier::new(std::path::PathBuf::from("/nonexistent")));
    let handle = spawn(conn, Arc::new(ManualClock::at(0)), role, Findings::default()).unwrap();
    let insert = |step: &Step<'_>| {
        step.sql("INSERT INTO rows VALUES (1)")?.execute([])?;
        Ok(())
    };
    let failed: Result<(), _> = handle.call(move |step| insert(step).and_then(|()| Err(gone()))).await;
    failed.unwrap_err();
    handle.call(insert).await.unwrap();
    let count =
        |step: &Step<'_>| Ok(step.sql("SELECT count(*) FROM rows")?.query_row([], |row| row.get::<_, i64>(0))?);
    assert_eq!(handle.call(count).await.unwrap(), 1);
}

#[tokio::test]
async fn commands_survive_the_loss_of_their_transaction() {
    let lose = |step: &Step<'_>| {
        step.sql("ROLLBACK")?.execute([])?;
        Err(gone())
    };
    let (outcomes, rows, _) = three(lose).await;
    assert_eq!((outcomes, rows), (vec![true, false, true], vec![1, 3]));
}

#[tokio::test]
async fn a_panic_of_either_thread_is_ours() {
    for (role, task) in [
        (Role::Reader, "the store's reader"),
        (Role::Writer(Notifier::new(std::path::PathBuf::from("/nonexistent"))), "the store's writer"),
    ] {
        let (conn, clock) = (Connection::open_in_memory().unwrap(), Arc::new(ManualClock::at(0)));
        let handle = spawn(conn, clock, role, Findings::default()).unwrap();
        assert_eq!(handle.call(|_| Ok(scope())).await.unwrap(), Scope::Ours(task));
    }
}

#[tokio::test]
async fn a_dead_thread_is_told() {
    let (conn, clock) = (Connection::open_in_memory().unwrap(), Arc::new(ManualClock::at(0)));
    let handle = spawn(conn, clock, Role::Reader, Findings::default()).unwrap();
    let died: Result<(), _> = handle.call(|_| panic!("as no command should")).await;
    assert!(matches!(died, Err(StoreError::Unavailable(_))));
    let after = handle.call(|_| Ok(())).await;
    assert!(matches!(after, Err(StoreError::Unavailable(_))));
}

/// A thread on a file with a write-ahead log.
fn on_file(dir: &tempfile::TempDir) -> Handle {
    let conn = connection::writer(&dir.path().join("w.db"), connection::Options::default()).unwrap();
    let role = Role::Writer(Notifier::new(std::path::PathBuf::from("/nonexistent")));
    spawn(conn, Arc::new(ManualClock::at(0)), role, Findings::default()).unwrap()
}

/// Runs a command that finds no room so many times; tells what it came to and how often it was run.
async fn without_room(times: u32) -> (Result<u32, StoreError>, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let handle = on_file(&dir);
    let mut runs = 0;
    let result = handle
        .call(move |step| {
            runs += 1;
            step.sql("INSERT INTO queues (name) VALUES (?1)")?.execute([format!("run {runs}")])?;
            if runs > times { Ok(runs) } else { Err(StoreError::Full(format!("run {runs}"))) }
        })
        .await;
    let names = handle.call(|step| {
        let mut select = step.sql("SELECT name FROM queues LIMIT 9")?;
        let names = select.query_map([], |row| row.get(0))?;
        Ok(names.collect::<Result<_, _>>()?)
    });
    (result, names.await.unwrap())
}

#[tokio::test]
async fn what_finds_no_room_is_run_once_more() {
    assert_eq!(without_room(1).await, (Ok(2), vec!["run 2".to_owned()]));
    assert_eq!(without_room(2).await, (Err(StoreError::Full("run 2".to_owned())), vec![]));
}

#[tokio::test]
async fn the_log_is_emptied_before_the_second_try() {
    let dir = tempfile::tempdir().unwrap();
    let handle = on_file(&dir);
    let log = dir.path().join("w.db-wal");
    let insert = |step: &Step<'_>, n: i64| -> Result<(), StoreError> {
        Ok(step.sql("INSERT INTO queues (name) VALUES (?1)")?.execute([n]).map(drop)?)
    };
    for n in 0..100 {
        handle.call(move |step| insert(step, n)).await.unwrap();
    }
    let before = std::fs::metadata(&log).unwrap().len();
    let mut has_room = false;
    let again = move |step: &Step<'_>| {
        insert(step, 100)?;
        if std::mem::replace(&mut has_room, true) { Ok(()) } else { Err(StoreError::Full("no room".to_owned())) }
    };
    handle.call(again).await.unwrap();
    for n in 101..150 {
        handle.call(move |step| insert(step, n)).await.unwrap();
    }
    let after = std::fs::metadata(&log).unwrap().len();
    assert!(after < before + 50 * 4096, "the log is written from its beginning, {before} {after}");
}

#[tokio::test]
async fn a_step_needs_no_file_but_those_of_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let handle = on_file(&dir);
    let fill = |step: &Step<'_>| {
        let mut insert = step.sql("INSERT INTO jobs (queue, position, payload) VALUES ('q', ?1, zeroblob(2000))")?;
        (0..1000).try_for_each(|position| insert.execute([position]).map(drop))?;
        Ok(())
    };
    handle.call(fill).await.unwrap();
    let files = handle.call(|step| {
        // SQLite keeps the pages as they were before the command, to be able to take it back.
        step.sql("UPDATE jobs SET payload = zeroblob(2001) WHERE queue = 'q' AND position < 900")?.execute([])?;
        let open =
            std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
        Ok(open.map(|path| path.display().to_string()).filter(|path| path.contains("etilqs")).collect::<Vec<_>>())
    });
    assert_eq!(files.await.unwrap(), [""; 0]);
}

/// Sends two commands that are committed together, of which the second ends the transaction of both, where a trigger refuses to
/// count a job of the first. Returns what the first came to, and whether its job is stored.
async fn uncounted(raise: &str) -> (Result<(), StoreError>, bool) {
    let dir = tempfile::tempdir().unwrap();
    let conn = connection::writer(&dir.path().join("w.db"), connection::Options::default()).unwrap();
    let trigger = "CREATE TRIGGER barred BEFORE INSERT ON stats BEGIN SELECT RAISE";
    conn.execute_batch(&format!("{trigger}({raise}); END")).unwrap();
    let role = Role::Writer(Notifier::new(std::path::PathBuf::from("/nonexistent")));
    let handle = spawn(conn, Arc::new(ManualClock::at(0)), role, Findings::default()).unwrap();
    let (first, go) = held(&handle).await;
    let push = |step: &Step<'_>| {
        step.sql("INSERT INTO jobs (queue, position, payload) VALUES ('q', 1, '{}')")?.execute([])?;
        step.counts.borrow_mut().of(&crate::job::QueueName::as_stored("q")).add(1, 0);
        Ok(())
    };
    let lose = |step: &Step<'_>| -> Result<(), StoreError> {
        step.sql("ROLLBACK")?.execute([])?;
        Err(gone())
    };
    let (first, pushed, lost, ()) = tokio::join!(first, handle.call(push), handle.call(lose), async move { drop(go) });
    first.unwrap();
    assert_eq!(lost, Err(gone()), "it is told its own error");
    let stands = |step: &Step<'_>| Ok(step.sql("SELECT 1 FROM jobs WHERE queue = 'q' AND position = 1")?.exists([])?);
    (pushed, handle.call(stands).await.unwrap())
}

#[tokio::test]
async fn no_command_fails_because_its_jobs_are_not_counted() {
    for raise in ["ABORT, 'closed'", "FAIL, 'closed'", "ROLLBACK, 'closed'", "IGNORE"] {
        assert_eq!(uncounted(raise).await, (Ok(()), true), "{raise}");
    }
}
