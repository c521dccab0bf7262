//! A running child and the exchange of messages with it.
//!
//! One task owns the session. Each round takes what the child pool has, writes what the pipe takes, waits for any
//! event, and reads what has arrived. A request that does not fit the pipe waits in the buffer. The buffer stays
//! bounded, because the child holds at most `depth` jobs.
//!
//! Longer than 400 lines because all of its methods change the one state of a session.

use std::io;
use std::time::Duration;

use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::child_io::{ChildStderr, Strays, at, readable, writable};
use super::child_pool::ChildPool;
use super::pending::{Pending, PendingJob};
use super::pool_state::{ChildOrders, Ended, PerformRequest};
use super::protocol::{self, Message};
use super::request_buffer::RequestBuffer;
use super::session_end::{EndedChild, SessionEnd};
use super::stray;
use crate::event::{Bus, Event, OutputTeller};
use crate::handler::contract::Stop;
use crate::handler::kept_output::{KeptOutputs, RunOutput};
use crate::job::{Outcome, Progress, TaskName};
use crate::process::lines::Lines;
use crate::process::{Child, Duplex, Output, OutputLine, Tail, sweep, terminate};
use crate::task::handler_spec::RetryLater;

/// How long a process may run after it closed its stdin or stdout. Usually all pipes close together when it ends.
const CLOSED: Duration = Duration::from_secs(1);
/// How long the stdout of an ended child must be silent before it is no longer read.
const SILENCE: Duration = Duration::from_millis(100);
/// How long a child may take to end after its stdin was closed, before it gets TERM.
const PATIENCE: Duration = Duration::from_secs(5);
/// The time from TERM to KILL.
const GRACE: Duration = Duration::from_secs(5);
/// The shortest time between two checks of memory.
const LOOK: Duration = Duration::from_secs(1);
/// The longest line, in bytes.
const LINE_CAP: usize = 16 * 1024 * 1024;
/// The size of one read; longer lines take more.
const CHUNK: usize = 64 * 1024;

/// What woke a session.
enum Wake {
    Exited,
    Notified,
    Readable,
    Writable,
    Late,
}

/// A child and the jobs that it holds.
pub(super) struct Session {
    child: Child,
    input: Option<Sender>,
    output: Option<Receiver>,
    errors: Output,
    errors_open: bool,
    stderr: ChildStderr,
    strays: Strays,
    lines: Lines,
    requests: RequestBuffer,
    pending: Pending,
    /// Where the output of jobs is kept, if it is.
    kept: Option<KeptOutputs>,
    answered: u64,
    bus: Bus,
    told_bad_progress: bool,
    is_ready: bool,
    /// The pipe that the child has closed, and by when it must end after that.
    closed: Option<(Instant, &'static str)>,
}

impl Session {
    pub(super) fn new(duplex: Duplex, task: TaskName, bus: Bus, kept: Option<KeptOutputs>) -> Self {
        let Duplex { child, input, output, errors } = duplex;
        let pid = child.pid().as_raw_pid().unsigned_abs();
        let log = OutputTeller::of_child(bus.clone(), pid, task.clone()).slowing();
        let stderr = ChildStderr { tail: Tail::default(), log, live: bus.live().clone() };
        Self {
            child,
            input: Some(input),
            output: Some(output),
            errors,
            errors_open: true,
            stderr,
            strays: Strays::new(bus.clone(), pid, task),
            bus,
            told_bad_progress: false,
            is_ready: false,
            lines: Lines::default(),
            requests: RequestBuffer::default(),
            pending: Pending::default(),
            kept,
            answered: 0,
            closed: None,
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.pid().as_raw_pid().unsigned_abs()
    }

    /// Waits until the child is ready, and returns the depth that it asks for. `unwanted` is checked at each
    /// notification.
    pub(super) async fn ready(
        &mut self,
        notify: &Notify,
        deadline: Instant,
        unwanted: impl Fn() -> bool,
    ) -> Result<Option<usize>, SessionEnd> {
        loop {
            if let Some(message) = self.message().map_err(SessionEnd::Broken)? {
                return match message {
                    Message::Ready { depth } => {
                        self.is_ready = true;
                        Ok(depth)
                    }
                    Message::Progress { .. } => continue,
                    Message::Response { id, .. } => {
                        Err(SessionEnd::Broken(format!("expected the notification \"ready\", found an answer to {id}")))
                    }
                };
            }
            match self.wake(notify, Some(deadline)).await {
                Wake::Exited => return Err(SessionEnd::Exited),
                Wake::Readable => self.fill(),
                Wake::Late => return Err(self.fell_silent().unwrap_or(SessionEnd::Late)),
                Wake::Notified if unwanted() => return Err(SessionEnd::Leave),
                Wake::Notified | Wake::Writable => {}
            }
        }
    }

    /// Passes on jobs and responses until there is a reason to end.
    pub(super) async fn serve(&mut self, pool: &ChildPool, number: u64, notify: &Notify, depth: usize) -> SessionEnd {
        self.pending = Pending::new(depth);
        let (mut orders, mut ended, mut looked) = (ChildOrders::default(), Ended::default(), Instant::now());
        loop {
            let stays = pool.report(number, ended, &mut orders);
            if !stays {
                return SessionEnd::Leave;
            }
            if let Some(most) = pool.spec.max_rss.filter(|_| ended.answered > 0 && looked.elapsed() >= LOOK) {
                looked = Instant::now();
                self.look_at_memory(pool, number, most);
            }
            ended = Ended::default();
            match self.take_back_doubted() {
                Ok(count) => ended.unbegun = count,
                Err(end) => return end,
            }
            for request in orders.requests.drain(..) {
                if request.job.lease.may_have_lapsed() {
                    request.complete(Outcome::ClaimDoubted);
                    ended.unbegun += 1;
                } else {
                    self.push_request(request);
                }
            }
            for (run_id, stop) in orders.stops.drain(..) {
                if self.stop_run(run_id, stop) {
                    return SessionEnd::Kill;
                }
            }
            self.write();
            if ended.unbegun > 0 {
                // The places that they had are free.
                continue;
            }
            match self.wake(notify, None).await {
                Wake::Exited => return SessionEnd::Exited,
                Wake::Readable => {
                    self.fill();
                    match self.take_responses(&pool.spec.later) {
                        Ok(count) => ended.answered = count,
                        Err(broken) => return SessionEnd::Broken(broken),
                    }
                }
                Wake::Late => return self.fell_silent().unwrap_or(SessionEnd::Late),
                Wake::Notified | Wake::Writable => {}
            }
        }
    }

    /// Shuts the child down: closes its stdin, sends TERM after a while, and KILL after another.
    pub(super) async fn shut_down(&mut self, pool: &ChildPool, notify: &Notify) {
        self.input = None;
        self.closed = None;
        let (begun, mut asked) = (Instant::now(), Stop::No);
        loop {
            let end = pool.deadline();
            let patience = end.map_or(PATIENCE, |end| PATIENCE.min(end.saturating_duration_since(begun) / 2));
            let until = match asked {
                Stop::No => Some(begun + patience),
                Stop::Terminate => Some(end.map_or(begun + patience + GRACE, |end| end.min(begun + patience + GRACE))),
                Stop::Kill => None,
            };
            match self.wake(notify, until).await {
                Wake::Exited => return,
                Wake::Late if asked == Stop::No => {
                    asked = Stop::Terminate;
                    terminate::term(&self.child);
                }
                Wake::Late => {
                    asked = Stop::Kill;
                    terminate::kill(&self.child);
                }
                Wake::Readable => {
                    self.fill();
                    // No response is expected any more, so what it writes is dropped.
                    self.lines = Lines::default();
                }
                Wake::Notified | Wake::Writable => {}
            }
        }
    }

    /// Ends the rest of the child's process group, reads the last output, and reaps the child. `grace` is the time
    /// that the rest of the group gets after the child has ended. After a `broken` session the remaining output is not
    /// read as responses, because it may be none; what the child printed beside its messages is told in any case.
    pub(super) async fn end_and_reap(mut self, later: &RetryLater, grace: Duration, broken: bool) -> EndedChild {
        if grace.is_zero() {
            // One of its runs was stopped, or it is broken: what it started for that must not live on.
            terminate::kill_all(&mut self.child).await;
            self.child.exited().await;
            if !terminate::end_all(&mut self.child, grace, std::future::pending()).await {
                let (task, pid) = (&self.stderr.log, self.child.pid().as_raw_pid());
                terminate::outlast(&mut self.child, |told| task.warn(&format!("child {pid}: {told}"))).await;
            }
        } else {
            terminate::term(&self.child);
            self.child.exited().await;
            terminate::end_remaining(&self.child, grace, std::future::pending()).await;
        }
        self.read_out((!broken).then_some(later)).await;
        let Self { child, mut errors, mut stderr, mut pending, requests, answered, .. } = self;
        stderr.log.ended();
        errors.rest(&mut |line| stderr.take_for(&mut pending, line)).await;
        let status = child.reap();
        let (mut unanswered, mut unseen) = (Vec::new(), Vec::new());
        for mut held in pending.into_order() {
            let place = held.file.take().and_then(RunOutput::end_at_once);
            let stopped = held.asked > Stop::No;
            if held.begin >= requests.sent() && !stopped {
                unseen.push(held.request);
            } else {
                unanswered.push((held.request, stopped, place));
            }
        }
        let (tail, shim) = (stderr.tail.into_lines(), errors.shim_word().cloned());
        EndedChild { status, tail, unanswered, unseen, shim, proven: answered > 0 }
    }

    /// Takes what a child that has ended wrote: all of it is in the pipe by now. The pipe ends at once, unless a process
    /// outside the child's group holds it too. Without `later`, responses are not taken.
    async fn read_out(&mut self, later: Option<&RetryLater>) {
        let last = Instant::now() + CLOSED;
        let mut responses = later;
        loop {
            match responses {
                Some(later) => responses = self.take_responses(later).is_ok().then_some(later),
                None => self.take_strays(),
            }
            let Some(output) = &self.output else { break };
            let silent = timeout_at(last.min(Instant::now() + SILENCE), output.readable()).await.is_err();
            if silent || Instant::now() >= last || self.lines.partial().len() > LINE_CAP {
                break;
            }
            self.fill();
        }
        // Its last words may have no end of line. Half a message is not told: it may hold what is no text for people.
        let partial = self.lines.partial();
        if partial.trim_ascii_start().first() != Some(&b'{') {
            self.strays.take(partial, &mut self.stderr.tail);
        }
    }

    async fn wake(&mut self, notify: &Notify, until: Option<Instant>) -> Wake {
        let Self { child, input, output, errors, errors_open, stderr, requests, closed, kept, pending, .. } = self;
        let until = until.into_iter().chain(closed.map(|(until, _)| until)).min();
        loop {
            let held = stderr.log.held_until(Instant::now());
            let held = held.max(if kept.is_some() { pending.flush(Instant::now()) } else { None });
            let mut sink = |line: OutputLine<'_>| stderr.take_for(pending, line);
            tokio::select! {
                biased;
                () = child.exited() => return Wake::Exited,
                () = notify.notified() => return Wake::Notified,
                () = readable(output.as_ref()) => return Wake::Readable,
                () = writable(input.as_ref().filter(|_| !requests.is_empty())) => return Wake::Writable,
                more = errors.pump(&mut sink), if *errors_open && held.is_none() => *errors_open = more,
                () = at(held), if held.is_some() => {}
                () = at(until) => return Wake::Late,
            }
        }
    }

    fn push_request(&mut self, request: PerformRequest) {
        let job = &request.job;
        let file = self.kept.as_ref().map(|kept| kept.of_run(&job.task.name, &job.identity, &job.claim));
        let held = self.pending.hold(request, self.requests.end(), file);
        protocol::perform(self.requests.out(), held.id, &held.request.job);
    }

    /// Takes back the requests that the pipe has not taken yet and whose jobs may not begin any more; returns how many. If
    /// the child has seen a part of one, it must end, because the rest of the line would begin the job.
    fn take_back_doubted(&mut self) -> Result<usize, SessionEnd> {
        let Some(unsent) = self.requests.unsent() else { return Ok(0) };
        let is_doubted =
            |held: &&mut PendingJob| held.begin >= unsent.first && held.request.job.lease.may_have_lapsed();
        let doubted: Vec<(u64, u64)> =
            self.pending.iter().filter(is_doubted).map(|held| (held.begin, held.id)).collect();
        for (_, id) in &doubted {
            if let Some(held) = self.pending.take(*id) {
                held.request.complete(Outcome::ClaimDoubted);
            }
        }
        let begins: Vec<u64> = doubted.into_iter().map(|(begin, _)| begin).collect();
        if unsent.is_begun && begins.contains(&unsent.first) {
            return Err(SessionEnd::Kill);
        }
        if !begins.is_empty() {
            let pending = &mut self.pending;
            self.requests.take_back(&begins, |from, to| {
                if let Some(held) = pending.iter().find(|held| held.begin == from) {
                    held.begin = to;
                }
            });
        }
        Ok(begins.len())
    }

    /// Asks a job to end. Returns true if only the end of the process can end it.
    fn stop_run(&mut self, run_id: u64, stop: Stop) -> bool {
        let Some(held) = self.pending.iter().find(|held| held.request.run_id == run_id) else { return false };
        let asked_before = std::mem::replace(&mut held.asked, stop);
        if stop == Stop::Terminate && asked_before == Stop::No {
            protocol::cancel(self.requests.out(), held.id);
        }
        stop == Stop::Kill
    }

    /// Writes as much as the pipe takes.
    fn write(&mut self) {
        if let Some(input) = &self.input
            && self.requests.write(input).is_err()
        {
            self.input = None;
            self.close("stdin");
        }
    }

    /// One read.
    fn fill(&mut self) {
        let Some(output) = &self.output else { return };
        match output.try_read_buf(self.lines.room(CHUNK)) {
            Ok(count) if count > 0 => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Ok(_) | Err(_) => {
                self.output = None;
                self.close("stdout");
            }
        }
    }

    fn close(&mut self, which: &'static str) {
        self.closed.get_or_insert((Instant::now() + CLOSED, which));
    }

    /// The next complete message.
    fn message(&mut self) -> Result<Option<Message>, String> {
        let too_long = || Err(format!("expected lines of at most {} MiB, found a longer one", LINE_CAP >> 20));
        while let Some(line) = self.lines.take_line() {
            if line.len() > LINE_CAP {
                return too_long();
            }
            // Before it is ready a child holds nothing.
            let (pending, is_ready) = (&mut self.pending, self.is_ready);
            let is_expected = |message: &Message| match message {
                Message::Ready { .. } => !is_ready,
                other => pending.is_about_one(other),
            };
            let read = stray::read(line, is_expected)?;
            self.strays.take(read.stray, &mut self.stderr.tail);
            if read.message.is_some() {
                return Ok(read.message);
            }
        }
        if self.lines.partial().len() > LINE_CAP { too_long() } else { Ok(None) }
    }

    /// Tells what was printed beside messages, and passes over the messages.
    fn take_strays(&mut self) {
        while let Some(line) = self.lines.take_line() {
            if let Ok(read) = stray::read(line, |_| false) {
                self.strays.take(read.stray, &mut self.stderr.tail);
            }
        }
    }

    /// Passes on all responses that have arrived, and returns how many.
    fn take_responses(&mut self, later: &RetryLater) -> Result<usize, String> {
        let mut count = 0;
        self.take_errors();
        while let Some(message) = self.message()? {
            let (id, response) = match message {
                Message::Response { id, response } => (id, response),
                Message::Progress { id, progress } => {
                    self.take_progress(id, progress);
                    continue;
                }
                Message::Ready { .. } => {
                    return Err("expected an answer, found the notification \"ready\" once more".to_owned());
                }
            };
            let mut held = self.pending.take(id).ok_or_else(|| {
                format!("expected an answer to a request that it holds, found one to {id}, which it does not hold (any more)")
            })?;
            let mut outcome = held.outcome(response, later);
            if let Some(place) = held.file.take().and_then(RunOutput::end_at_once) {
                outcome = self.with_last_words(outcome, place);
            }
            held.request.complete(outcome);
            count += 1;
        }
        self.answered += u64::try_from(count).unwrap_or(u64::MAX);
        Ok(count)
    }

    /// A job that has been answered is not far any more. What cannot be read is told once.
    fn take_progress(&mut self, id: u64, progress: Option<Progress>) {
        let Some(progress) = progress else {
            if !std::mem::replace(&mut self.told_bad_progress, true) {
                self.stderr.log.warn(
                    "expected params such as {\"id\":7,\"percent\":40,\"message\":\"copying\"} of \"progress\", found others; \
                     they are passed over",
                );
            }
            return;
        };
        if let Some(held) = self.pending.find(id) {
            let progress = Progress { at_ms: self.bus.now_ms(), ..progress };
            self.bus.live().tell(&held.request.job.claim, progress);
        }
    }

    /// Takes what the child has written to stderr so far, so that the jobs that it has answered have it.
    fn take_errors(&mut self) {
        let Self { kept, errors, errors_open, stderr, pending, .. } = self;
        if kept.is_none() && !stderr.live.is_watched() {
            return;
        }
        let mut sink = |line: OutputLine<'_>| stderr.take_for(pending, line);
        *errors_open = errors.take_written(&mut sink);
    }

    /// What a failure or a stop tells of a job whose output is kept.
    fn with_last_words(&self, outcome: Outcome, place: String) -> Outcome {
        match outcome {
            Outcome::Failure(mut failure) => {
                failure.backtrace.push(place);
                Outcome::Failure(failure)
            }
            Outcome::Interrupted => {
                let tail = self.stderr.tail.lines().map(str::to_owned).chain([place]).collect();
                Outcome::Stopped { tail }
            }
            other => other,
        }
    }

    /// The meaning of an expired deadline: a closed pipe, if there is one.
    fn fell_silent(&self) -> Option<SessionEnd> {
        let (_, which) = self.closed.filter(|(until, _)| *until <= Instant::now())?;
        Some(SessionEnd::Closed(format!("expected its {which} to stay open, found it closed")))
    }

    fn look_at_memory(&self, pool: &ChildPool, number: u64, most: u64) {
        if let Some(resident) = sweep::resident_bytes(self.pid()).filter(|resident| *resident > most) {
            pool.retire(number);
            let (task, pid, answered) = (&pool.task, self.pid(), self.answered);
            let [resident, most] =
                [resident, most].map(|bytes| bytesize::ByteSize::b(bytes).display().si().to_string());
            pool.bus.emit(Event::Notice {
                text: format!(
                    "task \"{task}\": child {pid} is replaced after {answered} jobs, because it has {resident} in \
                     memory, more than max_rss, {most}"
                ),
            });
        }
    }
}
