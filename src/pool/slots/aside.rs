//! Processors whose jobs have ended and cannot be recorded so: others take their places.

use super::{Slots, State, get_mut};

/// How many processors may be set aside at once.
pub(in crate::pool) const MOST_ASIDE: usize = 100;

impl Slots {
    /// The end of this slot's job cannot be recorded for the present: the slot leaves when it is, and counts no more among the
    /// processors. False if so many are set aside that it must stay.
    pub(in crate::pool) fn set_aside(&self, number: usize) -> bool {
        let has_room = self.aside() < MOST_ASIDE;
        let mut slots = self.slots.borrow_mut();
        let Some(slot) = get_mut(&mut slots, number) else { return true };
        slot.retiring |= has_room;
        slot.retiring
    }

    /// How many are to leave and have a job that has ended: those that are set aside, and for a moment others.
    pub(in crate::pool) fn aside(&self) -> usize {
        let slots = self.slots.borrow();
        slots.iter().filter(|slot| slot.retiring && matches!(slot.state, State::Settling { .. })).count()
    }
}
