//! The committed examples of a target: `fuzz/seeds/NAME/*`.

use std::fs;
use std::path::{Path, PathBuf};

/// A path in `fuzz`.
pub(crate) fn in_fuzz(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(path)
}

/// All examples, in the order of their names.
pub(crate) fn of(name: &str) -> Vec<Vec<u8>> {
    let folder = in_fuzz("seeds").join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("examples must be listed").path()).collect();
    paths.sort();
    let read = |path: &PathBuf| fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let examples: Vec<_> = paths.iter().map(read).collect();
    assert!(examples.len() > 1, "{}: expected at least two examples", folder.display());
    examples
}
