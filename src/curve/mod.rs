//! How long jobs wait, seen from outside: from samples of how many jobs had arrived at a queue and how many it held.
//!
//! A queue says of no job when it came, and the bytes of jobs are their producers'. But jobs have an order. Number them as
//! they arrive: of a queue with `a` arrivals that holds `n` jobs, the oldest has at most the number `a - n + 1`, in whatever
//! order jobs leave and come back, because `n` different numbers up to `a` are there. So the oldest job is at least as old
//! as the arrival of that number, which lies between two samples. While jobs leave in their order, it is that very arrival.
//!
//! Everything here is integer arithmetic on samples; nothing waits, and nothing is read.

mod flow;
mod packed;
mod points;
mod queue;
mod waits;

pub use flow::Flow;
pub use points::MOST_POINTS;
pub use queue::{Age, QueueCurve, QueueSample};
pub use waits::{WAIT_BOUNDS_MS, Waits};
