//! What could not be read: it is told, and the rest is told all the same.

use super::cause::{Cause, Finding};
use crate::admin::error::AdminError;
use crate::admin::room;
use crate::store::StoreError;
use crate::store::error::WRONG_TYPE;
use crate::store::handle::Store;
use crate::store::role::Admin;
use crate::text::shell::word;

/// What several look at.
pub(super) const FAILED: &str = "what failed lately";
pub(super) const PERIODIC: &str = "how periodic tasks stand";

/// What could not be read.
#[derive(Debug)]
pub(super) struct Unread {
    findings: Vec<Finding>,
    /// How a person asks the server.
    cli: String,
}

/// How many of a kind are told one by one.
const TOLD: usize = 10;

impl Unread {
    /// Nothing yet of this store.
    pub(super) fn of(store: &Store<Admin>) -> Self {
        Self { findings: Vec::new(), cli: room::asked(store.describe()) }
    }

    /// What was read. If the store refuses it, or something else stands in its place, that is told, and there is none.
    ///
    /// # Errors
    /// Any other failure: the rest could not be read either.
    pub(super) fn or_told<T>(
        &mut self,
        what: &str,
        read: Result<T, impl Into<AdminError>>,
    ) -> Result<Option<T>, AdminError> {
        match read.map_err(Into::into) {
            Ok(read) => Ok(Some(read)),
            Err(AdminError::Store(error @ (StoreError::Corrupt { .. } | StoreError::Barred { .. }))) => {
                self.tell(what, &error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Tells each of these.
    pub(super) fn each(&mut self, what: &str, errors: Vec<StoreError>) {
        let more = errors.len().saturating_sub(TOLD);
        errors.iter().take(TOLD).for_each(|error| self.tell(what, error));
        if more > 0 {
            let text = format!("{what}: {more} more places could not be read");
            self.findings.push(Finding::blocks(Cause::PartlyRead, text).command("windlass queues"));
        }
    }

    fn tell(&mut self, what: &str, error: &StoreError) {
        let failure = AdminError::Store(error.clone());
        let text = format!("{what}: not known, because windlass {failure}");
        let finding = Finding::blocks(Cause::PartlyRead, text);
        self.findings.push(match error {
            StoreError::Corrupt { place, reason } if reason.starts_with(WRONG_TYPE) => {
                let aside = word(&format!("{place}.aside"));
                finding.command(format!("{} RENAMENX {} {aside}", self.cli, word(place)))
            }
            _ => finding,
        });
    }

    /// What is to be told.
    pub(super) fn into_findings(self) -> Vec<Finding> {
        self.findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_concerns_one_place_leaves_the_rest_to_be_told() {
        let corrupt = StoreError::Corrupt { place: "resque:failed".into(), reason: "WRONGTYPE: it is a string".into() };
        let store = Store::without_engine("redis://h:7").narrow();
        let mut unread = Unread::of(&store);
        assert_eq!(unread.or_told("failures", Ok::<_, StoreError>(7)).unwrap(), Some(7));
        assert_eq!(unread.or_told::<u8>("failures", Err(corrupt)).unwrap(), None);
        let away = StoreError::Unavailable("gone".into());
        assert!(unread.or_told::<u8>("failures", Err(away)).is_err());
        let [told] = &unread.into_findings()[..] else { panic!("one was told") };
        assert_eq!(
            told.text,
            "failures: not known, because windlass failed to read resque:failed: WRONGTYPE: it is a string"
        );
        let command = "redis-cli -h h -p 7 RENAMENX resque:failed resque:failed.aside";
        assert_eq!(told.command.as_deref(), Some(command));
    }
}
