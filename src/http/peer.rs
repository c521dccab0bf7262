//! Who is at the other end of a connection.

use std::net::IpAddr;

/// The two ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peer {
    /// Where it comes from; `None`: from a socket in the file system.
    pub(super) address: Option<IpAddr>,
    /// The address that was called; `None`: a socket in the file system.
    pub(super) called: Option<IpAddr>,
}

impl Peer {
    /// Over TCP.
    pub(super) fn tcp(address: IpAddr, called: IpAddr) -> Self {
        Self { address: Some(address.to_canonical()), called: Some(called.to_canonical()) }
    }

    /// Over a socket in the file system.
    pub(super) fn unix() -> Self {
        Self { address: None, called: None }
    }

    /// Is it a program of this machine?
    pub(super) fn is_local(self) -> bool {
        self.address.is_none_or(|address| address.is_loopback())
    }
}
