//! Many jobs in one request: a JSON line each in, a JSON line each out, as they go.
//!
//! ```text
//!   body --> whole lines --> a batch: what has come, at most 500 --> one step of the store --> an answer a line
//! ```
//!
//! Neither side is held whole. A line that is wrong says so in its answer and keeps no other from being enqueued; a store that
//! fails ends the request. The last line counts them all: an answer without it was cut.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::admission;
use super::body::expect;
use super::bulk_flow::{Answers, Ended, Parts};
use super::once;
use super::query::Query;
use crate::client::bulk::{self, BulkFailure, BulkJob, LineOutcome, LineProblem};
use crate::client::enqueue::{Client, ClientError};
use crate::client::moment::Moment;
use crate::http::guard::caller::Caller;
use crate::http::problem::{Kind, Problem, ProblemView};
use crate::http::site::Site;
use crate::http::slots::Slot;
use crate::plugin::hooks::Refusal;
use crate::task::definition::Registry;

/// The longest line.
const LONGEST_LINE: usize = 1 << 20;
/// How long a line may take to come, once it has begun: as long as the body of a request for one job.
const LINE: Duration = super::body::LIMIT;
/// How many lines are enqueued together.
const BATCH: usize = 500;
/// How long answers are still written when the time of the request is over.
const GRACE: Duration = Duration::from_secs(60);

const TYPES: [&str; 3] = ["application/x-ndjson", "application/jsonl", "application/json"];

/// The answer to a line.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(in crate::http) struct LineView {
    /// The number of the line, from 1.
    line: usize,
    /// Is the job on its queue, or delayed? `null`: nobody knows.
    enqueued: Option<bool>,
    /// When it is due: RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    /// The same in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<i64>,
    /// The plugin that refused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused_by: Option<String>,
    /// The reason, if the plugin gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Was an equal job due at this second already? Left out if not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    duplicate: bool,
    /// Plugins that failed when the job was on its queue already.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    after_enqueue_errors: Vec<String>,
    /// Why it was not enqueued.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<ProblemView>,
}

/// The last line.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(in crate::http) struct EndView {
    /// Always: an answer without this line was cut.
    end: bool,
    /// How many lines were answered.
    lines: usize,
    /// How many jobs are on their queues.
    enqueued: usize,
    /// How many are delayed.
    delayed: usize,
    /// How many a plugin refused.
    refused: usize,
    /// How many were due at their seconds already.
    duplicates: usize,
    /// Lines that were wrong, or whose plugins failed.
    failed: usize,
    /// Why it ended before the body did.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<ProblemView>,
}

/// `POST /jobs/bulk`.
pub(in crate::http) async fn enqueue(
    State(site): State<Site>,
    Extension(slot): Extension<Arc<Slot>>,
    Extension(caller): Extension<Caller>,
    query: Query,
    request: Request,
) -> Result<Response, Problem> {
    let query = query.only(&["front", "foreign"])?;
    let (front, foreign) = (query.flag("front")?, query.flag("foreign")?);
    once::none(request.headers())?;
    expect(request.headers(), &TYPES)?;
    let work = Bulk {
        client: site.client()?,
        registry: Arc::clone(&site.content().registry),
        site: site.clone(),
        caller,
        front,
        foreign,
        slot,
        end: EndView { end: true, ..EndView::default() },
        line: 0,
    };
    let (answers, mut answered) = Answers::channel();
    // Who reads slowly holds its connection a little longer than the request's time, and misses the last line then.
    let late = answers.until() + GRACE;
    let body = request.into_body().into_data_stream();
    // Plugins run there, and what was begun is ended if the client leaves.
    site.handlers.spawn(work.run(body, answers));
    let lines = futures_util::stream::poll_fn(move |cx| {
        if Instant::now() >= late {
            return Poll::Ready(None);
        }
        answered.poll_recv(cx).map(|part| part.map(|(part, _room)| Ok::<_, std::io::Error>(part)))
    });
    let kind = [(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"))];
    Ok((kind, Body::from_stream(lines)).into_response())
}

/// A request that is worked on.
struct Bulk {
    client: Client,
    registry: Arc<Registry>,
    site: Site,
    caller: Caller,
    front: bool,
    foreign: bool,
    slot: Arc<Slot>,
    end: EndView,
    /// The number of the last line that was read.
    line: usize,
}

impl Bulk {
    async fn run(mut self, body: impl Stream<Item = Result<Bytes, axum::Error>> + Unpin, answers: Answers) {
        let (mut held, mut parts): (Vec<u8>, _) = (Vec::new(), Parts::of(body, answers.until()));
        let mut begun = Instant::now();
        let ended = loop {
            let part = match parts.next().await {
                Ok(Some(part)) => part,
                Ok(None) => break None,
                Err(problem) => break Some(problem),
            };
            self.slot.patience.goes_on();
            if held.is_empty() {
                begun = Instant::now();
            }
            // Only what is new is looked through: a line may come byte by byte.
            let end = part.iter().rposition(|byte| *byte == b'\n').map(|at| held.len() + at);
            held.extend_from_slice(&part);
            let Some(end) = end else {
                if held.len() > LONGEST_LINE {
                    break Some(Problem::new(Kind::TooLarge, format!("line {} is longer than 1 MiB", self.line + 1)));
                }
                if begun.elapsed() > LINE {
                    let detail = format!("line {} did not come within {} s", self.line + 1, LINE.as_secs());
                    break Some(Problem::new(Kind::TooSlow, detail));
                }
                continue;
            };
            begun = Instant::now();
            let rest = held.split_off(end + 1);
            let whole = std::mem::replace(&mut held, rest);
            if self.lines(whole.strip_suffix(b"\n").unwrap_or(&whole), &answers).await.is_err() {
                return self.finish(None, &answers).await;
            }
        };
        // The last line needs no end. After a problem it may be cut.
        if ended.is_none() && !held.is_empty() && self.lines(&held, &answers).await.is_err() {
            return self.finish(None, &answers).await;
        }
        self.finish(ended, &answers).await;
    }

    async fn finish(mut self, problem: Option<Problem>, answers: &Answers) {
        if let Some(problem) = problem {
            self.end.problem = Some(problem.view());
        }
        // A client that has left needs no answer.
        let _ = answers.send(Bytes::from(line_of(&self.end))).await;
    }

    /// Enqueues these lines, and answers each.
    async fn lines(&mut self, text: &[u8], answers: &Answers) -> Result<(), Ended> {
        let mut lines = text.split(|byte| *byte == b'\n').peekable();
        while lines.peek().is_some() {
            let (mut jobs, mut views) = (Vec::new(), Vec::new());
            for raw in lines.by_ref().take(BATCH) {
                self.line += 1;
                let mut job = read(raw, self.line, self.foreign, &self.registry);
                if let Ok(Some(one)) = &job {
                    let admitted = admission::admit(&self.site, self.caller, &one.job.queue, "/queue").await;
                    if let Err(problem) = admitted {
                        job = Err(problem);
                    }
                }
                match job {
                    Ok(job) => jobs.extend(job),
                    Err(problem) => {
                        self.end.failed += 1;
                        views.push(LineView {
                            line: self.line,
                            enqueued: Some(false),
                            problem: Some(problem.view()),
                            ..LineView::default()
                        });
                    }
                }
            }
            let failed = self.write(&jobs, &mut views).await;
            views.sort_by_key(|view| view.line);
            self.end.lines += views.len();
            let part: Vec<u8> = views.iter().flat_map(line_of).collect();
            if answers.send(Bytes::from(part)).await.is_err() || failed {
                return Err(Ended);
            }
        }
        Ok(())
    }

    /// Enqueues a batch; true if the store failed.
    async fn write(&mut self, jobs: &[BulkJob], views: &mut Vec<LineView>) -> bool {
        if jobs.is_empty() {
            return false;
        }
        let report = self.client.enqueue_bulk(jobs, self.front).await;
        let told: Vec<usize> = report.outcomes.iter().map(|(line, _)| *line).collect();
        views.extend(report.outcomes.into_iter().map(|(line, outcome)| self.view(line, outcome)));
        let Some(BulkFailure { error, changed_nothing, .. }) = report.failure else { return false };
        let problem = if changed_nothing { ClientError::Store(error) } else { ClientError::Unknown(error) };
        let problem = Problem::from(problem);
        // A batch of 500 jobs: looking through it is cheap.
        for job in jobs.iter().filter(|job| !told.contains(&job.line)) {
            self.end.failed += 1;
            let enqueued = changed_nothing.then_some(false);
            views.push(LineView { line: job.line, enqueued, problem: Some(problem.view()), ..LineView::default() });
        }
        self.end.problem = Some(problem.view());
        true
    }

    fn view(&mut self, line: usize, outcome: LineOutcome) -> LineView {
        let bare = LineView { line, enqueued: Some(true), ..LineView::default() };
        let due = |second: i64| {
            let at = Moment::of_second(second);
            (Some(at.rfc3339()), Some(at.ms()))
        };
        match outcome {
            LineOutcome::Enqueued { complaints } => {
                self.end.enqueued += 1;
                LineView { after_enqueue_errors: complaints.iter().map(ToString::to_string).collect(), ..bare }
            }
            LineOutcome::Delayed(second) => {
                self.end.delayed += 1;
                let (at, ms) = due(second);
                LineView { at, ms, ..bare }
            }
            LineOutcome::Duplicate(second) => {
                self.end.duplicates += 1;
                let (at, ms) = due(second);
                LineView { enqueued: Some(false), duplicate: true, at, ms, ..bare }
            }
            LineOutcome::Refused(Refusal { plugin, reason }) => {
                self.end.refused += 1;
                LineView { enqueued: Some(false), refused_by: Some(plugin.to_string()), reason, ..bare }
            }
            LineOutcome::Failed(failure) => {
                self.end.failed += 1;
                let problem = Problem::from(ClientError::Plugin(failure));
                LineView { enqueued: Some(false), problem: Some(problem.view()), ..bare }
            }
        }
    }
}

/// The job of a line; none of a blank one.
fn read(raw: &[u8], number: usize, foreign: bool, registry: &Registry) -> Result<Option<BulkJob>, Problem> {
    match bulk::read(raw, foreign, registry) {
        Ok(mut jobs) => {
            let mut job = jobs.pop();
            job.iter_mut().for_each(|job| job.line = number);
            Ok(job)
        }
        Err(bad) => {
            let problem = bad.into_iter().next().map(|bad| bad.problem);
            let problem = problem.map_or_else(|| Problem::new(Kind::Malformed, "the line cannot be read"), of_line);
            let line: Option<ArgsOfLine<'_>> = serde_json::from_slice(raw).ok();
            Err(problem.of_args("/args", line.and_then(|line| line.args).map(RawValue::get)))
        }
    }
}

/// What the pointers of a problem depend on.
#[derive(Deserialize)]
struct ArgsOfLine<'l> {
    #[serde(borrow)]
    args: Option<&'l RawValue>,
}

fn of_line(problem: LineProblem) -> Problem {
    match problem {
        LineProblem::Request(error) => error.into(),
        LineProblem::Moment(error) => {
            Problem::new(Kind::Malformed, format!("at: {error}")).wrong("/at", "a time", "something else")
        }
        LineProblem::Syntax(text) => Problem::new(Kind::Malformed, text),
    }
}

/// A line of the answer.
fn line_of(view: &impl Serialize) -> Vec<u8> {
    // Texts and numbers always become JSON.
    let mut line = serde_json::to_vec(view).unwrap_or_default();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::enqueue::tests::registry;

    #[test]
    fn names_of_requests_are_cut_in_every_part_of_a_problem() {
        let long = "x".repeat(1 << 20);
        let problem = Problem::new(Kind::UnknownTask, format!("no task {long:?}"))
            .wrong(&*long, &*long, &*long)
            .because(&long)
            .did_you_mean(Some(long.clone()));
        let text = problem.text("");
        assert!(text.len() < 12_000 && text.contains("... (1048576 bytes)"), "{}", text.len());
        assert!(!text.contains("did_you_mean"));
    }

    #[test]
    fn a_line_has_its_own_number_and_its_own_problem() {
        let registry = registry();
        let job = read(b"{\"task\":\"add\",\"args\":[1]}\r", 7, false, &registry).unwrap().unwrap();
        assert_eq!((job.line, &job.job.payload[..]), (7, &br#"{"class":"add","queue":"math","args":[1]}"#[..]));
        assert!(read(b"  ", 2, false, &registry).unwrap().is_none());
        assert!(read(b"\xef\xbb\xbf{\"task\":\"add\"}", 1, false, &registry).unwrap().is_some());
        for (line, status, word) in [
            (&b"{bad"[..], 400, "malformed"),
            (b"\xff", 400, "malformed"),
            (b"{\"task\":\"ad\"}", 404, "unknown-task"),
            (b"{\"task\":\"add\",\"at\":\"noon\"}", 400, "malformed"),
            (b"{\"task\":\"hourly\",\"args\":[1]}", 422, "invalid-inputs"),
        ] {
            let problem = read(line, 3, false, &registry).unwrap_err();
            assert!(problem.status() == status && problem.text("").contains(word), "{problem:?}");
        }
    }
}
