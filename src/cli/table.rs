//! Tables and lists of fields, for people.

use super::output::Text;
use crate::text::clean;

/// Longest cell of a listing, in characters.
const CELL: usize = 80;

/// Rows in aligned columns.
#[derive(Debug)]
pub(super) struct TextTable {
    rows: Vec<Vec<String>>,
    right: Vec<bool>,
}

impl TextTable {
    /// A table with these headings; a column whose heading begins with `#` holds numbers and is
    /// aligned to the right.
    #[must_use]
    pub(super) fn new(headings: &[&str]) -> Self {
        let right = headings.iter().map(|heading| heading.starts_with('#')).collect();
        let row = headings.iter().map(|heading| heading.trim_start_matches('#').to_uppercase()).collect();
        Self { rows: vec![row], right }
    }

    /// Adds a row. Cells are escaped, and cut if they are too long for a listing.
    pub(super) fn row<const N: usize>(&mut self, cells: [&str; N]) {
        let cell = |cell: &&str| {
            let text = clean::line(cell).into_owned();
            if text.chars().count() <= CELL {
                text
            } else {
                text.chars().take(CELL - 1).chain(std::iter::once('…')).collect()
            }
        };
        self.rows.push(cells.iter().map(cell).collect());
    }

    /// Adds a row whose last cell is never cut, because people pass it to a command.
    pub(super) fn row_with_last<const N: usize>(&mut self, cells: [&str; N], last: &str) {
        self.row(cells);
        if let Some(row) = self.rows.last_mut() {
            row.push(clean::line(last).into_owned());
        }
    }

    /// The table's text; the last column is not padded.
    #[must_use]
    pub(super) fn text(&self) -> Text {
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..self.right.len()).map(width).collect();
        let mut out = Text::default();
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, width), right) in row.iter().zip(&widths).zip(&self.right) {
                let padding = " ".repeat(width - cell.chars().count());
                if *right {
                    line.push_str(&padding);
                    line.push_str(cell);
                } else {
                    line.push_str(cell);
                    line.push_str(&padding);
                }
                line.push_str("  ");
            }
            out.push(line.trim_end());
        }
        out
    }
}

/// `name: value` lines, aligned; values are never cut.
#[derive(Debug, Default)]
pub(super) struct FieldList(Vec<(String, String)>);

impl FieldList {
    /// Adds a line.
    pub(super) fn add(&mut self, name: &str, value: &str) -> &mut Self {
        self.0.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a line if there is a value.
    pub(super) fn maybe(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.add(name, value);
        }
        self
    }

    /// The lines.
    #[must_use]
    pub(super) fn text(&self) -> Text {
        let width = self.0.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0) + 1;
        let mut out = Text::default();
        for (name, value) in &self.0 {
            let line = format!("{:width$} {value}", format!("{name}:"));
            out.push(line.trim_end());
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = TextTable::new(&["queue", "#length", "args"]);
        table.row(["mail", "7", "[1]"]);
        table.row(["a", "1200", ""]);
        assert_eq!(table.text().as_str(), "QUEUE  LENGTH  ARGS\nmail        7  [1]\na        1200\n");
    }

    #[test]
    fn what_strangers_wrote_stays_in_its_cell() {
        let mut table = TextTable::new(&["args", "key"]);
        table.row_with_last([&"x".repeat(200)], "a\nb\u{1b}[2J");
        let text = table.text();
        let line = text.as_str().lines().nth(1).unwrap();
        assert_eq!(line, format!("{}…  a\\nb\\u001b[2J", "x".repeat(CELL - 1)));
        assert_eq!(text.as_str().lines().count(), 2);
    }

    #[test]
    fn fields_are_aligned() {
        let mut fields = FieldList::default();
        fields.add("id", "7").maybe("gone", None).add("exception", "E\nid: 8");
        assert_eq!(fields.text().as_str(), "id:        7\nexception: E\\nid: 8\n");
    }
}
