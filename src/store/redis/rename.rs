//! Gives a queue another name.

use super::engine::RedisStore;
use super::reply;
use super::script::{Script, script};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::inspection::{RENAMED_BYTES, RenameQueue, Renamed};

static RENAME_QUEUE: Script = script!("page", "rename_queue");

impl Perform<RenameQueue> for RedisStore {
    async fn perform(&self, RenameQueue { name, to, most }: RenameQueue) -> Result<Renamed, StoreError> {
        let mut call = self.connection.call();
        let keys = self.connection.keys();
        call.key(keys.queues()).key(keys.queue_of(&name)).key(keys.queue(&to));
        call.arg(name).text(to.as_str()).number(most).number(RENAMED_BYTES);
        let mut answer = reply::list(self.connection.run(&RENAME_QUEUE, call).await?)?.into_iter();
        let mut next = || answer.next().map_or(Ok(0), reply::count);
        Ok(Renamed { known: next()? > 0, moved: next()?, more: next()? > 0 })
    }
}
