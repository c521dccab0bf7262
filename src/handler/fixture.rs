//! What the tests of handlers share.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::contract::{Handler, Invocation, StartedRun, Stop};
use crate::job::{ClaimToken, Identity, Outcome, QueueName, TaskName};
use crate::task::handler_spec::BuiltinSpec;
use crate::task::{HandlerSpec, TaskDefinition};

pub(crate) fn task(name: &str, handler: HandlerSpec) -> TaskDefinition {
    TaskDefinition::new(TaskName::new(name).unwrap(), QueueName::new("default").unwrap(), handler)
}

pub(crate) fn invocation(args: &str) -> Invocation {
    let claim = ClaimToken::new("00ff", 1, 7, 3);
    let task = task("test", HandlerSpec::Builtin(BuiltinSpec { name: "noop".into() }));
    Invocation {
        queue: QueueName::new("mail").unwrap(),
        identity: Identity::first(&claim),
        claim,
        instance: Arc::from("00ff"),
        ..Invocation::new(Arc::new(task), args.to_owned())
    }
}

/// Begins a run; the future is its outcome, the sender stops it.
pub(crate) fn begin(handler: &dyn Handler, job: Invocation) -> (BoxFuture<'static, Outcome>, watch::Sender<Stop>) {
    let (sender, receiver) = watch::channel(Stop::No);
    let outcome = match handler.begin(job, receiver) {
        StartedRun::Ended(outcome) => Box::pin(async move { outcome }) as BoxFuture<'static, Outcome>,
        StartedRun::Running(outcome) => outcome,
    };
    (outcome, sender)
}
