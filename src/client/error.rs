//! Why a client's call did not lead to a job.

use super::request::RequestError;
use crate::config::element::store_url_error::StoreUrlError;
use crate::plugin::hooks::HookFailure;
use crate::store::error::StoreError;

/// A refused or failed call. A plugin's veto is no error.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The text is no store's address.
    #[error("the address of a store: {0}")]
    Address(#[from] StoreUrlError),
    /// The request cannot be granted as it stands; nothing was written.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A job of the same bytes is already due at this second; nothing was written. The words are
    /// node-resque's.
    #[error("Job already enqueued at this time with same arguments (@{second})")]
    Duplicate {
        /// The unix second.
        second: i64,
    },
    /// A plugin in front of the enqueue could not answer; nothing was written.
    #[error("{0}; nothing was enqueued")]
    Plugin(#[from] HookFailure),
    /// The store failed; whether the job was written is unknown if it cannot be reached.
    #[error("failed to {0}")]
    Store(#[from] StoreError),
}
