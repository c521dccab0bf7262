//! What the leader tells of the queues, and the curves that it keeps for the next one.

use windlass::curve::{QueueCurve, QueueSample};
use windlass::store::snapshot::{MOST_QUEUES, Snapshot};

pub fn target(data: &[u8]) {
    if let Ok(snapshot) = Snapshot::read(data) {
        assert!(snapshot.queues.len() <= MOST_QUEUES);
        assert_eq!(Snapshot::read(&snapshot.encode()), Ok(snapshot.clone()));
        let _ = (snapshot.is_fresh(i64::MAX), snapshot.is_fresh(0), snapshot.age_ms(i64::MIN));
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Some(mut curve) = QueueCurve::unpack(text)
    {
        assert_eq!(curve.pack().as_deref().and_then(QueueCurve::unpack).and_then(|curve| curve.age()), curve.age());
        for (at_ms, length, departed) in [(0, 3, 7), (i64::MAX, u64::MAX, i64::MIN), (i64::MAX, 1, i64::MAX)] {
            let unsure = Some(i64::MAX);
            curve.add(QueueSample { at_ms, length, departed, unsure, others: false, head: None, oldest_ms: None });
            assert!(curve.age().is_none_or(|age| age.at_most_ms.is_none_or(|most| age.at_least_ms <= most)));
            let _ = (curve.flow(), curve.pack());
        }
    }
}
