//! Whatever stood in a queue comes back out of its failure record, but for white space around an object.

use windlass::job::{Failure, FailureView};

pub fn target(data: &[u8]) {
    let record = Failure::new("Error", "it broke").record("host:1", "q", data, 0);
    let found = FailureView::parse(&record).payload.unwrap_or_default();
    if found != data {
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        let from = data.iter().position(|byte| !is_space(byte)).unwrap_or(0);
        let to = data.iter().rposition(|byte| !is_space(byte)).map_or(0, |last| last + 1);
        assert_eq!((&found[..], data.get(from)), (&data[from..to], Some(&b'{')));
    }
}
