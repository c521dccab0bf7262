//! What the log shows of foreign text: one line an event, nothing raw, and no value of a redacted key.

use serde_json::Value;
use windlass::fuzzing::log_lines;
use windlass::text::clean;

pub fn target(data: &[u8]) {
    let keys = ["password".to_owned(), "Token".to_owned()];
    let text = String::from_utf8_lossy(data);
    for line in log_lines(&text, &keys, false) {
        assert_one_line(&line);
    }
    for line in log_lines(&text, &keys, true) {
        let members: Value = serde_json::from_str(assert_one_line(&line)).expect("a line must be JSON");
        let args = members.get("args").and_then(Value::as_str).unwrap_or_default();
        if let Ok(args) = serde_json::from_str(args) {
            assert_hidden(&args, &keys);
        }
    }
}

fn assert_one_line(line: &str) -> &str {
    let line = line.strip_suffix('\n').expect("a line must end");
    assert!(!line.contains(clean::is_unsafe), "{line:?}");
    assert!(line.len() < 128 * 1024, "a line has {} bytes", line.len());
    line
}

fn assert_hidden(value: &Value, keys: &[String]) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| assert_hidden(item, keys)),
        Value::Object(members) => {
            for (key, member) in members {
                let secret = keys.iter().any(|secret| secret.eq_ignore_ascii_case(key));
                assert!(!secret || member == "[redacted]", "{key:?} is shown: {member}");
                assert_hidden(member, keys);
            }
        }
        _ => {}
    }
}
