//! A server whose every byte the test controls.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use super::PATIENCE;

/// Done, and the connection may serve the next.
pub(super) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// Which connection it came on, from 1.
    pub(super) connection: usize,
    /// The request line.
    pub(super) line: String,
    /// The headers, names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// One connection, from the server's side.
pub(super) struct Peer {
    pub(super) number: usize,
    wire: BufReader<Box<dyn Wire>>,
    seen: mpsc::UnboundedSender<Seen>,
    open: Arc<AtomicUsize>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Peer {
    /// The next request without its body, which stays unread.
    pub(super) async fn head(&mut self) -> Option<Seen> {
        let line = self.line().await?;
        let mut headers = Vec::new();
        loop {
            let header = self.line().await?;
            let Some((name, value)) = header.split_once(": ") else { break };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        Some(Seen { connection: self.number, line, headers, body: Vec::new() })
    }

    /// The next request, if there is another one.
    pub(super) async fn request(&mut self) -> Option<Seen> {
        let mut seen = self.head().await?;
        let length = seen.header("content-length").map_or(0, |length| length.parse().unwrap());
        seen.body.resize(length, 0);
        self.wire.read_exact(&mut seen.body).await.ok()?;
        let _ = self.seen.send(seen.clone());
        Some(seen)
    }

    /// The first bytes that arrive, whatever they are.
    pub(super) async fn greeting(&mut self) {
        let length = self.wire.fill_buf().await.map_or(0, <[u8]>::len);
        self.wire.consume(length);
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let length = self.wire.read_line(&mut line).await.ok()?;
        (length > 0).then(|| line.trim_end().to_owned())
    }

    /// Sends these bytes; `false` when the client has closed.
    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let sent = async {
            self.wire.get_mut().write_all(bytes.as_ref()).await?;
            self.wire.get_mut().flush().await
        };
        sent.await.is_ok()
    }

    /// Waits until the client has closed.
    pub(super) async fn closed(&mut self) {
        let mut rest = Vec::new();
        let _ = self.wire.read_to_end(&mut rest).await;
    }
}

pub(super) struct Server {
    pub(super) port: u16,
    seen: mpsc::UnboundedReceiver<Seen>,
    /// How many connections there were.
    pub(super) accepted: Arc<AtomicUsize>,
    /// How many there are.
    pub(super) open: Arc<AtomicUsize>,
    /// The most there were at once.
    pub(super) most: Arc<AtomicUsize>,
}

impl Server {
    /// Serves each connection by this function.
    pub(super) async fn start<F, R>(serve: F) -> Self
    where
        F: Fn(Peer) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        Self::listen(None, serve).await
    }

    pub(super) async fn encrypted<F, R>(acceptor: TlsAcceptor, serve: F) -> Self
    where
        F: Fn(Peer) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        Self::listen(Some(acceptor), serve).await
    }

    /// Answers every request with this text, as long as the client wants.
    pub(super) async fn answering(text: impl Into<String>) -> Self {
        let text = text.into();
        Self::start(move |peer| answer_all(peer, text.clone())).await
    }

    async fn listen<F, R>(acceptor: Option<TlsAcceptor>, serve: F) -> Self
    where
        F: Fn(Peer) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, seen) = mpsc::unbounded_channel();
        let counter = Arc::<AtomicUsize>::default;
        let server = Self { port, seen, accepted: counter(), open: counter(), most: counter() };
        let (accepted, open, most) = (Arc::clone(&server.accepted), Arc::clone(&server.open), Arc::clone(&server.most));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = accepted.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let wire: Box<dyn Wire> = match &acceptor {
                    None => Box::new(stream),
                    Some(acceptor) => match acceptor.accept(stream).await {
                        Ok(stream) => Box::new(stream),
                        // A client that does not trust us.
                        Err(_) => continue,
                    },
                };
                let peer = Peer { number, wire: BufReader::new(wire), seen: sender.clone(), open: Arc::clone(&open) };
                tokio::spawn(serve(peer));
            }
        });
        server
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/jobs?a=1", self.port)
    }

    /// The next request that came.
    pub(super) async fn seen(&mut self) -> Seen {
        tokio::time::timeout(PATIENCE, self.seen.recv()).await.expect("a request must come").unwrap()
    }

    /// All that came and were not looked at yet.
    pub(super) fn rest(&mut self) -> Vec<Seen> {
        std::iter::from_fn(|| self.seen.try_recv().ok()).collect()
    }
}

pub(super) async fn answer_all(mut peer: Peer, text: String) {
    while peer.request().await.is_some() {
        if !peer.send(&text).await {
            return;
        }
    }
}

/// Waits until a condition holds that another task brings about.
pub(super) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !holds() {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"));
}
