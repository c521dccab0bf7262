//! What is wrong with the store, told once, and again when it changes.

use std::cell::RefCell;

use super::outage::Outage;
use crate::event::{Bus, Event};
use crate::store::StoreError;
use crate::store::findings::Told;

/// What was told.
pub(super) struct Findings {
    bus: Bus,
    told: RefCell<Told>,
    outage: Outage,
}

impl Findings {
    pub(super) fn new(bus: Bus) -> Self {
        Self { bus, told: RefCell::default(), outage: Outage::default() }
    }

    /// The store did not answer, could not be reached, or had no room.
    pub(super) fn failed(&self, doing: &str, error: &StoreError) {
        self.outage.failed(&self.bus, doing, error);
    }

    /// The store answered.
    pub(super) fn answered(&self) {
        self.outage.answered(&self.bus);
    }

    /// The store passed over something or left it undone.
    pub(super) fn tell(&self, finding: &StoreError) {
        let about = match finding {
            StoreError::Corrupt { place, .. } => place,
            // The engine tells that itself, once for all its callers.
            StoreError::MissingRights(_) => return,
            _ => "",
        };
        if self.is_news(about, finding) {
            self.emit_error(format!("failed to {finding}; it is passed over until that is mended"));
        }
    }

    /// The store refuses a step, although it answers other ones.
    pub(super) fn refused(&self, doing: &'static str, error: &StoreError) {
        if !matches!(error, StoreError::MissingRights(_)) && self.is_news(doing, error) {
            self.emit_error(format!("{doing}: failed to {error}; trying again"));
        }
    }

    /// The store takes the step.
    pub(super) fn accepted(&self, doing: &'static str) {
        if self.told.borrow().is_empty() {
            return;
        }
        let mut told = self.told.borrow_mut();
        if told.forget(doing) {
            told.forget("");
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
        let findings = Findings::new(Bus::silent());
        let corrupt = |reason: &str| StoreError::Corrupt { place: "r:queue:bad".to_owned(), reason: reason.to_owned() };
        assert!(findings.is_news("r:queue:bad", &corrupt("a string")));
        assert!(!findings.is_news("r:queue:bad", &corrupt("a string")));
        assert!(findings.is_news("r:queue:worse", &corrupt("a string")), "another key");
        assert!(findings.is_news("r:queue:bad", &corrupt("a hash")), "it has changed");
        findings.mended("bad");
        assert!(findings.is_news("r:queue:bad", &corrupt("a hash")), "it was mended meanwhile");
        assert!(!findings.is_news("r:queue:worse", &corrupt("a string")));
    }
}
