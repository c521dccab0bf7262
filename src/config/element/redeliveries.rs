//! How often something may be tried again.

use crate::config::reader::Value;

/// The most that is taken; whoever means "for ever" is better served by a look at what goes wrong.
const MOST: u64 = 1_000_000;

/// Reads a limit.
#[must_use]
pub fn read(value: &Value<'_>) -> Option<u32> {
    value.whole_number(0..=MOST).and_then(|number| u32::try_from(number).ok())
}
