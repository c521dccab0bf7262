//! Why a request was not done: one form for all refusals, `application/problem+json` (RFC 9457).
//!
//! A problem is made where it is found. The outermost layer writes it, because only that knows the request's id.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::text::cut::cut;

/// What the types of all problems begin with.
const URN: &str = "urn:windlass:problem:";

/// The longest detail, and the longest of the shorter texts, in bytes. Names in them come from requests, and one answer to
/// `POST /jobs/bulk` holds thousands of problems.
const LONGEST: (usize, usize) = (4096, 512);

/// Declares the kinds: name in the type, status, title.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal, $status:ident, $title:literal;)+) => {
        /// The kinds of problems. Their names are part of the API.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Kind {
            $($(#[$doc])* $kind,)+
        }

        impl Kind {
            /// All kinds.
            #[cfg(test)]
            pub(super) const ALL: &[Self] = &[$(Self::$kind),+];

            /// Its name, status and title.
            fn parts(self) -> (&'static str, StatusCode, &'static str) {
                match self {
                    $(Self::$kind => ($name, StatusCode::$status, $title),)+
                }
            }
        }
    };
}

kinds! {
    /// The request cannot be read.
    Malformed = "malformed", BAD_REQUEST, "The request cannot be read";
    /// It has no token, or a wrong one.
    Unauthenticated = "unauthenticated", UNAUTHORIZED, "Who are you?";
    /// Its token is not enough.
    Forbidden = "forbidden", FORBIDDEN, "Your role may not do this";
    /// A page of another origin sent it.
    CrossOrigin = "cross-origin", FORBIDDEN, "A page of another origin may not do this";
    /// The server changes nothing.
    ReadOnly = "read-only", FORBIDDEN, "This server is read only";
    /// There is no such route.
    UnknownRoute = "unknown-route", NOT_FOUND, "There is no such route";
    /// There is no such task.
    UnknownTask = "unknown-task", NOT_FOUND, "There is no such task";
    /// There is no such queue.
    UnknownQueue = "unknown-queue", NOT_FOUND, "There is no such queue";
    /// There is no such periodic task.
    UnknownPeriodicTask = "unknown-periodic-task", NOT_FOUND, "There is no such periodic task";
    /// There is no such failed job.
    UnknownFailedJob = "unknown-failed-job", NOT_FOUND, "There is no such failed job";
    /// There is no such worker.
    UnknownWorker = "unknown-worker", NOT_FOUND, "There is no such worker";
    /// There is no such lock.
    UnknownLock = "unknown-lock", NOT_FOUND, "There is no such lock";
    /// There is no such thing.
    NotFound = "not-found", NOT_FOUND, "There is no such thing";
    /// The route does not know the method.
    WrongMethod = "wrong-method", METHOD_NOT_ALLOWED, "This route does not know this method";
    /// Several things have this name.
    Ambiguous = "ambiguous", CONFLICT, "Several things have this name";
    /// It changed meanwhile.
    Changed = "changed", CONFLICT, "It changed meanwhile";
    /// The same job is due at the same second.
    AlreadyEnqueued = "already-enqueued", CONFLICT, "The same job is due at the same second";
    /// The same request is under way.
    Underway = "under-way", CONFLICT, "The same request is under way";
    /// It has not ended.
    NotEnded = "not-ended", CONFLICT, "It has not ended";
    /// The request took too long to come.
    TooSlow = "too-slow", REQUEST_TIMEOUT, "The request took too long to come";
    /// The body is too large.
    TooLarge = "too-large", PAYLOAD_TOO_LARGE, "The body is too large";
    /// The body is of another type.
    WrongMediaType = "wrong-media-type", UNSUPPORTED_MEDIA_TYPE, "The body is of another type than expected";
    /// The server is not known by this name.
    UnknownHost = "unknown-host", MISDIRECTED_REQUEST, "This server is not known by this name";
    /// The arguments are not what the task takes.
    InvalidInputs = "invalid-inputs", UNPROCESSABLE_ENTITY, "The task does not take these inputs";
    /// The Idempotency-Key was used for another request.
    KeyReused = "key-reused", UNPROCESSABLE_ENTITY, "This Idempotency-Key was used for another request";
    /// The caller may make no queue.
    TooManyQueues = "too-many-queues", UNPROCESSABLE_ENTITY, "There are too many queues for another one";
    /// The failed job lacks what a retry needs.
    NotRetriable = "not-retriable", UNPROCESSABLE_ENTITY, "This failed job cannot be retried";
    /// Too many wrong tokens.
    TooManyTries = "too-many-tries", TOO_MANY_REQUESTS, "Too many wrong tokens";
    /// The server failed.
    Internal = "internal", INTERNAL_SERVER_ERROR, "The server failed";
    /// A plugin failed.
    PluginFailed = "plugin-failed", INTERNAL_SERVER_ERROR, "A plugin failed";
    /// The store does not do this, now or later.
    StoreRefuses = "store-refuses", INTERNAL_SERVER_ERROR, "The store refuses this";
    /// No stream of events can be opened.
    NoStream = "no-stream", SERVICE_UNAVAILABLE, "No stream can be opened";
    /// The daemon has not opened its store yet.
    Starting = "starting", SERVICE_UNAVAILABLE, "The daemon is starting";
    /// The store cannot be reached.
    StoreAway = "store-away", SERVICE_UNAVAILABLE, "The store is away";
    /// The store has no room.
    StoreFull = "store-full", SERVICE_UNAVAILABLE, "The store is full";
    /// The answer of the store was lost.
    OutcomeUnknown = "outcome-unknown", SERVICE_UNAVAILABLE, "It is not known whether this was done";
    /// The answer took too long.
    Timeout = "timeout", SERVICE_UNAVAILABLE, "The answer took too long";
}

/// A part of the request that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct WrongPart {
    /// Where: a JSON pointer into the body, or `?NAME` for a parameter of the query.
    pub(super) pointer: String,
    /// What was expected there.
    pub(super) expected: String,
    /// What was found.
    pub(super) got: String,
}

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem(Box<Parts>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Parts {
    kind: Kind,
    detail: String,
    errors: Vec<WrongPart>,
    did_you_mean: Option<String>,
    command: Option<String>,
    retry_after_s: Option<u64>,
    /// The step of the store may have been done, or not.
    answer_lost: bool,
}

/// As it is written.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct ProblemView {
    /// What kind of problem: a name that stays.
    r#type: String,
    /// The same for people.
    pub(super) title: &'static str,
    /// The status of the answer.
    pub(super) status: u16,
    /// What happened, and what to do.
    pub(super) detail: String,
    /// The id of the request, which stands in the log where the log tells of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    /// The parts of the request that are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) errors: Vec<WrongPart>,
    /// The nearest name that exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) did_you_mean: Option<String>,
    /// What to type next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) command: Option<String>,
}

impl Problem {
    /// A problem of this kind. The detail says what happened, and what to do.
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            kind,
            detail: cut(Into::<String>::into(detail), LONGEST.0),
            errors: Vec::new(),
            did_you_mean: None,
            command: None,
            retry_after_s: None,
            answer_lost: false,
        }))
    }

    /// Adds a part that is wrong.
    pub(super) fn wrong(
        mut self,
        pointer: impl Into<String>,
        expected: impl Into<String>,
        got: impl Into<String>,
    ) -> Self {
        let (pointer, got) = (cut(Into::<String>::into(pointer), LONGEST.1), cut(Into::<String>::into(got), LONGEST.1));
        self.0.errors.push(WrongPart { pointer, expected: cut(Into::<String>::into(expected), LONGEST.0), got });
        self
    }

    /// The same where the arguments stand at this place of the body. One argument may stand there without a list around it.
    pub(super) fn of_args(mut self, place: &str, args: Option<&str>) -> Self {
        let is_list = args.is_none_or(|args| args.trim_start().starts_with('['));
        for wrong in &mut self.0.errors {
            let rest = wrong.pointer.strip_prefix("/args").filter(|rest| rest.is_empty() || rest.starts_with('/'));
            if let Some(rest) = rest {
                let rest = rest.strip_prefix("/0").filter(|_| !is_list).unwrap_or(rest);
                wrong.pointer = format!("{place}{rest}");
            }
        }
        self
    }

    /// The same where a member of this name is a parameter of the query.
    pub(super) fn of_query(mut self, name: &str) -> Self {
        for wrong in self.0.errors.iter_mut().filter(|wrong| wrong.pointer.strip_prefix('/') == Some(name)) {
            wrong.pointer = format!("?{name}");
        }
        self
    }

    /// Adds a reason to what happened.
    pub(super) fn because(mut self, reason: &dyn std::fmt::Display) -> Self {
        self.0.detail = cut(format!("{}: {reason}", self.0.detail), LONGEST.0);
        self
    }

    /// Adds what was probably meant.
    pub(super) fn did_you_mean(mut self, name: Option<String>) -> Self {
        // A part of a name is none.
        self.0.did_you_mean = name.filter(|name| name.len() <= LONGEST.1);
        self
    }

    /// Adds what to type next.
    pub(super) fn command(mut self, command: impl Into<String>) -> Self {
        self.0.command = Some(command.into());
        self
    }

    /// Adds after how many seconds the same request may succeed.
    pub(super) fn retry_after_s(mut self, seconds: u64) -> Self {
        self.0.retry_after_s = Some(seconds);
        self
    }

    /// Says that the answer of the store was lost.
    pub(super) fn answer_lost(mut self) -> Self {
        self.0.answer_lost = true;
        self
    }

    /// What a lost answer means to who asked for a change: nobody knows whether it was made, and so it must not be asked for
    /// again without a look.
    pub(super) fn of_a_change(self) -> Self {
        if !self.0.answer_lost {
            return self;
        }
        let detail = format!("{}; it is not known whether this was done: look before you repeat it", self.0.detail);
        Self::new(Kind::OutcomeUnknown, detail)
    }

    /// After how many seconds the same request may succeed, if it may.
    pub(super) fn retries_after_s(&self) -> Option<u64> {
        self.0.retry_after_s
    }

    /// Its status.
    pub(super) fn status(&self) -> StatusCode {
        self.0.kind.parts().1
    }

    /// What happened.
    pub(super) fn detail(&self) -> &str {
        &self.0.detail
    }

    /// Its form, for an answer of which it is a part.
    pub(super) fn view(&self) -> ProblemView {
        let (name, status, title) = self.0.kind.parts();
        ProblemView {
            r#type: format!("{URN}{name}"),
            title,
            status: status.as_u16(),
            detail: self.0.detail.clone(),
            instance: None,
            errors: self.0.errors.clone(),
            did_you_mean: self.0.did_you_mean.clone(),
            command: self.0.command.clone(),
        }
    }

    /// Its text for a request of this id.
    pub(super) fn text(&self, id: &str) -> String {
        // Texts and numbers always become JSON.
        serde_json::to_string(&ProblemView { instance: Some(id.to_owned()), ..self.view() }).unwrap_or_default()
    }

    /// Writes it into the response that stands for it.
    pub(super) fn write(&self, response: &mut Response, id: &str) {
        *response.body_mut() = Body::from(self.text(id));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.0.retry_after_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.0.kind == Kind::Unauthenticated {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"windlass\""));
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_problem_says_what_where_and_what_to_do() {
        let problem = Problem::new(Kind::Malformed, "it is no JSON")
            .wrong("/args", "a list", "3")
            .did_you_mean(Some("sendMail".to_owned()))
            .command("windlass tasks")
            .retry_after_s(7);
        let written: serde_json::Value = serde_json::from_str(&problem.text("id-1")).unwrap();
        let wanted = serde_json::json!({
            "type": "urn:windlass:problem:malformed",
            "title": "The request cannot be read",
            "status": 400,
            "detail": "it is no JSON",
            "instance": "id-1",
            "errors": [{"pointer": "/args", "expected": "a list", "got": "3"}],
            "did_you_mean": "sendMail",
            "command": "windlass tasks",
        });
        assert_eq!(written, wanted);
        let mut response = problem.clone().into_response();
        problem.write(&mut response, "id-1");
        assert_eq!(response.headers()[RETRY_AFTER], "7");
        assert_eq!(Problem::new(Kind::Internal, "x").text("y").matches(',').count(), 4, "nothing empty is written");
    }

    #[test]
    fn pointers_lead_to_the_place_of_the_arguments() {
        let pointer = |written: &str, place: &str, args| {
            let problem = Problem::new(Kind::InvalidInputs, "x").wrong(written, "a", "b").of_args(place, args);
            problem.of_query("queue").0.errors[0].pointer.clone()
        };
        for (written, args, of_task, of_any) in [
            ("/args/0/to", Some(" [{}]"), "/0/to", "/args/0/to"),
            ("/args/0/to", Some("{}"), "/to", "/args/to"),
            ("/args/0", Some("7"), "", "/args"),
            ("/args/0/to", None, "/0/to", "/args/0/to"),
            ("/args", Some("[]"), "", "/args"),
            ("/argsx", Some("[]"), "/argsx", "/argsx"),
            ("/queue", Some("[]"), "?queue", "?queue"),
        ] {
            let found = (pointer(written, "", args), pointer(written, "/args", args));
            assert_eq!(found, (of_task.to_owned(), of_any.to_owned()));
        }
    }

    #[test]
    fn a_lost_answer_matters_to_who_changes_something() {
        let lost = Problem::new(Kind::StoreAway, "failed to reach the store").retry_after_s(5).answer_lost();
        let told = lost.of_a_change();
        assert_eq!((told.retries_after_s().is_some(), told.status()), (false, StatusCode::SERVICE_UNAVAILABLE));
        assert!(told.text("").contains("outcome-unknown") && told.detail().contains("it is not known"));
        let certain = Problem::new(Kind::StoreAway, "x").retry_after_s(5);
        assert_eq!(certain.clone().of_a_change(), certain);
    }

    #[test]
    fn the_documentation_lists_every_type_with_its_status() {
        let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/api.md")).unwrap();
        for kind in Kind::ALL {
            let (name, status, _) = kind.parts();
            let is_row = |line: &str| line.split(" |").next().is_some_and(|cell| cell.contains(status.as_str()));
            let mut rows = document.lines().filter(|line| line.starts_with("| ") && is_row(line));
            assert!(rows.any(|row| row.contains(&format!("`{name}`"))), "{} {name}", status.as_str());
        }
    }

    #[test]
    fn every_kind_has_a_name_of_its_own_and_the_status_of_an_error() {
        let names: HashSet<&str> = Kind::ALL.iter().map(|kind| kind.parts().0).collect();
        assert_eq!(names.len(), Kind::ALL.len());
        assert!(Kind::ALL.iter().all(|kind| kind.parts().1.is_client_error() || kind.parts().1.is_server_error()));
    }
}
