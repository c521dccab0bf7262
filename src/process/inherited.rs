//! Files that this process inherited open: from a shell (`exec 9>file`), from a service manager.
//!
//! Programs that it starts get stdin, stdout, stderr and nothing else. Rust opens all files so that no program inherits
//! them; those that were open before get the same mark here, once, so that a start costs nothing for it. They are not
//! closed: the configuration may be one of them (`--config /dev/fd/3`), and a lock on one must last as long as this process.

use std::fs;
use std::os::fd::{BorrowedFd, RawFd};

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

/// Keeps all files that are open now, but stdin, stdout and stderr, from the programs that are started later.
///
/// Without `/proc` there is nothing that can be done.
pub fn keep_from_programs() {
    let Ok(open) = fs::read_dir("/proc/self/fd") else { return };
    for entry in open.filter_map(Result::ok) {
        let Some(number) = entry.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()) else { continue };
        if number > 2 {
            mark(number);
        }
    }
}

#[expect(unsafe_code, reason = "no safe call takes the number of a file that somebody else opened")]
fn mark(number: RawFd) {
    // SAFETY: the number is none of -1, as it is above 2. It was listed as open a moment ago, before this program runs code
    // of others, and nothing is read, written or closed by it: should another thread have closed it meanwhile, the kernel
    // refuses both calls, or they mark another file, which Rust had opened with the same mark.
    let file = unsafe { BorrowedFd::borrow_raw(number) };
    if let Ok(flags) = fcntl_getfd(file) {
        let _ = fcntl_setfd(file, flags | FdFlags::CLOEXEC);
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn what_was_inherited_is_marked_and_stays_open() {
        let file = fs::File::open("/proc/self/status").unwrap();
        fcntl_setfd(file.as_fd(), FdFlags::empty()).unwrap();
        keep_from_programs();
        assert_eq!(fcntl_getfd(file.as_fd()), Ok(FdFlags::CLOEXEC));
    }
}
