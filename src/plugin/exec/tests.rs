use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;

use super::*;
use crate::event::{Event, EventKind};
use crate::job::{ClaimToken, Failure, Identity, QueueName};
use crate::plugin::hook::Cancelled;
use crate::process::sweep;

fn script(text: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("policy");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    (dir, path)
}

fn hook(dir: &TempDir, argv: &[&str], timeout: Duration) -> ExecHook {
    let program = PluginProgram {
        argv: argv.iter().map(|&arg| arg.to_owned()).collect(),
        cwd: dir.path().to_owned(),
        timeout,
        points: HookPoints::ALL,
        trusted: None,
        account: None,
    };
    ExecHook::new(Arc::new(program), Arc::from("policy"), Bus::silent())
}

fn enqueued() -> HookJob {
    HookJob {
        task: TaskName::as_stored("mail"),
        queue: QueueName::as_stored("q"),
        args: Bytes::from_static(b"[1.0,\n{\"to\":\"a\"}]"),
        scheduled_at: None,
        identity: None,
        claim: None,
        instance: None,
        options: Arc::from(r#"{"limit":3}"#),
        cancelled: Cancelled::default(),
    }
}

fn claimed() -> HookJob {
    let claim = ClaimToken::new("00ff", 0, 1, 2);
    HookJob {
        identity: Some(Identity::first(&claim).next_attempt()),
        claim: Some(claim),
        instance: Some(Arc::from("00ff")),
        ..enqueued()
    }
}

/// Long enough on any machine.
const LONG: Duration = Duration::from_secs(60);

/// Asks a script before a run.
async fn ask(text: &str) -> Result<Decision, HookError> {
    let (dir, path) = script(text);
    hook(&dir, &[path.to_str().unwrap()], LONG).before_perform(&claimed()).await
}

/// The class and the message of the error with which a script fails, and the end of its stderr.
async fn error(text: &str) -> (String, String, Vec<String>) {
    let HookError { exception, error, backtrace, .. } = ask(text).await.unwrap_err();
    (exception, error, backtrace)
}

#[tokio::test]
async fn the_question_is_one_line_and_the_environment_says_it_too() {
    let (dir, path) = script(
        "cat >question; env | grep ^WINDLASS_ | grep -v ^WINDLASS_RUN= | sort >environment; echo \"$1\" >argument",
    );
    let hook = hook(&dir, &[path.to_str().unwrap(), "{to} $HOME"], LONG);
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    let question = || -> Value {
        let line = read("question");
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        assert!(line.contains("\"args\":[1.0, {\"to\":\"a\"}],"), "as they were written: {line}");
        serde_json::from_str(&line).unwrap()
    };
    assert_eq!(hook.before_enqueue(&enqueued()).await, Ok(Decision::Allow));
    let common = |name: &str| {
        json!({"hook": name, "plugin": "policy", "task": "mail", "queue": "q",
               "args": [1.0, {"to": "a"}], "options": {"limit": 3}})
    };
    assert_eq!(question(), common("before_enqueue"));
    assert_eq!(read("argument"), "{to} $HOME\n", "no placeholders, no shell");
    assert!(!read("environment").contains("WINDLASS_JOB_ID"), "{}", read("environment"));
    hook.after_enqueue(&enqueued()).await.unwrap();
    assert_eq!(question(), common("after_enqueue"));

    let with_run = |name: &str, more: Value| {
        let mut all = common(name);
        let members = json!({"id": "00ff-0-1-2", "attempt": 2, "redelivered": 0, "claim": "00ff-0-1-2"});
        for members in [members, more] {
            all.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        }
        all
    };
    assert_eq!(hook.before_perform(&claimed()).await, Ok(Decision::Allow));
    assert_eq!(question(), with_run("before_perform", json!({})));
    assert_eq!(
        read("environment"),
        "WINDLASS_ARGS=[1.0,\nWINDLASS_ATTEMPT=2\nWINDLASS_CLAIM=00ff-0-1-2\nWINDLASS_HOOK=before_perform\n\
         WINDLASS_INSTANCE=00ff\nWINDLASS_JOB_ID=00ff-0-1-2\nWINDLASS_PLUGIN=policy\nWINDLASS_QUEUE=q\n\
         WINDLASS_TASK=mail\n"
    );
    let success = Outcome::Success { result: Some("42".into()) };
    assert_eq!(hook.after_perform(&claimed(), success.clone()).await, Ok(success));
    assert_eq!(question(), with_run("after_perform", json!({"outcome": "success", "result": "42"})));
    let failure = Failure::new("Error", "bo\"om").with_backtrace(vec!["at x".into()]);
    hook.after_perform(&claimed(), Outcome::Failure(failure)).await.unwrap();
    let told = json!({"outcome": "failure", "exception": "Error", "error": "bo\"om", "backtrace": ["at x"]});
    assert_eq!(question(), with_run("after_perform", told));
}

#[tokio::test]
async fn answers_allow_deny_and_clear() {
    assert_eq!(ask("exit 0").await, Ok(Decision::Allow));
    assert_eq!(ask("cat >/dev/null; echo '{\"allow\":true}'").await, Ok(Decision::Allow));
    let deny = ask("echo '{\"allow\":false,'; echo ' \"reason\":\"not today\"}'").await;
    assert_eq!(deny, Ok(Decision::deny("not today")));
    let (dir, path) = script("echo '{\"clear\":true}'");
    let hook = hook(&dir, &[path.to_str().unwrap()], LONG);
    let cleared = hook.after_perform(&claimed(), Outcome::Failure(Failure::new("Error", "x"))).await;
    assert_eq!(cleared, Ok(Outcome::Success { result: None }));
    let later = Outcome::Later { delay: Duration::from_secs(1), tail: Vec::new() };
    assert_eq!(hook.after_perform(&claimed(), later.clone()).await, Ok(later), "only failures are cleared");
}

#[tokio::test]
async fn a_program_that_ignores_a_long_question_is_no_error() {
    let (dir, path) = script("exec 0<&-; echo '{\"allow\":true}'");
    let args = Bytes::from(format!("[\"{}\"]", "x".repeat(1_000_000)));
    let job = HookJob { args, ..claimed() };
    let answer = hook(&dir, &[path.to_str().unwrap()], LONG).before_perform(&job).await;
    assert_eq!(answer, Ok(Decision::Allow));
}

#[tokio::test]
async fn whatever_is_no_answer_is_an_error_by_name_with_the_end_of_stderr() {
    let (exception, said, tail) = error("echo why >&2; exit 3").await;
    assert_eq!((exception.as_str(), said.as_str(), tail), ("PluginExitStatus", "exited with 3", vec!["why".into()]));
    let (exception, said, _) = error("echo '{\"allow\":true}'; exit 1").await;
    assert_eq!((exception.as_str(), said.as_str()), ("PluginExitStatus", "exited with 1"));
    let (exception, said, _) = error("kill -9 $$").await;
    assert_eq!(exception, "PluginSignal");
    assert!(said.starts_with("killed by signal 9 (SIGKILL), which this instance did not send"), "{said}");
    let (exception, said, tail) = error("echo hint >&2; printf 'yes\\377\\n'").await;
    assert_eq!((exception.as_str(), tail), ("PluginAnswer", vec!["hint".into()]));
    assert!(said.ends_with("found `yes\u{fffd}`"), "{said}");
}

#[tokio::test]
async fn ten_megabytes_are_not_read_to_their_end() {
    // It never stops by itself: only the cap ends it.
    let (exception, said, _) = error("while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done").await;
    assert_eq!((exception.as_str(), said.as_str()), ("PluginOutput", "wrote more than 65536 bytes to stdout"));
    let (exception, ..) = error("head -c 10000000 /dev/zero | tr '\\0' y").await;
    assert_eq!(exception, "PluginOutput");
}

#[tokio::test]
async fn what_hangs_is_ended_with_all_its_children() {
    let (dir, path) = script("trap '' TERM; sh -c 'trap \"\" TERM; echo $$ >child; sleep 600' & sleep 600");
    let hook = hook(&dir, &[path.to_str().unwrap()], Duration::from_secs(3));
    let HookError { exception, error, .. } = hook.before_perform(&claimed()).await.unwrap_err();
    assert_eq!((exception.as_str(), error.as_str()), ("PluginTimeout", "did not answer within 3s"));
    let child: u32 = fs::read_to_string(dir.path().join("child")).unwrap().trim().parse().unwrap();
    assert!(!sweep::is_alive(child, 0));
}

#[tokio::test]
async fn what_nobody_waits_for_is_asked_to_end() {
    let (dir, path) = script("trap 'echo asked >told; exit 1' TERM; echo ready >begun; while :; do sleep 0.01; done");
    let hook = hook(&dir, &[path.to_str().unwrap()], LONG);
    let (cancel, cancelled) = Cancelled::channel();
    let job = HookJob { cancelled, ..claimed() };
    let begun = async {
        // The program sends no signal.
        while !dir.path().join("begun").exists() {
            sleep(Duration::from_millis(5)).await;
        }
        cancel.send_replace(true);
    };
    let (answer, ()) = tokio::join!(hook.before_perform(&job), begun);
    assert_eq!(answer.unwrap_err().error, "was cut off before it answered");
    assert!(dir.path().join("told").exists());
}

#[tokio::test]
async fn a_program_that_is_gone_or_cannot_run_is_told_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("policy");
    let hook = hook(&dir, &[path.to_str().unwrap()], LONG);
    let HookError { exception, error, unstarted, .. } = hook.before_enqueue(&enqueued()).await.unwrap_err();
    assert_eq!((exception.as_str(), unstarted), ("PluginSpawnError", true));
    assert!(error.ends_with("policy: there is no such program"), "{error}");
    fs::write(&path, "#!/bin/sh\n").unwrap();
    let HookError { error, .. } = hook.before_enqueue(&enqueued()).await.unwrap_err();
    assert!(error.ends_with("permission denied (is it executable?)"), "{error}");
}

#[tokio::test]
async fn stderr_is_told_beside_the_answer() {
    let (bus, listeners) = Bus::new(&[EventKind::Output.bit()], 1 << 20);
    let (dir, path) = script("echo thinking >&2");
    let mut hook = hook(&dir, &[path.to_str().unwrap()], LONG);
    hook.bus = bus;
    assert_eq!(hook.before_perform(&claimed()).await, Ok(Decision::Allow));
    let Some(Event::Output { task, line, stream, .. }) = listeners[0].try_next() else { panic!("nothing was told") };
    assert_eq!((task.as_str(), line.as_str(), stream), ("mail policy", "thinking", OutputStream::Stderr));
}
