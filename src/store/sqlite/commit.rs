//! Group commit: a thread that owns a connection and runs every command that waits in one
//! transaction.
//!
//! Each of several commands has a savepoint of its own, so that its failure undoes no other command. All are answered
//! after the commit. If SQLite rolls back the whole transaction because of one command, each is run again in a transaction of its
//! own. The thread ends when its last handle is dropped. A panic of the thread ends a daemon at once, because nothing
//! could be stored any more; in other programs all calls return [`StoreError::Unavailable`] from then on.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, mpsc};

use rusqlite::{Connection, params};
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant};

use super::added::Judged;
use super::connection::{empty_log, shorten_log};
use super::counts::{self, QueueCounts};
use super::error::at_least;
use super::notifier::Notifier;
#[cfg(debug_assertions)]
use super::step::Explained;
use super::step::{After, Step};
use super::terms::Terms;
use crate::clock::Clock;
use crate::store::error::StoreError;
use crate::store::findings::Findings;
use crate::supervise::scope::own_thread;

/// The most commands of one transaction. It bounds how long the first of them waits for the last.
const TOGETHER: usize = 256;

/// How long no job is counted after that ended a transaction.
const UNCOUNTED: Duration = Duration::from_secs(60);

/// A command on its way to a thread.
trait Command: Send {
    /// Runs it; may be run again if the transaction was given up.
    fn apply(&mut self, step: &Step<'_>) -> Result<(), StoreError>;
    /// Answers with what it returned, or with the error that undid it.
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

struct Call<T, F> {
    work: F,
    result: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Command for Call<T, F>
where
    T: Send,
    F: FnMut(&Step<'_>) -> Result<T, StoreError> + Send,
{
    fn apply(&mut self, step: &Step<'_>) -> Result<(), StoreError> {
        self.result = Some((self.work)(step)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { result, reply, .. } = *self;
        let result = outcome.and_then(|()| result.ok_or_else(gone));
        // The caller may have stopped waiting.
        let _ = reply.send(result);
    }
}

fn gone() -> StoreError {
    StoreError::Unavailable("the database thread has ended".to_owned())
}

/// Sends commands to a thread, which ends when all its handles are dropped.
#[derive(Clone)]
pub(super) struct Handle(mpsc::Sender<Box<dyn Command>>);

impl Handle {
    /// Runs `work` inside a transaction and waits until it is committed.
    pub(super) async fn call<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&Step<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.0.send(Box::new(Call { work, result: None, reply })).map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }
}

/// What a thread does with its connection.
pub(super) enum Role {
    /// Takes the write lock at the start of each transaction, and notifies the wakers after it.
    Writer(Notifier),
    /// Sees the file as it was when its transaction began.
    Reader,
}

/// Starts a thread for a connection.
pub(super) fn spawn(
    conn: Connection,
    clock: Arc<dyn Clock>,
    role: Role,
    findings: Findings,
) -> Result<Handle, StoreError> {
    let (sender, receiver) = mpsc::channel::<Box<dyn Command>>();
    let (name, task) = match role {
        Role::Writer(_) => ("sqlite-writer", "the store's writer"),
        Role::Reader => ("sqlite-reader", "the store's reader"),
    };
    let mut thread = Thread {
        conn,
        clock,
        role,
        terms: Terms::default(),
        findings,
        counting: Counting::default(),
        judged: Judged::default(),
        #[cfg(debug_assertions)]
        explained: Explained::default(),
    };
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            own_thread(task);
            while let Ok(first) = receiver.recv() {
                let commands = std::iter::once(first).chain(receiver.try_iter()).take(TOGETHER).collect();
                thread.run(commands);
            }
        })
        .map_err(|error| StoreError::Unavailable(format!("start a thread: {error}")))?;
    Ok(Handle(sender))
}

/// Why a transaction was rolled back.
struct GivenUp {
    error: StoreError,
    by: By,
}

/// What a transaction was rolled back for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// One of its commands, so that the others may succeed without it.
    Command,
    /// The counts of queues, so that all of it may succeed without them.
    Counts,
    /// It could not begin or end.
    Transaction,
}

/// What becomes of commands that find room where the counts of queues find none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WithoutRoom {
    /// They wait until there is room for both.
    Waits,
    /// They go on without the counts.
    GoesOn,
}

/// Whether jobs can be counted for their queues. They are claimed and enqueued in any case.
#[derive(Default)]
struct Counting {
    /// It was refused the last time, and that was told.
    refused: Cell<bool>,
    /// When an attempt ended the transaction. For a while there is no other.
    ended: Cell<Option<Instant>>,
    /// The last attempt found no room.
    full: Cell<bool>,
}

/// A command that was run, and what it came to.
type Outcome = (Box<dyn Command>, Result<(), StoreError>);

struct Thread {
    conn: Connection,
    clock: Arc<dyn Clock>,
    role: Role,
    terms: Terms,
    findings: Findings,
    counting: Counting,
    judged: Judged,
    #[cfg(debug_assertions)]
    explained: Explained,
}

impl Thread {
    /// Runs the commands and answers them. Those that found the store full are run once more after the log was emptied,
    /// because the log may have taken the room. What finds room then goes on, whether or not the counts of queues find some.
    fn run(&mut self, commands: Vec<Box<dyn Command>>) {
        self.counting.full.set(false);
        let (full, done): (Vec<_>, Vec<_>) = self
            .carry_out(commands, WithoutRoom::Waits)
            .into_iter()
            .partition(|(_, outcome)| matches!(outcome, Err(StoreError::Full(_))));
        answer(done);
        let is_writer = matches!(self.role, Role::Writer(_));
        if !full.is_empty() && is_writer && (empty_log(&mut self.conn) || self.counting.full.get()) {
            let full = full.into_iter().map(|(command, _)| command).collect();
            answer(self.carry_out(full, WithoutRoom::GoesOn));
        } else {
            answer(full);
        }
    }

    /// Runs the commands in one transaction, or in one each where the failure of one ends the transaction of all.
    fn carry_out(&mut self, mut commands: Vec<Box<dyn Command>>, without_room: WithoutRoom) -> Vec<Outcome> {
        match self.transact(&mut commands, without_room) {
            Ok(outcomes) => commands.into_iter().zip(outcomes).collect(),
            // From now on nothing is counted, so that this happens once.
            Err(GivenUp { by: By::Counts, .. }) => self.carry_out(commands, without_room),
            Err(GivenUp { by: By::Command, .. }) if commands.len() > 1 => {
                commands.into_iter().flat_map(|command| self.carry_out(vec![command], without_room)).collect()
            }
            Err(GivenUp { error, .. }) => commands.into_iter().map(|command| (command, Err(error.clone()))).collect(),
        }
    }

    /// Runs the commands in one transaction.
    fn transact(
        &mut self,
        commands: &mut [Box<dyn Command>],
        without_room: WithoutRoom,
    ) -> Result<Vec<Result<(), StoreError>>, GivenUp> {
        let after = After::default();
        let result = self.apply(commands, &after, without_room);
        if result.is_err() && !self.conn.is_autocommit() {
            // If this fails too, the next BEGIN reports it.
            let _ = self.execute("ROLLBACK");
        }
        // Before the answers: a process may end as soon as it has them.
        if let (Ok(_), true, Role::Writer(notifier)) = (&result, after.wake.get(), &self.role) {
            notifier.notify();
        }
        if result.is_ok() && after.shorten_log.get() {
            shorten_log(&mut self.conn);
        }
        result
    }

    fn apply(
        &self,
        commands: &mut [Box<dyn Command>],
        after: &After,
        without_room: WithoutRoom,
    ) -> Result<Vec<Result<(), StoreError>>, GivenUp> {
        let whole = |error| GivenUp { error, by: By::Transaction };
        self.execute(match self.role {
            Role::Writer(_) => "BEGIN IMMEDIATE",
            Role::Reader => "BEGIN",
        })
        .map_err(whole)?;
        // Nobody else changes it before this transaction ends.
        self.judged.look(&self.conn).map_err(whole)?;
        let mut outcomes = Vec::with_capacity(commands.len());
        // The transaction itself is the savepoint of a command that is alone: SQLite copies each page that is changed
        // under a savepoint.
        let savepoints = commands.len() > 1;
        let mut counts = QueueCounts::default();
        for command in commands {
            if savepoints {
                self.execute("SAVEPOINT command").map_err(whole)?;
            }
            let step = Step {
                conn: &self.conn,
                now_ms: self.clock.now_ms(),
                after,
                terms: &self.terms,
                findings: &self.findings,
                counts: RefCell::default(),
                #[cfg(debug_assertions)]
                explained: &self.explained,
            };
            let outcome = command.apply(&step);
            if self.conn.is_autocommit() {
                // A full disk or an I/O error has undone what the commands before it did as well.
                let error = outcome.err().unwrap_or_else(|| StoreError::Unavailable("transaction lost".to_owned()));
                return Err(GivenUp { error, by: By::Command });
            }
            match &outcome {
                Ok(()) => counts.merge(step.counts.into_inner()),
                Err(_) if savepoints => self.execute("ROLLBACK TO command").map_err(whole)?,
                Err(_) => {
                    self.execute("ROLLBACK").map_err(whole)?;
                    return Ok(vec![outcome]);
                }
            }
            if savepoints {
                self.execute("RELEASE command").map_err(whole)?;
            }
            outcomes.push(outcome);
        }
        self.count(&counts, without_room)?;
        self.execute("COMMIT").map_err(|error| {
            // A transaction that finds no room at its end may hold commands that find some alone.
            let by = if matches!(error, StoreError::Full(_)) { By::Command } else { By::Transaction };
            GivenUp { error, by }
        })?;
        Ok(outcomes)
    }

    /// Writes what came to queues and left them. Where that is refused, less is known of the queues, and that is told: no
    /// command fails for it.
    fn count(&self, counts: &QueueCounts, without_room: WithoutRoom) -> Result<(), GivenUp> {
        const SUBJECT: &str = "the counts of queues";
        if self.counting.ended.get().is_some_and(|ended| ended.elapsed() < UNCOUNTED) {
            return Ok(());
        }
        match self.write_counts(counts) {
            Ok(()) => {
                if self.counting.refused.replace(false) {
                    self.findings.mended(SUBJECT, "jobs are counted for their queues again");
                }
                Ok(())
            }
            Err(error @ StoreError::Full(_)) if without_room == WithoutRoom::Waits => {
                self.counting.full.set(true);
                Err(GivenUp { error, by: By::Command })
            }
            Err(error) => {
                self.counting.refused.set(true);
                let text = format!("jobs are not counted for their queues, whose lengths are not right: {error}");
                self.findings.tell(SUBJECT, text);
                if !self.conn.is_autocommit() {
                    return Ok(());
                }
                self.counting.ended.set(Some(Instant::now()));
                Err(GivenUp { error, by: By::Counts })
            }
        }
    }

    /// An error of one queue does not keep the others from being written, unless it ended the transaction.
    fn write_counts(&self, counts: &QueueCounts) -> Result<(), StoreError> {
        let mut result = Ok(());
        for (queue, arrived, departed, standing) in counts.rows() {
            let write = || {
                let mut write = self.conn.prepare_cached(counts::WRITE)?;
                at_least(1, "stats", write.execute(params![queue, arrived, departed, standing])?)
            };
            if let Err(error) = write() {
                result = Err(error);
                if self.conn.is_autocommit() {
                    break;
                }
            }
        }
        result
    }

    fn execute(&self, sql: &'static str) -> Result<(), StoreError> {
        self.conn.prepare_cached(sql)?.execute([])?;
        Ok(())
    }
}

fn answer(outcomes: Vec<Outcome>) {
    for (command, outcome) in outcomes {
        command.answer(outcome);
    }
}

#[cfg(test)]
mod tests;
