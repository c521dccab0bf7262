//! The names that have series of their own: so many, first come first served, and for as long as the process lives. So no
//! producer can fill the memory of who collects, and a series never goes on under another name.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use crate::event::tally::{OTHER, UNKNOWN};

/// Names of one kind.
#[derive(Debug)]
pub(super) struct Names {
    seen: Mutex<HashSet<Box<str>>>,
    most: usize,
}

impl Names {
    pub(super) fn new(most: usize) -> Self {
        Self { seen: Mutex::default(), most }
    }

    /// The name, or that of those which are too many.
    pub(super) fn label<'n>(&self, name: &'n str) -> &'n str {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if name == UNKNOWN || name == OTHER || seen.contains(name) {
            return name;
        }
        if seen.len() >= self.most {
            return OTHER;
        }
        seen.insert(name.into());
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_came_first_keep_their_names() {
        let names = Names::new(2);
        let told: Vec<_> = ["a", "_unknown", "b", "c", "a", "_other", "c"].map(|name| names.label(name)).into();
        assert_eq!(told, ["a", "_unknown", "b", "_other", "a", "_other", "_other"]);
    }
}
