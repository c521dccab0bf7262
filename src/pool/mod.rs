//! The pool: an instance's processors, which claim jobs, perform them and settle them.
//!
//! A job passes through the room once: a `lane` claims it, `perform` prepares and begins it, the
//! processor's slot in `slots` holds it, and the lane settles it. Beside that path, `waking` decides
//! when to look for jobs, `manager` how many processors there are, `heartbeat` extends the lease, and
//! `lease_guard` ends the runs if that fails.
//!
//! Everything here except the handlers runs on one thread, the core: state is shared by `Rc` and never
//! borrowed across an await. Each part of it is changed by the methods of one file.

mod asking;
pub mod autoscale;
mod cancels;
pub mod control;
mod core;
mod counted;
mod drain;
mod elsewhere;
mod emptied;
mod exchanges;
mod figures;
mod findings;
mod heartbeat;
mod held_locks;
mod history;
mod holdups;
pub mod hooked_run;
mod hunger;
mod interrupt;
mod lane;
mod lease;
mod lease_guard;
mod leaving;
mod manager;
mod orders;
mod orphan;
mod overdue;
mod perform;
mod probe;
mod queues;
mod rejoin;
mod report;
mod run;
mod seen_wishes;
mod settings;
mod short;
mod shortage;
mod showing;
mod slots;
mod tasks;
mod timeouts;
mod told_progress;
mod unknown;
mod waking;
mod watched;
mod watches;

pub use control::{Control, Ended, Phase, Work, unless_told};
pub use run::{Setup, run};
