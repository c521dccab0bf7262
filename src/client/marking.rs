//! The mark that an enqueue under a key leaves with its job.

use ring::digest::{SHA256, digest};
use serde::Serialize;
use serde_json::value::RawValue;

use super::request::ResolvedJob;
use crate::store::marks::Mark;

/// The longest key, in bytes.
pub const LONGEST_KEY: usize = 255;
/// The longest arguments that a mark holds, in bytes.
const LONGEST_ARGS: usize = 4096;

/// A key under which an enqueue is done once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OnceKey(String);

impl OnceKey {
    /// The key of this text for those who share `scope`. `None`: it is empty, too long or has control characters.
    #[must_use]
    pub fn new(scope: &str, text: &str) -> Option<Self> {
        let is_key = !text.is_empty() && text.len() <= LONGEST_KEY && !text.chars().any(char::is_control);
        is_key.then(|| Self(hash(&format!("{scope}\0{text}"))))
    }

    /// Under which its mark stands.
    pub(super) fn digest(&self) -> &str {
        &self.0
    }
}

/// What a mark says behind its second.
#[derive(Serialize)]
struct Told<'a> {
    task: &'a str,
    queue: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<&'a RawValue>,
}

/// An enqueue that leaves a mark.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marking<'a> {
    key: &'a OnceKey,
    fingerprint: &'a str,
}

impl<'a> Marking<'a> {
    /// Under this key, for a request of this fingerprint.
    pub(super) fn new(key: &'a OnceKey, fingerprint: &'a str) -> Self {
        Self { key, fingerprint }
    }

    /// The mark of this job.
    pub(super) fn of(&self, job: &ResolvedJob) -> Mark {
        let args = job.args.as_str();
        let args = if args.len() <= LONGEST_ARGS { serde_json::from_str(args).ok() } else { None };
        let told = Told { task: job.task.as_str(), queue: job.queue.as_str(), args };
        // Texts and JSON always become JSON.
        let told = serde_json::to_string(&told).unwrap_or_default();
        Mark {
            key: self.key.0.clone(),
            before: format!("{{\"f\":\"{}\",\"at\":", self.fingerprint),
            after: format!(",\"job\":{told}}}"),
        }
    }
}

/// SHA-256 in hexadecimal.
pub(super) fn hash(text: &str) -> String {
    digest(&SHA256, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_belongs_to_its_scope_and_is_a_short_text() {
        let key = |scope: &str, text: &str| OnceKey::new(scope, text);
        assert_eq!(key("shop", "order-7"), key("shop", "order-7"));
        assert_ne!(key("shop", "order-7"), key("web", "order-7"));
        assert!(key("", "").is_none() && key("", "a\nb").is_none() && key("", &"x".repeat(256)).is_none());
        assert!(key("", &"x".repeat(255)).is_some() && key("", "ä 7").is_some());
    }
}
