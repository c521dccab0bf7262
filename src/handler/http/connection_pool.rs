//! The connections of one task, kept for the next job.
//!
//! There are at most as many connections as the task allows, and each job has one for itself. A job that finds none
//! free waits; jobs are served in order of arrival. A connection that is returned after a complete response serves the
//! next job if it is reused soon. Servers close idle connections too, and a request sent at that moment is lost
//! without a notice. An idle connection is therefore closed earlier than common servers would close it, and checked
//! before it is used again.
//!
//! ## What is sent twice
//!
//! A request is sent on another connection only if no byte of it was sent on the first: the library returns it unsent
//! when the connection turned out to be closed. Once its first byte may have been sent, the server may have done the
//! job, and the failure says so. A fresh connection that is closed at once is a failure too, because the next
//! connection would probably not do better.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use hyper::body::{Body as _, Frame, Incoming};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::ext::on_informational;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

use super::connect::Connector;
use super::request::RequestBody;
use super::transport::{Socket, Transport};
use super::transport_error::{TransportError, deepest};
use crate::handler::lease_watch::LeaseWatch;
use crate::supervise::scope::named;

/// How long an idle connection is kept. Common servers close theirs after two seconds or more.
const IDLE: Duration = Duration::from_millis(1500);
/// The largest head of a response, in bytes.
const HEAD_CAP: usize = 64 * 1024;
/// How many provisional responses (1xx) a server may send before the one that counts. Nobody needs any; some send a few to
/// show that they are at work.
const MOST_PROVISIONAL: u32 = 100;

type ConnectionDriver = http1::Connection<TokioIo<Transport>, RequestBody>;

/// The connections of one task.
pub(super) struct ConnectionPool {
    connector: Connector,
    /// One permit for each job that has a connection or is about to open one. A job with a permit that finds no idle
    /// connection may open one, because the number of connections in use is below the limit.
    slots: Semaphore,
    idle: Mutex<IdleConnections>,
}

#[derive(Default)]
struct IdleConnections {
    /// The connection that was used last is at the end, and is taken first.
    connections: Vec<(PooledConnection, Instant)>,
    /// Is the task that closes old connections running?
    watched: bool,
}

/// A job's connection. Dropping it closes the connection at once.
pub(super) struct ConnectionLease<'p> {
    pool: &'p Arc<ConnectionPool>,
    connection: PooledConnection,
    /// The last field, so that the connection is idle or closed before another job gets the permit.
    _slot: SemaphorePermit<'p>,
}

/// A connection.
struct PooledConnection {
    sender: SendRequest<RequestBody>,
    /// Reads and writes; `None` when the connection has ended.
    driver: Option<Box<ConnectionDriver>>,
    socket: Socket,
    /// How many provisional responses came for the present request.
    provisional: Arc<AtomicU32>,
}

/// Why a request got no response.
enum SendFailure {
    Refused(Box<TrySendError<Request<RequestBody>>>),
    /// Nothing but provisional responses came.
    Provisional,
}

impl ConnectionPool {
    pub(super) fn new(connector: Connector, connections: usize) -> Arc<Self> {
        Arc::new(Self { connector, slots: Semaphore::new(connections), idle: Mutex::default() })
    }

    /// Waits for a permit. Nothing is sent before.
    pub(super) async fn acquire(&self) -> Result<SemaphorePermit<'_>, TransportError> {
        self.slots.acquire().await.map_err(|_| TransportError::Connect("there is no pool any more".to_owned()))
    }

    /// Sends a request with a permit, and waits for the head of the response. Sends nothing once the lease under which its
    /// job was claimed may have run out.
    pub(super) async fn send<'p>(
        self: &'p Arc<Self>,
        slot: SemaphorePermit<'p>,
        mut request: Request<RequestBody>,
        lease: &LeaseWatch,
    ) -> Result<(Response<Incoming>, ConnectionLease<'p>), TransportError> {
        loop {
            let (mut connection, used) = match self.take_idle() {
                Some(connection) => (connection, true),
                None => (PooledConnection::open(&self.connector).await?, false),
            };
            if lease.may_have_lapsed() {
                return Err(TransportError::ClaimDoubted);
            }
            let refused = match connection.send(request).await {
                Ok(response) => return Ok((response, ConnectionLease { pool: self, connection, _slot: slot })),
                Err(refused) => refused,
            };
            let SendFailure::Refused(mut refused) = refused else {
                let told =
                    format!("it sent more than {MOST_PROVISIONAL} provisional responses (1xx) and none that counts");
                return Err(TransportError::Protocol(told));
            };
            match refused.take_message() {
                Some(unbegun) if used => request = unbegun,
                Some(_) => return Err(TransportError::Unsent(deepest(refused.error()))),
                None => return Err(TransportError::of_exchange(refused.error())),
            }
        }
    }

    fn take_idle(&self) -> Option<PooledConnection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((connection, since)) = idle.connections.pop() {
            if since.elapsed() < IDLE && connection.socket.is_silent() {
                return Some(connection);
            }
        }
        None
    }

    fn give_back(self: &Arc<Self>, connection: PooledConnection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.connections.push((connection, Instant::now()));
        if !std::mem::replace(&mut idle.watched, true) {
            tokio::spawn(named("the closing of idle connections", close_old(Arc::downgrade(self))));
        }
    }

    /// Closes connections that were idle for too long. Returns when the next one is due, if there is any.
    fn prune(&self) -> Option<Instant> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.connections.retain(|(_, since)| since.elapsed() < IDLE);
        let next = idle.connections.first().map(|(_, since)| *since + IDLE);
        idle.watched = next.is_some();
        next
    }
}

/// Runs while there are idle connections.
async fn close_old(pool: Weak<ConnectionPool>) {
    let mut next = Instant::now() + IDLE;
    loop {
        sleep_until(next).await;
        match pool.upgrade().and_then(|pool| pool.prune()) {
            Some(later) => next = later,
            None => return,
        }
    }
}

impl ConnectionLease<'_> {
    /// The next piece of a response's body.
    pub(super) async fn frame(
        &mut self,
        body: &mut Incoming,
    ) -> Option<Result<Frame<hyper::body::Bytes>, hyper::Error>> {
        drive(&mut self.connection.driver, poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx))).await
    }

    /// Returns the connection to the pool. Called when the response was read to its end.
    pub(super) async fn keep(self) {
        let Self { pool, mut connection, _slot } = self;
        if connection.is_ready().await {
            pool.give_back(connection);
        } else {
            // Dropped before the permit.
            drop(connection);
        }
    }
}

impl PooledConnection {
    async fn open(connector: &Connector) -> Result<Self, TransportError> {
        let (stream, socket) = connector.connect().await?;
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(HEAD_CAP)
            // At most 100 headers, the default of the library: any other number costs an allocation for each response.
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| TransportError::Connect(deepest(&error)))?;
        Ok(Self { sender, driver: Some(Box::new(driver)), socket, provisional: Arc::default() })
    }

    async fn send(&mut self, mut request: Request<RequestBody>) -> Result<Response<Incoming>, SendFailure> {
        let provisional = Arc::clone(&self.provisional);
        provisional.store(0, Ordering::Relaxed);
        let counted = Arc::clone(&provisional);
        on_informational(&mut request, move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let mut response = pin!(self.sender.try_send_request(request));
        // The connection, which counts, is polled before this each time.
        let bounded = poll_fn(|cx| match response.as_mut().poll(cx) {
            Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
            Poll::Ready(Err(refused)) => Poll::Ready(Err(SendFailure::Refused(Box::new(refused)))),
            Poll::Pending if provisional.load(Ordering::Relaxed) > MOST_PROVISIONAL => {
                Poll::Ready(Err(SendFailure::Provisional))
            }
            Poll::Pending => Poll::Pending,
        });
        drive(&mut self.driver, bounded).await
    }

    /// Can it take another request? Also handles a close that the server announced.
    async fn is_ready(&mut self) -> bool {
        drive(&mut self.driver, std::future::ready(())).await;
        self.driver.is_some() && self.sender.is_ready()
    }
}

/// Polls `work` and the connection together until `work` is done.
async fn drive<T>(driver: &mut Option<Box<ConnectionDriver>>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|cx| {
        if let Some(connection) = driver
            && Pin::new(&mut **connection).poll(cx).is_ready()
        {
            // Pending requests get the error from the library; earlier errors were reported before.
            *driver = None;
        }
        work.as_mut().poll(cx)
    })
    .await
}
