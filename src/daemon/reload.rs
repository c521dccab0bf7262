//! Reloads configuration and tasks while the daemon runs.
//!
//! A reload replaces everything or nothing: if anything is wrong, every problem is logged and nothing changes. Keys that
//! need a restart are named and keep their values. A running job keeps the definition with which it began.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;

use super::assemble::{Parts, assemble_anew, log_style};
use super::changes::{Changes, EVERY};
use super::options::RunOptions;
use super::systemd;
use super::web::WebReload;
use super::{notify, traces};
use crate::config::model::ReloadMode;
use crate::config::{Config, error};
use crate::event::{Bus, Event};
use crate::pool::Work;
use crate::scheduler::SchedulerConfig;
use crate::store::instance::Stuck;
use crate::supervise::scope::{contained, own_thread};
use crate::task::Registry;
use crate::telemetry::log::LevelControl;
use crate::telemetry::log_line::LineStyle;
use crate::text::count::counted;
use crate::text::cut::cut;

/// How long the reason of a refusal is in the record of the instance at most.
const TOLD_BYTES: usize = 300;
/// The index of the log among the listeners of the bus.
const LOG: usize = 0;

/// Reloads: it holds what a reload replaces, and the senders of the new values.
pub(super) struct Reloader {
    pub(super) options: RunOptions,
    pub(super) bus: Bus,
    /// The present parts.
    pub(super) parts: Parts,
    pub(super) pool: watch::Sender<Work>,
    pub(super) scheduler: watch::Sender<SchedulerConfig>,
    pub(super) log_style: Arc<RwLock<LineStyle>>,
    pub(super) level_control: LevelControl,
    pub(super) web: WebReload,
}

impl Reloader {
    /// Starts a thread that reloads once for each request. A request that does not fit the channel may be dropped, because
    /// the reload that waits there has not begun.
    pub(super) fn start(mut self) -> io::Result<SyncSender<()>> {
        let (sender, requests) = sync_channel(1);
        let reload = move || {
            own_thread("the reload");
            let mut changes = Changes::default();
            changes.read(&self.parts.config);
            while self.wait(&requests, &mut changes) {
                changes.read(&self.parts.config);
                systemd::reloading();
                self.reload();
                systemd::reloaded("working");
            }
        };
        std::thread::Builder::new().name("reload".to_owned()).spawn(reload)?;
        Ok(sender)
    }

    /// Waits until a reload is asked for, or its files have changed if it is to look at them. `false`: nobody can ask any more.
    fn wait(&self, requests: &Receiver<()>, changes: &mut Changes) -> bool {
        loop {
            if self.parts.config.reload == ReloadMode::Signal {
                return requests.recv().is_ok();
            }
            match requests.recv_timeout(EVERY) {
                Ok(()) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) if changes.have_settled(&self.parts.config) => return true,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn reload(&mut self) {
        // If a file makes its reader panic, the reload is refused.
        match contained(|| assemble_anew(&self.options, &self.bus, &self.parts.kept)) {
            Ok(Ok(parts)) => self.replace(parts),
            Err(_) => self.refuse(": reading the files panicked", "reading the files panicked"),
            Ok(Err(problems)) => {
                let count = error::count(&problems.0);
                let (told, rest) = error::to_tell(&problems.0);
                let first = told.first().map(ToString::to_string).unwrap_or_default();
                let more = if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
                self.refuse(
                    &format!(", because of {}:", counted(count, "problem", "problems")),
                    &format!("{first}{more}"),
                );
                for problem in told {
                    self.warn(problem.to_string());
                }
                if rest > 0 {
                    self.warn(format!("{rest} more problems"));
                }
            }
        }
    }

    fn replace(&mut self, mut parts: Parts) {
        parts.keep_periodic_of(&self.parts);
        let mut config = (*parts.config).clone();
        let kept = keep(&self.parts.config, &mut config);
        let bound = match self.web.prepare(&self.parts.config, &config) {
            Ok(bound) => bound,
            Err(message) => return self.refuse(&format!(": {message}"), &message),
        };
        let log_style = log_style(&config);
        match self.level_control.set(&config.log, &log_style) {
            Ok(interest) => {
                *self.log_style.write().unwrap_or_else(PoisonError::into_inner) = log_style;
                self.bus.hide(&config.log.redact);
                self.bus.set_interest(LOG, interest);
                self.bus.set_interest(notify::LISTENER, notify::interest(&config, &parts.registry));
                traces::listen(&self.bus, &config);
            }
            // The level was checked when the file was read.
            Err(message) => return self.refuse(&format!(": {message}"), &message),
        }
        let said = told(&self.parts, &config, &parts.registry);
        parts.config = Arc::new(config);
        self.web.apply(bound, &self.parts.config, &parts.config, &parts.registry);
        self.pool.send_replace(parts.work());
        self.scheduler.send_replace(parts.scheduler_config());
        self.bus.figures().taken_over(self.bus.now_ms());
        self.bus.emit(Event::Notice { text: format!("reloaded: {said}") });
        if !kept.is_empty() {
            self.warn(format!("changed, but applied only at a restart: {}", kept.join(", ")));
        }
        if let Some(queues) = parts.overridden.as_ref().filter(|_| parts.overridden != self.parts.overridden) {
            self.warn(format!(
                "queues = {queues} of the configuration has no effect: --queues of the command line overrides it, and only a \
                 restart without that lets it count"
            ));
        }
        for remark in std::mem::take(&mut parts.remarks) {
            self.warn(remark);
        }
        self.parts = parts;
    }

    /// `why` ends the line of the log, and `in_short` is what others are told by the record of this instance.
    fn refuse(&self, why: &str, in_short: &str) {
        self.bus.figures().reload_refused();
        let (why_told, now_ms) = (cut(in_short, TOLD_BYTES), self.bus.now_ms());
        self.pool.send_modify(|work| {
            let since_ms = work.refused.as_ref().map_or(now_ms, |before| before.since_ms);
            work.refused = Some(Stuck { since_ms, why: why_told });
        });
        self.warn(format!("the reload is refused and nothing was changed{why}"));
    }

    fn warn(&self, text: String) {
        self.bus.emit(Event::Warning { text });
    }
}

/// Keeps the old value of a key. `true`: the new one is another.
type Keep = fn(&Config, &mut Config) -> bool;
/// Has the value of a key changed?
type Differs = fn(&Config, &Config) -> bool;

macro_rules! kept {
    ($($key:literal: $($field:ident).+),+ $(,)?) => {
        &[$(($key, |old, new| {
            let differs = old.$($field).+ != new.$($field).+;
            if differs {
                new.$($field).+.clone_from(&old.$($field).+);
            }
            differs
        })),+]
    };
}

macro_rules! applied {
    ($($key:literal: $($field:ident).+),+ $(,)?) => {
        &[$(($key, |old, new| old.$($field).+ != new.$($field).+)),+]
    };
}

/// What needs a restart.
const KEPT: &[(&str, Keep)] = kept! {
    "scheduler": scheduler,
    "resque_overrides": overrides,
    "store.url": store.url,
    "store.url (its file)": store.address,
    "store.tls": store.tls,
    "store.namespace": store.namespace,
    "store.lease": store.lease,
    "log.format": log.format,
    "output": output,
};

/// What a reload takes over.
const APPLIED: &[(&str, Differs)] = applied! {
    "queues": queues,
    "timeout": timeout,
    "min_task_processors": min_task_processors,
    "max_task_processors": max_task_processors,
    "check_timeout": check_timeout,
    "max_event_loop_delay": max_event_loop_delay,
    "stuck_worker_timeout": stuck_worker_timeout,
    "on_crash": on_crash,
    "retry_stuck_jobs": retry_stuck_jobs,
    "max_redeliveries": max_redeliveries,
    "unstarted": unstarted,
    "unknown": unknown,
    "tasks_dir": tasks_dir,
    "skip_broken_tasks": skip_broken_tasks,
    "reload": reload,
    "worker_logging": worker_logging,
    "scheduler_logging": scheduler_logging,
    "shutdown": shutdown,
    "log.level": log.level,
    "log.redact": log.redact,
    "security": security,
    "notify": notify,
    "http": http,
};

/// The same of what not every program is built with.
#[cfg(feature = "otel")]
const APPLIED_TOO: &[(&str, Differs)] = applied! { "otel": otel };
#[cfg(not(feature = "otel"))]
const APPLIED_TOO: &[(&str, Differs)] = &[];

/// Keeps the values that need a restart; returns the keys that would have changed.
fn keep(old: &Config, new: &mut Config) -> Vec<&'static str> {
    let mut kept = Vec::new();
    if new.store.address.is_some() && old.store.url.to_string() == new.store.url.to_string() {
        // Only the password in its file has changed, and that is read when the server asks for it.
        new.store.url.clone_from(&old.store.url);
    }
    for (key, keep_one) in KEPT {
        if keep_one(old, new) {
            kept.push(*key);
        }
    }
    if (old.max_task_processors == 0) != (new.max_task_processors == 0) {
        (new.min_task_processors, new.max_task_processors) = (old.min_task_processors, old.max_task_processors);
        kept.push("max_task_processors (to or from a daemon without processors)");
    }
    if old.http.is_some() != new.http.is_some() {
        new.http.clone_from(&old.http);
        kept.push("http (to or from a daemon without it)");
    }
    kept
}

/// A description of what a reload changes.
fn told(old: &Parts, config: &Config, registry: &Registry) -> String {
    let mut said = Vec::new();
    let mut names = |word: &str, names: Vec<&str>| {
        if !names.is_empty() {
            said.push(format!("{word} {}", names.join(", ")));
        }
    };
    let (before, after) = (&old.registry, registry);
    let missing = |here: &'_ Registry, name: &str| here.get(name).is_none();
    names("new tasks", after.iter().map(|task| task.name.as_str()).filter(|name| missing(before, name)).collect());
    names(
        "tasks that are gone",
        before.iter().map(|task| task.name.as_str()).filter(|name| missing(after, name)).collect(),
    );
    let changed = |name: &&str| before.get(name).is_some_and(|task| after.get(name).is_some_and(|now| now != task));
    names("changed tasks", after.iter().map(|task| task.name.as_str()).filter(changed).collect());
    let keys = APPLIED
        .iter()
        .chain(APPLIED_TOO)
        .filter(|(_, differs)| differs(&old.config, config))
        .map(|(key, _)| *key)
        .collect();
    names("changed keys", keys);
    if said.is_empty() { "nothing has changed".to_owned() } else { said.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::{Sources, load};

    fn config(text: &str) -> Config {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tasks.toml");
        std::fs::write(&file, text).unwrap();
        let sources = Sources { file: Some(file), working_dir: "/".into(), ..Sources::default() };
        load(&sources).unwrap().config
    }

    #[test]
    fn what_needs_a_restart_stays_and_is_named_and_the_rest_is_taken_over() {
        let store = "[store]\nurl = \"sqlite:/tmp/a.db\"\n";
        let old = config(&format!("max_task_processors = 3\n{store}"));
        let mut new = config(&format!(
            "timeout = \"1s\"\nscheduler = false\nmin_task_processors = 0\nmax_task_processors = 0\n\
             {store}lease = \"30s\"\n[log]\nformat = \"json\"\n"
        ));
        // By default it lies beside the configuration.
        new.output = old.output.clone();
        let kept = keep(&old, &mut new);
        assert_eq!(kept[..3], ["scheduler", "store.lease", "log.format"]);
        assert!(kept[3].starts_with("max_task_processors"));
        assert_eq!((&new.store, &new.log, new.scheduler), (&old.store, &old.log, true));
        assert_eq!((new.min_task_processors, new.max_task_processors), (1, 3));
        assert_eq!(new.timeout, std::time::Duration::from_secs(1));
        assert_eq!(keep(&old, &mut old.clone()), [""; 0]);
    }

    #[test]
    fn a_server_is_neither_begun_nor_ended_by_a_reload() {
        let (with, without) = (config("[http]\nlisten = \"127.0.0.1:1\"\n"), config(""));
        for (old, new) in [(&with, &without), (&without, &with)] {
            let mut taken = Config { output: old.output.clone(), ..new.clone() };
            assert!(keep(old, &mut taken).iter().any(|key| key.starts_with("http ")));
            assert_eq!(taken.http, old.http);
        }
    }

    #[test]
    fn the_documents_tell_which_keys_a_reload_takes_over() {
        let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/signals.md")).unwrap();
        let row = |begin: &str| document.lines().find(|line| line.starts_with(begin)).unwrap().to_owned();
        let (applied, kept) = (row("| taken over |"), row("| needs a restart"));
        let names = |row: &str, key: &str| {
            let table = key.split('.').next().unwrap();
            [format!("`{key}`"), format!("`[{key}]`"), format!("`[{table}]`")].iter().any(|name| row.contains(name))
        };
        for (key, _) in APPLIED {
            assert!(names(&applied, key), "{key} is taken over");
        }
        for (key, _) in KEPT {
            assert!(names(&kept, key) && !applied.contains(&format!("`{key}`")), "{key} needs a restart");
        }
    }

    /// This does not compile after a new key. A key that a reload takes over belongs into `APPLIED`; one that needs a restart
    /// belongs into `KEPT`.
    #[test]
    fn every_key_is_taken_over_or_kept() {
        let Config {
            source: _,
            scheduler: _,
            queues: _,
            timeout: _,
            min_task_processors: _,
            max_task_processors: _,
            check_timeout: _,
            max_event_loop_delay: _,
            stuck_worker_timeout: _,
            on_crash: _,
            retry_stuck_jobs: _,
            max_redeliveries: _,
            unstarted: _,
            unknown: _,
            tasks_dir: _,
            // What it changes is told as changed tasks.
            defaults: _,
            skip_broken_tasks: _,
            reload: _,
            worker_logging: _,
            scheduler_logging: _,
            overrides: _,
            store: crate::config::model::StoreConfig { url: _, origin: _, address: _, tls: _, namespace: _, lease: _ },
            shutdown: crate::config::model::ShutdownConfig { timeout: _, kill_grace: _, upgrade_timeout: _ },
            log: crate::config::model::LogConfig { level: _, format: _, redact: _ },
            security: crate::config::model::SecurityConfig { strict_modes: _, owners: _, groups: _ },
            output: crate::config::model::OutputConfig { folder: _, run: _, total: _, age: _, trusted: _ },
            notify: _,
            http: _,
            #[cfg(feature = "otel")]
                otel: _,
        } = config("");
    }
}
