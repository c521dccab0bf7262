//! The Redis engine: jobs in the layout of Resque, which node-resque and Ruby's resque share.
//!
//! * [`engine`]: the connection that all arrows share.
//! * `keys`: the only place that builds names of keys.
//! * `script`, `connection`, `credentials`, `tls`, `reply`, `refusal`: how a script is called and what can come back.
//! * one file per arrow, each with its script in `scripts/`.
//!
//! Every step of an arrow is one script call or one command, and therefore atomic. The client library never sends a command
//! twice, because only the arrow knows whether it may be repeated.

mod apart;
mod audit;
mod beats;
mod beside;
mod calls;
mod claim_queues;
mod connection;
mod credentials;
mod delayed;
mod deleting;
pub mod engine;
mod enqueue;
mod exchange;
mod failed;
mod gates;
mod history;
mod identities;
mod inspect;
mod keeper;
mod keys;
mod known_names;
mod known_rights;
mod layout;
mod leader;
mod lease;
mod lending;
mod listed;
mod listening;
mod locks;
mod looked;
mod marks;
mod members;
mod memory;
mod moving;
mod new_queues;
mod operations;
mod outbox;
mod patience;
mod pause;
mod periodic;
mod promote;
mod proof;
mod recover;
mod refusal;
mod refused_keys;
mod rejoin;
mod removed;
mod rename;
mod renewals;
mod reply;
mod rights;
mod room;
mod runs;
mod sampling;
mod scan;
mod schedules;
mod script;
mod sentinels;
mod sharer;
mod sharing;
mod showing;
mod standing;
mod take_in;
mod tls;
mod told_time;
mod unreadable;
mod unsampled;
mod values;
mod verdict;
mod wake;
mod waker;
mod wishes;
mod worker_keys;

#[cfg(test)]
mod tests;

pub use engine::RedisStore;
