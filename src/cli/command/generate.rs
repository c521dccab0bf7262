//! `generate`: writes commented template files that pass `check`.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::args::generate::{GenerateConfigArgs, GenerateTaskArgs, GenerateVerb, HandlerChoice};
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::Text;
use crate::client::moment::parse_typed_delay;
use crate::file::plain;
use crate::job::{QueueName, TaskName};
use crate::task::calendar::Calendar;

const TASK: &str = include_str!("../template/task.toml");
const RUN_EXEC: &str = include_str!("../template/run_exec.toml");
const SCRIPT: &str = include_str!("../template/script.sh");
const RUN_RPC: &str = include_str!("../template/run_rpc.toml");
const WORKER: &str = include_str!("../template/rpc_worker.py");
const RUN_HTTP: &str = include_str!("../template/run_http.toml");

/// The configuration of the repository, which has every key with its default.
const CONFIG: &str = include_str!("../../../config/tasks.toml");

/// The lines that differ in ActionHero's own `config/tasks.js`.
const OF_ACTIONHERO: [(&str, &str); 4] = [
    ("scheduler = true\n", "scheduler = false\n"),
    ("min_task_processors = 1\n", "min_task_processors = 0\n"),
    ("max_task_processors = 10\n", "max_task_processors = 0\n"),
    (
        "on_crash = \"requeue\"\n",
        "# ActionHero's key for the same: false means \"fail\", and no on_crash beside it.\nretry_stuck_jobs = false\n",
    ),
];

#[derive(Debug, Serialize)]
struct GenerateOutput {
    written: Vec<String>,
}

/// Writes the requested files.
///
/// # Errors
/// Invalid names, files that exist, folders that cannot be written.
pub(crate) fn run(context: &CommandContext, verb: GenerateVerb) -> Result<Exit, CliError> {
    let files = match verb {
        GenerateVerb::Task(args) => task(context, &args)?,
        GenerateVerb::Config(args) => config(context, &args)?,
    };
    let written = GenerateOutput { written: files.iter().map(|file| file.display().to_string()).collect() };
    context.printer.report(&written, || {
        let lines = written.written.iter().map(|file| format!("wrote {file}"));
        lines.fold(Text::default(), Text::and)
    })?;
    Ok(Exit::Done)
}

fn task(context: &CommandContext, args: &GenerateTaskArgs) -> Result<Vec<PathBuf>, CliError> {
    // The template of the program, if there is one, and its file extension.
    let (run, program) = match args.handler {
        HandlerChoice::Exec => (RUN_EXEC, Some((SCRIPT, ""))),
        HandlerChoice::Rpc => (RUN_RPC, Some((WORKER, ".py"))),
        HandlerChoice::Http => (RUN_HTTP, None),
    };
    let usage = |error: &dyn std::fmt::Display| CliError::Usage(error.to_string());
    TaskName::new(&args.name).map_err(|error| usage(&format_args!("task {:?}: {error}", args.name)))?;
    QueueName::new(&args.queue).map_err(|error| usage(&format_args!("queue {:?}: {error}", args.queue)))?;
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if !args.name.chars().all(plain) || args.name.starts_with(['.', '-']) || args.queue.contains(['"', '\\']) {
        return Err(usage(&format_args!(
            "task {:?} on queue {:?}: the name becomes a file name, so it takes only letters, digits, - _ and . \
             and begins with a letter, digit or _; a queue takes neither \" nor \\. Change `name` and `queue` in the \
             file afterwards",
            args.name, args.queue
        )));
    }
    let when = match (&args.frequency, &args.schedule) {
        (Some(every), _) => {
            parse_typed_delay(every).map_err(|error| usage(&format_args!("--frequency: {error}")))?;
            humantime::parse_duration(every).map_err(|error| {
                usage(&format_args!("--frequency {every:?}: expected a duration such as 5m or 1h ({error})"))
            })?;
            format!("frequency = \"{every}\"\n")
        }
        (None, Some(cron)) => {
            Calendar::parse(cron, None).map_err(|error| {
                usage(&format_args!("--schedule {cron:?}: expected a cron expression such as '30 3 * * *' ({error})"))
            })?;
            format!("schedule = \"{cron}\"\n# time_zone = \"Europe/Berlin\"\n")
        }
        (None, None) => {
            "\n# By itself: frequency = \"5m\", or schedule = \"30 7 * * MON-FRI\" with time_zone.\n".to_owned()
        }
    };
    let folder = match &args.dir {
        Some(folder) => context.path(folder),
        None => context.config()?.config.tasks_dir,
    };
    let program_name = format!("{}{}", args.name, program.map_or("", |(_, extension)| extension));
    let fill = |text: &str| {
        let text = text.replace("@NAME@", &args.name).replace("@FILE@", &program_name);
        text.replace("@QUEUE@", &args.queue).replace("@WHEN@\n", &when)
    };
    let program = program.map(|(text, _)| (folder.join(&program_name), text));
    let file = folder.join(format!("{}.toml", args.name));
    let files: Vec<PathBuf> =
        std::iter::once(file.clone()).chain(program.iter().map(|(path, _)| path.clone())).collect();
    if !args.force {
        refuse_existing(&files)?;
    }
    // The program is written first, so that a daemon that reads the task file finds it.
    if let Some((path, text)) = program {
        write(&path, &fill(text), 0o755)?;
    }
    write(&file, &fill(&format!("{TASK}{run}")), 0o644)?;
    Ok(files)
}

fn config(context: &CommandContext, args: &GenerateConfigArgs) -> Result<Vec<PathBuf>, CliError> {
    let file = context.path(&args.file);
    if !args.force {
        refuse_existing(std::slice::from_ref(&file))?;
    }
    write(&file, &config_text(args.actionhero), 0o644)?;
    // Creates the folder for the first task.
    let tasks = plain(file.parent().unwrap_or(Path::new("")).join("../tasks.d"));
    fs::create_dir_all(&tasks)
        .map_err(|error| CliError::Failed(format!("failed to create {}: {error}", tasks.display())))?;
    Ok(vec![file])
}

fn config_text(actionhero: bool) -> String {
    let mut text = CONFIG.to_owned();
    if actionhero {
        for (ours, theirs) in OF_ACTIONHERO {
            text = text.replacen(ours, theirs, 1);
        }
        let head = "Every value below is the default of its key: what you do not want to\n# change, you may delete.";
        let other = "The values are those of ActionHero's own file, which runs neither\n# scheduler nor processors: set what this instance should do.";
        text = text.replacen(head, other, 1);
    }
    text
}

fn refuse_existing(files: &[PathBuf]) -> Result<(), CliError> {
    match files.iter().find(|file| file.exists()) {
        Some(file) => Err(CliError::Failed(format!("{} exists already; use --force to replace it", file.display()))),
        None => Ok(()),
    }
}

fn write(file: &Path, text: &str, mode: u32) -> Result<(), CliError> {
    let written = || {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut open = fs::OpenOptions::new();
        open.write(true).create(true).truncate(true).mode(mode).open(file)?.write_all(text.as_bytes())
    };
    written().map_err(|error| CliError::Failed(format!("failed to write {}: {error}", file.display())))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::element::crash_policy::OnCrash;
    use crate::config::load::{Sources, load};
    use crate::config::model::Config;

    /// The configuration that a text gives; without one, the defaults.
    fn read(text: Option<&str>) -> Config {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config/tasks.toml");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text.unwrap_or("")).unwrap();
        let sources =
            Sources { file: Some(file), store_url: None, env: BTreeMap::default(), working_dir: dir.path().to_owned() };
        let loaded = load(&sources).unwrap_or_else(|problems| panic!("{problems}"));
        let mut config = loaded.config;
        // They lie in different folders.
        config.source = None;
        config.tasks_dir = PathBuf::new();
        config.output.folder = PathBuf::new();
        config.store.url = crate::config::element::store_url::StoreUrl::Sqlite(PathBuf::new());
        config.store.origin = crate::config::model::StoreOrigin::Default;
        config
    }

    #[test]
    fn the_configuration_says_every_default() {
        assert_eq!(read(Some(&config_text(false))), read(None));
    }

    #[test]
    fn actionheros_defaults_are_its_own() {
        let config = read(Some(&config_text(true)));
        assert_eq!((config.scheduler, config.min_task_processors, config.max_task_processors), (false, 0, 0));
        assert_eq!(config.on_crash, OnCrash::Fail);
        let ours = read(None);
        assert_eq!((config.timeout, config.check_timeout), (ours.timeout, ours.check_timeout));
        assert!(config_text(true).contains("The values are those of ActionHero's own file"));
    }
}
