//! The JobLock of a job that its worker's record shows changed.
//!
//! node-resque's workers write their records by Lua's JSON, which turns `[]` into `{}`, keeps 14 digits of a number and
//! orders members as it likes. The lock's key holds the arguments as they were. So it is looked for among the locks that
//! are held for this class and queue, and is the one whose arguments Lua would have written alike.

use std::collections::BTreeSet;

use super::error::AdminError;
use crate::job::distortion::{lua_form, may_be_changed_by_lua};
use crate::job::{Args, LockKey, PayloadView};
use crate::store::handle::Store;
use crate::store::inspection::{LockPlace, Locks};
use crate::store::role::Admin;
use crate::store::working::WorkingRecord;

/// How many locks one step reads, and how many keys of a Redis it looks at, about.
const SOME: (usize, usize) = (1000, 20_000);

/// The locks that may be the one of this record's job, and what their keys begin with; `None` if the record shows the
/// arguments as they were.
pub(super) async fn candidates(
    store: &Store<Admin>,
    working: &WorkingRecord,
) -> Result<Option<(String, Vec<LockKey>)>, AdminError> {
    let Some((prefix, forms)) = wanted(working) else { return Ok(None) };
    let is_it = |key: &str| {
        let form = key.strip_prefix(&*prefix).and_then(lua_form);
        form.is_some_and(|form| forms.contains(&form))
    };
    let (mut found, mut next) = (Vec::new(), Some(LockPlace::default()));
    while let Some(from) = next.take() {
        let some = store.run(Locks { from, limit: SOME.0, keys: SOME.1 }).await?;
        // A value with a claim is a lock of Windlass.
        found.extend(some.locks.into_iter().filter(|lock| is_it(&lock.key) && !lock.value.contains(':')));
        next = some.next;
    }
    let keys = found.into_iter().map(|lock| LockKey::Namespaced(lock.key)).collect();
    Ok(Some((prefix, keys)))
}

/// What the lock's key begins with, and the forms that its arguments may have.
fn wanted(working: &WorkingRecord) -> Option<(String, BTreeSet<String>)> {
    if working.claim.is_some() {
        return None;
    }
    let view = PayloadView::parse(working.payload.as_ref()?).ok()?;
    let (queue, args) = (working.queue.as_ref()?, Args::of(&view).ok()?);
    let raw = view.raw_args().unwrap_or("[]");
    if !may_be_changed_by_lua(raw) {
        return None;
    }
    let key = LockKey::job_lock(&view.class, queue.as_str(), "");
    Some((format!("{}:", key.as_str()), [raw, args.as_str()].into_iter().filter_map(lua_form).collect()))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::job::WorkerName;

    fn record(payload: &str) -> WorkingRecord {
        let raw = format!(r#"{{"run_at":"x","worker":"vm:1","payload":{payload},"queue":"math"}}"#);
        WorkingRecord::parse(&WorkerName::parse("vm:1:math"), Bytes::from(raw))
    }

    #[test]
    fn a_record_that_shows_its_arguments_as_they_were_needs_no_search() {
        assert_eq!(wanted(&record(r#"{"class":"add","args":[1,"a b",{"n":1}]}"#)), None);
        assert_eq!(wanted(&record("junk")), None);
    }

    #[test]
    fn a_changed_record_may_stand_for_several_locks() {
        let (prefix, forms) = wanted(&record(r#"{"class":"add","args":{}}"#)).unwrap();
        assert_eq!(prefix, "workerslock:add:math:");
        assert!(["[]", "[{}]", "[[]]"].iter().all(|args| forms.contains(&lua_form(args).unwrap())));
        let (_, forms) = wanted(&record(r#"{"args":[{"b":{},"a":1.7000000000001e+15}],"class":"add"}"#)).unwrap();
        assert!(forms.contains(&lua_form(r#"[{"a":1700000000000123,"b":[]}]"#).unwrap()));
    }
}
