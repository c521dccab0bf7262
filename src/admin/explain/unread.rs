//! What could not be read: it is told, and the rest is told all the same.

use super::cause::{Cause, Finding};
use crate::admin::error::AdminError;
use crate::store::StoreError;

/// What several look at.
pub(super) const FAILED: &str = "what failed lately";
pub(super) const PERIODIC: &str = "how periodic tasks stand";

/// What could not be read.
#[derive(Debug, Default)]
pub(super) struct Unread(Vec<Finding>);

impl Unread {
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
            Err(error @ AdminError::Store(StoreError::Corrupt { .. } | StoreError::Barred { .. })) => {
                self.0.push(Finding::blocks(Cause::PartlyRead, format!("{what}: not known, because windlass {error}")));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// What is to be told.
    pub(super) fn into_findings(self) -> Vec<Finding> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_concerns_one_place_leaves_the_rest_to_be_told() {
        let corrupt = StoreError::Corrupt { place: "resque:failed".into(), reason: "it is a string".into() };
        let mut unread = Unread::default();
        assert_eq!(unread.or_told("failures", Ok::<_, StoreError>(7)).unwrap(), Some(7));
        assert_eq!(unread.or_told::<u8>("failures", Err(corrupt)).unwrap(), None);
        let away = StoreError::Unavailable("gone".into());
        assert!(unread.or_told::<u8>("failures", Err(away)).is_err());
        let told: Vec<String> = unread.into_findings().into_iter().map(|one| one.text).collect();
        assert_eq!(told, ["failures: not known, because windlass failed to read resque:failed: it is a string"]);
    }
}
