//! Jobs as lines, for `windlass enqueue --bulk`.

use std::fs;
use std::sync::LazyLock;

use windlass::client::bulk::read;
use windlass::job::PayloadView;
use windlass::task::definition::Registry;
use windlass::task::load::{KnownNames, load};

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder for task files must be there");
    fs::write(folder.path().join("a.toml"), TASKS).expect("task files must be written");
    let tasks = load(folder.path(), KnownNames::new(&["echo"], &[]).changed_by(None));
    assert!(tasks.problems.is_empty(), "{:?}", tasks.problems);
    tasks.registry
});

const TASKS: &str = r#"
[[task]]
name = "mail"
queue = "mail"
plugins = ["QueueLock"]
run = { builtin = "echo" }
[task.inputs]
to = { required = true, type = "string" }
tries = { type = "integer", default = 3 }

[[task]]
name = "add"
run = { builtin = "echo" }

[[task]]
name = "hourly"
frequency = "1h"
run = { builtin = "echo" }
"#;

pub fn target(data: &[u8]) {
    for foreign in [false, true] {
        match read(data, foreign, &REGISTRY) {
            Ok(jobs) => {
                assert!(jobs.is_sorted_by(|a, b| a.line < b.line));
                for job in jobs {
                    let view = PayloadView::parse(&job.job.payload).expect("a job must be one");
                    assert_eq!(view.class, job.job.task.as_str());
                    assert_eq!(view.queue.as_deref(), Some(job.job.queue.as_str()));
                    assert_eq!(view.args(), job.job.args.as_str());
                }
            }
            Err(bad) => {
                assert!(!bad.is_empty() && bad.is_sorted_by(|a, b| a.line < b.line));
                assert!(bad.iter().all(|line| line.to_string().starts_with("line ")));
            }
        }
    }
}
