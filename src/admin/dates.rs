//! Dates for programs that read JSON: one form, no matter who wrote them.

use crate::client::moment::Moment;
use crate::job::date;

/// A date that a worker of any program wrote, as RFC 3339 with milliseconds, in UTC; `None` if it is none. The store keeps
/// it as it was written.
pub(super) fn rfc3339(text: Option<&str>) -> Option<String> {
    Moment::of_ms(date::parse(text?)?).map(Moment::rfc3339_ms)
}

/// A time in milliseconds since the Unix epoch in the same form; empty beyond the range of dates.
pub(super) fn rfc3339_of_ms(ms: i64) -> String {
    Moment::of_ms(ms).map(Moment::rfc3339_ms).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn every_writers_date_has_one_form() {
        for text in [
            "2026-11-24T03:26:18.000Z",
            "Tue Nov 24 2026 04:26:18 GMT+0100 (Central European Standard Time)",
            "2026/11/24 03:26:18 UTC",
        ] {
            assert_eq!(rfc3339(Some(text)).as_deref(), Some("2026-11-24T03:26:18.000Z"), "{text}");
        }
        assert_eq!((rfc3339(Some("soon")), rfc3339(None)), (None, None));
    }
}
