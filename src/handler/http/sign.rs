//! Signatures: a server can tell our requests from forged ones, and new requests from replayed ones.
//!
//! `windlass-signature: t=<unix seconds>,v1=<hex>,v2=<hex>`. `v2` is the HMAC-SHA256 under the shared secret of the time, the
//! method, the path with its query, the id and the claim as their headers have them, each followed by a line end, which none
//! of them can contain, and the body. `v1` is that of `<t>.<body>`, for servers that check no more. A request without a body
//! has no `v1`, because it would be the same for all such requests of a second.
//!
//! With two secrets there are two of each, those of the first secret first: while a secret is exchanged, a server may know
//! either.

use hyper::http::HeaderValue;
use ring::hmac;

/// Signs what one task sends.
pub(super) struct Signer(Vec<hmac::Key>);

/// What is signed of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signed<'a> {
    /// The second at which it is sent.
    pub(super) second: i64,
    /// The method.
    pub(super) method: &'a str,
    /// The path with its query.
    pub(super) path: &'a str,
    /// The value of `windlass-job-id`.
    pub(super) id: &'a [u8],
    /// The value of `windlass-claim`.
    pub(super) claim: &'a [u8],
    /// The body, if requests of this method have one.
    pub(super) body: Option<&'a [u8]>,
}

impl Signer {
    /// A signer with these secrets, the newest first.
    pub(super) fn new<'s>(secrets: impl IntoIterator<Item = &'s str>) -> Self {
        Self(secrets.into_iter().map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())).collect())
    }

    /// The value of the header.
    pub(super) fn sign(&self, request: Signed<'_>) -> HeaderValue {
        let time = request.second.to_string();
        let body = request.body.unwrap_or_default();
        let mut value = format!("t={time}");
        if request.body.is_some() {
            self.0.iter().for_each(|key| append(&mut value, "v1", key, &[time.as_bytes(), b".", body]));
        }
        let (method, path) = (request.method.as_bytes(), request.path.as_bytes());
        let parts = [time.as_bytes(), b"\n", method, b"\n", path, b"\n", request.id, b"\n", request.claim, b"\n", body];
        self.0.iter().for_each(|key| append(&mut value, "v2", key, &parts));
        HeaderValue::try_from(value).expect("digits and letters must be a header's value")
    }
}

fn append(value: &mut String, version: &str, key: &hmac::Key, parts: &[&[u8]]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut context = hmac::Context::with_key(key);
    parts.iter().for_each(|part| context.update(part));
    value.push(',');
    value.push_str(version);
    value.push('=');
    for &byte in context.sign().as_ref() {
        value.push(char::from(DIGITS[usize::from(byte >> 4)]));
        value.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: Signed<'_> = Signed {
        second: 1_795_490_778,
        method: "POST",
        path: "/jobs?a=1",
        id: b"7",
        claim: b"c",
        body: Some(br#"{"id":"1"}"#),
    };

    #[test]
    fn a_signature_is_the_hmac_of_the_request() {
        let value = Signer::new(["whsec"]).sign(REQUEST);
        // printf '1795490778.{"id":"1"}' | openssl dgst -sha256 -hmac whsec
        let v1 = "dfd7bf322bc084fb46e6433fdf3f8e8baa7071381856f0b7c3e0dbcf37e71eec";
        // printf '1795490778\nPOST\n/jobs?a=1\n7\nc\n{"id":"1"}' | openssl dgst -sha256 -hmac whsec
        let v2 = "ae19a624ef73e8aee6b5d10b3cb496a5bb26b24c47cfbfa6d62618fa1ea292f2";
        assert_eq!(value, format!("t=1795490778,v1={v1},v2={v2}"));
    }

    #[test]
    fn everything_that_tells_requests_apart_changes_the_signature() {
        let sign =
            |request| Signer::new(["whsec"]).sign(request).to_str().unwrap().rsplit_once(",v2=").unwrap().1.to_owned();
        let mut seen = vec![
            sign(REQUEST),
            sign(Signed { second: 1_795_490_779, ..REQUEST }),
            sign(Signed { method: "PUT", ..REQUEST }),
            sign(Signed { path: "/jobs?a=2", ..REQUEST }),
            sign(Signed { id: b"8", ..REQUEST }),
            sign(Signed { claim: b"d", ..REQUEST }),
            sign(Signed { body: Some(b"{}"), ..REQUEST }),
            sign(Signed { method: "GET", body: None, ..REQUEST }),
            sign(Signed { method: "DELETE", body: None, ..REQUEST }),
        ];
        let count = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), count);
        let bodyless = Signer::new(["whsec"]).sign(Signed { method: "GET", body: None, ..REQUEST });
        assert!(!bodyless.to_str().unwrap().contains("v1="), "{bodyless:?}");
    }

    #[test]
    fn while_a_secret_is_exchanged_both_sign() {
        let of = |secrets: &[&str]| Signer::new(secrets.iter().copied()).sign(REQUEST).to_str().unwrap().to_owned();
        let parts = |value: &str| value.split(',').map(str::to_owned).collect::<Vec<_>>();
        let (new, old, both) = (parts(&of(&["new"])), parts(&of(&["old"])), parts(&of(&["new", "old"])));
        assert_eq!(both, [&new[0], &new[1], &old[1], &new[2], &old[2]].map(String::clone));
    }
}
