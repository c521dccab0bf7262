//! How long the path to the store is, as one holder of a connection measures it.

use std::time::Duration;

/// From this round trip on a path is long: what saves a round trip is worth another command.
const LONG: Duration = Duration::from_millis(20);

/// A measured path.
#[derive(Debug, Clone, Copy, Default)]
pub struct Path {
    round_trip: Option<Duration>,
}

impl Path {
    /// An answer took so long. A quick answer shows the path as it is. A slow one may also come from a busy store or
    /// machine, so that it counts for a quarter.
    pub fn note(&mut self, took: Duration) {
        self.round_trip = Some(match self.round_trip {
            Some(known) if took > known => known + (took - known) / 4,
            _ => took,
        });
    }

    /// The round trip; zero as long as nothing was measured.
    #[must_use]
    pub fn round_trip(&self) -> Duration {
        self.round_trip.unwrap_or_default()
    }

    /// Is the path long?
    #[must_use]
    pub fn is_long(&self) -> bool {
        self.round_trip() > LONG
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_answer_makes_no_long_path_and_several_do() {
        let millis = Duration::from_millis;
        let mut path = Path::default();
        assert!(!path.is_long(), "nothing is known yet");
        path.note(millis(1));
        path.note(millis(60));
        assert!(!path.is_long(), "{path:?}");
        for _ in 0..8 {
            path.note(millis(300));
        }
        assert!(path.round_trip() > millis(250), "{path:?}");
        path.note(millis(2));
        assert_eq!(path.round_trip(), millis(2));
    }
}
