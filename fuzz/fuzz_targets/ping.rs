//! Pings of workers.
#![no_main]

use windlass::store::stored::Ping;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = Ping::parse(data);
});
