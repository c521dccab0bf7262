//! `traceparent`, as W3C Trace Context writes it: `00-<trace>-<span>-<flags>`.

use std::fmt;

/// The longest text that is read. Later versions of the standard may append to the four parts.
const LONGEST: usize = 512;

/// The id of a trace; never all zeros.
pub type TraceId = [u8; 16];
/// The id of a span; never all zeros.
pub type SpanId = [u8; 8];

/// A span of a trace, as others continue it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceContext {
    /// The trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
    /// Is it recorded?
    pub sampled: bool,
}

impl TraceContext {
    /// This span of this trace. `None` if an id is all zeros.
    #[must_use]
    pub fn new(trace: TraceId, span: SpanId, sampled: bool) -> Option<Self> {
        (trace != [0; 16] && span != [0; 8]).then_some(Self { trace, span, sampled })
    }

    /// Reads a `traceparent`; `None` for anything that is none: then there is no trace to continue.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = Some(text.trim_matches([' ', '\t'])).filter(|text| text.len() <= LONGEST)?;
        let mut parts = text.splitn(5, '-');
        let version = parts.next().and_then(bytes::<1>).filter(|version| *version != [0xff])?;
        let (trace, span) = (bytes(parts.next()?)?, bytes(parts.next()?)?);
        let [flags] = bytes(parts.next()?)?;
        let is_whole = version != [0] || parts.next().is_none();
        Self::new(trace, span, flags & 1 == 1).filter(|_| is_whole)
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", hex(&self.trace), hex(&self.span), u8::from(self.sampled))
    }
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Exactly so many bytes of small hexadecimal digits.
pub(super) fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut out = [0; N];
    for (byte, [high, low]) in out.iter_mut().zip(pairs) {
        *byte = (digit(*high)? << 4) | digit(*low)?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_context_is_read_and_written_as_the_standard_has_it() {
        let context = TraceContext::parse(GOOD).unwrap();
        assert_eq!((context.to_string().as_str(), context.sampled), (GOOD, true));
        assert_eq!((context.trace[0], context.span[7]), (0x4b, 0xb7));
        let unsampled = TraceContext::parse(&GOOD.replace("-01", "-02")).unwrap();
        assert!(!unsampled.sampled, "only the lowest flag says that it is recorded");
        // Versions that are not known yet may say more.
        for later in [GOOD.replacen("00", "cc", 1), format!("{}-what-comes", GOOD.replacen("00", "01", 1))] {
            assert_eq!(TraceContext::parse(&later), Some(context), "{later}");
        }
    }

    #[test]
    fn what_is_no_context_is_ignored() {
        let zeros = (
            GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)),
        );
        let long = format!("{}-{}", GOOD.replacen("00", "01", 1), "x".repeat(LONGEST));
        for bad in [
            "",
            "00",
            "x",
            &zeros.0,
            &zeros.1,
            &long,
            &GOOD.replacen("00", "ff", 1),
            &GOOD.to_uppercase(),
            &format!("{GOOD}-more"),
            &GOOD[..54],
            &GOOD.replace('-', "_"),
            &GOOD.replace("01", "1"),
            &GOOD.replace("4bf", "4bä"),
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::parse(bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_text_is_judged(text in ".*") {
            if let Some(context) = TraceContext::parse(&text) {
                proptest::prop_assert_eq!(TraceContext::parse(&context.to_string()), Some(context));
            }
        }
    }
}
