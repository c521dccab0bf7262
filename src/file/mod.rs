//! Files that somebody told us to read: what they may be, how much of them is read, who may change them, and with whose
//! rights. This room knows nothing of what they hold.

use std::path::{Path, PathBuf};

pub mod bounded;
pub mod data;
pub mod lacking;
mod members;
mod plain;
pub mod rights;
pub mod shortage;
pub mod trust;

pub use plain::plain;

/// The path from the root on, by which folders above it can be judged. It stays as it is where there is no working directory.
#[must_use]
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
