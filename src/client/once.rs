//! An enqueue that is done once, however often it is asked for under one key.
//!
//! ```text
//!   key, request --> is there a mark? --yes--> of the same request: what was done before; of another: refused
//!                        | no
//!                        +--> the step that writes the job and its mark --(a mark was faster)--> from the beginning
//! ```
//!
//! A refusal leaves no mark: nothing was done, and the next call asks again.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::delay::OnDuplicate;
use super::enqueue::{Client, ClientError, EnqueueOutcome, With};
pub use super::marking::{LONGEST_KEY, OnceKey};
use super::marking::{Marking, hash};
use super::moment::Moment;
use super::request::{Request, ResolvedJob};
use crate::store::StoreError;
use crate::store::marks::ReadMark;
use crate::store::queueing::{self, Scheduled};

/// How often it is begun anew: a mark may be written or lapse between two steps.
const ATTEMPTS: usize = 3;

/// When a job is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum When {
    /// Now, before all others if so.
    Now {
        /// At the head of its queue?
        front: bool,
    },
    /// At this time.
    At(Moment),
    /// In so many milliseconds.
    In(i64),
}

/// The outcome of an enqueue under a key.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum OnceOutcome {
    /// It was asked for the first time.
    Now(ResolvedJob, EnqueueOutcome),
    /// The same of a job that is delayed.
    Later(ResolvedJob, Scheduled),
    /// It was done before, and this call did nothing.
    Before(DoneBefore),
}

/// What was done before under a key.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DoneBefore {
    /// The task.
    pub task: String,
    /// The queue.
    pub queue: String,
    /// The arguments, unless they are long.
    pub args: Option<Box<RawValue>>,
    /// For which unix second the job was delayed, if it was.
    pub second: Option<i64>,
}

/// A mark as it is read.
#[derive(Deserialize)]
struct Read {
    f: String,
    at: Option<i64>,
    job: ReadJob,
}

#[derive(Deserialize)]
struct ReadJob {
    task: String,
    queue: String,
    args: Option<Box<RawValue>>,
}

impl Client {
    /// Enqueues or delays a job, unless that was done under this key within the last 24 hours.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue) and [`enqueue_at`](Self::enqueue_at), and for a key under which something else was asked
    /// for. After an error the same call may be repeated: it never leads to a second job.
    pub async fn enqueue_once(
        &self,
        request: &Request,
        when: When,
        duplicate: OnDuplicate,
        key: &OnceKey,
    ) -> Result<OnceOutcome, ClientError> {
        let fingerprint = fingerprint(request, when, duplicate);
        let marking = Some(Marking::new(key, &fingerprint));
        for _ in 0..ATTEMPTS {
            let mark = self.store.run(ReadMark { key: key.digest().to_owned() }).await.map_err(unread)?;
            if let Some(text) = mark {
                return read(&text, &fingerprint).map(OnceOutcome::Before).ok_or(ClientError::KeyReused);
            }
            let outcome = match when {
                When::Now { front } => {
                    let with = With::Mark(Marking::new(key, &fingerprint));
                    self.place(request, front, with)
                        .await
                        .map_err(repeatable)?
                        .map(|(job, outcome)| OnceOutcome::Now(job, outcome))
                }
                When::At(at) => {
                    let when = queueing::When::At(at.second());
                    later(self.schedule(request, when, duplicate, marking).await.map_err(repeatable)?)
                }
                When::In(ms) => {
                    let when = queueing::When::In(ms);
                    later(self.schedule(request, when, duplicate, marking).await.map_err(repeatable)?)
                }
            };
            if let Some(outcome) = outcome {
                return Ok(outcome);
            }
        }
        let said = "the mark of the key comes and goes".to_owned();
        Err(ClientError::Store(StoreError::Unreached(said)))
    }
}

/// The answer to a read was lost: nothing was enqueued.
fn unread(error: StoreError) -> StoreError {
    match error {
        StoreError::Unavailable(said) => StoreError::Unreached(said),
        error => error,
    }
}

/// The key makes it safe to repeat what may have been done.
fn repeatable(error: ClientError) -> ClientError {
    match error {
        ClientError::Unknown(error) => ClientError::UnknownOnce(error),
        error => error,
    }
}

fn later(outcome: Option<(ResolvedJob, Scheduled)>) -> Option<OnceOutcome> {
    outcome.map(|(job, scheduled)| OnceOutcome::Later(job, scheduled))
}

/// What was done, if it was this.
fn read(text: &str, fingerprint: &str) -> Option<DoneBefore> {
    let Read { f, at, job: ReadJob { task, queue, args } } = serde_json::from_str(text).ok()?;
    (f == fingerprint).then_some(DoneBefore { task, queue, args, second: at })
}

/// What two requests have in common that ask for the same.
fn fingerprint(request: &Request, when: When, duplicate: OnDuplicate) -> String {
    let Request { task, args, queue, foreign } = request;
    let args = args.as_ref().map_or("-", |args| args.as_str());
    let queue = queue.as_deref().unwrap_or_default();
    let suppresses = duplicate == OnDuplicate::Suppress;
    let when = match when {
        When::Now { front: false } => "now".to_owned(),
        When::Now { front: true } => "front".to_owned(),
        When::At(at) => format!("at {}", at.ms()),
        When::In(ms) => format!("in {ms}"),
    };
    hash(&format!("{task}\0{queue}\0{foreign}\0{when}\0{suppresses}\0{args}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::enqueue::tests::registry;
    use crate::job::Args;

    fn request(args: &str) -> Request {
        Request::new("add").args(Args::from_json(args).unwrap())
    }

    #[test]
    fn a_mark_tells_what_was_done_to_who_asks_for_the_same() {
        let (key, asked) = (OnceKey::new("", "k").unwrap(), request(r#"[1,"x"]"#));
        let now = When::Now { front: false };
        let print = fingerprint(&asked, now, OnDuplicate::Refuse);
        let job = asked.resolve(&registry()).unwrap();
        let mark = Marking::new(&key, &print).of(&job);
        let told = read(&mark.text(Some(77)), &print).unwrap();
        assert_eq!((told.task.as_str(), told.queue.as_str(), told.second), ("add", "math", Some(77)));
        assert_eq!(told.args.unwrap().get(), r#"[1,"x"]"#);
        assert_eq!(read(&mark.text(None), &print).unwrap().second, None);
        for other in [
            fingerprint(&request("[1]"), now, OnDuplicate::Refuse),
            fingerprint(&asked, When::Now { front: true }, OnDuplicate::Refuse),
            fingerprint(&asked, When::In(5), OnDuplicate::Refuse),
            fingerprint(&asked, now, OnDuplicate::Suppress),
            fingerprint(&asked.clone().queue("q"), now, OnDuplicate::Refuse),
        ] {
            assert!(other != print && read(&mark.text(None), &other).is_none());
        }
        assert!(read("something else", &print).is_none());
        let long = request(&format!("[\"{}\"]", "x".repeat(5000))).resolve(&registry()).unwrap();
        let mark = Marking::new(&key, &print).of(&long);
        assert!(mark.text(None).len() < 500 && read(&mark.text(None), &print).unwrap().args.is_none());
    }
}
