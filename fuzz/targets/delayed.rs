//! Delayed jobs: whatever a job's bytes are, putting it off names its queue and changes nothing else.

use bytes::Bytes;
use windlass::job::queue_member::with_queue;
use windlass::job::{PayloadView, RetryKeys};

pub fn target(data: &[u8]) {
    let payload = Bytes::copy_from_slice(data);
    let delayed = with_queue(&payload, "q\"");
    match PayloadView::parse(data) {
        Ok(before) => {
            let after = PayloadView::parse(&delayed).expect("a job must stay a job");
            assert_eq!(after.queue.as_deref(), Some("q\""));
            assert_eq!((&before.class, before.raw_args()), (&after.class, after.raw_args()));
            assert_eq!(with_queue(&delayed, "q\""), delayed);
            let _ = RetryKeys::of_job(data);
        }
        Err(_) => assert_eq!(delayed, payload),
    }
}
