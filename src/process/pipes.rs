//! The pipes of a process, made and made ready before it is started.
//!
//! All that can fail for want of a descriptor or of memory fails here, while nothing has begun: once a process was started,
//! nothing is left that could fail.

use std::io;
use std::os::fd::OwnedFd;

/// Which pipes a process gets. It always gets one for stderr.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) stdin: bool,
    pub(super) stdout: bool,
    pub(super) status: bool,
}

/// Our ends, or those of the process.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: OwnedFd,
    /// On which it tells how far it is.
    pub(super) status: Option<OwnedFd>,
}

/// Makes the pipes: our ends, and those of the process. Neither is inherited by anybody as it is.
pub(super) fn make(wanted: Wanted) -> io::Result<(Ends, Ends)> {
    let pipe = || io::pipe().map(|(reading, writing)| (OwnedFd::from(reading), OwnedFd::from(writing)));
    let (stdin, stdout) = (wanted.stdin.then(pipe).transpose()?, wanted.stdout.then(pipe).transpose()?);
    let (stderr, status) = (pipe()?, wanted.status.then(pipe).transpose()?);
    let (read_by_it, written_by_us) = stdin.unzip();
    let (read_by_us, written_by_it) = stdout.unzip();
    let (told_to_us, told_by_it) = status.unzip();
    Ok((
        Ends { stdin: written_by_us, stdout: read_by_us, stderr: stderr.0, status: told_to_us },
        Ends { stdin: read_by_it, stdout: written_by_it, stderr: stderr.1, status: told_by_it },
    ))
}
