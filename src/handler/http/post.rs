//! One request outside of any job: a notification, a ping. Each has a connection of its own, because they are rare.

use std::pin::pin;
use std::time::Duration;

use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::http::header;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::connect::{Connector, SystemTrust};
use super::request::RequestBody;
use super::transport_error::deepest;
use crate::task::http_url::HttpUrl;

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
    let connector = Connector::to(url, None, limit, trust.clone())?;
    let late = || format!("it did not answer within {}", humantime::format_duration(limit));
    timeout(limit, send(&connector, url, media, body)).await.map_err(|_| late())?
}

async fn send(connector: &Connector, url: &HttpUrl, media: &'static str, body: Vec<u8>) -> Result<(), String> {
    let (stream, _socket) = connector.connect().await.map_err(|error| error.to_string())?;
    let shake = http1::Builder::new().handshake(TokioIo::new(stream));
    let (mut sender, connection) = shake.await.map_err(|error| deepest(&error))?;
    let request = Request::post(url.path.as_str())
        .header(header::HOST, &url.authority)
        .header(header::USER_AGENT, concat!("windlass/", env!("CARGO_PKG_VERSION")))
        .header(header::CONTENT_TYPE, media)
        .header(header::CONNECTION, "close")
        .body(RequestBody::of(Bytes::from(body)))
        .map_err(|_| "the address has an impossible path".to_owned())?;
    let (mut response, mut connection) = (pin!(sender.send_request(request)), pin!(connection));
    let answered = tokio::select! {
        biased;
        answered = &mut response => answered,
        // It has ended; the answer came before that or not at all.
        _ = &mut connection => response.await,
    };
    let status = answered.map_err(|error| deepest(&error))?.status();
    if status.is_success() { Ok(()) } else { Err(format!("it answered {status}")) }
}
