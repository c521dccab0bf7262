//! How many bytes of jobs a reply may carry.
//!
//! A reply that is too long never arrives: a server closes the connection of a client whose answers take too much memory
//! (`client-output-buffer-limit`), and on a slow path the answer comes later than it is waited for. So after a lost answer
//! the next ones are shorter, and they grow again as they arrive.

use crate::store::queueing::CLAIM_BYTES;

/// The smallest room, and that for an exchange whose answers were lost again and again: proxies may cut off short ones.
const LEAST: usize = 64 * 1024;
const CUT_OFF: (u32, usize) = (3, 4 * 1024);
/// By how much one lost answer shortens the next ones.
const SHRINK: usize = 8;
/// After how many answers that arrived the room doubles: below the length at which one was lost, and from there on.
const CALM: (u32, u32) = (4, 64);
/// More jobs than any lane has processors.
const ALL: usize = 1_000_000;

/// The room of a lane.
pub(super) struct Room {
    bytes: usize,
    /// An answer was lost with this much room.
    lost_at: usize,
    /// How many answers arrived since that took more than half of the room.
    calm: u32,
    /// The last jobs were long, or none is known.
    long: bool,
}

impl Default for Room {
    fn default() -> Self {
        Self { bytes: CLAIM_BYTES, lost_at: usize::MAX, calm: 0, long: true }
    }
}

impl Room {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many jobs are popped before their bytes are counted. One by one costs a little for each job, so short jobs are
    /// popped all at once.
    pub(super) fn step(&self) -> usize {
        if self.long { 1 } else { ALL }
    }

    /// An answer has arrived with so many bytes of jobs; `all` are those of the jobs that it claimed.
    pub(super) fn claimed(&mut self, arrived: usize, all: usize) {
        self.long = all >= self.bytes / 4;
        self.arrived(arrived);
    }

    /// So many bytes arrived.
    pub(super) fn arrived(&mut self, bytes: usize) {
        if bytes >= self.lost_at {
            self.lost_at = usize::MAX;
        }
        if self.bytes >= CLAIM_BYTES || bytes < self.bytes / 2 {
            return;
        }
        self.calm += 1;
        let enough = if self.bytes * 2 < self.lost_at { CALM.0 } else { CALM.1 };
        if self.calm >= enough {
            self.calm = 0;
            self.bytes = (self.bytes * 2).min(CLAIM_BYTES);
        }
    }

    /// An answer was lost that may have been too long, after so many of the same exchange.
    pub(super) fn lost(&mut self, before: u32) {
        let least = if before >= CUT_OFF.0 { CUT_OFF.1 } else { LEAST };
        if self.bytes > least {
            self.lost_at = self.bytes;
        }
        self.calm = 0;
        self.long = true;
        self.bytes = (self.bytes / SHRINK).max(least.min(self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_shrinks_with_answers_that_are_lost_and_grows_with_those_that_arrive() {
        let mut room = Room::default();
        assert_eq!((room.bytes(), room.step()), (CLAIM_BYTES, 1));
        room.claimed(5000, 5000);
        assert_eq!(room.step(), ALL, "short jobs are popped all at once");
        room.claimed(0, CLAIM_BYTES);
        assert_eq!(room.step(), 1, "long ones are not");
        for _ in 0..9 {
            room.lost(0);
        }
        assert_eq!((room.bytes(), room.step()), (LEAST, 1));
        for _ in 0..100 {
            room.arrived(LEAST / 4);
        }
        assert_eq!(room.bytes(), LEAST, "a short answer shows nothing");
        let mut answers = 0;
        while room.bytes() < CLAIM_BYTES {
            room.arrived(room.bytes());
            answers += 1;
        }
        assert_eq!(answers, CALM.1 + 3 * CALM.0, "slowly to the length of the last one that was lost, then fast");
    }

    #[test]
    fn an_exchange_that_is_cut_off_for_ever_gets_the_smallest_room() {
        let mut room = Room::default();
        for before in 0..6 {
            room.lost(before);
            assert!(room.bytes() >= if before < CUT_OFF.0 { LEAST } else { CUT_OFF.1 });
        }
        assert_eq!(room.bytes(), CUT_OFF.1);
        room.lost(0);
        assert_eq!(room.bytes(), CUT_OFF.1, "no answer makes it larger again but those that arrive");
    }

    #[test]
    fn the_room_that_was_too_large_is_tried_again_rarely() {
        let mut room = Room::default();
        // No answer arrives that is as long as a quarter of the first room.
        let (mut lost, mut answers) = (0, 0);
        for _ in 0..2000 {
            if room.bytes() >= CLAIM_BYTES / 4 {
                room.lost(0);
                lost += 1;
            } else {
                room.arrived(room.bytes());
                answers += 1;
            }
        }
        assert!(lost > 1 && lost * CALM.1 < answers * 2, "{lost} of {answers}");
    }
}
