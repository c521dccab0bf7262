//! Reads `http = "..."`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::http::{HeaderName, HeaderValue, Method, header};

use super::{HandlerContext, secret};
#[cfg(feature = "tls")]
use crate::config::element::authorities;
use crate::config::element::duration::{self, Unit};
use crate::config::element::literal;
use crate::config::reader::{Table, Value};
use crate::task::handler_spec::{HttpSpec, Secret};
use crate::task::http_url::HttpUrl;

/// The keys that belong to this handler.
pub(super) const KEYS: [&str; 10] = [
    "method",
    "headers",
    "secret",
    "secrets",
    "connections",
    "connect_timeout",
    "ca_file",
    "result",
    "retry_later",
    "retry_later_limit",
];

/// The default of the task's `timeout`. A server that hangs would keep job and processor for ever.
pub(in crate::task::load) const TIMEOUT: Duration = Duration::from_secs(600);
/// The default of `connections`.
const CONNECTIONS: usize = 64;
/// The largest number of connections of a task.
const MAX_CONNECTIONS: u64 = 10_000;
/// The most secrets of a task: a new one and the one before.
const MAX_SECRETS: usize = 2;
/// The default of `connect_timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Headers that frame or route a message. A task cannot set them because the connection does.
const OF_CONNECTION: [HeaderName; 9] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::HOST,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

pub(super) fn read(http: &Value<'_>, run: &mut Table<'_>, context: HandlerContext<'_>) -> Option<HttpSpec> {
    let method = run.take("method").and_then(|value| {
        let methods = [Method::POST, Method::PUT, Method::PATCH, Method::GET, Method::DELETE];
        let words: Vec<(&str, &Method)> = methods.iter().map(|method| (method.as_str(), method)).collect();
        value.one_of("POST, PUT, PATCH, GET or DELETE", &words).cloned()
    });
    let headers = run.take("headers").map(|value| read_headers(&value, context)).unwrap_or_default();
    let secrets = read_secrets(run, context);
    let connections = run.take("connections").and_then(|value| value.whole_number(1..=MAX_CONNECTIONS));
    let min = Duration::from_millis(1);
    let connect_timeout = run.take("connect_timeout").and_then(|value| duration::read(&value, Unit::Milliseconds, min));
    let ca = run.take("ca_file");
    let ca_file = ca.as_ref().and_then(|value| read_authorities(value, context.folder));
    let keep_body = run.take("result").and_then(|value| value.one_of("\"body\"", &[("body", true)]));
    let later = super::read_retry_later(run);
    let url = HttpUrl::parse(http.string()?).map_err(|error| http.report(error.to_string())).ok()?;
    if let Some(ca) = ca.filter(|_| !url.tls) {
        ca.report("has no effect on an address that is not https://");
    }
    Some(HttpSpec {
        url,
        method: method.unwrap_or(Method::POST),
        headers,
        secrets,
        connections: connections.and_then(|most| usize::try_from(most).ok()).unwrap_or(CONNECTIONS),
        connect_timeout: connect_timeout.unwrap_or(CONNECT_TIMEOUT),
        ca_file,
        keep_body: keep_body.unwrap_or(false),
        later,
    })
}

/// `secret = S`, or `secrets = [NEW, OLD]` while a secret is exchanged.
fn read_secrets(run: &mut Table<'_>, context: HandlerContext<'_>) -> Vec<Secret> {
    let (one, more) = (run.take("secret"), run.take("secrets"));
    let read = |value: &Value<'_>| secret::read_key(value, context);
    match (one, more) {
        (Some(_), Some(more)) => {
            more.report("expected one of secret and secrets");
            Vec::new()
        }
        (Some(one), None) => read(&one).into_iter().collect(),
        (None, Some(more)) => {
            let items = more.list("a list of secrets, the newest first").unwrap_or_default();
            if !(1..=MAX_SECRETS).contains(&items.len()) {
                more.report("expected one secret, or two while it is exchanged: [NEW, OLD]");
            }
            items.iter().filter_map(read).collect()
        }
        (None, None) => Vec::new(),
    }
}

/// Does the value of this header prove who sends it?
fn is_secret_header(name: &HeaderName) -> bool {
    let name = name.as_str();
    name == "cookie" || ["authorization", "token", "secret", "api-key", "apikey"].iter().any(|word| name.contains(word))
}

fn read_headers(value: &Value<'_>, context: HandlerContext<'_>) -> Vec<(HeaderName, Secret)> {
    let mut headers: Vec<(HeaderName, Secret)> = Vec::new();
    let Some(mut table) = value.table("a table of headers") else { return headers };
    for (written, value) in table.all() {
        let Ok(name) = HeaderName::try_from(written) else {
            value.report("is no name of a header");
            continue;
        };
        if OF_CONNECTION.contains(&name) || matches!(name.as_str(), "keep-alive" | "proxy-connection") {
            value.report("is set by the connection itself; remove it");
        } else if name.as_str().starts_with("windlass-") {
            value.report("headers that begin with windlass- are set for each job; choose another name");
        } else if headers.iter().any(|(other, _)| *other == name) {
            value.report("stands here twice: upper and lower case make no difference");
        } else if let Some(text) = secret::read(&value, context, is_secret_header(&name)) {
            match &text {
                Secret::Known(known) if HeaderValue::try_from(known).is_err() => {
                    value.report("expected a value of printable ASCII on one line");
                }
                _ => headers.push((name, text)),
            }
        }
    }
    headers
}

fn read_authorities(value: &Value<'_>, folder: &Path) -> Option<PathBuf> {
    let path: PathBuf = folder.join(literal::path(value)?).components().collect();
    // A build without TLS can still read tasks. The handler checks the file before it runs a job.
    #[cfg(feature = "tls")]
    if let Err(error) = authorities::load(Some(&path)) {
        value.report(format!("expected a PEM file of certificates ({error})"));
        return None;
    }
    Some(path)
}
