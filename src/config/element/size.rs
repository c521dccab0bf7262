//! Sizes: `"256MB"`, `"1GiB"`, or a bare number of bytes.

use bytesize::ByteSize;
use toml::de::DeValue;

use crate::config::reader::Value;

/// The largest size that is taken: whoever writes more has mistaken the unit.
const LARGEST: ByteSize = ByteSize::pib(1);

/// Reads a size of at least `least`, in bytes.
#[must_use]
pub fn read(value: &Value<'_>, least: ByteSize) -> Option<u64> {
    let found = match value.raw() {
        DeValue::String(text) => text.trim().parse::<ByteSize>().ok(),
        DeValue::Integer(integer) => {
            let number = i64::from_str_radix(integer.as_str(), integer.radix()).ok();
            number.and_then(|number| u64::try_from(number).ok()).map(ByteSize::b)
        }
        _ => None,
    };
    match found {
        None => value.expected("a size such as \"256MB\" or \"1GiB\", or a number of bytes"),
        Some(size) if size > LARGEST => value.expected(&format!("a size of at most {LARGEST}")),
        Some(size) if size < least => value.expected(&format!("a size of at least {least}")),
        Some(size) => return Some(size.as_u64()),
    }
    None
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::reader::Document;

    fn read_one(text: &str) -> Result<u64, String> {
        let document = Document::new(Path::new("f"), format!("a = {text}"));
        let parsed = document.parse().unwrap();
        let found = document.top(&parsed).take("a").and_then(|value| read(&value, ByteSize::mib(1)));
        drop(parsed);
        found.ok_or_else(|| document.into_problems()[0].message.clone())
    }

    #[test]
    fn sizes_are_powers_of_ten_or_of_two_as_written() {
        for (text, bytes) in [
            ("\"256MB\"", 256_000_000),
            ("\"256 MiB\"", 256 << 20),
            ("\"1.5g\"", 1_500_000_000),
            ("\" 1GiB \"", 1 << 30),
            ("2_000_000", 2_000_000),
        ] {
            assert_eq!(read_one(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        let expected = "expected a size such as \"256MB\" or \"1GiB\", or a number of bytes";
        for text in ["-1", "\"-1MB\"", "\"much\"", "\"\"", "true", "1.5", "[1]", "99999999999999999999"] {
            let message = read_one(text).unwrap_err();
            assert!(message.starts_with(expected), "{text}: {message}");
        }
        assert_eq!(read_one("256"), Err("expected a size of at least 1.0 MiB (found 256)".to_owned()));
        let most = read_one("\"1e300 MB\"").or(Err(())).or_else(|()| read_one("\"9999PiB\"")).unwrap_err();
        assert!(most.starts_with("expected a size of at most 1.0 PiB"), "{most}");
    }
}
