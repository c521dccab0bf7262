//! Sockets that are listened on.
//!
//! They are bound before anything is served, by the thread that starts or reloads, so that an address that cannot be had
//! refuses the start or the reload. One that another program has is no mistake: a new daemon starts beside the old one, which
//! listens until its drain is over. The server waits for it.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::config::element::listen::ListenAddress;
use crate::file::absolute;
use crate::file::trust::{Owners, Untrusted};

/// How many connections wait to be accepted.
const BACKLOG: i32 = 128;
/// How many bytes the system holds of what a client of a connection has not taken. The connections of a listener have it from
/// there. Without it the system would take megabytes for each, and it would be seen late that a client takes nothing.
const UNREAD: usize = 128 * 1024;
/// The owner and the group may connect.
const MODE: u32 = 0o660;

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("listen on {address} ([http] listen): {reason}")]
pub struct BindError {
    pub(super) address: ListenAddress,
    reason: Reason,
}

/// What is wrong with an address.
#[derive(Debug, thiserror::Error)]
enum Reason {
    /// Another program has it, perhaps only for a while.
    #[error("{0}")]
    Taken(String),
    #[error("{0}")]
    Other(String),
}

impl From<io::Error> for Reason {
    fn from(error: io::Error) -> Self {
        Self::Other(error.to_string())
    }
}

impl BindError {
    /// Does another program have the address?
    pub(super) fn is_taken(&self) -> bool {
        matches!(self.reason, Reason::Taken(_))
    }
}

/// The sockets that could be had, and the addresses that other programs have.
#[derive(Debug, Default)]
pub struct Sockets {
    pub(super) bound: Vec<Bound>,
    pub(super) taken: Vec<BindError>,
}

impl Sockets {
    /// These, if no other program has one of their addresses.
    ///
    /// # Errors
    /// If one has.
    pub fn all(mut self) -> Result<Self, BindError> {
        match self.taken.pop() {
            Some(taken) => Err(taken),
            None => Ok(self),
        }
    }

    /// These and others.
    pub fn add(&mut self, others: Self) {
        self.bound.extend(others.bound);
        self.taken.extend(others.taken);
    }
}

/// A socket that is bound, and accepts nothing yet. Dropping it closes it, and removes it from the file system.
#[derive(Debug)]
pub(super) struct Bound {
    /// As the configuration has it.
    pub(super) address: ListenAddress,
    pub(super) socket: Socket,
    /// Another daemon listens on it, too, until this one works.
    pub(super) is_inherited: bool,
}

/// The socket itself.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener, Place),
}

/// The place of a socket in the file system, which it leaves at its end.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    device: u64,
    inode: u64,
    /// Another daemon removes it.
    is_left: AtomicBool,
}

impl Place {
    pub(super) fn of(path: &Path, found: &fs::Metadata) -> Self {
        Self { path: path.to_owned(), device: found.dev(), inode: found.ino(), is_left: AtomicBool::new(false) }
    }

    /// Another daemon has the socket, and removes it.
    pub(super) fn leave(&self) {
        self.is_left.store(true, Ordering::Relaxed);
    }

    /// It is this daemon's.
    pub(super) fn own(&self) {
        self.is_left.store(false, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Another daemon may have put its own there.
        let is_ours = |found: fs::Metadata| found.dev() == self.device && found.ino() == self.inode;
        if !self.is_left.load(Ordering::Relaxed) && fs::symlink_metadata(&self.path).is_ok_and(is_ours) {
            // What cannot be removed is found by the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Bound {
    /// Where it can be reached, for people.
    #[must_use]
    pub(super) fn url(&self) -> String {
        match &self.socket {
            // The system may have chosen the port.
            Socket::Tcp(listener) => match listener.local_addr() {
                Ok(address) => format!("http://{address}"),
                Err(_) => format!("http://{}", self.address),
            },
            Socket::Unix(..) => self.address.to_string(),
        }
    }
}

/// Binds all of these addresses but those that other programs have; this process listens on those of `own` already.
///
/// # Errors
/// The first that cannot be had for another reason.
pub fn bind<'a>(
    addresses: impl IntoIterator<Item = &'a ListenAddress>,
    own: &[ListenAddress],
) -> Result<Sockets, BindError> {
    let (mut own, mut sockets) = (own.to_vec(), Sockets::default());
    for address in addresses {
        match bind_one(address, &own) {
            Ok(bound) => sockets.bound.push(bound),
            Err(error) if error.is_taken() => sockets.taken.push(error),
            Err(error) => return Err(error),
        }
        own.push(address.clone());
    }
    Ok(sockets)
}

pub(super) fn bind_one(address: &ListenAddress, own: &[ListenAddress]) -> Result<Bound, BindError> {
    let socket = match address {
        ListenAddress::Tcp(tcp) => tcp_socket(*tcp, own),
        ListenAddress::Unix(path) => unix_socket(path),
    };
    match socket {
        Ok(socket) => Ok(Bound { address: address.clone(), socket, is_inherited: false }),
        Err(reason) => Err(BindError { address: address.clone(), reason }),
    }
}

/// The address of ours that keeps this one from being bound: the same one, or the same port where one of the two stands for
/// all addresses.
fn in_our_way(address: SocketAddr, own: &[ListenAddress]) -> Option<SocketAddr> {
    let is_all = |one: SocketAddr| one.ip().to_canonical().is_unspecified();
    own.iter().find_map(|one| match one {
        ListenAddress::Tcp(one) => {
            let meet = *one == address || is_all(*one) || is_all(address);
            (one.port() == address.port() && meet).then_some(*one)
        }
        ListenAddress::Unix(_) => None,
    })
}

fn tcp_socket(address: SocketAddr, own: &[ListenAddress]) -> Result<Socket, Reason> {
    let listener = std::net::TcpListener::bind(address).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => match in_our_way(address, own) {
            Some(ours) => Reason::Other(format!(
                "this daemon itself listens on {ours}, and nobody can have both at once; keep one of them. A reload cannot go \
                 from the one to the other: restart the daemon, or choose another port"
            )),
            None => Reason::Taken(format!(
                "another program listens there; find it: ss -ltnp 'sport = :{}', or choose another port",
                address.port()
            )),
        },
        io::ErrorKind::AddrNotAvailable => {
            Reason::Other("this machine has no such address; find those it has: ip address".to_owned())
        }
        io::ErrorKind::PermissionDenied => Reason::Other(format!(
            "this user may not use port {}; choose one above 1023, or give the unit AmbientCapabilities=CAP_NET_BIND_SERVICE",
            address.port()
        )),
        _ => error.into(),
    })?;
    listener.set_nonblocking(true)?;
    rustix::net::sockopt::set_socket_send_buffer_size(&listener, UNREAD).map_err(io::Error::from)?;
    Ok(Socket::Tcp(listener))
}

/// A socket of a dead daemon is replaced. Nobody can connect before the mode is right, because it is not listened on.
///
/// Others must not be able to replace it: programs would speak to theirs, and its mode would be set for what they put there.
fn unix_socket(path: &Path) -> Result<Socket, Reason> {
    let folder = path.parent().unwrap_or_else(|| Path::new("/"));
    Owners::with([]).judge(&absolute(folder)).map_err(|error| Reason::Other(not_private(&error)))?;
    make_room(path)?;
    let told = |error: Errno| match error {
        Errno::ADDRINUSE => Reason::Taken("another program has just put something there; try again".to_owned()),
        Errno::NOENT => {
            Reason::Other("its folder does not exist; make it, or give the unit RuntimeDirectory=".to_owned())
        }
        Errno::ACCESS => Reason::Other("this user may not write to its folder".to_owned()),
        other => io::Error::from(other).into(),
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let address = SocketAddrUnix::new(path).map_err(told)?;
    let socket: OwnedFd =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(told)?;
    rustix::net::bind(&socket, &address).map_err(told)?;
    let found = fs::symlink_metadata(path)?;
    let place = Place::of(path, &found);
    fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
    rustix::net::listen(&socket, BACKLOG).map_err(told)?;
    Ok(Socket::Unix(socket.into(), place))
}

fn not_private(error: &Untrusted) -> String {
    let user = rustix::process::geteuid().as_raw();
    format!(
        "its folder must be one where only root and this user (uid {user}) can put things, or one with the sticky bit, \
         because others could put a socket of theirs in its place; {} is open to others. Choose a folder of this user's, such as \
         /run/windlass (the unit's RuntimeDirectory=windlass makes it)",
        error.path().display()
    )
}

/// Removes the socket of a program that is gone. Anything else stays, and is told.
fn make_room(path: &Path) -> Result<(), Reason> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if !found.file_type().is_socket() {
        let why = "something that is no socket stands there; remove it, or choose another path";
        return Err(Reason::Other(why.to_owned()));
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(Reason::Taken("another program listens there; stop it, or choose another path".to_owned())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)
            .map_err(|error| Reason::Other(format!("the socket of a program that is gone cannot be removed: {error}"))),
        // It was removed meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => {
            let why = format!("a socket stands there, and whether anybody uses it cannot be found out: {error}");
            Err(Reason::Other(why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unix(path: &Path) -> Result<Bound, String> {
        bind_one(&ListenAddress::Unix(path.to_owned()), &[]).map_err(|error| error.to_string())
    }

    #[test]
    fn the_socket_of_a_dead_program_is_replaced_and_one_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("http.sock");
        // The standard library leaves its socket behind.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let bound = unix(&path).unwrap();
        assert_eq!(fs::symlink_metadata(&path).unwrap().mode() & 0o777, MODE);
        assert_eq!(bound.url(), format!("unix:{}", path.display()));
        let told = unix(&path).unwrap_err();
        assert!(
            told.ends_with("([http] listen): another program listens there; stop it, or choose another path"),
            "{told}"
        );
        drop(bound);
        assert!(!path.exists(), "it leaves nothing");
        fs::write(&path, "").unwrap();
        assert!(unix(&path).unwrap_err().contains("something that is no socket stands there"));
        assert!(unix(&folder.path().join("none/http.sock")).unwrap_err().contains("its folder does not exist"));
    }

    #[test]
    fn a_folder_in_which_others_can_replace_the_socket_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("http.sock");
        let allow = |mode| fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
        allow(0o777);
        let told = unix(&path).unwrap_err();
        assert!(told.contains("others could put a socket of theirs in its place"), "{told}");
        assert!(told.contains(&folder.path().display().to_string()) && !path.exists(), "{told}");
        // As /tmp, where each user's files are safe from the others.
        allow(0o1777);
        drop(unix(&path).unwrap());
        allow(0o755);
        drop(unix(&path).unwrap());
    }

    #[test]
    fn what_another_program_put_in_its_place_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("http.sock");
        let bound = unix(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        drop(bound);
        assert!(path.exists());
    }

    #[test]
    fn an_address_that_cannot_be_had_is_told_with_what_to_do() {
        let first = bind_one(&ListenAddress::Tcp("127.0.0.1:0".parse().unwrap()), &[]).unwrap();
        let Socket::Tcp(listener) = &first.socket else { unreachable!("it is TCP") };
        let taken = listener.local_addr().unwrap();
        let sockets = bind(&[ListenAddress::Tcp(taken)], &[]).unwrap();
        assert!(sockets.bound.is_empty());
        let told = sockets.taken[0].to_string();
        assert!(
            told.starts_with(&format!("listen on {taken} ([http] listen): another program listens there")),
            "{told}"
        );
        let told = bind(&[ListenAddress::Tcp("192.0.2.1:1".parse().unwrap())], &[]).unwrap_err().to_string();
        assert!(told.contains("this machine has no such address"), "{told}");
    }

    #[test]
    fn an_address_that_is_in_the_way_of_another_one_of_ours_is_named() {
        let first = bind_one(&ListenAddress::Tcp("127.0.0.1:0".parse().unwrap()), &[]).unwrap();
        let Socket::Tcp(listener) = &first.socket else { unreachable!("it is TCP") };
        let ours = listener.local_addr().unwrap();
        let all = ListenAddress::Tcp(SocketAddr::from(([0, 0, 0, 0], ours.port())));
        let told = |own: &[ListenAddress]| bind_one(&all, own).unwrap_err().to_string();
        assert!(told(&[ListenAddress::Tcp(ours)]).contains(&format!("this daemon itself listens on {ours}")));
        assert!(told(&[]).contains("another program listens there"));
        let elsewhere = ListenAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], ours.port().wrapping_sub(1).max(1))));
        assert!(told(&[elsewhere]).contains("another program listens there"));
        drop(first);
        // Two of one list.
        let any = ListenAddress::Tcp("127.0.0.1:0".parse().unwrap());
        let taken = bind_one(&any, &[]).unwrap();
        let Socket::Tcp(listener) = &taken.socket else { unreachable!("it is TCP") };
        let taken = ListenAddress::Tcp(listener.local_addr().unwrap());
        assert!(
            bind([&taken], std::slice::from_ref(&taken))
                .unwrap_err()
                .to_string()
                .contains("this daemon itself listens on")
        );
    }
}
