//! Parts of an instance that share the store's connection, because the server takes no more of them.
//!
//! Lanes and wakers have connections of their own: a lane so that nothing large is before its exchanges, a waker because
//! the server sends to it unasked. Where no more can be had (`maxclients`, the plan of a hosted server), an instance
//! that waited for all of them would do nothing at all. So a part without one sends over the connection of the store,
//! in order with all else, and a waker then looks every `timeout` instead of being told. It asks for one of its own now and
//! then, and has it from then on.

use std::sync::Arc;

use bytes::Bytes;
use fred::types::Value;
use futures_util::FutureExt;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::connection::{Connection, Origin};
use super::reply;
use super::sharing::Sharing;
use crate::store::error::StoreError;

/// What is told of it.
const SUBJECT: &str = "connections";

/// A part that shares until it gets its own `T`.
pub(super) struct Sharer<T> {
    opening: JoinHandle<T>,
}

/// What a part works over.
pub(super) enum Opened<T> {
    Own(T),
    Shared(Sharer<T>),
}

/// One of the parts that share. Dropped, it is none any more.
struct Counted {
    sharing: Arc<Sharing>,
}

impl<T: Send + 'static> Sharer<T> {
    /// The part's own connection, or a place among those that share where no other can be had.
    pub(super) async fn own_or_shared<F>(
        shared: &Connection,
        open: impl Fn(Origin) -> F + Send + 'static,
    ) -> Result<Opened<T>, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Send,
    {
        match open(shared.origin.clone()).await {
            Ok(own) => Ok(Opened::Own(own)),
            Err(error) if error.is_transient() => {
                // If the store's connection is of no use either, that is for the caller to know.
                shared.now_ms().await?;
                Ok(Opened::Shared(Self::begin(shared, &error, open).await))
            }
            Err(error) => Err(error),
        }
    }

    /// This part got none of its own, for this reason. Tells how many there are, and opens one as soon as it can.
    async fn begin<F>(shared: &Connection, why: &StoreError, open: impl Fn(Origin) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<T, StoreError>> + Send,
    {
        let Origin { sharing, findings, .. } = &shared.origin;
        let (parts, counted) = (sharing.begin(), Counted { sharing: Arc::clone(sharing) });
        let server = clients_of(shared).await.unwrap_or_default();
        let has = if parts == 1 { "part of this instance has" } else { "parts of this instance have" };
        findings.tell(
            SUBJECT,
            format!(
                "{parts} {has} no connection to the store: failed to {why}{server}. What is without one shares that of all \
                 others, so that jobs may begin as late as timeout in tasks.toml says, and a large reply holds up all. It \
                 asks for its own every {}; raise maxclients, or close connections of others",
                humantime::format_duration(sharing.again())
            ),
        );
        let (again, findings, origin) = (Arc::clone(sharing), findings.clone(), shared.origin.clone());
        let opening = async move {
            loop {
                sleep(again.again()).await;
                if let Ok(own) = open(origin.clone()).await {
                    drop(counted);
                    if again.parts() == 0 {
                        findings.mended(SUBJECT, "every part of this instance has a connection of its own");
                    }
                    return own;
                }
            }
        };
        Self { opening: tokio::spawn(opening) }
    }

    /// Its own, once there is one. Nothing waits for that.
    pub(super) fn own(&mut self) -> Option<T> {
        self.opening.is_finished().then(|| (&mut self.opening).now_or_never())??.ok()
    }
}

impl<T> Drop for Sharer<T> {
    fn drop(&mut self) {
        self.opening.abort();
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.sharing.end();
    }
}

/// How many clients the server has and takes, as it says.
async fn clients_of(connection: &Connection) -> Option<String> {
    let section = vec![Value::Bytes(Bytes::from_static(b"clients"))];
    let said = reply::bytes(connection.send("INFO", section).await.ok()?).ok()??;
    let said = String::from_utf8_lossy(&said).into_owned();
    let field = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    let (has, takes) = (field("connected_clients")?, field("maxclients"));
    Some(match takes {
        Some(takes) => format!("; the server has {has} clients and takes {takes}"),
        None => format!("; the server has {has} clients"),
    })
}
