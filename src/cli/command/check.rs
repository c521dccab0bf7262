//! `check`: validates the configuration and the tasks. It runs nothing and opens no store.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::tasks::{calendars_text, list_text, timeouts_text};
use crate::admin::tasks::{self, TaskView};
use crate::cli::args::CheckArgs;
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::fields::FieldList;
use crate::cli::manner::Manner;
use crate::cli::output::Text;
use crate::clock::{Clock as _, SystemClock};
use crate::config::element::crash_policy::OnCrash;
use crate::config::element::duration::show;
use crate::config::error::{self, MOST_TOLD, Problem};
use crate::config::http::{HttpConfig, HttpToken};
use crate::config::load::Loaded;
use crate::config::load::show_patience;
use crate::config::model::Config;
use crate::daemon::assemble::told_as_skipped;
use crate::daemon::{notify, traces, web};
use crate::handler::kept_output;
use crate::task::zones::ZoneRelease;
use crate::text::count::counted;

#[derive(Debug, Serialize)]
struct CheckOutput {
    ok: bool,
    /// The first problems.
    problems: Vec<ProblemView>,
    /// The number of all problems.
    problem_count: usize,
    /// The first problems of tasks that a daemon skips. They are warnings, too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    skipped: Vec<ProblemView>,
    warnings: Vec<String>,
    notes: Vec<String>,
    /// The effective configuration; `None` if it could not be read.
    config: Option<ConfigView>,
    tasks: Vec<TaskView>,
}

#[derive(Debug, Serialize)]
struct ProblemView {
    file: String,
    line: usize,
    column: usize,
    key: String,
    message: String,
    suggestion: Option<String>,
    /// The whole message, as it is printed for people.
    text: String,
}

#[derive(Debug, Serialize)]
struct ConfigView {
    file: Option<String>,
    scheduler: bool,
    queues: Vec<String>,
    timeout_ms: u64,
    min_task_processors: usize,
    max_task_processors: usize,
    check_timeout_ms: u64,
    max_event_loop_delay_ms: u64,
    stuck_worker_timeout_ms: Option<u64>,
    on_crash: &'static str,
    max_redeliveries: u32,
    unstarted_ms: u64,
    unknown_ms: u64,
    tasks_dir: String,
    store: StoreView,
    shutdown: ShutdownView,
    log: LogView,
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<HttpView>,
    time_zones: ZoneRelease,
}

#[derive(Debug, Serialize)]
struct StoreView {
    url: String,
    namespace: String,
    lease_ms: u64,
}

#[derive(Debug, Serialize)]
struct ShutdownView {
    timeout_ms: u64,
    kill_grace_ms: u64,
}

#[derive(Debug, Serialize)]
struct LogView {
    level: String,
    redact: Vec<String>,
}

#[derive(Debug, Serialize)]
struct HttpView {
    listen: Vec<String>,
    tokens: Vec<TokenView>,
    loopback: &'static str,
    allowed_hosts: Vec<String>,
    trusted_proxies: Vec<String>,
    base: String,
    read_only: bool,
    metrics: &'static str,
}

/// A token without its text.
#[derive(Debug, Serialize)]
struct TokenView {
    name: String,
    role: &'static str,
}

/// Checks everything.
///
/// # Errors
/// Only if the result cannot be printed: problems are the result.
pub(crate) fn run(context: &CommandContext, args: &CheckArgs) -> Result<Exit, CliError> {
    let mut output = CheckOutput {
        ok: false,
        problems: Vec::new(),
        problem_count: 0,
        skipped: Vec::new(),
        warnings: Vec::new(),
        notes: Vec::new(),
        config: None,
        tasks: Vec::new(),
    };
    let mut fields = FieldList::default();
    let mut grace = Duration::ZERO;
    let reading = crate::config::load::read(context.sources());
    let mut problems = reading.problems.clone();
    let is_whole = problems.is_empty();
    // Whatever is wrong with a table is told by its reader; the checks of what it means would judge its defaults.
    let has_mistakes =
        |table: &str| reading.problems.iter().any(|problem| problem.key.split('.').next() == Some(table));
    match reading.certain(&[]).cloned() {
        None => output.notes.push(
            "the tasks are not checked: the problems may decide where they are, and what holds for all of them"
                .to_owned(),
        ),
        Some(Loaded { config, notes, warnings, passed_over }) => {
            output.notes = notes.into_iter().chain(passed_over).collect();
            problems.extend(context.extensions().check(&config.overrides));
            if !has_mistakes("notify") {
                problems.extend(notify::check(&config));
            }
            if !has_mistakes("otel") {
                problems.extend(traces::check(&config));
            }
            if !has_mistakes("http") {
                problems.extend(web::check(&config));
            }
            let mut tasks = context.tasks_of(&config);
            if args.skip_broken_tasks || config.skip_broken_tasks {
                let skipped = tasks.skip_broken();
                output.warnings = told_as_skipped(&skipped, &tasks.broken).collect();
                output.skipped = error::to_tell(&skipped).0.iter().map(ProblemView::of).collect();
            }
            problems.extend(tasks.problems.iter().chain(&tasks.unavailable).cloned());
            output.warnings.extend(warnings.into_iter().chain(tasks.warnings.iter().map(ToString::to_string)));
            output.warnings.extend(kept_output::warning(&config.output, &tasks.registry));
            output.tasks = tasks::list(&tasks.registry, SystemClock.now_ms());
            if is_whole {
                fields = effective_settings(&config);
                grace = config.shutdown.kill_grace;
                output.config = Some(ConfigView::of(&config));
            }
        }
    }
    output.ok = problems.is_empty();
    let (told, rest) = error::to_tell(&problems);
    output.problems = told.iter().map(ProblemView::of).collect();
    output.problem_count = error::count(&problems);
    context.printer.print(&output, || text(&output, rest, &fields, grace, context.printer.manner()))?;
    Ok(if output.ok { Exit::Done } else { Exit::Usage })
}

fn text(output: &CheckOutput, problems_untold: usize, fields: &FieldList, grace: Duration, manner: Manner) -> Text {
    let mut text = fields.text();
    if output.config.is_some() {
        text.push("");
        text.push(count(output.tasks.len(), "task", "tasks"));
        if !output.tasks.is_empty() {
            text = text.and(list_text(&output.tasks, manner));
            if output.tasks.iter().any(|task| !task.calendars.is_empty()) {
                text.push("");
                text = text.and(calendars_text(&output.tasks));
            }
            text.push("");
            text = text.and(timeouts_text(&output.tasks, grace));
        }
    }
    let problems = output.problems.iter().map(|problem| &problem.text);
    let most = |lines: &[String]| lines.len().min(MOST_TOLD);
    let (notes, warnings) = (most(&output.notes), most(&output.warnings));
    for (kind, lines, untold) in [
        ("note", output.notes.iter().take(notes).collect::<Vec<_>>(), output.notes.len() - notes),
        ("warning", output.warnings.iter().take(warnings).collect(), output.warnings.len() - warnings),
        ("problem", problems.collect(), problems_untold),
    ] {
        if !lines.is_empty() {
            text.push("");
        }
        for line in lines {
            text.push(format!("{kind}: {line}"));
        }
        if untold > 0 {
            text.push(format!("{kind}: {untold} more"));
        }
    }
    let verdict = if output.ok { "no problems".to_owned() } else { count(output.problem_count, "problem", "problems") };
    text.push("");
    text.and(verdict)
}

fn count(number: usize, one: &str, many: &str) -> String {
    counted(u64::try_from(number).unwrap_or(u64::MAX), one, many)
}

impl ProblemView {
    fn of(problem: &Problem) -> Self {
        Self {
            file: problem.file.clone(),
            line: problem.line,
            column: problem.column,
            key: problem.key.clone(),
            message: problem.message.clone(),
            suggestion: problem.suggestion.clone(),
            text: problem.to_string(),
        }
    }
}

impl ConfigView {
    fn of(config: &Config) -> Self {
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self {
            file: config.source.as_deref().map(path),
            scheduler: config.scheduler,
            queues: config.queues.written().to_vec(),
            timeout_ms: ms(config.timeout),
            min_task_processors: config.min_task_processors,
            max_task_processors: config.max_task_processors,
            check_timeout_ms: ms(config.check_timeout),
            max_event_loop_delay_ms: ms(config.max_event_loop_delay),
            stuck_worker_timeout_ms: config.stuck_worker_timeout.map(ms),
            on_crash: on_crash(config.on_crash),
            max_redeliveries: config.max_redeliveries,
            unstarted_ms: ms(config.unstarted),
            unknown_ms: ms(config.unknown),
            tasks_dir: path(&config.tasks_dir),
            store: StoreView {
                url: config.store.url.to_string(),
                namespace: config.store.namespace.clone(),
                lease_ms: ms(config.store.lease),
            },
            shutdown: ShutdownView {
                timeout_ms: ms(config.shutdown.timeout),
                kill_grace_ms: ms(config.shutdown.kill_grace),
            },
            log: LogView { level: config.log.level.clone(), redact: config.log.redact.clone() },
            http: config.http.as_ref().map(HttpView::of),
            time_zones: ZoneRelease::here(),
        }
    }
}

impl HttpView {
    fn of(http: &HttpConfig) -> Self {
        let token = |token: &HttpToken| TokenView { name: token.name.clone(), role: token.role.name() };
        Self {
            listen: http.listen.iter().map(ToString::to_string).collect(),
            tokens: http.tokens.iter().map(token).collect(),
            loopback: http.loopback.name(),
            allowed_hosts: http.allowed_hosts.clone(),
            trusted_proxies: http.trusted_proxies.iter().map(ToString::to_string).collect(),
            base: http.base.clone(),
            read_only: http.read_only,
            metrics: http.metrics.name(),
        }
    }

    /// For people.
    fn text(&self) -> String {
        let only = if self.read_only { ", read only" } else { "" };
        let tokens: Vec<_> = self.tokens.iter().map(|token| format!("{} ({})", token.name, token.role)).collect();
        let tokens = if tokens.is_empty() { "none".to_owned() } else { tokens.join(", ") };
        format!("{}; tokens: {tokens}{only}", self.listen.join(", "))
    }
}

/// The effective configuration for people; durations are in words.
fn effective_settings(config: &Config) -> FieldList {
    let mut fields = FieldList::default();
    let processors = match (config.min_task_processors, config.max_task_processors) {
        (0, 0) => "none: this instance runs no jobs".to_owned(),
        (min, max) => format!("{min} to {max}"),
    };
    let stuck = config.stuck_worker_timeout.map_or_else(|| "never".to_owned(), show);
    fields
        .add("configuration", &config.source.as_deref().map_or_else(|| "no file, all defaults".to_owned(), path))
        .add("store", &config.store.url.to_string())
        .add("namespace", &config.store.namespace)
        .add("lease", &show(config.store.lease))
        .add("scheduler", if config.scheduler { "yes" } else { "no" })
        .add("queues", &config.queues.written().join(" "))
        .add("processors", &processors)
        .add("timeout", &show(config.timeout))
        .add("check_timeout", &show(config.check_timeout))
        .add("max_event_loop_delay", &show(config.max_event_loop_delay))
        .add("stuck_worker_timeout", &stuck)
        .add("on_crash", on_crash(config.on_crash))
        .add("max_redeliveries", &config.max_redeliveries.to_string())
        .add("unstarted", &show_patience(config.unstarted))
        .add("unknown", &show_patience(config.unknown))
        .add("shutdown", &format!("{}, kill after {}", show(config.shutdown.timeout), show(config.shutdown.kill_grace)))
        .add("log", &config.log.level)
        .add("tasks_dir", &path(&config.tasks_dir))
        .add("time zones", &ZoneRelease::here().text());
    if let Some(http) = &config.http {
        fields.add("http", &HttpView::of(http).text());
    }
    fields
}

fn on_crash(policy: OnCrash) -> &'static str {
    match policy {
        OnCrash::Requeue => "requeue",
        OnCrash::Fail => "fail",
    }
}

fn path(path: &Path) -> String {
    path.display().to_string()
}
