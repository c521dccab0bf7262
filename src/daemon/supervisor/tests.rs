//! The parent reaps every child of its process, so no other test may run in it. Each test therefore runs the test binary
//! once more with only [`role`] in it, which is parent or daemon.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal};

use super::child::takes;
use super::*;

/// The variable that holds the script which [`role`] runs as the daemon.
const SCRIPT: &str = "WINDLASS_TEST_SCRIPT";

#[test]
fn role() {
    let Some(script) = std::env::var_os(SCRIPT) else { return };
    if script == "missing" {
        let error = watch_over("/no/such/windlass".into(), vec!["x".into()], &[], None).unwrap_err();
        assert_eq!(error.to_string().split(':').next(), Some("start the daemon /no/such/windlass"));
        std::process::exit(3);
    }
    if !is_supervised() {
        std::process::exit(watch_over(own_program(), own_line(), &[], None).map_or(1, i32::from));
    }
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(&script);
    if script.to_string_lossy().contains("watched") {
        let gone = || {
            sweep::kill_descendants();
            std::process::exit(0);
        };
        parent_watch(|| {}, gone).unwrap();
        // Only the end of the parent ends the daemon.
        shell.stdin(Stdio::null()).status().unwrap();
        loop {
            std::thread::park();
        }
    }
    panic!("{}", shell.exec());
}

/// A parent whose daemon is a script.
struct Scene {
    parent: Child,
    words: BufReader<ChildStdout>,
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.parent.kill();
        let _ = self.parent.wait();
    }
}

fn scene(script: &str) -> Scene {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "daemon::supervisor::tests::role", "--nocapture"]).env(SCRIPT, script);
    // As if a job of another daemon had started it: the mark of that parent does not count.
    command.env(mark::SUPERVISED, format!("{}:0", getppid().map_or(0, Pid::as_raw_pid)));
    let mut parent = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let words = BufReader::new(parent.stdout.take().unwrap());
    Scene { parent, words }
}

impl Scene {
    /// The rest of the next line that begins with this word.
    fn word(&mut self, word: &str) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.words.read_line(&mut line).unwrap(), 0, "no {word}");
            if let Some(at) = line.find(word) {
                return line[at + word.len()..].trim().to_owned();
            }
        }
    }

    /// The processes that the next lines name, in whatever order they come.
    fn processes<const N: usize>(&mut self, words: [&str; N]) -> [(u32, u64); N] {
        let mut found = [None; N];
        while found.contains(&None) {
            let mut line = String::new();
            assert_ne!(self.words.read_line(&mut line).unwrap(), 0, "{words:?}: {found:?}");
            for (word, found) in words.iter().zip(&mut found) {
                if let Some((_, pid)) = line.split_once(word) {
                    let pid = pid.trim().parse().unwrap();
                    *found = Some((pid, sweep::start_ticks(pid).unwrap()));
                }
            }
        }
        found.map(Option::unwrap)
    }

    fn send(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.parent), signal).unwrap();
    }

    fn end(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        self.parent.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (self.parent.wait().unwrap().code(), said)
    }
}

fn kill(pid: u32) {
    rustix::process::kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn the_parent_exits_as_the_daemon_did() {
    assert_eq!(scene("exit 7").end().0, Some(7));
    assert_eq!(scene("exit 0").end().0, Some(0));
    let (code, said) = scene("kill -9 $$").end();
    assert_eq!(code, Some(137));
    assert!(said.contains("windlass: the daemon was killed by signal 9"), "{said}");
}

#[test]
fn a_daemon_that_cannot_be_started_is_an_error() {
    assert_eq!(scene("missing").end().0, Some(3));
}

#[test]
fn nothing_outlives_a_daemon_that_is_killed() {
    // One child is in the daemon's group, one ignores signals in a session of its own, and the parent of one is gone.
    let mut scene = scene(
        "sleep 60 >/dev/null 2>&1 & echo child $!
         setsid sh -c 'trap \"\" TERM HUP INT; echo session $$; exec >/dev/null 2>&1; while :; do sleep 0.01; done' &
         sh -c 'sleep 60 >/dev/null 2>&1 & echo orphan $!'
         echo daemon $$; while :; do sleep 1; done",
    );
    let processes = scene.processes(["child ", "session ", "orphan ", "daemon "]);
    kill(processes[3].0);
    let (code, said) = scene.end();
    assert_eq!(code, Some(137));
    assert!(said.contains("that the daemon left behind"), "{said}");
    for (pid, ticks) in processes {
        assert!(!sweep::is_alive(pid, ticks), "{pid}");
    }
}

#[test]
fn signals_reach_the_daemon_and_only_through_its_parent() {
    let mut scene = scene(
        "trap 'echo got usr1' USR1; trap 'echo got hup' HUP; trap 'exit 5' TERM
         echo daemon $$; while :; do sleep 0.01; done",
    );
    let [(daemon, _)] = scene.processes(["daemon "]);
    // A terminal sends Ctrl-C to the parent's group, and the daemon is not in it.
    let number = Pid::from_raw(i32::try_from(daemon).unwrap()).unwrap();
    assert_eq!(rustix::process::getpgid(Some(number)).unwrap(), number);
    scene.send(Signal::USR1);
    assert_eq!(scene.word("got "), "usr1");
    scene.send(Signal::HUP);
    assert_eq!(scene.word("got "), "hup");
    scene.send(Signal::TERM);
    assert_eq!(scene.end().0, Some(5));
}

#[test]
fn a_signal_waits_until_the_daemon_can_take_it() {
    let mut scene = scene("echo; echo young; sleep 0.3; trap 'exit 5' TERM; while :; do sleep 0.01; done");
    scene.word("young");
    scene.send(Signal::TERM);
    assert_eq!(scene.end().0, Some(5));
}

#[test]
fn orphans_are_reaped() {
    let mut scene = scene("sh -c 'sleep 0.05 & echo orphan $!'; trap 'exit 0' TERM; while :; do sleep 0.01; done");
    let [(orphan, _)] = scene.processes(["orphan "]);
    let begun = tokio::time::Instant::now();
    // Not even a zombie is left. Nothing reports when the parent has reaped, so this asks again.
    while sweep::start_ticks(orphan).is_some() {
        assert!(begun.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(1));
    }
    scene.send(Signal::TERM);
    assert_eq!(scene.end().0, Some(0));
}

#[test]
fn nothing_outlives_a_parent_that_is_killed() {
    let mut scene = scene(
        "setsid sh -c 'trap \"\" TERM HUP; echo session $$; while :; do sleep 0.01; done' &
         echo watched $PPID; while :; do sleep 1; done",
    );
    let processes = scene.processes(["session ", "watched "]);
    scene.send(Signal::KILL);
    // Both hold stdout, so it ends shortly before they do.
    let mut rest = String::new();
    scene.words.read_to_string(&mut rest).unwrap();
    let begun = tokio::time::Instant::now();
    for (pid, ticks) in processes {
        while sweep::is_alive(pid, ticks) {
            assert!(begun.elapsed() < Duration::from_secs(30));
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_process_that_nobody_marked_is_not_supervised() {
    assert!(std::env::var_os(SCRIPT).is_some() || !is_supervised());
}

#[test]
fn a_daemon_whose_handlers_are_hidden_gets_its_signals_once_it_must_have_them() {
    let (new, old) = (Duration::from_secs(1), Duration::from_secs(60));
    assert!(takes(Some(true), new) && !takes(Some(false), new) && !takes(Some(false), old));
    assert!(takes(None, old) && !takes(None, new));
    let ourselves = std::process::id();
    assert_eq!(sweep::catches(ourselves, Signal::KILL), Some(false));
    assert_eq!(sweep::catches(u32::MAX, Signal::HUP), None);
}
