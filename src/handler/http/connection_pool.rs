//! The connections of one task, kept for the next job.
//!
//! There are at most as many as the task allows, and each job has one for itself: who finds all taken waits, in the
//! order of asking. One that is given back after a whole answer serves the next job, for a moment: servers close idle
//! connections too, and a request that crosses such an end on its way is lost without a word. So an idle connection is
//! given up before any usual server would do so, and looked at before it is used again.
//!
//! ## What is sent twice
//!
//! A request is put on another connection only if none of it was ever handed to this one: the library gives it back
//! unbegun, which it does when the connection turned out to be closed before. As soon as its first byte may have left,
//! the server may have done the job, and the failure says so. A fresh connection that is closed at once is a failure
//! too: there is no reason why the next should fare better.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use hyper::body::{Body as _, Frame, Incoming};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

use super::connect::Connector;
use super::request::RequestBody;
use super::transport::{Socket, Transport};
use super::transport_error::{TransportError, deepest};

/// How long a connection is kept that nobody uses. Usual servers close theirs after two seconds or more.
const IDLE: Duration = Duration::from_millis(1500);
/// The largest head of an answer, in bytes.
const HEAD_CAP: usize = 64 * 1024;

type ConnectionDriver = http1::Connection<TokioIo<Transport>, RequestBody>;

/// The connections of one task.
pub(super) struct ConnectionPool {
    connector: Connector,
    /// One permit for each job that has a connection or is about to open one. Whoever holds one and finds no idle
    /// connection may so open another: those of others are taken, and there are fewer than allowed.
    slots: Semaphore,
    idle: Mutex<IdleConnections>,
}

#[derive(Default)]
struct IdleConnections {
    /// The one that was used last is at the end, and is taken first.
    connections: Vec<(PooledConnection, Instant)>,
    /// Does somebody see to it that old ones are closed?
    watched: bool,
}

/// A connection of a job. Dropped, it is closed at once, whatever was going on.
pub(super) struct ConnectionLease<'p> {
    pool: &'p Arc<ConnectionPool>,
    connection: PooledConnection,
    /// The last field: a connection is idle or closed before another job may take its place.
    _slot: SemaphorePermit<'p>,
}

/// A connection.
struct PooledConnection {
    sender: SendRequest<RequestBody>,
    /// The half that reads and writes; none when the connection has ended.
    driver: Option<Box<ConnectionDriver>>,
    socket: Socket,
}

impl ConnectionPool {
    pub(super) fn new(connector: Connector, connections: usize) -> Arc<Self> {
        Arc::new(Self { connector, slots: Semaphore::new(connections), idle: Mutex::default() })
    }

    /// Waits until one of the connections is free; nothing is sent before.
    pub(super) async fn acquire(&self) -> Result<SemaphorePermit<'_>, TransportError> {
        self.slots.acquire().await.map_err(|_| TransportError::Connect("there is no pool any more".to_owned()))
    }

    /// Sends a request, whose turn it is, and waits for the head of the answer.
    pub(super) async fn send<'p>(
        self: &'p Arc<Self>,
        slot: SemaphorePermit<'p>,
        mut request: Request<RequestBody>,
    ) -> Result<(Response<Incoming>, ConnectionLease<'p>), TransportError> {
        loop {
            let (mut connection, used) = match self.take_idle() {
                Some(connection) => (connection, true),
                None => (PooledConnection::open(&self.connector).await?, false),
            };
            let refused = match connection.send(request).await {
                Ok(response) => return Ok((response, ConnectionLease { pool: self, connection, _slot: slot })),
                Err(refused) => refused,
            };
            let mut refused = *refused;
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
            tokio::spawn(close_old(Arc::downgrade(self)));
        }
    }

    /// Closes what has been idle for too long; when there will be more to close, if ever.
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
    /// The next piece of an answer's body.
    pub(super) async fn frame(
        &mut self,
        body: &mut Incoming,
    ) -> Option<Result<Frame<hyper::body::Bytes>, hyper::Error>> {
        self.connection.drive(poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx))).await
    }

    /// Keeps the connection for the next job; to be called when the answer was read to its end.
    pub(super) async fn keep(self) {
        let Self { pool, mut connection, _slot } = self;
        if connection.is_ready().await {
            pool.give_back(connection);
        } else {
            // Before another job may take its place.
            drop(connection);
        }
    }
}

impl PooledConnection {
    async fn open(connector: &Connector) -> Result<Self, TransportError> {
        let (stream, socket) = connector.connect().await?;
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(HEAD_CAP)
            // At most 100 headers, as the library has it: any other number costs an allocation for each answer.
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| TransportError::Connect(deepest(&error)))?;
        Ok(Self { sender, driver: Some(Box::new(driver)), socket })
    }

    async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Box<TrySendError<Request<RequestBody>>>> {
        let response = self.sender.try_send_request(request);
        self.drive(response).await.map_err(Box::new)
    }

    /// Can it take another request? An end that the server announced is carried out here.
    async fn is_ready(&mut self) -> bool {
        self.drive(std::future::ready(())).await;
        self.driver.is_some() && self.sender.is_ready()
    }

    /// Awaits something that the connection brings about, and works for the connection meanwhile.
    async fn drive<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if let Some(driver) = &mut self.driver
                && Pin::new(&mut **driver).poll(cx).is_ready()
            {
                // Whoever waits for it is told so by its end; what had gone wrong was told before.
                self.driver = None;
            }
            work.as_mut().poll(cx)
        })
        .await
    }
}
