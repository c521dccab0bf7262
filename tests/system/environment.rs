//! Variables of programs that stand in files: read at each run, by the daemon, and shown nowhere.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::daemon::{Folder, eventually};

const TASK: &str = r#"name = "t"
[run]
exec = ["sh", "./note"]
env_file = "app.env"
[run.env]
TOKEN = { file = "token" }
KEY = { credential = "key" }
LAST = "literal"
"#;

fn folder() -> Folder {
    let folder = Folder::new("sqlite:jobs.db", "");
    fs::write(folder.path("tasks.d/t.toml"), TASK).unwrap();
    fs::write(folder.path("tasks.d/note"), "echo \"$A $TOKEN $KEY $LAST\" >>../noted\n").unwrap();
    fs::write(folder.path("tasks.d/app.env"), "A='from the file'\nLAST=overridden\n").unwrap();
    secret(&folder, "tasks.d/token", "t0ken-one\n");
    fs::create_dir(folder.path("credentials")).unwrap();
    secret(&folder, "credentials/key", "the-k3y");
    folder
}

fn secret(folder: &Folder, name: &str, text: &str) {
    fs::write(folder.path(name), text).unwrap();
    fs::set_permissions(folder.path(name), fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn variables_from_files_are_read_at_each_run_and_shown_nowhere() {
    let folder = folder();
    let mut command = folder.command(&["run"]);
    command.env("CREDENTIALS_DIRECTORY", folder.path("credentials"));
    let daemon = folder.start(command, "log");
    let run = |number: usize| {
        assert_eq!(folder.windlass(&["enqueue", "t"]).0, Some(0));
        eventually("it has run", || folder.read("noted").lines().count() == number);
        folder.read("noted").lines().last().unwrap_or_default().to_owned()
    };
    assert_eq!(run(1), "from the file t0ken-one the-k3y literal");
    secret(&folder, "tasks.d/token", "t0ken-two");
    assert_eq!(run(2), "from the file t0ken-two the-k3y literal", "exchanged without a reload");
    daemon.stop();
    let shown =
        [folder.windlass(&["tasks", "show", "t"]).1, folder.windlass(&["check"]).1, folder.read("log")].concat();
    assert!(shown.contains("TOKEN") && !shown.contains("t0ken-") && !shown.contains("the-k3y"), "{shown}");
}

#[test]
fn a_file_that_is_not_there_is_told_before_a_daemon_starts_and_costs_no_enqueue() {
    let folder = folder();
    // There are no credentials here.
    let (code, said) = folder.windlass(&["check"]);
    assert_eq!(code, Some(64), "{said}");
    assert!(said.contains("t.toml:7:") && said.contains("LoadCredential="), "{said}");
    fs::remove_file(folder.path("tasks.d/app.env")).unwrap();
    let (code, said) = folder.windlass(&["run"]);
    assert!(code == Some(64) && said.contains("t.toml:4:") && said.contains("app.env"), "{said}");
    assert_eq!(folder.windlass(&["enqueue", "t"]).0, Some(0));
}
