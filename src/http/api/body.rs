//! The body of a request: bounded, in time, and JSON.

use std::borrow::Cow;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use futures_util::StreamExt as _;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use tokio::time::timeout;

use crate::client::request::nearest;
use crate::http::problem::{Kind, Problem};

/// The most that a body may hold.
pub(super) const MOST: usize = 1 << 20;
/// How long it may take to come.
pub(super) const LIMIT: Duration = Duration::from_secs(20);

/// A body of JSON, or none.
#[derive(Debug, Clone)]
pub(in crate::http) struct JsonBody(String);

impl<S: Sync> FromRequest<S> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (head, bytes) = whole(request).await?;
        if !bytes.is_empty() {
            expect(&head.headers, &["application/json"])?;
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self(text)),
            Err(error) => Err(Problem::new(Kind::Malformed, format!("the body is not UTF-8: {error}"))),
        }
    }
}

/// The head of a request, and its whole body: not too long, and in time.
pub(in crate::http) async fn whole(request: Request) -> Result<(Parts, Vec<u8>), Problem> {
    let (head, body) = request.into_parts();
    let told = head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if told.is_some_and(|told| told > MOST) {
        return Err(too_large());
    }
    let (mut stream, mut bytes) = (body.into_data_stream(), Vec::with_capacity(told.unwrap_or(0)));
    let read = async {
        while let Some(part) = stream.next().await {
            let part: Bytes =
                part.map_err(|error| Problem::new(Kind::Malformed, format!("the body ends early: {error}")))?;
            if bytes.len() + part.len() > MOST {
                return Err(too_large());
            }
            bytes.extend_from_slice(&part);
        }
        Ok(())
    };
    timeout(LIMIT, read).await.unwrap_or_else(|_| Err(too_slow()))?;
    Ok((head, bytes))
}

/// Refuses a body of another type than these.
pub(in crate::http) fn expect(headers: &HeaderMap, types: &[&str]) -> Result<(), Problem> {
    let found = headers.get(CONTENT_TYPE).map(|kind| kind.to_str().unwrap_or_default());
    let essence = found.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim().to_ascii_lowercase();
    if types.contains(&essence.as_str()) {
        return Ok(());
    }
    let detail = format!("expected Content-Type: {} (found {})", types.join(" or "), found.unwrap_or("none"));
    Err(Problem::new(Kind::WrongMediaType, detail))
}

fn too_large() -> Problem {
    let detail =
        "a body holds at most 1 MiB; many jobs go to /api/v1/jobs/bulk, and large data is better passed by its place";
    Problem::new(Kind::TooLarge, detail)
}

fn too_slow() -> Problem {
    Problem::new(Kind::TooSlow, format!("the body did not come within {} s", LIMIT.as_secs()))
}

impl JsonBody {
    /// Its text; `None`: it has none.
    pub(in crate::http) fn text(&self) -> Option<&str> {
        Some(self.0.trim()).filter(|text| !text.is_empty())
    }

    /// The members of the object that it is.
    pub(in crate::http) fn members(&self) -> Result<Members<'_>, Problem> {
        Members::parse(self.text().unwrap_or_default())
    }

    /// Refuses a body where none is expected; an empty object is none.
    pub(in crate::http) fn none(&self) -> Result<(), Problem> {
        match self.text() {
            None | Some("{}") => Ok(()),
            Some(_) => Err(Problem::new(Kind::Malformed, "this route takes no body").wrong("", "no body", "one")),
        }
    }
}

/// The members of an object, as they are written.
#[derive(Debug)]
pub(in crate::http) struct Members<'b>(Vec<(Cow<'b, str>, &'b RawValue)>);

impl<'b> Members<'b> {
    fn parse(text: &'b str) -> Result<Self, Problem> {
        let mut reader = serde_json::Deserializer::from_str(text);
        let members = reader.deserialize_map(MembersVisitor).and_then(|members| reader.end().map(|()| members));
        members.map_err(|error| {
            let problem = Problem::new(Kind::Malformed, format!("the body is no JSON object: {error}"));
            problem.wrong("", "a JSON object", kind_of(text))
        })
    }

    /// Refuses all members but these.
    pub(in crate::http) fn only(self, known: &[&str]) -> Result<Self, Problem> {
        let Some((other, _)) = self.0.iter().find(|(name, _)| !known.contains(&name.as_ref())) else { return Ok(self) };
        let problem = Problem::new(Kind::Malformed, format!("this route does not know the member {other:?}"));
        let meant = nearest(other, known.iter().copied());
        Err(problem.wrong(pointer(other), known.join(", "), other.as_ref()).did_you_mean(meant))
    }

    /// A member as it is written. As in ECMAScript, the last of two equal ones counts.
    pub(in crate::http) fn raw(&self, name: &str) -> Option<&'b str> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.get())
    }

    /// A member that is a string; `null` is as good as none.
    pub(in crate::http) fn string(&self, name: &str) -> Result<Option<String>, Problem> {
        self.typed(name, "a string")
    }

    /// A member that is true or false.
    pub(in crate::http) fn flag(&self, name: &str) -> Result<bool, Problem> {
        Ok(self.typed(name, "true or false")?.unwrap_or(false))
    }

    /// A member that is a string or a number, as text.
    pub(in crate::http) fn text(&self, name: &str, expected: &str) -> Result<Option<String>, Problem> {
        match self.raw(name) {
            Some(raw) if raw.starts_with(|first: char| first.is_ascii_digit() || first == '-') => {
                Ok(Some(raw.to_owned()))
            }
            _ => self.typed(name, expected),
        }
    }

    fn typed<T: for<'de> serde::Deserialize<'de>>(&self, name: &str, expected: &str) -> Result<Option<T>, Problem> {
        match self.raw(name) {
            None | Some("null") => Ok(None),
            Some(raw) => serde_json::from_str(raw).map(Some).map_err(|_| wrong(name, expected, kind_of(raw))),
        }
    }
}

/// A member that is something else than expected.
pub(in crate::http) fn wrong(name: &str, expected: &str, got: &str) -> Problem {
    let detail = format!("expected {expected} as the member {name:?}");
    Problem::new(Kind::Malformed, detail).wrong(pointer(name), expected, got)
}

fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// What a JSON text is, for people. Its value may be a secret.
fn kind_of(text: &str) -> &'static str {
    match text.bytes().next() {
        None => "nothing",
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        Some(b'-' | b'0'..=b'9') => "a number",
        Some(_) => "no JSON",
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(name) = map.next_key::<MemberName<'de>>()? {
            members.push((name.0, map.next_value()?));
        }
        Ok(Members(members))
    }
}

/// Borrowed unless it has escapes.
#[derive(serde::Deserialize)]
struct MemberName<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    async fn read(body: Body, kind: &str) -> Result<JsonBody, u16> {
        let request = Request::post("/").header(CONTENT_TYPE, kind).body(body).unwrap();
        JsonBody::from_request(request, &()).await.map_err(|problem| problem.status().as_u16())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_bounded_in_size_and_time_and_is_json_in_utf8() {
        let json = "application/json";
        assert_eq!(read(Body::from(" [1] "), json).await.unwrap().text(), Some("[1]"));
        assert_eq!(read(Body::empty(), "").await.unwrap().text(), None);
        assert_eq!(read(Body::from(vec![b' '; MOST]), json).await.unwrap().text(), None);
        assert_eq!(read(Body::from(vec![b' '; MOST + 1]), json).await.unwrap_err(), 413);
        let parts = futures_util::stream::iter((0..MOST).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(b"xx"))));
        assert_eq!(read(Body::from_stream(parts), json).await.unwrap_err(), 413, "of unknown length");
        assert_eq!(read(Body::from(vec![0xff]), json).await.unwrap_err(), 400);
        assert_eq!(read(Body::from("[1]"), "text/plain").await.unwrap_err(), 415);
        let never = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
        assert_eq!(read(Body::from_stream(never), json).await.unwrap_err(), 408);
        let cut = futures_util::stream::iter([Err::<Bytes, _>(std::io::Error::other("cut"))]);
        assert_eq!(read(Body::from_stream(cut), json).await.unwrap_err(), 400);
    }

    fn told(problem: Problem) -> serde_json::Value {
        serde_json::from_str::<serde_json::Value>(&problem.text("")).unwrap()["errors"][0].clone()
    }

    #[test]
    fn members_are_asked_for_by_name_and_what_is_wrong_is_told_with_its_place() {
        let body = JsonBody(
            r#"{"t\u0061sk":"a","args":[1.0, {"x": 1e400}],"front":true,"at":5,"queue":null,"args":[ 2 ]}"#.to_owned(),
        );
        let members = body.members().unwrap();
        assert_eq!(members.string("task").unwrap().as_deref(), Some("a"));
        assert_eq!(members.raw("args"), Some("[ 2 ]"), "the last one, as it is written");
        assert_eq!((members.flag("front").unwrap(), members.flag("foreign").unwrap()), (true, false));
        assert_eq!(members.text("at", "a time").unwrap().as_deref(), Some("5"));
        assert_eq!(members.string("queue").unwrap(), None);
        assert_eq!(
            told(members.string("front").unwrap_err()),
            serde_json::json!({"pointer": "/front", "expected": "a string", "got": "true or false"})
        );
        let unknown = members.only(&["task", "args", "front", "at", "queues"]).unwrap_err();
        assert_eq!(told(unknown.clone())["pointer"], "/queue");
        assert!(unknown.text("").contains("\"did_you_mean\":\"queues\""));
        for (text, got) in
            [("[1]", "a list"), ("", "nothing"), ("{\"a\":}", "an object"), ("{} {}", "an object"), ("x", "no JSON")]
        {
            let problem = JsonBody(text.to_owned()).members().unwrap_err();
            assert_eq!((problem.status().as_u16(), told(problem)["got"].as_str()), (400, Some(got)), "{text}");
        }
    }
}
