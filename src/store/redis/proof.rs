//! The proof that the server still tells a waker of changes: it tells of the keys that heartbeats write (`beats`).

use std::sync::Mutex;

use crate::store::mutex::lock;

/// What a waker knows of the two keys.
#[derive(Debug, Default)]
pub(super) struct Proof(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// They were read over the present connection.
    is_read: bool,
    /// Of these the server has told since.
    told: [bool; 2],
}

impl Proof {
    /// Are both to be read?
    pub(super) fn is_due(&self) -> bool {
        !lock(&self.0).is_read
    }

    /// Both have been read.
    pub(super) fn read(&self) {
        *lock(&self.0) = State { is_read: true, told: [false; 2] };
    }

    /// The server told of this one.
    pub(super) fn told(&self, which: usize) {
        if let Some(told) = lock(&self.0).told.get_mut(which) {
            *told = true;
        }
    }

    /// It is not known what the server remembers.
    pub(super) fn forget(&self) {
        *lock(&self.0) = State::default();
    }

    /// A beat wrote this one, and it was read again behind it: everything that the server told before has been heard. Did it
    /// tell of the beat? If not, both are to be read.
    pub(super) fn read_again(&self, written: usize) -> bool {
        let mut state = lock(&self.0);
        let is_told = state.is_read && state.told.get_mut(written).is_some_and(std::mem::take);
        if !is_told {
            *state = State::default();
        }
        is_told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_message_of_the_key_that_was_written_proves_that_the_server_tells() {
        let proof = Proof::default();
        assert!(proof.is_due() && !proof.read_again(0) && proof.is_due(), "it was not read before");
        proof.read();
        proof.told(0);
        assert!(proof.read_again(0) && !proof.is_due());
        proof.told(1);
        assert!(!proof.read_again(0) && proof.is_due(), "once told counts once, and it told of the other one");
        proof.told(0);
        proof.read();
        assert!(!proof.read_again(0), "it was told before they were read");
        proof.read();
        proof.told(1);
        proof.told(0);
        assert!(
            proof.read_again(0) && proof.read_again(1),
            "the next beat may be written before the read behind this one"
        );
        proof.forget();
        assert!(proof.is_due());
    }
}
