//! What a plugin program prints.

use windlass::fuzzing::plugin_answer;

pub fn target(data: &[u8]) {
    for error in plugin_answer(&String::from_utf8_lossy(data)) {
        assert!(error.len() < 2000 && !error.contains(char::is_control), "{error:?}");
    }
}
