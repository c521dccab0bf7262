//! A queue whose name is no text is given one, step by step.

use bytes::Bytes;
use windlass::store::inspection::{RENAMED_BYTES, RenameQueue};

use crate::fixture::{Fixture, Place};
use crate::look::{queue, queued};

#[tokio::test]
async fn a_step_of_a_renaming_moves_few_bytes() {
    let name = &b"caf\xe9"[..];
    let job = |place: usize, bytes: usize| Bytes::from(format!("{place}{}", "x".repeat(bytes)));
    // Four of a bit more than a third of the bytes; one that is longer than a step is to be; two short ones.
    let sizes = [RENAMED_BYTES / 3; 4].into_iter().chain([2 * RENAMED_BYTES, 1, 1]);
    let jobs: Vec<Bytes> = sizes.enumerate().map(|(place, bytes)| job(place, bytes)).collect();
    for f in [Fixture::redis().await, Fixture::sqlite().await] {
        match &f.place {
            Place::Redis { .. } => {
                let list = [f.key("queue:").as_bytes(), name].concat();
                f.redis_command(&[&b"SADD"[..], f.key("queues").as_bytes(), name]);
                for job in &jobs {
                    f.redis_command(&[&b"RPUSH"[..], &list, job]);
                }
            }
            Place::Sqlite { .. } => {
                // As a text that is none, and as a blob.
                let connection = rusqlite::Connection::open(f.place.file()).expect("the file must open");
                for (place, job) in (0_i64..).zip(&jobs) {
                    let queue = if place < 2 { "CAST(?1 AS TEXT)" } else { "?1" };
                    let sql = format!("INSERT INTO jobs (queue, position, payload) VALUES ({queue}, ?2, ?3)");
                    connection.execute(&sql, rusqlite::params![name, place, &job[..]]).expect("it is inserted");
                }
            }
        }
        let arrow = RenameQueue { name: Bytes::from_static(name), to: queue("cafe"), most: 6 };
        let mut moved = Vec::new();
        loop {
            let step = f.store.run(arrow.clone()).await.expect("rename_queue");
            moved.push(step.moved);
            if !step.more {
                break;
            }
        }
        assert_eq!(moved, [3, 2, 2]);
        assert_eq!(queued(&f.store, "cafe").await, jobs);
    }
}
