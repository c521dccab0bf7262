//! Beside Ruby's resque-scheduler: whether its leader moves the due jobs, or they are ours to move.
//!
//! resque-scheduler loses and doubles jobs if another program moves some between its reading and its watching of their list
//! ([`RubyLeader`]). Its leader is left alone while it lives: while its lock is renewed, which it does before each look, or
//! the first due jobs go. The step that moves jobs compares the lock once more, so that a leader that begins or wakes up is
//! met by no step after its first. What remains is a leader that stood still for [`PATIENCE`] between reading and watching,
//! and then continues.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::SchedulerContext;
use crate::event::{Bus, Event};
use crate::store::scheduling::{Due, RubyLeader};

/// A leader that has shown no sign of life for so long is dead: three of its looks, if it looks as often as it does by itself.
const PATIENCE: Duration = Duration::from_secs(15);
/// The patience doubles with each leader that was not dead, up to the time that its lock is held.
const LONGEST_PATIENCE: Duration = Duration::from_secs(180);
/// The same, if its lock lapsed: only one that has moved jobs for longer than its lock is held lives then.
const LAPSED_PATIENCE: Duration = Duration::from_secs(5);
/// After so many times the patience the first due jobs are moved in spite of renewals. Its clock may be behind, for example.
const STUCK: u32 = 2;
/// How late the jobs that follow them must be.
const STUCK_AGAIN: Duration = Duration::from_secs(5);
/// How long before that the lock was not renewed, because a leader reads jobs right after it. A leader that renews its lock
/// more often is not waited for longer than once more that time.
const QUIET: Duration = Duration::from_secs(1);

/// What the leader of resque-scheduler does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stance {
    /// There is none.
    Absent,
    /// It moves the due jobs, or did a moment ago.
    MovesThem,
    /// It moves nothing. Jobs may be moved as long as this is how its lock is.
    StandsStill(RubyLeader),
}

/// Watches the lock and the first due jobs from look to look.
#[derive(Debug)]
pub(super) struct Watcher {
    seen: Option<Seen>,
    patience: Duration,
    /// What was told last: that jobs are left to the leader of this name (true), or are no longer (false).
    told: Option<(Bytes, bool)>,
}

/// What was seen of a leader.
#[derive(Debug)]
struct Seen {
    leader: RubyLeader,
    /// Its last sign of life: a renewal, or that jobs went.
    alive: Instant,
    renewed: Instant,
    /// Its lock lapsed; nobody gave it back.
    lapsed: bool,
    /// The first due second and how many jobs it had, and since when no job of it went.
    head: Option<(i64, u64, Instant)>,
    /// It was taken for dead.
    stood: bool,
    /// Jobs were moved although it renewed its lock, and it has moved none since.
    stuck: bool,
}

impl Default for Watcher {
    fn default() -> Self {
        Self { seen: None, patience: PATIENCE, told: None }
    }
}

impl Watcher {
    /// Judges by a look at jobs that are due. Says so when that has changed.
    pub(super) fn judge(&mut self, context: &SchedulerContext, due: &Due) -> Stance {
        let stance = self.look(Instant::now(), due);
        self.tell(&context.bus, &stance, due);
        stance
    }

    /// This instance moved jobs; they say nothing about the leader.
    pub(super) fn moved(&mut self) {
        if let Some(seen) = &mut self.seen {
            seen.head = None;
        }
    }

    /// Somebody else moved jobs that were due.
    pub(super) fn saw_rival(&mut self) {
        if let Some(seen) = &mut self.seen {
            seen.progressed(Instant::now());
        }
    }

    fn look(&mut self, now: Instant, due: &Due) -> Stance {
        let head = (due.due_s.unwrap_or(i64::MAX), due.length);
        let patience = &mut self.patience;
        let mut seen = match (self.seen.take(), &due.ruby) {
            (None, None) => return Stance::Absent,
            (None, Some(leader)) => Seen::new(leader.clone(), now),
            (Some(mut seen), Some(leader)) => {
                if leader.is_renewed_since(&seen.leader) {
                    if std::mem::take(&mut seen.stood) {
                        *patience = (*patience * 2).min(LONGEST_PATIENCE);
                    }
                    (seen.alive, seen.renewed) = (now, now);
                }
                (seen.leader, seen.lapsed) = (leader.clone(), false);
                seen
            }
            (Some(mut seen), None) => {
                let ends_ms = seen.leader.expires_ms.unwrap_or(i64::MAX);
                if due.now_ms.saturating_add(RubyLeader::READINGS_MS) < ends_ms && !seen.lapsed {
                    // It was given back, which a leader does between two looks.
                    return Stance::Absent;
                }
                seen.lapsed = true;
                seen
            }
        };
        match &mut seen.head {
            // Jobs went, or a whole second did.
            Some((second, length, _)) if head.0 > *second || head.0 == *second && head.1 < *length => {
                seen.progressed(now);
                seen.head = Some((head.0, head.1, now));
            }
            Some((second, length, _)) => (*second, *length) = head,
            None => seen.head = Some((head.0, head.1, now)),
        }
        let stance = seen.stance(now, *patience, due);
        self.seen = (stance != Stance::Absent).then_some(seen);
        stance
    }

    /// Says once whether jobs are left to the leader or no longer.
    fn tell(&mut self, bus: &Bus, stance: &Stance, due: &Due) {
        let now = match (stance, &self.seen) {
            (Stance::MovesThem, Some(seen)) => Some((seen.leader.name.clone(), true)),
            (Stance::StandsStill(leader), _) => Some((leader.name.clone(), false)),
            _ => None,
        };
        let told = std::mem::replace(&mut self.told, now.clone());
        if told == now {
            return;
        }
        let (name, left) = now.clone().or(told).unwrap_or_default();
        let name = String::from_utf8_lossy(&name);
        if now.is_none() {
            if left {
                let text = format!("resque-scheduler ({name}) leads no longer; due jobs are moved here");
                bus.emit(Event::Notice { text });
            }
        } else if left {
            let text = format!("resque-scheduler ({name}) leads; due jobs are left to it for as long as it moves them");
            bus.emit(Event::Notice { text });
        } else {
            let late_s = due.due_s.map_or(0, |second| due.now_ms / 1000 - second);
            let text = format!(
                "resque-scheduler ({name}) holds its leader lock and moves no jobs, the first of which is {late_s} s late; \
                 due jobs are moved here"
            );
            bus.emit(Event::Warning { text });
        }
    }
}

impl Seen {
    fn new(leader: RubyLeader, now: Instant) -> Self {
        Self { leader, alive: now, renewed: now, lapsed: false, head: None, stood: false, stuck: false }
    }

    fn progressed(&mut self, now: Instant) {
        self.alive = now;
        (self.head, self.stuck) = (None, false);
    }

    fn stance(&mut self, now: Instant, patience: Duration, due: &Due) -> Stance {
        let since = |then: Instant| now.saturating_duration_since(then);
        if self.lapsed {
            return if since(self.alive) < LAPSED_PATIENCE { Stance::MovesThem } else { Stance::Absent };
        }
        if since(self.alive) >= patience {
            self.stood = true;
            return Stance::StandsStill(self.leader.clone());
        }
        let stands = self.head.map_or(Duration::ZERO, |(.., head)| since(head));
        let late = due.now_ms.saturating_sub(due.due_s.unwrap_or(i64::MAX).saturating_mul(1000));
        let late = Duration::from_millis(u64::try_from(late).unwrap_or(0));
        let has_left = stands >= STUCK * patience || self.stuck && late >= STUCK_AGAIN;
        if has_left && (since(self.renewed) >= QUIET || stands >= 2 * STUCK * patience) {
            self.stuck = true;
            return Stance::StandsStill(self.leader.clone());
        }
        Stance::MovesThem
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_790_000_000_000;

    /// A watcher and its looks, the time of which is told.
    struct Looks {
        watcher: Watcher,
        began: Instant,
        at_s: u64,
        /// When the lock was renewed last, if there is one.
        renewed_s: Option<u64>,
    }

    impl Looks {
        fn new(renewed_s: Option<u64>) -> Self {
            Self { watcher: Watcher::default(), began: Instant::now(), at_s: 0, renewed_s }
        }

        /// Looks at this moment at a second, named by how long before the begin it was due, with so many jobs.
        fn look(&mut self, at_s: u64, (before_s, length): (i64, u64)) -> Stance {
            self.at_s = at_s;
            let ms = |s: u64| NOW_MS + i64::try_from(s).unwrap_or(0) * 1000;
            let ruby = self
                .renewed_s
                .map(|renewed_s| RubyLeader { name: "r:1".into(), expires_ms: Some(ms(renewed_s) + 180_000) });
            let due = Due { now_ms: ms(at_s), due_s: Some(NOW_MS / 1000 - before_s), length, ruby, ..Due::default() };
            self.watcher.look(self.began + Duration::from_secs(at_s), &due)
        }

        /// Looks each second up to this one; the first at which the jobs are not left to the leader.
        fn left_until(&mut self, until_s: u64, renews_every_s: Option<u64>, head: (i64, u64)) -> Option<u64> {
            (self.at_s + 1..=until_s).find(|at_s| {
                if renews_every_s.is_some_and(|every| at_s % every == 0) {
                    self.renewed_s = Some(*at_s);
                }
                self.look(*at_s, head) != Stance::MovesThem
            })
        }
    }

    #[test]
    fn without_its_lock_nothing_is_left_to_it() {
        assert_eq!(Looks::new(None).look(0, (1, 5)), Stance::Absent);
    }

    #[test]
    fn a_lock_that_nobody_renews_is_believed_for_a_while() {
        let mut looks = Looks::new(Some(0));
        assert_eq!(looks.look(0, (1, 5)), Stance::MovesThem);
        assert_eq!(looks.left_until(100, None, (1, 5)), Some(PATIENCE.as_secs()));
        assert!(matches!(looks.look(16, (1, 4)), Stance::MovesThem), "jobs went: it lives");
        looks.watcher.moved();
        assert_eq!(looks.left_until(100, None, (1, 3)), Some(16 + PATIENCE.as_secs()));
        looks.watcher.moved();
        assert!(matches!(looks.look(32, (1, 2)), Stance::StandsStill(_)), "these went by our hand");
    }

    #[test]
    fn one_that_looks_seldom_is_waited_for_longer_each_time_it_was_taken_for_dead() {
        let mut looks = Looks::new(Some(0));
        let mut left = Vec::new();
        for at_s in 0..600 {
            if at_s % 50 == 0 {
                looks.renewed_s = Some(at_s);
            }
            // Each time it has moved everything, and other jobs have become due since.
            if looks.look(at_s, (100 - i64::try_from(at_s / 50).unwrap_or(0), 5)) != Stance::MovesThem {
                left.push(at_s);
            }
        }
        assert!(left.iter().all(|at_s| *at_s < 100) && left.contains(&15) && left.contains(&80), "{left:?}");
    }

    #[test]
    fn one_that_moves_jobs_is_left_alone_however_long_it_does_not_renew() {
        let mut looks = Looks::new(Some(0));
        for at_s in 0..170 {
            assert_eq!(looks.look(at_s, (1, 1000 - at_s)), Stance::MovesThem);
        }
        // Its lock lapses while it goes on.
        looks.renewed_s = None;
        for at_s in 180..300 {
            assert_eq!(looks.look(at_s, (1, 1000 - at_s)), Stance::MovesThem);
        }
        assert_eq!(looks.left_until(400, None, (1, 1)), Some(300 + LAPSED_PATIENCE.as_secs()));
        assert!(looks.watcher.seen.is_none());
    }

    #[test]
    fn a_lock_that_is_given_back_ends_it_at_once() {
        let mut looks = Looks::new(Some(0));
        assert_eq!(looks.look(0, (1, 5)), Stance::MovesThem);
        looks.renewed_s = None;
        assert_eq!(looks.look(1, (1, 4)), Stance::Absent);
    }

    #[test]
    fn jobs_that_it_leaves_are_moved_between_two_of_its_renewals() {
        let mut looks = Looks::new(Some(0));
        assert_eq!(looks.look(0, (1, 5)), Stance::MovesThem);
        assert_eq!(looks.left_until(100, Some(5), (1, 5)), Some(31), "not in the second of a renewal");
        looks.watcher.moved();
        assert_eq!(looks.left_until(100, Some(5), (-29, 5)), Some(34), "five seconds after they are due");
        looks.watcher.moved();
        looks.look(35, (-29, 5));
        assert_eq!(looks.look(36, (-29, 4)), Stance::MovesThem);
        assert_eq!(looks.left_until(100, Some(5), (-29, 4)), Some(66), "it moved one: it is waited for again");
    }

    #[test]
    fn another_leader_is_a_sign_of_life() {
        let ends = |name: &'static str, expires_ms| RubyLeader { name: name.into(), expires_ms };
        assert!(ends("b", Some(5)).is_renewed_since(&ends("a", Some(5))));
        assert!(!ends("a", Some(500)).is_renewed_since(&ends("a", Some(0))), "two readings differ by as much");
        assert!(ends("a", Some(501)).is_renewed_since(&ends("a", Some(0))));
        assert!(ends("a", Some(1000)).is_renewed_since(&ends("a", None)));
        assert!(!ends("a", None).is_renewed_since(&ends("a", Some(1000))));
    }
}
