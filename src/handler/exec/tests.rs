use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::{Instant, timeout};

use super::*;
use crate::event::{Event, EventKind, Listener, OutputStream};
use crate::handler::fixture::{begin, invocation};
use crate::job::{QueueName, output_end::STDOUT_FOLLOWS, run_variables::ENV_ARGS_CAP};
use crate::process::sweep;
use crate::task::handler_spec::{Piece, ProcessSettings, RetryLater, StdinMode, Template};

mod hidden;
mod stopped;
mod unrunnable;

/// A folder with a script `./job`, and the spec that runs it.
struct Scene {
    folder: TempDir,
    spec: ExecSpec,
}

fn scene(script: &str) -> Scene {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "job", &format!("#!/bin/sh\n{script}\n"));
    let argv = vec![Template { pieces: vec![Piece::Text("./job".into())] }];
    let spec = ExecSpec {
        argv,
        process: ProcessSettings { cwd: folder.path().to_owned(), ..ProcessSettings::default() },
        stdin: StdinMode::Job,
        output: OutputMode::Log,
        result: ResultMode::Nothing,
        progress: false,
        options_end_from: Some(1),
        allow_dash: false,
        later: RetryLater { limit: 2, ..RetryLater::default() },
    };
    Scene { folder, spec }
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

impl Scene {
    fn arg(mut self, piece: Piece) -> Self {
        self.spec.argv.push(Template { pieces: vec![piece] });
        self
    }

    fn read(&self, name: &str) -> String {
        String::from_utf8(fs::read(self.folder.path().join(name)).unwrap()).unwrap()
    }

    async fn run(&self, args: &str) -> Outcome {
        self.run_job(invocation(args)).await
    }

    async fn run_job(&self, job: Invocation) -> Outcome {
        let (outcome, _stop) = begin(&Exec::new(self.spec.clone(), Bus::silent(), None), job);
        timeout(Duration::from_secs(60), outcome).await.unwrap()
    }

    async fn fail(&self, args: &str) -> Failure {
        match self.run(args).await {
            Outcome::Failure(failure) => failure,
            other => panic!("{other:?}"),
        }
    }
}

fn first() -> Piece {
    Piece::Arg { index: 0, path: Vec::new(), written: "0".into() }
}

const DONE: Outcome = Outcome::Success { result: None };

#[tokio::test]
async fn no_shell_ever_reads_an_argument() {
    let scene = scene(r#"printf %s "$1" > got"#).arg(first());
    for value in ["it's \"quoted\"", "two\nlines\n", "$(touch pwned) `touch pwned` ; touch pwned", "*", "  ", "ü😀"]
    {
        let args = serde_json::to_string(&[value]).unwrap();
        assert_eq!(scene.run(&args).await, DONE);
        assert_eq!(scene.read("got"), value);
        assert!(!scene.folder.path().join("pwned").exists());
    }
}

#[tokio::test]
async fn what_cannot_be_passed_fails_by_name_before_anything_is_spawned() {
    let scene = scene("touch ran").arg(first());
    let megabyte = format!("[\"{}\"]", "x".repeat(1_000_000));
    for (args, words) in [
        (r#"["-rf"]"#, "begins with a dash"),
        (r#"["a\u0000b"]"#, "NUL"),
        (megabyte.as_str(), "1000000 bytes"),
        ("[]", "no value"),
        ("[null]", "no value"),
        (r#"["\ud800"]"#, "surrogate"),
    ] {
        let failure = scene.fail(args).await;
        assert_eq!(failure.exception, "ArgumentError");
        assert!(failure.error.starts_with("task \"test\": placeholder {0}: "), "{}", failure.error);
        assert!(failure.error.contains(words), "{}", failure.error);
    }
    assert!(!scene.folder.path().join("ran").exists());
}

#[tokio::test]
async fn the_job_comes_on_stdin_as_one_line() {
    let scene = scene("cat > got");
    let mut job = invocation("[1.0,\n {\"a\":\r\n\"x\\ny\"}]");
    job.identity = job.identity.redelivered();
    job.queue = QueueName::as_stored("a \"b\"");
    assert_eq!(scene.run_job(job).await, DONE);
    assert_eq!(
        scene.read("got"),
        concat!(
            r#"{"id":"00ff-1-7-3","claim":"00ff-1-7-3","task":"test","queue":"a \"b\"","#,
            r#""args":[1.0,  {"a":  "x\ny"}],"attempt":1,"redelivered":1}"#,
            "\n"
        )
    );
    let megabyte = format!("[\"{}\"]", "x".repeat(1_000_000));
    assert_eq!(scene.run(&megabyte).await, DONE);
    assert!(scene.read("got").contains(&megabyte));
}

#[tokio::test]
async fn a_program_that_does_not_read_a_megabyte_is_no_error() {
    let megabyte = format!("[\"{}\"]", "x".repeat(1_000_000));
    for script in ["exit 0", "exec 0<&-; exit 0", "read -r line < /dev/null; true"] {
        assert_eq!(scene(script).run(&megabyte).await, DONE, "{script}");
    }
}

#[tokio::test]
async fn the_environment_names_the_job_and_nothing_of_the_daemon() {
    let mut scene = scene("env -0 | tr '\\n\\0' ' \\n' > got; pwd >> got");
    scene.spec.process.env =
        BTreeMap::from([("COLOUR".into(), "blue".into()), ("WINDLASS_TASK".into(), "forged".into())]);
    assert_eq!(scene.run("[\"x\"]").await, DONE);
    let got = scene.read("got");
    let lines: Vec<&str> = got.lines().collect();
    for expected in [
        "WINDLASS_JOB_ID=00ff-1-7-3",
        "WINDLASS_CLAIM=00ff-1-7-3",
        "WINDLASS_TASK=test",
        "WINDLASS_QUEUE=mail",
        "WINDLASS_ATTEMPT=1",
        "WINDLASS_ARGS=[\"x\"]",
        "WINDLASS_INSTANCE=00ff",
        "COLOUR=blue",
    ] {
        assert!(lines.contains(&expected), "{expected} in {got}");
    }
    let home = fs::canonicalize(scene.folder.path()).unwrap();
    assert_eq!(lines.last().copied(), home.to_str());
    assert!(!got.contains("WINDLASS_ARGS_OMITTED"));
    let big = format!("[\"{}\"]", "x".repeat(ENV_ARGS_CAP));
    assert_eq!(scene.run(&big).await, DONE);
    let got = scene.read("got");
    assert!(got.contains("WINDLASS_ARGS_OMITTED=1") && !got.contains("WINDLASS_ARGS="));
}

#[tokio::test]
async fn the_exit_status_is_the_outcome() {
    let failure = scene("echo out; echo first >&2; printf 'la\\377st' >&2; exit 3").fail("[]").await;
    assert_eq!((failure.exception.as_str(), failure.error.as_str()), ("ExitStatus", "exited with 3"));
    assert_eq!(failure.backtrace, ["first", "la\u{fffd}st"]);
    let failure = scene("kill -9 $$").fail("[]").await;
    assert_eq!(failure.exception, "Signal");
    assert!(
        failure.error.starts_with("killed by signal 9 (SIGKILL), which this instance did not send"),
        "{}",
        failure.error
    );
    let failure = scene("kill -40 $$").fail("[]").await;
    assert_eq!(failure.error, "killed by signal 40");
    let failure = scene("i=0; while [ $i -lt 500 ]; do echo line $i >&2; i=$((i+1)); done; exit 1").fail("[]").await;
    assert_eq!((failure.backtrace.len(), failure.backtrace[31].as_str()), (32, "line 499"));
}

#[tokio::test]
async fn seventy_five_is_later_until_the_limit() {
    let scene = scene("echo not yet >&2; exit 75");
    let mut job = invocation("[]");
    job.identity.later = 1;
    let later = Outcome::Later { delay: Duration::from_secs(30), tail: vec!["not yet".to_owned()] };
    assert_eq!(scene.run_job(job.clone()).await, later);
    job.identity.later = 2;
    let Outcome::Failure(failure) = scene.run_job(job).await else { panic!("expected a failure") };
    assert_eq!(failure.error, "exited with 75 (later) 3 times; retry_later_limit is 2");
    assert_eq!(failure.backtrace, ["not yet"]);
}

#[tokio::test]
async fn what_cannot_start_never_began_and_names_the_program() {
    let mut scene = scene("true");
    write(scene.folder.path(), "plain", "true\n");
    for (program, words) in
        [("./gone", "no such program"), ("./plain", "names its interpreter"), ("", "no such program")]
    {
        scene.spec.argv[0].pieces = vec![Piece::Text(program.into())];
        let Outcome::Unstarted { failure, wait } = scene.run("[]").await else { panic!("{program} began") };
        assert_eq!((failure.exception.as_str(), wait), ("SpawnError", Duration::ZERO));
        assert!(failure.error.starts_with(&format!("task \"test\": failed to start {program}: ")), "{}", failure.error);
        assert!(failure.error.contains(words), "{}", failure.error);
    }
    // Many items of a fit length are too long together.
    scene.spec.argv[0].pieces = vec![Piece::Text("./job".into())];
    let item = Template { pieces: vec![first()] };
    scene.spec.argv.extend(std::iter::repeat_n(item, 100));
    let failure = scene.fail(&format!("[\"{}\"]", "x".repeat(100_000))).await;
    assert!(failure.error.contains("longer than the system passes on"), "{}", failure.error);
}

fn lines(listener: &Listener) -> Vec<(OutputStream, String)> {
    std::iter::from_fn(|| listener.try_next())
        .map(|event| match event {
            Event::Output { id, task, stream, line } => {
                assert_eq!((&*id, task.as_str()), ("00ff-1-7-3", "test"));
                (stream, line)
            }
            other => panic!("{other:?}"),
        })
        .collect()
}

#[tokio::test]
async fn output_is_logged_line_by_line_and_the_last_line_is_the_result() {
    let mut scene = scene("echo one; echo two; echo; echo oops >&2");
    let (bus, listeners) = Bus::new(&[EventKind::Output.bit()], 1 << 20);
    scene.spec.result = ResultMode::LastLine;
    let run = async |scene: &Scene| begin(&Exec::new(scene.spec.clone(), bus.clone(), None), invocation("[]")).0.await;
    assert_eq!(run(&scene).await, Outcome::Success { result: Some("two".into()) });
    let mut logged = lines(&listeners[0]);
    logged.sort_by_key(|(stream, _)| *stream == OutputStream::Stderr);
    let expected = [
        (OutputStream::Stdout, "one"),
        (OutputStream::Stdout, "two"),
        (OutputStream::Stdout, ""),
        (OutputStream::Stderr, "oops"),
    ];
    assert_eq!(logged, expected.map(|(stream, line)| (stream, line.to_owned())));
    scene.spec.output = OutputMode::Discard;
    assert_eq!(run(&scene).await, Outcome::Success { result: Some("two".into()) });
    assert!(lines(&listeners[0]).is_empty());
}

/// Begins a run whose script writes `ready` with a pid, and waits for that.
async fn ready(scene: &Scene, name: &str) -> (tokio::task::JoinHandle<Outcome>, watch::Sender<Stop>, (u32, u64)) {
    let (outcome, stop) = begin(&Exec::new(scene.spec.clone(), Bus::silent(), None), invocation("[]"));
    let run = tokio::spawn(outcome);
    let path = scene.folder.path().join(name);
    let pid = timeout(Duration::from_secs(30), async {
        loop {
            match fs::read_to_string(&path).map(|text| text.trim().parse()) {
                Ok(Ok(pid)) => break pid,
                // The script writes the file when it runs; no event reports it.
                _ => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    });
    let pid: u32 = pid.await.unwrap();
    let ticks = sweep::start_ticks(pid).unwrap();
    (run, stop, (pid, ticks))
}

#[tokio::test]
async fn a_grandchild_in_the_background_neither_holds_up_a_run_nor_is_harmed_by_its_end() {
    let scene = scene("sleep 60 & echo $! > pid; exit 0");
    let begun = Instant::now();
    assert_eq!(scene.run("[]").await, DONE);
    assert!(begun.elapsed() < Duration::from_secs(20));
    let pid: u32 = scene.read("pid").trim().parse().unwrap();
    assert!(sweep::start_ticks(pid).is_some_and(|ticks| sweep::is_alive(pid, ticks)));
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_stopped_run_is_interrupted_and_leaves_nothing_of_its_group() {
    let scene = scene("sleep 60 & echo $! > next; mv next pid; wait");
    let (run, stop, (pid, ticks)) = ready(&scene, "pid").await;
    stop.send(Stop::Terminate).unwrap();
    assert_eq!(timeout(Duration::from_secs(30), run).await.unwrap().unwrap(), Outcome::Interrupted);
    assert!(!sweep::is_alive(pid, ticks));
}

#[tokio::test]
async fn who_ignores_term_is_killed_when_it_becomes_urgent() {
    let scene = scene("trap '' TERM; sh -c 'while :; do sleep 0.01; done' & echo $! > next; mv next pid; wait");
    let (run, stop, (pid, ticks)) = ready(&scene, "pid").await;
    stop.send(Stop::Terminate).unwrap();
    assert!(sweep::is_alive(pid, ticks));
    stop.send(Stop::Kill).unwrap();
    assert_eq!(timeout(Duration::from_secs(30), run).await.unwrap().unwrap(), Outcome::Interrupted);
    assert!(!sweep::is_alive(pid, ticks));
}

#[tokio::test]
async fn a_run_that_puts_things_in_order_when_asked_to_end_has_succeeded() {
    let scene = scene("trap 'exit 0' TERM; echo $$ > next; mv next pid; while :; do sleep 0.01; done");
    let (run, stop, _) = ready(&scene, "pid").await;
    stop.send(Stop::Terminate).unwrap();
    assert_eq!(timeout(Duration::from_secs(30), run).await.unwrap().unwrap(), DONE);
}

#[tokio::test]
async fn a_run_that_is_stopped_before_it_starts_never_starts() {
    let scene = scene("touch ran");
    let (outcome, stop) = begin(&Exec::new(scene.spec.clone(), Bus::silent(), None), invocation("[]"));
    stop.send(Stop::Terminate).unwrap();
    assert_eq!(outcome.await, Outcome::Interrupted);
    assert!(!scene.folder.path().join("ran").exists());
}

#[tokio::test]
async fn a_forgotten_run_is_killed() {
    let scene = scene("echo $$ > next; mv next pid; sleep 60");
    let (run, _stop, (pid, ticks)) = ready(&scene, "pid").await;
    run.abort();
    assert!(run.await.unwrap_err().is_cancelled());
    timeout(Duration::from_secs(30), async {
        while sweep::is_alive(pid, ticks) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_burst_of_output_slows_the_job_and_is_all_in_the_log() {
    let scene = scene("seq 1 50000; echo last >&2");
    let (bus, listeners) = Bus::new(&[u32::MAX], 64 * 1024 * 1024);
    let (outcome, _stop) = begin(&Exec::new(scene.spec.clone(), bus, None), invocation("[]"));
    assert_eq!(timeout(Duration::from_secs(60), outcome).await.unwrap(), DONE);
    let (mut next, mut last) = (1, false);
    while let Some(event) = listeners[0].try_next() {
        match event {
            Event::Output { line, .. } if line == "last" => last = true,
            Event::Output { line, .. } => {
                assert_eq!(line, next.to_string());
                next += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(next == 50_001 && last, "{next}");
}

#[tokio::test]
async fn a_job_that_is_slowed_can_be_stopped_and_may_end() {
    let scene = scene("seq 1 200000; exec sleep 60");
    let (bus, _listeners) = Bus::new(&[u32::MAX], 64 * 1024 * 1024);
    let (outcome, stop) = begin(&Exec::new(scene.spec.clone(), bus, None), invocation("[]"));
    stop.send_replace(Stop::Terminate);
    let stopped = timeout(Duration::from_secs(60), outcome).await.unwrap();
    assert!(matches!(stopped, Outcome::Interrupted | Outcome::Stopped { .. }), "{stopped:?}");
}

#[tokio::test]
async fn what_a_run_leaves_in_the_background_goes_on_and_its_output_is_logged() {
    let script =
        "(while [ ! -e go ]; do sleep 0.01; done; echo late; echo later >&2; echo end > next; mv next end) & exit 0";
    let mut scene = scene(script);
    for output in [OutputMode::Log, OutputMode::Discard] {
        scene.spec.output = output;
        let (bus, listeners) = Bus::new(&[EventKind::Output.bit()], 1 << 20);
        let (outcome, _stop) = begin(&Exec::new(scene.spec.clone(), bus, None), invocation("[]"));
        assert_eq!(timeout(Duration::from_secs(60), outcome).await.unwrap(), DONE);
        fs::write(scene.folder.path().join("go"), "").unwrap();
        let expected = if output == OutputMode::Log { 2 } else { 0 };
        let mut logged = Vec::new();
        timeout(Duration::from_secs(60), async {
            // No event reports the file.
            while !scene.folder.path().join("end").exists() || logged.len() < expected {
                logged.extend(lines(&listeners[0]).into_iter().map(|(_, line)| line));
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await
        .unwrap();
        logged.sort();
        assert_eq!(logged, ["late", "later"][..expected]);
        for name in ["go", "end"] {
            fs::remove_file(scene.folder.path().join(name)).unwrap();
        }
    }
}
