//! What people changed, on record.

use bytes::Bytes;
use futures_util::future::try_join_all;
use windlass::store::audit::{ENTRY_BYTES, KEPT, KeepAudit, ReadAudit};

use crate::fixture::Fixture;

behaviours! {
    the_newest_entry_comes_first,
    the_oldest_entries_go,
    of_a_long_entry_the_beginning_is_read,
}

fn entry(number: usize) -> Bytes {
    Bytes::from(format!("{{\"n\":{number}}}"))
}

async fn read(f: &Fixture, skip: usize, limit: usize) -> Vec<Bytes> {
    let read = f.store.run(ReadAudit { skip, limit }).await.expect("read_audit");
    read.into_iter().map(|entry| entry.bytes).collect()
}

async fn keep(f: &Fixture, numbers: std::ops::Range<usize>) {
    for number in numbers {
        f.store.run(KeepAudit { entry: entry(number) }).await.expect("keep_audit");
    }
}

async fn the_newest_entry_comes_first(f: &Fixture) {
    assert_eq!(read(f, 0, 10).await, [""; 0]);
    keep(f, 0..5).await;
    assert_eq!(read(f, 0, 2).await, [entry(4), entry(3)]);
    assert_eq!(read(f, 3, 10).await, [entry(1), entry(0)]);
    assert_eq!((read(f, 5, 10).await.len(), read(f, 0, 0).await.len()), (0, 0));
}

async fn the_oldest_entries_go(f: &Fixture) {
    keep(f, 0..1).await;
    for first in (0..KEPT).step_by(500) {
        let some = (first..first + 500).map(|_| f.store.run(KeepAudit { entry: Bytes::from_static(b"{}") }));
        try_join_all(some).await.expect("keep_audit");
    }
    keep(f, 1..3).await;
    assert_eq!(read(f, 0, 3).await, [entry(2), entry(1), Bytes::from_static(b"{}")]);
    assert_eq!(read(f, KEPT - 1, 10).await.len(), 1, "the first is gone");
}

async fn of_a_long_entry_the_beginning_is_read(f: &Fixture) {
    for bytes in [1, ENTRY_BYTES, 2_000_000] {
        f.store.run(KeepAudit { entry: Bytes::from("x".repeat(bytes)) }).await.expect("keep_audit");
    }
    let read = f.store.run(ReadAudit { skip: 0, limit: 10 }).await.expect("read_audit");
    let sizes: Vec<_> = read.iter().map(|entry| (entry.bytes.len(), entry.length)).collect();
    assert_eq!(sizes, [(ENTRY_BYTES, 2_000_000), (ENTRY_BYTES, ENTRY_BYTES as u64), (1, 1)]);
}
