//! `[defaults]`: where it stands. Its keys are those of task files, so the reader of tasks understands them.

use std::fmt;
use std::path::{Path, PathBuf};

/// The file that has `[defaults]`.
#[derive(Clone, PartialEq, Eq)]
pub struct DefaultsSource {
    path: PathBuf,
    text: String,
}

impl DefaultsSource {
    /// The text of this file.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for DefaultsSource {
    /// Shows only the path, because the text may contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DefaultsSource").field("path", &self.path).finish_non_exhaustive()
    }
}
