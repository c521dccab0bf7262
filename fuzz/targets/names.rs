//! Names of queues, tasks and workers.

use windlass::job::{LockKey, QueueName, TaskName, WorkerName};

pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (name, queues) = text.split_once('\n').unwrap_or((text, "*"));
    let queue = QueueName::new(name);
    let task = TaskName::new(name);
    assert!(queue.is_err() || !name.is_empty());
    if let (Ok(queue), Ok(task)) = (queue, task) {
        assert_eq!((queue.as_str(), task.as_str()), (name, name));
        let lock = LockKey::queue_lock(task.as_str(), queue.as_str(), "[]");
        assert!(lock.as_str().contains(name));
    }
    let worker = WorkerName::new(name, queues);
    let again = WorkerName::parse(worker.id());
    assert_eq!(again.id(), worker.id());
}
