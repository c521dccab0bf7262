//! A word on stderr from a process that must not hang on it.

use std::io::Write;
use std::sync::mpsc::channel;
use std::time::Duration;

/// How long a line may take to be written.
const PATIENCE: Duration = Duration::from_millis(500);

/// Writes a line to stderr under our name. A stderr that takes it neither now nor in half a second does not get it.
pub fn say(text: &str) {
    let line = format!("windlass: {text}\n");
    let (done, written) = channel();
    let write = move || {
        // Nobody is left to be told of an error here.
        let _ = std::io::stderr().write_all(line.as_bytes());
        let _ = done.send(());
    };
    if std::thread::Builder::new().name("say".to_owned()).spawn(write).is_ok() {
        let _ = written.recv_timeout(PATIENCE);
    }
}
