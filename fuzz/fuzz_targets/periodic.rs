//! Entries of periodic tasks.
#![no_main]

use windlass::store::periodic::PeriodicEntry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data)
        && let Some(entry) = PeriodicEntry::decode("task", text)
    {
        assert_eq!(PeriodicEntry::decode("task", &entry.encode()), Some(entry));
    }
});
