//! Many jobs at once, from JSON lines `{"task","args","queue","at"}`.
//!
//! All lines are checked before the first job is written: if any line is invalid, nothing is enqueued and
//! every problem is reported. Jobs are written in batches, so that a long file does not
//! block the store and does not cost one round trip per job.

use std::borrow::Cow;

use futures_util::stream::{self, StreamExt};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::enqueue::{Client, entry};
use super::enqueue_hooks::{self, EnqueueHooks};
use super::moment::{Moment, MomentError};
use super::request::{Request, RequestError, ResolvedJob};
use crate::job::Args;
use crate::plugin::hooks::{HookFailure, Refusal};
use crate::store::error::StoreError;
use crate::store::queueing::{EnqueueBatch, Enqueued, Schedule, ScheduleBatch, Scheduled, When};
use crate::task::definition::Registry;

/// The number of lines in one batch.
const BATCH: usize = 500;

/// What editors of Windows put before a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The number of jobs about which plugins are asked at the same time.
const MAX_CONCURRENT_ASKS: usize = 8;

/// A valid line.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BulkJob {
    /// The number of its line, from 1.
    pub line: usize,
    /// The job.
    pub job: ResolvedJob,
    /// When it is due; `None` means now.
    pub at: Option<Moment>,
}

/// An invalid line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
#[non_exhaustive]
pub struct BadLine {
    /// The number of the line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: LineProblem,
}

/// Why a line is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineProblem {
    /// The line is not a JSON object of the known members.
    #[error("{0}")]
    Syntax(String),
    /// Its time cannot be read.
    #[error("at: {0}")]
    Moment(#[from] MomentError),
    /// Its request is invalid.
    #[error(transparent)]
    Request(#[from] RequestError),
}

/// The outcome of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LineOutcome {
    /// The job is on its queue.
    Enqueued {
        /// The errors of plugins that failed after the job was written.
        complaints: Vec<HookFailure>,
    },
    /// A plugin refused it.
    Refused(Refusal),
    /// A plugin failed before the enqueue; nothing was written.
    Failed(HookFailure),
    /// The job is delayed until this second.
    Delayed(i64),
    /// A job of the same bytes was due at this second already.
    Duplicate(i64),
}

/// The outcome of all lines.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct BulkReport {
    /// (line, outcome) of every line whose outcome is known, in order.
    pub outcomes: Vec<(usize, LineOutcome)>,
    /// Set if the store failed. Later lines were not sent.
    pub failure: Option<BulkFailure>,
}

/// How the store failed, and at which batch of lines.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BulkFailure {
    /// The store's words.
    pub error: StoreError,
    /// The first line of the batch.
    pub first: usize,
    /// The last line of the batch.
    pub last: usize,
    /// The lines of the batch without an outcome were not written. Else that is unknown.
    pub changed_nothing: bool,
}

/// Reads and checks all lines; blank lines and a byte order mark before the first are skipped.
///
/// # Errors
/// Every invalid line.
pub fn read(text: &[u8], foreign: bool, registry: &Registry) -> Result<Vec<BulkJob>, Vec<BadLine>> {
    let (mut jobs, mut bad) = (Vec::new(), Vec::new());
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    for (index, raw) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = index + 1;
        if raw.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match read_line(raw, foreign, registry) {
            Ok((job, at)) => jobs.push(BulkJob { line, job, at }),
            Err(problem) => bad.push(BadLine { line, problem }),
        }
    }
    if bad.is_empty() { Ok(jobs) } else { Err(bad) }
}

fn read_line(raw: &[u8], foreign: bool, registry: &Registry) -> Result<(ResolvedJob, Option<Moment>), LineProblem> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct BulkLine<'a> {
        #[serde(borrow)]
        task: Cow<'a, str>,
        // `null` is one argument, as in `--args null`.
        #[serde(borrow, default, deserialize_with = "given")]
        args: Option<&'a RawValue>,
        #[serde(borrow, default)]
        queue: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        at: Option<&'a RawValue>,
    }
    let text = std::str::from_utf8(raw).map_err(|error| LineProblem::Syntax(format!("not UTF-8: {error}")))?;
    // Serde would accept an array as well, by position.
    if !text.trim_start().starts_with('{') {
        return Err(LineProblem::Syntax("expected an object {\"task\",\"args\",\"queue\",\"at\"}".to_owned()));
    }
    let line: BulkLine<'_> = serde_json::from_str(text.trim_end()).map_err(|error| {
        // The parser sees one line only, so its line number is always 1.
        LineProblem::Syntax(error.to_string().replace(" at line 1 column ", " at column "))
    })?;
    let args = line.args.map(|args| Args::from_json(args.get())).transpose().map_err(RequestError::from)?;
    let at = line.at.map(|at| {
        let text = serde_json::from_str::<String>(at.get());
        Moment::parse(text.as_deref().unwrap_or_else(|_| at.get()))
    });
    let request = Request { task: line.task.into_owned(), args, queue: line.queue.map(Cow::into_owned), foreign };
    Ok((request.resolve(registry)?, at.transpose()?))
}

/// A member that is present, even if it is `null`.
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl Client {
    /// Writes all jobs, in order and in batches; stops at the first failure of the store.
    pub async fn enqueue_bulk(&self, jobs: &[BulkJob], front: bool) -> BulkReport {
        let mut report = BulkReport::default();
        for batch in jobs.chunks(BATCH) {
            let mut outcomes = Vec::with_capacity(batch.len());
            let written = self.write(batch, front, &mut outcomes).await;
            // Also after a failure: the jobs for now may be on their queues when those for later are refused.
            outcomes.sort_unstable_by_key(|(line, _)| *line);
            report.outcomes.append(&mut outcomes);
            if let Err(error) = written {
                let line = |job: Option<&BulkJob>| job.map_or(0, |job| job.line);
                let (first, last) = (line(batch.first()), line(batch.last()));
                let changed_nothing = self.changed_nothing(&error);
                report.failure = Some(BulkFailure { error: self.told(error), first, last, changed_nothing });
                break;
            }
        }
        report
    }

    /// Writes a batch, and notes the outcomes that are known.
    async fn write(
        &self,
        batch: &[BulkJob],
        front: bool,
        outcomes: &mut Vec<(usize, LineOutcome)>,
    ) -> Result<(), StoreError> {
        // No closure lives on while others are waited for: with one, only the present thread could go on with this.
        let asks: Vec<_> = batch.iter().filter(|job| job.at.is_none()).map(|job| self.ask(job)).collect();
        let later: Vec<_> = batch.iter().filter_map(|job| job.at.map(|at| (job, at))).collect();
        let asked: Vec<_> = stream::iter(asks).buffered(MAX_CONCURRENT_ASKS).collect().await;
        let mut granted = Vec::with_capacity(asked.len());
        for (job, answer) in asked {
            match answer {
                Ok(hooks) => granted.push((job, hooks)),
                Err(outcome) => outcomes.push((job.line, outcome)),
            }
        }
        if !granted.is_empty() {
            let entries: Vec<_> = granted.iter().map(|(job, _)| entry(&job.job, front)).collect();
            let replies = self.store.run(EnqueueBatch { jobs: entries }).await?;
            let granted = granted.into_iter().zip(replies);
            let told: Vec<_> = granted.map(|((job, hooks), reply)| tell(job.line, hooks, reply)).collect();
            outcomes.append(&mut stream::iter(told).buffered(MAX_CONCURRENT_ASKS).collect().await);
        }
        if !later.is_empty() {
            let entries: Vec<_> = later
                .iter()
                .map(|(job, at)| Schedule { payload: job.job.payload.clone(), when: When::At(at.second()) })
                .collect();
            let replies = self.store.run(ScheduleBatch { jobs: entries, mark: None, known: None }).await?;
            outcomes.extend(later.iter().zip(replies).map(|((job, at), reply)| match reply {
                Scheduled::At(second) => (job.line, LineOutcome::Delayed(second)),
                Scheduled::Duplicate(second) => (job.line, LineOutcome::Duplicate(second)),
                // Lines have no marks.
                Scheduled::Marked => (job.line, LineOutcome::Duplicate(at.second())),
            }));
        }
        Ok(())
    }

    /// Runs the hooks before the enqueue. Returns the hooks to run after it, or the outcome of the line.
    async fn ask<'j>(&self, job: &'j BulkJob) -> (&'j BulkJob, Result<Option<EnqueueHooks>, LineOutcome>) {
        let answer = async {
            let Some(hooks) = enqueue_hooks::of(&job.job, &self.plugins)? else { return Ok(Ok(None)) };
            Ok(match hooks.before().await? {
                Some(refusal) => Err(LineOutcome::Refused(refusal)),
                None => Ok(Some(hooks)),
            })
        };
        (job, answer.await.unwrap_or_else(|failed| Err(LineOutcome::Failed(failed))))
    }
}

/// Runs the hooks after the enqueue, if the job was written.
async fn tell(line: usize, hooks: Option<EnqueueHooks>, reply: Enqueued) -> (usize, LineOutcome) {
    let outcome = match (reply, hooks) {
        (Enqueued::Refused { plugin }, _) => LineOutcome::Refused(enqueue_hooks::refused_by_rule(plugin)),
        (Enqueued::Yes, Some(hooks)) => LineOutcome::Enqueued { complaints: hooks.after().await },
        (Enqueued::Yes, None) => LineOutcome::Enqueued { complaints: Vec::new() },
    };
    (line, outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::enqueue::tests::registry;

    fn lines(text: &str) -> Result<Vec<BulkJob>, Vec<String>> {
        read(text.as_bytes(), false, &registry()).map_err(|bad| bad.into_iter().map(|line| line.to_string()).collect())
    }

    #[test]
    fn lines_become_jobs_and_blank_ones_nothing() {
        let text = "{\"task\":\"add\",\"args\":[1,2]}\r\n\n{\"task\":\"add\",\"args\":{\"x\":1.0},\"queue\":\"q\",\"at\":1999999999500}\n{\"task\":\"add\",\"at\":\"@5\"}\n{\"task\":\"add\",\"args\":null}";
        let jobs = lines(text).unwrap();
        let payloads: Vec<_> = jobs.iter().map(|job| std::str::from_utf8(&job.job.payload).unwrap()).collect();
        assert_eq!(
            payloads,
            [
                r#"{"class":"add","queue":"math","args":[1,2]}"#,
                r#"{"class":"add","queue":"q","args":[{"x":1}]}"#,
                r#"{"class":"add","queue":"math","args":[]}"#,
                r#"{"class":"add","queue":"math","args":[null]}"#
            ]
        );
        let when: Vec<_> = jobs.iter().map(|job| (job.line, job.at.map(Moment::second))).collect();
        assert_eq!(when, [(1, None), (3, Some(2_000_000_000)), (4, Some(5)), (5, None)]);
    }

    #[test]
    fn a_byte_order_mark_before_the_first_line_is_skipped() {
        let jobs = lines("\u{feff}{\"task\":\"add\"}\n{\"task\":\"add\"}\n").unwrap();
        assert_eq!(jobs.iter().map(|job| job.line).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(lines("\u{feff}\n").unwrap().len(), 0);
        assert!(lines("{\"task\":\"add\"}\n\u{feff}{\"task\":\"add\"}").is_err(), "it stands at the beginning only");
    }

    #[test]
    fn every_bad_line_is_told_with_its_number() {
        let text = "{\"task\":\"add\"}\n{bad\n{\"task\":\"ad\"}\n{\"task\":\"add\",\"arg\":[]}\n{\"args\":[]}\n{\"task\":\"add\",\"at\":\"noon\"}\n[1]\n{\"task\":\"hourly\",\"args\":[1]}";
        let bad = lines(text).unwrap_err();
        let starts = [
            "line 2: key must be a string at column 2",
            "line 3: no task is called \"ad\" (did you mean \"add\"?)",
            "line 4: unknown field `arg`, expected one of `task`, `args`, `queue`, `at`",
            "line 5: missing field `task`",
            "line 6: at: \"noon\" is no time",
            "line 7: expected an object {\"task\"",
            "line 8: task \"hourly\" is periodic",
        ];
        assert_eq!(bad.len(), starts.len(), "{bad:#?}");
        for (line, start) in bad.iter().zip(starts) {
            assert!(line.starts_with(start), "{line}");
        }
    }
}
