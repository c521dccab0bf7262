//! Words of a shell, for commands that people copy out of a message.

/// A text as one word of a shell, whatever it holds. What needs no quotes has none.
#[must_use]
pub fn word(text: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "/._-+,@%=:".contains(letter);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_typed_is_quoted_for_a_shell() {
        assert_eq!(word("/a/b.toml"), "/a/b.toml");
        assert_eq!(word("/a b/it's"), r"'/a b/it'\''s'");
        assert_eq!((word(""), word("$(x)")), ("''".to_owned(), "'$(x)'".to_owned()));
    }
}
