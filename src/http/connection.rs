//! One connection, from its acceptance to its end.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, Request, StatusCode};
use axum::response::Response;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};

use super::framing::refusal;
use super::health;
use super::peer::Peer;
use super::slots::Slot;
use super::tapped::Tapped;

/// The longest head of a request.
const LONGEST_HEAD: usize = 16 * 1024;
/// How long a client whose request is refused may take for the answer, and how much more of it is read meanwhile: a connection
/// that is closed before all is read takes the answer with it.
const LAST: Duration = Duration::from_secs(2);
const LAST_BYTES: u64 = 1 << 20;

/// What a connection may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// All that there is.
    Whole,
    /// There is no slot for it: one request, which is answered if it asks for health.
    Brief,
}

/// Serves it to its end: the client's, that of its patience, or ours. Errors are the client's.
pub(super) async fn serve<S>(
    stream: S,
    peer: Peer,
    (slot, manner): (Arc<Slot>, Manner),
    router: Router,
    mut stop: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let routed = TowerToHyperService::new(router);
    let service = service_fn({
        let slot = Arc::clone(&slot);
        move |request: Request<Incoming>| {
            slot.patience.busy();
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer);
            request.extensions_mut().insert(Arc::clone(&slot));
            let is_served = manner == Manner::Whole || request.uri().path().starts_with(health::PATHS);
            let (answer, slot) = (is_served.then(|| routed.call(request)), Arc::clone(&slot));
            async move {
                let response = match answer {
                    Some(answer) => answer.await,
                    None => Ok(no_slot()),
                };
                slot.patience.goes_on();
                response.map(|response| response.map(|body| AnswerBody { body, slot }))
            }
        }
    });
    let refused = Arc::new(OnceLock::new());
    let io = TokioIo::new(Tapped::new(stream, Arc::clone(&slot), Arc::clone(&refused)));
    // What hyper cannot read as a head it answers itself, with 400, 414 or 431 and no body, and the connection ends: it has no hook
    // for that answer, and tells the error only when the answer is written. Problem details would take a reader of heads of our own
    // before it, or one of its output.
    // Its own timer for heads counts the time between two requests as well; `patience` tells them apart.
    let mut http = http1::Builder::new();
    http.header_read_timeout(None).max_buf_size(LONGEST_HEAD).keep_alive(manner == Manner::Whole);
    let mut connection = http.serve_connection(io, service);
    let mut lapse = pin!(sleep_until(slot.patience.deadline()));
    let mut stopping = pin!(async move {
        // Anyone who could stop it is gone.
        let _ = stop.wait_for(|stop| *stop).await;
    });
    let mut stops = false;
    let mut ending = pin!(slot.ending.notified());
    poll_fn(|cx| {
        if !stops && stopping.as_mut().poll(cx).is_ready() {
            stops = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        if slot.patience.is_closed() || Pin::new(&mut connection).poll(cx).is_ready() {
            return Poll::Ready(());
        }
        // What came before it is answered first.
        if refused.get().is_some_and(|refused| !refused.is_begun) && slot.patience.waits_since().is_some() {
            return Poll::Ready(());
        }
        // What it does may have changed, and with that its time.
        lapse.as_mut().reset(slot.patience.deadline());
        if lapse.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if ending.as_mut().poll(cx).is_ready() && slot.patience.is_closed() {
            return Poll::Ready(());
        }
        Poll::Pending
    })
    .await;
    if let Some(refused) = refused.get().filter(|refused| !refused.is_begun && slot.patience.waits_since().is_some()) {
        let Tapped { stream, .. } = connection.into_parts().io.into_inner();
        // Who does not take it need not have it.
        let _ = timeout(LAST, refuse(stream, refused.why)).await;
    }
}

/// Answers a request that is not read any further.
async fn refuse(mut stream: impl AsyncRead + AsyncWrite + Unpin, why: &str) -> io::Result<()> {
    stream.write_all(refusal(why).as_bytes()).await?;
    stream.shutdown().await?;
    let mut rest = stream.take(LAST_BYTES);
    while rest.read(&mut [0; 4096]).await? > 0 {}
    Ok(())
}

/// The body of an answer, which tells how it goes on and when it is whole.
struct AnswerBody {
    body: Body,
    slot: Arc<Slot>,
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if frame.is_ready() {
            self.slot.patience.goes_on();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.slot.patience.answered();
    }
}

/// The problem that a connection without a slot gets.
const NO_SLOT: &str = concat!(
    r#"{"type":"urn:windlass:problem:too-many-connections","title":"Too many connections","status":503,"#,
    r#""detail":"all connections have requests; try again in a moment"}"#,
);

fn no_slot() -> Response {
    let mut response = Response::new(Body::from(NO_SLOT));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response.headers_mut().extend([
        (CONTENT_TYPE, HeaderValue::from_static("application/problem+json")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (RETRY_AFTER, HeaderValue::from_static("1")),
    ]);
    response
}

#[cfg(test)]
mod tests;
