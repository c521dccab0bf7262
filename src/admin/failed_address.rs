//! How people name a failed job.

use super::error::AdminError;
use super::id_text::{LEAST, begins};
use crate::job::{FailureView, Identity};

/// The fewest digits that count as an id; fewer are a position.
pub(super) const MIN_ID_DIGITS: usize = LEAST;

/// Can this be the id of a failure, or its beginning? In small letters or large ones.
pub(super) fn is_id(text: &str) -> bool {
    (MIN_ID_DIGITS..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// How a person names a failed job.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Address {
    Position(i64),
    Id(String),
    Job(String),
}

impl Address {
    /// What was typed, if it is no position.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Position(_) => "",
            Self::Id(text) | Self::Job(text) => text,
        }
    }

    /// Is the record of this id meant, if it is not named by its position?
    pub(super) fn names(&self, id: &str, record: &[u8]) -> bool {
        match self {
            Self::Position(_) => false,
            Self::Id(prefix) => id.starts_with(&**prefix),
            Self::Job(job) => {
                let is_its = |identity: Identity| *identity.id == **job || begins(&identity.id, job);
                FailureView::parse(record).identity.is_some_and(is_its)
            }
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, AdminError> {
        let (written, text) = (text.trim(), text.trim().to_lowercase());
        if is_id(&text) {
            return Ok(Self::Id(text));
        }
        match text.parse() {
            Ok(position) => Ok(Self::Position(position)),
            Err(_) if !written.is_empty() => Ok(Self::Job(written.to_owned())),
            Err(_) => Err(AdminError::BadAddress(format!(
                "{text:?} names no failed job: expected a position, at least {MIN_ID_DIGITS} digits of an id as a listing \
                 shows it, or the id of a job"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_digits_are_a_position_many_an_id_and_the_rest_names_a_job() {
        assert_eq!(Address::parse("0").unwrap(), Address::Position(0));
        assert_eq!(Address::parse("-1").unwrap(), Address::Position(-1));
        assert_eq!(Address::parse("1234567").unwrap(), Address::Position(1_234_567));
        assert_eq!(Address::parse("12345678").unwrap(), Address::Id("12345678".into()));
        assert_eq!(Address::parse("DEADBEEF00").unwrap(), Address::Id("deadbeef00".into()));
        for job in ["dead", "5c0b9a1e-0-17-3", "deadbeefdeadbeef0", "Host:7+1"] {
            assert_eq!(Address::parse(job).unwrap(), Address::Job(job.into()));
        }
        assert!(Address::parse(" ").is_err());
    }
}
