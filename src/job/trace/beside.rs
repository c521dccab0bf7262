//! How a job's trace stands beside its bytes: at the end of its id.
//!
//! ```text
//!   <id>.<trace, 32 digits><span, 16><flags, 2><since when it is due, milliseconds, 12>
//! ```
//!
//! All digits are small hexadecimal ones. An id without that has no trace, which one look at its length tells.

use std::sync::Arc;

use super::context::{TraceContext, bytes, hex};

/// How long the end is, with its dot.
const LENGTH: usize = 1 + 32 + 16 + 2 + 12;

/// The trace that a job was enqueued in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobTrace {
    /// The span of who enqueued it.
    pub context: TraceContext,
    /// Since when it waits for a processor: when it was enqueued, or when it was due. In milliseconds since the Unix epoch.
    pub since_ms: i64,
}

impl JobTrace {
    /// The id with the trace.
    #[must_use]
    pub fn beside(&self, id: &str) -> Arc<str> {
        let TraceContext { trace, span, sampled } = &self.context;
        // 48 bits are enough for 8,900 years.
        let since = u64::try_from(self.since_ms).unwrap_or(0) & 0xffff_ffff_ffff;
        Arc::from(format!("{id}.{}{}{:02x}{since:012x}", hex(trace), hex(span), u8::from(*sampled)))
    }

    /// The trace in an id, if there is one.
    #[must_use]
    pub fn of_id(id: &str) -> Option<Self> {
        let start = id.len().checked_sub(LENGTH).filter(|&start| start > 0)?;
        let digits = id.get(start..)?.strip_prefix('.')?;
        let (trace, span) = (bytes(digits.get(..32)?)?, bytes(digits.get(32..48)?)?);
        let ([flags], since): ([u8; 1], [u8; 6]) = (bytes(digits.get(48..50)?)?, bytes(digits.get(50..)?)?);
        let since = since.iter().fold(0, |all, &byte| (all << 8) | i64::from(byte));
        let context = TraceContext::new(trace, span, flags & 1 == 1)?;
        Some(Self { context, since_ms: since })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{ClaimToken, Identity};

    fn trace() -> JobTrace {
        let context = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        JobTrace { context, since_ms: 1_790_000_000_123 }
    }

    #[test]
    fn a_trace_goes_with_the_id_through_every_stored_form() {
        let id = trace().beside("track-5c0b9a1e77aa01ff");
        assert_eq!(JobTrace::of_id(&id), Some(trace()));
        assert!(id.len() < 100, "{id}");
        let identity = Identity { id: Arc::clone(&id), ..Identity::tracked("") };
        assert!(identity.is_tracked(), "it is still tracked");
        assert_eq!(Identity::decode(&identity.next_attempt().encode()).unwrap().id, id);
        assert_eq!(Identity::from_record(&id, 2, 0).unwrap().id, id);
    }

    #[test]
    fn other_ids_have_none() {
        let zero = JobTrace { context: TraceContext { trace: [0; 16], ..trace().context }, ..trace() }.beside("a");
        let of = trace().beside("a");
        for id in [
            "",
            "a",
            ClaimToken::new("854a3ab873f5a70a", 0, 26, 12).as_str(),
            &zero,
            &of[1..],
            &of[2..],
            &of.to_uppercase(),
            &of.replace('.', "-"),
            &format!("{of}0"),
            &format!("ä{}", &of[2..]),
        ] {
            assert_eq!(JobTrace::of_id(id), None, "{id}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_id_is_read(id in ".{0,90}") {
            let _ = JobTrace::of_id(&id);
        }
    }
}
