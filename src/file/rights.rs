//! The rights of another user for what one thread does with files.
//!
//! A command of root may have to work with a file of somebody who is not trusted. With that user's own rights it can create,
//! change and follow nothing there that the user could not.

use std::ffi::CString;
use std::io;

use nix::unistd::{Gid, Uid, User, getgrouplist, setfsgid, setfsuid};

/// Takes the rights of this user for all that this thread, and threads that it starts, do with files from now on. There is no
/// way back: give such work a thread of its own.
///
/// # Errors
/// If this process may not do that.
pub fn take(uid: u32, gid: u32) -> io::Result<()> {
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    let gid = user.as_ref().map_or(Gid::from_raw(gid), |user| user.gid);
    let name = user.and_then(|user| CString::new(user.name).ok());
    let groups = name.and_then(|name| getgrouplist(&name, gid).ok()).unwrap_or_else(|| vec![gid]);
    let groups: Vec<_> = groups.into_iter().map(|gid| rustix::process::Gid::from_raw(gid.as_raw())).collect();
    rustix::thread::set_thread_groups(&groups)?;
    setfsgid(gid);
    setfsuid(Uid::from_raw(uid));
    // The call itself does not say whether it did anything.
    if user_of_this_thread() == uid { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

/// Works with files with the rights of this user, in a thread of its own.
///
/// # Errors
/// If this process may not do that.
pub fn with<T: Send>(uid: u32, gid: u32, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    let worked = std::thread::scope(|scope| scope.spawn(|| take(uid, gid).map(|()| work())).join());
    worked.unwrap_or_else(|_| Err(io::Error::other("the work was interrupted")))
}

/// With whose rights this thread works with files.
#[must_use]
pub fn user_of_this_thread() -> u32 {
    // There is no such user, so that this changes nothing.
    setfsuid(Uid::from_raw(u32::MAX)).as_raw()
}
