//! From the command line to the command, and from its end to the exit code.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::{CommandFactory, Parser};
use serde::Serialize;

use super::args::{Cli, CliCommand, DelayedVerb, FailedVerb, JobsListArgs, JobsVerb, RunArgs};
use super::audited;
use super::command::{
    audit, check, delayed, enqueue, explain, failed, generate, health, history, locks, manual, outputs, overview,
    perform, periodic, plan, queues, running, store, tasks, waiting, workers,
};
use super::context::CommandContext;
use super::exit::{CliError, Exit};
use super::manner::Manner;
use super::meant::meant;
use super::missing::{Lacking, lacking};
use super::output::{Printer, show_output, warn};
use super::watch::{Away, Watch};
use crate::clock::{Clock as _, SystemClock};
use crate::daemon::extensions::Extensions;
use crate::daemon::handover;
use crate::daemon::options::{Replace, RunError, RunOptions};
use crate::daemon::run::{rehearse, run};
use crate::daemon::supervisor;
use crate::process::{inherited, inherited_signals, shim};
use crate::telemetry::stderr::write_line;
use crate::text::clean;
use crate::text::shell::{command_with_bytes, word_of_bytes};

/// The shortest pause of `--watch`: nobody reads faster, and each look costs the store.
const SHORTEST_WATCH: Duration = Duration::from_millis(500);

/// Runs the command that the command line names.
pub fn main(line: impl IntoIterator<Item = OsString>) -> ExitCode {
    main_with(line, Extensions::default())
}

/// The same with extensions of the program.
pub(super) fn main_with(line: impl IntoIterator<Item = OsString>, extensions: Extensions) -> ExitCode {
    let line: Vec<OsString> = line.into_iter().collect();
    if let Some(code) = shim::answer(line.iter().skip(1).cloned()) {
        return code;
    }
    if supervisor::is_resumed() {
        // It is the parent still, whose signals wait.
        let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
        return supervisor::resume(says_run(&line));
    }
    inherited_signals::unblock();
    // What this process knows (the password of the store, tokens) is not for jobs of the same user. They cannot read its
    // memory, its environment and its files then, and it leaves no core dump. It fails on no kernel that we run on.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    if supervisor::is_supervised() {
        inherited::keep_from_programs();
        handover::take_over();
    } else if let Some(is_implicit) = says_run(&line) {
        // The daemon and its programs inherit what the parent has.
        inherited_signals::heed_all();
        // The parent starts the daemon alone, which may need what was opened for it.
        let secrets = handover::hide(&line, || name_secrets(&line, extensions.clone()));
        return supervisor::supervise(&secrets, Some(is_implicit));
    } else {
        // Commands start programs as well: plugins of an enqueue, the program of `perform`.
        inherited::keep_from_programs();
    }
    let cli = match Cli::try_parse_from(&line) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are results, everything else is a usage error. An error of writing them is ignored.
            if !error.use_stderr() {
                let _ = error.print();
                return ExitCode::from(Exit::Done.code());
            }
            print_usage_error(&line, &error);
            return ExitCode::from(Exit::Usage.code());
        }
    };
    let context = match CommandContext::of(&cli, extensions) {
        Ok(context) => context,
        Err(error) => {
            warn(&error.to_string());
            return ExitCode::from(error.exit().code());
        }
    };
    let ended = match cli.command {
        _ if cli.shown.watch.is_some() => watch(&line, context.extensions(), cli.shown.watch.unwrap_or_default()),
        None => daemon(&context, RunArgs::default()),
        Some(CliCommand::Run(args)) => daemon(&context, args),
        Some(command) => client(&context, command, &line).map(|exit| ExitCode::from(exit.code())),
    };
    ended.unwrap_or_else(|error| {
        print_error(&context, &error);
        ExitCode::from(error.exit().code())
    })
}

/// Prints what is wrong with a line. The message quotes the line, and a script puts the words of others into it, so it is
/// made once more from clean words.
fn print_usage_error(line: &[OsString], error: &clap::Error) {
    let words = line.iter().map(|word| clean::line(&word.to_string_lossy()).into_owned());
    let error = match Cli::try_parse_from(words) {
        Err(clean) if clean.kind() == error.kind() => clean,
        // Without the words that it quotes.
        _ => clap::Error::new(error.kind()).with_cmd(&Cli::command()),
    };
    let lacking = lacking(line, &error);
    match &lacking {
        Some(Lacking { what, examples, more }) => {
            warn(what);
            examples.iter().for_each(|example| show_output(&format!("  {example}")));
            warn(&format!("all that it takes: {more}"));
        }
        // An error of writing it is ignored.
        None => drop(error.print()),
    }
    if let Some(meant) = meant(line, &error) {
        warn(&meant);
    }
    if error.kind() == clap::error::ErrorKind::InvalidUtf8
        && let Some(word) = line.iter().find(|word| word.to_str().is_none())
    {
        let rename = command_with_bytes("queues rename", word.as_bytes(), "NAME");
        let word = word_of_bytes(word.as_bytes());
        warn(&format!("{word} is no text in UTF-8; if a queue has that name, give it one that is: {rename}"));
    }
    if line.iter().any(|word| word == "--json") {
        let text = lacking.map_or_else(|| error.to_string(), |lacking| lacking.what);
        let first = text.lines().next().unwrap_or_default();
        let error = first.strip_prefix("error: ").unwrap_or(first).to_owned();
        let _ = Printer::new(true, Manner::default()).print(&ErrorOutput { error }, String::new);
    }
}

/// An error as the document of a command.
#[derive(Serialize)]
struct ErrorOutput {
    error: String,
}

/// Does this line mean `run`, and if so, without saying it? It is not parsed completely: the parent of the daemon needs only this, and saves the
/// memory of the parser. The daemon itself reports mistakes in the line.
fn says_run(line: &[OsString]) -> Option<bool> {
    let mut words = line.iter().skip(1).map(|word| word.to_str().unwrap_or_default());
    while let Some(word) = words.next() {
        match word {
            "run" => return Some(false),
            "--config" | "--store" | "--color" => drop(words.next()),
            "--json" | "--wide" | "--utc" | "--watch" => {}
            _ if ["--config=", "--store=", "--color=", "--watch="].iter().any(|option| word.starts_with(option)) => {}
            _ => return None,
        }
    }
    Some(true)
}

/// Reads the tasks, so that the variables that hold their secrets are known. Mistakes are told by the daemon itself.
fn name_secrets(line: &[OsString], extensions: Extensions) {
    let Ok(cli) = Cli::try_parse_from(line) else { return };
    let Ok(context) = CommandContext::of(&cli, extensions) else { return };
    drop(context.tasks());
}

/// Prints an error on stderr, and as the JSON document if `--json` was given.
fn print_error(context: &CommandContext, error: &CliError) {
    // The daemon itself handles its signals by now, so nothing would end it while it hangs on stderr.
    let warn = |line: &str| if supervisor::is_supervised() { write_line(line) } else { warn(line) };
    match error {
        // One line for each.
        CliError::Problems(problems) | CliError::Uncertain(problems) => problems.lines().for_each(|line| warn(&line)),
        other => warn(&other.to_string()),
    }
    if let Some(hint) = error.hint() {
        warn(hint);
    }
    print_error_document(context, error);
}

fn print_error_document(context: &CommandContext, error: &CliError) {
    if context.printer.is_json() && !error.is_of_the_output() {
        let document = ErrorOutput { error: error.to_string() };
        if let Err(error) = context.printer.print(&document, String::new) {
            warn(&format!("failed to write the output: {error}"));
        }
    }
}

/// Runs the daemon until a signal drains it.
///
/// # Errors
/// Says why the daemon does not start.
fn daemon(context: &CommandContext, args: RunArgs) -> Result<ExitCode, CliError> {
    let RunArgs { queues, min, max, scheduler, skip_broken_tasks, replace, rehearse: rehearses } = args;
    let options = RunOptions {
        sources: context.sources().clone(),
        queues,
        min,
        max,
        scheduler,
        skip_broken_tasks,
        replace: replace.map(|pid| pid.map_or(Replace::Same, Replace::Pid)),
        extensions: context.extensions(),
    };
    let ended = match rehearses {
        Some(format) => rehearse(&options, format),
        None => run(&options),
    };
    ended.map_err(|error| match error {
        RunError::Configuration(problems) => CliError::Problems(problems),
        RunError::Store(error) => match context.config() {
            Ok(loaded) => CliError::Store { url: loaded.config.store.url.to_string(), error },
            Err(_) => CliError::Interrupted { message: format!("failed to {error}"), error },
        },
        // What can be listened on differs with the features.
        error => CliError::Failed(error.to_string()),
    })
}

/// Repeats a command that only looks, until it is ended.
///
/// # Errors
/// Commands that change something, and errors that another look would meet again.
fn watch(line: &[OsString], extensions: Arc<Extensions>, every: Duration) -> Result<ExitCode, CliError> {
    let words: Vec<_> = line.iter().skip(1).map(|word| clean::line(&word.to_string_lossy()).into_owned()).collect();
    let watch = Arc::new(Mutex::new(Watch::new(every.max(SHORTEST_WATCH), format!("windlass {}", words.join(" ")))));
    let mut away = Away::default();
    loop {
        // Parsed anew, because a command uses up what it was told, and files may have changed.
        let cli = Cli::try_parse_from(line).map_err(|error| CliError::Usage(error.to_string()))?;
        let context = CommandContext::of(&cli, Extensions::clone(&extensions))?.watched(&watch);
        let Some(command) = cli.command.filter(CliCommand::looks) else {
            let text = "--watch repeats a command that only looks, such as windlass queues --watch";
            return Err(CliError::Usage(text.to_owned()));
        };
        match client(&context, command, line) {
            Ok(_) => {
                // On a terminal the picture says it, and would be written over.
                let back = away.is_back(SystemClock.now_ms());
                if let Some(back) = back.filter(|_| context.printer.manner().terminal.is_none()) {
                    warn(&back);
                }
            }
            Err(CliError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                return Ok(ExitCode::from(Exit::Done.code()));
            }
            // The store may come back.
            Err(error) if error.exit() == Exit::Unavailable => tell_away(&context, &error, &mut away),
            Err(error) => return Err(error),
        }
        std::thread::sleep(every.max(SHORTEST_WATCH));
    }
}

/// Tells once that the store is away; as JSON each look is a document.
fn tell_away(context: &CommandContext, error: &CliError, away: &mut Away) {
    let manner = context.printer.manner();
    if let Some(told) = away.failed(&error.to_string(), (SystemClock.now_ms(), manner.utc)) {
        warn(&told);
        error.hint().into_iter().for_each(warn);
    }
    print_error_document(context, error);
}

/// Runs a command other than the daemon, on a runtime of this thread.
fn client(context: &CommandContext, command: CliCommand, line: &[OsString]) -> Result<Exit, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::Failed(format!("failed to start: {error}")))?;
    let (changes, audited) = (command.changes(), command.is_audited());
    let carried_out = async {
        let ended = dispatch(context, command).await;
        if audited {
            audited::keep(context, line, &ended).await;
        }
        context.close_store();
        ended
    };
    let ended = runtime
        .block_on(carried_out)
        .map_err(|error| if changes { error.of_a_change(context.undoes_failed_steps()) } else { error });
    // The command is done: a connection that hangs must not delay its end.
    runtime.shutdown_background();
    ended
}

async fn dispatch(context: &CommandContext, command: CliCommand) -> Result<Exit, CliError> {
    match command {
        // Handled before, because it has a runtime of its own.
        CliCommand::Run(_) => Err(CliError::Failed("run was not dispatched".to_owned())),
        CliCommand::Enqueue(args) => enqueue::run(context, args).await,
        #[cfg(feature = "web")]
        CliCommand::Dashboard(args) => super::command::dashboard::run(context, args).await,
        CliCommand::Perform(args) => perform::run(context, args).await,
        CliCommand::Tasks { verb } => tasks::run(context, verb).await,
        CliCommand::Check(args) => check::run(context, &args),
        CliCommand::Generate { verb } => generate::run(context, verb),
        CliCommand::Completions { shell } => manual::completions(context, shell),
        CliCommand::Man { folder } => manual::man(context, &folder),
        CliCommand::Queues { verb } => queues::run(context, verb).await,
        CliCommand::Jobs { verb: None } => running::list(context, JobsListArgs::default()).await,
        CliCommand::Jobs { verb: Some(JobsVerb::Delete(args)) } => queues::delete_jobs(context, args).await,
        CliCommand::Jobs { verb: Some(JobsVerb::List(args)) } => running::list(context, args).await,
        CliCommand::Jobs { verb: Some(JobsVerb::Cancel(args)) } => running::cancel(context, args).await,
        CliCommand::Jobs { verb: Some(JobsVerb::Output(args)) } => outputs::run(context, &args).await,
        CliCommand::Jobs { verb: Some(JobsVerb::Result(args)) } => waiting::result(context, &args).await,
        CliCommand::Delayed { verb, list } => delayed::run(context, verb.unwrap_or(DelayedVerb::List(list))).await,
        CliCommand::Periodic { verb } => periodic::run(context, verb).await,
        CliCommand::Explain { verb } => explain::run(context, verb).await,
        CliCommand::Plan(args) => plan::run(context, args).await,
        CliCommand::Failed { verb, list } => failed::run(context, verb.unwrap_or(FailedVerb::List(list))).await,
        CliCommand::Audit(args) => audit::run(context, &args).await,
        CliCommand::Workers { verb } => workers::run(context, verb).await,
        CliCommand::Locks { verb } => locks::run(context, verb).await,
        CliCommand::Store { verb } => store::run(context, verb).await,
        CliCommand::History(args) => history::run(context, args).await,
        CliCommand::Stats => overview::stats(context).await,
        CliCommand::Details => overview::details(context).await,
        CliCommand::Health => health::run(context).await,
        CliCommand::Leader(args) => overview::leader(context, &args).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_says_run_is_known_without_reading_it() {
        let says = |line: &str| says_run(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        for line in [
            "w",
            "w run",
            "w run --bogus",
            "w --json run",
            "w --config run run",
            "w --config=c --store s run",
            "w --color never --utc --wide run",
            "w --color=always run",
        ] {
            assert_eq!(says(line), Some(!line.contains(" run")), "{line}");
        }
        for line in ["w enqueue run", "w --config run enqueue", "w --version", "w -h run", "w runs", "w --conf run"] {
            assert_eq!(says(line), None, "{line}");
        }
    }
}
