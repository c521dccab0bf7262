//! A store that lost everything while this instance lives: it was emptied, or restarted without what it held.
//!
//! The heartbeat finds out and joins again (`rejoin`). For that moment each lane holds still, so that what it has in hand
//! is known: it says which exchange was answered last, and whose settlements wait.

use std::cell::{Cell, RefCell};

use tokio::sync::Notify;

use super::slots::LANES;
use crate::store::instance::Extended;
use crate::store::rejoin::HeldJob;

/// What a lane that holds still has in hand.
pub(super) struct Account {
    /// Its last exchange that was answered.
    pub(super) answered: u64,
    /// The jobs whose settlements wait.
    pub(super) settling: Vec<HeldJob>,
}

/// What is known of the store's birth mark, and the lanes that hold still.
#[derive(Default)]
pub(super) struct Emptied {
    /// The mark of the store, once an extension has told it.
    birth: RefCell<Option<String>>,
    /// How often the instance has joined again.
    times: Cell<u64>,
    asked: Cell<bool>,
    accounts: RefCell<[Option<Account>; LANES]>,
    /// The lanes that run.
    at_work: [Cell<bool>; LANES],
    handed_in: Notify,
    over: Notify,
}

impl Emptied {
    /// Whether an extension that found no registration shows that the store has lost everything.
    pub(super) fn is_shown_by(&self, extended: &Extended) -> bool {
        let known = self.birth.borrow();
        extended.dead && known.is_some() && *known != extended.birth
    }

    /// The mark of the store that was lost.
    pub(super) fn lost(&self) -> String {
        self.birth.borrow().clone().unwrap_or_default()
    }

    /// The store has this mark.
    pub(super) fn learn(&self, birth: Option<&String>) {
        if let Some(birth) = birth {
            self.birth.borrow_mut().clone_from(&Some(birth.clone()));
        }
    }

    /// How often the instance has joined again so far.
    pub(super) fn times(&self) -> u64 {
        self.times.get()
    }

    /// Whether the lanes are to hold still.
    pub(super) fn holds_lanes(&self) -> bool {
        self.asked.get()
    }

    /// A lane begins or ends.
    pub(super) fn set_at_work(&self, lane: usize, at_work: bool) {
        if let Some(cell) = self.at_work.get(lane) {
            cell.set(at_work);
        }
        self.handed_in.notify_one();
    }

    /// A lane holds still until this is over.
    pub(super) async fn hold(&self, lane: usize, account: Account) {
        if let Some(place) = self.accounts.borrow_mut().get_mut(lane) {
            *place = Some(account);
        }
        self.handed_in.notify_one();
        // It is notified by a task of this thread, and none runs between the caller's look and this wait.
        self.over.notified().await;
    }

    /// The lanes are to hold still.
    pub(super) fn ask(&self) {
        self.accounts.borrow_mut().fill_with(|| None);
        self.asked.set(true);
    }

    /// The lanes go on. `joined`: the instance has joined again.
    pub(super) fn end(&self, joined: bool) {
        self.times.set(self.times.get() + u64::from(joined));
        self.asked.set(false);
        self.over.notify_waiters();
    }

    /// Waits until each lane that runs holds still, and takes what they have in hand.
    pub(super) async fn accounts(&self) -> Vec<(u8, Account)> {
        loop {
            let still = |lane: usize| self.accounts.borrow().get(lane).is_some_and(Option::is_some);
            if self.at_work.iter().enumerate().all(|(lane, at_work)| !at_work.get() || still(lane)) {
                break;
            }
            self.handed_in.notified().await;
        }
        let taken = self.accounts.borrow_mut().each_mut().map(Option::take);
        let numbered = taken.into_iter().enumerate();
        numbered.filter_map(|(lane, account)| Some((u8::try_from(lane).ok()?, account?))).collect()
    }
}
