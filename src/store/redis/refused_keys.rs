//! Keys that the server refuses to this user.
//!
//! The server refuses a whole call if this user may not touch one of its keys, or if a key stands in another slot of a
//! Cluster, and does not say which. So the keys are asked for one by one. Nothing is told of such a refusal without the keys
//! and what to type: a [`Fault`] becomes an error only here.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use futures_util::future::join_all;

use super::connection::Connection;
use super::refusal::{Fault, may_not_touch};
use super::script::{Script, script};
use crate::store::error::StoreError;

static RANGE: Script = script!("page", "announce", "range");

/// How many keys one message names.
const NAMED: usize = 8;

/// The error for the caller of a script, which names those of its keys that are refused.
pub(super) async fn naming(connection: &Connection, fault: Fault, keys: Vec<Bytes>) -> StoreError {
    match fault {
        Fault::Keys(said) => name(connection, keys, &said).await,
        Fault::Store(error) => error,
    }
}

/// Those of the keys that are refused, and why.
///
/// # Errors
/// Fails when the server cannot be reached.
pub(super) async fn refused_keys(
    connection: &Connection,
    asked: HashSet<Bytes>,
) -> Result<HashMap<Bytes, StoreError>, StoreError> {
    let (mut refused, mut here) = (HashMap::new(), Vec::with_capacity(asked.len()));
    for key in asked {
        if connection.is_cluster() && connection.origin.is_elsewhere(&key) {
            let reason =
                "it stands in another slot of the Cluster than the namespace: let it begin with the same hash tag";
            let place = String::from_utf8_lossy(&key).into_owned();
            refused.insert(key, StoreError::Barred { place, reason: reason.to_owned() });
        } else {
            here.push(key);
        }
    }
    // A read of nothing: a script may read and write a key, or is refused.
    let ask = |key: &Bytes| {
        let mut call = connection.call();
        call.key(key.clone()).number(1).number(0);
        connection.try_run(&RANGE, call)
    };
    let answers = join_all(here.iter().map(ask)).await;
    for (key, answer) in here.into_iter().zip(answers) {
        match answer {
            Err(Fault::Store(error)) if error.is_transient() => return Err(error),
            Err(Fault::Keys(said)) => {
                let error = may_not_touch(&connection.origin.user(), &[&key], None, &said);
                refused.insert(key, error);
            }
            Ok(_) | Err(Fault::Store(_)) => {}
        }
    }
    Ok(refused)
}

/// The error of a call that was refused for some of these keys.
async fn name(connection: &Connection, keys: Vec<Bytes>, said: &str) -> StoreError {
    let refused = match refused_keys(connection, keys.iter().cloned().collect()).await {
        Ok(refused) => refused,
        Err(error) => return error,
    };
    let user = connection.origin.user();
    let mut seen = HashSet::new();
    let named: Vec<&[u8]> =
        keys.iter().filter(|key| refused.contains_key(*key) && seen.insert(*key)).map(|key| &key[..]).collect();
    let first = named.first().and_then(|key| refused.get(*key));
    match first {
        Some(elsewhere) if connection.is_cluster() && named.iter().any(|key| connection.origin.is_elsewhere(key)) => {
            elsewhere.clone()
        }
        Some(_) => may_not_touch(&user, named.get(..NAMED).unwrap_or(&named), None, said),
        // It was given the right meanwhile, or the script needs keys that no call names.
        None => may_not_touch(&user, &[format!("{}*", connection.keys().namespace_prefix()).as_bytes()], None, said),
    }
}
