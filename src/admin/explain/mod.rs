//! Why something does not run, and what needs attention: causes with their evidence, since when, and the command that mends
//! each.
//!
//! ```text
//!   fleet     reads once who is there, what is paused, who leads, what runs
//!   foreign   the workers of other programs, by the queues that they work on
//!   instance  judges an instance: is it there, does it claim, by which files does it work
//!   locks     the JobLocks that jobs meet, and those that nobody will free
//!   unread    what could not be read, which is told beside the rest
//!   queue     judges one queue by it, without I/O; the other subjects are led back to their queue
//!   task, job, failed, schedule   what is asked for by name
//!   soon      the delayed jobs that are due first: what cannot begin is put off, and stands there
//!   attention what nobody asked for: everything that somebody should look at
//! ```
//!
//! What is read for one job, for the workers and for the queues is bounded, and a text says where a bound cut it.

mod answer;
mod attention;
mod cause;
mod class;
mod failed;
mod fleet;
mod foreign;
mod here;
mod instance;
mod job;
mod locks;
mod pace;
mod queue;
mod schedule;
mod soon;
mod task;
mod unread;

pub use self::answer::{Explanation, State};
pub use self::attention::attention;
pub use self::cause::{Cause, Finding};
pub use self::failed::failed;
pub use self::here::Here;
pub use self::job::{JobSubject, job};
pub use self::queue::queue;
pub use self::schedule::schedule;
pub use self::task::task;
