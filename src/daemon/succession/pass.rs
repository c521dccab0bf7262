//! By what name a daemon is asked to let another one take over, and by what token the asker is known.

use std::io;

use ring::digest::{SHA256, digest};

/// A name and a token. The parent makes them; both daemons get them beside the secrets of the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::daemon) struct Pass {
    /// The name, which everybody may know.
    pub(in crate::daemon) name: String,
    token: String,
}

impl Pass {
    /// One that nobody has.
    ///
    /// # Errors
    /// If the system gives no random numbers.
    pub(in crate::daemon) fn new() -> io::Result<Self> {
        let number = || getrandom::u64().map(|number| format!("{number:016x}")).map_err(io::Error::other);
        Ok(Self { name: number()?, token: number()? + &number()? })
    }

    /// As a text.
    pub(in crate::daemon) fn text(&self) -> String {
        format!("{} {}", self.name, self.token)
    }

    /// From a text.
    pub(in crate::daemon) fn read(text: &str) -> Option<Self> {
        let (name, token) = text.split_once(' ')?;
        let is_word = |word: &str| (16..=32).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_word(name) && is_word(token)).then(|| Self { name: name.to_owned(), token: token.to_owned() })
    }

    /// Is this the token? How long the answer takes tells nothing of it.
    pub(super) fn is(&self, token: &str) -> bool {
        digest(&SHA256, self.token.as_bytes()).as_ref() == digest(&SHA256, token.as_bytes()).as_ref()
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_read_as_it_was_written_and_nothing_else_is() {
        let pass = Pass::new().unwrap();
        assert_eq!(Pass::read(&pass.text()), Some(pass.clone()));
        assert!(pass.is(pass.token()) && !pass.is("") && !pass.is(&pass.name));
        assert_ne!(Pass::new().unwrap(), pass);
        let long = "0".repeat(64);
        for strange in
            ["", " ", "0 0", "0123456789abcdef", "0123456789abcdef 0123456789abcde\n", &format!("{long} {long}")]
        {
            assert_eq!(Pass::read(strange), None, "{strange:?}");
        }
    }
}
