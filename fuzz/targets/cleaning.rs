//! What log and command line do to the texts of others before they show them.

use windlass::text::clean;

pub fn target(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let line = clean::line(&text);
    assert!(!line.contains(clean::is_unsafe));
    assert_eq!(clean::line(&line), line);
    let value = clean::value(&text);
    assert!(!value.contains(clean::is_unsafe));
    if value.starts_with('"') {
        assert_eq!(serde_json::from_str::<String>(&value).expect("it must be a string"), text);
    } else {
        assert_eq!(value, text);
    }
    if let Ok(document) = serde_json::from_slice::<serde_json::Value>(data) {
        let shown = clean::json(&text);
        assert!(!shown.contains(clean::is_unsafe));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("it must be JSON"), document);
    }
}
