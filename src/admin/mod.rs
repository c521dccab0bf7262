//! Inspection and correction: the operations behind the command line and the task API, one noun a file.
//!
//! Other programs wrote much of what is read here. A record that cannot be parsed is shown as raw text
//! and never stops a listing. Bytes are removed from the store exactly as they were written.

pub mod api;
pub mod audit;
pub mod brake;
pub mod calendar;
pub mod copy;
mod dates;
pub mod delayed;
pub mod delayed_moves;
pub mod delayed_page;
pub mod enqueued;
pub mod error;
pub mod explain;
pub mod failed;
mod failed_address;
pub mod failed_export;
pub mod failed_groups;
pub mod failed_import;
pub mod failed_mend;
pub mod failed_page;
pub mod failed_retry;
pub mod failed_search;
mod failed_walk;
pub mod filter;
pub mod following;
pub mod gauges;
pub mod held_back;
pub mod history;
pub mod id_text;
pub mod instances;
pub mod job_ids;
pub mod job_view;
pub mod jobs;
pub mod known;
mod listing;
pub mod locks;
mod lua_locks;
pub mod overview;
pub mod periodic;
pub mod plan;
mod queue_parts;
mod queue_place;
pub mod queue_rename;
pub mod queue_wait;
pub mod queues;
pub mod refusing_lock;
pub mod remedy;
pub mod results;
pub mod run_states;
pub mod running;
pub mod runs;
pub mod schedules;
pub mod summary;
pub mod tasks;
mod waiting_clock;
pub mod waiting_jobs;
mod waiting_locks;
mod waiting_tick;
pub mod watching;
pub mod worker_life;
pub mod worker_page;
pub mod workers;

pub use api::TaskApi;
pub use error::AdminError;
