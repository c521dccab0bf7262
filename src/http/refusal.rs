//! The problems behind the errors of the rooms below.

use crate::admin::error::AdminError;
use crate::client::{ClientError, RequestError};
use crate::http::problem::{Kind, Problem};
use crate::store::error::StoreError;
use crate::task::inputs::InputError;

/// After how many seconds a store that is away may be asked again.
const AWAY_S: u64 = 5;

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let said = format!("failed to {error}");
        match &error {
            StoreError::Unavailable(_) => Self::new(Kind::StoreAway, said).retry_after_s(AWAY_S).answer_lost(),
            StoreError::Unreached(_) | StoreError::Refusing { .. } => {
                Self::new(Kind::StoreAway, said).retry_after_s(AWAY_S)
            }
            StoreError::Full(_) => Self::new(Kind::StoreFull, said).retry_after_s(AWAY_S),
            _ => Self::new(Kind::StoreRefuses, said),
        }
    }
}

impl From<AdminError> for Problem {
    fn from(error: AdminError) -> Self {
        let said = error.to_string();
        match error {
            AdminError::NotFound { what, suggestion, .. } => {
                let kind = match what {
                    "task" => Kind::UnknownTask,
                    "queue" => Kind::UnknownQueue,
                    "periodic task" => Kind::UnknownPeriodicTask,
                    "lock" => Kind::UnknownLock,
                    "worker" => Kind::UnknownWorker,
                    _ => Kind::NotFound,
                };
                Self::new(kind, said).did_you_mean(suggestion)
            }
            AdminError::NotFailed(_) => Self::new(Kind::UnknownFailedJob, said),
            AdminError::Ambiguous { .. } => Self::new(Kind::Ambiguous, said),
            AdminError::NotRetriable { .. } => Self::new(Kind::NotRetriable, said),
            AdminError::Request(error) => error.into(),
            AdminError::Changed { .. }
            | AdminError::Busy { .. }
            | AdminError::OtherCount { .. }
            | AdminError::Alive { .. } => Self::new(Kind::Changed, said),
            AdminError::Store(error) => error.into(),
            _ => Self::new(Kind::Malformed, said),
        }
    }
}

impl From<ClientError> for Problem {
    fn from(error: ClientError) -> Self {
        let said = error.to_string();
        match error {
            ClientError::Request(error) => error.into(),
            ClientError::Duplicate { .. } => Self::new(Kind::AlreadyEnqueued, said),
            ClientError::KeyReused => Self::new(Kind::KeyReused, said),
            ClientError::Plugin(_) => Self::new(Kind::PluginFailed, said),
            ClientError::Store(error) => error.into(),
            ClientError::Unknown(_) | ClientError::UnknownOnce(_) => Self::new(Kind::OutcomeUnknown, said),
            ClientError::Address(_) => Self::new(Kind::Internal, said),
        }
    }
}

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Self {
        let said = error.to_string();
        match error {
            RequestError::UnknownTask { suggestion, .. } => {
                Self::new(Kind::UnknownTask, said).did_you_mean(suggestion).command("windlass tasks")
            }
            RequestError::Broken { .. } => Self::new(Kind::UnknownTask, said).command("windlass check"),
            RequestError::Input(error) => {
                let problem = Self::new(Kind::InvalidInputs, said);
                match error {
                    InputError::Required { key, .. } => {
                        problem.wrong(pointer(&["args", "0", &key]), "a value", "nothing")
                    }
                    InputError::Invalid { key, expected, found, .. } => {
                        problem.wrong(pointer(&["args", "0", &key]), expected.to_string(), found)
                    }
                    InputError::NoObject { .. } => {
                        problem.wrong(pointer(&["args", "0"]), "an object", "something else")
                    }
                }
            }
            RequestError::QueueMissing { .. } => {
                Self::new(Kind::InvalidInputs, said).wrong(pointer(&["queue"]), "the name of a queue", "nothing")
            }
            RequestError::PeriodicArguments { .. } => {
                Self::new(Kind::InvalidInputs, said).wrong(pointer(&["args"]), "no arguments", "some")
            }
            RequestError::Name { what, text, error } => {
                Self::new(Kind::InvalidInputs, said).wrong(pointer(&[what]), error.to_string(), text)
            }
            RequestError::Args(_) | RequestError::Encode(_) => Self::new(Kind::Malformed, said),
        }
    }
}

/// A JSON pointer of these members.
fn pointer(members: &[&str]) -> String {
    members.iter().map(|member| format!("/{}", member.replace('~', "~0").replace('/', "~1"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Request;
    use crate::client::enqueue::tests::registry;
    use crate::store::server_state::ServerState;

    fn written(problem: impl Into<Problem>) -> serde_json::Value {
        serde_json::from_str(&problem.into().text("")).unwrap()
    }

    #[test]
    fn a_store_that_is_away_may_be_asked_again_and_one_that_refuses_may_not() {
        for (error, status) in [
            (StoreError::Unavailable("gone".to_owned()), 503),
            (StoreError::Unreached("gone".to_owned()), 503),
            (StoreError::Refusing { state: ServerState::Loading, said: "LOADING".to_owned() }, 503),
            (StoreError::Full("no room".to_owned()), 503),
            (StoreError::Unsupported("old".to_owned()), 500),
            (StoreError::Barred { place: "x".to_owned(), reason: "y".to_owned() }, 500),
            (StoreError::Corrupt { place: "x".to_owned(), reason: "y".to_owned() }, 500),
        ] {
            let told = Problem::from(AdminError::from(error.clone()));
            assert_eq!(
                (told.status().as_u16(), told.retries_after_s().is_some()),
                (status, status == 503),
                "{error:?}"
            );
        }
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is() {
        let error = Request::new("sendmial").resolve(&registry()).unwrap_err();
        let told = written(error);
        assert_eq!((&told["status"], &told["did_you_mean"]), (&404.into(), &"sendMail".into()));
        assert_eq!(told["type"], "urn:windlass:problem:unknown-task");
        let error =
            AdminError::NotFound { what: "queue", name: "mial".to_owned(), suggestion: Some("mail".to_owned()) };
        assert_eq!(written(error)["type"], "urn:windlass:problem:unknown-queue");
    }

    #[test]
    fn wrong_inputs_are_told_with_their_place() {
        let invalid = InputError::Required { key: "a/b".to_owned(), task: "t".to_owned() };
        let told = written(RequestError::from(invalid));
        assert_eq!((&told["status"], &told["errors"][0]["pointer"]), (&422.into(), &"/args/0/a~1b".into()));
        let error = Request::new("Add").foreign().resolve(&registry()).unwrap_err();
        assert_eq!(written(error)["errors"][0]["pointer"], "/queue");
    }
}
