//! The embedded engine: one SQLite file, no server, several processes at once.
//!
//! Each store handle owns two threads. One writes: it commits together what arrived while the last commit was written to
//! the disk (`commit`). The other reads. A commit is durable before it is answered. The other files carry the names of
//! those of the Redis engine, one per verb; their functions work inside a transaction, through a `step::Step`.

mod added;
mod apart;
mod audit;
mod cadence;
mod claim;
mod commit;
mod connection;
mod counts;
mod delayed;
mod digest;
mod disk;
mod effect;
mod engine;
mod enqueue;
mod error;
mod exchange;
mod exchanged;
mod failed;
mod history;
mod inspect;
mod leader;
mod lease;
mod lengths;
mod listed;
mod locks;
mod marks;
mod migrate;
mod moving;
mod notifier;
mod number;
mod operations;
mod pause;
mod periodic;
mod place;
#[cfg(debug_assertions)]
mod plan;
mod private;
mod promote;
mod recover;
mod rejoin;
mod rename;
mod retries;
mod room;
mod runs;
mod sampling;
mod schedules;
mod search;
mod showing;
mod sparing;
mod step;
mod steps;
mod take_in;
mod terms;
mod unreadable;
mod value;
mod verdict;
mod wake;
mod whereabouts;
mod wishes;
mod withdraw;
mod working;

#[cfg(test)]
mod tests;

pub use connection::Options;
pub use engine::SqliteStore;
