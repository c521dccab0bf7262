//! Times and delays as people write them.

use windlass::client::moment::{Moment, parse_delay};

pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(moment) = Moment::parse(text) {
        let again = Moment::parse(&moment.rfc3339()).expect("a shown time must be one");
        // Beyond the years of RFC 3339, whole seconds are shown.
        assert_eq!(again.ms().div_euclid(1000), moment.ms().div_euclid(1000));
        let _ = (moment.second(), moment.rfc3339_ms());
    }
    if let Ok(delay) = parse_delay(text) {
        assert!(delay.checked_add(1 << 60).is_some());
    }
}
