//! Pings of workers.

use windlass::store::stored::Ping;

pub fn target(data: &[u8]) {
    let _ = Ping::parse(data);
}
