//! Jobs against a test server, which does everything that servers do.

mod answers;
mod connections;
mod encrypted;
mod server;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hyper::http::Method;
use tokio::sync::watch;

use super::{Http, SystemTrust};
use crate::clock::ManualClock;
use crate::handler::contract::Stop;
use crate::handler::fixture;
use crate::job::{Failure, Outcome};
use crate::task::handler_spec::{HttpSpec, RetryLater};
use crate::task::http_url::HttpUrl;

/// More than any test takes, on any machine.
const PATIENCE: Duration = Duration::from_secs(20);
const NOW_S: i64 = 1_795_490_778;

fn spec(url: &str) -> HttpSpec {
    HttpSpec {
        url: HttpUrl::parse(url).unwrap(),
        method: Method::POST,
        headers: Vec::new(),
        secrets: Vec::new(),
        connections: 64,
        connect_timeout: Duration::from_secs(5),
        ca_file: None,
        keep_body: false,
        later: RetryLater::default(),
    }
}

fn trusting(url: &str, ca: &Path) -> HttpSpec {
    HttpSpec { ca_file: Some(ca.to_owned()), ..spec(url) }
}

fn http(spec: &HttpSpec) -> Http {
    Http::new(spec, SystemTrust::default(), Arc::new(ManualClock::at(NOW_S * 1000))).unwrap()
}

fn begin(handler: &Http, args: &str) -> (BoxFuture<'static, Outcome>, watch::Sender<Stop>) {
    fixture::begin(handler, fixture::invocation(args))
}

/// Performs a job with these arguments.
async fn perform(handler: &Http, args: &str) -> Outcome {
    let (outcome, _stop) = begin(handler, args);
    tokio::time::timeout(PATIENCE, outcome).await.expect("the job must end")
}

async fn failure(handler: &Http) -> Failure {
    match perform(handler, "[]").await {
        Outcome::Failure(failure) => failure,
        other => panic!("{other:?}"),
    }
}

/// What a failure says, without the server's port.
async fn said(handler: &Http) -> (String, String) {
    let Failure { exception, error, .. } = failure(handler).await;
    let words = error.splitn(4, [':', ' ']).nth(3).unwrap_or_default().trim_start().to_owned();
    (exception, words)
}

fn is_done(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Success { result: None })
}
