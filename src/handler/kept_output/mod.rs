//! `output = "file"`: the whole output of each run, in files that are bounded.
//!
//! A run hands over what it reads; a thread of its own writes, because a disk may be slow or hang, and no run must wait for
//! one for long. A full disk costs the output, never the job. The thread begins with the first such run.

pub mod folder;
mod writer;

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use self::folder::{OutputFolder, name};
use self::writer::{Order, Writer};
use crate::config::model::OutputConfig;
use crate::event::{Bus, Event};
use crate::job::{ClaimToken, Identity, TaskName, output_end};
use crate::process::{OutputLine, Source};
use crate::task::definition::Registry;
use crate::task::handler_spec::{HandlerSpec, OutputMode};
use crate::text::clean::named;

/// How many bytes wait for the disk before their runs are held up.
const MOST_QUEUED: usize = 8 << 20;
/// For how long a run is held up at once, and in all. From then on what the disk does not take is left out.
const HOLD: Duration = Duration::from_millis(20);
const MOST_HELD: Duration = Duration::from_secs(10);
/// How long the end of a run waits until its last bytes are written.
const LAST_BYTES: Duration = Duration::from_secs(1);

/// Why the outputs of these tasks would not be kept where the configuration says, for people; nothing is made.
#[must_use]
pub fn warning(config: &OutputConfig, tasks: &Registry) -> Option<String> {
    let keeps = |handler: &HandlerSpec| match handler {
        HandlerSpec::Exec(spec) => spec.output == OutputMode::File,
        HandlerSpec::Rpc(spec) => spec.output == OutputMode::File,
        HandlerSpec::Http(_) | HandlerSpec::Builtin(_) => false,
    };
    let first = tasks.iter().find(|task| keeps(&task.handler))?;
    let error = OutputFolder::judge(&config.folder, config.trusted.as_deref()).err()?;
    let (folder, name) = (config.folder.display(), named(&first.name));
    Some(format!("output.folder: a daemon would not keep the output of jobs (task {name}) in {folder}: {error}"))
}

/// Where outputs are kept. Cheap to clone; all clones share one thread.
#[derive(Clone)]
pub struct KeptOutputs(Arc<Shared>);

struct Shared {
    config: OutputConfig,
    bus: Bus,
    queued: Arc<AtomicUsize>,
    writer: Mutex<Option<Sender<Order>>>,
}

impl fmt::Debug for KeptOutputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeptOutputs").field(&self.0.config).finish()
    }
}

impl KeptOutputs {
    /// Keeps outputs as the configuration says. Nothing is made before the first run has some.
    #[must_use]
    pub fn new(config: OutputConfig, bus: Bus) -> Self {
        Self(Arc::new(Shared { config, bus, queued: Arc::default(), writer: Mutex::default() }))
    }

    /// The output of this run.
    pub(in crate::handler) fn of_run(&self, task: &TaskName, identity: &Identity, claim: &ClaimToken) -> RunOutput {
        RunOutput {
            outputs: self.clone(),
            name: Arc::from(name(&identity.id, claim.as_str(), task.as_str())),
            buffer: Vec::new(),
            open: None,
            held: Duration::ZERO,
            left_out: 0,
            is_empty: true,
            is_over: false,
        }
    }

    fn send(&self, order: Order) {
        let mut writer = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = writer.get_or_insert_with(|| {
            let (sender, orders) = mpsc::channel();
            let Shared { config, bus, queued, .. } = &*self.0;
            let thread = Writer::new(config.clone(), bus.clone(), Arc::clone(queued));
            let begun = std::thread::Builder::new().name("kept-output".to_owned()).spawn(move || thread.write(&orders));
            if let Err(error) = begun {
                let text = format!("the output of jobs is not kept: no thread can be started: {error}");
                bus.emit(Event::Warning { text });
            }
            sender
        });
        // It fails if there is no thread, which was told.
        if sender.send(order).is_err() {
            self.0.queued.store(0, Ordering::Relaxed);
        }
    }
}

/// The output of one run on its way to its file.
#[derive(Debug)]
pub(in crate::handler) struct RunOutput {
    outputs: KeptOutputs,
    name: Arc<str>,
    buffer: Vec<u8>,
    /// The stream whose line has no end yet, because more of it may follow.
    open: Option<Source>,
    held: Duration,
    left_out: usize,
    is_empty: bool,
    is_over: bool,
}

impl RunOutput {
    /// Takes a line.
    pub(in crate::handler) fn take(&mut self, line: &OutputLine<'_>) {
        let goes_on = line.continued && self.open == Some(line.source);
        if self.open.is_some() && !goes_on {
            self.buffer.push(b'\n');
        }
        self.buffer.extend_from_slice(line.text.as_bytes());
        self.open = Some(line.source);
    }

    /// Passes on what was taken.
    pub(in crate::handler) fn flush(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        let queued = &self.outputs.0.queued;
        if queued.load(Ordering::Relaxed) > MOST_QUEUED {
            self.left_out += self.buffer.len();
            self.buffer.clear();
            return;
        }
        let mut bytes = std::mem::take(&mut self.buffer);
        if self.left_out > 0 {
            let note =
                format!("\n[{} bytes are left out: the disk was too slow]\n", std::mem::take(&mut self.left_out));
            bytes.splice(0..0, note.into_bytes());
        }
        queued.fetch_add(bytes.len(), Ordering::Relaxed);
        self.is_empty = false;
        self.outputs.send(Order::Write { name: Arc::clone(&self.name), bytes });
    }

    /// Until when nothing more is to be read, because the disk does not keep up.
    pub(in crate::handler) fn held_until(&mut self, now: Instant) -> Option<Instant> {
        let is_behind = self.outputs.0.queued.load(Ordering::Relaxed) > MOST_QUEUED / 2;
        if !is_behind || self.held >= MOST_HELD {
            return None;
        }
        self.held += HOLD;
        Some(now + HOLD)
    }

    /// The run is over: waits shortly for the disk. Says where the output is, for a failure; nothing if there is none.
    pub(in crate::handler) async fn end(mut self) -> Option<String> {
        let written = self.close()?;
        timeout(LAST_BYTES, written).await.ok()?.ok().filter(|written| *written).map(|_| self.place())
    }

    /// The same for a run that cannot wait.
    #[cfg(feature = "rpc")]
    pub(in crate::handler) fn end_at_once(mut self) -> Option<String> {
        self.close().map(|_| self.place())
    }

    fn close(&mut self) -> Option<oneshot::Receiver<bool>> {
        if self.open.take().is_some() {
            self.buffer.push(b'\n');
        }
        self.flush();
        if self.is_empty || std::mem::replace(&mut self.is_over, true) {
            return None;
        }
        let (done, written) = oneshot::channel();
        self.outputs.send(Order::End { name: Arc::clone(&self.name), done });
        Some(written)
    }

    fn place(&self) -> String {
        let id = self.name.split('.').next().unwrap_or_default();
        let (host, path) = (crate::process::sweep::hostname(), self.path());
        output_end::place(&host, &path.display().to_string(), &crate::text::shell::command("jobs output", &[id]))
    }

    fn path(&self) -> PathBuf {
        self.outputs.0.config.folder.join(&*self.name)
    }
}

impl Drop for RunOutput {
    /// A run that was given up has an end, too.
    fn drop(&mut self) {
        drop(self.close());
    }
}

#[cfg(test)]
mod tests;
