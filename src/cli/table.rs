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

/// How a line below its row begins.
const BENEATH: &str = "    ";

/// A column of a table.
#[derive(Debug)]
struct Column {
    heading: String,
    right: bool,
    /// Are its cells never cut?
    whole: bool,
    /// How soon it falls away; 0: never.
    rank: usize,
    /// Has it a line of its own below its row where it falls away?
    beneath: bool,
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
            beneath: false,
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

    /// A column that gets a line of its own below each row where it would fall away, because it matters too much.
    #[must_use]
    pub(super) fn else_beneath(mut self, heading: &str) -> Self {
        if let Some(column) = self.column(heading) {
            column.beneath = true;
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
        self.rows.push((Tone::Plain, cells.into_iter().map(|cell| clean::cell(cell).into_owned()).collect()));
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
            return self.side_by_side(&all, &widths, &[], manner);
        };
        let mut shown = all.clone();
        let mut hidden: Vec<usize> = Vec::new();
        loop {
            let next = shown.iter().copied().filter(|column| self.columns[*column].rank > 0);
            let next = next.max_by_key(|column| self.columns[*column].rank);
            let least = if next.is_some() { READABLE } else { NARROWEST };
            if let Some(widths) = self.fitted(&shown, terminal, least) {
                hidden.sort_unstable();
                let (beneath, hidden): (Vec<usize>, Vec<usize>) =
                    hidden.iter().partition(|column| self.columns[**column].beneath);
                let names: Vec<String> =
                    hidden.iter().map(|column| self.columns[*column].heading.to_lowercase()).collect();
                let text = self.side_by_side(&shown, &widths, &beneath, manner);
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

    fn side_by_side(&self, shown: &[usize], widths: &[usize], beneath: &[usize], manner: Manner) -> Text {
        let mut out = Text::default();
        let headings: Vec<String> = self.columns.iter().map(|column| column.heading.clone()).collect();
        let heading = (Tone::Heading, headings);
        for (number, (tone, row)) in std::iter::once(&heading).chain(&self.rows).enumerate() {
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
            for cell in
                beneath.iter().filter_map(|column| row.get(*column)).filter(|cell| number > 0 && !cell.is_empty())
            {
                let room = manner.terminal.unwrap_or(CELL).saturating_sub(BENEATH.len()).max(NARROWEST);
                out.push_in(*tone, format!("{BENEATH}{}", shortened(cell, room)), manner);
            }
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
mod tests;
