//! What the parent carries over when it executes the new program: the same process, with the same children.
//!
//! ```text
//!   the old program --(a socket that is its stdin from then on: what it knows, and its ends of the daemons' sockets)--> the new
//! ```
//!
//! A program that cannot read this format is refused before anything happens (`--rehearse`).

use std::ffi::OsString;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg,
};
use rustix::process::Pid;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::child::Daemon;
use crate::daemon::handover;
use crate::daemon::succession::Pass;
use crate::process::mark;

/// The format of what is carried over.
pub(in crate::daemon) const FORMAT: u32 = 1;
/// The most daemons.
pub(super) const MOST: usize = 32;
/// The longest message, in bytes.
const LONGEST: usize = 192 * 1024;

/// What is carried over, beside secrets and sockets.
#[derive(Debug, Serialize, Deserialize)]
struct Known {
    format: u32,
    is_paused: bool,
    current: i32,
    daemons: Vec<KnownDaemon>,
}

#[derive(Debug, Serialize, Deserialize)]
struct KnownDaemon {
    pid: i32,
    ticks: u64,
    pass: String,
}

/// What the new program takes over.
#[derive(Debug)]
pub(super) struct Carried {
    pub(super) is_paused: bool,
    /// The daemon that works.
    pub(super) current: Pid,
    pub(super) daemons: Vec<Daemon>,
    pub(super) secrets: Vec<u8>,
}

/// Executes this program in this process. Returns only if it fails, and then everything is as before.
pub(super) fn execute(
    program: &Path,
    line: &[OsString],
    (is_paused, current): (bool, Pid),
    daemons: &[Daemon],
    secrets: &[u8],
) -> io::Error {
    let known =
        |daemon: &Daemon| KnownDaemon { pid: daemon.pid.as_raw_pid(), ticks: daemon.ticks, pass: daemon.pass.text() };
    let daemons_known = daemons.iter().map(known).collect();
    let known = Known { format: FORMAT, is_paused, current: current.as_raw_pid(), daemons: daemons_known };
    let prepare = || -> io::Result<OwnedFd> {
        let (ours, next) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let sockets: Vec<_> = daemons.iter().map(|daemon| daemon.lifeline.as_fd()).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(&sockets)) {
            return Err(io::Error::other(format!("more than {MOST} daemons")));
        }
        let known = serde_json::to_vec(&known)?;
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        sendmsg(&ours, &[IoSlice::new(&known)], &mut control, flags)?;
        // An empty message would be read as an end.
        let secrets = [secrets, b"\n"].concat();
        sendmsg(&ours, &[IoSlice::new(&secrets)], &mut SendAncillaryBuffer::default(), flags)?;
        Ok(next)
    };
    let next = match prepare() {
        Ok(next) => next,
        Err(error) => return error,
    };
    let mut command = Command::new(program);
    if let Some((name, args)) = line.split_first() {
        command.arg0(name).args(args);
    }
    command.env(mark::RESUMED, handover::identity()).stdin(Stdio::from(next)).exec()
}

/// Was this process a parent before it executed this program?
pub(super) fn is_resumed() -> bool {
    std::env::var_os(mark::RESUMED).is_some_and(|process| process == *handover::identity())
}

/// Takes over what the program before has carried.
///
/// # Errors
/// If it cannot be read.
pub(super) fn take() -> io::Result<Carried> {
    let (known, sockets) = receive()?;
    let known: Known = serde_json::from_slice(&known)?;
    if known.format != FORMAT || known.daemons.len() != sockets.len() {
        return Err(io::Error::other(format!("format {} with {} sockets", known.format, sockets.len())));
    }
    let (mut secrets, _) = receive()?;
    secrets.pop();
    let daemon = |(known, lifeline): (KnownDaemon, OwnedFd)| {
        let strange = || io::Error::other("a daemon without a number or a pass");
        Ok(Daemon {
            pid: Pid::from_raw(known.pid).ok_or_else(strange)?,
            ticks: known.ticks,
            started: Instant::now(),
            lifeline,
            is_silent: false,
            pass: Pass::read(&known.pass).ok_or_else(strange)?,
        })
    };
    let daemons: io::Result<Vec<_>> = known.daemons.into_iter().zip(sockets).map(daemon).collect();
    let current = Pid::from_raw(known.current).ok_or_else(|| io::Error::other("no daemon works"))?;
    Ok(Carried { is_paused: known.is_paused, current, daemons: daemons?, secrets })
}

fn receive() -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut message = vec![0; LONGEST];
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let got = recvmsg(io::stdin().as_fd(), &mut [IoSliceMut::new(&mut message)], &mut control, flags)?;
    message.truncate(got.bytes);
    let sockets = control.drain().filter_map(|part| match part {
        RecvAncillaryMessage::ScmRights(passed) => Some(passed),
        _ => None,
    });
    Ok((message, sockets.flatten().collect()))
}
