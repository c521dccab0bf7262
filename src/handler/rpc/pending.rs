//! The jobs that a child holds and has not answered.

use std::hash::{BuildHasher as _, RandomState};

use tokio::time::Instant;

use super::pool_state::PerformRequest;
use super::protocol::{Message, Response};
use crate::handler::contract::Stop;
use crate::handler::kept_output::RunOutput;
use crate::job::{Failure, Outcome};
use crate::task::handler_spec::RetryLater;

/// A job that the child holds.
#[derive(Debug)]
pub(super) struct PendingJob {
    pub(super) id: u64,
    /// The offset of its request in the bytes ever written.
    pub(super) begin: u64,
    pub(super) asked: Stop,
    pub(super) request: PerformRequest,
    /// All that the child writes to stderr while it holds the job, if that is kept.
    pub(super) file: Option<RunOutput>,
}

impl PendingJob {
    /// The outcome that a response means for this job.
    pub(super) fn outcome(&self, response: Response, later: &RetryLater) -> Outcome {
        match response {
            Response::Result(result) => Outcome::Success { result },
            // As with exec: a job that was asked to end and did not succeed was cut off, no matter what its response
            // says.
            Response::Later(_) | Response::Error(_) if self.asked > Stop::No => Outcome::Interrupted,
            Response::Later(delay) if self.request.job.identity.later < later.limit => {
                Outcome::Later { delay: delay.unwrap_or(later.delay), tail: Vec::new() }
            }
            Response::Later(_) => {
                let (times, limit) = (u64::from(self.request.job.identity.later) + 1, later.limit);
                let error = format!("answered retry_later {times} times; retry_later_limit is {limit}");
                Outcome::Failure(Failure::new("RetryLater", error))
            }
            Response::Error(failure) => Outcome::Failure(failure),
        }
    }
}

/// Ids are below this: a worker may read them into whatever its language calls an integer.
const IDS: u64 = 1 << 31;

/// The jobs that a child holds, each in a place. An id gives the place without a search.
///
/// Nobody can guess an id: what a child prints may hold anything, such as the arguments of a job, and would pass for the answer
/// to another job. So ids are drawn by a keyed hash of their number. That an answer that came twice meets an id that was drawn
/// again is as improbable as a guess.
#[derive(Debug, Default)]
pub(super) struct Pending {
    places: Vec<Option<PendingJob>>,
    free: Vec<usize>,
    rounds: u64,
    /// The key, which the system's random numbers give.
    secret: RandomState,
}

impl Pending {
    pub(super) fn new(depth: usize) -> Self {
        Self { places: (0..depth).map(|_| None).collect(), free: (0..depth).rev().collect(), ..Self::default() }
    }

    pub(super) fn hold(&mut self, request: PerformRequest, begin: u64, file: Option<RunOutput>) -> &mut PendingJob {
        // The child pool never gives more jobs than there are places. If it did, the extra place would only change how
        // ids are formed.
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        self.rounds += 1;
        let places = self.places.len() as u64;
        // From 1 on: to many languages 0 is nothing.
        let drawn = 1 + self.secret.hash_one(self.rounds) % (IDS / places).saturating_sub(1).max(1);
        let id = drawn * places + place as u64;
        self.places[place].insert(PendingJob { id, begin, asked: Stop::No, request, file })
    }

    pub(super) fn take(&mut self, id: u64) -> Option<PendingJob> {
        let place = usize::try_from(id.checked_rem(self.places.len() as u64)?).ok()?;
        let held = self.places.get_mut(place)?.take_if(|held| held.id == id)?;
        self.free.push(place);
        Some(held)
    }

    /// The job of this request, if the child still holds it.
    pub(super) fn find(&mut self, id: u64) -> Option<&mut PendingJob> {
        let place = usize::try_from(id.checked_rem(self.places.len() as u64)?).ok()?;
        self.places.get_mut(place)?.as_mut().filter(|held| held.id == id)
    }

    /// Is this a message about a job that the child holds?
    pub(super) fn is_about_one(&mut self, message: &Message) -> bool {
        match message {
            Message::Ready { .. } => false,
            Message::Response { id, .. } | Message::Progress { id, .. } => self.find(*id).is_some(),
        }
    }

    pub(super) fn iter(&mut self) -> impl Iterator<Item = &mut PendingJob> {
        self.places.iter_mut().flatten()
    }

    /// Passes on what was kept for each job. Returns until when nothing more is to be read.
    pub(super) fn flush(&mut self, now: Instant) -> Option<Instant> {
        let mut held = None;
        for file in self.iter().filter_map(|held| held.file.as_mut()) {
            file.flush();
            held = held.max(file.held_until(now));
        }
        held
    }

    /// All jobs in the order in which they arrived.
    pub(super) fn into_order(self) -> Vec<PendingJob> {
        let mut all: Vec<PendingJob> = self.places.into_iter().flatten().collect();
        all.sort_by_key(|held| held.begin);
        all
    }
}
