//! Group commit: a thread that owns a connection and runs every command that waits in one
//! transaction.
//!
//! Each command has a savepoint of its own, so one that fails spoils no other; all are answered
//! after the commit. Where SQLite gives up the whole transaction at one command, the rest are run
//! again, each alone. When the last handle is gone the thread ends. A panic ends a daemon at once, because nothing could
//! be stored any more; in other programs calls return [`StoreError::Unavailable`] from then on.

use std::cell::Cell;
use std::sync::{Arc, mpsc};

use rusqlite::{CachedStatement, Connection};
use tokio::sync::oneshot;

use super::notifier::Notifier;
use super::terms::Terms;
use crate::clock::Clock;
use crate::store::error::StoreError;
use crate::store::findings::Findings;
use crate::supervise::scope::own_thread;

/// The most commands of one transaction: it bounds how long the first of them waits for the last.
const TOGETHER: usize = 256;

/// The statements whose plans were looked at.
#[cfg(debug_assertions)]
type Explained = std::cell::RefCell<std::collections::HashSet<&'static str>>;

/// A command's moment inside a transaction.
pub(super) struct Step<'a> {
    conn: &'a Connection,
    /// The time, milliseconds since the Unix epoch.
    pub(super) now_ms: i64,
    wake: &'a Cell<bool>,
    /// What this process has seen of leaderships.
    pub(super) terms: &'a Terms,
    findings: &'a Findings,
    /// The statements whose plans were looked at; `None` for a reader.
    #[cfg(debug_assertions)]
    explained: Option<&'a Explained>,
}

impl<'a> Step<'a> {
    /// A statement, parsed once per connection.
    pub(super) fn sql(&self, sql: &'static str) -> Result<CachedStatement<'a>, StoreError> {
        #[cfg(debug_assertions)]
        if self.explained.is_some_and(|explained| explained.borrow_mut().insert(sql)) {
            super::plan::assert_bounded(self.conn, sql)?;
        }
        Ok(self.conn.prepare_cached(sql)?)
    }

    /// The time in whole seconds.
    pub(super) fn now_s(&self) -> i64 {
        self.now_ms.div_euclid(1000)
    }

    /// What was found in this file that is no error of a call.
    pub(super) fn findings(&self) -> &Findings {
        self.findings
    }

    /// Once committed, whoever waits for a change is told.
    pub(super) fn wake(&self) {
        self.wake.set(true);
    }
}

/// A command on its way to a thread.
trait Command: Send {
    /// Runs it; may be run again if the transaction was given up.
    fn apply(&mut self, step: &Step<'_>) -> Result<(), StoreError>;
    /// Answers: with what it returned, or with why that does not count.
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
        // Whoever asked may have stopped waiting.
        let _ = reply.send(result);
    }
}

fn gone() -> StoreError {
    StoreError::Unavailable("the database thread has ended".to_owned())
}

/// The way to a thread; the thread ends when all its handles are dropped.
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
    /// Takes the write lock at the beginning of each transaction, and rings after it.
    Writer(Notifier),
    /// Sees one moment per transaction.
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
    let thread = Thread {
        conn,
        clock,
        role,
        terms: Terms::default(),
        findings,
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

/// A transaction that came to nothing.
struct GivenUp(StoreError);

struct Thread {
    conn: Connection,
    clock: Arc<dyn Clock>,
    role: Role,
    terms: Terms,
    findings: Findings,
    #[cfg(debug_assertions)]
    explained: Explained,
}

impl Thread {
    fn run(&self, mut commands: Vec<Box<dyn Command>>) {
        match self.transact(&mut commands) {
            Ok(outcomes) => answer(commands, outcomes),
            Err((_, true)) if commands.len() > 1 => {
                for mut command in commands {
                    match self.transact(std::slice::from_mut(&mut command)) {
                        Ok(outcomes) => answer(vec![command], outcomes),
                        Err((GivenUp(error), _)) => command.answer(Err(error)),
                    }
                }
            }
            Err((GivenUp(error), _)) => commands.into_iter().for_each(|command| command.answer(Err(error.clone()))),
        }
    }

    /// Runs the commands in one transaction. The flag of the error tells that one command's failure
    /// ended the transaction, and that the others may succeed without it.
    fn transact(&self, commands: &mut [Box<dyn Command>]) -> Result<Vec<Result<(), StoreError>>, (GivenUp, bool)> {
        let wake = Cell::new(false);
        let result = self.apply(commands, &wake);
        if result.is_err() && !self.conn.is_autocommit() {
            // If even this fails, the next BEGIN says so.
            let _ = self.execute("ROLLBACK");
        }
        if let (Ok(_), true, Role::Writer(notifier)) = (&result, wake.get(), &self.role) {
            // Before the answers: a process that only enqueues ends as soon as it has them.
            notifier.ring();
        }
        result
    }

    fn apply(
        &self,
        commands: &mut [Box<dyn Command>],
        wake: &Cell<bool>,
    ) -> Result<Vec<Result<(), StoreError>>, (GivenUp, bool)> {
        let whole = |error| (GivenUp(error), false);
        self.execute(match self.role {
            Role::Writer(_) => "BEGIN IMMEDIATE",
            Role::Reader => "BEGIN",
        })
        .map_err(whole)?;
        let mut outcomes = Vec::with_capacity(commands.len());
        for command in commands {
            self.execute("SAVEPOINT command").map_err(whole)?;
            #[cfg(debug_assertions)]
            let explained = matches!(self.role, Role::Writer(_)).then_some(&self.explained);
            let step = Step {
                conn: &self.conn,
                now_ms: self.clock.now_ms(),
                wake,
                terms: &self.terms,
                findings: &self.findings,
                #[cfg(debug_assertions)]
                explained,
            };
            let outcome = command.apply(&step);
            if self.conn.is_autocommit() {
                // A full disk or an I/O error has undone what the commands before it did as well.
                let error = outcome.err().unwrap_or_else(|| StoreError::Unavailable("transaction lost".to_owned()));
                return Err((GivenUp(error), true));
            }
            if outcome.is_err() {
                self.execute("ROLLBACK TO command").map_err(whole)?;
            }
            self.execute("RELEASE command").map_err(whole)?;
            outcomes.push(outcome);
        }
        self.execute("COMMIT").map_err(whole)?;
        Ok(outcomes)
    }

    fn execute(&self, sql: &'static str) -> Result<(), StoreError> {
        self.conn.prepare_cached(sql)?.execute([])?;
        Ok(())
    }
}

fn answer(commands: Vec<Box<dyn Command>>, outcomes: Vec<Result<(), StoreError>>) {
    for (command, outcome) in commands.into_iter().zip(outcomes) {
        command.answer(outcome);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::clock::ManualClock;
    use crate::supervise::scope::{Scope, scope};

    /// A thread that is held at its first command until three more wait; what the three came to,
    /// which of their rows there are, and how many transactions it took.
    async fn three(second: fn(&Step<'_>) -> Result<(), StoreError>) -> (Vec<bool>, Vec<i64>, u32) {
        let mut conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE rows (n)").unwrap();
        let commits = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&commits);
        conn.commit_hook(Some(move || {
            counter.fetch_add(1, Ordering::SeqCst);
            false
        }))
        .unwrap();
        let role = Role::Writer(Notifier::new(std::path::PathBuf::from("/nonexistent")));
        let handle = spawn(conn, Arc::new(ManualClock::at(0)), role, Findings::default()).unwrap();
        let (begun, has_begun) = mpsc::channel();
        let (go, held) = mpsc::channel::<()>();
        let mut first = std::pin::pin!(handle.call(move |_| {
            // Both channels may be closed by the time this is run again.
            let _ = begun.send(());
            let _ = held.recv();
            Ok(())
        }));
        assert!(futures_util::poll!(first.as_mut()).is_pending());
        has_begun.recv().unwrap();
        let insert = |n: i64| {
            move |step: &Step<'_>| {
                step.sql("INSERT INTO rows VALUES (?1)")?.execute([n])?;
                Ok(())
            }
        };
        let failing = move |step: &Step<'_>| insert(2)(step).and_then(|()| second(step));
        // Each is sent when it is first polled; the last of all lets the thread go on.
        let (first, one, two, three, ()) =
            tokio::join!(first, handle.call(insert(1)), handle.call(failing), handle.call(insert(3)), async move {
                drop(go);
            });
        first.unwrap();
        let outcomes = vec![one.is_ok(), two.is_ok(), three.is_ok()];
        let commits = commits.load(Ordering::SeqCst);
        let rows = handle
            .call(|step| {
                let mut select = step.sql("SELECT n FROM rows ORDER BY n")?;
                let rows = select.query_map([], |row| row.get(0))?;
                Ok(rows.collect::<Result<Vec<i64>, _>>()?)
            })
            .await
            .unwrap();
        (outcomes, rows, commits)
    }

    #[tokio::test]
    async fn commands_that_wait_are_committed_together() {
        let (outcomes, rows, commits) = three(|_| Ok(())).await;
        assert_eq!((outcomes, rows), (vec![true, true, true], vec![1, 2, 3]));
        assert_eq!(commits, 2, "one for the command that was held, one for the three");
    }

    #[tokio::test]
    async fn a_failing_command_spoils_no_other() {
        let (outcomes, rows, commits) = three(|_| Err(gone())).await;
        assert_eq!((outcomes, rows), (vec![true, false, true], vec![1, 3]));
        assert_eq!(commits, 2);
    }

    #[tokio::test]
    async fn commands_survive_the_loss_of_their_transaction() {
        let lose = |step: &Step<'_>| {
            step.sql("ROLLBACK")?.execute([])?;
            Err(gone())
        };
        let (outcomes, rows, _) = three(lose).await;
        assert_eq!((outcomes, rows), (vec![true, false, true], vec![1, 3]));
    }

    #[tokio::test]
    async fn a_panic_of_either_thread_is_ours() {
        for (role, task) in [
            (Role::Reader, "the store's reader"),
            (Role::Writer(Notifier::new(std::path::PathBuf::from("/nonexistent"))), "the store's writer"),
        ] {
            let (conn, clock) = (Connection::open_in_memory().unwrap(), Arc::new(ManualClock::at(0)));
            let handle = spawn(conn, clock, role, Findings::default()).unwrap();
            assert_eq!(handle.call(|_| Ok(scope())).await.unwrap(), Scope::Ours(task));
        }
    }

    #[tokio::test]
    async fn a_dead_thread_is_told() {
        let (conn, clock) = (Connection::open_in_memory().unwrap(), Arc::new(ManualClock::at(0)));
        let handle = spawn(conn, clock, Role::Reader, Findings::default()).unwrap();
        let died: Result<(), _> = handle.call(|_| panic!("as no command should")).await;
        assert!(matches!(died, Err(StoreError::Unavailable(_))));
        let after = handle.call(|_| Ok(())).await;
        assert!(matches!(after, Err(StoreError::Unavailable(_))));
    }
}
