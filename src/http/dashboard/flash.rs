//! What the next page says first: what came of a form. It travels in a cookie that the page takes away.

use axum::http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};

use super::words::encoded;
use crate::http::guard::session::cookie;
use crate::text::cut::cut;
use crate::text::percent::decoded;

/// The cookie's name.
const NAME: &str = "windlass_said";
/// The longest text, in bytes.
const LONGEST: usize = 240;
/// How long it waits for its page.
const LASTS_S: u32 = 60;

/// What was done, or why it was not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Flash {
    /// Was it done?
    pub(super) done: bool,
    pub(super) text: String,
}

impl Flash {
    pub(super) fn done(text: impl Into<String>) -> Self {
        Self { done: true, text: text.into() }
    }

    pub(super) fn not_done(text: impl Into<String>) -> Self {
        Self { done: false, text: text.into() }
    }

    /// What a request brings.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        serde_json::from_str(&decoded(cookie(headers, NAME)?)?).ok()
    }

    /// The header that sends it to the next page below this base.
    pub(super) fn header(&self, base: &str) -> Option<HeaderValue> {
        let told = Self { done: self.done, text: cut(&self.text, LONGEST) };
        let value = encoded(serde_json::to_string(&told).ok()?);
        let path = cookie_path(base);
        HeaderValue::try_from(format!("{NAME}={value}; Path={path}; Max-Age={LASTS_S}; HttpOnly; SameSite=Lax")).ok()
    }

    /// The header that takes it away.
    pub(super) fn gone(base: &str) -> Option<HeaderValue> {
        let path = cookie_path(base);
        HeaderValue::try_from(format!("{NAME}=; Path={path}; Max-Age=0; HttpOnly; SameSite=Lax")).ok()
    }
}

/// The path of cookies: the base itself is a page, too.
pub(super) fn cookie_path(base: &str) -> &str {
    if base.is_empty() { "/" } else { base }
}

#[cfg(test)]
mod tests {
    use axum::http::header::COOKIE;

    use super::*;

    #[test]
    fn it_arrives_as_it_was_and_anything_else_is_none() {
        let said = Flash::not_done("queue \"a;b\" é: <no>");
        let header = said.header("/jobs").unwrap();
        let cookie = header.to_str().unwrap().split(';').next().unwrap();
        let with = |cookie: &str| HeaderMap::from_iter([(COOKIE, cookie.parse().unwrap())]);
        assert_eq!(Flash::of(&with(cookie)), Some(said));
        for other in ["windlass_said=", "windlass_said=%", "windlass_said=7", "x=1"] {
            assert_eq!(Flash::of(&with(other)), None, "{other}");
        }
        let long = Flash::done("\u{1}é".repeat(1000)).header("").unwrap();
        let cookie = long.to_str().unwrap().split(';').next().unwrap().to_owned();
        assert!(Flash::of(&with(&cookie)).is_some(), "{}", cookie.len());
    }
}
