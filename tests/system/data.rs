//! Who may have written the file of a store: a daemon takes none of a stranger's, and a command of root works with one as
//! its owner could.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::process::CommandExt as _;

use rustix::fs::{CWD, FileType, mknodat};

use crate::daemon::{Folder, eventually};

/// A user who is neither root nor ourselves, and has no name.
const STRANGER: u32 = 54_321;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A store in a folder of a stranger's, with a job.
fn of_a_stranger() -> Folder {
    let folder = Folder::new("sqlite:data/w.db", "");
    fs::set_permissions(folder.path(""), Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(folder.path("data")).unwrap();
    folder.script("own", "echo ran >>done");
    chown(folder.path("data"), Some(STRANGER), Some(STRANGER)).unwrap();
    folder
}

#[test]
fn a_daemon_runs_no_jobs_of_a_strangers_file() {
    // Only root can give files away.
    if !is_root() {
        return;
    }
    let folder = of_a_stranger();
    assert_eq!(folder.windlass(&["enqueue", "own"]).0, Some(0));
    let refused = |said: &str| {
        let (code, text) = folder.windlass(&["run"]);
        assert!(code == Some(69) && text.contains(said), "{said:?} is not in {text}");
    };
    let path = |name: &str| folder.path(name).display().to_string();
    refused(&format!("{} belongs to 54321, who could have anything run", path("data")));
    refused("owners = [\"54321\"] under [security]");
    // The folder is ours, and one of the files is not.
    chown(folder.path("data"), Some(0), Some(0)).unwrap();
    refused(&format!("look at what it holds, then: chown root {}", path("data/w.db")));
    for end in ["", "-wal", "-shm"] {
        let _ = chown(folder.path(&format!("data/w.db{end}")), Some(0), Some(0));
    }
    for end in ["-wal", "-shm", "-journal"] {
        let beside = folder.path(&format!("data/w.db{end}"));
        let mine = !beside.exists();
        if mine {
            fs::write(&beside, "").unwrap();
        }
        chown(&beside, Some(STRANGER), None).unwrap();
        refused(&format!("{} belongs to 54321", beside.display()));
        chown(&beside, Some(0), None).unwrap();
        if mine {
            fs::remove_file(&beside).unwrap();
        }
    }
    fs::create_dir(folder.path("data/w.db.wake")).unwrap();
    chown(folder.path("data/w.db.wake"), Some(STRANGER), None).unwrap();
    refused(&format!("{} belongs to 54321", path("data/w.db.wake")));
    fs::remove_dir(folder.path("data/w.db.wake")).unwrap();
    // Who could put files beside it could have put any jobs there.
    fs::set_permissions(folder.path("data"), Permissions::from_mode(0o1777)).unwrap();
    refused("may be written by everybody (mode 1777)");
    fs::set_permissions(folder.path("data"), Permissions::from_mode(0o700)).unwrap();
    assert!(!folder.path("done").exists());
    // A user who is trusted by name or number.
    chown(folder.path("data/w.db"), Some(STRANGER), None).unwrap();
    folder.reconfigure("scheduler = true", "security.owners = [54321]\nscheduler = true");
    let daemon = folder.daemon();
    eventually("the job runs", || folder.path("done").exists());
    daemon.stop();
}

#[test]
fn a_command_of_root_works_with_a_daemons_file_as_its_owner_could() {
    if !is_root() {
        return;
    }
    let folder = of_a_stranger();
    let owners = || -> Vec<u32> {
        let entries = fs::read_dir(folder.path("data")).unwrap();
        entries.map(|entry| entry.unwrap().metadata().unwrap().uid()).collect()
    };
    // What root makes there, the daemon can use.
    assert_eq!(folder.windlass(&["enqueue", "own"]).0, Some(0));
    assert!(!owners().is_empty() && owners().iter().all(|uid| *uid == STRANGER), "{:?}", owners());
    let mut command = folder.command(&["run"]);
    command.uid(STRANGER).gid(STRANGER);
    fs::write(folder.path("done"), "").unwrap();
    chown(folder.path("done"), Some(STRANGER), None).unwrap();
    let daemon = folder.start(command, "log");
    eventually("the job runs", || fs::read(folder.path("done")).unwrap() == b"ran\n");
    assert_eq!(folder.windlass(&["enqueue", "own"]).0, Some(0));
    eventually("the job of root's command runs", || fs::read(folder.path("done")).unwrap() == b"ran\nran\n");
    assert!(folder.windlass(&["--json", "stats"]).1.contains("\"processed\":2"));
    assert!(owners().iter().all(|uid| *uid == STRANGER), "{:?}", owners());
    daemon.stop();
    // Root can go everywhere; the owner of this file cannot, and so neither can a command over it.
    let secret = folder.path("secret");
    fs::create_dir(&secret).unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o700)).unwrap();
    fs::remove_dir_all(folder.path("data")).unwrap();
    symlink("secret", folder.path("data")).unwrap();
    std::os::unix::fs::lchown(folder.path("data"), Some(STRANGER), None).unwrap();
    let (code, text) = folder.windlass(&["enqueue", "own"]);
    assert!(code == Some(69), "{text}");
    assert_eq!(fs::read_dir(&secret).unwrap().count(), 0, "nothing is made where a link of a stranger's leads");
}

#[test]
fn what_stands_in_the_place_of_a_file_beside_the_store_neither_hangs_nor_leads_elsewhere() {
    let folder = Folder::new("sqlite:w.db", "");
    folder.script("own", "echo ran >>done");
    fs::write(folder.path("other"), "somebody's").unwrap();
    fs::create_dir(folder.path("others")).unwrap();
    fs::set_permissions(folder.path("others"), Permissions::from_mode(0o755)).unwrap();
    for end in ["-wal", "-shm", "-journal", ".wake"] {
        for kind in ["fifo", "link"] {
            for file in ["w.db", "w.db-wal", "w.db-shm", "done"] {
                let _ = fs::remove_file(folder.path(file));
            }
            assert_eq!(folder.windlass(&["enqueue", "own"]).0, Some(0));
            let beside = folder.path(&format!("w.db{end}"));
            let _ = fs::remove_file(&beside);
            match kind {
                "fifo" => mknodat(CWD, &beside, FileType::Fifo, 0o600.into(), 0).unwrap(),
                _ => symlink(if end == ".wake" { "others" } else { "other" }, &beside).unwrap(),
            }
            // Both say no or work. The harness ends a test that hangs.
            let (code, text) = folder.windlass(&["enqueue", "own"]);
            assert!([Some(0), Some(69)].contains(&code), "{end} {kind}: {text}");
            if code == Some(0) {
                let daemon = folder.daemon();
                eventually("the job runs", || folder.path("done").exists());
                daemon.stop();
            } else {
                assert!(text.contains("is no regular file"), "{end} {kind}: {text}");
            }
            assert_eq!(fs::read_to_string(folder.path("other")).unwrap(), "somebody's");
            assert_eq!(fs::read_dir(folder.path("others")).unwrap().count(), 0, "{end} {kind}");
            fs::remove_file(&beside).unwrap();
        }
    }
}
