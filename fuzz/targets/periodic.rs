//! Entries of periodic tasks.

use windlass::store::periodic::PeriodicEntry;

pub fn target(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Some(entry) = PeriodicEntry::decode("task", text)
    {
        assert_eq!(PeriodicEntry::decode("task", &entry.encode()), Some(entry));
    }
}
