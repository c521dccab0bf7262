//! Programs under limits, as other users, with another umask.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::daemon::{BINARY, Folder, eventually, signal};

/// A folder with one task, whose `[run]` says more than its script.
fn task(name: &str, script: &str, keys: &str) -> Folder {
    let folder = Folder::new("sqlite:store/jobs.db", "");
    fs::create_dir(folder.path("store")).unwrap();
    folder.script(name, script);
    let path = folder.path(&format!("tasks.d/{name}.toml"));
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text + keys).unwrap();
    folder
}

fn perform(folder: &Folder, name: &str) -> Value {
    let (_, answer) = folder.windlass(&["--json", "perform", name]);
    // What the program wrote to stderr comes after the answer.
    serde_json::from_str(answer.lines().next().unwrap_or_default()).unwrap_or_else(|_| panic!("{answer}"))
}

#[test]
fn a_program_has_its_limits_and_its_umask() {
    let keys = "umask = \"077\"\nenv_clear = true\nenv = { COLOUR = \"blue\", PATH = \"/usr/bin:/bin\" }\n\
                [run.limits]\nmemory = \"1GiB\"\nopen_files = 77\nfile_size = \"64KiB\"\nprocesses = 10000\ncpu = \"5s\"\n";
    let folder = task("look", "cat /proc/self/limits >limits; env >env; : >made", keys);
    let answer = perform(&folder, "look");
    assert_eq!(answer["outcome"], "success", "{answer}");
    let limits = fs::read_to_string(folder.path("limits")).unwrap();
    let of = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line[name.len()..].split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(of("Max address space"), "1073741824 1073741824");
    assert_eq!(of("Max open files"), "77 77");
    assert_eq!(of("Max file size"), "65536 65536");
    assert_eq!(of("Max processes"), "10000 10000");
    assert_eq!(of("Max cpu time"), "5 10");
    assert_eq!(fs::metadata(folder.path("made")).unwrap().permissions().mode() & 0o777, 0o600);
    let env = fs::read_to_string(folder.path("env")).unwrap();
    assert!(env.contains("COLOUR=blue\n") && env.contains("WINDLASS_TASK=look\n"), "{env}");
    assert!(!env.contains("HOME="), "nothing is inherited: {env}");
    assert!(!env.contains("WINDLASS_SHIM"), "what proves the shim is not the program's: {env}");
}

#[test]
fn a_program_over_its_limits_fails_and_says_which() {
    let folder = task("spin", "while :; do :; done", "limits = { cpu = \"1s\" }\n");
    let answer = perform(&folder, "spin");
    assert_eq!(answer["error"], "killed by signal 24 (SIGXCPU): its limits.cpu is 1s", "{answer}");
    let folder = task("fill", "exec head -c 100000 /dev/zero >out", "limits = { file_size = \"50KB\" }\n");
    let answer = perform(&folder, "fill");
    let error = answer["error"].as_str().unwrap();
    assert!(error.contains("SIGXFSZ") && error.contains("limits.file_size is 50KB"), "{answer}");
    assert_eq!(fs::metadata(folder.path("out")).unwrap().len(), 50_000);
}

#[test]
fn what_the_shim_cannot_do_is_told_as_a_start_that_failed() {
    let folder = task("greedy", "true", "limits = { open_files = 999999999 }\n");
    let answer = perform(&folder, "greedy");
    assert_eq!(answer["exception"], "SpawnError", "{answer}");
    let error = answer["error"].as_str().unwrap();
    assert!(error.contains("failed to start") && error.contains("limit open_files to 999999999"), "{answer}");
}

/// What a shim would say of itself to people, and the statuses it would exit with.
const FORGED: &str = "echo 'windlass: found no resources to start x: it is a lie' >&2; exit 12";

#[test]
fn a_program_that_speaks_as_the_shim_is_not_believed() {
    for status in ["5", "6"] {
        let folder = task("forge", &format!("{FORGED}{status}"), "umask = \"077\"\n");
        let answer = perform(&folder, "forge");
        assert_eq!(answer["exception"], "ExitStatus", "{answer}");
    }
    // Neither a run, nor a child of rpc, nor a plugin makes its daemon believe that the machine is short.
    let folder = task("forge", &format!("{FORGED}5"), "umask = \"077\"\n");
    folder.worker("child", &format!("#!/bin/sh\n{FORGED}5\n"));
    folder.script("plugged", "true");
    folder.add_keys("plugged", "plugins = [{ exec = [\"./child.sh\"], hooks = [\"before_perform\"] }]");
    for name in ["plugged", "child"] {
        let path = folder.path(&format!("tasks.d/{name}.toml"));
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text + "umask = \"077\"\n").unwrap();
    }
    folder.script("good", "echo done >>done");
    for name in ["forge", "plugged", "child", "good"] {
        assert_eq!(folder.windlass(&["enqueue", name]).0, Some(0));
    }
    let daemon = folder.daemon();
    eventually("the neighbour is run", || folder.path("done").exists());
    eventually("the run and the plugin have failed", || {
        folder.windlass(&["--json", "failed", "count"]).1.trim() == "{\"count\":2}"
    });
    daemon.wait_log("before it was ready");
    assert!(!daemon.log().contains("short of a resource"), "{}", daemon.log());
    daemon.stop();
}

#[test]
fn a_program_runs_as_its_user() {
    if !windlass::process::confine::is_root() {
        // Only root may become another; then what is told is that it may not.
        let folder = task("who", "id", "user = \"nobody\"\n");
        let answer = perform(&folder, "who");
        assert!(answer["error"].as_str().unwrap().contains("group"), "{answer}");
        return;
    }
    let folder = task(
        "who",
        "id -un; id -gn; echo $HOME $USER",
        "user = \"nobody\"\ngroup = \"daemon\"\nresult = \"last_line\"\n",
    );
    fs::set_permissions(folder.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let daemon = folder.daemon();
    assert_eq!(folder.windlass(&["enqueue", "who"]).0, Some(0));
    daemon.wait_log("job success");
    eventually("its output is logged", || daemon.log().contains("/nonexistent nobody"));
    let log = daemon.log();
    assert!(log.contains("nobody") && log.contains("daemon"), "{log}");
    daemon.stop();
}

#[expect(clippy::print_stderr, reason = "a test says why it proves nothing here")]
fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}

/// A task that runs as `nobody` in a folder that everybody may write to. `None`, with a word, if we are not root.
fn as_nobody(name: &str, script: &str, keys: &str) -> Option<Folder> {
    if !windlass::process::confine::is_root() {
        skipped("only root can run programs as another user");
        return None;
    }
    let folder = task(name, script, &format!("user = \"nobody\"\n{keys}"));
    fs::set_permissions(folder.path(""), fs::Permissions::from_mode(0o1777)).unwrap();
    Some(folder)
}

/// A library that writes down as whom it was loaded. `None`, with a word, if there is no compiler.
fn spy(folder: &Folder) -> Option<String> {
    let source = format!(
        "#include <stdio.h>\n#include <unistd.h>\n#include <sys/stat.h>\n\
         __attribute__((constructor)) static void loaded(void) {{\n\
         FILE *file = fopen(\"{}\", \"a\");\n\
         if (file) {{ fchmod(fileno(file), 0666); fprintf(file, \"%d\\n\", (int)geteuid()); fclose(file); }}\n}}\n",
        folder.path("loaded").display()
    );
    fs::write(folder.path("spy.c"), source).unwrap();
    let (library, source) = (folder.path("spy.so"), folder.path("spy.c"));
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status();
    if !built.is_ok_and(|status| status.success()) {
        skipped("there is no C compiler");
        return None;
    }
    Some(library.display().to_string())
}

#[test]
fn the_environment_of_a_task_reaches_nothing_that_has_the_rights_of_root() {
    for handler in ["exec", "rpc"] {
        let Some(folder) = as_nobody("load", "true", "") else { return };
        let Some(library) = spy(&folder) else { return };
        let path = folder.path("tasks.d/load.toml");
        let text = fs::read_to_string(&path)
            .unwrap()
            .replace("allow_dash = true\nallow_code = true\n", "")
            .replace("exec =", &format!("{handler} ="));
        fs::write(&path, format!("{text}env = {{ LD_PRELOAD = \"{library}\" }}\n")).unwrap();
        let answer = perform(&folder, "load");
        assert!(answer["outcome"].is_string(), "{answer}");
        let loaded = fs::read_to_string(folder.path("loaded")).unwrap_or_default();
        assert!(!loaded.is_empty(), "the program itself gets its environment: {answer}");
        assert!(loaded.lines().all(|uid| uid != "0"), "{handler}: loaded as {loaded}");
    }
}

#[test]
fn a_program_of_another_user_has_no_way_back() {
    let script = "cat /proc/self/status >status; cut -d' ' -f4-6 /proc/$$/stat >ids; echo $$ >pid; env >env";
    let Some(folder) = as_nobody("look", script, "") else { return };
    assert_eq!(perform(&folder, "look")["outcome"], "success");
    let status = fs::read_to_string(folder.path("status")).unwrap();
    let of = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
    assert_eq!(of("NoNewPrivs:"), "1");
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(of(set), "0000000000000000", "{set}");
    }
    let pid = fs::read_to_string(folder.path("pid")).unwrap();
    let ids = fs::read_to_string(folder.path("ids")).unwrap();
    assert!(ids.split_whitespace().skip(1).all(|id| id == pid.trim()), "a group and a session of its own: {ids} {pid}");
    let env = fs::read_to_string(folder.path("env")).unwrap();
    assert!(env.contains("USER=nobody\n") && env.contains("WINDLASS_TASK=look\n"), "{env}");
    assert!(!env.contains("WINDLASS_ENV_"), "{env}");
    let Some(folder) = as_nobody("look", script, "no_new_privs = false\n") else { return };
    assert_eq!(perform(&folder, "look")["outcome"], "success");
    let status = fs::read_to_string(folder.path("status")).unwrap();
    assert!(status.contains("NoNewPrivs:\t0") && !status.contains("CapBnd:\t0000000000000000"), "{status}");
}

#[test]
fn a_folder_is_entered_with_the_rights_of_the_user() {
    for handler in ["exec", "rpc"] {
        let Some(folder) = as_nobody("look", "true", "") else { return };
        let closed = folder.path("closed");
        fs::create_dir_all(closed.join("inner")).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        let (program, told) = ("/bin/pwd", folder.path("tasks.d/look.toml"));
        let write = |cwd: &std::path::Path| {
            let text = format!(
                "name = \"look\"\n[run]\n{handler} = [\"{program}\"]\nuser = \"nobody\"\ncwd = \"{}\"\n",
                cwd.display()
            );
            fs::write(&told, text).unwrap();
        };
        write(&closed.join("inner"));
        let answer = perform(&folder, "look");
        let error = answer["error"].as_str().unwrap_or_else(|| panic!("{answer}"));
        assert!(error.contains("cannot enter the working directory"), "{handler}: {answer}");
        assert!(error.contains("user nobody must be able to pass it and every folder above"), "{handler}: {answer}");
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
        write(&closed.join("inner"));
        let answer = perform(&folder, "look");
        let error = answer["error"].as_str().unwrap_or_default();
        assert!(!error.contains("working directory"), "{handler}: {answer}");
        assert!(handler != "exec" || answer["outcome"] == "success", "{answer}");
    }
}

#[test]
fn a_plugin_of_a_task_runs_as_the_user_of_the_task() {
    let Some(folder) = as_nobody("who", "true", "") else { return };
    fs::write(folder.path("tasks.d/policy"), "#!/bin/sh\nid -un >>../as\n").unwrap();
    fs::set_permissions(folder.path("tasks.d/policy"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = folder.path("tasks.d/who.toml");
    let text = fs::read_to_string(&path).unwrap();
    let plugins = "plugins = [{ exec = [\"./policy\"], hooks = [\"before_enqueue\", \"before_perform\"] }]\n";
    fs::write(&path, format!("{plugins}{text}")).unwrap();
    let daemon = folder.daemon();
    let (code, said) = folder.windlass(&["enqueue", "who"]);
    assert_eq!(code, Some(0), "{said}");
    daemon.wait_log("job success");
    assert_eq!(fs::read_to_string(folder.path("as")).unwrap(), "nobody\nnobody\n");
    daemon.stop();
}

/// The daemon runs as `nobody`, and its job becomes root.
#[test]
fn what_may_not_be_killed_is_told_and_keeps_its_lock_and_a_drain_ends() {
    let setpriv = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let reaches = || Command::new("setpriv").args(setpriv).args([BINARY, "--version"]).output();
    if !windlass::process::confine::is_root() || !reaches().is_ok_and(|output| output.status.success()) {
        eprintln!("not tested: only root can start a daemon as another user, who must be able to read the binary");
        return;
    }
    let folder = Folder::new("sqlite:store/jobs.db", "");
    fs::create_dir(folder.path("store")).unwrap();
    let home = folder.path("");
    // The commands of this test are root's.
    let config = fs::read_to_string(folder.path("tasks.toml")).unwrap() + "[security]\nowners = [65534]\n";
    fs::write(folder.path("tasks.toml"), config).unwrap();
    let script = format!(
        "name = \"stays\"\ntimeout = \"1s\"\nplugins = [\"JobLock\"]\n[run]\nexec = [\"{}/become\", \"--reuid\", \"0\", \
         \"--regid\", \"0\", \"--clear-groups\", \"sleep\", \"600\"]\nallow_code = true\n",
        home.display()
    );
    fs::write(folder.path("tasks.d/stays.toml"), script).unwrap();
    let become_root = folder.path("become");
    assert!(Command::new("chown").args(["-R", "65534:65534"]).arg(&home).status().unwrap().success());
    let folders = std::env::var_os("PATH").unwrap();
    let setpriv_is = std::env::split_paths(&folders).map(|folder| folder.join("setpriv")).find(|path| path.exists());
    fs::copy(setpriv_is.unwrap(), &become_root).unwrap();
    fs::set_permissions(&become_root, fs::Permissions::from_mode(0o4755)).unwrap();
    let plain = folder.command(&["run"]);
    let mut command = Command::new("setpriv");
    command.args(setpriv).arg(plain.get_program()).args(plain.get_args()).stdin(std::process::Stdio::null());
    let mut daemon = folder.start(command, "log");
    daemon.wait_log("[ worker ] started");
    assert_eq!(folder.windlass(&["enqueue", "stays"]).0, Some(0));
    daemon.wait_log("run as another user");
    let log = daemon.log();
    let pid: u32 = log.rsplit_once("type sudo kill ").unwrap().1.split_whitespace().next().unwrap().parse().unwrap();
    assert!(fs::read(format!("/proc/{pid}/cmdline")).unwrap().starts_with(b"sleep"), "{log}");
    assert!(folder.windlass(&["locks"]).1.contains("stays"), "its lock is kept");
    assert!(folder.windlass(&["--json", "workers"]).1.contains("\"stays\""), "its processor is kept");
    signal(daemon.parent(), Signal::TERM);
    // shutdown.timeout, and some seconds.
    let ended = daemon.wait();
    assert_eq!(ended.code(), Some(1), "{}", daemon.log());
    assert_eq!(daemon.log().matches("run as another user").count(), 1, "{}", daemon.log());
    signal(pid, Signal::KILL);
}
