//! One connection, from its acceptance to its end.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::Request;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};

use super::framing::refusal;
use super::peer::Peer;
use super::slots::Slot;
use super::tapped::Tapped;

/// The longest head of a request.
const LONGEST_HEAD: usize = 16 * 1024;
/// How long a client whose request is refused may take for the answer, and how much more of it is read meanwhile: a connection
/// that is closed before all is read takes the answer with it.
const LAST: Duration = Duration::from_secs(2);
const LAST_BYTES: u64 = 1 << 20;

/// Serves it to its end: the client's, that of its patience, or ours. Errors are the client's.
pub(super) async fn serve<S>(stream: S, peer: Peer, slot: Arc<Slot>, router: Router, mut stop: watch::Receiver<bool>)
where
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
            let (answer, slot) = (routed.call(request), Arc::clone(&slot));
            async move {
                let response = answer.await;
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
    http.header_read_timeout(None).max_buf_size(LONGEST_HEAD);
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

/// The whole answer to a connection for which there is no slot. Who sends it does not wait.
pub(super) const NO_SLOT: &str = concat!(
    "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\n",
    "cache-control: no-store\r\nconnection: close\r\ncontent-length: 160\r\n\r\n",
    r#"{"type":"urn:windlass:problem:too-many-connections","title":"Too many connections","status":503,"#,
    r#""detail":"all connections have requests; try again in a moment"}"#,
);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::time::{Instant, advance};

    use super::*;
    use crate::http::slots::{Admitted, Slots};

    struct Served {
        client: DuplexStream,
        stop: watch::Sender<bool>,
        slots: Slots,
        task: tokio::task::JoinHandle<()>,
    }

    fn served() -> Served {
        let (client, server) = duplex(64 * 1024);
        let slots = Slots::new(1);
        let Admitted::Yes(slot) = slots.take() else { unreachable!("it is the first") };
        let router = Router::new()
            .route("/", get(|| async { "yes" }))
            .route("/echo", post(|body: Bytes| async move { body }))
            .route(
                "/long",
                get(|| async {
                    // The time of the tests, which passes at once, here and below.
                    tokio::time::sleep(Duration::from_secs(20)).await;
                    "at last"
                }),
            );
        let (stop, stopped) = watch::channel(false);
        let peer = Peer::tcp("127.0.0.1".parse().unwrap(), "127.0.0.1".parse().unwrap());
        let task = tokio::spawn(serve(server, peer, slot, router, stopped));
        Served { client, stop, slots, task }
    }

    impl Served {
        async fn send(&mut self, text: &str) {
            self.client.write_all(text.as_bytes()).await.unwrap();
        }

        /// What comes until something ends with this.
        async fn read_to(&mut self, end: &str) -> String {
            let mut read = Vec::new();
            while !read.ends_with(end.as_bytes()) {
                let mut byte = [0];
                assert_eq!(self.client.read(&mut byte).await.unwrap(), 1, "{}", String::from_utf8_lossy(&read));
                read.push(byte[0]);
            }
            String::from_utf8(read).unwrap()
        }

        /// After how many seconds it is closed.
        async fn closes_after(&mut self) -> u64 {
            let begun = Instant::now();
            let mut rest = Vec::new();
            self.client.read_to_end(&mut rest).await.unwrap();
            assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
            begun.elapsed().as_secs()
        }
    }

    const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    #[tokio::test(start_paused = true)]
    async fn silence_and_a_head_byte_by_byte_end_after_ten_seconds() {
        assert_eq!(served().closes_after().await, 10);
        let mut slow = served();
        let begun = Instant::now();
        for byte in GET.bytes() {
            if slow.client.write_all(&[byte]).await.is_err() {
                break;
            }
            // A byte a second.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(slow.closes_after().await, 0);
        assert!((10..12).contains(&begun.elapsed().as_secs()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_be_read_in_two_ways_is_answered_behind_what_came_before_it() {
        for cut in [1, 7, 60, 1000] {
            let mut served = served();
            let text = format!(
                "{GET}POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{GET}"
            );
            for part in text.as_bytes().chunks(cut) {
                served.client.write_all(part).await.unwrap();
                tokio::task::yield_now().await;
            }
            let mut all = String::new();
            served.client.read_to_string(&mut all).await.unwrap();
            assert!(all.starts_with("HTTP/1.1 200 OK\r\n") && all.matches("HTTP/1.1 ").count() == 2, "{cut}: {all}");
            let (_, last) = all.split_once("yes").unwrap();
            assert!(last.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{cut}: {last}");
            assert!(last.contains("connection: close") && last.ends_with("expected one of them\"}"), "{cut}: {last}");
        }
        let mut served = served();
        served.send("POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n").await;
        let mut all = String::new();
        served.client.read_to_string(&mut all).await.unwrap();
        assert!(all.starts_with("HTTP/1.1 400 ") && all.matches("HTTP/1.1 ").count() == 1, "{all}");
    }

    #[tokio::test(start_paused = true)]
    async fn between_two_requests_there_is_more_time_and_for_the_next_head_there_is_not() {
        let mut served = served();
        for _ in 0..2 {
            served.send(GET).await;
            assert!(served.read_to("yes").await.starts_with("HTTP/1.1 200 OK\r\n"));
            advance(Duration::from_secs(60)).await;
        }
        served.send("GET").await;
        assert_eq!(served.closes_after().await, 10);
        let mut idle = self::served();
        idle.send(GET).await;
        idle.read_to("yes").await;
        assert_eq!(idle.closes_after().await, 75);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_ends_before_the_connection_does_and_idle_ones_end_at_once() {
        let mut served = served();
        served.send("GET /long HTTP/1.1\r\nhost: x\r\n\r\n").await;
        // It is being answered by then.
        tokio::time::sleep(Duration::from_secs(1)).await;
        served.stop.send_replace(true);
        assert!(served.read_to("at last").await.contains("connection: close"));
        assert_eq!(served.closes_after().await, 0);
        served.task.await.unwrap();
        let mut idle = self::served();
        idle.send(GET).await;
        idle.read_to("yes").await;
        idle.stop.send_replace(true);
        assert_eq!(idle.closes_after().await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_waits_gives_way_at_once() {
        let mut served = served();
        served.send("GET / HT").await;
        // It waits for the rest of the head by then.
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(matches!(served.slots.take(), Admitted::For(..)));
        assert_eq!(served.closes_after().await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_and_an_answer_that_is_not_read_end() {
        let mut served = served();
        served.send("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nab").await;
        assert_eq!(served.closes_after().await, 40);
        let mut deaf = self::served();
        let body = "x".repeat(200_000);
        let head = format!("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
        deaf.send(&head).await;
        deaf.send(&body).await;
        let begun = Instant::now();
        deaf.task.await.unwrap();
        assert!((40..=75).contains(&begun.elapsed().as_secs()));
    }

    #[tokio::test(start_paused = true)]
    async fn who_still_reads_an_answer_does_not_give_way() {
        let mut served = served();
        // More than the pipe between the two holds.
        let body = "x".repeat(100_000);
        served.send(&format!("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len())).await;
        served.send(&body).await;
        // All of the answer that fits is in the pipe by then.
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(matches!(served.slots.take(), Admitted::No(_)));
        served.read_to(&body).await;
        // The rest is written by then.
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(matches!(served.slots.take(), Admitted::For(..)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_is_too_long_is_refused() {
        let mut served = served();
        let long = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(LONGEST_HEAD));
        served.send(&long).await;
        assert!(served.read_to("\r\n\r\n").await.starts_with("HTTP/1.1 431 "));
    }

    #[test]
    fn the_answer_without_a_slot_is_whole() {
        let (head, body) = NO_SLOT.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())));
        assert_eq!(serde_json::from_str::<serde_json::Value>(body).unwrap()["status"], 503);
    }
}
