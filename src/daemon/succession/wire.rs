//! One question and one answer, each a line, and the sockets that an answer passes on.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::SocketAddr;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

/// How the names of all these sockets begin.
pub(super) const PREFIX: &str = "windlass-succession-";
/// The questions; a token may follow.
pub(super) const WHO: &str = "who";
pub(super) const SOCKETS: &str = "sockets";
pub(super) const RETIRE: &str = "retire";
/// The longest question and the longest answer, in bytes.
pub(super) const LONGEST_QUESTION: usize = 128;
const LONGEST_ANSWER: usize = 64 * 1024;
/// The most sockets that are passed on.
pub(super) const MOST_SOCKETS: usize = 32;

/// Who answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Who {
    pub(super) version: String,
    /// Its process, and the parent that watches over it, as it sees them.
    pub(super) pid: u32,
    pub(super) parent: u32,
    /// What it works by.
    pub(super) config: Option<String>,
    pub(super) store: String,
    pub(super) namespace: String,
    pub(super) queues: String,
    /// It has been replaced, or drains.
    pub(super) ends: bool,
}

/// An answer.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Answer {
    /// Why the question is not answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) who: Option<Who>,
    /// The addresses of the sockets that come with it, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) sockets: Vec<String>,
}

/// Where the daemon of this name is asked.
pub(super) fn address(name: &str) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("{PREFIX}{name}"))
}

/// Sends a text with sockets; returns how much of the text was sent. The sockets go with the first byte.
pub(super) fn send(to: impl AsFd, text: &[u8], sockets: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_SOCKETS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !sockets.is_empty() && !control.push(SendAncillaryMessage::ScmRights(sockets)) {
        return Err(io::Error::other(format!("more than {MOST_SOCKETS} sockets")));
    }
    Ok(sendmsg(to, &[IoSlice::new(text)], &mut control, SendFlags::NOSIGNAL)?)
}

/// Reads a whole answer.
pub(super) fn receive(from: impl AsFd) -> io::Result<(Answer, Vec<OwnedFd>)> {
    let (mut text, mut sockets) = (Vec::new(), Vec::new());
    while !text.ends_with(b"\n") && text.len() < LONGEST_ANSWER {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_SOCKETS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut part = [0; 4096];
        let got = recvmsg(&from, &mut [IoSliceMut::new(&mut part)], &mut control, RecvFlags::CMSG_CLOEXEC)?.bytes;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(passed) = message {
                sockets.extend(passed);
            }
        }
        if got == 0 {
            break;
        }
        text.extend_from_slice(part.get(..got).unwrap_or_default());
    }
    let answer: Answer = serde_json::from_slice(&text).map_err(io::Error::other)?;
    match &answer.error {
        Some(error) => Err(io::Error::other(error.clone())),
        None => Ok((answer, sockets)),
    }
}
