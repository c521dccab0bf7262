//! Gives a queue whose name is no text one that is.

use bytes::Bytes;
use serde::Serialize;

use super::error::AdminError;
use crate::job::QueueName;
use crate::store::handle::Store;
use crate::store::inspection::RenameQueue;
use crate::store::role::Admin;
use crate::text::shell::word_of_bytes;

/// How many jobs one step moves.
const STEP: usize = 100;

/// A queue that has another name now.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct QueueRenamed {
    /// The name that it has.
    pub queue: String,
    /// How many jobs were moved to it.
    pub moved: u64,
}

/// Moves all jobs of a queue whose name is no text to the end of another one, and forgets the name. Tells after each step how
/// many were moved. Jobs that come meanwhile are moved, too.
///
/// # Errors
/// Fails for a name that is text, because jobs of such a queue have locks and identities under it; for an invalid new name, for a
/// queue that does not exist, and when the store cannot be reached.
pub async fn rename(
    store: &Store<Admin>,
    name: &[u8],
    to: &str,
    mut so_far: impl FnMut(u64),
) -> Result<QueueRenamed, AdminError> {
    if let Ok(text) = std::str::from_utf8(name) {
        let why = format!(
            "{text:?} is text, and only a queue whose name is none can be renamed: let its jobs run, or delete it"
        );
        return Err(AdminError::BadAddress(why));
    }
    let queue = QueueName::new(to).map_err(|error| AdminError::Name { text: to.to_owned(), error })?;
    let arrow = RenameQueue { name: Bytes::copy_from_slice(name), to: queue, most: STEP };
    let mut moved = 0;
    loop {
        let step = store.run(arrow.clone()).await?;
        if !step.known && moved == 0 {
            return Err(AdminError::NotFound { what: "queue", name: word_of_bytes(name), suggestion: None });
        }
        moved += step.moved;
        so_far(moved);
        if !step.more {
            return Ok(QueueRenamed { queue: to.to_owned(), moved });
        }
    }
}
