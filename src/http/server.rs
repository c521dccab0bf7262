//! The server: its thread, its listeners, its end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout_at};

use super::connection::{self, Manner};
use super::listener::{BindError, Bound, Sockets, bind_one};
use super::passing::{Listener, Listening};
use super::peer::Peer;
use super::router::router;
use super::site::Site;
use super::slots::{Admitted, Slot, Slots};
use super::standing::Standing;
use super::streams::Streams;
use crate::config::element::listen::ListenAddress;
use crate::event::{Bus, Event};
use crate::supervise::pulse::{LONGEST, Pulse, TURN};
use crate::supervise::scope::{contained_future, named, own_thread, until_told};

/// How many connections have slots.
const CONNECTIONS: usize = 256;
/// How many more are open for a moment, to ask for health.
const BRIEF: usize = 64;
/// How many connections are open at most.
pub const OPEN: usize = CONNECTIONS + BRIEF;
/// How long a listener rests after a failure, such as too many open files.
const REST: Duration = Duration::from_millis(200);
/// How often an address is tried that another program has.
const RETRY: Duration = Duration::from_secs(1);
/// How often it looks whether the connections have ended.
const LOOK: Duration = Duration::from_millis(20);

/// The stack of its thread: as large as that of the command line, which calls the same functions. Only what is used takes memory.
const STACK: usize = 8 << 20;

/// The thread's name, and that of its tasks.
const NAME: &str = "the http server";

/// A running server. Dropping it lets it end by itself.
#[derive(Debug)]
pub struct Server {
    end: watch::Sender<Option<Instant>>,
    ended: oneshot::Receiver<()>,
    listening: Listening,
}

/// Other addresses.
#[derive(Debug)]
struct Change {
    listen: Vec<ListenAddress>,
    new: Sockets,
}

/// Changes the addresses of a running server.
#[derive(Debug)]
pub struct Relisten(mpsc::UnboundedSender<Change>);

/// The other end of a [`Relisten`].
#[derive(Debug)]
pub struct Changes(mpsc::UnboundedReceiver<Change>);

/// Both ends.
#[must_use]
pub fn changes() -> (Relisten, Changes) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Relisten(sender), Changes(receiver))
}

impl Relisten {
    /// Listens on `listen` from now on: what is new there was bound before, what is not there is closed. Open connections
    /// stay.
    pub fn change(&self, listen: Vec<ListenAddress>, new: Sockets) {
        // A server that has ended listens on nothing.
        let _ = self.0.send(Change { listen, new });
    }
}

impl Server {
    /// Serves the site on these sockets, on a thread of its own.
    ///
    /// # Errors
    /// If the system gives no thread or takes no socket.
    pub fn start(site: &Site, sockets: Sockets, Changes(changed): Changes) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (end, told) = watch::channel(None);
        let (running, ended) = oneshot::channel::<()>();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let listening = Listening::default();
        let pulse = site.pulses.begin(NAME, LONGEST);
        let (site, passed) = (site.clone(), listening.clone());
        let run = move || {
            own_thread(NAME);
            let is_told = told.clone();
            runtime.block_on(async move {
                // Anyone who starts it tells what failed.
                let served = match Served::new(&site, sockets, passed) {
                    Ok(served) => served,
                    Err(error) => return drop(ready.send(Err(error))),
                };
                let _ = ready.send(Ok(()));
                let serve = async move {
                    tokio::select! {
                        () = served.run(changed, told) => {}
                        never = turn(pulse) => match never {},
                    }
                };
                until_told(NAME, serve, move || is_told.borrow().is_some()).await;
            });
            runtime.shutdown_background();
            drop(running);
        };
        std::thread::Builder::new().name("http".to_owned()).stack_size(STACK).spawn(run)?;
        match is_ready.recv() {
            Ok(listens) => listens?,
            Err(_) => return Err(io::Error::other("the thread ended")),
        }
        Ok(Self { end, ended, listening })
    }

    /// What it listens on.
    #[must_use]
    pub fn listening(&self) -> Listening {
        self.listening.clone()
    }

    /// Accepts nothing more, lets requests end until then, and ends.
    pub async fn end(self, until: Instant) {
        self.end.send_replace(Some(until));
        let _ = timeout_at(until, self.ended).await;
    }
}

async fn turn(pulse: Pulse) -> std::convert::Infallible {
    loop {
        pulse.turn();
        sleep(TURN.min(pulse.longest() / 2)).await;
    }
}

/// What the thread has.
struct Served {
    bus: Bus,
    accept: Accept,
    listeners: Vec<(ListenAddress, AbortHandle)>,
    listening: Listening,
    standing: Standing,
    /// Addresses that other programs have so far.
    waited_for: Vec<ListenAddress>,
    tasks: JoinSet<()>,
    streams: Streams,
    stop: watch::Sender<bool>,
}

impl Served {
    fn new(site: &Site, sockets: Sockets, listening: Listening) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let accept = Accept {
            router: router(site),
            slots: Slots::new(CONNECTIONS),
            brief: Slots::brief(BRIEF),
            stopped,
            bus: site.bus.clone(),
        };
        let mut served = Self {
            bus: site.bus.clone(),
            accept,
            listeners: Vec::new(),
            listening,
            standing: site.standing.clone(),
            waited_for: Vec::new(),
            tasks: JoinSet::new(),
            streams: site.streams.clone(),
            stop,
        };
        sockets.bound.into_iter().try_for_each(|bound| served.listen(bound))?;
        served.wait_for(sockets.taken);
        Ok(served)
    }

    /// Waits for addresses that other programs have: a new daemon starts beside the old one.
    fn wait_for(&mut self, taken: Vec<BindError>) {
        for error in taken {
            let text = format!("http: failed to {error}; all else works, and it is tried again every second");
            self.bus.emit(Event::Warning { text });
            self.waited_for.push(error.address);
        }
    }

    /// Listens on the addresses that have become free.
    async fn retry(&mut self) {
        for address in std::mem::take(&mut self.waited_for) {
            let wanted = address.clone();
            let own: Vec<ListenAddress> = self.listeners.iter().map(|(address, _)| address.clone()).collect();
            // A look at a socket in the file system may wait for the program behind it.
            let bound = tokio::task::spawn_blocking(move || bind_one(&wanted, &own)).await;
            let failed = match bound {
                Ok(Ok(bound)) => self.listen(bound).err().map(|error| error.to_string()),
                Ok(Err(error)) if error.is_taken() => {
                    self.waited_for.push(address);
                    continue;
                }
                Ok(Err(error)) => Some(error.to_string()),
                Err(error) => Some(error.to_string()),
            };
            if let Some(error) = failed {
                let text = format!("http: {address} has become free, and cannot be listened on: {error}");
                self.bus.emit(Event::Warning { text });
            }
        }
    }

    fn listen(&mut self, bound: Bound) -> io::Result<()> {
        let url = bound.url();
        let Bound { address, socket, is_inherited } = bound;
        let (accept, standing) = (self.accept.clone(), self.standing.clone());
        let listener = Arc::new(Listener::new(socket)?);
        self.listening.add(&address, &listener);
        let listen = async move {
            if is_inherited {
                listener.inherit(&standing).await;
            }
            accept.from(&listener).await;
        };
        // Its panic ends the process.
        let task = self.tasks.spawn(named(NAME, listen));
        self.listeners.push((address, task));
        self.bus.emit(Event::Notice { text: format!("http: listening on {url}") });
        Ok(())
    }

    fn change(&mut self, Change { listen, new }: Change) {
        let bus = &self.bus;
        self.listeners.retain(|(address, task)| {
            let stays = listen.contains(address);
            if !stays {
                task.abort();
                bus.emit(Event::Notice { text: format!("http: no longer listening on {address}") });
            }
            stays
        });
        self.waited_for.retain(|address| listen.contains(address));
        self.wait_for(new.taken);
        for bound in new.bound {
            let address = bound.address.clone();
            if let Err(error) = self.listen(bound) {
                self.bus.emit(Event::InternalError { error: format!("http: failed to listen on {address}: {error}") });
            }
        }
    }

    async fn run(mut self, mut changes: mpsc::UnboundedReceiver<Change>, mut end: watch::Receiver<Option<Instant>>) {
        let standing = self.standing.clone();
        let mut is_replaced = false;
        let until = loop {
            tokio::select! {
                ended = end.wait_for(Option::is_some) => break match ended {
                    Ok(until) => until.unwrap_or_else(Instant::now),
                    // Anyone who could tell is gone, and so is the daemon.
                    Err(_) => std::future::pending().await,
                },
                () = standing.until_replaced(), if !is_replaced => {
                    is_replaced = true;
                    self.close().await;
                }
                Some(change) = changes.recv(), if !is_replaced => self.change(change),
                () = sleep(RETRY), if !is_replaced && !self.waited_for.is_empty() => self.retry().await,
            }
        };
        self.close().await;
        let ended = async {
            while !(self.accept.slots.is_empty() && self.accept.brief.is_empty()) {
                sleep(LOOK).await;
            }
        };
        // Those that are left are cut with the runtime.
        let _ = timeout_at(until, ended).await;
    }

    /// Accepts nothing more. Requests go on.
    async fn close(&mut self) {
        self.tasks.shutdown().await;
        // They would never end by themselves.
        self.streams.close();
        self.stop.send_replace(true);
    }
}

/// What accepts connections.
#[derive(Clone)]
struct Accept {
    router: Router,
    slots: Slots,
    brief: Slots,
    stopped: watch::Receiver<bool>,
    bus: Bus,
}

impl Accept {
    /// Accepts for as long as it is polled.
    async fn from(self, listener: &Listener) {
        let mut failing = false;
        loop {
            let accepted = match listener {
                Listener::Tcp(listener) => listener.accept().await.map(|(stream, from)| self.tcp(stream, from.ip())),
                Listener::Unix(listener, _) => {
                    listener.accept().await.map(|(stream, _)| self.serve(stream, Peer::unix()))
                }
            };
            match accepted {
                Ok(()) => failing = false,
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        let text = format!("http: failed to accept a connection: {error}; trying again");
                        self.bus.emit(Event::Warning { text });
                    }
                    sleep(REST).await;
                }
            }
        }
    }

    fn tcp(&self, stream: TcpStream, from: std::net::IpAddr) {
        // Answers are written whole.
        let _ = stream.set_nodelay(true);
        let Ok(called) = stream.local_addr() else { return };
        self.serve(stream, Peer::tcp(from, called.ip()));
    }

    fn place(&self) -> Option<(Arc<Slot>, Manner)> {
        let (place, tells) = match self.slots.take() {
            Admitted::Yes(slot) => return Some((slot, Manner::Whole)),
            Admitted::For(slot, tells) => (Some((slot, Manner::Whole)), tells),
            Admitted::No(tells) => match self.brief.take() {
                Admitted::Yes(slot) | Admitted::For(slot, _) => (Some((slot, Manner::Brief)), tells),
                // In a brief place the oldest gives way always.
                Admitted::No(_) => (None, tells),
            },
        };
        if tells {
            let text = format!(
                "http: {CONNECTIONS} connections are open, which is the most: those that wait longest, have no rights here or \
                 hardly go on are closed for new ones; if there are none, new ones are answered only if they ask for health"
            );
            self.bus.emit(Event::Warning { text });
        }
        place
    }

    fn serve<S>(&self, stream: S, peer: Peer)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let Some(place) = self.place() else { return };
        let serve = connection::serve(stream, peer, place, self.router.clone(), self.stopped.clone());
        // A panic ends this connection alone.
        tokio::spawn(async move { drop(contained_future(Box::pin(serve)).await) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::config::http::HttpConfig;
    use crate::http::listener::Socket;
    use crate::http::site::Content;

    #[test]
    fn a_socket_that_is_none_ends_the_start_and_nothing_panics() {
        let listen = ListenAddress::Tcp("127.0.0.1:1".parse().unwrap());
        let http = HttpConfig { listen: vec![listen.clone()], ..HttpConfig::of_this_machine() };
        let (_content, content) = watch::channel(Arc::new(Content::new(http, Arc::default(), &[])));
        let handlers = Builder::new_current_thread().build().unwrap();
        let clock = Arc::new(ManualClock::at(0));
        let site = Site::new(content, Standing::default(), handlers.handle().clone(), clock);
        // No runtime watches a regular file.
        let file = std::fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
        let socket = std::net::TcpListener::from(std::os::fd::OwnedFd::from(file));
        socket.set_nonblocking(true).unwrap();
        let bound = Bound { address: listen, socket: Socket::Tcp(socket), is_inherited: false };
        let error = Server::start(&site, Sockets { bound: vec![bound], taken: Vec::new() }, changes().1).unwrap_err();
        assert_eq!(
            error.kind(),
            io::ErrorKind::PermissionDenied,
            "{error}: the reason, and not that the thread is gone"
        );
    }
}
