//! Is this process or this machine short of something that has nothing to do with what it was about to do?

use std::fs::File;
use std::io;

use rustix::io::Errno;

/// How many descriptors a look at a database of the system takes at once.
const LOOK: usize = 2;

/// Does this error say that file descriptors, processes or memory ran out?
#[must_use]
pub fn is_shortage(error: &io::Error) -> bool {
    let short = [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE, Errno::NOBUFS];
    Errno::from_io_error(error).is_some_and(|errno| short.contains(&errno))
}

/// What is short at this moment: for after a call that found nothing and does not tell whether it could look.
#[must_use]
pub fn now() -> Option<io::Error> {
    let mut open = Vec::new();
    for _ in 0..LOOK {
        match File::open("/dev/null") {
            Ok(file) => open.push(file),
            Err(error) => return is_shortage(&error).then_some(error),
        }
    }
    None
}
