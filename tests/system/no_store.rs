//! Commands where no store is: a look makes none, and says where it looked.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::daemon::{BINARY, Folder};

/// Everything that only looks, or changes what is there.
const LOOKS: [&[&str]; 14] = [
    &["failed"],
    &["failed", "count"],
    &["failed", "retry", "--all", "--yes"],
    &["queues"],
    &["workers"],
    &["locks"],
    &["delayed"],
    &["periodic"],
    &["plan"],
    &["stats"],
    &["details"],
    &["leader"],
    &["health"],
    &["queues", "pause", "default"],
];

/// Runs a command line in this folder, without a configuration.
fn run_in(folder: &Path, args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(BINARY);
    command.args(args).current_dir(folder).env_remove("WINDLASS_STORE_URL").env_remove("WINDLASS_CONFIG");
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

/// The machine that runs the tests may have a configuration of its own.
fn is_configured() -> bool {
    ["/etc/windlass/config/tasks.toml", "/etc/windlass/tasks.toml"].iter().any(|place| Path::new(place).exists())
}

#[test]
fn a_look_makes_no_database_and_names_the_one_that_is_not_there() {
    let folder = Folder::new("sqlite:jobs.db", "");
    folder.script("t", "true");
    for args in LOOKS {
        let (code, said) = folder.windlass(args);
        assert_eq!(code, Some(69), "{args:?}: {said}");
        let place = format!("there is no database {}", folder.path("jobs.db").display());
        assert!(said.contains(&place) && said.contains("([store] url in "), "{args:?}: {said}");
        let (code, said) = folder.windlass(&[&["--store", "sqlite:/nowhere/typo.db"], args].concat());
        assert_eq!(code, Some(69), "{args:?}: {said}");
        assert!(said.contains("there is no database /nowhere/typo.db (--store)"), "{args:?}: {said}");
    }
    assert!(!folder.path("jobs.db").exists());
    // Who puts a job in means the file to be there.
    assert_eq!(folder.windlass(&["enqueue", "t"]).0, Some(0));
    assert_eq!(folder.windlass(&["failed", "count"]).1.trim(), "0");
}

#[test]
fn without_a_configuration_nothing_is_made_at_all() {
    if is_configured() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("tasks.d")).unwrap();
    fs::write(folder.path().join("tasks.d/t.toml"), "name = \"t\"\n[run]\nexec = [\"true\"]\n").unwrap();
    for args in LOOKS.iter().copied().chain([&["enqueue", "t"][..]]) {
        let (code, said) = run_in(folder.path(), args);
        assert_eq!(code, Some(69), "{args:?}: {said}");
        assert!(said.contains("no configuration was found") && said.contains("--config"), "{args:?}: {said}");
    }
    let (code, said) = run_in(folder.path(), &["run"]);
    assert_eq!(code, Some(64), "{said}");
    assert!(said.contains("no configuration was found") && said.contains("--config"), "{said}");
    assert!(said.contains("windlass generate config"), "{said}");
    assert_eq!(names(folder.path()), ["tasks.d"]);
    // A store that is named is made by who fills it.
    assert_eq!(run_in(folder.path(), &["enqueue", "t", "--store", "sqlite:here.db"]).0, Some(0));
    assert!(folder.path().join("here.db").exists());
}

#[test]
fn a_copy_fills_a_new_store_but_empties_none_that_is_not_there() {
    let folder = Folder::new("sqlite:jobs.db", "");
    let (from, to) = (folder.path("typo.db"), folder.path("to.db"));
    let (from, to) = (format!("sqlite:{}", from.display()), format!("sqlite:{}", to.display()));
    for args in [&["store", "copy", &from, &to][..], &["store", "copy", &from, &to, "--undo"]] {
        let (code, said) = folder.windlass(args);
        assert_eq!(code, Some(69), "{said}");
        assert!(said.contains("there is no database") && said.contains("typo.db"), "{said}");
    }
    assert!(!folder.path("typo.db").exists() && !folder.path("to.db").exists());
}

#[test]
fn a_configuration_that_may_not_be_read_is_not_taken_for_none() {
    // Root may read everything.
    if rustix::process::geteuid().is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("config")).unwrap();
    fs::write(folder.path().join("config/tasks.toml"), "").unwrap();
    fs::set_permissions(folder.path().join("config"), fs::Permissions::from_mode(0o000)).unwrap();
    let (code, said) = run_in(folder.path(), &["failed"]);
    fs::set_permissions(folder.path().join("config"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(code, Some(64), "{said}");
    assert!(said.contains("Permission denied"), "{said}");
}
