//! The pool: an instance's processors, which claim jobs, perform them and settle them.
//!
//! A job walks the room once: a `lane` claims it, `perform` readies and begins it, its
//! processor's slot in the `slots` holds it, and the lane settles it. Around that corridor stand
//! `waking` (when to look for jobs), `manager` (how many processors there are) and
//! `heartbeat` (that we are alive, and what to do when nobody can be told so).
//!
//! Everything here but the handlers themselves lives on one thread, the core: state is shared by
//! `Rc` and never borrowed across an await.

pub mod autoscale;
pub mod control;
mod core;
mod drain;
mod findings;
mod heartbeat;
mod held_locks;
pub mod hooked_run;
mod hunger;
mod interrupt;
mod lane;
mod lease;
mod lease_guard;
mod manager;
mod orders;
mod orphan;
mod overdue;
mod perform;
mod probe;
mod queues;
mod report;
mod run;
mod settings;
mod slots;
mod tasks;
mod timeouts;
mod unknown;
mod waking;
mod watched;

pub use control::{Control, Ended, Phase, Work, unless_told};
pub use run::{Setup, run};
