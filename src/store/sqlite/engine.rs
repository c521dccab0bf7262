//! The engine: two threads that the arrows share. Each arrow stands in the file of its verb.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::commit::{Handle, Role, spawn};
use super::connection::{self, Options};
use super::notifier::{self, Notifier};
use super::place::Place;
use super::private;
use crate::clock::Clock;
use crate::store::error::StoreError;
use crate::store::findings::Findings;

/// A store in one SQLite file. Other processes may use the same file at the same time.
pub struct SqliteStore {
    path: PathBuf,
    pub(super) sockets: PathBuf,
    pub(super) writer: Handle,
    pub(super) reader: Handle,
    pub(super) place: Place,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens a file, or creates it in a directory that exists.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] names a path that cannot be used, [`StoreError::Unsupported`] a
    /// file that is no database, of another program or of a newer version.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        Self::open_with(path, clock, Options::default())
    }

    /// Opens a file. What is wrong in it but is no error of a call is reported to `findings`.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_telling(path: &Path, clock: Arc<dyn Clock>, findings: Findings) -> Result<Self, StoreError> {
        Self::open_all(path, clock, Options::default(), findings)
    }

    /// Opens a file with these settings.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(path: &Path, clock: Arc<dyn Clock>, options: Options) -> Result<Self, StoreError> {
        Self::open_all(path, clock, options, Findings::default())
    }

    fn open_all(path: &Path, clock: Arc<dyn Clock>, options: Options, findings: Findings) -> Result<Self, StoreError> {
        let path = connection::canonical(path)?;
        let sockets = notifier::directory(&path);
        private::prepare(&path)?;
        let writer = connection::writer(&path, options)?;
        // The file is known to be ours now.
        if let Some(warning) = private::tighten(&path) {
            findings.complain(&format!("the mode of {}", path.display()), warning);
        }
        let reader = connection::reader(&path)?;
        let place = Place::new(&path, findings.clone());
        Ok(Self {
            writer: spawn(writer, clock.clone(), Role::Writer(Notifier::new(sockets.clone())), findings.clone())?,
            reader: spawn(reader, clock, Role::Reader, findings)?,
            sockets,
            place,
            path,
        })
    }

    /// Where the store is, for people.
    #[must_use]
    pub fn address(&self) -> String {
        format!("sqlite:{}", self.path.display())
    }
}
