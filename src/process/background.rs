//! Reads on what background processes write after their run has ended by itself, so that they do not die of SIGPIPE.
//!
//! It is passed on, so much of it, and then thrown away, until the pipes end. Anyone who writes more than is read waits in its
//! pipe. Each such run holds two descriptors, so only so many are kept: beyond that the pipes of the oldest are closed, which
//! its listener is told before. Runs that leave nothing behind never come here.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::output::{Output, OutputLine};

/// How many runs are read on at once.
const RUNS: usize = 128;
/// How many bytes of a run are passed on.
const PASSED: usize = 16 * 1024 * 1024;
/// How many bytes of a run are read in a second.
const PACE: usize = 1024 * 1024;
const SECOND: Duration = Duration::from_secs(1);

static READERS: Readers = Readers::new(RUNS);

/// Who gets what is written.
pub trait Listener: Send + 'static {
    /// A line.
    fn take(&mut self, line: OutputLine<'_>);
    /// Until when nothing is to be read.
    fn held_until(&self, now: Instant) -> Option<Instant>;
    /// Something happened to the output of the background processes.
    fn warn(&mut self, what: &str);
}

/// Reads on in a task of its own. Call it when the run has ended by itself.
pub fn read_on(output: Output, listener: impl Listener) {
    if output.is_open() {
        READERS.read_on(output, listener);
    }
}

/// Closes the pipes of all runs that are read on, and says whether there were any.
pub fn close() -> bool {
    let mut all = READERS.lock();
    let any = all.iter().any(|keeps| !keeps.is_closed());
    all.clear();
    any
}

/// The runs that are read on, oldest first. Sending closes the pipes with a notice, dropping the sender without one.
struct Readers {
    most: usize,
    all: Mutex<VecDeque<oneshot::Sender<()>>>,
}

impl Readers {
    const fn new(most: usize) -> Self {
        Self { most, all: Mutex::new(VecDeque::new()) }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<oneshot::Sender<()>>> {
        // No code that can panic runs under the lock.
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_on(&self, output: Output, listener: impl Listener) {
        let (keeps, closed) = oneshot::channel();
        {
            let mut all = self.lock();
            all.retain(|keeps| !keeps.is_closed());
            while all.len() >= self.most
                && let Some(oldest) = all.pop_front()
            {
                // It may have ended just now.
                let _ = oldest.send(());
            }
            all.push_back(keeps);
        }
        let most = self.most;
        tokio::spawn(async move {
            let mut reader = Reader { output, listener, passed: 0 };
            tokio::select! {
                () = reader.pump_all() => {}
                full = closed => if full.is_ok() {
                    reader.listener.warn(&format!(
                        "its background processes still hold its stdout or stderr, and so do those of {most} later runs: \
                         its pipes are closed, and the next write to them fails (SIGPIPE). Start them with `>FILE 2>&1`"
                    ));
                },
            }
        });
    }
}

struct Reader<L> {
    output: Output,
    listener: L,
    passed: usize,
}

impl<L: Listener> Reader<L> {
    async fn pump_all(&mut self) {
        let (mut began, mut read) = (Instant::now(), 0);
        loop {
            let Self { output, listener, passed } = self;
            let now = Instant::now();
            if now >= began + SECOND {
                (began, read) = (now, 0);
            }
            let paced = (read >= PACE).then_some(began + SECOND);
            if let Some(until) = listener.held_until(now).max(paced) {
                sleep_until(until).await;
                continue;
            }
            let before = *passed;
            let mut sink = |line: OutputLine<'_>| {
                read += line.text.len() + 1;
                if *passed < PASSED {
                    *passed += line.text.len() + 1;
                    listener.take(line);
                }
            };
            if !output.pump(&mut sink).await {
                return;
            }
            if before < PASSED && *passed >= PASSED {
                listener.warn(&format!(
                    "its background processes wrote {} MiB since it ended: what they write from now on is not in the log",
                    PASSED >> 20
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use rustix::process::Signal;

    use super::super::child::Running;
    use super::super::command::Command;
    use super::*;

    struct Teller(Sender<String>, #[expect(dead_code, reason = "it counts")] Arc<()>);

    impl Listener for Teller {
        fn take(&mut self, line: OutputLine<'_>) {
            self.0.send(line.text.to_owned()).unwrap();
        }

        fn held_until(&self, _: Instant) -> Option<Instant> {
            None
        }

        fn warn(&mut self, what: &str) {
            self.0.send(format!("! {what}")).unwrap();
        }
    }

    /// A run that has ended, and whose background process holds its pipes.
    async fn leave(readers: &Readers) -> (Group, Receiver<String>, Arc<()>) {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "sleep 60 & exit 0"]);
        let mut running = Running::spawn(&command, Vec::new()).unwrap();
        running.child.exited().await;
        running.output.rest(&mut |_| {}).await;
        assert!(running.output.is_open());
        let (tell, told) = channel();
        let held = Arc::new(());
        readers.read_on(running.output, Teller(tell, Arc::clone(&held)));
        (Group(running.child), told, held)
    }

    /// Ends the group of the run.
    struct Group(super::super::child::Child);

    impl Drop for Group {
        fn drop(&mut self) {
            self.0.signal_group(Signal::KILL);
        }
    }

    #[tokio::test]
    async fn beyond_the_bound_the_oldest_is_closed_and_told_so() {
        let readers = Readers::new(2);
        let (first, second, third) = (leave(&readers).await, leave(&readers).await, leave(&readers).await);
        while Arc::strong_count(&first.2) > 1 {
            tokio::task::yield_now().await;
        }
        let told = first.1.try_recv().unwrap();
        assert!(told.starts_with("! its background processes still hold") && told.contains("2 later runs"), "{told}");
        assert!(second.1.try_recv().is_err() && third.1.try_recv().is_err());
        // Those whose pipes have ended do not count.
        drop(second.0);
        while Arc::strong_count(&second.2) > 1 {
            tokio::task::yield_now().await;
        }
        let fourth = leave(&readers).await;
        assert_eq!((Arc::strong_count(&third.2), Arc::strong_count(&fourth.2)), (2, 2));
        assert!(third.1.try_recv().is_err());
    }

    #[tokio::test]
    async fn so_much_is_passed_on_and_the_rest_is_read_to_nothing() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "yes '' | head -n 5000 & exit 0"]);
        let mut running = Running::spawn(&command, Vec::new()).unwrap();
        running.child.exited().await;
        let (tell, told) = channel();
        let mut reader = Reader { output: running.output, listener: Teller(tell, Arc::default()), passed: PASSED - 10 };
        reader.pump_all().await;
        running.child.reap().unwrap();
        let told: Vec<String> = told.try_iter().collect();
        assert_eq!(told.len(), 11, "{told:?}");
        assert!(told[10].starts_with("! its background processes wrote 16 MiB"), "{told:?}");
    }
}
