//! Finds and reads `config/tasks.toml`.
//!
//! Each value comes from the flag, else the environment, else the file, else its default. All problems of all sources
//! are collected before the load fails. No key is silently ignored: a key without effect gives a note, a key that is
//! not supported yet gives a problem.
//!
//! Longer than 400 lines because each key of the file is read here, beside the others that it depends on.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::defaults::DefaultsSource;
use super::element::crash_policy::{self, OnCrash};
use super::element::duration::{self, Unit, show};
use super::element::literal;
use super::element::logging::{self, EventLevel, LogFormat};
use super::element::processors::{self, bounds};
use super::element::queues::{self, QueuePatterns};
use super::error::{Problem, Problems, closest};
use super::event_levels;
use super::model::{Config, LogConfig, ReloadMode, ShutdownConfig};
use super::overrides;
use super::reader::{Document, Table, Value};
use crate::file::{bounded, plain};

pub use super::effective::{effective_settings, show_patience};

/// The paths that are tried after `--config` and `WINDLASS_CONFIG`.
pub(crate) const PLACES: [&str; 3] =
    ["config/tasks.toml", "/etc/windlass/config/tasks.toml", "/etc/windlass/tasks.toml"];

/// The sources of a configuration.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Sources {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// `--store`.
    pub store_url: Option<String>,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// The working directory, as an absolute path.
    pub working_dir: PathBuf,
}

/// A configuration with its notes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Settings that are allowed but may not do what their author expects.
    pub notes: Vec<String>,
    /// Values that are allowed and probably mistakes.
    pub warnings: Vec<String>,
    /// Why a configuration in the working directory was not taken.
    pub passed_over: Option<String>,
}

impl Sources {
    /// No flags and no environment; relative paths are taken from this folder.
    #[must_use]
    pub fn new(working_dir: impl Into<PathBuf>) -> Self {
        Self { working_dir: working_dir.into(), ..Self::default() }
    }

    /// Reads this file.
    #[must_use]
    pub fn file(mut self, file: impl Into<PathBuf>) -> Self {
        self.file = Some(file.into());
        self
    }

    /// Did somebody name a configuration?
    #[cfg(feature = "cli")]
    #[must_use]
    pub(crate) fn names_a_file(&self) -> bool {
        self.file.is_some() || self.var("WINDLASS_CONFIG").is_some()
    }

    /// Did somebody give the address of a store, beside any file?
    #[cfg(feature = "cli")]
    #[must_use]
    pub(crate) fn names_a_store_address(&self) -> bool {
        self.store_url.is_some() || self.var("WINDLASS_STORE_URL").is_some()
    }

    /// A variable of the environment. An empty variable counts as not set.
    fn var(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The file to read: the one that was named, or the first that exists; and why one was passed over. One that may not be
    /// looked at counts as there, so that reading it says so.
    fn find(&self) -> (Option<PathBuf>, Option<String>) {
        let named = self.file.clone().or_else(|| self.var("WINDLASS_CONFIG").map(PathBuf::from));
        if let Some(path) = named {
            return (Some(self.working_dir.join(path)), None);
        }
        let mut passed_over = None;
        let found = PLACES.iter().find_map(|place| {
            let path = self.working_dir.join(place);
            // The installed one is judged like one that is named: without it, what it configures would run elsewhere.
            let is_installed = Path::new(place).is_absolute();
            let is_there = path.try_exists().unwrap_or_else(|error| error.kind() == io::ErrorKind::PermissionDenied);
            if is_there
                && !is_installed
                && let Err(why) = security::found_here(&path)
            {
                passed_over = Some(why);
                return None;
            }
            is_there.then_some(path)
        });
        (found, passed_over)
    }

    /// The state directory that systemd gives the service; the first, if there are several.
    fn state_directory(&self) -> Option<&Path> {
        self.var("STATE_DIRECTORY").and_then(|list| list.split(':').next()).map(Path::new)
    }
}

/// A configuration as far as it could be read, and its problems.
#[derive(Debug)]
pub(crate) struct Reading {
    /// Each value with a problem is its default.
    read: Option<Loaded>,
    /// All problems.
    pub(crate) problems: Vec<Problem>,
}

impl Reading {
    /// What can be relied on, although there are problems: which store, which tasks, and these tables. `None` if a problem may decide
    /// that.
    #[cfg(any(test, feature = "cli"))]
    #[must_use]
    pub(crate) fn certain(&self, tables: &[&str]) -> Option<&Loaded> {
        let is_named = |loaded: &Loaded| loaded.config.store.origin != super::model::StoreOrigin::Default;
        self.read.as_ref().filter(|loaded| certain::is_certain(&self.problems, is_named(loaded), tables))
    }
}

/// Reads the configuration.
///
/// # Errors
/// All its problems together.
pub fn load(sources: &Sources) -> Result<Loaded, Problems> {
    match read(sources) {
        Reading { read: Some(loaded), problems } if problems.is_empty() => Ok(loaded),
        Reading { problems, .. } => Err(Problems(problems)),
    }
}

/// Reads the configuration, with or without problems.
#[must_use]
pub(crate) fn read(sources: &Sources) -> Reading {
    let (found, passed_over) = sources.find();
    let document = match found {
        Some(path) => match Document::read(&path, bounded::CONFIGURATION) {
            Ok(document) => document,
            Err(problem) => return Reading { read: None, problems: vec![problem] },
        },
        None => Document::new(Path::new(""), String::new()),
    };
    let source = (!document.path().as_os_str().is_empty()).then(|| document.path().to_owned());
    // Without a file, relative defaults start at the working directory.
    let defaults = if source.is_some() {
        Defaults { folder: document.folder().to_owned(), store: "sqlite:../windlass.db", tasks_dir: "../tasks.d" }
    } else {
        Defaults { folder: sources.working_dir.clone(), store: "sqlite:windlass.db", tasks_dir: "tasks.d" }
    };
    let mut loader = ConfigLoader {
        sources,
        source: source.clone(),
        defaults,
        notes: Vec::new(),
        outside: Vec::new(),
        token_files: Vec::new(),
    };
    let config = document.parse().map(|parsed| {
        let mut top = document.top(&parsed);
        // Its keys are read where tasks are; that it is a table must hold before.
        let given = section(&mut top, "defaults").filter(|table| !table.is_empty());
        let defaults = given.map(|_| DefaultsSource::new(document.path(), document.text()));
        Config { defaults, ..loader.config(source, top) }
    });
    let warnings = document.take_warnings();
    let ConfigLoader { notes, outside: mut problems, .. } = loader;
    problems.extend(document.into_problems());
    problems.extend(config.as_ref().and_then(security::judge));
    Reading { read: config.map(|config| Loaded { config, notes, warnings, passed_over }), problems }
}

struct Defaults {
    folder: PathBuf,
    store: &'static str,
    tasks_dir: &'static str,
}

struct ConfigLoader<'s> {
    sources: &'s Sources,
    /// The file that is read.
    source: Option<PathBuf>,
    defaults: Defaults,
    notes: Vec<String>,
    /// Problems of flags and the environment.
    outside: Vec<Problem>,
    /// The files where the tokens of `[http]` stand.
    token_files: Vec<PathBuf>,
}

/// How long jobs that cannot begin wait: longer than a deployment takes.
const PATIENCE: Duration = Duration::from_secs(300);

/// What stands in place of traces where they are not built in.
#[cfg(not(feature = "otel"))]
const NOT_TRACED: &str = "this program was built without traces (the feature `otel`): take the Docker image, or build it with \
                          cargo build --release --features otel; or remove [otel]";

/// The shortest wait.
const MILLISECOND: Duration = Duration::from_millis(1);

impl ConfigLoader<'_> {
    /// Reads everything. A value with a problem gets its default, which no daemon uses because the load fails.
    fn config(&mut self, source: Option<PathBuf>, mut top: Table<'_>) -> Config {
        refuse_what_comes_later(&mut top);
        let (min, max) = self.processors(&mut top);
        #[cfg(feature = "otel")]
        let otel = {
            let table = section(&mut top, "otel");
            self.otel(table)
        };
        #[cfg(not(feature = "otel"))]
        top.refuse("otel", NOT_TRACED);
        let mut config = Config {
            source,
            scheduler: top.take("scheduler").and_then(|value| value.boolean()).unwrap_or(true),
            queues: top.take("queues").and_then(|value| queues::read(&value)).unwrap_or_else(QueuePatterns::all),
            timeout: milliseconds(&mut top, "timeout", Duration::from_secs(5), MILLISECOND),
            min_task_processors: min,
            max_task_processors: max,
            check_timeout: short(&mut top, "check_timeout", Duration::from_millis(500)),
            max_event_loop_delay: short(&mut top, "max_event_loop_delay", Duration::from_millis(5)),
            stuck_worker_timeout: stuck_worker_timeout(&mut top),
            retry_stuck_jobs: top.take("retry_stuck_jobs").and_then(|value| value.boolean()).unwrap_or(false),
            on_crash: on_crash(&mut top),
            max_redeliveries: top
                .take("max_redeliveries")
                .and_then(|value| crash_policy::read_redeliveries(&value))
                .unwrap_or(25),
            unstarted: patience(&mut top, "unstarted"),
            unknown: patience(&mut top, "unknown"),
            tasks_dir: plain(
                self.defaults.folder.join(tasks_dir(&mut top).unwrap_or(self.defaults.tasks_dir.as_ref())),
            ),
            defaults: None,
            skip_broken_tasks: top.take("skip_broken_tasks").and_then(|value| value.boolean()).unwrap_or(false),
            reload: top
                .take("reload")
                .and_then(|value| {
                    value
                        .one_of("\"signal\" or \"auto\"", &[("signal", ReloadMode::Signal), ("auto", ReloadMode::Auto)])
                })
                .unwrap_or_default(),
            worker_logging: event_levels::worker(section(&mut top, "worker_logging")),
            scheduler_logging: event_levels::scheduler(section(&mut top, "scheduler_logging")),
            overrides: section(&mut top, "resque_overrides").map(overrides::read).unwrap_or_default(),
            store: self.store(section(&mut top, "store")),
            shutdown: shutdown(section(&mut top, "shutdown")),
            log: self.log(section(&mut top, "log")),
            security: security::read(section(&mut top, "security")),
            output: self.output(section(&mut top, "output")),
            notify: section(&mut top, "notify").and_then(|table| self.notify(Some(table))),
            http: section(&mut top, "http").and_then(|table| self.http(table)),
            #[cfg(feature = "otel")]
            otel,
        };
        config.output.trusted = config.security.trusted();
        self.notes.extend(security::note(&config.security));
        if let Some(value) = top.take("to_disconnect_processors")
            && value.boolean().is_some()
        {
            self.notes.push(format!("{}: has no effect here", value.location_and_key()));
        }
        top.finish();
        config
    }

    fn processors(&mut self, top: &mut Table<'_>) -> (usize, usize) {
        let min_value = top.take("min_task_processors");
        let max_value = top.take("max_task_processors");
        let read = |value: &Option<Value<'_>>, default| match value {
            None => Some(default),
            Some(value) => {
                value.whole_number(0..=processors::MAX_PROCESSORS).and_then(|number| usize::try_from(number).ok())
            }
        };
        let (Some(min), Some(max)) = (read(&min_value, 1), read(&max_value, 10)) else { return (1, 10) };
        let told = |message: String| {
            max_value.as_ref().or(min_value.as_ref()).into_iter().for_each(|v| v.report(message.as_str()))
        };
        match bounds(min, max) {
            Ok(bounds) => return bounds,
            // The maximum has its default, so the problem is in the minimum.
            Err(_) if max_value.is_none() => {
                told(format!("expected at most max_task_processors, {max} by default (found {min})"));
            }
            Err(message) => told(message),
        }
        (1, 10)
    }

    fn log(&mut self, table: Option<Table<'_>>) -> LogConfig {
        let mut log = LogConfig { level: "info".to_owned(), format: LogFormat::Text, redact: Vec::new() };
        if let Some(mut table) = table {
            if let Some(value) = table.take("level")
                && let Some(text) = value.string()
            {
                match filter(text) {
                    Ok(level) => log.level = level,
                    Err(suggestion) => value.expected_one_of(FILTER, suggestion),
                }
            }
            if let Some(format) = table.take("format").and_then(|value| logging::read_format(&value)) {
                log.format = format;
            }
            if let Some(items) = table.take("redact").and_then(|value| value.list("a list of keys")) {
                log.redact = items.iter().filter_map(|item| item.string().map(str::to_owned)).collect();
            }
            table.finish();
        }
        if let Some(text) = self.sources.var("WINDLASS_LOG") {
            match filter(text) {
                Ok(level) => log.level = level,
                Err(suggestion) => self.outside.push(Problem {
                    suggestion: suggestion.map(str::to_owned),
                    ..Problem::of_source("WINDLASS_LOG", format!("expected {FILTER} (found {text:?})"))
                }),
            }
        }
        log
    }
}

fn refuse_what_comes_later(top: &mut Table<'_>) {
    for key in ["connection_options", "redis"] {
        top.refuse(key, "the store is configured in [store]: url = \"redis://HOST\", namespace = \"resque\"");
    }
}

fn section<'a>(top: &mut Table<'a>, key: &str) -> Option<Table<'a>> {
    top.take(key).and_then(|value| value.table("a table"))
}

fn milliseconds(table: &mut Table<'_>, key: &str, default: Duration, min: Duration) -> Duration {
    table.take(key).and_then(|value| duration::read(&value, Unit::Milliseconds, min)).unwrap_or(default)
}

/// A key whose default is shorter than a second: ActionHero's configurations have small numbers there.
fn short(table: &mut Table<'_>, key: &str, default: Duration) -> Duration {
    table.take(key).and_then(|value| duration::read_short(&value, Unit::Milliseconds, MILLISECOND)).unwrap_or(default)
}

fn stuck_worker_timeout(top: &mut Table<'_>) -> Option<Duration> {
    let Some(value) = top.take("stuck_worker_timeout") else { return Some(Duration::from_secs(3600)) };
    match value.raw().as_bool() {
        Some(false) => None,
        Some(true) => {
            value.expected("a duration, or false for never");
            None
        }
        // ActionHero treats zero like false.
        None => duration::read(&value, Unit::Milliseconds, Duration::ZERO).filter(|found| !found.is_zero()),
    }
}

/// How long jobs that cannot begin wait before they fail.
fn patience(top: &mut Table<'_>, key: &str) -> Duration {
    let Some(value) = top.take(key) else { return PATIENCE };
    match value.raw().as_str() {
        Some("fail") => Duration::ZERO,
        Some(text) if humantime::parse_duration(text.trim()).is_err() => {
            value.expected("a duration such as \"5m\", or \"fail\"");
            PATIENCE
        }
        _ => duration::read(&value, Unit::Milliseconds, Duration::ZERO).unwrap_or(PATIENCE),
    }
}

fn on_crash(top: &mut Table<'_>) -> OnCrash {
    let said = top.take("on_crash").and_then(|value| crash_policy::read_on_crash(&value));
    // Its type was checked when the key itself was read.
    let retry = top.take("retry_stuck_jobs").and_then(|value| value.raw().as_bool().map(|retry| (value, retry)));
    let meant = retry.as_ref().map(|(_, retry)| if *retry { OnCrash::Requeue } else { OnCrash::Fail });
    if let (Some(said), Some(meant), Some((value, _))) = (said, meant, &retry)
        && said != meant
    {
        value.report(format!("means on_crash = \"{meant}\", but on_crash = \"{said}\" is given; keep on_crash alone"));
    }
    said.or(meant).unwrap_or(OnCrash::Requeue)
}

fn tasks_dir<'a>(top: &mut Table<'a>) -> Option<&'a Path> {
    let value = top.take("tasks_dir")?;
    let text = literal::path(&value)?;
    if text.is_empty() {
        value.expected("the folder of the task files");
        return None;
    }
    Some(Path::new(text))
}

fn shutdown(table: Option<Table<'_>>) -> ShutdownConfig {
    let mut shutdown =
        ShutdownConfig { timeout: Duration::from_secs(25), kill_grace: Duration::from_secs(5), upgrade_timeout: None };
    let Some(mut table) = table else { return shutdown };
    let timeout = table.take("timeout");
    let grace = table.take("kill_grace");
    let read = |value: &Option<Value<'_>>, default| match value {
        None => Some(default),
        Some(value) => duration::read(value, Unit::Milliseconds, MILLISECOND),
    };
    if let (Some(all), Some(last)) = (read(&timeout, shutdown.timeout), read(&grace, shutdown.kill_grace)) {
        (shutdown.timeout, shutdown.kill_grace) = (all, last);
        match (&grace, &timeout) {
            _ if last < all => {}
            (Some(grace), _) => grace.expected(&format!("less than shutdown.timeout, {}", show(all))),
            (None, Some(timeout)) => {
                timeout.expected(&format!("more than shutdown.kill_grace, {} by default", show(last)));
            }
            (None, None) => {}
        }
    }
    shutdown.upgrade_timeout = upgrade_timeout(&mut table, shutdown.kill_grace);
    table.finish();
    shutdown
}

fn upgrade_timeout(table: &mut Table<'_>, grace: Duration) -> Option<Duration> {
    let value = table.take("upgrade_timeout")?;
    match value.raw().as_bool() {
        Some(false) => return None,
        Some(true) => value.expected("a duration, or false for as long as jobs take"),
        None => {
            let found = duration::read(&value, Unit::Milliseconds, MILLISECOND)?;
            if found > grace {
                return Some(found);
            }
            value.expected(&format!("more than shutdown.kill_grace, {}", show(grace)));
        }
    }
    None
}

const FILTER: &str =
    "a level (off, error, warn, info, debug, trace) or a filter such as \"info,windlass::store=debug\"";

/// A filter of `tracing`, or the error with a suggested level. A single word that is not a level is refused, because
/// `tracing` would take it for the name of a module and silence the log.
fn filter(text: &str) -> Result<String, Option<&'static str>> {
    if text.contains(['=', ',', ':', '[']) {
        // A build without the daemon does not use the level.
        #[cfg(feature = "daemon")]
        if crate::config::element::logging::targets(text).is_none() {
            return Err(None);
        }
        return Ok(text.to_owned());
    }
    let word = text.trim();
    EventLevel::from_word(word)
        .map(|level| level.as_str().to_owned())
        .ok_or_else(|| closest(word, ["off", "error", "warn", "info", "debug", "trace"]))
}

#[cfg(any(test, feature = "cli"))]
mod certain;
mod http;
mod notify;
#[cfg(feature = "otel")]
mod otel;
mod output;
mod secret;
pub(crate) mod security;
mod store;
#[cfg(test)]
mod tests;
