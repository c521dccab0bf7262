//! Task files, by the real loader, in a folder of their own.

use std::fs;

use tempfile::TempDir;
use windlass::job::{QueueName, TaskName};
use windlass::task::load::{KnownNames, load};

thread_local! {
    static FOLDER: TempDir = TempDir::new().expect("a folder for a task file must be there");
}

pub fn target(data: &[u8]) {
    FOLDER.with(|folder| {
        fs::write(folder.path().join("a.toml"), data).expect("a task file must be written");
        let known = KnownNames::new(&["echo"], &["audit"]).within(Some("resque")).changed_by(None);
        let tasks = load(folder.path(), known);
        for problem in tasks.problems.iter().chain(&tasks.unavailable) {
            let told = problem.to_string();
            assert!(told.contains("a.toml"), "a problem names no file: {told}");
        }
        for task in tasks.registry.iter() {
            assert!(TaskName::new(task.name.as_str()).is_ok() && QueueName::new(task.queue.as_str()).is_ok());
        }
    });
}
