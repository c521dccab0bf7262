//! `tasks`: shows the defined tasks.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::admin::runs;
use crate::admin::tasks::{self as listing, HandlerView, PluginView, TaskView};
use crate::cli::args::TasksVerb;
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::fields::FieldList;
use crate::cli::here::shown;
use crate::cli::manner::Manner;
use crate::cli::output::{Text, warn};
use crate::cli::past_runs::runs_text;
use crate::cli::table::TextTable;
use crate::clock::{Clock as _, SystemClock};
use crate::config::element::duration::{show, words};
use crate::task::zone::NamedZone;
use crate::text::count::counted;

#[derive(Debug, Serialize)]
struct TaskListOutput {
    tasks: Vec<TaskView>,
}

/// Lists or shows.
///
/// # Errors
/// Unknown tasks, problems of the configuration, failures of the store.
pub(crate) async fn run(context: &CommandContext, verb: Option<TasksVerb>) -> Result<Exit, CliError> {
    let config = context.config()?.config;
    let (folder, grace) = (config.tasks_dir, config.shutdown.kill_grace);
    let tasks = context.tasks()?;
    context.warn_of_problems(&tasks);
    let registry = tasks.registry;
    match verb.unwrap_or(TasksVerb::List) {
        TasksVerb::List => {
            let output = TaskListOutput { tasks: listing::list(&registry, SystemClock.now_ms()) };
            context.printer.print(&output, || {
                if output.tasks.is_empty() {
                    return Text::from(format!("no tasks in {}", folder.display()));
                }
                list_text(&output.tasks, context.printer.manner())
            })?;
        }
        TasksVerb::Show { name } => {
            let task = listing::show(&registry, &name, SystemClock.now_ms())?;
            context.printer.print(&task, || show_text(&task, grace))?;
        }
        TasksVerb::Runs { name, last } => {
            let found = runs::of(&context.store().await?, &registry, &name, last).await?;
            found.unreadable.iter().for_each(|text| warn(text));
            context.printer.print(&found, || runs_text(&found, context.printer.manner()))?;
        }
    }
    Ok(Exit::Done)
}

/// The tasks as a table.
pub(super) fn list_text(tasks: &[TaskView], manner: Manner) -> Text {
    let mut table = TextTable::new(&["name", "queue", "every", "plugins", "runs"])
        .uncut(&["name", "every"])
        .falling_away(&["plugins", "queue"]);
    for task in tasks {
        let plugins: Vec<_> = task.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
        let every = match &task.schedule {
            Some(schedule) => schedule.clone(),
            None if task.frequency_ms == 0 => String::new(),
            None => ms(task.frequency_ms),
        };
        table.row([&task.name, &task.queue, &every, &plugins.join(" "), &task.run.text()]);
    }
    table.text(manner)
}

/// How the expressions of these tasks were understood, and when they come next: in their zone, and here if that differs.
pub(super) fn calendars_text(tasks: &[TaskView]) -> Text {
    let mut text = Text::default();
    for task in tasks {
        for calendar in &task.calendars {
            let name = calendar.id.as_deref().unwrap_or(&task.name);
            text.push(format!("{name}: {} ({}): {}", calendar.cron, calendar.time_zone, calendar.means));
            let zone = calendar.time_zone.parse().unwrap_or_else(|_| NamedZone::utc());
            let there: Vec<_> = calendar.next_ms.iter().map(|&ms| clock(ms, &zone)).collect();
            let here: Vec<_> = calendar.next_ms.iter().map(|&ms| clock_here(ms)).collect();
            let is_elsewhere = there.iter().zip(&here).any(|(there, here)| there.0 != here.0);
            let many = |times: Vec<(String, String)>| {
                times.into_iter().map(|(time, zone)| format!("{time} {zone}")).collect::<Vec<_>>().join(", ")
            };
            text.push(format!("  next: {}", many(there)));
            if is_elsewhere {
                text.push(format!("  here: {}", many(here)));
            }
        }
    }
    text
}

/// How clocks show a time here.
const CLOCK: &str = "%a %Y-%m-%d %H:%M:%S";

/// A time as the clocks here show it, and what their zone is called then.
fn clock_here(ms: i64) -> (String, String) {
    let time = chrono::DateTime::from_timestamp_millis(ms).unwrap_or_default();
    (shown(time, CLOCK), shown(time, "%Z"))
}

/// A time as the clocks of this zone show it, and what the zone is called then.
fn clock<Z: chrono::TimeZone<Offset: std::fmt::Display>>(ms: i64, zone: &Z) -> (String, String) {
    let time = chrono::DateTime::from_timestamp_millis(ms).unwrap_or_default().with_timezone(zone);
    (time.format(CLOCK).to_string(), time.format("%Z").to_string())
}

/// How long the runs of these tasks may take, and what happens then.
pub(super) fn timeouts_text(tasks: &[TaskView], grace: Duration) -> Text {
    let mut text = Text::default();
    for task in tasks.iter().filter(|task| task.timeout_ms.is_some()) {
        text.push(format!("{}: timeout {}", task.name, timeout_text(task, grace)));
    }
    let without = tasks.iter().filter(|task| task.timeout_ms.is_none()).count();
    if without > 0 {
        let without = counted(u64::try_from(without).unwrap_or(u64::MAX), "task", "tasks");
        text.push(format!("without a timeout, so that a run may take any time: {without}"));
    }
    text
}

/// The timeout of a task, and what happens then.
fn timeout_text(task: &TaskView, grace: Duration) -> String {
    let Some(timeout) = task.timeout_ms else { return "none: a run may take any time".to_owned() };
    let (timeout, grace) = (words(Duration::from_millis(timeout)), words(grace));
    match task.run {
        HandlerView::Exec { .. } => format!("{timeout}, then TERM, KILL after {grace}"),
        HandlerView::Rpc { .. } => format!("{timeout}, then cancel, KILL of its child after {grace}"),
        HandlerView::Http { .. } => format!("{timeout}, then the connection is dropped; the server may go on"),
        HandlerView::Builtin { .. } => format!("{timeout}, then it is asked to end"),
    }
}

fn show_text(task: &TaskView, grace: Duration) -> Text {
    let plugins: Vec<_> = task.plugins.iter().map(plugin_text).collect();
    let mut fields = FieldList::default();
    fields
        .add("name", &task.name)
        .add("description", &task.description)
        .add("queue", &task.queue)
        .maybe("every", (task.frequency_ms > 0).then(|| ms(task.frequency_ms)).as_deref())
        .maybe("schedule", task.schedule.as_deref())
        .maybe("time zone", task.time_zone.as_deref())
        .maybe("after a failure", task.re_enqueue_after_failure.map(|on| if on { "goes on" } else { "stops" }))
        .maybe("plugins", (!plugins.is_empty()).then(|| plugins.join(", ")).as_deref())
        .add("timeout", &timeout_text(task, grace))
        .maybe("on_crash", task.on_crash)
        .maybe("max_redeliveries", task.max_redeliveries.map(|most| most.to_string()).as_deref())
        .maybe("keeps", (task.keep_runs > 0).then(|| format!("the last {} runs", task.keep_runs)).as_deref())
        .maybe(
            "keeps results",
            task.keep_results_ms.map(|ms| format!("for {}", show(Duration::from_millis(ms)))).as_deref(),
        )
        .add("runs", &task.run.text());
    match &task.run {
        HandlerView::Exec { cwd, env, env_clear, confines, .. }
        | HandlerView::Rpc { cwd, env, env_clear, confines, .. } => {
            fields.add("in", cwd).maybe("sets", (!env.is_empty()).then(|| env.join(" ")).as_deref());
            if let HandlerView::Exec { stdin: Some(stdin), .. } = &task.run {
                fields.add("stdin", stdin);
            }
            fields.maybe("inherits", env_clear.then_some("no variables"));
            for (key, value) in confines {
                fields.add(key, value);
            }
        }
        HandlerView::Http { headers, signed, connections, connect_timeout_ms, ca_file, .. } => {
            fields
                .maybe("sets", (!headers.is_empty()).then(|| headers.join(" ")).as_deref())
                .add("signed", if *signed { "yes" } else { "no" })
                .add("connections", &format!("at most {connections}, within {}", ms(*connect_timeout_ms)))
                .maybe("trusts", ca_file.as_deref());
        }
        HandlerView::Builtin { .. } => {}
    }
    fields.add("defined in", &task.source);
    for (place, keys) in by_line(&task.from_defaults) {
        fields.add("from [defaults]", &format!("{} ({place})", keys.join(", ")));
    }
    let mut text = fields.text();
    if !task.calendars.is_empty() {
        text.push("");
    }
    text.and(calendars_text(std::slice::from_ref(task)))
}

/// The keys that stand in `[defaults]`, by the line there.
fn by_line(from_defaults: &BTreeMap<String, String>) -> BTreeMap<String, Vec<&str>> {
    let mut lines = BTreeMap::<String, Vec<&str>>::new();
    for (key, place) in from_defaults {
        let line = place.rsplit_once(':').map_or(place.as_str(), |(line, _)| line);
        lines.entry(line.to_owned()).or_default().push(key);
    }
    lines
}

fn plugin_text(plugin: &PluginView) -> String {
    let options = [
        plugin.exec.as_ref().map(|argv| argv.join(" ")),
        plugin.hooks.as_ref().map(|hooks| hooks.join(" ")),
        plugin.timeout_ms.map(|limit| format!("timeout {}", ms(limit))),
        plugin.options.as_ref().map(|options| format!("options {options}")),
        plugin.lock_timeout_s.map(|seconds| format!("lock_timeout {seconds}s")),
        plugin.enqueue_timeout_ms.map(|wait| format!("enqueue_timeout {wait}ms")),
        plugin.re_enqueue.map(|on| format!("re_enqueue {on}")),
        plugin.max_attempts.map(|most| format!("max_attempts {most}")),
        plugin.delays_ms.as_ref().map(|delays| {
            let delays: Vec<_> = delays.iter().map(|&delay| ms(delay)).collect();
            format!("delays {}", delays.join(" "))
        }),
        plugin.key.as_ref().map(|key| format!("key {key}")),
    ];
    let options: Vec<_> = options.into_iter().flatten().collect();
    if options.is_empty() { plugin.name.clone() } else { format!("{} ({})", plugin.name, options.join(", ")) }
}

fn ms(milliseconds: u64) -> String {
    show(Duration::from_millis(milliseconds)).to_string()
}
