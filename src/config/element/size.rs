//! Sizes: `"256MB"`, or a bare number of bytes.

use bytesize::ByteSize;
use toml::de::DeValue;

use crate::config::reader::Value;

/// Reads a size of at least `min` bytes.
#[must_use]
pub fn read(value: &Value<'_>, min: u64) -> Option<u64> {
    let found = match value.raw() {
        // A quoted number without a unit is refused, because it is ambiguous.
        DeValue::String(text) if text.trim().ends_with(|last: char| last.is_ascii_alphabetic()) => {
            text.trim().parse::<ByteSize>().ok().map(|size| size.as_u64())
        }
        DeValue::Integer(integer) => u64::from_str_radix(integer.as_str(), integer.radix()).ok(),
        _ => None,
    };
    match found {
        None => value.expected("a size such as \"256MB\" or \"64KiB\", or a number of bytes"),
        Some(size) if size < min => value.expected(&format!("a size of at least {}", show(min))),
        Some(size) => return Some(size),
    }
    None
}

/// A size in the notation of the configuration.
#[must_use]
pub fn show(size: u64) -> String {
    let exact = ["MB", "MiB", "KB", "KiB"]
        .into_iter()
        .zip([1_000_000, 1 << 20, 1_000, 1 << 10])
        .find(|(_, unit)| size > 0 && size.is_multiple_of(*unit));
    exact.map_or_else(|| format!("{size}B"), |(name, unit)| format!("{}{name}", size / unit))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::reader::Document;

    fn read_one(text: &str, min: u64) -> Result<u64, String> {
        let document = Document::new(Path::new("f"), format!("a = {text}"));
        let parsed = document.parse().unwrap();
        let found = document.top(&parsed).take("a").and_then(|value| read(&value, min));
        drop(parsed);
        found.ok_or_else(|| document.into_problems()[0].message.clone())
    }

    #[test]
    fn sizes_are_read_and_shown_alike() {
        for (text, size, shown) in [
            ("\"256MB\"", 256_000_000, "256MB"),
            ("\"64 KiB\"", 65_536, "64KiB"),
            ("\"1.5GiB\"", 1_610_612_736, "1536MiB"),
            ("1000", 1000, "1KB"),
            ("0x101", 257, "257B"),
        ] {
            assert_eq!(read_one(text, 1), Ok(size), "{text}");
            assert_eq!(show(size), shown);
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["-1", "1.5", "\"256\"", "\"much\"", "\"-1KB\"", "true", "[]", "\"\"", "99999999999999999999"] {
            let message = read_one(text, 1).unwrap_err();
            assert!(message.starts_with("expected a size such as \"256MB\""), "{text}: {message}");
        }
        assert_eq!(read_one("512", 1 << 10), Err("expected a size of at least 1KiB (found 512)".to_owned()));
    }
}
