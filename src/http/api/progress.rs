//! How far a run is that a server performs: `PUT /jobs/{id}/progress`.

use axum::extract::State;
use axum::response::IntoResponse;
use serde::Serialize;

use super::body::{JsonBody, Members, wrong};
use super::list::Json;
use super::path::Name;
use super::query::Query;
use crate::admin::running::{self, Which};
use crate::http::problem::{Kind, Problem};
use crate::http::site::Site;
use crate::http::telling::Next;
use crate::job::shown_run::LONGEST_MESSAGE;
use crate::job::{ClaimToken, Progress, WorkerName};
use crate::store::wishes::{ProgressTold, TellProgress};

/// The longest claim; ours are shorter.
const LONGEST_CLAIM: usize = 128;

/// What was told.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(in crate::http) struct ProgressAnswer {
    /// The job's id.
    id: String,
    /// The claim of the run.
    claim: String,
    /// What is shown of it from now on.
    progress: Progress,
}

/// `PUT /jobs/{id}/progress`.
pub(in crate::http) async fn tell(
    State(site): State<Site>,
    Name(id): Name,
    query: Query,
    body: JsonBody,
) -> Result<impl IntoResponse, Problem> {
    query.only(&[])?;
    let (claim, progress) = read(body.members()?)?;
    let progress = Progress { at_ms: site.clock.now_ms(), ..progress };
    let worker = match site.telling.tells(&id, &claim, &progress) {
        Next::Tell(worker) => worker,
        Next::Waits => return Ok(answer(id, &claim, progress)),
        Next::Later(at) => {
            let (later, of) = (site.clone(), claim.clone());
            // Its failure is told to the one who tells the next one.
            drop(site.handlers.spawn(async move {
                tokio::time::sleep_until(at).await;
                if let Some((worker, progress)) = later.telling.take(&of) {
                    drop(leave(&later, worker, &of, progress).await);
                }
            }));
            return Ok(answer(id, &claim, progress));
        }
        Next::Other => return Err(over(&id, &claim)),
        Next::Unknown => {
            let worker = find(&site, &id, &claim).await?;
            site.telling.know(&id, &claim, worker.clone());
            worker
        }
    };
    match leave(&site, worker, &claim, progress.clone()).await? {
        ProgressTold::Left => Ok(answer(id, &claim, progress)),
        ProgressTold::Full => {
            let detail = "so many runs of this instance tell how far they are that this one finds no room; it goes on all the same";
            Err(Problem::new(Kind::StoreFull, detail).retry_after_s(10))
        }
        _ => Err(over(&id, &claim)),
    }
}

fn answer(id: String, claim: &ClaimToken, progress: Progress) -> impl IntoResponse + use<> {
    Json(ProgressAnswer { id, claim: claim.to_string(), progress })
}

/// Leaves it for the instance of the run. A run that is over is forgotten.
async fn leave(
    site: &Site,
    worker: WorkerName,
    claim: &ClaimToken,
    progress: Progress,
) -> Result<ProgressTold, Problem> {
    let told = site.admin()?.run(TellProgress { worker, claim: claim.clone(), progress }).await?;
    if told == ProgressTold::Over {
        site.telling.forget(claim);
    }
    Ok(told)
}

/// The worker that has this run of this job.
async fn find(site: &Site, id: &str, claim: &ClaimToken) -> Result<WorkerName, Problem> {
    let (runs, _) = running::find(&site.admin()?, Which::Ids(&[claim.to_string()]), 1).await?;
    let of_it = |run: &&running::Run| run.claim() == Some(claim) && run.view().id.as_deref() == Some(id);
    runs.iter().find(of_it).map(|run| run.worker().clone()).ok_or_else(|| over(id, claim))
}

fn over(id: &str, claim: &ClaimToken) -> Problem {
    let detail = format!(
        "no run of job {id:?} has the claim {claim}: it has ended, or was cut off and the job was given out again; anyone who performs \
         it should stop"
    );
    Problem::new(Kind::NotFound, detail).command("windlass jobs list")
}

fn read(members: Members<'_>) -> Result<(ClaimToken, Progress), Problem> {
    let members = members.only(&["claim", "percent", "message"])?;
    let claim = members.string("claim")?.filter(|claim| !claim.is_empty() && claim.len() <= LONGEST_CLAIM);
    let Some(claim) = claim else {
        return Err(wrong("claim", "the claim of the run, as its request has it (windlass-claim)", "none"));
    };
    let percent = match members.raw("percent") {
        None | Some("null") => None,
        Some(raw) => match serde_json::from_str::<f64>(raw).ok().filter(|percent| (0.0..=100.0).contains(percent)) {
            Some(percent) => Some(percent),
            None => return Err(wrong("percent", "a number from 0 to 100", raw)),
        },
    };
    let message = members.string("message")?;
    if percent.is_none() && message.is_none() {
        return Err(wrong("percent", "percent, or message, or both", "neither"));
    }
    let message = message.unwrap_or_default();
    if message.len() > LONGEST_MESSAGE * 16 {
        return Err(wrong("message", &format!("a text, of which {LONGEST_MESSAGE} bytes are kept"), "a longer one"));
    }
    Ok((ClaimToken::as_stored(&claim), Progress::new(percent, &message)))
}
