//! What is wrong with the store, told once, and again when it changes.

use std::cell::RefCell;

use crate::event::{Bus, Event};
use crate::store::StoreError;
use crate::store::findings::Told;
use crate::store::outage::{Asker, Outage};

/// The end of the subjects of findings that are about no key.
const REFUSAL: &str = " (refused)";

/// What was told.
pub(super) struct Findings {
    bus: Bus,
    told: RefCell<Told>,
    outage: Outage,
}

impl Findings {
    pub(super) fn new(bus: Bus, outage: Outage) -> Self {
        Self { bus, told: RefCell::default(), outage }
    }

    /// A step failed: the store did not answer, could not be reached, or had no room; or it refuses this step, although it
    /// answers other ones, which is no outage and is told once.
    pub(super) fn failed(&self, doing: &'static str, error: &StoreError) {
        if error.is_transient() {
            self.outage.failed(&self.bus, Asker::Pool, doing, error);
        } else if !matches!(error, StoreError::MissingRights(_)) && self.is_news(doing, error) {
            self.emit_error(format!("{doing}: failed to {error}; trying again"));
        }
    }

    /// A step has to wait for something else than the store.
    pub(super) fn held_up(&self, doing: &'static str, why: &str) {
        if self.told.borrow_mut().is_news(doing, why) {
            self.emit_error(format!("{doing}: {why}; trying again"));
        }
    }

    /// The store answered.
    pub(super) fn answered(&self) {
        self.outage.answered(&self.bus, Asker::Pool);
    }

    /// Can no jobs be exchanged, although the store answers?
    pub(super) fn stuck(&self, is_stuck: bool) {
        self.outage.set_stuck(is_stuck);
    }

    /// The store passed over something or left it undone.
    pub(super) fn tell(&self, finding: &StoreError) {
        let about = match finding {
            StoreError::Corrupt { place, .. } | StoreError::Barred { place, .. } => place.clone(),
            // The engine tells that itself, once for all its callers.
            StoreError::MissingRights(_) => return,
            _ => format!("{finding}{REFUSAL}"),
        };
        if self.is_news(&about, finding) {
            self.emit_error(format!("failed to {finding}; it is passed over until that is mended"));
        }
    }

    /// The store takes the step.
    pub(super) fn accepted(&self, doing: &'static str) {
        if self.told.borrow().is_empty() {
            return;
        }
        let mut told = self.told.borrow_mut();
        if told.forget(doing) {
            told.forget_ending(REFUSAL);
            self.bus.emit(Event::Notice { text: format!("{doing}: the store takes it again") });
        }
    }

    /// A job was claimed from this queue, so its key is a list.
    pub(super) fn mended(&self, queue: &str) {
        if !self.told.borrow().is_empty() {
            self.told.borrow_mut().forget_ending(&format!(":queue:{queue}"));
        }
    }

    fn is_news(&self, about: &str, error: &StoreError) -> bool {
        self.told.borrow_mut().is_news(about, &error.to_string())
    }

    fn emit_error(&self, error: String) {
        self.bus.emit(Event::InternalError { error });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_told_once_and_again_when_it_changes() {
        let findings = Findings::new(Bus::silent(), Outage::default());
        let corrupt = |reason: &str| StoreError::Corrupt { place: "r:queue:bad".to_owned(), reason: reason.to_owned() };
        assert!(findings.is_news("r:queue:bad", &corrupt("a string")));
        assert!(!findings.is_news("r:queue:bad", &corrupt("a string")));
        assert!(findings.is_news("r:queue:worse", &corrupt("a string")), "another key");
        assert!(findings.is_news("r:queue:bad", &corrupt("a hash")), "it has changed");
        assert!(!findings.is_news("r:queue:bad", &corrupt("a string")), "two steps may find it in turn");
        findings.mended("bad");
        assert!(findings.is_news("r:queue:bad", &corrupt("a hash")), "it was mended meanwhile");
        assert!(!findings.is_news("r:queue:worse", &corrupt("a string")));
    }

    #[test]
    fn a_step_that_is_refused_is_told_once_and_when_it_is_taken_again() {
        let (bus, listeners) = Bus::new(&[u32::MAX], 1 << 20);
        let told =
            || std::iter::from_fn(|| listeners[0].try_next()).map(|event| format!("{event:?}")).collect::<Vec<_>>();
        let findings = Findings::new(bus, Outage::default());
        let corrupt = StoreError::Corrupt { place: "r:workers".to_owned(), reason: "a string".to_owned() };
        for _ in 0..20 {
            findings.failed("unregister processors", &corrupt);
            // The store takes other steps.
            findings.answered();
            for command in ["SET", "GET"] {
                findings.tell(&StoreError::Unsupported(format!("it refuses {command}")));
            }
        }
        let said = told();
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said[0].contains("unregister processors: failed to read r:workers"), "{said:?}");
        findings.accepted("unregister processors");
        findings.accepted("unregister processors");
        let said = told();
        assert!(said.len() == 1 && said[0].contains("takes it again"), "{said:?}");
        findings.failed("unregister processors", &corrupt);
        assert_eq!(told().len(), 1, "it was taken meanwhile");
    }
}
