//! Dates that workers write.

use windlass::job::date;

pub fn target(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = date::parse(text);
    }
}
