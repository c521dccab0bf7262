//! Each writing arrow on a SQLite file that cannot be written to, because another process has locked it or the system
//! refuses the write: nothing is changed, the error says why, and the arrow when it is repeated does what it would have
//! done at first.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use windlass::clock::Clock;
use windlass::store::sqlite::{Options, SqliteStore};
use windlass::store::{Store, StoreError};

use crate::errors::{ARROWS, Stage, Steps};

/// Runs each arrow while the file cannot be written to; `lock` makes it so until what it returns is dropped.
async fn each<L>(why: &str, lock: impl Fn(&Stage) -> L) {
    for (name, steps, run) in ARROWS {
        let mut sound = Stage::set().await;
        let answer = run(&mut sound).await.expect("nothing goes wrong here");

        let mut stage = Stage::set().await;
        let before = stage.rows();
        let impatient = Options { patience: Some(Duration::ZERO), ..Options::default() };
        let clock = Arc::clone(&stage.f.clock) as Arc<dyn Clock>;
        let store = SqliteStore::open_with(&stage.f.place.file(), clock, impatient).expect("sqlite must open");
        stage.f.store = Store::from(store);
        stage.instance.store = stage.f.store.clone();
        stage.instance.reopen().await;
        let locked = lock(&stage);
        let erred = run(&mut stage).await;
        drop(locked);
        let error = erred.expect_err(name);
        assert!(matches!(&error, StoreError::Unavailable(said) if said.contains(why)), "{name}: {error:?}");
        assert_eq!(stage.rows(), before, "{name} while the file cannot be written to");
        let repeated = run(&mut stage).await.expect("the file can be written to again");
        if *steps != Steps::Many {
            assert_eq!(repeated, answer, "{name} answers as it would have");
        }
        assert_eq!(stage.rows(), sound.rows(), "{name} does what it would have done at first");
    }
}

#[tokio::test]
async fn a_file_that_another_process_has_locked() {
    each("locked", |stage| {
        let other = stage.file();
        other.execute_batch("BEGIN IMMEDIATE").expect("the lock must be had");
        other
    })
    .await;
}

/// Set in the process of its own in which the limit applies to no other test.
const ALONE: &str = "WINDLASS_TEST_ALONE";

/// The limit of this process for the size of files, until it is dropped.
struct NoWrites(Rlimit);

impl NoWrites {
    fn begin() -> Self {
        let before = getrlimit(Resource::Fsize);
        setrlimit(Resource::Fsize, Rlimit { current: Some(0), ..before }).expect("a limit may be lowered");
        Self(before)
    }
}

impl Drop for NoWrites {
    fn drop(&mut self) {
        setrlimit(Resource::Fsize, self.0).expect("a soft limit may be raised again");
    }
}

#[test]
fn a_file_to_which_the_system_refuses_to_write() {
    if std::env::var_os(ALONE).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(each("disk I/O error", |_| NoWrites::begin()));
        return;
    }
    // The shell lets a write beyond the limit fail instead of ending the process.
    let this = std::env::current_exe().expect("a test must know its program");
    let test = "unwritable::a_file_to_which_the_system_refuses_to_write";
    let mut alone = Command::new("sh");
    alone.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(this).args(["--exact", test]).env(ALONE, "1");
    let ended = alone.output().expect("the test must run in a process of its own");
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&ended.stderr));
}
