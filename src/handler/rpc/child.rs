//! The task of one child: it waits until the child may start, starts the process, waits for `ready`, serves jobs, and
//! ends the process.
//!
//! Nothing of the process group is left when the jobs of an ended child learn their outcomes. A job that was asked to
//! end is interrupted. Other jobs that the child held crashed with it, or failed if it broke the protocol. Jobs whose requests the child has not seen a
//! byte of go to another child unchanged.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use signal_hook::consts::SIGKILL;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};

use super::child_pool::{ChildEnd, ChildPool, FailedStart};
use super::pool_state::{ChildParams, PerformRequest};
use super::session::Session;
use super::session_end::{EndedChild, SessionEnd};
use crate::event::Event;
use crate::handler::process_settings;
use crate::job::{Failure, Outcome, run_variables};
use crate::process::{Command, Duplex, SpawnError, Unbegun, mark, memory_kill, signal::status_text, spawn_retry};
use crate::supervise::scope::named;

/// How long the rest of the process group may outlive a child that ended as asked.
const GROUP_GRACE: Duration = Duration::from_secs(5);

/// The place of a child in its pool. Dropping it frees the place in every case.
struct PoolSlot {
    pool: Arc<ChildPool>,
    number: u64,
    left: bool,
}

impl PoolSlot {
    fn leave(mut self, unseen: Vec<PerformRequest>, child_end: ChildEnd) {
        self.left = true;
        self.pool.child_ended(self.number, unseen, child_end);
    }

    fn failed_start(mut self, failure: &Failure, why: FailedStart) {
        self.left = true;
        self.pool.failed_start(self.number, failure, why);
    }
}

impl Drop for PoolSlot {
    fn drop(&mut self) {
        if !self.left {
            self.pool.child_lost(self.number);
        }
    }
}

/// Starts the task of a child on a runtime.
pub(super) fn begin(pool: Arc<ChildPool>, params: ChildParams, runtime: &Handle) {
    runtime.spawn(named("the keeper of an rpc child", run_child(pool, params)));
}

/// Runs one child from its start to its end.
async fn run_child(pool: Arc<ChildPool>, params: ChildParams) {
    let ChildParams { number, notify, instance, not_before } = params;
    let slot = PoolSlot { pool: Arc::clone(&pool), number, left: false };
    let unwanted = || pool.is_unwanted(number);
    while let Some(until) = not_before.filter(|until| *until > Instant::now()) {
        tokio::select! {
            () = sleep_until(until) => {}
            () = notify.notified() => if unwanted() { return slot.leave(Vec::new(), ChildEnd::Asked) },
        }
    }
    let duplex = match start(&pool, &instance).await {
        Ok(duplex) => duplex,
        Err(error) => {
            let failure = not_started(&pool, &format!("failed to {error}"), Vec::new());
            let why = match error {
                _ if error.is_shortage() => FailedStart::Short,
                _ if error.may_pass() => FailedStart::Unstarted,
                _ => FailedStart::Wrong,
            };
            return slot.failed_start(&failure, why);
        }
    };
    let mut session = Session::new(duplex, pool.task.clone(), pool.bus.clone(), pool.kept.clone());
    let deadline = Instant::now() + pool.spec.start_timeout;
    let depth = match session.ready(&notify, deadline, unwanted).await {
        Ok(depth) => depth.unwrap_or(pool.spec.depth).min(pool.spec.depth),
        Err(SessionEnd::Leave) => {
            session.shut_down(&pool, &notify).await;
            session.end_and_reap(&pool.spec.later, GROUP_GRACE, true).await;
            return slot.leave(Vec::new(), ChildEnd::Asked);
        }
        Err(end) => {
            let (failure, why) = never_ready(&pool, session, end).await;
            return slot.failed_start(&failure, why);
        }
    };
    pool.ready(number, depth);
    let end = session.serve(&pool, number, &notify, depth).await;
    if end == SessionEnd::Leave {
        session.shut_down(&pool, &notify).await;
    }
    let pid = session.pid();
    if let SessionEnd::Broken(what) | SessionEnd::Closed(what) = &end {
        let text = format!("task \"{}\": child {pid} broke the protocol and is killed: {what}", pool.task);
        pool.warn(text);
    }
    let grace = if end == SessionEnd::Leave { GROUP_GRACE } else { Duration::ZERO };
    let ended_child = session.end_and_reap(&pool.spec.later, grace, end.is_protocol()).await;
    let (unseen, child_end) = settle(&pool, pid, end, ended_child);
    slot.leave(unseen, child_end);
}

/// Completes the jobs of an ended child.
fn settle(pool: &ChildPool, pid: u32, end: SessionEnd, ended_child: EndedChild) -> (Vec<PerformRequest>, ChildEnd) {
    let EndedChild { status, tail, unanswered, unseen, proven, .. } = ended_child;
    let ended = match status {
        Ok(status) => status_text(status),
        Err(ref error) => format!("ended, its exit status was lost: {error}"),
    };
    let why = if end == SessionEnd::Exited { memory(status.as_ref().ok()) } else { String::new() };
    let crashed = unanswered.iter().filter(|(_, stopped, _)| !stopped).count();
    let (exception, error) = match &end {
        SessionEnd::Kill => ("Crash", format!("child {pid} was killed because another job that it held had to end")),
        SessionEnd::Broken(what) | SessionEnd::Closed(what) => {
            ("ProtocolError", format!("child {pid} broke the protocol: {what}"))
        }
        SessionEnd::Leave | SessionEnd::Exited | SessionEnd::Late => {
            ("Crash", format!("child {pid} {ended} while it held {crashed} jobs{why}"))
        }
    };
    let task = &pool.task;
    let is_broken = matches!(end, SessionEnd::Broken(_));
    let child_end = match end {
        SessionEnd::Leave => ChildEnd::Asked,
        SessionEnd::Kill => {
            if crashed > 0 {
                pool.warn(format!("task \"{task}\": {error}; {crashed} others are cut off with it"));
            }
            ChildEnd::Asked
        }
        SessionEnd::Broken(_) | SessionEnd::Closed(_) | SessionEnd::Late => ChildEnd::Unasked,
        SessionEnd::Exited if crashed > 0 => {
            pool.warn(format!("task \"{task}\": {error}; they are cut off"));
            ChildEnd::Unasked
        }
        SessionEnd::Exited => {
            let text = format!("task \"{task}\": child {pid} {ended} while it held no job{why}");
            let good = status.as_ref().is_ok_and(ExitStatus::success);
            pool.bus.emit(if good { Event::Notice { text } } else { Event::Warning { text } });
            if good && proven { ChildEnd::Asked } else { ChildEnd::Unasked }
        }
    };
    let failure = Failure::new(exception, format!("task \"{task}\": {error}")).with_backtrace(tail);
    for (request, stopped, place) in unanswered {
        let mut failure = failure.clone();
        let is_kept = place.is_some();
        failure.backtrace.extend(place);
        request.complete(match stopped {
            true if is_kept => Outcome::Stopped { tail: failure.backtrace },
            true => Outcome::Interrupted,
            // It would do the same in the next run.
            false if is_broken => Outcome::Failure(failure),
            false => Outcome::Crashed(failure),
        });
    }
    (unseen, child_end)
}

/// The failure of a child that did not become ready, and what follows for the jobs that wait for it.
async fn never_ready(pool: &ChildPool, session: Session, end: SessionEnd) -> (Failure, FailedStart) {
    let limit = humantime::format_duration(pool.spec.start_timeout);
    let EndedChild { status, mut tail, shim, .. } = session.end_and_reap(&pool.spec.later, Duration::ZERO, true).await;
    if let Some(word) = shim {
        tail.retain(|line| *line != word.text);
        let fate = match word.why {
            Unbegun::Short => FailedStart::Short,
            Unbegun::NotExecuted => FailedStart::Unstarted,
            Unbegun::Failed => FailedStart::Wrong,
        };
        return (not_started(pool, word.text.trim_start_matches("windlass: "), tail), fate);
    }
    let program = pool.spec.argv.first().map_or("", String::as_str);
    let why = match (end, status) {
        (SessionEnd::Broken(what) | SessionEnd::Closed(what), _) => {
            format!("broke the protocol before it was ready: {what}")
        }
        (SessionEnd::Late, _) => format!("was not ready within {limit}: it never wrote the notification \"ready\""),
        (SessionEnd::Exited, Ok(status)) => {
            let why = memory(Some(&status));
            let killed = status.signal() == Some(SIGKILL) && why.is_empty();
            let why = format!("{program} {} before it was ready{why}", status_text(status));
            return (not_started(pool, &why, tail).killed_if(killed), FailedStart::Unstarted);
        }
        (_, Ok(status)) => format!("{} before it was ready", status_text(status)),
        (_, Err(error)) => format!("ended before it was ready, and its exit status was lost: {error}"),
    };
    (not_started(pool, &format!("{program} {why}"), tail), FailedStart::Unstarted)
}

/// What is known of the kill of a child that nobody here killed.
fn memory(status: Option<&ExitStatus>) -> String {
    let killed = status.and_then(ExitStatusExt::signal) == Some(SIGKILL);
    killed.then(memory_kill::reason).flatten().map_or_else(String::new, |reason| format!(": killed {reason}"))
}

fn not_started(pool: &ChildPool, why: &str, backtrace: Vec<String>) -> Failure {
    Failure::new("SpawnError", format!("task \"{}\": {why}", pool.task)).with_backtrace(backtrace)
}

/// Starts the process.
async fn start(pool: &ChildPool, instance: &str) -> Result<Duplex, SpawnError> {
    let command = command(pool, instance)?;
    spawn_retry::start(|| Duplex::spawn(&command)).await
}

/// The command of a child.
pub(super) fn command(pool: &ChildPool, instance: &str) -> Result<Command, SpawnError> {
    let mut argv = pool.spec.argv.iter();
    let mut command = Command::new(argv.next().cloned().unwrap_or_default());
    command.args(argv);
    for name in run_variables::ALL {
        command.env_remove(name);
    }
    process_settings::apply(&mut command, &pool.spec.process)?;
    command
        .env("WINDLASS_TASK", pool.task.as_str())
        .env("WINDLASS_DEPTH", pool.spec.depth.to_string())
        .env(mark::INSTANCE, instance);
    Ok(command)
}
