//! One wish of a person may come as several signals.
//!
//! ```text
//!   pkill, systemctl kill, a stop of the control group: the parent ──(forwards)──> the daemon, and the daemon itself
//!   GNU timeout:                                        the parent, and then its group, so the parent again
//! ```
//!
//! The copies come within a moment, in any order. Taken for two wishes, a stop that should wait for running jobs would kill
//! them.

use std::time::Duration;

use tokio::time::Instant;

/// How far apart the parent's copy and the one that came directly may be. The parent forwards at once, but a busy machine
/// may let it wait.
const COPY: Duration = Duration::from_secs(3);
/// How far apart two from one sender are if they are one wish. A person who presses a key twice is slower.
const MOMENT: Duration = Duration::from_millis(100);

/// Who sent a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    /// The parent, which forwards what it gets.
    Parent,
    /// Somebody else.
    Other,
}

#[derive(Debug, Clone, Copy)]
struct Wish {
    signal: i32,
    sender: Sender,
    at: Instant,
    /// Its copy by the other way has come.
    is_complete: bool,
}

/// The last wish.
#[derive(Debug, Default)]
pub(super) struct Wishes(Option<Wish>);

impl Wishes {
    /// Is this signal a wish of its own?
    pub(super) fn is_new(&mut self, signal: i32, sender: Sender, at: Instant) -> bool {
        if let Some(last) = self.0.as_mut().filter(|last| last.signal == signal) {
            let age = at.duration_since(last.at);
            if age < MOMENT {
                last.is_complete |= sender != last.sender;
                return false;
            }
            if sender != last.sender && !last.is_complete && age < COPY {
                last.is_complete = true;
                return false;
            }
        }
        self.0 = Some(Wish { signal, sender, at, is_complete: false });
        true
    }
}

#[cfg(test)]
mod tests {
    use signal_hook::consts::{SIGINT, SIGTERM};

    use super::Sender::{Other, Parent};
    use super::*;

    /// Which of these signals (after so many milliseconds, by whom) are wishes?
    fn new(signals: &[(u64, Sender)]) -> Vec<bool> {
        let (mut wishes, begin) = (Wishes::default(), Instant::now());
        let at = |ms| begin + Duration::from_millis(ms);
        signals.iter().map(|&(ms, sender)| wishes.is_new(SIGTERM, sender, at(ms))).collect()
    }

    #[test]
    fn a_copy_of_a_wish_is_none() {
        assert_eq!(new(&[(0, Parent), (5, Other)]), [true, false]);
        assert_eq!(new(&[(0, Other), (2000, Parent)]), [true, false]);
        assert_eq!(new(&[(0, Parent), (1, Parent), (2, Other)]), [true, false, false]);
    }

    #[test]
    fn a_second_wish_counts_whichever_way_it_comes() {
        assert_eq!(new(&[(0, Parent), (400, Parent)]), [true, true]);
        assert_eq!(new(&[(0, Other), (400, Other)]), [true, true]);
        assert_eq!(new(&[(0, Parent), (5, Other), (400, Parent), (405, Other)]), [true, false, true, false]);
        assert_eq!(new(&[(0, Parent), (5, Other), (400, Other), (1400, Parent)]), [true, false, true, false]);
        assert_eq!(new(&[(0, Other), (3500, Parent)]), [true, true]);
    }

    #[test]
    fn another_signal_is_another_wish() {
        let (mut wishes, now) = (Wishes::default(), Instant::now());
        assert!(wishes.is_new(SIGTERM, Parent, now) && wishes.is_new(SIGINT, Other, now));
    }
}
