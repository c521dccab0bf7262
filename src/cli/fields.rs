//! Lists of fields, for people.

use unicode_width::UnicodeWidthStr as _;

use super::output::Text;

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
    fn fields_are_aligned() {
        let mut fields = FieldList::default();
        fields.add("id", "7").maybe("gone", None).add("exception", "E\nid: 8");
        assert_eq!(fields.text().as_str(), "id:        7\nexception: E\\nid: 8\n");
    }

    #[test]
    fn wide_letters_take_two_columns() {
        let mut fields = FieldList::default();
        fields.add("日本", "1").add("abc", "2");
        assert_eq!(fields.text().as_str(), "日本: 1\nabc:  2\n");
    }
}
