//! What is wrong with the store, told once, and again when it changes.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use tokio::time::Instant;

use crate::event::{Bus, Event};
use crate::store::StoreError;
use crate::store::findings::Told;

/// What was told.
pub(super) struct Findings {
    bus: Bus,
    told: RefCell<Told>,
    /// Since when the store does not answer.
    outage: Cell<Option<Instant>>,
}

impl Findings {
    pub(super) fn new(bus: Bus) -> Self {
        Self { bus, told: RefCell::default(), outage: Cell::new(None) }
    }

    /// The store did not answer, or could not be reached.
    pub(super) fn failed(&self, doing: &str, error: &StoreError) {
        if self.outage.get().is_none() {
            self.outage.set(Some(Instant::now()));
            self.emit_error(format!("{doing}: failed to {error}; trying again"));
        }
    }

    /// The store answered.
    pub(super) fn answered(&self) {
        if let Some(since) = self.outage.take() {
            let lasted = humantime::format_duration(Duration::from_millis(
                u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
            ));
            self.bus.emit(Event::Notice { text: format!("the store answers again after {lasted}") });
        }
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
