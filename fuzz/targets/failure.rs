//! Records of the failed list.

use windlass::job::FailureView;

pub fn target(data: &[u8]) {
    let view = FailureView::parse(data);
    let _ = (view.is_stuck(), view.may_be_distorted());
}
