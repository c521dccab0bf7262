//! Reaches a folder that is to be written to, step by step and by descriptors: what is judged is what is gone through, and
//! nobody can exchange a folder or a link between the look and the step.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, mkdirat, open, openat, readlinkat};
use rustix::io::Errno;

use super::{MOST_LINKS, Owners, Untrusted, push};

/// How a step is opened: only to look at it, and to go on from there.
const STEP: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens this folder; what is missing is made, for its owner alone. The path must be absolute. Links above it are followed
/// if these users own them, one in its own place is not.
///
/// # Errors
/// If somebody else may change a folder or a link above it, or it cannot be opened or made.
pub fn folder(path: &Path, owners: &Owners) -> io::Result<OwnedFd> {
    let root = open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let (root, root_is) = looked_at(root)?;
    let (mut at, mut shown) = (vec![root], PathBuf::from("/"));
    owners.one(&shown, &root_is, true).map_err(refused)?;
    let (mut ahead, mut links): (Vec<OsString>, u32) = (Vec::new(), 0);
    push(&mut ahead, path);
    while let Some(part) = ahead.pop() {
        if part == ".." {
            at.truncate(at.len().saturating_sub(1).max(1));
            shown.pop();
            continue;
        }
        let here = at.last().ok_or(Errno::NOENT)?.as_fd();
        let opened = match openat(here, &part, STEP, Mode::empty()) {
            Err(Errno::NOENT) => {
                match mkdirat(here, &part, Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                openat(here, &part, STEP, Mode::empty())?
            }
            opened => opened?,
        };
        let (opened, is) = looked_at(opened)?;
        let next = shown.join(&part);
        if is.is_symlink() {
            links += 1;
            if ahead.is_empty() || links > MOST_LINKS {
                return Err(Errno::LOOP.into());
            }
            owners.owner(&next, &is).map_err(refused)?;
            let target = PathBuf::from(OsString::from_vec(readlinkat(&opened, "", Vec::new())?.into_bytes()));
            if target.is_absolute() {
                at.truncate(1);
                shown = PathBuf::from("/");
            }
            push(&mut ahead, &target);
            continue;
        }
        if !is.is_dir() {
            return Err(Errno::NOTDIR.into());
        }
        owners.one(&next, &is, true).map_err(refused)?;
        at.push(opened);
        shown = next;
    }
    let last = at.last().ok_or(Errno::NOENT)?;
    Ok(openat(last, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// What was opened, by its descriptor.
fn looked_at(opened: OwnedFd) -> io::Result<(OwnedFd, std::fs::Metadata)> {
    let file = File::from(opened);
    let metadata = file.metadata()?;
    Ok((file.into(), metadata))
}

fn refused(error: Untrusted) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, error)
}
