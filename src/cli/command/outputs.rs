//! `jobs output`: lists and prints the outputs that `output = "file"` keeps on this machine; what is not here is asked of the
//! instance that has the run ([`watching`](super::watching)).

use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use serde::Serialize;

use super::watching;
use crate::cli::args::JobsOutputArgs;
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{Text, warn};
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
    let Some(id) = &args.id else { return list(context, path, &runs, args.limit) };
    let name = safe(id);
    let found: Vec<&KeptRun> = runs.iter().filter(|run| run.id == name).collect();
    let wanted: Vec<&KeptRun> = match &args.claim {
        Some(claim) => found.into_iter().filter(|run| run.claim == safe(claim)).collect(),
        None => found,
    };
    let mut said = None;
    if args.follow || wanted.is_empty() {
        said = watching::run(context, args, id, !wanted.is_empty()).await?;
    }
    if let Some(exit) = said {
        return Ok(exit);
    }
    let (Some(folder), Some(newest)) = (&folder, wanted.first()) else {
        return Err(CliError::Failed(format!(
            "no output of {id} is kept in {}, it does not run, and nothing of it is on the failed list or among runs that are \
             kept: its task has no output = \"file\", it ran on another machine, it wrote nothing, or what it wrote was too old \
             or too much ([output])",
            path.display()
        )));
    };
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
        return Ok(Exit::Done);
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
    Ok(Exit::Done)
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

fn list(context: &CommandContext, path: &Path, runs: &[KeptRun], limit: usize) -> Result<Exit, CliError> {
    let output = Listing {
        folder: path.display().to_string(),
        runs: runs.iter().take(limit).map(|run| KeptOutputView::of(path, run)).collect(),
        more: runs.len() > limit,
    };
    let manner = context.printer.manner();
    context.printer.print(&output, || {
        if output.runs.is_empty() && !output.more {
            return Text::from(format!("no output is kept in {}", output.folder));
        }
        let mut table = TextTable::new(&["written", "#bytes", "claim", manner.word("job", "id")])
            .uncut(&["written"])
            .falling_away(&["bytes", "claim"]);
        for run in &output.runs {
            let written = manner.moment(run.written_ms, || run.written.clone());
            table.row_with_last([&written, &run.bytes.to_string(), &run.claim], &run.id);
        }
        table.text(manner).and(if output.more { "there are more: use jobs output --limit N" } else { "" })
    })?;
    Ok(Exit::Done)
}
