use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

fn file(folder: &Path, name: &str, text: &str, mode: u32) {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

fn refused(command: &Command) -> SpawnError {
    // Another test that is starting a child may hold a file open that was just written.
    loop {
        match command.spawn(|_| Ok(())) {
            Err(error) if error.is_momentary() => std::thread::yield_now(),
            Err(error) => return error,
            Ok(_) => panic!("{command:?} started"),
        }
    }
}

#[test]
fn what_cannot_start_says_why() {
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), "plain", "echo hello\n", 0o755);
    file(folder.path(), "orphan", "#!/no/such/interpreter\n", 0o755);
    file(folder.path(), "locked", "#!/bin/sh\n", 0o644);
    let refused = |program: &str| refused(Command::new(program).cwd(folder.path()));
    assert!(matches!(refused("./plain"), SpawnError::Unrunnable { .. }));
    assert!(matches!(refused("./orphan"), SpawnError::Unrunnable { .. }));
    let told = refused("./orphan").to_string();
    assert!(told.contains("needs the interpreter \"/no/such/interpreter\", which does not exist"), "{told}");
    assert!(matches!(refused("./locked"), SpawnError::Denied { .. }));
    assert!(matches!(refused("./missing"), SpawnError::NotFound { .. }));
    assert!(matches!(refused("no-such-program-anywhere"), SpawnError::NotFound { .. }));
    assert!(matches!(refused("a\0b"), SpawnError::Nul { .. }));
    assert_eq!(
        super::tests::refused(Command::new("/bin/true").cwd("/no/such/folder")).to_string(),
        "start /bin/true: the working directory /no/such/folder cannot be entered"
    );
    let long = "x".repeat(3_000_000);
    let error = super::tests::refused(Command::new("/bin/true").args([long]));
    assert!(matches!(error, SpawnError::TooLong { .. }), "{error}");
}

#[test]
fn a_path_of_its_own_is_searched_from_the_working_directory() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("bin")).unwrap();
    file(&folder.path().join("bin"), "plain", "echo hello\n", 0o755);
    let mut command = Command::new("plain");
    command.cwd(folder.path()).env("PATH", "/nowhere:bin");
    // It is found (and not run by a shell); without the folder in PATH it is not.
    assert!(matches!(refused(&command), SpawnError::Unrunnable { .. }));
    command.env("PATH", "/nowhere");
    assert!(matches!(refused(&command), SpawnError::NotFound { .. }));
}

#[test]
fn secrets_and_the_service_managers_variables_are_not_passed_on() {
    private::keep("A_NAMED_SECRET");
    // A test cannot set variables of its own process, so it inspects what is taken out.
    let (command, ..) = Command::new("/bin/true").prepared().unwrap();
    for name in ["NOTIFY_SOCKET", "WINDLASS_STORE_URL", mark::SUPERVISED, mark::HANDED_OVER, "A_NAMED_SECRET"] {
        assert!(command.get_envs().any(|(found, value)| found == name && value.is_none()), "{name}");
    }
    let mut own = Command::new("/bin/true");
    own.env("A_NAMED_SECRET", "given by the task");
    let (command, ..) = own.prepared().unwrap();
    assert!(command.get_envs().any(|(found, value)| found == "A_NAMED_SECRET" && value.is_some()));
}

#[test]
fn what_cannot_be_made_ready_is_a_shortage_whatever_the_system_says_and_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for status in [false, true] {
        let mut command = Command::new("/bin/touch");
        command.args(["trace"]).cwd(folder.path());
        if status {
            command.with_status();
        }
        for errno in [Errno::MFILE, Errno::NOSPC, Errno::PERM] {
            let Err(error) = command.spawn(|_| -> io::Result<()> { Err(errno.into()) }) else { panic!("it started") };
            assert!(error.is_shortage() && error.may_pass(), "{error}");
        }
    }
    assert!(!folder.path().join("trace").exists());
    let short = Command::new("/bin/true").explain(Errno::MFILE.into());
    assert!(short.is_shortage() && !Command::new("/bin/true").explain(Errno::TXTBSY.into()).is_shortage());
}
