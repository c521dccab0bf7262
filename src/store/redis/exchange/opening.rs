//! The connection of a lane: its own, or the store's until it gets one (`sharer`).

use std::sync::Arc;

use bytes::Bytes;
use fred::types::RespVersion;

use super::parts::Parts;
use super::room::Room;
use super::split::Cuts;
use super::unlent::Unlent;
use super::{RedisLane, start};
use crate::store::error::StoreError;
use crate::store::redis::claim_queues::ClaimQueues;
use crate::store::redis::connection::{Connection, Origin};
use crate::store::redis::layout::Workers;
use crate::store::redis::sharer::{Opened, Sharer};

/// Opens a lane, over the store's connection if no other can be had.
pub(super) async fn open(shared: &Arc<Connection>, instance: &str, lane: u8) -> Result<RedisLane, StoreError> {
    let own = |origin: Origin| async move { origin.open(RespVersion::RESP2).await };
    let (connection, sharer) = match Sharer::own_or_shared(shared, own).await? {
        Opened::Own(own) => (Arc::new(own), None),
        Opened::Shared(sharer) => (Arc::clone(shared), Some(sharer)),
    };
    let key = connection.keys().lane(instance);
    start(&connection, instance, Bytes::from(lane.to_string())).await?;
    Ok(RedisLane {
        sharer,
        instance: instance.into(),
        lane,
        lane_text: Bytes::from(lane.to_string()),
        prefix_len: Bytes::from(connection.keys().queue_prefix_len().to_string()),
        key,
        paused: (connection.keys().paused(), connection.keys().pause_all()),
        workers: Workers::default(),
        full: 0,
        room: Room::default(),
        parts: Parts::default(),
        progress: None,
        queues: ClaimQueues::of(connection.keys(), &Arc::from([])),
        apart: None,
        cuts: Cuts::default(),
        unlent: Unlent::default(),
        split: None,
        parts_sent: 0,
        connection,
    })
}

impl RedisLane {
    /// Takes over its own connection once there is one. Nothing is under way, and what was sent before is known by its
    /// sequence, should it arrive late.
    pub(super) fn take_over(&mut self) {
        if let Some(own) = self.sharer.as_mut().and_then(Sharer::own) {
            (self.connection, self.sharer) = (Arc::new(own), None);
        }
    }
}
