//! Payloads of jobs.

use windlass::job::{Args, PayloadView};

pub fn target(data: &[u8]) {
    if let Ok(view) = PayloadView::parse(data) {
        assert!(Args::of(&view).is_ok());
    }
}
