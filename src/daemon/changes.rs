//! Whether the files of a daemon have changed, for `reload = "auto"`.
//!
//! The files are looked at every few seconds: that sees what editors, `rsync`, `git pull` and the links of a mounted
//! ConfigMap do, on every file system. A change counts when two looks in a row see the same, so that files that are just
//! being written are left alone.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use crate::config::Config;
use crate::task::load::task_files;

/// How long after a look the next one follows.
pub(super) const EVERY: Duration = Duration::from_secs(2);

/// What the files were like.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// When they were read.
    read: u64,
    /// At the last look.
    seen: u64,
}

impl Changes {
    /// They are read now.
    pub(super) fn read(&mut self, config: &Config) {
        self.read = look(config);
        self.seen = self.read;
    }

    /// Have they changed since they were read, and not since the last look?
    pub(super) fn have_settled(&mut self, config: &Config) -> bool {
        self.judge(look(config))
    }

    fn judge(&mut self, now: u64) -> bool {
        let is_steady = std::mem::replace(&mut self.seen, now) == now;
        is_steady && std::mem::replace(&mut self.read, now) != now
    }
}

/// A number that changes with the files.
fn look(config: &Config) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut add = |path: &Path| {
        path.hash(&mut hasher);
        let metadata =
            path.metadata().map(|of| (of.ino(), of.size(), of.mtime(), of.mtime_nsec(), of.ctime(), of.ctime_nsec()));
        metadata.map_err(|error| error.raw_os_error()).hash(&mut hasher);
    };
    if let Some(source) = &config.source {
        add(source);
    }
    // A folder that cannot be read has no files, which is a change, too.
    task_files(&config.tasks_dir).unwrap_or_default().iter().for_each(|file| add(file));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_counts_once_and_only_when_it_is_over() {
        let mut changes = Changes { read: 1, seen: 1 };
        assert!(!changes.judge(1), "nothing has changed");
        assert!(!changes.judge(2), "it may be being written");
        assert!(!changes.judge(3), "it was");
        assert!(changes.judge(3));
        assert!(!changes.judge(3), "also if the reload was refused");
        assert!(!changes.judge(1));
        assert!(changes.judge(1), "back to what it was is a change");
    }

    #[test]
    fn what_is_written_removed_or_exchanged_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let (file, tasks) = (dir.path().join("tasks.toml"), dir.path().join("tasks.d"));
        std::fs::create_dir(&tasks).unwrap();
        std::fs::write(&file, format!("tasks_dir = {:?}\n", tasks.to_str().unwrap())).unwrap();
        let sources = crate::config::load::Sources::new(dir.path()).file(&file);
        let config = crate::config::load::load(&sources).unwrap().config;
        let mut seen = vec![look(&config)];
        let mut is_new = |what: &str| {
            let now = look(&config);
            assert!(!seen.contains(&now), "{what}");
            seen.push(now);
        };
        std::fs::write(tasks.join("a.toml"), "name").unwrap();
        is_new("a new file");
        std::fs::write(tasks.join("b.toml"), "longer").unwrap();
        std::fs::rename(tasks.join("b.toml"), tasks.join("a.toml")).unwrap();
        is_new("another in its place");
        std::fs::write(&file, "other").unwrap();
        is_new("the configuration");
        std::fs::write(tasks.join("notes.txt"), "").unwrap();
        assert_eq!(look(&config), *seen.last().unwrap(), "no task file");
    }
}
