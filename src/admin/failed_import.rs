//! Failed jobs that come back from an export: their records as they were, so that ids and identities stay, and each once.
//!
//! A record that is on the list already is left out. What comes meanwhile is met by the number of the batch: two imports at once get
//! different ones, and who gets a number that is taken looks through the list again.

use std::collections::HashSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::brake::Brake;
use super::error::AdminError;
use super::failed::id;
use super::failed_search::each_from_end;
use crate::store::handle::Store;
use crate::store::inspection::{FAILED_BATCH, FAILED_BATCH_BYTES, FailedCount};
use crate::store::instance::InstanceRecord;
use crate::store::moving::{Batch, BatchId, TakeIn, TakeInTarget, TakenIn, Waiting};
use crate::store::role::{Admin, Mover};

/// The source of the batches: all imports share their numbers.
const SOURCE: &str = "failed-import";
/// How often another import may come between.
const TRIES: u32 = 100;

/// What an import led to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FailedImported {
    /// How many are on the list now, at its end.
    pub imported: u64,
    /// How many were there already, or stood twice in the export.
    pub already: u64,
}

/// The record in a line of an export.
///
/// # Errors
/// Says what is wrong with the line.
pub fn record_of(line: &[u8]) -> Result<Bytes, String> {
    #[derive(Deserialize)]
    struct Line<'a> {
        id: Option<&'a str>,
        record: Option<String>,
        record_hex: Option<String>,
    }
    let line = std::str::from_utf8(line).map_err(|error| format!("not UTF-8: {error}"))?;
    if !line.trim_start().starts_with('{') {
        return Err("expected an object, as windlass failed export writes it".to_owned());
    }
    let line: Line<'_> = serde_json::from_str(line).map_err(|error| {
        format!("not valid JSON: {}", error.to_string().replace(" at line 1 column ", " at column "))
    })?;
    let record = match (line.record, line.record_hex) {
        (Some(record), None) => Bytes::from(record),
        (None, Some(hex)) => bytes_of(&hex).ok_or("its record_hex is no hexadecimal number")?,
        _ => {
            let what = "it has no record, which windlass failed export adds to each line; lists and answers of the API have none";
            return Err(what.to_owned());
        }
    };
    if record.is_empty() {
        return Err("its record is empty".to_owned());
    }
    match line.id {
        Some(named) if named != id(&record) => Err(format!(
            "its record has the id {}, and not {named}: it was changed. To change a job, import it as it was, and retry it with \
             --args or --queue",
            id(&record)
        )),
        _ => Ok(record),
    }
}

fn bytes_of(hex: &str) -> Option<Bytes> {
    let digits = hex.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        u8::from_str_radix(pair, 16).ok().filter(|_| pair.len() == 2)
    };
    digits.map(byte).collect::<Option<Vec<u8>>>().map(Bytes::from)
}

/// Puts these records at the end of the failed list, some in one step of the store, except those that are there. Stops between two
/// steps if it is asked to. `progress` is told how many are done.
///
/// # Errors
/// Fails when the store cannot be reached; what `progress` was told is done, and the same import again leaves that out.
pub async fn import(
    (list, store): (&Store<Admin>, &Store<Mover>),
    records: &[Bytes],
    brake: &Brake,
    mut progress: impl FnMut(&FailedImported),
) -> Result<FailedImported, AdminError> {
    let (mut done, mut number, mut tries) = (FailedImported::default(), 1, 0);
    let (mut rest, mut there) = (records, on_list(list).await?);
    while !rest.is_empty() && !brake.is_pulled() {
        let (mut items, mut bytes, mut taken, mut ids) = (Vec::new(), 0, 0, HashSet::new());
        for record in rest {
            let is_there = there.contains(&id(record)) || ids.contains(&id(record));
            if !is_there {
                if items.len() >= FAILED_BATCH || !items.is_empty() && bytes + record.len() > FAILED_BATCH_BYTES {
                    break;
                }
                bytes += record.len();
                ids.insert(id(record));
                items.push(Waiting::Failed { record: record.clone() });
            }
            taken += 1;
        }
        let (count, twice) = (items.len() as u64, (taken as u64).saturating_sub(items.len() as u64));
        if items.is_empty() {
            done.already += twice;
            break;
        }
        let targets = vec![TakeInTarget::default(); items.len()];
        let batch_id = BatchId { source: SOURCE.to_owned(), number, token: Some(InstanceRecord::new_id()) };
        let batch = Batch { id: batch_id, target: None, items };
        match store.run(TakeIn { batch, targets }).await? {
            TakenIn::Yes | TakenIn::Before => {
                there.extend(ids);
                (done.imported, done.already) = (done.imported + count, done.already + twice);
                number += 1;
                rest = rest.get(taken..).unwrap_or_default();
                progress(&done);
            }
            TakenIn::Conflict { last } => {
                tries += 1;
                if tries > TRIES {
                    return Err(AdminError::Changed { what: "the failed list, by other imports,".to_owned() });
                }
                // The first number is a guess, and any other one went to another import, maybe of the same jobs. Anyone who comes
                // after this look takes the number, too.
                number = last.saturating_add(1);
                there = on_list(list).await?;
            }
            // Nobody declines a batch of an import.
            TakenIn::Declined => number += 1,
        }
    }
    Ok(done)
}

/// The ids of all that is on the list.
async fn on_list(list: &Store<Admin>) -> Result<HashSet<String>, AdminError> {
    let (count, mut ids) = (list.run(FailedCount).await?, HashSet::new());
    each_from_end(list, count, async |page| {
        ids.extend(page.iter().map(|(_, record)| id(record)));
        Ok(true)
    })
    .await?;
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_exported_or_refused() {
        let record = r#"{"worker":"w","payload":{"class":"a"}}"#;
        let line = |more: &str| format!("{{\"position\":3,{more}}}");
        let text = serde_json::to_string(record).unwrap();
        let own = id(record.as_bytes());
        assert_eq!(record_of(line(&format!("\"id\":\"{own}\",\"record\":{text}")).as_bytes()).unwrap(), record);
        assert_eq!(&record_of(line("\"record_hex\":\"7bff\"").as_bytes()).unwrap()[..], b"{\xff");
        for (bad, why) in [
            (line(&format!("\"id\":\"0123456789abcdef\",\"record\":{text}")), "it was changed"),
            (line("\"id\":\"x\""), "it has no record"),
            (line("\"record\":\"\""), "is empty"),
            (line("\"record_hex\":\"7\""), "no hexadecimal"),
            (line("\"record_hex\":\"+7\""), "no hexadecimal"),
            ("[1]".to_owned(), "expected an object"),
            ("{\"record\":".to_owned(), "not valid JSON"),
        ] {
            let told = record_of(bad.as_bytes()).unwrap_err();
            assert!(told.contains(why), "{bad}: {told}");
        }
    }
}
