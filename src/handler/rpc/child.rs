//! A child's life: it waits for its turn, starts, says that it is ready, serves, and ends.
//!
//! However it ends, when its jobs are told nothing of its process group is left. Jobs that it held and did not answer
//! are told apart: who was asked to end was interrupted, the others crashed with it, and those of which it has not seen
//! a byte go to another child as if nothing had been.

use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};

use super::ask::Ask;
use super::fleet::{Fleet, Parting};
use super::member::Badge;
use super::session::{End, Remains, Session};
use crate::event::Event;
use crate::handler::place;
use crate::job::{Failure, Outcome, told};
use crate::process::confine::is_complaint;
use crate::process::{Command, Duplex, SpawnError, mark, patience, signal::status_text};

/// How long others of its group may outlive a child that ended as it was asked to.
const GROUP_GRACE: Duration = Duration::from_secs(5);

/// A place in the fleet, given back whatever happens.
struct Membership {
    fleet: Arc<Fleet>,
    number: u64,
    left: bool,
}

impl Membership {
    fn part(mut self, unseen: Vec<Ask>, parting: Parting) {
        self.left = true;
        self.fleet.part(self.number, unseen, parting);
    }

    fn stillborn(mut self, failure: &Failure) {
        self.left = true;
        self.fleet.stillborn(self.number, failure);
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        if !self.left {
            self.fleet.lose(self.number);
        }
    }
}

/// Starts a child's life on a runtime.
pub(super) fn begin(fleet: Arc<Fleet>, badge: Badge, runtime: &Handle) {
    runtime.spawn(live(fleet, badge));
}

/// Lives.
async fn live(fleet: Arc<Fleet>, badge: Badge) {
    let Badge { number, bell, instance, not_before } = badge;
    let membership = Membership { fleet: Arc::clone(&fleet), number, left: false };
    let unwanted = || fleet.is_unwanted(number);
    while let Some(until) = not_before.filter(|until| *until > Instant::now()) {
        tokio::select! {
            () = sleep_until(until) => {}
            () = bell.notified() => if unwanted() { return membership.part(Vec::new(), Parting::Asked) },
        }
    }
    let duplex = match start(&fleet, &instance).await {
        Ok(duplex) => duplex,
        Err(error) => return membership.stillborn(&not_started(&fleet, &format!("failed to {error}"), Vec::new())),
    };
    let mut session = Session::new(duplex, fleet.task.clone(), fleet.bus.clone());
    let deadline = Instant::now() + fleet.spec.start_timeout;
    let depth = match session.ready(&bell, deadline, unwanted).await {
        Ok(depth) => depth.unwrap_or(fleet.spec.depth).min(fleet.spec.depth),
        Err(End::Leave) => {
            session.dismiss(&fleet, &bell).await;
            session.bury(&fleet.spec.later, GROUP_GRACE, true).await;
            return membership.part(Vec::new(), Parting::Asked);
        }
        Err(end) => {
            let failure = never_ready(&fleet, session, end).await;
            return membership.stillborn(&failure);
        }
    };
    fleet.ready(number, depth);
    let end = session.serve(&fleet, number, &bell, depth).await;
    if end == End::Leave {
        session.dismiss(&fleet, &bell).await;
    }
    let pid = session.pid();
    if let End::Broken(what) = &end {
        let text = format!("task \"{}\": child {pid} broke the protocol and is killed: {what}", fleet.task);
        fleet.warn(text);
    }
    let grace = if end == End::Leave { GROUP_GRACE } else { Duration::ZERO };
    let remains = session.bury(&fleet.spec.later, grace, matches!(end, End::Broken(_))).await;
    let (unseen, parting) = settle(&fleet, pid, end, remains);
    membership.part(unseen, parting);
}

/// Tells the jobs of a child that is gone how they ended.
fn settle(fleet: &Fleet, pid: u32, end: End, remains: Remains) -> (Vec<Ask>, Parting) {
    let Remains { status, tail, unanswered, unseen, proven } = remains;
    let ended = match status {
        Ok(status) => status_text(status),
        Err(ref error) => format!("ended, its exit status was lost: {error}"),
    };
    let crashed = unanswered.iter().filter(|(_, stopped)| !stopped).count();
    let (exception, error) = match &end {
        End::Kill => ("Crash", format!("child {pid} was killed, for another job that it held had to end")),
        End::Broken(what) => ("ProtocolError", format!("child {pid} broke the protocol: {what}")),
        End::Leave | End::Exited | End::Late => ("Crash", format!("child {pid} {ended} while it held {crashed} jobs")),
    };
    let task = &fleet.task;
    let parting = match end {
        End::Leave => Parting::Asked,
        End::Kill => {
            if crashed > 0 {
                fleet.warn(format!("task \"{task}\": {error}; {crashed} others are cut off with it"));
            }
            Parting::Asked
        }
        End::Broken(_) | End::Late => Parting::Unasked,
        End::Exited if crashed > 0 => {
            fleet.warn(format!("task \"{task}\": {error}; they are cut off"));
            Parting::Unasked
        }
        End::Exited => {
            let text = format!("task \"{task}\": child {pid} {ended} while it held no job");
            let good = status.as_ref().is_ok_and(ExitStatus::success);
            fleet.bus.emit(if good { Event::Notice { text } } else { Event::Warning { text } });
            if good && proven { Parting::Asked } else { Parting::Unasked }
        }
    };
    let failure = Failure { backtrace: tail, ..Failure::new(exception, format!("task \"{task}\": {error}")) };
    for (ask, stopped) in unanswered {
        ask.answer(if stopped { Outcome::Interrupted } else { Outcome::Crashed(failure.clone()) });
    }
    (unseen, parting)
}

/// Why a child did not get ready.
async fn never_ready(fleet: &Fleet, session: Session, end: End) -> Failure {
    let limit = humantime::format_duration(fleet.spec.start_timeout);
    let Remains { status, mut tail, .. } = session.bury(&fleet.spec.later, Duration::ZERO, true).await;
    let program = fleet.spec.argv.first().map_or("", String::as_str);
    let why = match (end, status) {
        (End::Broken(what), _) => format!("broke the protocol before it was ready: {what}"),
        (End::Late, _) => format!("was not ready within {limit}: it never wrote the notification \"ready\""),
        (_, Ok(_)) if tail.last().is_some_and(|line| is_complaint(line)) => {
            let complaint = tail.pop().unwrap_or_default();
            return not_started(fleet, complaint.trim_start_matches("windlass: "), tail);
        }
        (_, Ok(status)) => format!("{} before it was ready", status_text(status)),
        (_, Err(error)) => format!("ended before it was ready, and its exit status was lost: {error}"),
    };
    not_started(fleet, &format!("{program} {why}"), tail)
}

fn not_started(fleet: &Fleet, why: &str, backtrace: Vec<String>) -> Failure {
    Failure { backtrace, ..Failure::new("SpawnError", format!("task \"{}\": {why}", fleet.task)) }
}

/// Starts the process.
async fn start(fleet: &Fleet, instance: &str) -> Result<Duplex, SpawnError> {
    let command = command(fleet, instance);
    patience::start(|| Duplex::spawn(&command)).await
}

/// The command of a child.
pub(super) fn command(fleet: &Fleet, instance: &str) -> Command {
    let mut argv = fleet.spec.argv.iter();
    let mut command = Command::new(argv.next().cloned().unwrap_or_default());
    command.args(argv);
    for name in told::VARIABLES {
        command.env_remove(name);
    }
    place::put(&mut command, &fleet.spec.place);
    command
        .env("WINDLASS_TASK", fleet.task.as_str())
        .env("WINDLASS_DEPTH", fleet.spec.depth.to_string())
        .env(mark::INSTANCE, instance);
    command
}
