//! How the values of secret keys are found in any text.

use windlass::text::redact::Redactor;

const SECRET: &str = "s3cr3t\u{7}s3cr3t";

pub fn target(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let redactor = Redactor::new(&["password".to_owned()]);
    let shown = redactor.hide(&text);
    assert!(shown.len() <= 4 * text.len() + 16);
    // Whatever a document holds elsewhere, what stands under the key is not shown.
    if let Ok(other) = serde_json::from_slice::<serde_json::Value>(data)
        && !text.contains("s3cr3t")
    {
        let mut document = serde_json::json!({ "a": other, "Password": [SECRET, other] });
        for _ in 0..3 {
            let text = document.to_string();
            assert!(!redactor.hide(&text).contains("s3cr3t"), "{text}");
            document = serde_json::json!([text]);
        }
    }
}
