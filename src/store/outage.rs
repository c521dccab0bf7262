//! An outage of the store: the time in which it takes no steps, no matter who asks. One message when it begins, one for each other
//! reason, one when it has ended.
//!
//! All loops of an instance share it, because the store's state concerns them alike: without that each would tell it once.

use std::collections::HashSet;
use std::mem::discriminant;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::StoreError;
use super::server_state::ServerState;
use crate::event::{Bus, Event};

/// How long no step must have failed for the outage to have ended. A store may answer one step and fail the next: a full
/// disk still lets itself be read, and takes a short write after it refused a long one. Steps that failed are repeated
/// within a second.
const CALM: Duration = Duration::from_secs(2);

/// Who takes steps and repeats those that fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Asker {
    /// The pool: lanes, heartbeat, waker.
    Pool,
    /// The loop that promotes due jobs.
    Promoter,
    /// The duties.
    Duties,
    /// The loop of the schedules.
    Schedules,
    /// The loop that samples the queues.
    Sampler,
}

/// The outage, while there is one. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Outage(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// When a step succeeded last before the outage.
    answered: Option<Instant>,
    failing: Option<Failing>,
    /// The store answers, and yet no jobs can be exchanged with it.
    stuck: bool,
}

#[derive(Debug)]
struct Failing {
    since: Instant,
    last: Instant,
    /// When a step succeeded first after the last one that failed.
    again: Option<Instant>,
    /// Whose last step failed. One of them may try again only after a while, and then it may fail again.
    askers: HashSet<Asker>,
    /// What was told.
    reasons: HashSet<Reason>,
    last_reason: Reason,
}

/// Why a store takes no steps, as far as it makes a difference to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Reason {
    NoAnswer,
    NoRoom,
    State(std::mem::Discriminant<ServerState>),
}

impl Reason {
    fn of(error: &StoreError) -> Self {
        match error {
            StoreError::Full(_) => Self::NoRoom,
            StoreError::Refusing { state, .. } => Self::State(discriminant(state)),
            _ => Self::NoAnswer,
        }
    }
}

impl Outage {
    /// A step failed. Tells of the first one, and of the first one for another reason.
    pub fn failed(&self, bus: &Bus, asker: Asker, doing: &str, error: &StoreError) {
        let (now, reason) = (Instant::now(), Reason::of(error));
        let is_news = {
            let mut state = self.lock();
            let failing = state.failing.get_or_insert_with(|| Failing {
                since: now,
                last: now,
                again: None,
                askers: HashSet::new(),
                reasons: HashSet::new(),
                last_reason: reason,
            });
            (failing.last, failing.again, failing.last_reason) = (now, None, reason);
            failing.askers.insert(asker);
            failing.reasons.insert(reason)
        };
        if is_news {
            let until = match reason {
                Reason::NoAnswer => {
                    "; until the store answers no job begins here, and what ends is recorded afterwards: start the store, or mend \
                     the way to it"
                }
                Reason::NoRoom | Reason::State(_) => "",
            };
            bus.emit(Event::InternalError { error: format!("{doing}: failed to {error}; trying again{until}") });
        }
    }

    /// A step succeeded. Tells that the outage has ended, if no step has failed for a while and nobody waits who was refused.
    pub fn answered(&self, bus: &Bus, asker: Asker) {
        let mut state = self.lock();
        let now = Instant::now();
        let answered = state.answered;
        let Some(failing) = state.failing.as_mut() else {
            state.answered = Some(now);
            return;
        };
        failing.askers.remove(&asker);
        let again = *failing.again.get_or_insert(now);
        if !failing.askers.is_empty() || failing.last.elapsed() < CALM {
            return;
        }
        let what = if failing.last_reason == Reason::NoRoom { "has room again" } else { "answers again" };
        // Between two steps nobody knows: it was away at least between the first and the last that failed, and at most from
        // the last one before to the first one after.
        let seen = shown(failing.last.duration_since(failing.since));
        let most = shown(again.duration_since(answered.unwrap_or(failing.since)));
        (state.answered, state.failing) = (Some(now), None);
        drop(state);
        bus.figures().outage_over();
        bus.emit(Event::Notice { text: format!("the store {what} after {most} at most ({seen} at least)") });
    }

    /// Who was refused asks no more, because another instance does that now. The others tell the end.
    pub fn asks_no_more(&self, asker: Asker) {
        if let Some(failing) = self.lock().failing.as_mut() {
            failing.askers.remove(&asker);
        }
    }

    /// Does it last?
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.lock().failing.is_some()
    }

    /// Can no jobs be exchanged with the store for a while now, although it takes other steps?
    pub fn set_stuck(&self, stuck: bool) {
        self.lock().stuck = stuck;
    }

    /// What [`set_stuck`](Self::set_stuck) was told last.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.lock().stuck
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shown(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    humantime::format_duration(Duration::from_millis(ms)).to_string()
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn replica() -> StoreError {
        StoreError::Refusing { state: ServerState::Replica, said: "READONLY".to_owned() }
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_told_once_however_steps_fail_and_succeed_in_it() {
        let (bus, listeners) = Bus::new(&[u32::MAX], 1 << 20);
        let told =
            || std::iter::from_fn(|| listeners[0].try_next()).map(|event| format!("{event:?}")).collect::<Vec<_>>();
        let outage = Outage::default();
        let pool = Asker::Pool;
        outage.answered(&bus, pool);
        advance(Duration::from_millis(700)).await;
        let full = StoreError::Full("no room".to_owned());
        for _ in 0..10 {
            outage.failed(&bus, pool, "extend the lease", &full);
            outage.answered(&bus, pool);
            advance(Duration::from_millis(500)).await;
            outage.failed(&bus, pool, "exchange jobs with the store", &full);
            outage.answered(&bus, pool);
        }
        assert!(outage.is_on());
        assert_eq!(told().len(), 1);
        advance(CALM).await;
        outage.answered(&bus, pool);
        assert!(!outage.is_on());
        outage.answered(&bus, pool);
        let ended = told();
        assert!(
            ended.len() == 1 && ended[0].contains("the store has room again after 5s 700ms at most (5s at least)"),
            "{ended:?}"
        );
        outage.failed(&bus, pool, "extend the lease", &full);
        let gone = StoreError::Unavailable("it is gone".to_owned());
        for error in [&gone, &replica(), &gone, &full, &replica()] {
            outage.failed(&bus, pool, "extend the lease", error);
        }
        assert_eq!(told().len(), 3, "another outage, and two other reasons");
        advance(CALM).await;
        outage.answered(&bus, pool);
        assert!(told()[0].contains("the store answers again after 2s at most (0s at least)"));
    }

    #[tokio::test(start_paused = true)]
    async fn one_state_of_a_server_is_told_once_for_all_who_meet_it() {
        let (bus, listeners) = Bus::new(&[u32::MAX], 1 << 20);
        let told = || std::iter::from_fn(|| listeners[0].try_next()).count();
        let outage = Outage::default();
        for _ in 0..3 {
            for asker in [Asker::Pool, Asker::Promoter, Asker::Duties, Asker::Schedules] {
                outage.clone().failed(&bus, asker, "some step", &replica());
            }
            advance(CALM).await;
            outage.answered(&bus, Asker::Pool);
        }
        assert_eq!(told(), 1, "the pool may read, but others are still refused");
        for asker in [Asker::Promoter, Asker::Duties, Asker::Schedules, Asker::Pool] {
            outage.answered(&bus, asker);
        }
        assert_eq!(told(), 1, "it has ended");
        // The lead went to another instance meanwhile.
        outage.failed(&bus, Asker::Sampler, "some step", &replica());
        assert_eq!(told(), 1);
        advance(CALM).await;
        outage.answered(&bus, Asker::Pool);
        assert_eq!(told(), 0, "who was refused may still be");
        outage.asks_no_more(Asker::Sampler);
        outage.answered(&bus, Asker::Pool);
        assert_eq!(told(), 1, "it has ended");
    }
}
