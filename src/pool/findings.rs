//! What is wrong in the store, told once, and again when it changes.

use std::cell::RefCell;

use crate::event::{Bus, Event};
use crate::store::StoreError;
use crate::store::findings::Told;

/// What was told of each thing.
#[derive(Default)]
pub(super) struct Findings {
    told: RefCell<Told>,
}

impl Findings {
    /// Tells of something that is passed over or left undone.
    pub(super) fn tell(&self, bus: &Bus, finding: &StoreError) {
        let about = match finding {
            StoreError::Corrupt { place, .. } => place,
            // The engine tells that itself, once for everybody.
            StoreError::MissingRights(_) => return,
            _ => "",
        };
        if self.is_news(about, finding) {
            bus.emit(Event::InternalError {
                error: format!("failed to {finding}; it is passed over until that is mended"),
            });
        }
    }

    /// Tells of a step that is refused.
    pub(super) fn refused(&self, bus: &Bus, doing: &'static str, error: &StoreError) {
        if !matches!(error, StoreError::MissingRights(_)) && self.is_news(doing, error) {
            bus.emit(Event::InternalError { error: format!("{doing}: failed to {error}; trying again") });
        }
    }

    /// The step is not refused (any more).
    pub(super) fn accepted(&self, bus: &Bus, doing: &'static str) {
        let mut told = self.told.borrow_mut();
        if told.forget(doing) {
            told.forget("");
            bus.emit(Event::Notice { text: format!("{doing}: the store takes it again") });
        }
    }

    /// Is there nothing to take back?
    pub(super) fn is_empty(&self) -> bool {
        self.told.borrow().is_empty()
    }

    /// A queue's key is as it should be.
    pub(super) fn mended(&self, queue: &str) {
        self.told.borrow_mut().forget_ending(&format!(":queue:{queue}"));
    }

    fn is_news(&self, about: &str, error: &StoreError) -> bool {
        self.told.borrow_mut().is_news(about, &error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_told_once_and_again_when_it_changes() {
        let findings = Findings::default();
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
