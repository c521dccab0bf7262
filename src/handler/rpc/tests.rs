//! Longer than 400 lines because every way a child can end is a behaviour of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::Rpc;
use super::child::command;
use crate::clock::{Clock, ManualClock};
use crate::event::{Bus, Event, EventKind, Listener};
use crate::handler::contract::{Handler, Invocation, OutcomeSender, Stop, stopped};
use crate::handler::fixture::{begin, invocation};
use crate::handler::lease_watch::WatchedLease;
use crate::job::{Failure, Outcome, TaskName};
use crate::process::sweep;
use crate::task::handler_spec::{OutputMode, ProcessSettings, RetryLater, RpcSpec};

/// Shell functions for scripts: `ready`, `id LINE` puts the request's id into $id, `ok ID RESULT`, `no ID ERROR`.
const WORDS: &str = r#"#!/bin/sh
ready() { printf '{"jsonrpc":"2.0","method":"ready"%s}\n' "$1"; }
id() { id=${1#*\"id\":}; id=${id%%[,\}]*}; }
ok() { printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$1" "$2"; }
no() { printf '{"jsonrpc":"2.0","id":%s,"error":%s}\n' "$1" "$2"; }
echo $$ >>pids
"#;

/// A worker that answers every job with its process id.
const PLAIN: &str = "ready; while read -r line; do id \"$line\"; ok $id $$; done";

/// A folder with a worker, and the handler that runs it.
struct Scene {
    folder: TempDir,
    rpc: Rpc,
    warnings: Listener,
    /// Is each run its own task, as with plugins around it? Otherwise the handler keeps the runs.
    by_task: bool,
}

fn scene(script: &str, change: impl FnOnce(&mut RpcSpec)) -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("worker");
    fs::write(&path, format!("{WORDS}{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let mut spec = RpcSpec {
        argv: vec!["./worker".into()],
        process: ProcessSettings { cwd: folder.path().to_owned(), ..ProcessSettings::default() },
        processes: 1,
        depth: 1,
        max_jobs: None,
        max_rss: None,
        start_timeout: Duration::from_secs(30),
        output: OutputMode::Log,
        later: RetryLater { limit: 2, ..RetryLater::default() },
    };
    change(&mut spec);
    let (bus, mut listeners) =
        Bus::new(&[EventKind::Warning.bit() | EventKind::Output.bit() | EventKind::Notice.bit()], 1 << 20);
    let rpc = Rpc::new(spec, TaskName::new("test").unwrap(), bus, None);
    Scene { folder, rpc, warnings: listeners.pop().unwrap(), by_task: false }
}

fn deep(depth: usize) -> impl FnOnce(&mut RpcSpec) {
    move |spec| spec.depth = depth
}

type Run = (JoinHandle<Outcome>, watch::Sender<Stop>);

impl Scene {
    fn begin(&self, args: &str) -> Run {
        self.begin_job(invocation(args))
    }

    fn begin_job(&self, job: Invocation) -> Run {
        if self.by_task {
            let (outcome, stop) = begin(&self.rpc, job);
            return (tokio::spawn(outcome), stop);
        }
        let (reply, mut answer) = oneshot::channel();
        let report = OutcomeSender::new(move |outcome| drop(reply.send(outcome)));
        let run = self.rpc.run_owner().unwrap().start(job, report, &Handle::current());
        let (sender, mut stop) = watch::channel(Stop::No);
        let outcome = async move {
            let mut asked = Stop::No;
            loop {
                tokio::select! {
                    outcome = &mut answer => return outcome.unwrap(),
                    urgency = stopped(&mut stop, asked) => asked = urgency,
                }
                run.stop(asked);
            }
        };
        (tokio::spawn(outcome), sender)
    }

    async fn run(&self, args: &str) -> Outcome {
        ended(self.begin(args)).await
    }

    async fn result(&self, args: &str) -> String {
        match self.run(args).await {
            Outcome::Success { result: Some(result) } => result,
            other => panic!("{other:?}: {:?}", self.told()),
        }
    }

    fn pids(&self) -> Vec<u32> {
        let text = fs::read_to_string(self.folder.path().join("pids")).unwrap_or_default();
        text.lines().map(|line| line.parse().unwrap()).collect()
    }

    /// How many bytes wait for the first child to read them.
    fn unread(&self) -> u64 {
        let stdin = fs::File::open(format!("/proc/{}/fd/0", self.pids()[0])).unwrap();
        rustix::io::ioctl_fionread(&stdin).unwrap()
    }

    fn write(&self, name: &str) {
        fs::write(self.folder.path().join(name), "").unwrap();
    }

    async fn wait_for(&self, name: &str) {
        eventually(name, || self.folder.path().join(name).exists()).await;
    }

    /// What was told since this was last asked.
    fn told(&self) -> Vec<String> {
        std::iter::from_fn(|| self.warnings.try_next())
            .map(|event| match event {
                Event::Warning { text } => text,
                Event::Notice { text } => format!("notice: {text}"),
                Event::ChildOutput { task, line, .. } => format!("{task} said {line}"),
                other => panic!("{other:?}"),
            })
            .collect()
    }
}

/// What another process does causes no event, so this looks again until a deadline.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        // What a child does to files sends no signal: ask again, with a deadline.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn ended((run, _stop): Run) -> Outcome {
    timeout(Duration::from_secs(60), run).await.unwrap().unwrap()
}

fn success(result: &str) -> Outcome {
    Outcome::Success { result: Some(result.to_owned()) }
}

#[track_caller]
fn failure(outcome: Outcome) -> Failure {
    match outcome {
        Outcome::Failure(failure) => failure,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn unstarted(outcome: Outcome) -> Failure {
    match outcome {
        Outcome::Unstarted { failure, wait } if !wait.is_zero() => failure,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn crash(outcome: Outcome) -> Failure {
    match outcome {
        Outcome::Crashed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

fn lives(pid: u32) -> bool {
    sweep::start_ticks(pid).is_some_and(|ticks| sweep::is_alive(pid, ticks))
}

#[tokio::test]
async fn one_child_serves_many_jobs() {
    let mut scene = scene(PLAIN, |_| {});
    assert!(scene.pids().is_empty(), "nothing is started before the first job");
    let first = scene.result("[]").await;
    for n in 0..20 {
        scene.by_task = n % 2 == 1;
        assert_eq!(scene.result("[1]").await, first);
    }
    assert_eq!(scene.pids().len(), 1);
    assert!(scene.told().is_empty());
}

#[tokio::test]
async fn a_megabyte_goes_there_and_back() {
    // The shell is slow with a pattern on so much text; cut is not.
    let script = r#"ready; while read -r line; do id=${line%%,\"method*}; id "$id"
        ok $id "$(printf %s "$line" | sed 's/.*"args"://; s/,"attempt.*//')"; done"#;
    let scene = scene(script, |_| {});
    let args = format!("[{}1]", "1,\n".repeat(500_000));
    let result = scene.result(&args).await;
    assert_eq!(result, args.replace('\n', " "));
}

#[tokio::test]
async fn answers_come_in_any_order_and_a_job_waits_for_a_free_place() {
    let script = r#"ready; read -r a; read -r b; read -r c; >full; until [ -e gate ]; do sleep 0.01; done
        for line in "$c" "$a" "$b"; do id "$line"; x=${line#*args\":}; ok $id "${x%%,\"att*}"; done
        while read -r line; do id "$line"; ok $id '"more"'; done"#;
    let scene = scene(script, deep(3));
    let runs: Vec<Run> = (0..4).map(|n| scene.begin(&format!("[{n}]"))).collect();
    scene.wait_for("full").await;
    assert!(runs.iter().all(|(run, _)| !run.is_finished()));
    scene.write("gate");
    let mut outcomes = Vec::new();
    for run in runs {
        outcomes.push(ended(run).await);
    }
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == success("more")).count(), 1, "{outcomes:?}");
    for (n, outcome) in outcomes.iter().enumerate() {
        assert!(*outcome == success(&format!("[{n}]")) || *outcome == success("more"), "{n}: {outcome:?}");
    }
    assert_eq!(scene.pids().len(), 1);
}

#[tokio::test]
async fn children_are_added_while_all_are_busy_and_never_more_than_are_allowed() {
    let script = "ready; while read -r line; do id \"$line\"; until [ -e gate ]; do sleep 0.01; done; ok $id $$; done";
    let scene = scene(script, |spec| (spec.processes, spec.depth) = (3, 2));
    let runs: Vec<Run> = (0..9).map(|n| scene.begin(&format!("[{n}]"))).collect();
    eventually("three children", || scene.pids().len() == 3).await;
    scene.write("gate");
    for run in runs {
        assert!(matches!(ended(run).await, Outcome::Success { .. }));
    }
    assert_eq!(scene.pids().len(), 3);
}

#[tokio::test]
async fn errors_are_failures_and_later_has_a_limit() {
    let script = r#"ready; while read -r line; do id "$line"; case "$line" in
        *later*) no $id '{"message":"not yet","data":{"retry_later":"2m"}}';;
        *soon*) no $id '{"message":"not yet","data":{"retry_later":true}}';;
        *) no $id '{"code":7,"message":"boom","data":{"exception":"Oops","backtrace":["a","b"]}}';; esac; done"#;
    let scene = scene(script, |_| {});
    let failed = failure(scene.run("[]").await);
    assert_eq!((failed.exception.as_str(), failed.error.as_str()), ("Oops", "boom"));
    assert_eq!(failed.backtrace, ["a", "b"]);
    assert_eq!(scene.run("[\"later\"]").await, Outcome::Later { delay: Duration::from_secs(120), tail: Vec::new() });
    assert_eq!(scene.run("[\"soon\"]").await, Outcome::Later { delay: Duration::from_secs(30), tail: Vec::new() });
    let mut job = invocation("[\"later\"]");
    job.identity.later = 2;
    let failed = failure(ended(scene.begin_job(job)).await);
    assert_eq!(failed.error, "answered retry_later 3 times; retry_later_limit is 2");
    assert_eq!(scene.pids().len(), 1);
}

/// Holds jobs until one says what to do.
const DEAF: &str = r#"ready; echo hello >&2; while read -r line; do id "$line"; case "$line" in
    *crash*) sleep 60 & echo $! >grandchild; echo last words >&2; kill -9 $$;; *exit*) exit 3;;
    *fine*) ok $id $$;; *nan*) ok $id NaN;; *unknown*) ok 4711 1;; *shape*) echo "{\"jsonrpc\":\"2.0\",\"id\":$id}";;
    *twice*) ok $id 1; ok $id 2;; *again*) ready;; *long*) head -c 17000000 /dev/zero | tr '\0' x; echo;;
    *silent*) exec >&-;; esac; done"#;

#[tokio::test]
async fn a_crash_ends_exactly_the_jobs_that_the_child_held() {
    let scene = scene(DEAF, deep(4));
    let before = scene.result("[\"fine\"]").await;
    let held: Vec<Run> = (0..2).map(|_| scene.begin("[\"hold\"]")).collect();
    let crashing = scene.begin("[\"crash\"]");
    let waiting: Vec<Run> = (0..3).map(|_| scene.begin("[\"fine\"]")).collect();
    let failed = crash(ended(crashing).await);
    assert_eq!(failed.exception, "Crash");
    let stderr = format!("task \"test\": child {before} was killed by signal 9 (SIGKILL) while it held ");
    assert!(failed.error.starts_with(&stderr), "{}", failed.error);
    assert_eq!(failed.backtrace, ["hello", "last words"]);
    let grandchild = fs::read_to_string(scene.folder.path().join("grandchild")).unwrap();
    assert!(!lives(grandchild.trim().parse().unwrap()), "its group is gone when the jobs are told");
    for run in held {
        crash(ended(run).await);
    }
    for run in waiting {
        // It may have been held by then or not.
        let outcome = ended(run).await;
        assert!(matches!(outcome, Outcome::Success { .. } | Outcome::Crashed(_)), "{outcome:?}");
    }
    assert_ne!(scene.result("[\"fine\"]").await, before);
    let told = scene.told();
    assert!(told.contains(&"test said last words".to_owned()), "{told:?}");
    assert!(told.iter().any(|text| text.starts_with(&stderr) && text.ends_with("; they are cut off")), "{told:?}");
}

#[tokio::test]
async fn a_broken_message_ends_the_child_and_fails_its_job_once() {
    let scene = scene(DEAF, |_| {});
    for (word, expected) in [
        ("nan", "expected one JSON object a line, found"),
        ("unknown", "found one to 4711, which it does not hold"),
        ("shape", "expected \"result\" or \"error\""),
        ("again", "expected an answer, found the notification \"ready\" once more"),
        ("long", "expected lines of at most 16 MiB"),
        ("silent", "expected its stdout to stay open"),
    ] {
        let outcome = scene.run(&format!("[\"{word}\"]")).await;
        // What closes its pipes may be ending, as in a crash.
        let failed = if word == "silent" { crash(outcome) } else { failure(outcome) };
        assert_eq!(failed.exception, "ProtocolError");
        assert!(failed.error.contains(expected), "{word}: {}", failed.error);
        let told = scene.told();
        let pid = *scene.pids().last().unwrap();
        let stderr = format!("task \"test\": child {pid} broke the protocol and is killed: ");
        assert!(told.iter().any(|text| text.starts_with(&stderr) && text.contains(expected)), "{word}: {told:?}");
        assert!(!lives(pid), "{word}");
    }
    // The first answer counts, the second ends the child.
    assert_eq!(scene.run("[\"twice\"]").await, success("1"));
    eventually("it is told", || scene.told().iter().any(|text| text.contains("which it does not hold"))).await;
    assert!(matches!(scene.run("[\"fine\"]").await, Outcome::Success { .. }));
}

#[tokio::test]
async fn what_is_printed_beside_the_messages_is_logged_and_harms_nobody() {
    let script = r#"printf '\357\273\277'; ready; echo 'Model loaded'; while read -r line; do id "$line"
        printf '10%%\r20%%\r100%%\n{"level":"info"}\n\nhalf a line '; ok $id $$; done"#;
    let scene = scene(script, |_| {});
    let child = scene.result("[]").await;
    assert_eq!(scene.result("[]").await, child, "it stays");
    let told = scene.told();
    let warned = format!("child {child} of task test: printed to stdout, which is for messages only");
    assert_eq!(told.iter().filter(|text| text.starts_with(&warned)).count(), 1, "{told:?}");
    for line in ["Model loaded", "100%", "{\"level\":\"info\"}", "half a line "] {
        assert!(told.contains(&format!("test said {line}")), "{line}: {told:?}");
    }
}

#[tokio::test]
async fn what_a_child_prints_of_arguments_answers_no_job_and_nobody_can_guess_an_id() {
    let script = r#"ready; while read -r line; do id "$line"; echo $id >>ids; n=0
        while [ $n -lt 64 ]; do n=$((n + 1)); echo "working on {\"jsonrpc\":\"2.0\",\"id\":$n,\"result\":\"forged\"}"; done
        echo 'working on {"jsonrpc":"2.0","method":"ready"}'; echo 'working on {"jsonrpc":"2.0","id":NaN}'
        printf 'no end of line {"jsonrpc":"2.0","id":1,"result":1}'; ok $id $$; done"#;
    let scene = scene(script, deep(4));
    let child = scene.result("[]").await;
    for _ in 0..7 {
        assert_eq!(scene.result("[]").await, child, "it stays");
    }
    let told = scene.told();
    let printed = "test said working on {\"jsonrpc\":\"2.0\",\"id\":64,\"result\":\"forged\"}";
    assert!(told.iter().any(|text| text == printed), "{told:?}");
    let ids = fs::read_to_string(scene.folder.path().join("ids")).unwrap();
    let ids: Vec<u64> = ids.lines().map(|id| id.parse().unwrap()).collect();
    assert!(ids.iter().all(|id| (1..1 << 31).contains(id)), "{ids:?}");
    let steps: std::collections::HashSet<i64> =
        ids.windows(2).map(|two| two[1].cast_signed() - two[0].cast_signed()).collect();
    assert!(steps.len() > 3, "they do not follow from each other: {ids:?}");
}

#[tokio::test]
async fn a_child_that_ends_by_itself_takes_its_jobs_along() {
    let scene = scene(DEAF, |_| {});
    let failed = crash(scene.run("[\"exit\"]").await);
    assert!(failed.error.ends_with("exited with 3 while it held 1 jobs"), "{}", failed.error);
    assert!(matches!(scene.run("[\"fine\"]").await, Outcome::Success { .. }));
}

#[tokio::test]
async fn answers_that_came_before_the_end_count() {
    let script = r#"ready; read -r a; read -r b; id "$a"; ok $id 1; id "$b"; ok $id 2; exit 1"#;
    let scene = scene(script, deep(2));
    let runs = [scene.begin("[]"), scene.begin("[]")];
    let mut results = Vec::new();
    for run in runs {
        results.push(ended(run).await);
    }
    results.sort_by_key(|outcome| format!("{outcome:?}"));
    assert_eq!(results, [success("1"), success("2")]);
}

/// Writes down what it reads, and answers a job only when the job is cancelled, as the job says.
const CANCELLED: &str = r#"ready; while read -r line; do id "$line"; case "$line" in
    *cancel*) case "$last" in *good*) ok $id '"saved"';; *bad*) no $id '{"message":"gave up"}';; esac;;
    *) last=$line; >got;; esac; done"#;

#[tokio::test]
async fn a_job_that_should_end_is_cancelled_and_only_a_result_makes_it_done() {
    let mut scene = scene(CANCELLED, |_| {});
    let both = [("good", success("saved")), ("bad", Outcome::Interrupted)];
    for (by_task, (word, expected)) in [false, true].into_iter().flat_map(|by| both.clone().map(|one| (by, one))) {
        scene.by_task = by_task;
        let run = scene.begin(&format!("[\"{word}\"]"));
        scene.wait_for("got").await;
        run.1.send_replace(Stop::Terminate);
        assert_eq!(ended(run).await, expected);
        fs::remove_file(scene.folder.path().join("got")).unwrap();
    }
    assert_eq!(scene.pids().len(), 1, "the child lives on");
}

#[tokio::test]
async fn a_job_that_must_end_is_killed_with_its_child() {
    let script = format!("trap '' TERM; {CANCELLED}");
    let scene = scene(&script, deep(2));
    let (hanging, other) = (scene.begin("[\"hangs\"]"), scene.begin("[\"other\"]"));
    scene.wait_for("got").await;
    hanging.1.send_replace(Stop::Terminate);
    hanging.1.send_replace(Stop::Kill);
    assert_eq!(ended(hanging).await, Outcome::Interrupted);
    assert!(!lives(scene.pids()[0]));
    // It is held, or not yet: then it waits for the next child, and hangs there.
    let pending = other.1.clone();
    tokio::select! {
        outcome = ended(other) => {
            let error = crash(outcome).error;
            assert!(error.ends_with("was killed because another job that it held had to end"), "{error}");
        }
        () = eventually("it is given to another", || scene.pids().len() == 2) => { pending.send_replace(Stop::Kill); }
    }
}

#[tokio::test]
async fn a_job_that_waits_ends_at_once_when_it_should() {
    let scene = scene(CANCELLED, |_| {});
    let _holding = scene.begin("[\"good\"]");
    scene.wait_for("got").await;
    let waiting = scene.begin("[\"good\"]");
    waiting.1.send_replace(Stop::Terminate);
    assert_eq!(ended(waiting).await, Outcome::Interrupted);
    assert!(lives(scene.pids()[0]));
}

#[tokio::test]
async fn who_cannot_start_gives_its_job_back_and_the_next_start_waits() {
    let dying = scene("echo no database >&2; exit 3", |_| {});
    let begun = Instant::now();
    for n in 1..=3 {
        let failed = unstarted(dying.run("[]").await);
        assert_eq!(failed.exception, "SpawnError");
        assert_eq!(failed.error, "task \"test\": ./worker exited with 3 before it was ready");
        assert_eq!(failed.backtrace, ["no database"]);
        assert_eq!(dying.pids().len(), n);
    }
    // 100 and 200 ms, less an eighth.
    assert!(begun.elapsed() >= Duration::from_millis(260), "{:?}", begun.elapsed());
    let told = dying.told();
    assert!(
        told.iter().any(|text| text.contains("1 job that waited for it is given back; the next start")),
        "{told:?}"
    );

    let gone = scene("", |spec| spec.argv = vec!["./gone".into()]);
    assert!(unstarted(gone.run("[]").await).error.contains("failed to start ./gone: there is no such program"));
    let mute = scene("exec sleep 60", |spec| spec.start_timeout = Duration::from_secs(1));
    assert!(unstarted(mute.run("[]").await).error.contains("was not ready within 1s"));
    // On a busy machine it may have been killed before it wrote its id.
    assert!(!mute.pids().into_iter().any(lives));
    let rude = scene("echo '{\"jsonrpc\":2}'; sleep 60", |_| {});
    assert!(
        unstarted(rude.run("[]").await).error.contains("broke the protocol before it was ready: expected \"jsonrpc")
    );
    // Its end may be seen before its output.
    let chatty = scene("echo no licence; printf 'bye'; exit 3", |_| {});
    assert_eq!(unstarted(chatty.run("[]").await).backtrace, ["no licence", "bye"]);
    let cut = scene(r#"echo no licence; printf '{"jsonrpc":"2.'; exit 3"#, |_| {});
    assert_eq!(unstarted(cut.run("[]").await).backtrace, ["no licence"]);
}

#[tokio::test]
async fn a_child_may_lower_the_depth() {
    let script = r#"ready ',"params":{"depth":1}'; while read -r line; do id "$line"; >got
        until [ -e gate ]; do sleep 0.01; done; ok $id 1; done"#;
    let scene = scene(script, deep(8));
    let runs: Vec<Run> = (0..3).map(|_| scene.begin("[]")).collect();
    scene.wait_for("got").await;
    // Two wait in the child pool, and so can end without the child.
    let mut interrupted = 0;
    for run in &runs {
        run.1.send_replace(Stop::Terminate);
    }
    scene.write("gate");
    for run in runs {
        interrupted += usize::from(ended(run).await == Outcome::Interrupted);
    }
    assert_eq!(interrupted, 2);
}

#[tokio::test]
async fn a_child_is_replaced_after_max_jobs() {
    let scene = scene(PLAIN, |spec| spec.max_jobs = Some(3));
    let mut seen = Vec::new();
    for _ in 0..7 {
        seen.push(scene.result("[]").await);
    }
    let mut each = seen.clone();
    each.dedup();
    assert_eq!(each.iter().map(|pid| seen.iter().filter(|one| *one == pid).count()).collect::<Vec<_>>(), [3, 3, 1]);
    assert!(!lives(each[0].parse().unwrap()), "the next one starts when it is gone");
    assert!(scene.told().is_empty());
}

#[tokio::test]
async fn a_child_is_replaced_when_it_has_too_much_in_memory() {
    let script = "x=$(head -c 8000000 /dev/zero | tr '\\0' x); ";
    let scene = scene(&format!("{script}{PLAIN}"), |spec| spec.max_rss = Some(4_000_000));
    let first = scene.result("[]").await;
    let deadline = Instant::now() + Duration::from_secs(30);
    while scene.result("[]").await == first {
        assert!(Instant::now() < deadline, "it is never replaced");
        // No event reports that its memory was looked at: ask again, with a deadline.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let told = scene.told();
    assert!(told.iter().any(|text| text.contains("more than max_rss, 4.0 MB")), "{told:?}");
}

#[tokio::test]
async fn who_was_cut_off_before_is_alone_in_its_child() {
    let script = r#"ready; while read -r line; do id "$line"; case "$line" in
        *'"redelivered":1'*) >alone; until [ -e gate ]; do sleep 0.01; done; ok $id '"alone"';; *) ok $id '"not"';;
        esac; done"#;
    let scene = scene(script, deep(8));
    scene.run("[]").await;
    let mut job = invocation("[]");
    job.identity = job.identity.redelivered();
    let suspect = scene.begin_job(job);
    scene.wait_for("alone").await;
    let others: Vec<Run> = (0..3).map(|_| scene.begin("[]")).collect();
    for run in &others {
        // Still in the child pool: it ends without the child, which hangs.
        run.1.send_replace(Stop::Terminate);
    }
    for run in others {
        assert_eq!(ended(run).await, Outcome::Interrupted);
    }
    scene.write("gate");
    assert_eq!(ended(suspect).await, success("alone"));
    assert_eq!(scene.run("[]").await, success("not"));
}

#[tokio::test]
async fn what_a_child_has_not_seen_is_given_to_the_next() {
    let script =
        format!("if [ -e second ]; then {PLAIN}; else ready; until [ -e gate ]; do sleep 0.01; done; exit 1; fi");
    let scene = scene(&script, deep(2));
    // The first request fills the pipe, so that the second has to wait behind it.
    let big = scene.begin(&format!("[\"{}\"]", "x".repeat(1_000_000)));
    eventually("the child is there", || scene.pids().len() == 1).await;
    let pool = scene.rpc.pool();
    eventually("both are its", || pool.held() == 1).await;
    let small = scene.begin("[]");
    eventually("both are its", || pool.held() == 2).await;
    scene.write("second");
    scene.write("gate");
    crash(ended(big).await);
    assert!(matches!(ended(small).await, Outcome::Success { .. }));
}

/// A lease of 30 s by a clock that the test moves, and a job that was claimed under it.
fn leased(args: &str) -> (Arc<ManualClock>, WatchedLease, Invocation) {
    let clock = Arc::new(ManualClock::at(0));
    let lease = WatchedLease::new(Arc::clone(&clock) as Arc<dyn Clock>, LEASE);
    let job = Invocation { lease: lease.watch(), ..invocation(args) };
    (clock, lease, job)
}

const LEASE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_job_that_waited_for_a_child_beyond_the_lease_does_not_begin() {
    let script = "ready; while read -r line; do echo \"$line\" >>seen; until [ -e gate ]; do sleep 0.01; done
        id \"$line\"; ok $id $$; done";
    let scene = scene(script, |_| {});
    let first = scene.begin("[\"first\"]");
    scene.wait_for("seen").await;
    let (clock, lease, job) = leased("[\"late\"]");
    let late = scene.begin_job(job);
    let (_, other, job) = leased("[\"in time\"]");
    let in_time = scene.begin_job(job);
    clock.suspend(LEASE);
    // It is extended once more: others may have run the job all the same.
    lease.extended(Instant::now(), clock.suspended());
    other.extended(Instant::now(), Duration::ZERO);
    scene.write("gate");
    assert!(matches!(ended(first).await, Outcome::Success { .. }));
    assert_eq!(ended(late).await, Outcome::ClaimDoubted);
    assert!(matches!(ended(in_time).await, Outcome::Success { .. }), "it has the place of the other");
    let seen = fs::read_to_string(scene.folder.path().join("seen")).unwrap();
    assert!(seen.lines().count() == 2 && !seen.contains("late"), "{seen}");
    assert_eq!(scene.pids().len(), 1);
}

#[tokio::test]
async fn a_request_that_the_pipe_has_not_taken_when_the_lease_runs_out_is_taken_back() {
    let script = "ready; until [ -e gate ]; do sleep 0.01; done
        while read -r line; do id=${line%%,\\\"method*}; id \"$id\"; echo \"$line\" | cut -c 1-400 >>seen; ok $id $$; done";
    for is_cut in [false, true] {
        let scene = scene(script, deep(4));
        let long = format!("[\"{}\"]", "x".repeat(200_000));
        let (clock, _lease, doubted) = leased(if is_cut { &long } else { "[\"doubted\"]" });
        let mut runs = vec![if is_cut { scene.begin_job(doubted.clone()) } else { scene.begin(&long) }];
        eventually("the child is there", || scene.pids().len() == 1).await;
        eventually("the pipe has a part of the long one", || scene.unread() > 50_000).await;
        if !is_cut {
            runs.push(scene.begin_job(doubted));
        }
        runs.push(scene.begin("[\"behind\"]"));
        // The keeper of the child takes them on this thread.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        clock.suspend(LEASE);
        scene.write("gate");
        let behind = ended(runs.pop().unwrap()).await;
        let doubted = ended(runs.pop().unwrap()).await;
        assert_eq!(doubted, Outcome::ClaimDoubted, "cut: {is_cut}");
        assert!(matches!(behind, Outcome::Success { .. }), "cut: {is_cut}: {behind:?}");
        for run in runs {
            assert!(matches!(ended(run).await, Outcome::Success { .. }), "its rest is written");
        }
        let seen = fs::read_to_string(scene.folder.path().join("seen")).unwrap();
        assert!(!seen.contains("doubted") && seen.contains("xxx") != is_cut, "cut: {is_cut}: {seen}");
        assert_eq!(scene.pids().len(), if is_cut { 2 } else { 1 }, "one that has a part of it is replaced");
    }
}

#[tokio::test]
async fn children_end_with_their_handler() {
    let polite = scene(PLAIN, |_| {});
    polite.result("[]").await;
    let pid = polite.pids()[0];
    drop(polite.rpc);
    eventually("it ends by itself", || !lives(pid)).await;

    // This one ignores both the end of its stdin and TERM, and has a child of its own.
    let stubborn = scene(
        "trap '' TERM; sleep 1000 & echo $! >>pids; ready; read -r line; id \"$line\"; ok $id 1; while :; do sleep 0.01; done",
        |_| {},
    );
    stubborn.run("[]").await;
    let pids = stubborn.pids();
    assert_eq!(pids.len(), 2);
    let retired = stubborn.rpc.retire(Instant::now() + Duration::from_millis(100));
    timeout(Duration::from_secs(30), retired).await.unwrap();
    assert!(pids.iter().all(|pid| !lives(*pid)));
    // A later job runs all the same, in a child that is not kept.
    assert_eq!(stubborn.run("[]").await, success("1"));
    timeout(Duration::from_secs(30), stubborn.rpc.retire(Instant::now())).await.unwrap();
    assert!(stubborn.pids().iter().all(|pid| !lives(*pid)));
}

#[tokio::test]
async fn a_handler_that_is_dropped_lets_its_runs_end() {
    let scene = scene(CANCELLED, |_| {});
    let run = scene.begin("[\"good\"]");
    scene.wait_for("got").await;
    let pid = scene.pids()[0];
    drop(scene.rpc);
    run.1.send_replace(Stop::Terminate);
    assert_eq!(ended(run).await, success("saved"));
    eventually("then it ends", || !lives(pid)).await;
}

#[tokio::test]
async fn a_new_instance_has_new_children() {
    let scene = scene(PLAIN, |_| {});
    let first = scene.result("[]").await;
    let job = Invocation { instance: Arc::from("00fe"), ..invocation("[]") };
    let Outcome::Success { result } = ended(scene.begin_job(job)).await else { panic!("it must succeed") };
    assert_ne!(result, Some(first.clone()));
    assert!(!lives(first.parse().unwrap()));
    let environ = fs::read(format!("/proc/{}/environ", result.unwrap())).unwrap();
    assert!(environ.split(|byte| *byte == 0).any(|variable| variable == b"WINDLASS_INSTANCE=00fe"));
}

#[tokio::test]
async fn variables_of_a_run_are_kept_from_children() {
    // A test cannot set variables of its own process, so it inspects the command instead.
    let scene = scene(PLAIN, deep(3));
    let shown = format!("{:?}", command(&scene.rpc.pool(), "00ff").unwrap());
    for name in ["WINDLASS_JOB_ID", "WINDLASS_CLAIM", "WINDLASS_DEPTH"] {
        assert!(shown.contains(&format!("{name:?}")), "{name} in {shown}");
    }
}

#[tokio::test]
async fn a_forgotten_run_is_killed() {
    let mut scene = scene(CANCELLED, |_| {});
    scene.by_task = true;
    let (run, _stop) = scene.begin("[\"hangs\"]");
    scene.wait_for("got").await;
    run.abort();
    let pid = scene.pids()[0];
    eventually("its child is gone", || !lives(pid)).await;
}
