//! The thread that writes outputs.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;

use tokio::sync::oneshot;

use super::folder::OutputFolder;
use crate::clock::{Clock as _, SystemClock};
use crate::config::model::OutputConfig;
use crate::event::{Bus, Event};

/// How often the folder is looked through at least, while runs end, in milliseconds.
const LOOK_MS: i64 = 60_000;
/// After how much of the total it is looked through in any case.
const SHARE: u64 = 16;

/// What the thread is to do.
#[derive(Debug)]
pub(super) enum Order {
    /// Append to the output of a run.
    Write { name: Arc<str>, bytes: Vec<u8> },
    /// The run is over. Tells whether its output is kept.
    End { name: Arc<str>, done: oneshot::Sender<bool> },
}

/// The output of a run that goes on.
struct Open {
    file: File,
    /// How many bytes the file holds: at most half of what a run may have.
    bytes: u64,
}

/// What the thread works with.
pub(super) struct Writer {
    config: OutputConfig,
    bus: Bus,
    queued: Arc<AtomicUsize>,
    folder: Option<OutputFolder>,
    /// The runs that go on; nothing where writing failed.
    open: HashMap<Arc<str>, Option<Open>>,
    /// How many bytes came since the folder was looked through, and when that was.
    added: u64,
    looked_ms: i64,
    /// Was it told that nothing can be written?
    told: bool,
}

impl Writer {
    pub(super) fn new(config: OutputConfig, bus: Bus, queued: Arc<AtomicUsize>) -> Self {
        let (folder, open) = (None, HashMap::new());
        Self { config, bus, queued, folder, open, added: 0, looked_ms: 0, told: false }
    }

    /// Writes until nobody can send anything any more.
    pub(super) fn write(mut self, orders: &Receiver<Order>) {
        for order in orders {
            match order {
                Order::Write { name, bytes } => {
                    self.append(&name, &bytes);
                    // It is set to nothing if it was left without a thread for a moment.
                    let _ = self.queued.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |queued| {
                        Some(queued.saturating_sub(bytes.len()))
                    });
                }
                Order::End { name, done } => {
                    let kept = self.open.remove(&name).flatten().is_some();
                    // The run may be gone.
                    let _ = done.send(kept);
                    self.tidy();
                }
            }
        }
    }

    fn append(&mut self, name: &Arc<str>, bytes: &[u8]) {
        if matches!(self.open.get(name), Some(None)) {
            return;
        }
        match self.try_append(name, bytes) {
            Ok(()) => {
                self.added += bytes.len() as u64;
                if std::mem::take(&mut self.told) {
                    self.bus.emit(Event::Notice { text: "the output of jobs is kept again".to_owned() });
                }
            }
            Err(error) => {
                // What is written stays; the rest of this run would have a gap.
                self.open.insert(Arc::clone(name), None);
                self.folder = None;
                if !std::mem::replace(&mut self.told, true) {
                    let folder = self.config.folder.display();
                    let text = format!(
                        "the output of jobs is not kept in {folder}: {error}; the jobs themselves go on, and this is told \
                         again when it works"
                    );
                    self.bus.emit(Event::Warning { text });
                }
            }
        }
    }

    fn try_append(&mut self, name: &Arc<str>, bytes: &[u8]) -> io::Result<()> {
        let folder = match &mut self.folder {
            Some(folder) => folder,
            none => none.insert(OutputFolder::make(&self.config.folder, self.config.trusted.as_deref())?),
        };
        if !matches!(self.open.get(name), Some(Some(_))) {
            let open = Open { file: folder.create(name)?, bytes: 0 };
            self.open.insert(Arc::clone(name), Some(open));
        }
        let Some(Some(open)) = self.open.get_mut(name) else { return Ok(()) };
        if open.bytes > 0 && open.bytes + bytes.len() as u64 > self.config.run / 2 {
            folder.set_aside(name)?;
            *open = Open { file: folder.create(name)?, bytes: 0 };
        }
        open.file.write_all(bytes)?;
        open.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Removes what is too old or too much, now and then.
    fn tidy(&mut self) {
        let now_ms = SystemClock.now_ms();
        let is_due = self.added > self.config.total / SHARE || now_ms.saturating_sub(self.looked_ms).abs() >= LOOK_MS;
        let Some(folder) = self.folder.as_ref().filter(|_| is_due) else { return };
        (self.added, self.looked_ms) = (0, now_ms);
        let age_ms = i64::try_from(self.config.age.as_millis()).unwrap_or(i64::MAX);
        let is_open = |name: &str| self.open.contains_key(name);
        if let Err(error) = folder.tidy(now_ms.saturating_sub(age_ms), self.config.total, is_open) {
            let text =
                format!("old outputs in {} cannot be removed, or not all: {error}", self.config.folder.display());
            self.bus.emit(Event::Warning { text });
        }
    }
}
