//! The session of a browser: a cookie that says with which token it began, and until when it lasts.
//!
//! `NAME|ROLE|EXPIRY|HMAC`, the name in hexadecimal digits. Its key comes from the token: the cookie counts on all instances that
//! have the token, and no more when the token or its role changes. The server keeps nothing.

use axum::http::HeaderMap;
use axum::http::header::COOKIE;

use crate::config::http::{HttpConfig, HttpToken};

/// Where a session begins, and where it ends.
pub(in crate::http) const LOGIN: &str = "/login";
pub(in crate::http) const LOGOUT: &str = "/logout";
/// How long a session lasts.
pub(in crate::http) const LASTS_S: i64 = 7 * 24 * 3600;

/// The cookie's name.
pub(in crate::http) const SESSION: &str = "windlass_session";
/// What is signed.
const PURPOSE: &str = "session";
/// The longest cookie that is looked at.
const LONGEST: usize = 4096;

/// The value of the cookie of a session that begins now.
pub(in crate::http) fn begin(token: &HttpToken, now_ms: i64) -> String {
    let told = told(token, now_ms / 1000 + LASTS_S);
    let made = hex(&token.sign(PURPOSE, &told));
    format!("{told}|{made}")
}

fn told(token: &HttpToken, until_s: i64) -> String {
    format!("{}|{}|{until_s}", hex(token.name.as_bytes()), token.role.name())
}

/// The token with which the session of a request began, if it lasts.
pub(super) fn holder<'h>(http: &'h HttpConfig, headers: &HeaderMap, now_ms: i64) -> Option<&'h HttpToken> {
    let value = cookie(headers, SESSION)?;
    let (told_by, made) = value.rsplit_once('|')?;
    let until_s: i64 = told_by.rsplit_once('|')?.1.parse().ok()?;
    let is_its = |token: &&HttpToken| told(token, until_s) == told_by;
    let held = http.tokens.iter().find(is_its).filter(|_| until_s > now_ms / 1000)?;
    held.has_signed(PURPOSE, told_by, &unhex(made)?).then_some(held)
}

/// A cookie of this name.
pub(in crate::http) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let values = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value).filter(|value| value.len() <= LONGEST)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let is_even = text.is_ascii() && text.len().is_multiple_of(2);
    is_even
        .then(|| (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::http::Role;

    const TEXT: &str = "a-token-of-an-administrator";

    fn http(name: &str, role: Role, text: &str) -> HttpConfig {
        HttpConfig { tokens: vec![HttpToken::new(name, role, text)], ..HttpConfig::of_this_machine() }
    }

    fn shown(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, format!("other=1; {SESSION}={value}; more=2").parse().unwrap());
        headers
    }

    #[test]
    fn a_session_lasts_its_time_and_as_long_as_its_token_is_what_it_was() {
        let (begun, ours) = (1_800_000_000_000, http("a|b é", Role::Operate, TEXT));
        let value = begin(&ours.tokens[0], begun);
        let held = |http: &HttpConfig, now_ms| holder(http, &shown(&value), now_ms).map(|token| token.role);
        let end = begun + LASTS_S * 1000;
        assert_eq!((held(&ours, begun), held(&ours, end - 1)), (Some(Role::Operate), Some(Role::Operate)));
        assert_eq!(held(&ours, end), None, "it is over");
        for other in [
            http("a|b é", Role::Admin, TEXT),
            http("a|b é", Role::Operate, "another-token-of-it"),
            http("c", Role::Operate, TEXT),
            HttpConfig::of_this_machine(),
        ] {
            assert_eq!(held(&other, begun), None, "{other:?}");
        }
    }

    #[test]
    fn no_other_cookie_is_a_session() {
        let ours = http("ada", Role::Read, TEXT);
        let value = begin(&ours.tokens[0], 0);
        let held = |value: &str| holder(&ours, &shown(value), 0).is_some();
        assert!(held(&value));
        for at in 0..value.len() {
            let mut other = value.clone();
            let letter = if &value[at..=at] == "1" { "2" } else { "1" };
            other.replace_range(at..=at, letter);
            assert!(!held(&other), "{other}");
            assert!(!held(&value[..at]), "cut at {at}");
        }
        for bad in ["", "|||", "a|b|c|d", &value.replace("read", "admin"), &format!("{value}00"), &"x|".repeat(5000)] {
            assert!(!held(bad), "{bad}");
        }
    }
}
