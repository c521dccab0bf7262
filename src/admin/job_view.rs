//! A job as listings show it. Any program may have written it.

use serde::Serialize;
use serde_json::value::RawValue;

use super::listing::{SHOWN, cut};
use crate::job::{Beginning, PayloadView};
use crate::store::listed::ListedJob;
use crate::store::working::WorkingRecord;

/// How much is shown of a long text that is no job, in bytes.
const RAW: usize = 1024;

/// A job's bytes, parsed for display. Bytes that are not a job are shown as text, with the reason.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct JobView {
    /// Its class; `None` if the bytes are not a job.
    pub class: Option<String>,
    /// The queue that the bytes name, if any.
    pub queue: Option<String>,
    /// Its arguments as the producer wrote them, always an array.
    #[cfg_attr(test, schema(value_type = Option<Vec<serde_json::Value>>))]
    pub args: Option<Box<RawValue>>,
    /// How long the arguments are, if they are too long for a listing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args_left_out: Option<String>,
    /// The bytes, if they are not a job; invalid UTF-8 is replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// Why the bytes are not a job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl JobView {
    /// Parses a job's bytes.
    #[must_use]
    pub fn of(payload: &[u8]) -> Self {
        match PayloadView::parse(payload) {
            Ok(view) => Self {
                class: Some(view.class.clone().into_owned()),
                queue: view.queue.as_ref().map(|queue| queue.clone().into_owned()),
                args: RawValue::from_string(view.args().into_owned()).ok(),
                args_left_out: None,
                raw: None,
                problem: None,
            },
            Err(error) => Self {
                class: None,
                queue: None,
                args: None,
                args_left_out: None,
                raw: Some(String::from_utf8_lossy(payload).into_owned()),
                problem: Some(error.to_string()),
            },
        }
    }

    /// The same for a listing, in which what is long is cut.
    #[must_use]
    pub fn listed(payload: &[u8]) -> Self {
        let mut view = Self::of(payload);
        if let Some(args) = view.args.take_if(|args| args.get().len() > SHOWN) {
            view.args_left_out = Some(format!("({} bytes)", args.get().len()));
        }
        if let Some(raw) = &mut view.raw {
            cut(raw);
        }
        view
    }

    /// The beginning of a job that has so many bytes, or all of it.
    #[must_use]
    pub fn of_beginning(begin: &[u8], length: u64) -> Self {
        let missing = length.saturating_sub(begin.len() as u64);
        let members = Beginning::parse(begin);
        let class: Option<String> = members.member("class");
        if missing == 0 || class.is_none() {
            let mut view = Self::listed(begin);
            if let Some(raw) = view.raw.as_mut().filter(|_| missing > 0) {
                *raw = format!("{}... ({length} bytes)", raw.get(..raw.floor_char_boundary(RAW)).unwrap_or_default());
                view.problem = Some("it is long, and its beginning names no class".to_owned());
            }
            return view;
        }
        // Where they stand whole in front of what is long.
        let args =
            members.raw("args").and_then(|args| std::str::from_utf8(args).ok()).filter(|args| args.len() <= SHOWN);
        let args =
            args.filter(|args| args.starts_with('[')).and_then(|args| RawValue::from_string(args.to_owned()).ok());
        let args_left_out = args.is_none().then(|| {
            let cut = members.cut("args").map_or(begin.len(), <[u8]>::len);
            // Behind them stands the end of the job.
            format!("(about {} bytes)", missing.saturating_add(cut as u64).saturating_sub(1))
        });
        Self { class, queue: members.member("queue"), args, args_left_out, raw: None, problem: None }
    }

    /// The job of a working record, as far as it was read.
    #[must_use]
    pub(super) fn of_record(record: &WorkingRecord) -> Self {
        let bytes = record.payload.as_ref().unwrap_or(&record.raw);
        Self::of_beginning(bytes, record.left_out.saturating_add(bytes.len() as u64))
    }

    /// A job of a list.
    #[must_use]
    pub(super) fn of_listed(job: &ListedJob) -> Self {
        Self::of_beginning(&job.bytes, job.length)
    }

    /// The class, as text for people.
    #[must_use]
    pub fn class_text(&self) -> &str {
        self.class.as_deref().unwrap_or("(no job)")
    }

    /// The arguments, or the bytes that are not a job, as text for people.
    #[must_use]
    pub fn args_text(&self) -> &str {
        let args = self.args.as_ref().map(|args| args.get());
        args.or(self.args_left_out.as_deref()).or(self.raw.as_deref()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_shown_with_the_arguments_its_producer_wrote() {
        let view = JobView::of(br#"{"class":"Add","args":[1.0,"\ud83d"]}"#);
        let json = serde_json::to_string(&view).unwrap();
        assert_eq!(json, r#"{"class":"Add","queue":null,"args":[1.0,"\ud83d"]}"#);
    }

    #[test]
    fn of_a_long_job_the_beginning_tells_what_it_is() {
        let job = format!("{{\"class\":\"Add\",\"queue\":\"q\",\"args\":[\"{}\"]}}", "x".repeat(5000));
        let view = JobView::of_beginning(&job.as_bytes()[..100], job.len() as u64);
        assert_eq!((view.class_text(), view.queue.as_deref()), ("Add", Some("q")));
        assert_eq!(view.args_text(), format!("(about {} bytes)", 5000 + 4));
        let json = serde_json::to_string(&JobView::of_beginning(job.as_bytes(), job.len() as u64)).unwrap();
        assert_eq!(json, serde_json::to_string(&JobView::listed(job.as_bytes())).unwrap(), "it is whole");
        let short = JobView::of_beginning(br#"{"class":"Add","args":[1],"note":"xxx"#, 5000);
        assert_eq!((short.args_text(), &short.args_left_out), ("[1]", &None));
        let none = JobView::of_beginning(&[b'x'; 2000], 5000);
        assert!(none.args_text().ends_with("xx... (5000 bytes)") && none.problem.is_some(), "{none:?}");
    }

    #[test]
    fn bytes_that_are_no_job_are_shown_as_they_are() {
        let view = JobView::of(b"{bad");
        assert_eq!((view.class_text(), view.args_text()), ("(no job)", "{bad"));
        assert!(view.problem.unwrap().starts_with("payload is not a job"));
        assert_eq!(JobView::of(b"\xff").args_text(), "\u{fffd}");
    }
}
