//! Who may have written the file of a store, and with whose rights it is opened.
//!
//! Who can write the file says which jobs there are. A daemon runs them with its own rights, so that it takes only a file
//! that nobody else may change. A command runs no job of the file, and `sudo windlass failed` over the file of a daemon that
//! is another user is what operators do all day. What root must not do there is to create, change or follow what that user
//! has put in the place of a file. So a command of root takes the rights of the user whose files they are.

use std::sync::Arc;

use crate::file::trust::Owners;

/// What a store is opened for.
#[derive(Debug, Clone)]
pub struct Access {
    /// Nothing is judged without them (`strict_modes = false`).
    #[cfg_attr(not(feature = "sqlite"), expect(dead_code, reason = "only files are judged"))]
    trusted: Option<Arc<Owners>>,
    #[cfg_attr(not(feature = "sqlite"), expect(dead_code, reason = "only files are judged"))]
    runs_jobs: bool,
}

impl Access {
    /// For a daemon, which runs the jobs of the store.
    #[must_use]
    pub fn daemon(trusted: Option<Arc<Owners>>) -> Self {
        Self { trusted, runs_jobs: true }
    }

    /// For a command or another program that enqueues and looks.
    #[must_use]
    pub fn command(trusted: Option<Arc<Owners>>) -> Self {
        Self { trusted, runs_jobs: false }
    }
}

#[cfg(feature = "sqlite")]
mod files {
    use std::path::Path;

    use super::Access;
    use crate::file::{self, data, lacking, rights};
    use crate::store::error::StoreError;

    /// The ends of the names of what stands beside a database: its log and the index of that, what a version of SQLite
    /// without a log writes, and the folder of the sockets.
    const BESIDE: [&str; 4] = ["-wal", "-shm", "-journal", ".wake"];

    /// The ends of those that every process opens.
    const LOG: [&str; 2] = ["-wal", "-shm"];

    impl Access {
        /// Judges the file at this path, and opens it with the rights that are due.
        pub(in crate::store) fn open<T: Send>(
            &self,
            path: &Path,
            open: impl FnOnce() -> Result<T, StoreError> + Send,
        ) -> Result<T, StoreError> {
            let path = file::absolute(path);
            let lacking = || lacking::right_to(&path, &LOG).map(|lacking| StoreError::Unsupported(lacking.to_string()));
            // A daemon writes in any case, and would wait for a right that nobody gives it.
            if self.runs_jobs
                && let Some(error) = lacking()
            {
                return Err(error);
            }
            // SQLite only says that it is unable.
            let open = || open().map_err(|error| if error.is_transient() { lacking().unwrap_or(error) } else { error });
            let Some(trusted) = &self.trusted else { return open() };
            let untrusted = |error: data::UntrustedData| StoreError::Unsupported(error.to_string());
            if self.runs_jobs {
                data::judge(trusted, &path, &BESIDE).map_err(untrusted)?;
                return open();
            }
            if !rustix::process::geteuid().is_root() {
                return open();
            }
            let Some((uid, gid)) = data::owner_but_root(&path) else {
                data::judge(trusted, &path, &BESIDE).map_err(untrusted)?;
                return open();
            };
            data::judge(&trusted.and(uid), &path, &BESIDE).map_err(untrusted)?;
            // The threads of the store are started by the one that opens it, and have its rights.
            rights::with(uid, gid, open).unwrap_or_else(|error| {
                let place = path.display();
                Err(StoreError::Unavailable(format!("{place} with the rights of its owner ({uid}): {error}")))
            })
        }
    }
}
