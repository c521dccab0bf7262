//! Lines and columns of a text.

/// How many bytes lie between two places that are remembered: looking a position up reads no more than that.
const STEP: usize = 1024;

/// Where the lines and columns of a text are. Looking one up takes the same time wherever it lies, so that a text with
/// many problems, on many lines or on one, is told in time that grows with its length only.
#[derive(Debug)]
pub(super) struct Positions {
    /// The offset, line and column of every `STEP`th byte, or of the character that contains it.
    places: Vec<(usize, usize, usize)>,
}

impl Positions {
    pub(super) fn of(text: &str) -> Self {
        let mut places = vec![(0, 1, 1)];
        let (mut line, mut column) = (1, 1);
        for (offset, letter) in text.char_indices() {
            if offset / STEP >= places.len() {
                places.push((offset, line, column));
            }
            (line, column) = after(letter, line, column);
        }
        Self { places }
    }

    /// The line and the column in characters, both from 1, of an offset into the text.
    pub(super) fn find(&self, text: &str, offset: usize) -> (usize, usize) {
        let at = self.places.partition_point(|&(start, ..)| start <= offset);
        let (start, line, column) = self.places.get(at.saturating_sub(1)).copied().unwrap_or((0, 1, 1));
        let between = text.get(start..offset.min(text.len())).unwrap_or_default();
        between.chars().fold((line, column), |(line, column), letter| after(letter, line, column))
    }
}

fn after(letter: char, line: usize, column: usize) -> (usize, usize) {
    if letter == '\n' { (line + 1, 1) } else { (line, column + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn every_place_is_where_counting_from_the_start_finds_it(
            parts in proptest::collection::vec("[aß\u{1F600}\n]{0,400}", 0..12),
        ) {
            let text = parts.concat();
            let positions = Positions::of(&text);
            for offset in (0..=text.len()).filter(|&offset| text.is_char_boundary(offset)).step_by(37) {
                let before = &text[..offset];
                let start = before.rfind('\n').map_or(0, |at| at + 1);
                let counted = (before.matches('\n').count() + 1, before[start..].chars().count() + 1);
                proptest::prop_assert_eq!(positions.find(&text, offset), counted);
            }
        }
    }
}
