//! Whatever stood in a queue comes back out of its failure record.

use windlass::job::{Failure, FailureView};

pub fn target(data: &[u8]) {
    let record = Failure::new("Error", "it broke").record("host:1", "q", data, 0);
    assert_eq!(FailureView::parse(&record).payload.as_deref(), Some(data));
}
