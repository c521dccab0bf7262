//! Paths as people write them down.

use std::path::{Component, PathBuf};

/// The same path without `folder/..`, where that leads back to where it stands: not behind a symbolic link, which leads elsewhere.
#[must_use]
pub fn plain(path: PathBuf) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        let leads_back = part == Component::ParentDir
            && matches!(plain.components().next_back(), Some(Component::Normal(_)))
            && plain.symlink_metadata().is_ok_and(|found| found.is_dir());
        if leads_back {
            plain.pop();
        } else {
            plain.push(part);
        }
    }
    if plain.as_os_str().is_empty() { path } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_goes_back_where_that_leads_to_the_same_place() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        std::fs::create_dir_all(at("real/config")).unwrap();
        std::os::unix::fs::symlink(at("real/config"), at("config")).unwrap();
        assert_eq!(plain(at("real/config/../tasks.d")), at("real/tasks.d"));
        assert_eq!(plain(at("real/config/../../x/./y")), at("x/y"));
        assert_eq!(plain(at("config/../tasks.d")), at("config/../tasks.d"), "it leads to real/tasks.d");
        assert_eq!(plain(at("absent/../tasks.d")), at("absent/../tasks.d"));
        assert_eq!(plain("../tasks.d".into()), PathBuf::from("../tasks.d"));
    }
}
