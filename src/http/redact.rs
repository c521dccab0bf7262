//! Hides in answers what the log hides (`log.redact`): an answer may end in a browser's cache or a chat.
//!
//! Arguments stay JSON. Where hiding leaves none, because there is too much to hide, they are left out.

use serde_json::value::RawValue;

use crate::admin::failed::FailedView;
use crate::admin::job_view::JobView;
use crate::admin::runs::PastRunView;
use crate::admin::workers::WorkerView;
use crate::text::redact::Redactor;

/// What stands for arguments that cannot be shown in part.
const LEFT_OUT: &str = "(redacted)";

/// Hides in arguments; `left_out` says so if nothing of them can be shown.
pub(super) fn hide_args(redactor: &Redactor, args: &mut Option<Box<RawValue>>, left_out: &mut Option<String>) {
    let Some(shown) = args else { return };
    let std::borrow::Cow::Owned(hidden) = redactor.hide(shown.get()) else { return };
    match RawValue::from_string(hidden) {
        Ok(hidden) => *shown = hidden,
        Err(_) => {
            *args = None;
            *left_out = Some(LEFT_OUT.to_owned());
        }
    }
}

/// Hides in a text.
pub(super) fn hide_text(redactor: &Redactor, text: &mut Option<String>) {
    if let Some(shown) = text {
        hide_line(redactor, shown);
    }
}

/// The same of a text that is there.
pub(super) fn hide_line(redactor: &Redactor, text: &mut String) {
    if let std::borrow::Cow::Owned(hidden) = redactor.hide(text) {
        *text = hidden;
    }
}

/// Hides in the job of a worker.
pub(super) fn hide_worker(redactor: &Redactor, worker: &mut WorkerView) {
    if let Some(working) = &mut worker.working {
        hide_args(redactor, &mut working.args, &mut working.args_left_out);
        hide_text(redactor, &mut working.raw);
    }
}

/// Hides in a job.
pub(super) fn hide_job(redactor: &Redactor, job: &mut JobView) {
    hide_args(redactor, &mut job.args, &mut job.args_left_out);
    hide_text(redactor, &mut job.raw);
}

/// Hides in a finished run.
pub(super) fn hide_run(redactor: &Redactor, run: &mut PastRunView) {
    hide_text(redactor, &mut run.error);
    run.output.iter_mut().for_each(|line| hide_line(redactor, line));
}

/// Hides in a failed job.
pub(super) fn hide_failed(redactor: &Redactor, view: &mut FailedView) {
    hide_args(redactor, &mut view.args, &mut view.args_left_out);
    hide_text(redactor, &mut view.error);
    hide_text(redactor, &mut view.raw);
    view.backtrace.iter_mut().for_each(|line| hide_line(redactor, line));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(args: &str) -> (Option<String>, Option<String>) {
        let redactor = Redactor::new(&["password".to_owned()]);
        let (mut args, mut left_out) = (RawValue::from_string(args.to_owned()).ok(), None);
        hide_args(&redactor, &mut args, &mut left_out);
        (args.map(|args| args.get().to_owned()), left_out)
    }

    #[test]
    fn arguments_stay_json_and_the_rest_stays_as_it_was() {
        let shown = |args: &str| hidden(args).0.unwrap();
        assert_eq!(shown(r#"[1.0, {"a": "password"}]"#), r#"[1.0, {"a": "password"}]"#);
        assert_eq!(shown(r#"[{"password": "x", "to":"a"}]"#), r#"[{"password": "[redacted]", "to":"a"}]"#);
        let many = format!("[{}]", [r#"{"password":{"a":["b"]}}"#; 100].join(","));
        let (args, left_out) = hidden(&many);
        assert!(args.as_deref().is_none_or(|args| !args.contains("\"b\"")), "{args:?}");
        assert_eq!(args.is_none(), left_out.is_some());
    }
}
