//! Registrations of instances.

use windlass::store::instance::InstanceRecord;

pub fn target(data: &[u8]) {
    if let Ok(record) = serde_json::from_slice::<InstanceRecord>(data) {
        assert!(record.workers().len() <= 100_000);
    }
}
