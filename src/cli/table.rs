//! Tables and lists of fields, for people.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::output::{Text, terminal_width};
use crate::text::clean;

/// Longest cell of a listing, in columns of a terminal: a wide letter takes two.
const CELL: usize = 80;
/// To how many columns a cell is cut at most, so that a row fits into a terminal.
const NARROWEST: usize = 12;

/// Rows in aligned columns.
#[derive(Debug)]
pub(super) struct TextTable {
    rows: Vec<Vec<String>>,
    right: Vec<bool>,
    last_is_whole: bool,
}

impl TextTable {
    /// A table with these headings; a column whose heading begins with `#` holds numbers and is
    /// aligned to the right.
    #[must_use]
    pub(super) fn new(headings: &[&str]) -> Self {
        let right = headings.iter().map(|heading| heading.starts_with('#')).collect();
        let row = headings.iter().map(|heading| heading.trim_start_matches('#').to_uppercase()).collect();
        Self { rows: vec![row], right, last_is_whole: false }
    }

    /// Adds a row. Cells are escaped, and cut if they are too long for a listing.
    pub(super) fn row<const N: usize>(&mut self, cells: [&str; N]) {
        self.cells(cells);
    }

    /// The same for a table whose columns depend on what there is to show.
    pub(super) fn cells<'a>(&mut self, cells: impl IntoIterator<Item = &'a str>) {
        self.rows.push(cells.into_iter().map(|cell| clean::line(cell).into_owned()).collect());
    }

    /// Adds a row whose last cell is never cut, because people pass it to a command.
    pub(super) fn row_with_last<const N: usize>(&mut self, cells: [&str; N], last: &str) {
        self.row(cells);
        self.last_is_whole = true;
        if let Some(row) = self.rows.last_mut() {
            row.push(clean::line(last).into_owned());
        }
    }

    /// The same without the column of this heading, unless it has content.
    #[must_use]
    pub(super) fn column_if(mut self, heading: &str, has_content: bool) -> Self {
        let heading = heading.to_uppercase();
        let place = self.rows.first().and_then(|headings| headings.iter().position(|one| *one == heading));
        if let Some(place) = place.filter(|_| !has_content) {
            self.right.remove(place);
            for row in &mut self.rows {
                row.remove(place);
            }
        }
        self
    }

    /// The table's text; the last column is not padded. On a terminal it takes its width, elsewhere no cell is longer than
    /// in every listing. On a terminal that is too narrow for the columns each cell has a line of its own.
    #[must_use]
    pub(super) fn text(&self) -> Text {
        self.laid_out(terminal_width())
    }

    fn laid_out(&self, terminal: Option<usize>) -> Text {
        let longest = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max().unwrap_or(0)
        };
        let mut widths: Vec<_> = (0..self.right.len()).map(longest).collect();
        let flexible = widths.len() - usize::from(self.last_is_whole && !widths.is_empty());
        match terminal {
            None => widths.iter_mut().take(flexible).for_each(|width| *width = (*width).min(CELL)),
            Some(terminal) if fit(&mut widths, flexible, terminal) => {}
            Some(terminal) => return self.one_below_the_other(terminal),
        }
        let mut out = Text::default();
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, &width), right) in row.iter().zip(&widths).zip(&self.right) {
                let cell = shortened(cell, width);
                let padding = " ".repeat(width.saturating_sub(cell.width()));
                if *right {
                    line.push_str(&padding);
                }
                line.push_str(&cell);
                if !*right {
                    line.push_str(&padding);
                }
                line.push_str("  ");
            }
            out.push(line.trim_end());
        }
        out
    }

    /// The rows as lists of their cells, each beside its heading. Empty cells are left out.
    fn one_below_the_other(&self, terminal: usize) -> Text {
        let mut out = Text::default();
        let Some((headings, rows)) = self.rows.split_first() else { return out };
        let room = headings.iter().map(|heading| heading.width()).max().unwrap_or(0) + 1;
        for (number, row) in rows.iter().enumerate() {
            if number > 0 {
                out.push("");
            }
            for (column, (heading, cell)) in
                headings.iter().zip(row).enumerate().filter(|(_, (_, cell))| !cell.is_empty())
            {
                let is_whole = self.last_is_whole && column + 1 == headings.len();
                let most = if is_whole { usize::MAX } else { terminal.saturating_sub(room + 1).max(NARROWEST) };
                let padding = " ".repeat(room.saturating_sub(heading.width() + 1));
                out.push(format!("{heading}:{padding} {}", shortened(cell, most)));
            }
        }
        out
    }
}

/// A cell in at most so many columns.
fn shortened(cell: &str, most: usize) -> Cow<'_, str> {
    if cell.width() <= most {
        return Cow::Borrowed(cell);
    }
    let (mut width, mut end) = (1, 0);
    for (at, letter) in cell.char_indices() {
        width += letter.width().unwrap_or(0);
        if width > most {
            break;
        }
        end = at + letter.len_utf8();
    }
    Cow::Owned(format!("{}…", &cell[..end]))
}

/// Narrows the widest of the first columns until a row fits. `false` if the terminal is too narrow for that.
fn fit(widths: &mut [usize], flexible: usize, terminal: usize) -> bool {
    let gaps = 2 * widths.len().saturating_sub(1);
    loop {
        let excess = (widths.iter().sum::<usize>() + gaps).saturating_sub(terminal);
        if excess == 0 {
            return true;
        }
        let Some(columns) = widths.get_mut(..flexible) else { return false };
        let mut order: Vec<usize> = columns.to_vec();
        order.sort_unstable();
        let widest = order.last().copied().unwrap_or(0);
        if widest <= NARROWEST {
            return false;
        }
        // Down to the next widest, so that equal ones shrink together.
        let next = order.iter().rev().find(|width| **width < widest).copied().unwrap_or(0).max(NARROWEST);
        let many = columns.iter().filter(|width| **width == widest).count();
        let step = (widest - next).min(excess.div_ceil(many)).max(1);
        columns.iter_mut().filter(|width| **width == widest).for_each(|width| *width -= step);
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
        let width = self.0.iter().map(|(name, _)| name.width()).max().unwrap_or(0);
        let mut out = Text::default();
        for (name, value) in &self.0 {
            let padding = " ".repeat(width.saturating_sub(name.width()));
            out.push(format!("{name}:{padding} {value}").trim_end());
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
        assert_eq!(table.laid_out(None).as_str(), "QUEUE  LENGTH  ARGS\nmail        7  [1]\na        1200\n");
    }

    #[test]
    fn a_column_without_content_is_left_out() {
        let table = || {
            let mut table = TextTable::new(&["queue", "#jobs", "state"]);
            table.row(["mail", "7", ""]);
            table
        };
        assert_eq!(table().column_if("state", false).laid_out(None).as_str(), "QUEUE  JOBS\nmail      7\n");
        assert_eq!(table().column_if("jobs", false).laid_out(None).as_str(), "QUEUE  STATE\nmail\n");
        assert_eq!(table().column_if("jobs", true).laid_out(None).as_str(), table().laid_out(None).as_str());
    }

    #[test]
    fn what_strangers_wrote_stays_in_its_cell() {
        let mut table = TextTable::new(&["args", "key"]);
        table.row_with_last([&"x".repeat(200)], "a\nb\u{1b}[2J");
        let text = table.laid_out(None);
        let line = text.as_str().lines().nth(1).unwrap();
        assert_eq!(line, format!("{}…  a\\nb\\u001b[2J", "x".repeat(CELL - 1)));
        assert_eq!(text.as_str().lines().count(), 2);
    }

    #[test]
    fn a_terminal_is_filled_and_the_widest_cells_give_way() {
        let mut table = TextTable::new(&["id", "args", "error"]);
        table.row(["7", &"a".repeat(100), &"e".repeat(60)]);
        let wide = table.laid_out(Some(300));
        assert_eq!(wide.as_str().lines().nth(1).unwrap().chars().count(), 2 + 2 + 100 + 2 + 60, "nothing is cut");
        let narrow = table.laid_out(Some(60));
        let line = narrow.as_str().lines().nth(1).unwrap();
        assert_eq!(line, format!("7   {}…  {}…", "a".repeat(26), "e".repeat(26)));
        assert_eq!(line.chars().count(), 60);
        let key = {
            let mut table = TextTable::new(&["args", "key"]);
            table.row_with_last([&"a".repeat(100)], &"k".repeat(90));
            table.laid_out(Some(40))
        };
        assert!(key.as_str().contains(&"k".repeat(90)), "people pass it to a command");
    }

    #[test]
    fn wide_letters_take_two_columns() {
        let mut table = TextTable::new(&["queue", "#jobs"]);
        table.row(["日本", "7"]);
        table.row(["mail-ü", "12"]);
        assert_eq!(table.laid_out(None).as_str(), "QUEUE   JOBS\n日本       7\nmail-ü    12\n");
        let mut long = TextTable::new(&["args", "#jobs"]);
        long.row([&"本".repeat(60), "1"]);
        for (terminal, columns) in [(None, CELL), (Some(40), 34)] {
            let text = long.laid_out(terminal);
            let cell = text.as_str().lines().nth(1).unwrap().split(' ').next().unwrap().to_owned();
            assert!(cell.ends_with('…') && (columns - 1..=columns).contains(&cell.width()), "{cell}");
        }
        let mut fields = FieldList::default();
        fields.add("日本", "1").add("abc", "2");
        assert_eq!(fields.text().as_str(), "日本: 1\nabc:  2\n");
    }

    #[test]
    fn a_terminal_too_narrow_for_the_columns_has_a_line_for_each_cell() {
        let mut table = TextTable::new(&["#pos", "id", "queue", "args", "error"]);
        table.row(["0", "abcdefabcdef", "default", &"a".repeat(100), "oops"]);
        table.row(["1", "012345678901", "default", "[]", ""]);
        let text = table.laid_out(Some(40));
        let expected = format!(
            "POS:   0\nID:    abcdefabcdef\nQUEUE: default\nARGS:  {}…\nERROR: oops\n\n\
             POS:   1\nID:    012345678901\nQUEUE: default\nARGS:  []\n",
            "a".repeat(32)
        );
        assert_eq!(text.as_str(), expected);
        assert!(text.as_str().lines().all(|line| line.width() <= 40));
        let narrow = table.laid_out(Some(1));
        assert!(narrow.as_str().contains("ID:    abcdefabcdef\n"), "{narrow:?}");
    }

    #[test]
    fn fields_are_aligned() {
        let mut fields = FieldList::default();
        fields.add("id", "7").maybe("gone", None).add("exception", "E\nid: 8");
        assert_eq!(fields.text().as_str(), "id:        7\nexception: E\\nid: 8\n");
    }
}
