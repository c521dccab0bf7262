//! A TCP proxy in front of a redis-server that breaks on command, at the points that matter.
//!
//! It reads the wire's frames in both directions, so it knows which reply answers which request:
//! "cut the reply to the next command that contains `x`" is exact, no matter what else is in flight.
//! A refused connection is accepted and closed at once; clients see that as a connection lost.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::unix::OwnedReadHalf as ServerRead;
use tokio::net::{TcpListener, TcpStream, UnixStream, tcp};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::resp::frame_len;

/// Where a matching command's connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Before the command is forwarded: it is never executed.
    BeforeRequest,
    /// After the server answered and before the answer is passed on: it was executed, and the
    /// client cannot know.
    BeforeReply,
}

/// What goes one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Requests,
    Replies,
}

/// A cut that waits for its command.
#[derive(Debug)]
struct Trap {
    cut: Cut,
    needles: Vec<Vec<u8>>,
    sprung: oneshot::Sender<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Everything passes.
    Whole,
    /// Nothing moves; connections stay open.
    Stalled,
    /// Requests pass, and what the server says does not.
    RepliesHeld,
    /// Every command that needs the data is answered with an error.
    Failing,
    /// New connections are closed at once.
    Refusing,
}

#[derive(Debug)]
struct Shared {
    traps: Mutex<VecDeque<Trap>>,
    mode: watch::Sender<Mode>,
    /// Grows with each order to cut every connection.
    cuts: watch::Sender<u64>,
    /// How many connections there were.
    connections: AtomicU64,
    /// Connections of lower numbers swallow their requests, and these their replies.
    silent: [AtomicU64; 2],
    /// The error that commands are answered with when they are refused.
    refusal: Mutex<String>,
    /// How late every request and every reply arrives, at least and at most, in milliseconds.
    latency: [AtomicU64; 2],
    /// How many bytes pass each way of a connection in a millisecond; 0 for any number.
    rate: AtomicU64,
    /// How long a request and a reply may be; a longer one closes its connection and is not handed on.
    longest: [AtomicU64; 2],
    /// How many connections were closed for that.
    too_long: AtomicU64,
    upstream: PathBuf,
}

/// The proxy; it ends, and its connections with it, when it is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    shared: Arc<Shared>,
    port: u16,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1, in front of the server at a unix socket.
    pub(crate) async fn start(upstream: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port must be had");
        let port = listener.local_addr().expect("a listener must have an address").port();
        let shared = Arc::new(Shared {
            traps: Mutex::default(),
            mode: watch::Sender::new(Mode::Whole),
            cuts: watch::Sender::new(0),
            connections: AtomicU64::new(0),
            silent: [const { AtomicU64::new(0) }; 2],
            refusal: Mutex::default(),
            latency: [const { AtomicU64::new(0) }; 2],
            rate: AtomicU64::new(0),
            longest: [const { AtomicU64::new(u64::MAX) }; 2],
            too_long: AtomicU64::new(0),
            upstream: upstream.to_owned(),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { shared, port, accepting }
    }

    /// The address of the server through this proxy.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Cuts once, at the next command whose bytes hold all `needles`; several orders are met in
    /// their order. The receiver tells that it happened.
    pub(crate) fn cut_at<N: AsRef<[u8]>>(&self, cut: Cut, needles: &[N]) -> oneshot::Receiver<()> {
        let (sprung, told) = oneshot::channel();
        let needles = needles.iter().map(|needle| needle.as_ref().to_vec()).collect();
        lock(&self.shared.traps).push_back(Trap { cut, needles, sprung });
        told
    }

    /// Cuts every connection that there is.
    pub(crate) fn cut_all(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Holds everything back, both ways, until it heals.
    pub(crate) fn stall(&self) {
        self.shared.mode.send_replace(Mode::Stalled);
    }

    /// Holds back what the server says until it heals; what it is asked for reaches it.
    pub(crate) fn hold_replies(&self) {
        self.shared.mode.send_replace(Mode::RepliesHeld);
    }

    /// Lets the server answer every command that needs its data with this error until it heals.
    pub(crate) fn answer_with(&self, error: &str) {
        *lock(&self.shared.refusal) = error.to_owned();
        self.shared.mode.send_replace(Mode::Failing);
    }

    /// Swallows from now on what goes this way over the connections that there are: they stay open, and new ones work.
    pub(crate) fn silence(&self, direction: Direction) {
        let connections = self.shared.connections.load(Ordering::SeqCst);
        self.shared.silent[direction as usize].store(connections, Ordering::SeqCst);
    }

    /// Delays what goes either way by so many milliseconds, from the least to the most.
    pub(crate) fn delay(&self, least: u64, most: u64) {
        self.shared.latency[0].store(least, Ordering::SeqCst);
        self.shared.latency[1].store(most, Ordering::SeqCst);
    }

    /// Lets so many bytes pass each way of a connection in a millisecond.
    pub(crate) fn throttle(&self, rate: u64) {
        self.shared.rate.store(rate, Ordering::SeqCst);
    }

    /// Closes from now on each connection over which more bytes would go this way in one piece.
    pub(crate) fn bound(&self, direction: Direction, bytes: u64) {
        self.shared.longest[direction as usize].store(bytes, Ordering::SeqCst);
    }

    /// How many connections were closed because of a bound.
    pub(crate) fn closed_for_length(&self) -> u64 {
        self.shared.too_long.load(Ordering::SeqCst)
    }

    /// Refuses new connections until it heals.
    pub(crate) fn refuse(&self) {
        self.shared.mode.send_replace(Mode::Refusing);
    }

    /// Lets everything pass again, and forgets cuts that never happened.
    pub(crate) fn heal(&self) {
        lock(&self.shared.traps).clear();
        self.shared.mode.send_replace(Mode::Whole);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        if *shared.mode.borrow() == Mode::Refusing {
            continue;
        }
        let shared = Arc::clone(&shared);
        let cuts = shared.cuts.subscribe();
        tokio::spawn(async move {
            if let Ok(server) = UnixStream::connect(&shared.upstream).await {
                connection(client, server, &shared, cuts).await;
            }
        });
    }
}

/// Serves one connection until either end closes it or it is cut.
async fn connection(client: TcpStream, server: UnixStream, shared: &Shared, mut cuts: watch::Receiver<u64>) {
    // The replies owed, in order; an entry is the trap that its arrival springs.
    let owed = Mutex::new(VecDeque::new());
    let number = shared.connections.fetch_add(1, Ordering::SeqCst);
    let (late_requests, due_requests) = mpsc::unbounded_channel();
    let (late_replies, due_replies) = mpsc::unbounded_channel();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = requests(from_client, late_requests, shared, &owed, number) => {}
        () = deliver(due_requests, to_server, shared) => {}
        () = replies(from_server, late_replies, shared, &owed, number) => {}
        () = deliver(due_replies, to_client, shared) => {}
        _ = cuts.changed() => {}
    }
}

type Owed = Mutex<VecDeque<Option<oneshot::Sender<()>>>>;

/// Frames on their way, and when each arrives.
type Late = mpsc::UnboundedSender<(Instant, Vec<u8>)>;

impl Shared {
    fn is_too_long(&self, frame: &[u8], direction: Direction) -> bool {
        let is_too_long = frame.len() as u64 > self.longest[direction as usize].load(Ordering::SeqCst);
        self.too_long.fetch_add(u64::from(is_too_long), Ordering::SeqCst);
        is_too_long
    }

    fn is_silent(&self, number: u64, direction: Direction) -> bool {
        number < self.silent[direction as usize].load(Ordering::SeqCst)
    }

    fn latency(&self, seed: usize) -> Duration {
        let [least, most] = [0, 1].map(|at: usize| self.latency[at].load(Ordering::SeqCst));
        Duration::from_millis(least + (seed as u64).wrapping_mul(7919) % (most - least + 1))
    }
}

async fn requests(mut client: tcp::OwnedReadHalf, server: Late, shared: &Shared, owed: &Owed, number: u64) {
    let mut mode = shared.mode.subscribe();
    let mut wire = Vec::new();
    let mut count = 0;
    while client.read_buf(&mut wire).await.is_ok_and(|n| n > 0) {
        while let Some(len) = frame_len(&wire) {
            let frame: Vec<u8> = wire.drain(..len).collect();
            if shared.is_silent(number, Direction::Requests) {
                continue;
            }
            if shared.is_too_long(&frame, Direction::Requests) {
                return;
            }
            let trap = {
                let mut traps = lock(&shared.traps);
                let first = traps.front().is_some_and(|trap| trap.needles.iter().all(|needle| holds(&frame, needle)));
                if first { traps.pop_front() } else { None }
            };
            let sprung = match trap {
                Some(Trap { cut: Cut::BeforeRequest, sprung, .. }) => {
                    // The receiver may have been dropped.
                    sprung.send(()).ok();
                    return;
                }
                Some(Trap { sprung, .. }) => Some(sprung),
                None => None,
            };
            if mode.wait_for(|mode| *mode != Mode::Stalled).await.is_err() {
                return;
            }
            lock(owed).push_back(sprung);
            let refused = *mode.borrow() == Mode::Failing && !needs_no_data(&frame);
            let frame = if refused { refusal(&lock(&shared.refusal)) } else { frame };
            count += 1;
            if server.send((Instant::now() + shared.latency(count), frame)).is_err() {
                return;
            }
        }
    }
}

async fn replies(mut server: ServerRead, client: Late, shared: &Shared, owed: &Owed, number: u64) {
    let mut mode = shared.mode.subscribe();
    let mut wire = Vec::new();
    let mut count = 0;
    while server.read_buf(&mut wire).await.is_ok_and(|n| n > 0) {
        while let Some(len) = frame_len(&wire) {
            let frame: Vec<u8> = wire.drain(..len).collect();
            // A push (RESP3) answers nothing.
            if frame[0] != b'>'
                && let Some(Some(sprung)) = lock(owed).pop_front()
            {
                sprung.send(()).ok();
                return;
            }
            if mode.wait_for(|mode| !matches!(mode, Mode::Stalled | Mode::RepliesHeld)).await.is_err() {
                return;
            }
            if shared.is_too_long(&frame, Direction::Replies) {
                return;
            }
            count += 1;
            let silent = shared.is_silent(number, Direction::Replies);
            if !silent && client.send((Instant::now() + shared.latency(count), frame)).is_err() {
                return;
            }
        }
    }
}

/// How many bytes a slow path hands on at once.
const PART: usize = 16 * 1024;

/// Hands frames on when they are due, in their order.
async fn deliver(
    mut due: mpsc::UnboundedReceiver<(Instant, Vec<u8>)>,
    mut to: impl AsyncWrite + Unpin,
    shared: &Shared,
) {
    while let Some((at, frame)) = due.recv().await {
        if at > Instant::now() {
            tokio::time::sleep_until(at).await;
        }
        for part in frame.chunks(PART) {
            let rate = shared.rate.load(Ordering::SeqCst);
            if let Some(micros) = (part.len() as u64 * 1000).checked_div(rate) {
                tokio::time::sleep(Duration::from_micros(micros)).await;
            }
            if to.write_all(part).await.is_err() {
                return;
            }
        }
    }
}

/// Is this a command that a server takes while it loads its data?
fn needs_no_data(frame: &[u8]) -> bool {
    let name = frame.split(|byte| *byte == b'\n').nth(2).unwrap_or_default().trim_ascii_end();
    [&b"HELLO"[..], b"AUTH", b"CLIENT", b"INFO", b"SELECT", b"QUIT"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

/// A command that the server answers with this error, so that the answer comes in its turn.
fn refusal(error: &str) -> Vec<u8> {
    let script = format!("return redis.error_reply('{error}')");
    format!("*3\r\n$4\r\nEVAL\r\n${}\r\n{script}\r\n$1\r\n0\r\n", script.len()).into_bytes()
}

fn holds(frame: &[u8], needle: &[u8]) -> bool {
    needle.is_empty() || frame.windows(needle.len()).any(|window| window == needle)
}
