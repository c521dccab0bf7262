//! The form of every list: `{"items":[..],"next":"..."|null,"scanned":n,"as_of":"...","as_of_ms":n}`.
//!
//! `next` is a cursor: where the next page begins. It belongs to the list that gave it, and says so, because a position in one
//! list is none in another.

use std::cmp::Ordering;

use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::query::{Query, wrong};
use crate::client::moment::Moment;
use crate::clock::Clock;
use crate::http::problem::{Kind, Problem};
use crate::job::digest::fnv1a;

/// How many items a page has.
const DEFAULT: usize = 50;
/// How many items it may be asked for.
const MOST: usize = 200;
/// How many digits and letters a cursor has at most: names of other programs may be long, and a head holds 16 KiB.
const LONGEST: usize = 12 * 1024;

/// A page of a list.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(in crate::http) struct Page<T> {
    /// What stands on it.
    pub(in crate::http) items: Vec<T>,
    /// The cursor of the next page; `null`: this is the last one.
    pub(in crate::http) next: Option<String>,
    /// How many records were looked at. A page of a filtered list may be short and have a next one all the same.
    pub(in crate::http) scanned: usize,
    /// When it was read: RFC 3339 with milliseconds, in UTC.
    pub(in crate::http) as_of: String,
    /// The same in milliseconds since the Unix epoch.
    pub(in crate::http) as_of_ms: i64,
}

impl<T> Page<T> {
    /// A page that is read now.
    pub(in crate::http) fn new(items: Vec<T>, next: Option<String>, scanned: usize, clock: &dyn Clock) -> Self {
        let now_ms = clock.now_ms();
        let as_of = Moment::of_ms(now_ms).map(Moment::rfc3339_ms).unwrap_or_default();
        Self { items, next, scanned, as_of, as_of_ms: now_ms }
    }

    /// A page of items that are all known: those behind the cursor. They stand in this order of their names, of which no two
    /// are equal.
    pub(in crate::http) fn of_names(
        all: Vec<T>,
        name: impl Fn(&T) -> String,
        order: impl Fn(&str, &str) -> Ordering,
        list: &List,
        query: &Query,
        clock: &dyn Clock,
    ) -> Result<Self, Problem> {
        let limit = limit(query)?;
        let after: Option<String> = list.cursor(query)?;
        let is_behind = |item: &T| after.as_ref().is_none_or(|after| order(&name(item), after).is_gt());
        let mut items: Vec<T> = all.into_iter().filter(is_behind).take(limit + 1).collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|last| list.next(&name(last)));
        let scanned = items.len();
        Ok(Self::new(items, next, scanned, clock))
    }
}

/// How many items a page is to have.
pub(in crate::http) fn limit(query: &Query) -> Result<usize, Problem> {
    let expected = format!("a number from 1 to {MOST}");
    let limit: usize = query.parsed("limit", &expected)?.unwrap_or(DEFAULT);
    if (1..=MOST).contains(&limit) { Ok(limit) } else { Err(wrong("limit", &expected, &limit.to_string())) }
}

/// Which list a cursor belongs to: its route, and a digest of what else decides what stands in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) struct List {
    route: &'static str,
    of: u64,
}

/// A place in a list, as a cursor holds it.
#[derive(Debug, Serialize, Deserialize)]
struct Cursor<P> {
    #[serde(rename = "l")]
    list: String,
    #[serde(rename = "o")]
    of: u64,
    #[serde(rename = "a")]
    at: P,
}

impl List {
    /// The only list of this route.
    pub(in crate::http) const fn new(route: &'static str) -> Self {
        Self { route, of: 0 }
    }

    /// The list of this route for these names and filters, which may be long.
    pub(in crate::http) fn of<'p>(route: &'static str, parts: impl IntoIterator<Item = &'p str>) -> Self {
        // Texts hold no 0xff, so that no two lists of parts look the same.
        let bytes = parts.into_iter().flat_map(|part| part.bytes().chain([0xff]));
        Self { route, of: fnv1a(bytes) }
    }

    /// The place that a request names, if it names one.
    ///
    /// # Errors
    /// If it is none, or one in another list.
    pub(in crate::http) fn cursor<P: for<'de> Deserialize<'de>>(&self, query: &Query) -> Result<Option<P>, Problem> {
        const NEXT: &str = "the member next of a page of this list";
        let Some(text) = query.text("cursor") else { return Ok(None) };
        let cursor: Option<Cursor<P>> = unhex(text).and_then(|bytes| serde_json::from_slice(&bytes).ok());
        match cursor {
            Some(cursor) if (cursor.list.as_str(), cursor.of) == (self.route, self.of) => Ok(Some(cursor.at)),
            Some(cursor) => {
                let other = if cursor.list == self.route {
                    "another name or filter".to_owned()
                } else {
                    format!("the list {:?}", cursor.list)
                };
                let detail = format!("this cursor belongs to {other}; leave it out to begin anew");
                Err(Problem::new(Kind::Malformed, detail).wrong("?cursor", NEXT, "that of another one"))
            }
            None => Err(wrong("cursor", NEXT, "something else")),
        }
    }

    /// The cursor of a place.
    pub(in crate::http) fn next<P: Serialize>(&self, at: &P) -> String {
        let cursor = Cursor { list: self.route.to_owned(), of: self.of, at };
        // What it is made of always becomes JSON.
        let bytes = serde_json::to_vec(&cursor).unwrap_or_default();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || text.len() > LONGEST || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

/// An answer in JSON.
#[derive(Debug)]
pub(in crate::http) struct Json<T>(pub(in crate::http) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(mut text) => {
                text.push(b'\n');
                ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response()
            }
            Err(error) => Problem::new(Kind::Internal, format!("the answer is no JSON: {error}")).into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::extract::FromRequestParts as _;

    use crate::clock::ManualClock;

    fn query(text: &str) -> Query {
        let uri = format!("/?{text}").parse::<axum::http::Uri>().unwrap();
        let (mut parts, ()) = axum::http::Request::builder().uri(uri).body(()).unwrap().into_parts();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(Query::from_request_parts(&mut parts, &())).unwrap()
    }

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let clock = ManualClock::at(1_795_490_778_000);
        let (mut cursor, mut seen, list) = (String::new(), Vec::new(), List::new("names"));
        loop {
            let names: Vec<String> = ["a", "b", "c", "d", "e"].map(str::to_owned).into();
            let asked = query(&format!("limit=2{cursor}"));
            let page = Page::of_names(names, String::clone, str::cmp, &list, &asked, &clock).unwrap();
            assert_eq!(page.as_of, "2026-11-24T03:26:18.000Z");
            assert_eq!(page.scanned, page.items.len());
            seen.push(page.items.concat());
            let Some(next) = page.next else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen, ["ab", "cd", "e"]);
    }

    #[test]
    fn a_cursor_of_another_list_or_none_is_refused() {
        let (queues, failed) = (List::new("queues"), List::of("failed", ["task", "a"]));
        let text = format!("cursor={}", queues.next(&7));
        assert_eq!(queues.cursor(&query(&text)), Ok(Some(7_i64)));
        let told = failed.cursor::<i64>(&query(&text)).unwrap_err();
        assert!(told.detail().contains("belongs to the list \"queues\""), "{told:?}");
        let text = format!("cursor={}", failed.next(&7));
        for other in [List::of("failed", ["taska", ""]), List::of("failed", ["task", "b"]), List::new("failed")] {
            let told = other.cursor::<i64>(&query(&text)).unwrap_err();
            assert!(told.detail().contains("another name or filter"), "{told:?}");
        }
        for bad in ["cursor=", "cursor=zz", "cursor=7", "cursor=7b7d", "cursor=%C3%A9%C3%A9"] {
            assert_eq!(failed.cursor::<i64>(&query(bad)).unwrap_err().status().as_u16(), 400, "{bad}");
        }
        assert!(failed.cursor::<String>(&query(&text)).is_err(), "a place of another kind");
    }

    #[test]
    fn a_page_has_as_many_items_as_it_may() {
        let asked = |text: &str| limit(&query(text)).map_err(|problem| problem.status().as_u16());
        assert_eq!((asked(""), asked("limit=200"), asked("limit=1")), (Ok(50), Ok(200), Ok(1)));
        for bad in ["limit=0", "limit=201", "limit=-1", "limit=x", "limit="] {
            assert_eq!(asked(bad), Err(400), "{bad}");
        }
    }
}
