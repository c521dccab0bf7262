//! `jobs output`: lists and prints the outputs that `output = "file"` keeps on this machine; what is not here is asked of the
//! instance that has the run ([`watching`](super::watching)).

use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use bytesize::ByteSize;
use serde::Serialize;

use super::watching;
use crate::admin::job_ids;
use crate::admin::run_states::{self, RunState};
use crate::cli::args::JobsOutputArgs;
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{Text, Tone, warn};
use crate::cli::table::TextTable;
use crate::config::model::OutputConfig;
use crate::handler::kept_output::folder::{KeptRun, OutputFolder, safe};
use crate::job::failure::iso_date;

/// How many bytes are printed at once.
const CHUNK: usize = 64 << 10;

/// How many bytes of an output JSON holds.
const JSON_BYTES: u64 = 4 << 20;

#[derive(Debug, Serialize)]
struct Listing {
    folder: String,
    runs: Vec<KeptOutputView>,
    /// Are there more?
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    more: bool,
}

#[derive(Debug, Serialize)]
struct KeptOutputView {
    id: String,
    claim: String,
    /// The task, as far as it is known.
    task: Option<String>,
    /// `running`, how it ended, or `ended`; left out if it was not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    bytes: u64,
    written: String,
    written_ms: i64,
    /// Is the beginning missing, because the run wrote more than is kept?
    cut: bool,
    /// The files, oldest first.
    files: Vec<String>,
    /// What stands in them, if one job was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    /// How many bytes at its beginning are left out there.
    #[serde(skip_serializing_if = "is_zero")]
    left_out: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl KeptOutputView {
    fn of(folder: &Path, run: &KeptRun) -> Self {
        Self {
            id: run.id.clone(),
            claim: run.claim.clone(),
            task: run.task.clone(),
            state: None,
            bytes: run.bytes,
            written: iso_date(run.written_ms),
            written_ms: run.written_ms,
            cut: run.is_cut(),
            files: run.files.iter().map(|name| folder.join(name).display().to_string()).collect(),
            output: None,
            left_out: 0,
        }
    }
}

/// Lists what is kept, or prints what a job wrote or writes.
///
/// # Errors
/// Jobs of which nothing is kept, files that cannot be read.
pub(crate) async fn run(context: &CommandContext, args: &JobsOutputArgs) -> Result<Exit, CliError> {
    let OutputConfig { folder: path, .. } = &context.config()?.config.output;
    let failed = |error: std::io::Error| CliError::Failed(format!("{} cannot be read: {error}", path.display()));
    let folder = OutputFolder::open(path).map_err(failed)?;
    let runs = match &folder {
        Some(folder) => folder.runs().map_err(failed)?,
        None => Vec::new(),
    };
    let Some(id) = &args.id else { return list(context, path, &runs, args.limit).await };
    if let Some(exit) = of_job(context, args, id, (folder.as_ref(), &runs)).await? {
        return Ok(exit);
    }
    let known = runs.iter().map(|run| (run.id.clone(), run.claim.clone()));
    let meant = job_ids::whole(&context.store().await?, id, known).await?.filter(|meant| meant != id);
    if let Some(meant) = meant
        && let Some(exit) = of_job(context, args, &meant, (folder.as_ref(), &runs)).await?
    {
        return Ok(exit);
    }
    Err(CliError::Failed(format!(
        "no output of {id} is kept in {}, it does not run, and nothing of it is on the failed list or among runs that are \
         kept: its task has no output = \"file\", it ran on another machine, it wrote nothing, or what it wrote was too old \
         or too much ([output])",
        path.display()
    )))
}

/// Prints what the job of this id wrote or writes; nothing if nothing is known of it.
async fn of_job(
    context: &CommandContext,
    args: &JobsOutputArgs,
    id: &str,
    (folder, runs): (Option<&OutputFolder>, &[KeptRun]),
) -> Result<Option<Exit>, CliError> {
    let OutputConfig { folder: path, .. } = &context.config()?.config.output;
    let failed = |error: std::io::Error| CliError::Failed(format!("{} cannot be read: {error}", path.display()));
    let name = safe(id);
    let found = runs.iter().filter(|run| run.id == name || run.claim == name);
    let wanted: Vec<&KeptRun> = match &args.claim {
        Some(claim) => found.filter(|run| run.claim == safe(claim)).collect(),
        None => found.collect(),
    };
    if (args.follow || wanted.is_empty())
        && let Some(exit) = watching::run(context, args, id, !wanted.is_empty()).await?
    {
        return Ok(Some(exit));
    }
    let (Some(folder), Some(newest)) = (folder, wanted.first()) else { return Ok(None) };
    if context.printer.is_json() {
        let mut view = KeptOutputView::of(path, newest);
        let (bytes, left_out) = end_of(folder, newest).map_err(failed)?;
        if left_out > 0 {
            warn(&format!(
                "the first {left_out} bytes are left out, because JSON is held whole; without --json all of it is printed"
            ));
        }
        view.output = Some(String::from_utf8_lossy(&bytes).into_owned());
        view.left_out = left_out;
        context.printer.print(&view, String::new)?;
        return ended(context, args, id).await.map(Some);
    }
    if wanted.len() > 1 {
        let others: Vec<&str> = wanted.iter().skip(1).map(|run| run.claim.as_str()).collect();
        warn(&format!("this is run {}; there are others: --claim {}", newest.claim, others.join(", ")));
    }
    if newest.is_cut() {
        warn("the beginning is missing: the run wrote more than is kept ([output] run)");
    }
    for name in &newest.files {
        print(context, folder, name, &failed)?;
    }
    ended(context, args, id).await.map(Some)
}

/// The exit code of a job whose file was printed: who follows it asks how it has ended.
async fn ended(context: &CommandContext, args: &JobsOutputArgs, id: &str) -> Result<Exit, CliError> {
    if args.follow { watching::ended(context, args, id).await } else { Ok(Exit::Done) }
}

/// The end of what a run wrote, and how many bytes stand before it.
fn end_of(folder: &OutputFolder, run: &KeptRun) -> std::io::Result<(Vec<u8>, u64)> {
    let left_out = run.bytes.saturating_sub(JSON_BYTES);
    let (mut bytes, mut passed) = (Vec::new(), left_out);
    for name in &run.files {
        let mut file = folder.read(name)?;
        let skipped = passed.min(file.metadata()?.len());
        file.seek(SeekFrom::Start(skipped))?;
        passed -= skipped;
        // The run may still write.
        let room = JSON_BYTES.saturating_sub(bytes.len() as u64);
        file.take(room).read_to_end(&mut bytes)?;
    }
    Ok((bytes, left_out))
}

/// Prints a file line by line: what a job wrote must not reach a terminal raw.
fn print(
    context: &CommandContext,
    folder: &OutputFolder,
    name: &str,
    failed: &impl Fn(std::io::Error) -> CliError,
) -> Result<(), CliError> {
    let mut lines = BufReader::new(folder.read(name).map_err(failed)?);
    let (mut text, mut held, mut line) = (Text::default(), 0, Vec::new());
    loop {
        line.clear();
        let read = (&mut lines).take(CHUNK as u64).read_until(b'\n', &mut line).map_err(failed)?;
        held += read;
        if read > 0 {
            text.push(String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(&line)));
        }
        if read == 0 || held >= CHUNK {
            let full = std::mem::take(&mut text);
            context.printer.print(&(), || full)?;
            held = 0;
        }
        if read == 0 {
            return Ok(());
        }
    }
}

async fn list(context: &CommandContext, path: &Path, runs: &[KeptRun], limit: usize) -> Result<Exit, CliError> {
    let shown = &runs[..runs.len().min(limit)];
    let mut views: Vec<KeptOutputView> = shown.iter().map(|run| KeptOutputView::of(path, run)).collect();
    if !shown.is_empty() {
        // The files are here, whether or not their store is.
        match states(context, shown).await {
            Ok(states) => views.iter_mut().zip(states).for_each(|(view, RunState { state, task })| {
                view.state = Some(state);
                view.task = task.or(view.task.take());
            }),
            Err(error) => warn(&format!("how the runs ended is not known: {error}")),
        }
    }
    let output = Listing { folder: path.display().to_string(), runs: views, more: runs.len() > limit };
    let manner = context.printer.manner();
    context.printer.print(&output, || {
        if output.runs.is_empty() && !output.more {
            return Text::from(format!("no output is kept in {}", output.folder));
        }
        let size = manner.word("#size", "#bytes");
        let headings = ["written", size, "claim", "task", "state", manner.word("job", "id")];
        let mut table =
            TextTable::new(&headings).uncut(&["written", "state"]).falling_away(&["claim", "size", "state"]);
        for run in &output.runs {
            let written = manner.moment(run.written_ms, || run.written.clone());
            let size = match manner.terminal {
                Some(_) => ByteSize::b(run.bytes).display().si().to_string(),
                None => run.bytes.to_string(),
            };
            let (task, state) = (run.task.as_deref().unwrap_or("-"), run.state.as_deref().unwrap_or("-"));
            table.row_with_last([&written, &size, &run.claim, task, state], &run.id);
            table.tone(if ["failed", "cut_off"].contains(&state) { Tone::Wrong } else { Tone::Plain });
        }
        table.text(manner).and(if output.more { "there are more: use jobs output --limit N" } else { "" })
    })?;
    Ok(Exit::Done)
}

async fn states(context: &CommandContext, runs: &[KeptRun]) -> Result<Vec<RunState>, CliError> {
    let named: Vec<(&str, &str)> = runs.iter().map(|run| (run.id.as_str(), run.claim.as_str())).collect();
    Ok(run_states::states(&context.store().await?, &context.tasks()?.registry, &named).await?)
}
