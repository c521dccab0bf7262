//! Numbers of seconds and ids of workers, as text.

use windlass::job::WorkerName;
use windlass::store::stored::{Period, Second};

pub fn target(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        if let Ok(second) = text.parse::<Second>() {
            assert!(second.get().checked_mul(1000).is_some());
        }
        if let Ok(period) = text.parse::<Period>() {
            assert!(period.get().checked_mul(1000).is_some());
        }
        let worker = WorkerName::parse(text);
        assert_eq!(worker.id(), text);
        let _ = (worker.name(), worker.queues());
    }
}
