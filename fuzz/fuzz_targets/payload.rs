//! Payloads of jobs.
#![no_main]

use windlass::job::{Args, PayloadView};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(view) = PayloadView::parse(data) {
        assert!(Args::of(&view).is_ok());
    }
});
