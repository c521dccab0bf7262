//! A job as listings show it. Any program may have written it.

use serde::Serialize;
use serde_json::value::RawValue;

use super::listing::{SHOWN, cut};
use crate::job::PayloadView;

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
    fn bytes_that_are_no_job_are_shown_as_they_are() {
        let view = JobView::of(b"{bad");
        assert_eq!((view.class_text(), view.args_text()), ("(no job)", "{bad"));
        assert!(view.problem.unwrap().starts_with("payload is not a job"));
        assert_eq!(JobView::of(b"\xff").args_text(), "\u{fffd}");
    }
}
