//! One descriptor more for a program: the place that it has there, and who may start programs meanwhile.
//!
//! The standard library passes on stdin, stdout, stderr and whatever is inheritable at the moment of a start; anything else would
//! need code between `fork` and `exec`, which makes a start slow in a large process. So the pipe is put on a place that is kept
//! for it, inheritable while that one program is started, and nobody else starts one meanwhile. The place is taken early, while
//! low numbers are free, because some shells know descriptors of one digit only.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::sync::{PoisonError, RwLock};

use rustix::io::DupFlags;

static SLOT: RwLock<Option<Slot>> = RwLock::new(None);

struct Slot {
    place: OwnedFd,
    /// What stands there while no program is started with it.
    nothing: File,
}

impl Slot {
    fn new() -> io::Result<Self> {
        let place = OwnedFd::from(File::open("/dev/null")?);
        Ok(Self { place, nothing: File::open("/dev/null")? })
    }
}

/// Takes the place. To be called early; otherwise it is taken when it is needed first.
pub fn reserve() {
    let mut slot = SLOT.write().unwrap_or_else(PoisonError::into_inner);
    if slot.is_none() {
        *slot = Slot::new().ok();
    }
}

/// Starts a program that inherits nothing more.
pub(super) fn beside<T>(start: impl FnOnce() -> T) -> T {
    let _nobody_inherits = SLOT.read().unwrap_or_else(PoisonError::into_inner);
    start()
}

/// Starts a program that inherits this descriptor, under the number that it is told.
pub(super) fn with<T>(passed: &OwnedFd, start: impl FnOnce(RawFd) -> T) -> io::Result<T> {
    let mut slot = SLOT.write().unwrap_or_else(PoisonError::into_inner);
    if slot.is_none() {
        *slot = Some(Slot::new()?);
    }
    let Some(Slot { place, nothing }) = slot.as_mut() else { return Err(io::Error::other("no place is left")) };
    rustix::io::dup2(passed, place)?;
    let started = start(place.as_raw_fd());
    if rustix::io::dup3(nothing, place, DupFlags::CLOEXEC).is_err() {
        // The program may run, and is never lost. Closing the place keeps it from the next one.
        *slot = None;
    }
    Ok(started)
}
