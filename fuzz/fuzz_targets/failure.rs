//! Records of the failed list.
#![no_main]

use windlass::job::FailureView;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let view = FailureView::parse(data);
    let _ = (view.is_stuck(), view.may_be_distorted());
});
