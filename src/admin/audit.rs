//! The audit: who changed what, from where, and what came of it.
//!
//! An entry is written right after the change that it tells of, by the one who carried the change out for a person. What a
//! command or a request answers stands in it as it was answered, so that every number and name in the answer is on record.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::error::AdminError;
use crate::client::moment::Moment;
use crate::store::audit::{KeepAudit, KeptEntry, ReadAudit};
use crate::store::handle::Store;
use crate::store::role::Admin;
use crate::text::cut::shorten;

/// How long each part of an entry may be.
const LONGEST: usize = 4096;

/// How many entries are read at a time, each of which may be as long as somebody else wrote it.
const PAGE: usize = 50;

/// An entry.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct AuditEntry {
    /// When it was done, in milliseconds since the Unix epoch.
    #[serde(default)]
    pub at_ms: i64,
    /// When it was done: RFC 3339 with milliseconds, in UTC.
    #[serde(default, skip_deserializing)]
    pub at: String,
    /// Who did it, as far as that is known.
    #[serde(default)]
    pub who: String,
    /// From where: a host for commands, an address for requests.
    #[serde(default)]
    pub from: String,
    /// What was done: the words of a command, or a route.
    #[serde(default)]
    pub what: String,
    /// Of what: the rest of the command line, or the path and the body of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Was it done?
    #[serde(default)]
    pub outcome: AuditOutcome,
    /// What was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<serde_json::Value>))]
    pub result: Option<Box<RawValue>>,
    /// For people: what was done or why not, or the answer if it is too long to stand here whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<String>,
}

/// Whether a change was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AuditOutcome {
    /// It was made.
    Done,
    /// Not all of it was made, or nothing; the answer tells.
    Refused,
    /// It failed; some of it may have been made.
    #[default]
    #[serde(other)]
    Failed,
}

impl AuditOutcome {
    /// What is told if the entry of a change could not be written. `what`: who asked for the change.
    #[must_use]
    pub fn unwritten(self, what: &str, error: &str) -> String {
        let told = match self {
            Self::Done => "was carried out",
            Self::Refused => "was carried out in part, or not at all,",
            Self::Failed => "failed, and may have been carried out in part,",
        };
        format!("{what} {told} and that is not written to the audit: {error}")
    }
}

impl AuditEntry {
    /// An entry of now.
    #[must_use]
    pub fn new(at_ms: i64, who: String, from: String, what: String, outcome: AuditOutcome) -> Self {
        Self { at_ms, at: String::new(), who, from, what, request: None, outcome, result: None, told: None }
    }

    /// Adds of what it was done.
    #[must_use]
    pub fn request(mut self, request: String) -> Self {
        self.request = Some(request).filter(|request| !request.is_empty());
        self
    }

    /// Adds the answer.
    #[must_use]
    pub fn answered(mut self, answer: String) -> Self {
        if answer.len() > LONGEST {
            self.told = Some(answer);
        } else {
            match RawValue::from_string(answer) {
                Ok(answer) => self.result = Some(answer),
                Err(_) => self.told = None,
            }
        }
        self
    }

    /// Adds what people read of it: what was done, or why not.
    #[must_use]
    pub fn because(mut self, why: String) -> Self {
        self.told = Some(why);
        self
    }

    fn encode(mut self) -> Bytes {
        let told = [&mut self.who, &mut self.from, &mut self.what].into_iter();
        for text in told.chain(self.request.as_mut()).chain(self.told.as_mut()) {
            shorten(text, LONGEST);
        }
        // Texts and an answer that is JSON always become JSON.
        Bytes::from(serde_json::to_vec(&self).unwrap_or_default())
    }

    /// What stands in the store; whatever it is, it is shown.
    fn decode(KeptEntry { bytes, length }: &KeptEntry) -> Self {
        let left_out = length.saturating_sub(bytes.len() as u64);
        let unreadable = || {
            let text = String::from_utf8_lossy(bytes);
            let text = match left_out {
                0 => text.into_owned(),
                // Short enough not to be cut once more, which would tell another length.
                _ => format!("{} ({length} bytes)", &text[..text.floor_char_boundary(LONGEST / 2)]),
            };
            Self::new(0, String::new(), String::new(), "(no entry of Windlass)".to_owned(), AuditOutcome::Failed)
                .because(text)
        };
        let mut read: Self = serde_json::from_slice(bytes).unwrap_or_else(|_| unreadable());
        read.at = Moment::of_ms(read.at_ms).map(Moment::rfc3339_ms).unwrap_or_default();
        let told = [&mut read.who, &mut read.from, &mut read.what].into_iter();
        for text in told.chain(read.request.as_mut()).chain(read.told.as_mut()) {
            shorten(text, LONGEST);
        }
        if let Some(long) = read.result.take_if(|result| result.get().len() > LONGEST) {
            let mut long = String::from(Box::<str>::from(long));
            shorten(&mut long, LONGEST);
            read.told = Some(long);
        }
        read
    }
}

/// Writes an entry.
///
/// # Errors
/// Fails when the store cannot be reached or refuses it.
pub async fn keep(store: &Store<Admin>, entry: AuditEntry) -> Result<(), AdminError> {
    Ok(store.run(KeepAudit { entry: entry.encode() }).await?)
}

/// Some entries, the newest first.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct AuditPage {
    /// The entries.
    pub audit: Vec<AuditEntry>,
    /// Are there older ones?
    pub more: bool,
}

/// Entries behind the newest `skip`, at most `limit`.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn read(store: &Store<Admin>, skip: usize, limit: usize) -> Result<AuditPage, AdminError> {
    let mut audit: Vec<AuditEntry> = Vec::new();
    loop {
        let wanted = (limit - audit.len()).min(PAGE);
        let some = store.run(ReadAudit { skip: skip.saturating_add(audit.len()), limit: wanted + 1 }).await?;
        let more = some.len() > wanted;
        audit.extend(some.iter().take(wanted).map(AuditEntry::decode));
        if !more || audit.len() >= limit {
            return Ok(AuditPage { audit, more });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> AuditEntry {
        AuditEntry::new(1_795_490_778_000, "ada".into(), "web-1".into(), "failed remove".into(), AuditOutcome::Done)
    }

    fn decode(entry: &[u8]) -> AuditEntry {
        AuditEntry::decode(&KeptEntry { bytes: Bytes::copy_from_slice(entry), length: entry.len() as u64 })
    }

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let written = entry().request("--task resize".into()).answered("{\"removed\":3}".into());
        let read = decode(&written.encode());
        assert_eq!((read.who.as_str(), read.from.as_str(), read.what.as_str()), ("ada", "web-1", "failed remove"));
        assert_eq!(read.at, "2026-11-24T03:26:18.000Z");
        assert_eq!((read.request.as_deref(), read.outcome), (Some("--task resize"), AuditOutcome::Done));
        assert_eq!(read.result.unwrap().get(), "{\"removed\":3}");
    }

    #[test]
    fn an_entry_is_bounded_and_whatever_stands_there_is_shown() {
        let long = "x".repeat(100_000);
        let told = entry().request(long.clone()).answered(format!("\"{long}\"")).encode();
        assert!(told.len() < 3 * LONGEST, "{}", told.len());
        assert!(decode(&told).told.unwrap().ends_with("(100002 bytes)"));
        for strange in
            [&b"junk \xff"[..], b"{}", b"[1]", format!("\"{long}\"").as_bytes(), br#"{"outcome":"later","result":[1]}"#]
        {
            let read = decode(strange);
            assert!(read.told.as_ref().is_none_or(|told| told.len() <= LONGEST));
            assert_eq!(read.outcome, AuditOutcome::Failed);
        }
    }

    #[test]
    fn what_failed_or_was_refused_is_not_told_as_carried_out() {
        let told = |outcome: AuditOutcome| outcome.unwritten("the command", "no room");
        assert_eq!(
            told(AuditOutcome::Done),
            "the command was carried out and that is not written to the audit: no room"
        );
        assert!(told(AuditOutcome::Refused).starts_with("the command was carried out in part, or not at all,"));
        assert!(told(AuditOutcome::Failed).starts_with("the command failed, and may have been carried out in part,"));
    }

    #[test]
    fn no_entry_that_is_written_is_cut_when_it_is_read() {
        // Each of these has six letters in JSON.
        let long = || "\u{1}".repeat(100_000);
        let answer = format!("\"{}\"", "x".repeat(LONGEST - 2));
        let longest = AuditEntry::new(i64::MAX, long(), long(), long(), AuditOutcome::Refused)
            .request(long())
            .answered(answer)
            .because(long())
            .encode();
        assert!(longest.len() <= crate::store::audit::ENTRY_BYTES, "{}", longest.len());
        assert!(decode(&longest).result.is_some(), "all of it is read");
        let begun = KeptEntry { bytes: Bytes::from_static(b"{\"who\":\"ada"), length: 4_000_000 };
        let read = AuditEntry::decode(&begun);
        assert_eq!(read.told.as_deref(), Some("{\"who\":\"ada (4000000 bytes)"));
    }
}
