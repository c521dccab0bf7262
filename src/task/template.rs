//! Placeholders in an item of argv.
//!
//! `{to}` is a key of the first argument, `{0}` the first argument itself, `{0.to.city}` a path into it, `{job.id}` and
//! `{job.queue}` are the job's own. `{{` and `}}` are braces. Text in braces that cannot be a placeholder, such as
//! JSON, is refused.

use super::handler_spec::{Piece, Template};
use crate::config::error::closest;

/// The placeholders of the job.
const OF_JOB: [&str; 2] = ["job.id", "job.queue"];

/// Characters that no placeholder contains.
const NEVER: [char; 9] = ['{', '"', '\'', ':', ',', '[', ']', '(', ')'];

/// Why the placeholders of an item are invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// `{to`
    #[error("a brace is never closed; write {{{{ for a brace")]
    Unclosed,
    /// `to}`
    #[error("a closing brace has no opening one; write }}}} for a brace")]
    Unopened,
    /// `{}`, `{a b}`, `{.a}`
    #[error("{{{0}}} is no placeholder; write {{{{ and }}}} for braces")]
    NoPlaceholder(String),
    /// `{job.name}`
    #[error("{{{written}}} is not known; {{job.id}} and {{job.queue}} are")]
    UnknownOfJob {
        /// The text in the braces.
        written: String,
        /// The probable intention.
        suggestion: Option<&'static str>,
    },
}

impl Template {
    /// Reads an item.
    ///
    /// # Errors
    /// If braces are not balanced, or contain something that is not a placeholder.
    pub fn parse(item: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut rest = item;
        while let Some(at) = rest.find(['{', '}']) {
            text.push_str(&rest[..at]);
            let from_brace = &rest[at..];
            if from_brace.starts_with("{{") || from_brace.starts_with("}}") {
                text.push_str(&from_brace[..1]);
                rest = &from_brace[2..];
            } else if let Some(inside) = from_brace.strip_prefix('{') {
                let (written, after) = inside.split_once('}').ok_or(TemplateError::Unclosed)?;
                if !text.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                }
                pieces.push(placeholder(written)?);
                rest = after;
            } else {
                return Err(TemplateError::Unopened);
            }
        }
        text.push_str(rest);
        if !text.is_empty() || pieces.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Ok(Self { pieces })
    }

    /// The text of the item, if it has no placeholders.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Is a placeholder the first that the item holds? Then its value may begin with a dash.
    #[must_use]
    pub fn begins_with_placeholder(&self) -> bool {
        !matches!(self.first(), None | Some(Piece::Text(_)))
    }

    /// Does it begin with a value of the job's arguments?
    #[must_use]
    pub fn begins_with_argument(&self) -> bool {
        matches!(self.first(), Some(Piece::Arg { .. }))
    }

    fn first(&self) -> Option<&Piece> {
        self.pieces.iter().find(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()))
    }

    /// Does it insert a value of the job's arguments?
    #[must_use]
    pub fn takes_arguments(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Arg { .. }))
    }
}

fn placeholder(written: &str) -> Result<Piece, TemplateError> {
    let none = || TemplateError::NoPlaceholder(written.to_owned());
    if written.contains(NEVER) || written.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
        return Err(none());
    }
    let mut path: Vec<String> = written.split('.').map(str::to_owned).collect();
    if path.iter().any(String::is_empty) {
        return Err(none());
    }
    match written {
        "job.id" => return Ok(Piece::JobId),
        "job.queue" => return Ok(Piece::JobQueue),
        _ if written.starts_with("job.") => {
            let suggestion = closest(written, OF_JOB);
            return Err(TemplateError::UnknownOfJob { written: written.to_owned(), suggestion });
        }
        _ => {}
    }
    let mut index = 0;
    if path[0].bytes().all(|byte| byte.is_ascii_digit()) {
        index = path.remove(0).parse().map_err(|_| none())?;
    }
    Ok(Piece::Arg { index, path, written: written.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arg(index: usize, path: &[&str], written: &str) -> Piece {
        Piece::Arg { index, path: path.iter().map(ToString::to_string).collect(), written: written.to_owned() }
    }

    fn text(text: &str) -> Piece {
        Piece::Text(text.to_owned())
    }

    #[test]
    fn placeholders_are_told_from_text() {
        for (item, pieces) in [
            ("", vec![text("")]),
            ("plain", vec![text("plain")]),
            ("{to}", vec![arg(0, &["to"], "to")]),
            ("{0}", vec![arg(0, &[], "0")]),
            ("{1.to.city}", vec![arg(1, &["to", "city"], "1.to.city")]),
            ("{to.0}", vec![arg(0, &["to", "0"], "to.0")]),
            ("{job}", vec![arg(0, &["job"], "job")]),
            ("--to={to}!", vec![text("--to="), arg(0, &["to"], "to"), text("!")]),
            ("{job.id}-{job.queue}", vec![Piece::JobId, text("-"), Piece::JobQueue]),
            ("{{\"a\": {a}}}", vec![text("{\"a\": "), arg(0, &["a"], "a"), text("}")]),
            ("{{}}", vec![text("{}")]),
            ("{größe}", vec![arg(0, &["größe"], "größe")]),
        ] {
            assert_eq!(Template::parse(item), Ok(Template { pieces }), "{item}");
        }
    }

    #[test]
    fn braces_that_hold_no_placeholder_are_refused() {
        let told = |item| Template::parse(item).unwrap_err().to_string();
        assert_eq!(told("{to"), "a brace is never closed; write {{ for a brace");
        assert_eq!(told("to}"), "a closing brace has no opening one; write }} for a brace");
        for item in ["{}", "{a b}", "{.a}", "{a.}", "{\"a\":1}", "{99999999999999999999999}", "{a{b}"] {
            assert!(told(item).contains("is no placeholder; write {{ and }} for braces"), "{item}: {}", told(item));
        }
        assert_eq!(
            Template::parse("{job.queu}"),
            Err(TemplateError::UnknownOfJob { written: "job.queu".to_owned(), suggestion: Some("job.queue") })
        );
        assert_eq!(told("{job.name}"), "{job.name} is not known; {job.id} and {job.queue} are");
    }

    proptest::proptest! {
        #[test]
        fn any_text_can_be_written_with_its_braces_doubled(written in ".*") {
            let doubled = written.replace('{', "{{").replace('}', "}}");
            proptest::prop_assert_eq!(Template::parse(&doubled), Ok(Template { pieces: vec![text(&written)] }));
        }

        #[test]
        fn no_text_breaks_the_reader(item in "[{}a.0 job]{0,12}") {
            if let Ok(template) = Template::parse(&item) {
                proptest::prop_assert!(!template.pieces.is_empty());
            }
        }
    }
}
