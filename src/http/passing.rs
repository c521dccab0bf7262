//! Sockets that pass from a daemon to the one that takes over from it, so that no connection is refused meanwhile.
//!
//! ```text
//!   the old one: accepts ------------------------> is replaced: accepts nothing more, answers what it began
//!   the new one: has the same sockets, waits ----> works: accepts
//! ```
//!
//! Both have the very same queue of connections: what comes in between is accepted by the one or the other. A socket in the
//! file system belongs to the last one that works with it, which alone removes it.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileTypeExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::net::sockopt::socket_acceptconn;
use tokio::net::{TcpListener, UnixListener};

use super::listener::{Bound, Place, Socket, Sockets};
use super::standing::{Stage, Standing};
use crate::config::element::listen::ListenAddress;

/// A socket that another daemon listens on, too.
#[derive(Debug)]
pub struct Passed {
    /// Its address, as the configuration has it.
    pub address: String,
    /// The socket.
    pub socket: OwnedFd,
}

/// Takes over the sockets of these addresses that were passed. Also returns the addresses that are still to be bound.
#[must_use]
pub fn take_over(addresses: &[ListenAddress], mut passed: Vec<Passed>) -> (Sockets, Vec<ListenAddress>) {
    let (mut sockets, mut rest) = (Sockets::default(), Vec::new());
    for address in addresses {
        let text = address.to_string();
        let found = passed.iter().position(|one| one.address == text).map(|index| passed.swap_remove(index));
        match found.and_then(|one| socket_of(address, one.socket)) {
            Some(socket) => sockets.bound.push(Bound { address: address.clone(), socket, is_inherited: true }),
            None => rest.push(address.clone()),
        }
    }
    (sockets, rest)
}

/// `None` if it is no socket that listens, or cannot be reached any more.
fn socket_of(address: &ListenAddress, passed: OwnedFd) -> Option<Socket> {
    if !socket_acceptconn(&passed).ok()? {
        return None;
    }
    match address {
        ListenAddress::Tcp(wanted) => {
            let listener = std::net::TcpListener::from(passed);
            let has = listener.local_addr().ok()?;
            let fits = has.ip() == wanted.ip() && (wanted.port() == 0 || has.port() == wanted.port());
            listener.set_nonblocking(true).ok()?;
            fits.then_some(Socket::Tcp(listener))
        }
        ListenAddress::Unix(path) => {
            let found = fs::symlink_metadata(path).ok().filter(|found| found.file_type().is_socket())?;
            let listener = std::os::unix::net::UnixListener::from(passed);
            listener.set_nonblocking(true).ok()?;
            let place = Place::of(path, &found);
            // Until this daemon works.
            place.leave();
            Some(Socket::Unix(listener, place))
        }
    }
}

/// A socket that is listened on.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, Place),
}

impl Listener {
    /// # Errors
    /// If the runtime does not take it.
    pub(super) fn new(socket: Socket) -> io::Result<Self> {
        Ok(match socket {
            Socket::Tcp(listener) => Self::Tcp(TcpListener::from_std(listener)?),
            Socket::Unix(listener, place) => Self::Unix(UnixListener::from_std(listener)?, place),
        })
    }

    /// Waits until this daemon works, and owns the socket from then on. Never ends if it does not come to that.
    pub(super) async fn inherit(&self, standing: &Standing) {
        standing.begun().await;
        if standing.stage() != Stage::Working {
            // Whoever had it before goes on with it.
            return std::future::pending().await;
        }
        if let Self::Unix(_, place) = self {
            place.own();
        }
    }
}

/// What a server listens on at present. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Listening(Arc<Mutex<Vec<Open>>>);

/// A listener, while there is one.
type Open = (ListenAddress, Weak<Listener>);

impl Listening {
    pub(super) fn add(&self, address: &ListenAddress, listener: &Arc<Listener>) {
        let mut all = self.lock();
        all.retain(|(_, listener)| listener.strong_count() > 0);
        all.push((address.clone(), Arc::downgrade(listener)));
    }

    /// The sockets, for a daemon that takes over. This server goes on with them.
    ///
    /// # Errors
    /// If the system gives no descriptors.
    pub fn pass_on(&self) -> io::Result<Vec<Passed>> {
        let all = self.lock();
        let living = all.iter().filter_map(|(address, listener)| Some((address, listener.upgrade()?)));
        let passed = living.map(|(address, listener)| {
            let socket = match &*listener {
                Listener::Tcp(listener) => listener.as_fd().try_clone_to_owned()?,
                Listener::Unix(listener, _) => listener.as_fd().try_clone_to_owned()?,
            };
            Ok(Passed { address: address.to_string(), socket })
        });
        passed.collect()
    }

    /// They belong to the daemon that has taken over.
    pub fn leave(&self) {
        for listener in self.lock().iter().filter_map(|(_, listener)| listener.upgrade()) {
            if let Listener::Unix(_, place) = &*listener {
                place.leave();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::http::listener::bind;

    #[tokio::test]
    async fn a_socket_that_was_passed_is_the_same_and_stays_while_nobody_works_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("http.sock");
        let addresses = [ListenAddress::Unix(path.clone()), ListenAddress::Tcp("127.0.0.1:0".parse().unwrap())];
        let (old, listening) = (bind(&addresses, &[]).unwrap(), Listening::default());
        let old: Vec<_> = old
            .bound
            .into_iter()
            .map(|bound| {
                let listener = Arc::new(Listener::new(bound.socket).unwrap());
                listening.add(&bound.address, &listener);
                listener
            })
            .collect();
        let pass = || take_over(&addresses, listening.pass_on().unwrap());
        let (failed, rest) = pass();
        assert!(failed.bound.len() == 2 && rest.is_empty(), "{failed:?} {rest:?}");
        drop(failed);
        assert!(path.exists(), "a successor that did not work removes nothing");
        let (next, _) = pass();
        let standing = Standing::default();
        standing.reach(Stage::Working);
        let next: Vec<_> = next.bound.into_iter().map(|bound| Listener::new(bound.socket).unwrap()).collect();
        for listener in &next {
            listener.inherit(&standing).await;
        }
        listening.leave();
        drop(old);
        assert!(path.exists() && std::os::unix::net::UnixStream::connect(&path).is_ok(), "it has a new owner");
        assert!(listening.pass_on().unwrap().is_empty());
        drop(next);
        assert!(!path.exists(), "the owner leaves nothing");
    }

    #[test]
    fn what_does_not_listen_there_is_not_taken_over() {
        let any = |port: u16| ListenAddress::Tcp(([127, 0, 0, 1], port).into());
        let file = || OwnedFd::from(File::open("/dev/null").unwrap());
        let (sockets, rest) = take_over(&[any(1)], vec![Passed { address: any(1).to_string(), socket: file() }]);
        assert!(sockets.bound.is_empty() && rest == [any(1)]);
        let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = OwnedFd::from(elsewhere);
        let (sockets, rest) = take_over(&[any(1)], vec![Passed { address: any(1).to_string(), socket }]);
        assert!(sockets.bound.is_empty() && rest == [any(1)]);
    }
}
