//! Ids as people type them: whole, or their beginnings as narrow listings show them.

use std::collections::BTreeMap;

use super::error::AdminError;

/// The fewest letters of an id that are enough.
pub const LEAST: usize = 8;
/// How many jobs are named where several are meant.
const NAMED: usize = 10;

/// Is this the beginning of an id?
#[must_use]
pub fn begins(id: &str, text: &str) -> bool {
    text.len() >= LEAST && !is_whole(text) && id.starts_with(text)
}

/// Is this an id as this version gives them, so that it is not the beginning of another one? `..-0-17-1` also begins `..-0-17-12`.
#[must_use]
pub(super) fn is_whole(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<&str> = text.split('-').collect();
    matches!(parts[..], [instance, lane, sequence, slot]
        if instance.len() >= 16 && [lane, sequence, slot].into_iter().all(is_number))
}

/// The only one of these, each with what is known of it.
///
/// # Errors
/// If there are several.
pub(super) fn one_of(text: &str, mut meant: BTreeMap<String, String>) -> Result<Option<String>, AdminError> {
    if meant.contains_key(text) || meant.len() < 2 {
        return Ok(meant.remove_entry(text).or_else(|| meant.pop_first()).map(|(id, _)| id));
    }
    let more = meant.len().saturating_sub(NAMED);
    let mut candidates: Vec<String> =
        meant.into_iter().take(NAMED).map(|(id, what)| format!("{id} ({what})")).collect();
    if more > 0 {
        candidates.push(format!("and {more} more"));
    }
    Err(AdminError::Ambiguous { name: text.to_owned(), candidates })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_long_enough_and_no_whole_id() {
        let id = "854a3ab873f5a70a-0-26-12";
        for text in ["854a3ab8", "854a3ab873f5a70a", "854a3ab873f5a70a-0-2"] {
            assert_eq!(begins(id, text), text != "854a3ab873f5a70a-0-26-1", "{text}");
        }
        assert!(!begins(id, "854a3ab873f5a70a-0-26-1"), "it is another job's");
        assert!(!begins(id, "854a3ab") && !begins(id, "3ab873f5"));
        assert!(begins("track-5c0b9a1e77aa01ff", "track-5c0"));
    }

    #[test]
    fn of_several_none_is_taken_unless_one_is_named_in_full() {
        let meant = |ids: &[&str]| ids.iter().map(|id| ((*id).to_owned(), "runs".to_owned())).collect();
        assert_eq!(one_of("abcdefgh", meant(&[])).unwrap(), None);
        assert_eq!(one_of("abcdefgh", meant(&["abcdefgh-1"])).unwrap().as_deref(), Some("abcdefgh-1"));
        assert_eq!(one_of("abcdefgh", meant(&["abcdefgh", "abcdefgh-1"])).unwrap().as_deref(), Some("abcdefgh"));
        let many: Vec<String> = (0..12).map(|n| format!("abcdefgh-{n:02}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let error = one_of("abcdefgh", meant(&many)).unwrap_err().to_string();
        assert!(error.contains("abcdefgh-00 (runs), ") && error.ends_with("and 2 more"), "{error}");
    }
}
