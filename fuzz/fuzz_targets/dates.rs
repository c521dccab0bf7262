//! Dates that workers write.
#![no_main]

use windlass::job::date;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = date::parse(text);
    }
});
