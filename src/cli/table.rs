//! Tables, for people.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::manner::Manner;
use super::output::{Text, Tone};
use crate::text::clean;

/// Longest cell of a listing, in columns of a terminal: a wide letter takes two.
const CELL: usize = 80;
/// To how many columns a cell is cut at most, so that a row fits into a terminal.
const NARROWEST: usize = 12;
/// The same while a column may fall away instead: what is cut further says little.
const READABLE: usize = 16;

/// A column of a table.
#[derive(Debug)]
struct Column {
    heading: String,
    right: bool,
    /// Are its cells never cut?
    whole: bool,
    /// How soon it falls away; 0: never.
    rank: usize,
}

/// Rows in aligned columns.
#[derive(Debug)]
pub(super) struct TextTable {
    columns: Vec<Column>,
    rows: Vec<(Tone, Vec<String>)>,
    /// Is the last column never cut, in a pipe neither?
    last_is_whole: bool,
}

impl TextTable {
    /// A table with these headings; a column whose heading begins with `#` holds numbers: it is aligned to the right, and its
    /// cells are never cut on a terminal.
    #[must_use]
    pub(super) fn new(headings: &[&str]) -> Self {
        let column = |heading: &&str| Column {
            heading: heading.trim_start_matches('#').to_uppercase(),
            right: heading.starts_with('#'),
            whole: false,
            rank: 0,
        };
        Self { columns: headings.iter().map(column).collect(), rows: Vec::new(), last_is_whole: false }
    }

    /// Which columns fall away on a narrow terminal, the least important first. The others stay.
    #[must_use]
    pub(super) fn falling_away(mut self, headings: &[&str]) -> Self {
        for (place, heading) in headings.iter().enumerate() {
            if let Some(column) = self.column(heading) {
                column.rank = headings.len() - place;
            }
        }
        self
    }

    /// Columns whose cells are never cut on a terminal, because half of one says nothing: times, ids.
    #[must_use]
    pub(super) fn uncut(mut self, headings: &[&str]) -> Self {
        for heading in headings {
            if let Some(column) = self.column(heading) {
                column.whole = true;
            }
        }
        self
    }

    fn column(&mut self, heading: &str) -> Option<&mut Column> {
        let heading = heading.trim_start_matches('#').to_uppercase();
        self.columns.iter_mut().find(|column| column.heading == heading)
    }

    /// Adds a row. Cells are escaped, and cut if they are too long for a listing.
    pub(super) fn row<const N: usize>(&mut self, cells: [&str; N]) {
        self.cells(cells);
    }

    /// The same for a table whose columns depend on what there is to show.
    pub(super) fn cells<'a>(&mut self, cells: impl IntoIterator<Item = &'a str>) {
        self.rows.push((Tone::Plain, cells.into_iter().map(|cell| clean::line(cell).into_owned()).collect()));
    }

    /// How the last row is to be looked at.
    pub(super) fn tone(&mut self, tone: Tone) {
        if let Some((last, _)) = self.rows.last_mut() {
            *last = tone;
        }
    }

    /// Adds a row whose last cell is never cut, because people pass it to a command.
    pub(super) fn row_with_last<const N: usize>(&mut self, cells: [&str; N], last: &str) {
        self.cells(cells.into_iter().chain([last]));
        self.last_is_whole = true;
        if let Some(column) = self.columns.last_mut() {
            column.whole = true;
        }
    }

    /// The same without the column of this heading, unless it has content.
    #[must_use]
    pub(super) fn column_if(mut self, heading: &str, has_content: bool) -> Self {
        let heading = heading.to_uppercase();
        let place = self.columns.iter().position(|column| column.heading == heading);
        if let Some(place) = place.filter(|_| !has_content) {
            self.columns.remove(place);
            for (_, row) in &mut self.rows {
                row.remove(place);
            }
        }
        self
    }

    /// The table's text; the last column is not padded. On a terminal it takes its width: the widest cells give way, then
    /// columns that matter less fall away, and a line below names them. Elsewhere no cell is longer than in every listing.
    #[must_use]
    pub(super) fn text(&self, manner: Manner) -> Text {
        let all: Vec<usize> = (0..self.columns.len()).collect();
        let Some(terminal) = manner.terminal.filter(|_| !manner.wide) else {
            let is_whole = |column: usize| manner.wide || self.last_is_whole && column + 1 == all.len();
            let most = |column: usize| if is_whole(column) { usize::MAX } else { CELL };
            let widths: Vec<usize> = all.iter().map(|column| self.longest(*column).min(most(*column))).collect();
            return self.side_by_side(&all, &widths, manner);
        };
        let mut shown = all.clone();
        let mut hidden: Vec<usize> = Vec::new();
        loop {
            let next = shown.iter().copied().filter(|column| self.columns[*column].rank > 0);
            let next = next.max_by_key(|column| self.columns[*column].rank);
            let least = if next.is_some() { READABLE } else { NARROWEST };
            if let Some(widths) = self.fitted(&shown, terminal, least) {
                hidden.sort_unstable();
                let names: Vec<String> =
                    hidden.iter().map(|column| self.columns[*column].heading.to_lowercase()).collect();
                let text = self.side_by_side(&shown, &widths, manner);
                return match names.is_empty() {
                    true => text,
                    false => text.and(format!("left out: {} (--wide shows all, and --json)", names.join(", "))),
                };
            }
            let Some(next) = next else { return self.one_below_the_other(terminal) };
            shown.retain(|column| *column != next);
            hidden.push(next);
        }
    }

    fn longest(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|(_, row)| row.get(column)).map(|cell| cell.width());
        cells.max().unwrap_or(0).max(self.columns[column].heading.width())
    }

    /// The widths in which these columns fit, if they do.
    fn fitted(&self, shown: &[usize], terminal: usize, least: usize) -> Option<Vec<usize>> {
        let mut widths: Vec<usize> = shown.iter().map(|column| self.longest(*column)).collect();
        let gaps = 2 * widths.len().saturating_sub(1);
        let gives_way = |place: usize| {
            shown.get(place).is_some_and(|column| {
                let column = &self.columns[*column];
                !column.whole && !column.right
            })
        };
        fit(&mut widths, gives_way, least, terminal.saturating_sub(gaps)).then_some(widths)
    }

    fn side_by_side(&self, shown: &[usize], widths: &[usize], manner: Manner) -> Text {
        let mut out = Text::default();
        let headings: Vec<String> = self.columns.iter().map(|column| column.heading.clone()).collect();
        let heading = (Tone::Heading, headings);
        for (tone, row) in std::iter::once(&heading).chain(&self.rows) {
            let mut line = String::new();
            for (&column, &width) in shown.iter().zip(widths) {
                let cell = shortened(row.get(column).map_or("", String::as_str), width);
                let padding = " ".repeat(width.saturating_sub(cell.width()));
                if self.columns[column].right {
                    line.push_str(&padding);
                }
                line.push_str(&cell);
                if !self.columns[column].right {
                    line.push_str(&padding);
                }
                line.push_str("  ");
            }
            out.push_in(*tone, line.trim_end(), manner);
        }
        out
    }

    /// The rows as lists of their cells, each beside its heading. Empty cells are left out.
    fn one_below_the_other(&self, terminal: usize) -> Text {
        let mut out = Text::default();
        let room = self.columns.iter().map(|column| column.heading.width()).max().unwrap_or(0) + 1;
        for (number, (_, row)) in self.rows.iter().enumerate() {
            if number > 0 {
                out.push("");
            }
            for (column, cell) in self.columns.iter().zip(row).filter(|(_, cell)| !cell.is_empty()) {
                let most = if column.whole { usize::MAX } else { terminal.saturating_sub(room + 1).max(NARROWEST) };
                let padding = " ".repeat(room.saturating_sub(column.heading.width() + 1));
                out.push(format!("{}:{padding} {}", column.heading, shortened(cell, most)));
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

/// Narrows the widest of the columns that give way until a row fits, each to this width at least. `false` if it does not.
fn fit(widths: &mut [usize], gives_way: impl Fn(usize) -> bool, least: usize, terminal: usize) -> bool {
    loop {
        let excess = widths.iter().sum::<usize>().saturating_sub(terminal);
        if excess == 0 {
            return true;
        }
        let mut order: Vec<usize> =
            widths.iter().enumerate().filter(|(place, _)| gives_way(*place)).map(|(_, width)| *width).collect();
        order.sort_unstable();
        let widest = order.last().copied().unwrap_or(0);
        if widest <= least {
            return false;
        }
        // Down to the next widest, so that equal ones shrink together.
        let next = order.iter().rev().find(|width| **width < widest).copied().unwrap_or(0).max(least);
        let many = order.iter().filter(|width| **width == widest).count();
        let step = (widest - next).min(excess.div_ceil(many)).max(1);
        for (place, width) in widths.iter_mut().enumerate() {
            if *width == widest && gives_way(place) {
                *width -= step;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(terminal: Option<usize>) -> Manner {
        Manner { terminal, ..Manner::default() }
    }

    #[test]
    fn columns_are_aligned() {
        let mut table = TextTable::new(&["queue", "#length", "args"]);
        table.row(["mail", "7", "[1]"]);
        table.row(["a", "1200", ""]);
        assert_eq!(table.text(on(None)).as_str(), "QUEUE  LENGTH  ARGS\nmail        7  [1]\na        1200\n");
    }

    #[test]
    fn a_column_without_content_is_left_out() {
        let table = || {
            let mut table = TextTable::new(&["queue", "#jobs", "state"]);
            table.row(["mail", "7", ""]);
            table
        };
        assert_eq!(table().column_if("state", false).text(on(None)).as_str(), "QUEUE  JOBS\nmail      7\n");
        assert_eq!(table().column_if("jobs", false).text(on(None)).as_str(), "QUEUE  STATE\nmail\n");
        assert_eq!(table().column_if("jobs", true).text(on(None)).as_str(), table().text(on(None)).as_str());
    }

    #[test]
    fn what_strangers_wrote_stays_in_its_cell() {
        let mut table = TextTable::new(&["args", "key"]);
        table.row_with_last([&"x".repeat(200)], "a\nb\u{1b}[2J");
        let text = table.text(on(None));
        let line = text.as_str().lines().nth(1).unwrap();
        assert_eq!(line, format!("{}…  a\\nb\\u001b[2J", "x".repeat(CELL - 1)));
        assert_eq!(text.as_str().lines().count(), 2);
    }

    #[test]
    fn a_terminal_is_filled_and_the_widest_cells_give_way() {
        let mut table = TextTable::new(&["id", "args", "error"]);
        table.row(["7", &"a".repeat(100), &"e".repeat(60)]);
        let wide = table.text(on(Some(300)));
        assert_eq!(wide.as_str().lines().nth(1).unwrap().chars().count(), 2 + 2 + 100 + 2 + 60, "nothing is cut");
        let narrow = table.text(on(Some(60)));
        let line = narrow.as_str().lines().nth(1).unwrap();
        assert_eq!(line, format!("7   {}…  {}…", "a".repeat(26), "e".repeat(26)));
        assert_eq!(line.chars().count(), 60);
        let key = {
            let mut table = TextTable::new(&["args", "key"]);
            table.row_with_last([&"a".repeat(100)], &"k".repeat(90));
            table.text(on(Some(40)))
        };
        assert!(key.as_str().contains(&"k".repeat(90)), "people pass it to a command");
    }

    #[test]
    fn wide_letters_take_two_columns() {
        let mut table = TextTable::new(&["queue", "#jobs"]);
        table.row(["日本", "7"]);
        table.row(["mail-ü", "12"]);
        assert_eq!(table.text(on(None)).as_str(), "QUEUE   JOBS\n日本       7\nmail-ü    12\n");
        let mut long = TextTable::new(&["args", "#jobs"]);
        long.row([&"本".repeat(60), "1"]);
        for (terminal, columns) in [(None, CELL), (Some(40), 34)] {
            let text = long.text(on(terminal));
            let cell = text.as_str().lines().nth(1).unwrap().split(' ').next().unwrap().to_owned();
            assert!(cell.ends_with('…') && (columns - 1..=columns).contains(&cell.width()), "{cell}");
        }
    }

    #[test]
    fn a_terminal_too_narrow_for_the_columns_has_a_line_for_each_cell() {
        let mut table = TextTable::new(&["#pos", "id", "queue", "args", "error"]);
        table.row(["0", "abcdefabcdef", "default", &"a".repeat(100), "oops"]);
        table.row(["1", "012345678901", "default", "[]", ""]);
        let text = table.text(on(Some(40)));
        let expected = format!(
            "POS:   0\nID:    abcdefabcdef\nQUEUE: default\nARGS:  {}…\nERROR: oops\n\n\
             POS:   1\nID:    012345678901\nQUEUE: default\nARGS:  []\n",
            "a".repeat(32)
        );
        assert_eq!(text.as_str(), expected);
        assert!(text.as_str().lines().all(|line| line.width() <= 40));
        let narrow = table.text(on(Some(1)));
        assert!(narrow.as_str().contains("ID:    abcdefabcdef\n"), "{narrow:?}");
    }

    #[test]
    fn columns_that_matter_less_fall_away_and_are_named() {
        let table = |text: &str| {
            let headings = ["class", "since", "#attempt", "worker", "args", "id"];
            let mut table = TextTable::new(&headings).uncut(&["since"]).falling_away(&["worker", "args", "#attempt"]);
            table
                .row_with_last(["resize", "2m 5s ago", "1", "web-1-windlass:15261+1", text], "854a3ab873f5a70a-0-26-0");
            table
        };
        let long = "a".repeat(50);
        let wide = table(&long).text(on(Some(80)));
        assert_eq!(
            wide.as_str(),
            format!(
                "CLASS   SINCE      ATTEMPT  ARGS                         ID\n\
                 resize  2m 5s ago        1  {}…  854a3ab873f5a70a-0-26-0\n\
                 left out: worker (--wide shows all, and --json)\n",
                "a".repeat(26)
            )
        );
        let narrow = table(&long).text(on(Some(50)));
        assert!(narrow.as_str().starts_with("CLASS   SINCE      ID\n"), "{narrow:?}");
        assert!(
            narrow.as_str().ends_with("left out: attempt, worker, args (--wide shows all, and --json)\n"),
            "{narrow:?}"
        );
        let whole = table(&"a".repeat(200)).text(Manner { wide: true, ..on(Some(50)) });
        assert!(whole.as_str().contains(&"a".repeat(200)) && !whole.as_str().contains("left out"), "{whole:?}");
        let piped = table(&long).text(on(None));
        assert!(piped.as_str().contains(&long) && piped.as_str().contains("WORKER"), "{piped:?}");
        let coloured = table("x").text(Manner { coloured: true, ..on(Some(200)) });
        assert!(
            coloured.as_str().starts_with("\u{1b}[1mCLASS") && coloured.as_str().contains("\u{1b}[0m\nresize"),
            "{coloured:?}"
        );
    }
}
