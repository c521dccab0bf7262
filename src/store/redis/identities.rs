//! Removes the identities of jobs that other programs deleted or ran.

use bytes::Bytes;

use super::connection::Connection;
use super::engine::RedisStore;
use super::script::{Script, script};
use super::{reply, verdict};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::workers::SweepIdentities;

static SWEEP: Script = script!("places", "identity", "recall", "sweep_identities");

/// About how many entries one step looks at. With the reads that each needs it takes a few milliseconds at most.
const STEP: usize = 50;

impl Perform<SweepIdentities> for RedisStore {
    async fn perform(&self, arrow: SweepIdentities) -> Result<u64, StoreError> {
        sweep(&self.connection, arrow.cursor).await
    }
}

async fn sweep(connection: &Connection, cursor: u64) -> Result<u64, StoreError> {
    // Most often there are none, and one command tells.
    let identities = vec![connection.keys().identity()];
    if cursor == 0 && reply::count(connection.command("EXISTS", identities).await?)? == 0 {
        return Ok(0);
    }
    let mut call = connection.call();
    verdict::places(&mut call, connection.keys());
    call.key(connection.keys().queue_prefix()).key(connection.keys().timestamps(b"")).number(cursor).number(STEP);
    let next: Option<Bytes> = reply::bytes(connection.run(&SWEEP, call).await?)?;
    Ok(next.as_deref().and_then(reply::parsed).unwrap_or(0))
}
