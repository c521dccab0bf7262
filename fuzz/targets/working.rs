//! Working records, no matter who wrote them.

use bytes::Bytes;
use windlass::job::WorkerName;
use windlass::store::working::WorkingRecord;

pub fn target(data: &[u8]) {
    let record = WorkingRecord::parse(&WorkerName::parse("host:1:*"), Bytes::copy_from_slice(data));
    assert_eq!(record.raw, data);
    assert_eq!(record.claim.is_some(), record.identity.is_some());
}
