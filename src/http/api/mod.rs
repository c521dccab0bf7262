//! The API, `/api/v1`: one noun a file. Each route reads its request, calls the room that does the work for the command
//! line as well, and answers with what that prints as JSON.

mod admission;
pub(super) mod audit;
pub(super) mod body;
pub(super) mod bulk;
mod bulk_flow;
pub(super) mod delayed;
pub(super) mod events;
pub(super) mod explain;
pub(super) mod failed;
pub(super) mod failed_many;
pub(super) mod history;
pub(super) mod jobs;
pub(super) mod list;
pub(super) mod locks;
mod once;
pub(super) mod operations;
pub(super) mod overview;
pub(super) mod path;
pub(super) mod periodic;
pub(super) mod plan;
pub(super) mod progress;
pub(super) mod query;
pub(super) mod queues;
pub(super) mod runs;
pub(super) mod tasks;
pub(super) mod workers;
