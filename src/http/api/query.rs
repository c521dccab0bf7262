//! The parameters behind the `?` of a request. What a route does not know is refused, so that a misspelt filter does not
//! match everything.

use std::borrow::Cow;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::client::request::nearest;
use crate::http::problem::{Kind, Problem};
use crate::text::percent::decoded;

/// The most parameters that are read.
const MOST: usize = 32;

/// The parameters, decoded.
#[derive(Debug, Clone, Default)]
pub(in crate::http) struct Query(Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::parse(parts.uri.query().unwrap_or_default())
    }
}

impl Query {
    pub(in crate::http) fn parse(text: &str) -> Result<Self, Problem> {
        let mut all: Vec<(String, String)> = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            if all.len() >= MOST {
                return Err(Problem::new(Kind::Malformed, format!("expected at most {MOST} parameters")));
            }
            if all.iter().any(|(known, _)| *known == name) {
                let problem = Problem::new(Kind::Malformed, format!("the parameter {name:?} is given twice"));
                return Err(problem.wrong(format!("?{name}"), "one value", "several"));
            }
            all.push((name, value));
        }
        Ok(Self(all))
    }

    /// Refuses all parameters but these.
    pub(in crate::http) fn only(self, known: &[&str]) -> Result<Self, Problem> {
        let Some((other, _)) = self.0.iter().find(|(name, _)| !known.contains(&name.as_str())) else { return Ok(self) };
        let expected = if known.is_empty() { "no parameters".to_owned() } else { known.join(", ") };
        let problem = Problem::new(Kind::Malformed, format!("this route does not know the parameter {other:?}"));
        let meant = nearest(other, known.iter().copied());
        Err(problem.wrong(format!("?{other}"), expected, other.as_str()).did_you_mean(meant))
    }

    /// The text of a parameter, if it is given.
    pub(in crate::http) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that is read from its text.
    pub(in crate::http) fn parsed<T: FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, Problem> {
        let read = |text: &str| text.parse().map_err(|_| wrong(name, expected, text));
        self.text(name).map(read).transpose()
    }

    /// A parameter that is true or false; without a value it is true.
    pub(in crate::http) fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("" | "true") => Ok(true),
            Some(other) => Err(wrong(name, "true or false", other)),
        }
    }
}

/// A parameter with another value than expected.
pub(in crate::http) fn wrong(name: &str, expected: &str, got: &str) -> Problem {
    let detail = format!("expected {expected} as the parameter {name:?}");
    Problem::new(Kind::Malformed, detail).wrong(format!("?{name}"), expected, got)
}

/// What `%41` and `+` stand for.
pub(in crate::http) fn decode(text: &str) -> Result<String, Problem> {
    let spaced = if text.contains('+') { Cow::Owned(text.replace('+', " ")) } else { Cow::Borrowed(text) };
    decoded(&spaced).ok_or_else(|| {
        let detail = format!(
            "the parameter {text:?} cannot be decoded: write a percent sign as %25, and other characters in UTF-8 (curl -G \
             --data-urlencode does both)"
        );
        Problem::new(Kind::Malformed, detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_asked_for_by_name() {
        let query = Query::parse("queue=a%2Fb+c&front&limit=20&%C3%A9=%C3%A9&x=100%25").unwrap();
        assert_eq!(query.text("queue"), Some("a/b c"));
        assert_eq!(query.flag("front"), Ok(true));
        assert_eq!(query.flag("track"), Ok(false));
        assert_eq!(query.parsed::<u32>("limit", "a number"), Ok(Some(20)));
        assert_eq!((query.text("é"), query.text("x"), query.text("none")), (Some("é"), Some("100%"), None));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_name() {
        let told = |problem: Problem| serde_json::from_str::<serde_json::Value>(&problem.text("")).unwrap();
        let problem = told(Query::parse("limt=5").unwrap().only(&["limit", "cursor"]).unwrap_err());
        assert_eq!((&problem["did_you_mean"], &problem["status"]), (&"limit".into(), &400.into()));
        assert_eq!(problem["errors"][0]["pointer"], "?limt");
        assert_eq!(problem["errors"][0]["expected"], "limit, cursor");
        assert!(Query::parse("a=1&a=2").is_err() && Query::parse("a=%ff").is_err() && Query::parse("a=100%").is_err());
        assert!(Query::parse(&"a&".repeat(2)).is_err());
        assert!(Query::parse(&(0..=MOST).map(|n| format!("{n}&")).collect::<String>()).is_err());
        let query = Query::parse("front=yes&limit=-1").unwrap();
        assert!(query.flag("front").is_err() && query.parsed::<u32>("limit", "a number").is_err());
    }
}
