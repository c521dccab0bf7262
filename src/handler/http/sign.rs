//! Signatures: a server can tell our requests from forged ones, and new requests from replayed ones.
//!
//! `windlass-signature: t=<unix seconds>,v1=<hex>`, where the hexadecimal digits are the HMAC-SHA256 of `<t>.<body>`
//! under the shared secret.

use hyper::http::HeaderValue;
use ring::hmac;

/// Signs what one task sends.
pub(super) struct Signer(hmac::Key);

impl Signer {
    pub(super) fn new(secret: &str) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()))
    }

    /// The value of the header for a body that is sent at this second.
    pub(super) fn sign(&self, second: i64, body: &[u8]) -> HeaderValue {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let time = second.to_string();
        let mut context = hmac::Context::with_key(&self.0);
        context.update(time.as_bytes());
        context.update(b".");
        context.update(body);
        let tag = context.sign();
        let mut value = format!("t={time},v1=");
        for &byte in tag.as_ref() {
            value.push(char::from(DIGITS[usize::from(byte >> 4)]));
            value.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        HeaderValue::try_from(value).expect("digits and letters must be a header's value")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_hmac_of_the_time_and_the_body() {
        let value = Signer::new("whsec").sign(1_795_490_778, br#"{"id":"1"}"#);
        // printf '1795490778.{"id":"1"}' | openssl dgst -sha256 -hmac whsec
        assert_eq!(value, "t=1795490778,v1=dfd7bf322bc084fb46e6433fdf3f8e8baa7071381856f0b7c3e0dbcf37e71eec");
    }
}
