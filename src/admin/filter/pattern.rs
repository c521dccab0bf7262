//! A value in a filter: a text in which `*` may stand for any characters.

/// What a whole text has to look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    /// The texts between the stars, so that a pattern without stars is one of them.
    pieces: Vec<String>,
}

impl Pattern {
    /// The pattern of the texts between its stars.
    pub(super) fn of_pieces(pieces: Vec<String>) -> Self {
        Self { pieces }
    }

    /// Does the whole text match? The time grows with the text alone, because the first place of each piece is as good as any.
    pub(super) fn matches(&self, text: &str) -> bool {
        let Some((first, rest)) = self.pieces.split_first() else { return text.is_empty() };
        let Some((last, middle)) = rest.split_last() else { return text == first };
        let Some(mut left) = text.strip_prefix(first.as_str()).and_then(|left| left.strip_suffix(last.as_str())) else {
            return false;
        };
        for piece in middle {
            let Some((_, behind)) = left.split_once(piece.as_str()) else { return false };
            left = behind;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Pattern;

    fn pattern(text: &str) -> Pattern {
        Pattern::of_pieces(text.split('*').map(str::to_owned).collect())
    }

    /// The same by trying everything.
    fn tried(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|from| tried(rest, &text[from..])),
            Some((one, rest)) => text.split_first().is_some_and(|(first, left)| first == one && tried(rest, left)),
        }
    }

    #[test]
    fn stars_stand_for_any_characters() {
        for (written, text, matches) in [
            ("resize", "resize", true),
            ("resize", "resize2", false),
            ("img*", "img_large", true),
            ("*", "", true),
            ("a*a", "a", false),
            ("a*b*c", "a-b-b-c", true),
            ("", "x", false),
        ] {
            assert_eq!(pattern(written).matches(text), matches, "{written} {text}");
        }
    }

    proptest! {
        #[test]
        fn a_match_is_one_that_can_be_found(written in "[ab*]{0,8}", text in "[ab]{0,10}") {
            let (all, each): (Vec<char>, Vec<char>) = (written.chars().collect(), text.chars().collect());
            prop_assert_eq!(pattern(&written).matches(&text), tried(&all, &each));
        }
    }
}
