//! Who is in a fleet, and who gets the next job.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::ask::{Ask, Orders};
use crate::backoff;
use crate::task::handler_spec::RpcSpec;

/// The wait after the first start that came to nothing, and the longest one.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) tickets: u64,
    pub(super) numbers: u64,
    pub(super) waiting: VecDeque<Ask>,
    /// Jobs that were cut off before, where that matters.
    pub(super) suspects: VecDeque<Ask>,
    pub(super) members: Vec<Member>,
    /// Whose children these are.
    pub(super) instance: Option<Arc<str>>,
    /// Where they live.
    pub(super) runtime: Option<Handle>,
    /// How many children in a row came to nothing.
    pub(super) failures: u32,
    pub(super) not_before: Option<Instant>,
    /// Nobody is kept who has nothing to do, and when the last one must be gone.
    pub(super) closing: Option<Option<Instant>>,
}

/// By what a child is known in its fleet.
#[derive(Debug)]
pub(super) struct Badge {
    pub(super) number: u64,
    /// Rung when there is something for it.
    pub(super) bell: Arc<Notify>,
    /// The instance that starts it.
    pub(super) instance: Arc<str>,
    /// When it may start.
    pub(super) not_before: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) number: u64,
    pub(super) phase: Phase,
    /// How many jobs it may hold.
    pub(super) depth: usize,
    /// How many it holds, or has waiting in its orders.
    pub(super) held: usize,
    /// How many it was ever given.
    pub(super) given: u64,
    /// Has it answered any?
    pub(super) proven: bool,
    /// Holds a job that must be alone.
    pub(super) alone: bool,
    pub(super) orders: Orders,
    pub(super) bell: Arc<Notify>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not yet ready.
    Starting,
    /// At work.
    Ready,
    /// Gets nothing more.
    Leaving,
}

impl Member {
    /// How many more jobs it can take now.
    pub(super) fn places(&self) -> usize {
        if self.phase == Phase::Ready && !self.alone { self.depth.saturating_sub(self.held) } else { 0 }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.phase == Phase::Ready && self.held == 0
    }

    pub(super) fn give(&mut self, ask: Ask, max_jobs: Option<u64>) {
        self.held += 1;
        self.given += 1;
        if max_jobs.is_some_and(|most| self.given >= most) {
            self.phase = Phase::Leaving;
        }
        self.orders.asks.push(ask);
        self.bell.notify_one();
    }
}

impl State {
    pub(super) fn member(&mut self, number: u64) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.number == number)
    }

    pub(super) fn remove(&mut self, number: u64) -> Orders {
        let at = self.members.iter().position(|member| member.number == number);
        at.map(|at| self.members.swap_remove(at).orders).unwrap_or_default()
    }

    /// Children carry the id of the instance that started them, and whoever buries that instance kills them: under a
    /// new id there must be new ones.
    pub(super) fn belong_to(&mut self, instance: &Arc<str>) {
        if self.instance.as_ref() == Some(instance) {
            return;
        }
        self.instance = Some(Arc::clone(instance));
        for member in &mut self.members {
            member.phase = Phase::Leaving;
            member.bell.notify_one();
        }
    }

    pub(super) fn count_failure(&mut self) -> Duration {
        let delay = backoff::exponential(self.failures, BACKOFF.0, BACKOFF.1, 0.5);
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(Instant::now() + delay);
        delay
    }

    /// Gives jobs that wait to children that have places.
    pub(super) fn distribute(&mut self, spec: &RpcSpec) {
        let Self { waiting, suspects, members, .. } = self;
        while !suspects.is_empty() {
            let Some(idle) = members.iter_mut().find(|member| member.is_idle()) else { break };
            if let Some(ask) = suspects.pop_front() {
                idle.alone = true;
                idle.give(ask, spec.max_jobs);
            }
        }
        // The one that will be idle first gets nothing else until then.
        let mut reserved = None;
        if !suspects.is_empty() {
            let ready = members.iter().filter(|member| member.phase == Phase::Ready && !member.alone);
            reserved = ready.min_by_key(|member| member.held).map(|member| member.number);
        }
        while !waiting.is_empty() {
            let open = members.iter_mut().filter(|member| member.places() > 0 && Some(member.number) != reserved);
            // Of equals the first.
            let Some(best) = open.reduce(|best, next| if next.places() > best.places() { next } else { best }) else {
                break;
            };
            if let Some(ask) = waiting.pop_front() {
                best.give(ask, spec.max_jobs);
            }
        }
    }
}
