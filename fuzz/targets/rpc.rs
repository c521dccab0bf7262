//! What an rpc child writes to its stdout: messages, one a line.

use std::time::Duration;

use windlass::fuzzing::rpc_line;
use windlass::process::lines::Lines;

/// More than is kept of a text, with what says that it was cut.
const LONGEST: usize = 16 * 1024 + 3;

pub fn target(data: &[u8]) {
    let mut lines = Lines::default();
    for chunk in data.chunks(100) {
        lines.room(chunk.len()).extend_from_slice(chunk);
        while let Some(line) = lines.take_line() {
            judge(line);
        }
    }
    judge(lines.partial());
}

fn judge(line: &[u8]) {
    match rpc_line(line) {
        Ok((texts, delay)) => {
            assert!(texts.len() <= 130);
            assert!(texts.len() < 2 || texts.iter().all(|text| text.len() <= LONGEST));
            assert!(delay.is_none_or(|delay| delay >= Duration::from_millis(1) && delay.as_secs() < 1 << 30));
        }
        // At most the beginning of the line is shown, each byte of it escaped.
        Err(error) => assert!(error.len() < 2000 && !error.contains(char::is_control), "{error:?}"),
    }
}
