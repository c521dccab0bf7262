//! The API, `/api/v1`: one noun a file. Each route reads its request, calls the room that does the work for the command
//! line as well, and answers with what that prints as JSON.

pub(super) mod list;
pub(super) mod overview;
pub(super) mod path;
pub(super) mod query;
pub(super) mod tasks;
