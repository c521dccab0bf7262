//! The filter language for failed jobs, the same on the command line and in the API.
//!
//! `task:resize queue:img* error:"no space" -worker:web-3* args.to.city:Berlin after:-2h` and bare words, which are searched
//! in the raw text. All terms have to match; `-` before one turns it round. A star stands for any characters in names and in
//! single arguments. `docs/operations.md` lists the keys.

mod group;
mod parse;
mod path;
mod pattern;

use std::cell::OnceCell;

use crate::job::{FailureView, PayloadView, date, digest, output_end};
pub(super) use group::Group;
pub use parse::{FilterError, ReadTime, quoted};
use pattern::Pattern;

/// What is asked of a failed job. The empty filter asks nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    /// Jobs match that the condition does not hold for.
    is_not: bool,
    condition: Condition,
}

/// A condition. Texts that are searched for are in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Condition {
    Task(Pattern),
    Queue(Pattern),
    Worker(Pattern),
    Exception(Pattern),
    Job(Pattern),
    /// The first digits of the failure's id.
    Id(String),
    /// The first digits of the id of its group.
    Group(String),
    Error(String),
    Args(String),
    Argument(Vec<String>, Pattern),
    Raw(String),
    After(i64),
    Before(i64),
    Is(Quality),
}

/// How a job failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quality {
    /// No task had its name.
    Unknown,
    /// Its worker vanished.
    Stuck,
    /// Somebody cancelled its run.
    Cancelled,
    /// resque-web retried it and left its record.
    Retried,
}

/// A failed job that is looked at; what a condition needs is read once.
struct Seen<'r> {
    record: &'r [u8],
    view: &'r FailureView,
    payload: OnceCell<Option<PayloadView<'r>>>,
    lower: OnceCell<String>,
}

impl Filter {
    /// Does it match every job?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Does it match this failure record?
    #[must_use]
    pub fn is_met_by(&self, record: &[u8]) -> bool {
        self.matches(record, &FailureView::parse(record))
    }

    /// Does it match this record? `view` is what the record says.
    pub(super) fn matches(&self, record: &[u8], view: &FailureView) -> bool {
        let seen = Seen { record, view, payload: OnceCell::new(), lower: OnceCell::new() };
        self.terms.iter().all(|term| seen.meets(&term.condition) != term.is_not)
    }

    /// Since when jobs match at the earliest, if that is said.
    pub(super) fn since_ms(&self) -> Option<i64> {
        let since = self.terms.iter().filter(|term| !term.is_not).filter_map(|term| match term.condition {
            Condition::After(ms) => Some(ms),
            _ => None,
        });
        since.max()
    }
}

impl<'r> Seen<'r> {
    fn meets(&self, condition: &Condition) -> bool {
        let view = self.view;
        let is = |pattern: &Pattern, text: Option<&str>| text.is_some_and(|text| pattern.matches(text));
        match condition {
            Condition::Task(pattern) => is(pattern, self.job().map(|job| &*job.class)),
            Condition::Queue(pattern) => is(pattern, view.queue.as_deref()),
            Condition::Worker(pattern) => is(pattern, view.worker.as_deref()),
            Condition::Exception(pattern) => is(pattern, view.exception.as_deref()),
            Condition::Job(pattern) => is(pattern, view.identity.as_ref().map(|identity| &*identity.id)),
            Condition::Id(digits) => super::failed::id(self.record).starts_with(digits),
            Condition::Group(digits) => Group::of(view, self.job()).id.starts_with(digits),
            Condition::Error(words) => error_tells(view, words),
            Condition::Args(words) => self.job().is_some_and(|job| job.args().to_lowercase().contains(words)),
            Condition::Argument(path, pattern) => {
                self.job().is_some_and(|job| path::any_at(&job.args(), path, &|value| pattern.matches(value)))
            }
            Condition::Raw(words) => {
                let lower = self.lower.get_or_init(|| String::from_utf8_lossy(self.record).to_lowercase());
                lower.contains(words)
            }
            Condition::After(ms) => at_ms(view).is_some_and(|at| at >= *ms),
            Condition::Before(ms) => at_ms(view).is_some_and(|at| at < *ms),
            Condition::Is(Quality::Unknown) => view.is_unknown_class(),
            Condition::Is(Quality::Stuck) => view.is_stuck(),
            Condition::Is(Quality::Cancelled) => view.cancelled,
            Condition::Is(Quality::Retried) => view.retried_at.is_some(),
        }
    }

    fn job(&self) -> Option<&PayloadView<'r>> {
        let parse = || PayloadView::parse(self.view.payload.as_deref()?).ok();
        self.payload.get_or_init(parse).as_ref()
    }
}

/// Does its error, the error's class, or a line of what the run wrote hold these words, which are in lower case?
pub(super) fn error_tells(view: &FailureView, words: &str) -> bool {
    let said = view.error.iter().chain(&view.exception).map(String::as_str);
    said.chain(output_end::written(&view.backtrace)).any(|line| line.to_lowercase().contains(words))
}

/// When it failed.
pub(super) fn at_ms(view: &FailureView) -> Option<i64> {
    date::parse(view.failed_at.as_deref()?)
}

/// A short digest of a text, in 16 digits.
fn digest_of<'t>(parts: impl IntoIterator<Item = &'t str>) -> String {
    let bytes = parts.into_iter().flat_map(|part| part.bytes().chain([0xff]));
    format!("{:016x}", digest::spread(digest::fnv1a(bytes)))
}

#[cfg(test)]
mod tests;
