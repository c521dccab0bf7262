//! Whether the file that is open still stands at its path. SQLite goes on in a file that was deleted, and no other process
//! can open that file any more. And how much room there is at that place.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::store::findings::Findings;
use crate::store::room::DiskRoom;

/// The path of the file, and which file it was when it was opened.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    opened: Option<(u64, u64)>,
    findings: Findings,
}

impl Place {
    /// The file that was just opened.
    pub(super) fn new(path: &Path, findings: Findings) -> Self {
        Self { path: path.to_owned(), opened: identity(path), findings }
    }

    /// The room on its file system.
    pub(super) fn room(&self) -> DiskRoom {
        let folder = self.path.parent().unwrap_or(&self.path);
        let bytes = rustix::fs::statvfs(folder).ok().map(|of| {
            let blocks = |blocks: u64| blocks.saturating_mul(of.f_frsize);
            (blocks(of.f_bavail), blocks(of.f_blocks))
        });
        DiskRoom { folder: folder.display().to_string(), bytes }
    }

    /// Tells once if another file stands at the path, or none.
    pub(super) fn look(&self) {
        let path = self.path.display();
        let subject = format!("the file {path}");
        let stands = identity(&self.path);
        if self.opened.is_none() || stands == self.opened {
            return self.findings.mended(&subject, &format!("the database file {path} stands at its place again"));
        }
        let what = if stands.is_none() { "was deleted or renamed" } else { "was replaced by another file" };
        let text = format!(
            "the database file {path} {what} while it is open. This process goes on in the file that it opened, which no \
             other process can find: it does not see what others enqueue, and what that file holds is lost when this \
             process ends. If the file was renamed, rename it back; otherwise start this process again (windlass run), so \
             that it uses the file at that path"
        );
        self.findings.complain(&subject, text);
    }
}

/// Device and number of the file at a path.
fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}
