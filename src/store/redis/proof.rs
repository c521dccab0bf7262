//! The proof that the server still tells a waker of changes.

use std::sync::atomic::{AtomicBool, Ordering};

/// What a waker knows of the key by which it proves that the server still tells of changes: the counters of the leases,
/// one of which grows at least once in each `timeout` while an instance lives. Between the message of a change and the next
/// look nothing is proven: what is forgotten in that time shows only when all is read anew.
#[derive(Default)]
pub(super) struct Proof(AtomicBool);

impl Proof {
    /// The key is about to be read. False if it was read before and no change of it was told since.
    pub(super) fn begin(&self) -> bool {
        !self.0.swap(true, Ordering::SeqCst)
    }

    /// A change of the key was told, so that the server does not remember any more that it was read; or it is not known
    /// whether it does. The key is read again at the next look.
    pub(super) fn forget(&self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// The key of a proof that is to be read. Dropped before it was, the proof is forgotten.
pub(super) struct Unproven<'a> {
    proof: &'a Proof,
    is_read: bool,
}

impl<'a> Unproven<'a> {
    pub(super) fn new(proof: &'a Proof) -> Self {
        Self { proof, is_read: false }
    }

    pub(super) fn settle(mut self) {
        self.is_read = true;
    }
}

impl Drop for Unproven<'_> {
    fn drop(&mut self) {
        if !self.is_read {
            self.proof.forget();
        }
    }
}
