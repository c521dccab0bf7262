//! How far operations on many failed jobs are, on record.

use bytes::Bytes;
use windlass::store::operations::{KEPT_S, KeepOperation, LONGEST, ReadOperation};

use crate::fixture::{Fixture, Place};

behaviours! {
    the_last_word_of_an_operation_is_read_until_it_lapses,
    a_record_of_any_length_is_none,
}

async fn keep(f: &Fixture, id: &str, record: &str) {
    let record = Bytes::copy_from_slice(record.as_bytes());
    f.store.run(KeepOperation { id: id.to_owned(), record }).await.expect("keep_operation");
}

async fn read(f: &Fixture, id: &str) -> Option<Bytes> {
    f.store.run(ReadOperation { id: id.to_owned() }).await.expect("read_operation")
}

async fn the_last_word_of_an_operation_is_read_until_it_lapses(f: &Fixture) {
    assert_eq!(read(f, "7").await, None);
    keep(f, "7", "{\"done\":1}").await;
    keep(f, "8", "{}").await;
    keep(f, "7", "{\"done\":2}").await;
    assert_eq!(read(f, "7").await.as_deref(), Some(&b"{\"done\":2}"[..]));
    match &f.place {
        // The server counts by its own clock.
        Place::Redis { .. } => {
            let left = f.redis_command(&["TTL", &f.key("windlass:op:7")]);
            assert!(format!("{left:?}").contains("86") || format!("{left:?}").contains("85"), "{left:?}");
        }
        Place::Sqlite { .. } => {
            f.pass(i64::try_from(KEPT_S).expect("a day") + 1);
            assert_eq!(read(f, "7").await, None);
        }
    }
}

async fn a_record_of_any_length_is_none(f: &Fixture) {
    keep(f, "7", &"x".repeat(LONGEST)).await;
    assert_eq!(read(f, "7").await.map(|record| record.len()), Some(LONGEST));
    keep(f, "7", &"x".repeat(1 << 20)).await;
    assert_eq!(read(f, "7").await, None);
}
