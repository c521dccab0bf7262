//! Keeps the beginning of a text that others made, so that what is held of it is bounded.

use std::fmt::{self, Display, Write};

/// Room for the mark behind a text that was cut.
const MARK: usize = 32;

/// The text, or its beginning and how long it was. The result has at most this many bytes, so that a text that was cut is not
/// cut again. Nothing beyond them is copied, however long the text is.
#[must_use]
pub fn cut(text: impl Display, longest: usize) -> String {
    let mut kept = Kept { text: String::new(), whole: 0, longest };
    // Only a `Display` that fails by itself ends it early.
    let _ = write!(kept, "{text}");
    kept.finish()
}

/// The same of bytes, of which those that are not UTF-8 are replaced.
#[must_use]
pub fn cut_bytes(bytes: &[u8], longest: usize) -> String {
    // A replacement is longer than the byte it replaces, so this is always enough.
    let beginning = String::from_utf8_lossy(bytes.get(..longest).unwrap_or(bytes));
    let mut kept = Kept { text: String::new(), whole: 0, longest };
    kept.push(&beginning);
    kept.whole += bytes.len().saturating_sub(longest);
    kept.finish()
}

/// Cuts a text in place, and frees what it held beyond its beginning.
pub fn shorten(text: &mut String, longest: usize) {
    if text.len() > longest {
        *text = cut(&*text, longest);
    }
}

struct Kept {
    text: String,
    whole: usize,
    longest: usize,
}

impl Kept {
    fn push(&mut self, part: &str) {
        self.whole += part.len();
        let room = self.longest - self.text.len();
        self.text.push_str(part.get(..part.floor_char_boundary(room)).unwrap_or_default());
        if part.len() > room {
            // Later parts must not follow a gap.
            self.longest = self.text.len();
        }
    }

    fn finish(mut self) -> String {
        if self.whole > self.text.len() {
            self.text.truncate(self.text.floor_char_boundary(self.text.len().saturating_sub(MARK)));
            // Writing to a string does not fail.
            let _ = write!(self.text, "... ({} bytes)", self.whole);
            self.text.shrink_to_fit();
        }
        self.text
    }
}

impl Write for Kept {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.push(part);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_beginning_and_the_length_are_kept() {
        assert_eq!(cut("x".repeat(100), 100), "x".repeat(100));
        assert_eq!(cut("x".repeat(101), 100), format!("{}... (101 bytes)", "x".repeat(68)));
        assert_eq!(
            cut(format_args!("{}{}", "x".repeat(99), "y".repeat(3)), 100),
            format!("{}... (102 bytes)", "x".repeat(68))
        );
        assert_eq!(cut_bytes(b"a\xff", 40), "a\u{fffd}");
        assert_eq!(cut_bytes(&[b'x'; 5000], 40), "xxxxxxxx... (5000 bytes)");
    }

    proptest! {
        #[test]
        fn what_is_kept_is_bounded_and_cut_once(parts in proptest::collection::vec("\\PC{0,40}", 0..8), longest in 32_usize..200) {
            let text = parts.concat();
            let mut shown = cut(&text, longest);
            prop_assert!(shown.len() <= longest);
            prop_assert_eq!(shown == text, text.len() <= longest);
            let bytes = cut_bytes(text.as_bytes(), longest);
            prop_assert!(bytes.len() <= longest);
            let once = shown.clone();
            shorten(&mut shown, longest);
            prop_assert_eq!(&shown, &once);
            prop_assert_eq!(cut(&shown, longest), once);
        }
    }
}
