//! What a move costs the server.

use super::server::Server;
use crate::store::moving::{LetGo, SetAside, Target};

/// How often the server was asked for queues and for their lengths.
fn asked(server: &Server) -> (u64, u64) {
    let stats = server.cli(&["INFO", "commandstats"]);
    let calls = |name: &str| {
        let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:calls="))).unwrap_or("0");
        line.split(',').next().unwrap_or_default().parse().unwrap_or(u64::MAX)
    };
    (calls("sscan"), calls("llen"))
}

#[tokio::test]
async fn each_queue_is_looked_at_a_few_times_however_many_there_are() {
    const QUEUES: u64 = 12_000;
    let server = Server::start();
    let store = server.store().await;
    let fill = "for i = 1, 12000 do redis.call('SADD', 'resque:queues', 'q' .. i) \
                if i % 4 == 0 then redis.call('RPUSH', 'resque:queue:q' .. i, '{}') end end";
    server.cli(&["EVAL", fill, "0"]);
    let target = Target { id: "there".to_owned(), address: "sqlite:there.db".to_owned() };
    let (before, mut moved) = (asked(&server), 0);
    while let Some(batch) = store.run(SetAside { limit: 250, target: target.clone() }).await.unwrap() {
        moved += batch.items.len();
        store.run(LetGo { id: batch.id }).await.unwrap();
    }
    let after = asked(&server);
    assert_eq!(moved, 3000);
    // A page of the set holds four batches or fewer, and a last look goes through all.
    let (pages, lengths) = (after.0 - before.0, after.1 - before.1);
    assert!(pages <= 5 * QUEUES / 1000 && lengths <= 5 * QUEUES, "{pages} pages, {lengths} lengths");
}
