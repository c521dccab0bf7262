//! What people ask of a run: a wish stands in the store until the instance that has the run has granted it.
//!
//! ```text
//!   a person ──(AskRun)──> beside the run's claim ──(each Extend of its instance)──> the run is asked to end
//!   the run has ended ──(Extend: done)──> the wish is removed
//!   its instance died ──(ReadWishes)──> the one who recovers the job heeds the wish; Bury removes all of the instance
//! ```
//!
//! A wish names a claim, so that no later run of the job is meant. It lapses after [`KEPT`], because an instance whose
//! registration was lost removes nothing. Of each kind one stands for a claim: who watches takes no cancel away.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::role::{Admin, Pool, Scheduler, arrow};
use super::unreadable::PassedOver;
use crate::job::{ClaimToken, Progress, WorkerName};
use crate::text::cut::shorten;

/// For how long a wish stands that nobody removes.
pub const KEPT: Duration = Duration::from_secs(3600);

/// How many wishes of one instance are read at most: far more than it has runs.
pub const MOST: usize = 1000;

/// The longest claim that a wish may name, and the longest wish, in bytes, as in `wishes.lua`. Ours are shorter.
pub(super) const LONGEST: (usize, usize) = (128, 2048);

/// How much of the name of who wishes it is kept, in bytes: it goes into the log and the failure record.
const LONGEST_NAME: usize = 256;

/// A wish about the run of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The run.
    pub claim: ClaimToken,
    /// What is wished.
    pub want: Want,
}

/// What is wished of a run. It is stored as JSON; what a later version wishes is passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "want", rename_all = "snake_case")]
pub enum Want {
    /// The run is to end, and its job fails as cancelled and is not run again.
    Cancel {
        /// Who wishes it, for people to read.
        by: String,
    },
    /// The instance is to show what the run prints and how far it is ([`ShowRuns`](super::showing::ShowRuns)), for as long as the
    /// wish is renewed.
    Watch {
        /// Another one with each renewal.
        turn: u64,
    },
    /// The run is so far: anyone who performs it elsewhere says so ([`TellProgress`]).
    Progress {
        /// The record ([`Progress::encode`]).
        progress: String,
    },
}

/// What follows the claim in the name of a wish to watch, and of what was told of its progress.
const WATCH: &str = "/watch";
const PROGRESS: &str = "/progress";

/// The names of the wishes that may stand for a run.
pub(crate) fn names(claim: &ClaimToken) -> [String; 3] {
    [claim.to_string(), watch_name(claim), format!("{claim}{PROGRESS}")]
}

/// The name of the wish to watch a run.
pub(crate) fn watch_name(claim: &ClaimToken) -> String {
    format!("{claim}{WATCH}")
}

impl Want {
    /// To cancel a run, as somebody of this name.
    #[must_use]
    pub fn cancel(by: &str) -> Self {
        Self::Cancel { by: by.to_owned() }.bounded()
    }

    fn bounded(mut self) -> Self {
        if let Self::Cancel { by } = &mut self {
            shorten(by, LONGEST_NAME);
        }
        self
    }
}

impl Wish {
    /// The name under which it is stored.
    #[must_use]
    pub fn name(&self) -> String {
        match self.want {
            Want::Cancel { .. } => self.claim.to_string(),
            Want::Watch { .. } => watch_name(&self.claim),
            Want::Progress { .. } => format!("{}{PROGRESS}", self.claim),
        }
    }

    /// How what is wished is stored.
    #[must_use]
    pub fn encode(&self) -> String {
        // A tagged enum of texts has no value that JSON cannot hold.
        serde_json::to_string(&self.want).unwrap_or_default()
    }

    /// A wish as it was stored. `None` if these are no wishes that this version knows.
    #[must_use]
    pub fn decode(name: &[u8], want: &[u8]) -> Option<Self> {
        if name.len() > LONGEST.0 || want.len() > LONGEST.1 {
            return None;
        }
        let name = std::str::from_utf8(name).ok()?;
        let claim = name.strip_suffix(WATCH).or_else(|| name.strip_suffix(PROGRESS)).unwrap_or(name);
        let claim = ClaimToken::as_stored(claim);
        let wish = Self { claim, want: serde_json::from_slice::<Want>(want).ok()?.bounded() };
        (wish.name() == name).then_some(wish)
    }

    /// The same of what a store answered, which leaves out what is too long: such a wish is passed over and told.
    pub(super) fn read(name: &[u8], want: &[u8], passed: &mut PassedOver) -> Option<Self> {
        if want.is_empty() {
            passed.add(name, "it is longer than any wish of Windlass");
            return None;
        }
        Self::decode(name, want)
    }
}

/// Who cancelled the run of this claim, if somebody did.
#[must_use]
pub fn canceller<'a>(wishes: &'a [Wish], claim: &ClaimToken) -> Option<&'a str> {
    wishes.iter().filter(|wish| wish.claim == *claim).find_map(|wish| match &wish.want {
        Want::Cancel { by } => Some(by.as_str()),
        Want::Watch { .. } | Want::Progress { .. } => None,
    })
}

/// Leaves a wish for the instance of a run. False, and nothing is written, if the worker does not have this claim any more.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct AskRun {
    /// The worker that has the run.
    pub worker: WorkerName,
    /// The wish.
    pub wish: Wish,
}

arrow!(AskRun, "ask_run", Repeatable -> bool; Admin);

/// Of how many runs of one instance a progress may stand among the wishes. That is half of what is read, so that no wish to end a
/// run is kept from being seen.
pub const MOST_TOLD: usize = MOST / 2;

/// Tells the instance of a run how far it is, for anyone who performs it elsewhere: a server, a machine. It stands among the wishes until
/// the run is over, and the last one counts.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct TellProgress {
    /// The worker that has the run.
    pub worker: WorkerName,
    /// The run.
    pub claim: ClaimToken,
    /// How far it is.
    pub progress: Progress,
}

arrow!(TellProgress, "tell_progress", Repeatable -> ProgressTold; Admin);

impl TellProgress {
    /// As the wish that is stored.
    pub(super) fn wish(&self) -> Wish {
        let progress = String::from_utf8(self.progress.encode()).unwrap_or_default();
        Wish { claim: self.claim.clone(), want: Want::Progress { progress } }
    }
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProgressTold {
    /// Its instance learns of it.
    Left,
    /// The worker does not have this claim any more; nothing is written.
    Over,
    /// So many wishes stand for its instance that nothing is written.
    Full,
}

/// The wishes that stand for an instance, at most [`MOST`].
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct ReadWishes {
    /// The instance.
    pub instance: String,
}

arrow!(ReadWishes, "read_wishes", Reads -> Vec<Wish>; Pool, Scheduler, Admin);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_read_as_it_was_stored() {
        let want = Want::Cancel { by: "ada \"x\" on host".to_owned() };
        let wish = Wish { claim: ClaimToken::new("00ff", 1, 2, 3), want };
        assert_eq!(Wish::decode(b"00ff-1-2-3", wish.encode().as_bytes()), Some(wish.clone()));
        let watch = Wish { want: Want::Watch { turn: u64::MAX }, ..wish };
        assert_eq!(Wish::decode(b"00ff-1-2-3/watch", watch.encode().as_bytes()), Some(watch.clone()));
        let tells = TellProgress {
            worker: WorkerName::parse("h:1+1:q"),
            claim: watch.claim.clone(),
            progress: Progress::new(Some(7.5), &"\u{1}".repeat(500)),
        };
        let told = tells.wish();
        assert!(told.encode().len() <= LONGEST.1, "the longest message is read");
        assert_eq!(Wish::decode(b"00ff-1-2-3/progress", told.encode().as_bytes()), Some(told.clone()));
        assert_eq!(names(&watch.claim), ["00ff-1-2-3".to_owned(), watch.name(), told.name()]);
    }

    #[test]
    fn a_name_of_any_length_is_cut_and_what_is_longer_than_any_wish_is_none() {
        let Want::Cancel { by } = Want::cancel(&"ä".repeat(5000)) else { panic!("it cancels") };
        assert!(by.len() <= LONGEST_NAME && by.ends_with("... (10000 bytes)"), "{by}");
        let stored = format!("{{\"want\":\"cancel\",\"by\":\"{}\"}}", "x".repeat(1000));
        let Want::Cancel { by } = Wish::decode(b"00ff-1-2-3", stored.as_bytes()).unwrap().want else {
            panic!("it cancels")
        };
        assert!(by.len() <= LONGEST_NAME, "another program wrote it");
        let wish = Wish { claim: ClaimToken::new("00ff", 1, 2, 3), want: Want::cancel(&"\u{1}".repeat(5000)) };
        assert!(wish.encode().len() <= LONGEST.1, "the longest of ours is read");
        let long = format!("{{\"want\":\"cancel\",\"by\":\"{}\"}}", "x".repeat(3000));
        assert_eq!(Wish::decode(b"00ff-1-2-3", long.as_bytes()), None);
        assert_eq!(Wish::decode(&[b'a'; 200], wish.encode().as_bytes()), None);
    }

    #[test]
    fn what_is_no_wish_is_passed_over() {
        for (claim, want) in [
            (&b"00ff-1-2-3"[..], &b""[..]),
            (b"00ff-1-2-3", b"{\"want\":\"sing\"}"),
            (b"00ff-1-2-3", b"{\"want\":\"cancel\"}"),
            (b"00ff-1-2-3", b"[1]"),
            (b"\xff", b"{\"want\":\"cancel\",\"by\":\"x\"}"),
            (b"00ff-1-2-3/watch", b"{\"want\":\"cancel\",\"by\":\"x\"}"),
            (b"00ff-1-2-3", b"{\"want\":\"watch\",\"turn\":1}"),
        ] {
            assert_eq!(Wish::decode(claim, want), None);
        }
    }
}
