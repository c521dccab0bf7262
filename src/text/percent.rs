//! What percent signs encode in addresses: `%2F` is a slash.

/// The decoded text; `None`: a percent sign begins no byte, or the bytes are not UTF-8.
#[must_use]
pub fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
            let (high, low) = (digit()?, digit()?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_decoded_and_what_is_none_is_refused() {
        assert_eq!(decoded("a%2fb%2Fc%25 %C3%A9é").as_deref(), Some("a/b/c% éé"));
        for bad in ["%", "100%", "%2", "%zz", "%+1", "%ff", "%C3"] {
            assert_eq!(decoded(bad), None, "{bad}");
        }
    }
}
