//! What a command reads from files that its line names, or from stdin: within bounds, because a line may name anything.

use std::io::Read as _;
use std::path::Path;

use super::args::job::JobArgs;
use super::context::CommandContext;
use super::exit::CliError;
use super::value::ArgsSource;
use crate::file::bounded;
use crate::job::Args;
use crate::text::shell::command;

/// The bytes of this file; `-` is stdin.
///
/// # Errors
/// Names the file.
pub(super) fn bytes(context: &CommandContext, file: &Path, most: u64) -> Result<Vec<u8>, CliError> {
    let read = if file == Path::new("-") {
        bounded::read_all(std::io::stdin().lock().by_ref(), most)
    } else {
        bounded::read_stream(&context.path(file), most)
    };
    read.map_err(|error| CliError::Usage(format!("failed to read {}: {error}", shown(file))))
}

/// The arguments that a line gives to a job, if it does.
///
/// # Errors
/// Names the file, and the place in it that is no JSON.
pub(super) fn arguments(context: &CommandContext, said: &JobArgs) -> Result<Option<Args>, CliError> {
    match said.get() {
        None => Ok(None),
        Some(ArgsSource::Json(args)) => Ok(Some(args)),
        Some(ArgsSource::File(file)) => of_file(context, &file).map(Some),
    }
}

/// The arguments by which a line names jobs that exist; nothing: whatever their arguments are. Who gives none and does not say so
/// may mean all of them as well as those without any, and something is deleted.
///
/// # Errors
/// What to say, and as [`arguments`].
pub(super) fn naming(
    context: &CommandContext,
    verb: &str,
    task: &str,
    (said, any_args): (&JobArgs, bool),
) -> Result<Option<Args>, CliError> {
    match arguments(context, said)? {
        None if !any_args => {
            let typed = |args: &str| command(&format!("{verb} {args}"), &[task]);
            Err(CliError::Usage(format!(
                "which jobs of {task}? Name their arguments: {}; those without any: {}; all of them: {}",
                typed("--args '[...]'"),
                typed("--args '[]'"),
                if verb.starts_with("explain") { command("explain task", &[task]) } else { typed("--any-args") },
            )))
        }
        given => Ok(given),
    }
}

fn of_file(context: &CommandContext, file: &Path) -> Result<Args, CliError> {
    let bytes = bytes(context, file, bounded::ARGUMENTS)?;
    let usage = |why: String| CliError::Usage(format!("{}: {why}", shown(file)));
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let line = bytes.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count() + 1;
        usage(format!("expected UTF-8 text (line {line} is none)"))
    })?;
    // Editors of some systems write a byte order mark, which is no JSON.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Args::from_json(text).map_err(|error| usage(error.to_string()))
}

fn shown(file: &Path) -> String {
    if file == Path::new("-") { "stdin".to_owned() } else { file.display().to_string() }
}
