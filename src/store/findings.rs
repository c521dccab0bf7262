//! What an engine finds that is not the error of a call: records that cannot be read, a server that lacks something.
//!
//! Engines report findings as data and never wait for the listener. A finding is reported once, and again when it has
//! changed or was not found for a while, because the same bad record is found each time it is read.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use super::mutex::lock;
use super::unreadable::{PassedOver, RecordKind, Unreadable};
use crate::event::{Bus, Event};

/// A finding that did not occur for this long is reported again when it occurs.
const FORGOTTEN: Duration = Duration::from_secs(600);
/// The largest number of subjects that are remembered.
const MAX_SUBJECTS: usize = 1024;

/// Where the findings of an engine go. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Findings {
    bus: Bus,
    told: Arc<Mutex<Told>>,
    /// How many records of each kind, or of each part of a kind, the last look at them passed over.
    unreadable: Arc<Mutex<BTreeMap<LookedAt, Unreadable>>>,
}

/// Which records a look was at: all of a kind, or a part of them by its name.
type LookedAt = (RecordKind, Option<String>);

/// How many findings of a subject are remembered: two steps may be refused in turn for different reasons.
const MAX_FINDINGS: usize = 8;

/// The last reported findings of each subject.
#[derive(Debug, Default)]
pub struct Told(HashMap<String, Vec<Finding>>);

#[derive(Debug)]
struct Finding {
    text: String,
    found: Instant,
}

impl Told {
    /// Notes a finding. Returns whether it must be reported: it is new, or it was not found for a while.
    pub fn is_news(&mut self, subject: &str, text: &str) -> bool {
        let now = Instant::now();
        if let Some(known) = self.0.get_mut(subject) {
            if let Some(known) = known.iter_mut().find(|known| known.text == text) {
                let is_known = now.duration_since(known.found) < FORGOTTEN;
                known.found = now;
                return !is_known;
            }
            if known.len() >= MAX_FINDINGS {
                known.remove(0);
            }
            known.push(Finding { text: text.to_owned(), found: now });
            return true;
        }
        if self.0.len() >= MAX_SUBJECTS {
            self.0.retain(|_, known| known.iter().any(|known| now.duration_since(known.found) < FORGOTTEN));
        }
        if self.0.len() >= MAX_SUBJECTS {
            self.0.clear();
        }
        self.0.insert(subject.to_owned(), vec![Finding { text: text.to_owned(), found: now }]);
        true
    }

    /// Forgets a subject. Returns whether it was known.
    pub fn forget(&mut self, subject: &str) -> bool {
        self.0.remove(subject).is_some()
    }

    /// Forgets all subjects whose names end with `end`.
    pub fn forget_ending(&mut self, end: &str) {
        self.0.retain(|subject, _| !subject.ends_with(end));
    }

    /// Is no subject known?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Findings {
    /// Findings as warnings on this bus.
    #[must_use]
    pub fn new(bus: Bus) -> Self {
        Self { bus, told: Arc::default(), unreadable: Arc::default() }
    }

    /// Reports a finding about a subject, such as a key, as a warning, unless it was reported already.
    pub fn tell(&self, subject: &str, text: String) {
        if self.told().is_news(subject, &text) {
            self.bus.emit(Event::Warning { text });
        }
    }

    /// The same as an internal error, for findings that stop work.
    pub fn complain(&self, subject: &str, error: String) {
        if self.told().is_news(subject, &error) {
            self.bus.emit(Event::InternalError { error });
        }
    }

    /// Reports that a subject is in order again, if a finding about it was reported.
    pub fn mended(&self, subject: &str, text: &str) {
        if self.told().forget(subject) {
            self.bus.emit(Event::Notice { text: text.to_owned() });
        }
    }

    /// Takes note of what a look at records of a kind passed over, also if that is nothing. That all can be read again is told by
    /// a look at the same records that came to all of them, and by no other.
    pub fn passed_over(&self, passed: &PassedOver, place: &str) {
        let PassedOver { kind, count, part, is_whole, .. } = passed;
        let subject = match part {
            None => kind.noun(0).to_owned(),
            Some(part) => format!("{}: {part}", kind.noun(0)),
        };
        let looked_at = (*kind, part.clone());
        let mut unreadable = lock(&self.unreadable);
        if *count > 0 {
            let text = passed.text(place);
            // Strangers can name any number of parts.
            if unreadable.len() < MAX_SUBJECTS || unreadable.contains_key(&looked_at) {
                unreadable.insert(looked_at, Unreadable { kind: *kind, count: *count, text: text.clone() });
            }
            drop(unreadable);
            self.tell(&subject, text);
        } else if *is_whole && unreadable.remove(&looked_at).is_some() {
            drop(unreadable);
            self.mended(&subject, &format!("all {} in {place} can be read again", kind.noun(0)));
        }
    }

    /// How many records of each kind the last look at all of them passed over, where it was any.
    #[must_use]
    pub fn unreadable(&self) -> Vec<Unreadable> {
        let unreadable = lock(&self.unreadable);
        unreadable.iter().filter(|((_, part), _)| part.is_none()).map(|(_, unreadable)| unreadable.clone()).collect()
    }

    /// Did the last look at all records of this kind pass over any?
    #[must_use]
    pub fn passes_over(&self, kind: RecordKind) -> bool {
        lock(&self.unreadable).contains_key(&(kind, None))
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        lock(&self.told)
    }
}

impl Default for Findings {
    /// Findings that nobody receives.
    fn default() -> Self {
        Self::new(Bus::silent())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_same_is_told_once_and_again_when_it_has_changed_or_is_news() {
        let (bus, listeners) = Bus::new(&[u32::MAX], 1 << 20);
        let findings = Findings::new(bus);
        let told = || std::iter::from_fn(|| listeners[0].try_next()).count();
        for _ in 0..2000 {
            findings.tell("queue a", "is no list".to_owned());
        }
        assert_eq!(told(), 1);
        findings.tell("queue b", "is no list".to_owned());
        findings.tell("queue a", "is a string".to_owned());
        assert_eq!(told(), 2);
        // Two steps that are refused in turn, each with its own words.
        for _ in 0..20 {
            findings.tell("queue a", "is no list".to_owned());
            findings.tell("queue a", "is a string".to_owned());
        }
        assert_eq!(told(), 0);
        // Found again and again: still known after an hour.
        for _ in 0..12 {
            tokio::time::advance(FORGOTTEN / 2).await;
            findings.tell("queue a", "is a string".to_owned());
        }
        assert_eq!(told(), 0);
        tokio::time::advance(FORGOTTEN).await;
        findings.tell("queue a", "is a string".to_owned());
        assert_eq!(told(), 1);
        for n in 0..5 * MAX_SUBJECTS {
            findings.tell(&n.to_string(), String::new());
        }
        assert!(findings.told().0.len() <= MAX_SUBJECTS);
    }
    #[test]
    fn what_is_passed_over_is_counted_and_told_when_the_count_changes() {
        let (bus, listeners) = Bus::new(&[u32::MAX], 1 << 20);
        let findings = Findings::new(bus);
        let mut told = Vec::new();
        for broken in [0, 2, 2, 3, 1, 0, 0] {
            let mut passed = PassedOver::new(RecordKind::Instance);
            (0..broken).for_each(|n| passed.add(&[b'a' + n], "junk"));
            findings.passed_over(&passed, "here");
            let counts: Vec<_> = findings.unreadable().iter().map(|one| (one.kind, one.count)).collect();
            let is_any = Some(u64::from(broken)).filter(|count| *count > 0);
            assert_eq!(counts, is_any.map(|count| (RecordKind::Instance, count)).into_iter().collect::<Vec<_>>());
            told.extend(std::iter::from_fn(|| listeners[0].try_next()));
        }
        let told: Vec<String> = told.iter().map(|event| format!("{event:?}")).collect();
        assert_eq!(told.len(), 4, "{told:?}");
        for (line, expected) in
            told.iter().zip(["2 reg", "3 reg", "1 reg", "all registrations of instances in here can"])
        {
            assert!(line.contains(expected), "{line}");
        }
    }
    #[test]
    fn only_a_look_at_all_of_the_same_records_tells_that_they_can_be_read_again() {
        let (bus, listeners) = Bus::new(&[u32::MAX], 1 << 20);
        let findings = Findings::new(bus);
        let told =
            || std::iter::from_fn(|| listeners[0].try_next()).map(|event| format!("{event:?}")).collect::<Vec<_>>();
        let look = |kind, part: Option<&str>, broken: bool, ends_early: bool| {
            let mut passed = PassedOver::new(kind);
            if let Some(part) = part {
                passed = passed.of(part);
            }
            if broken {
                passed.add(b"x", "junk");
            }
            if ends_early {
                passed.ends_early();
            }
            findings.passed_over(&passed, "here");
        };
        let (run, instance) = (RecordKind::Run, RecordKind::Instance);
        for _ in 0..3 {
            look(run, Some("a"), true, false);
            look(run, Some("b"), false, false);
            look(instance, None, true, false);
            look(instance, None, false, true);
        }
        assert_eq!(told().len(), 2, "one line for each, and no word of another part or of a look that ended early");
        assert_eq!(findings.unreadable().len(), 1, "a part does not count as all");
        assert!(findings.passes_over(instance) && !findings.passes_over(run));
        for _ in 0..3 {
            look(run, Some("a"), false, false);
            look(instance, None, false, false);
        }
        let again = told();
        assert!(again.len() == 2 && again.iter().all(|line| line.contains("can be read again")), "{again:?}");
        // Any number of parts is bounded.
        (0..3 * MAX_SUBJECTS).for_each(|n| look(run, Some(&n.to_string()), true, false));
        assert!(lock(&findings.unreadable).len() <= MAX_SUBJECTS);
    }
}
