//! Registrations of instances.
#![no_main]

use windlass::store::instance::InstanceRecord;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(record) = serde_json::from_slice::<InstanceRecord>(data) {
        assert!(record.workers().len() <= 100_000);
    }
});
