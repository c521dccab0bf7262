//! One request outside of any job: a notification, a ping, spans. Each has a connection of its own, because they are rare.

use std::pin::pin;
use std::time::Duration;

use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::connect::{Connector, SystemTrust};
use super::request::RequestBody;
use super::transport_error::deepest;
use crate::task::http_url::HttpUrl;

/// Why a server did not take what was sent. It does not tell the address, which may be a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Untaken {
    /// It answered so.
    #[error("it answered {0}")]
    Answered(StatusCode),
    /// It was not reached, or did not answer.
    #[error("{0}")]
    Unanswered(String),
}

/// Sends a body by POST within this time. Any status of success will do; what else the server says is not read.
///
/// # Errors
/// Says why the server did not take it, without the address: it may be a secret.
pub(crate) async fn post(
    url: &HttpUrl,
    trust: &SystemTrust,
    media: &'static str,
    body: Vec<u8>,
    limit: Duration,
) -> Result<(), String> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    post_with(url, trust, headers, Bytes::from(body), limit).await.map_err(|untaken| untaken.to_string())
}

/// The same with these headers.
///
/// # Errors
/// As [`post`].
pub(crate) async fn post_with(
    url: &HttpUrl,
    trust: &SystemTrust,
    headers: HeaderMap,
    body: Bytes,
    limit: Duration,
) -> Result<(), Untaken> {
    let connector = Connector::to(url, None, limit, trust.clone()).map_err(Untaken::Unanswered)?;
    let late = || Untaken::Unanswered(format!("it did not answer within {}", humantime::format_duration(limit)));
    let status = timeout(limit, send(&connector, url, headers, body)).await.map_err(|_| late())?;
    let status = status.map_err(Untaken::Unanswered)?;
    if status.is_success() { Ok(()) } else { Err(Untaken::Answered(status)) }
}

async fn send(connector: &Connector, url: &HttpUrl, headers: HeaderMap, body: Bytes) -> Result<StatusCode, String> {
    let (stream, _socket) = connector.connect().await.map_err(|error| error.to_string())?;
    let shake = http1::Builder::new().handshake(TokioIo::new(stream));
    let (mut sender, connection) = shake.await.map_err(|error| deepest(&error))?;
    let mut request = Request::post(url.path.as_str())
        .header(header::HOST, &url.authority)
        .header(header::USER_AGENT, concat!("windlass/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close")
        .body(RequestBody::of(body))
        .map_err(|_| "the address has an impossible path".to_owned())?;
    request.headers_mut().extend(headers);
    let (mut response, mut connection) = (pin!(sender.send_request(request)), pin!(connection));
    let answered = tokio::select! {
        biased;
        answered = &mut response => answered,
        // It has ended; the answer came before that or not at all.
        _ = &mut connection => response.await,
    };
    answered.map_err(|error| deepest(&error)).map(|response: Response<_>| response.status())
}
