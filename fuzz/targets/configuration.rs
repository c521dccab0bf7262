//! The configuration, by the real loader, in a folder of its own.

use std::fs;

use tempfile::TempDir;
use windlass::config::load::{Sources, effective_settings, load};

thread_local! {
    static FOLDER: TempDir = TempDir::new().expect("a folder for a configuration must be there");
}

pub fn target(data: &[u8]) {
    FOLDER.with(|folder| {
        let file = folder.path().join("tasks.toml");
        fs::write(&file, data).expect("a configuration must be written");
        match load(&Sources::new(folder.path()).file(&file)) {
            Ok(loaded) => assert!(!effective_settings(&loaded.config).is_empty()),
            Err(problems) => assert!(!problems.0.is_empty() && !problems.to_string().is_empty()),
        }
    });
}
