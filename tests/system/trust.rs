//! Who may change what runs: configuration, task files and programs of strangers are refused by name.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;

use crate::daemon::{BINARY, Folder, eventually};

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A task with a program of its own beside it.
fn with_program(folder: &Folder) {
    let program = folder.path("tasks.d/program");
    fs::write(&program, format!("#!/bin/sh\necho ran >>{}\n", folder.path("done").display())).unwrap();
    mode(&program, 0o755);
    fs::write(folder.path("tasks.d/own.toml"), "name = \"own\"\n[run]\nexec = [\"./program\"]\n").unwrap();
}

/// A user who is neither root nor ourselves.
const STRANGER: u32 = 54_321;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn what_others_may_write_starts_nothing_unless_that_is_wanted() {
    let folder = Folder::new("sqlite:w.db", "");
    with_program(&folder);
    assert_eq!(folder.windlass(&["check"]).0, Some(0));
    for (name, open, closed) in
        [("tasks.toml", 0o666, 0o644), ("tasks.d/own.toml", 0o646, 0o644), ("tasks.d", 0o1777, 0o755)]
    {
        mode(&folder.path(name), open);
        let (code, text) = folder.windlass(&["run"]);
        let path = folder.path(name);
        let said = format!("{} may be written by everybody (mode {open:04o})", path.display()).replacen(' ', ": ", 1);
        assert!(code == Some(64) && text.contains(&said), "{said} is not in {text}");
        assert!(text.contains(&format!("chmod o-w {}", path.display())), "{text}");
        mode(&path, closed);
    }
    mode(&folder.path(""), 0o777);
    let (code, text) = folder.windlass(&["check"]);
    assert!(code == Some(64) && text.contains("(mode 0777)"), "{text}");
    folder.reconfigure("scheduler = true", "security.strict_modes = false\nscheduler = true");
    let (code, text) = folder.windlass(&["check"]);
    assert!(code == Some(0) && text.contains("note: security.strict_modes = false: who may change"), "{text}");
    let daemon = folder.daemon();
    daemon.wait_log("security.strict_modes = false");
    assert_eq!(folder.windlass(&["enqueue", "own"]).0, Some(0));
    eventually("the job runs", || folder.path("done").exists());
    daemon.stop();
}

#[test]
fn a_program_is_judged_again_when_it_is_to_run() {
    let folder = Folder::new("sqlite:w.db", "");
    with_program(&folder);
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    mode(&folder.path("tasks.d/program"), 0o757);
    // A command that reads the task now finds it invalid.
    assert_eq!(folder.windlass(&["enqueue", "own", "--foreign", "--queue", "default"]).0, Some(0));
    let failed = || folder.windlass(&["--json", "failed"]).1;
    eventually("the job fails", || failed().contains("may be written by everybody (mode 0757)"));
    assert!(failed().contains("SpawnError") && failed().contains("chmod o-w "), "{}", failed());
    assert!(!folder.path("done").exists());
    mode(&folder.path("tasks.d/program"), 0o755);
    assert_eq!(folder.windlass(&["enqueue", "own"]).0, Some(0));
    eventually("the job runs", || folder.path("done").exists());
    daemon.stop();
}

#[test]
fn what_belongs_to_a_stranger_starts_nothing() {
    // Only root can give files away.
    if !is_root() {
        return;
    }
    let folder = Folder::new("sqlite:w.db", "");
    with_program(&folder);
    for name in ["tasks.toml", "tasks.d/own.toml", "tasks.d/program", "tasks.d", ""] {
        chown(folder.path(name), Some(STRANGER), None).unwrap();
        let (code, text) = folder.windlass(&["run"]);
        assert!(
            code == Some(64) && text.contains("belongs to 54321, who could run anything with it"),
            "{name}: {text}"
        );
        // As for git: who typed sudo may do it.
        let sudo = folder.command(&["check"]).env("SUDO_UID", "54321").output().unwrap();
        assert!(sudo.status.success(), "{sudo:?}");
        chown(folder.path(name), Some(0), None).unwrap();
    }
    // A user whom the configuration names.
    chown(folder.path("tasks.d/own.toml"), Some(1), None).unwrap();
    assert_eq!(folder.windlass(&["check"]).0, Some(64));
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let name = passwd.lines().find(|line| line.split(':').nth(2) == Some("1")).and_then(|line| line.split(':').next());
    folder.reconfigure("scheduler = true", &format!("security.owners = [{:?}]\nscheduler = true", name.unwrap()));
    assert_eq!(folder.windlass(&["check"]).0, Some(0));
}

#[test]
fn files_of_variables_and_of_the_address_are_judged_as_the_configuration_is() {
    let folder = Folder::new("sqlite:w.db", "");
    let task = |run: &str| {
        let text = format!("name = \"own\"\n[run]\nexec = [\"/bin/sh\", \"-c\", 'test \"$SAID\" = yes']\n{run}\n");
        fs::write(folder.path("tasks.d/own.toml"), text).unwrap();
    };
    fs::write(folder.path("lines"), "SAID=yes\nBASH_ENV=/nowhere\n").unwrap();
    fs::write(folder.path("value"), "yes\n").unwrap();
    fs::write(folder.path("address"), "sqlite:w.db\n").unwrap();
    fs::write(folder.path("token"), "0123456789abcdef\n").unwrap();
    mode(&folder.path("token"), 0o600);
    folder.reconfigure("url = \"sqlite:w.db\"", "url = { file = \"address\" }");
    let http = "[http]\nlisten = \"127.0.0.1:0\"\ntoken = { file = \"token\" }\n[store]";
    folder.reconfigure("[store]", http);
    for (run, name) in [
        ("env_file = \"../lines\"", "lines"),
        ("env = { SAID = { file = \"../value\" } }", "value"),
        ("env = { SAID = \"yes\" }", "address"),
        ("env = { SAID = \"yes\" }", "token"),
    ] {
        task(run);
        assert_eq!(folder.windlass(&["perform", "own"]).0, Some(0));
        mode(&folder.path(name), 0o646);
        let path = folder.path(name).display().to_string();
        let said = format!("{path} may be written by everybody (mode 0646)");
        for command in [&["check"][..], &["run"], &["perform", "own"]] {
            let (code, text) = folder.windlass(command);
            let text = text.replace(": may", " may");
            assert!(code != Some(0) && text.contains(&said) && text.contains(&format!("chmod o-w {path}")), "{text}");
            assert!(text.contains("strict_modes = false"), "{text}");
        }
        mode(&folder.path(name), 0o644);
    }
    mode(&folder.path("lines"), 0o646);
    folder.reconfigure("scheduler = true", "security.strict_modes = false\nscheduler = true");
    task("env_file = \"../lines\"");
    assert_eq!(folder.windlass(&["perform", "own"]).0, Some(0), "the same opt-out");
}

#[test]
fn what_a_tasks_user_puts_in_the_place_of_a_file_of_variables_leads_root_nowhere() {
    if !is_root() {
        return;
    }
    let folder = Folder::new("sqlite:w.db", "");
    mode(&folder.path(""), 0o755);
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd.lines().find(|line| line.split(':').nth(2) == Some("1")).unwrap();
    let user = line.split(':').next().unwrap();
    let home = folder.path("home");
    fs::create_dir(&home).unwrap();
    fs::write(folder.path("secret"), "SAID=root's\n").unwrap();
    mode(&folder.path("secret"), 0o640);
    let task = |run: &str| {
        let exec = "exec = [\"/bin/sh\", \"-c\", 'case \"$SAID\" in *root*) exit 7;; theirs) exit 0;; esac; exit 9']";
        let text = format!("name = \"own\"\n[run]\n{exec}\nuser = {user:?}\ncwd = \"/\"\n{run}\n");
        fs::write(folder.path("tasks.d/own.toml"), text).unwrap();
    };
    for (run, text) in
        [("env_file = \"../home/vars\"", "SAID=theirs\n"), ("env = { SAID = { file = \"../home/vars\" } }", "theirs")]
    {
        let vars = home.join("vars");
        fs::write(&vars, text).unwrap();
        task(run);
        mode(&vars, 0o600);
        for path in [&home, &vars] {
            chown(path, Some(1), Some(1)).unwrap();
        }
        let (code, said) = folder.windlass(&["perform", "own"]);
        assert_eq!(code, Some(0), "its own file it may have: {said}");
        fs::remove_file(&vars).unwrap();
        std::os::unix::fs::symlink(folder.path("secret"), &vars).unwrap();
        std::os::unix::fs::lchown(&vars, Some(1), Some(1)).unwrap();
        let (code, said) = folder.windlass(&["perform", "own"]);
        assert!(code != Some(0) && said.contains("Permission denied"), "{said}");
        assert!(!said.contains("exited with 7"), "{said}");
        fs::remove_file(&vars).unwrap();
        // A stranger's it is not, no matter who can read it.
        fs::write(&vars, text).unwrap();
        chown(&vars, Some(STRANGER), None).unwrap();
        let (code, said) = folder.windlass(&["perform", "own"]);
        assert!(code != Some(0) && said.contains("belongs to 54321"), "{said}");
        fs::remove_file(&vars).unwrap();
        chown(&home, Some(0), Some(0)).unwrap();
    }
}

#[test]
fn a_configuration_of_a_stranger_in_the_working_directory_is_passed_over() {
    if !is_root() {
        return;
    }
    let folder = Folder::new("sqlite:w.db", "");
    fs::create_dir(folder.path("config")).unwrap();
    fs::write(
        folder.path("config/tasks.toml"),
        "[security]\nstrict_modes = false\n[store]\nurl = \"sqlite:theirs.db\"\n",
    )
    .unwrap();
    let here = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_windlass"));
        command.args(args).current_dir(folder.path("")).env_remove("WINDLASS_CONFIG").env_remove("WINDLASS_STORE_URL");
        let output = command.output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    assert!(here(&["check"]).contains("theirs.db"));
    for name in ["config/tasks.toml", "config", ""] {
        chown(folder.path(name), Some(STRANGER), None).unwrap();
        let text = here(&["check"]);
        let path = folder.path("config/tasks.toml").display().to_string();
        assert!(text.contains(&format!("{path} is passed over: ")) && text.contains("belongs to 54321"), "{text}");
        assert!(text.contains(&format!("--config {path}")) && !text.contains("theirs.db"), "{text}");
        let text = here(&["tasks"]);
        assert!(text.contains("is passed over"), "{text}");
        chown(folder.path(name), Some(0), None).unwrap();
    }
}

#[test]
fn task_files_are_judged_by_whatever_way_they_are_named() {
    let folder = Folder::new("sqlite:w.db", "");
    with_program(&folder);
    fs::create_dir(folder.path("config")).unwrap();
    fs::create_dir(folder.path("open")).unwrap();
    let config = |tasks_dir: &str| {
        let text = format!("tasks_dir = \"{tasks_dir}\"\n[store]\nurl = \"sqlite:../w.db\"\n");
        fs::write(folder.path("config/tasks.toml"), text).unwrap();
    };
    let check = || {
        let config = folder.path("config/tasks.toml").display().to_string();
        let mut command = std::process::Command::new(BINARY);
        let output = command.args(["--config", &config, "check"]).env_remove("WINDLASS_STORE_URL").output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    std::os::unix::fs::symlink(folder.path("tasks.d"), folder.path("link")).unwrap();
    let absolute = folder.path("config/../tasks.d").display().to_string();
    let ways = ["../tasks.d", "../tasks.d/", "./../tasks.d", "../link", absolute.as_str()];
    for way in ways {
        config(way);
        mode(&folder.path("tasks.d/own.toml"), 0o644);
        assert_eq!(check().0, Some(0), "{way}: {}", check().1);
        mode(&folder.path("tasks.d/own.toml"), 0o666);
        let (code, text) = check();
        assert!(
            code == Some(64) && text.contains("own.toml: may be written by everybody (mode 0666)"),
            "{way}: {text}"
        );
    }
    // A link that leads to a file which others may write.
    fs::remove_file(folder.path("tasks.d/own.toml")).unwrap();
    fs::write(folder.path("open/t.toml"), "name = \"t\"\n[run]\nbuiltin = \"noop\"\n").unwrap();
    mode(&folder.path("open/t.toml"), 0o666);
    std::os::unix::fs::symlink(folder.path("open/t.toml"), folder.path("tasks.d/t.toml")).unwrap();
    for way in ways {
        config(way);
        let (code, text) = check();
        assert_eq!(code, Some(64), "{way}: {text}");
        assert!(text.contains("/t.toml: links lead from here to "), "{way}: {text}");
        assert!(text.contains("open/t.toml, which may be written by everybody"), "{way}: {text}");
    }
    // A folder is told once, however many files are below it.
    mode(&folder.path("open/t.toml"), 0o644);
    mode(&folder.path("open"), 0o777);
    std::os::unix::fs::symlink(folder.path("open/t.toml"), folder.path("tasks.d/u.toml")).unwrap();
    let (code, text) = check();
    assert_eq!((code, text.matches("(mode 0777)").count()), (Some(64), 1), "{text}");
}
