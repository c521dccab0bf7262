//! A filter in the first line, and the record that it is put to.

use windlass::admin::filter::{Filter, quoted};

const NOW_MS: i64 = 1_795_490_778_000;

pub fn target(data: &[u8]) {
    let line = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (filter, record) = (&data[..line], data.get(line + 1..).unwrap_or_default());
    let Ok(filter) = std::str::from_utf8(filter) else { return };
    match Filter::parse(filter, NOW_MS) {
        Ok(asked) => {
            let _ = asked.is_met_by(record);
        }
        Err(error) => assert!((1..=filter.chars().count() + 1).contains(&error.place), "{error}"),
    }
    if let Ok(text) = Filter::parse(&format!("text:{}", quoted(filter)), NOW_MS) {
        assert!(!filter.is_empty() && text.is_met_by(filter.as_bytes()), "what is quoted is found");
    }
}
