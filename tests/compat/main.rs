//! The real binary together with a live node-resque or ActionHero.
//!
//! Every test has a redis-server of its own, runs `windlass` as people do (the daemon by `run`, the
//! rest by its command line) and, where another program matters, a node-resque peer. Tests are named after
//! what they check, with the number of the compatibility checklist's entry in front: A enqueue, B delayed
//! jobs, C workers, D failed jobs, E scheduler, F locks, G periodic tasks, H the process.

#[expect(dead_code, reason = "the other suites need more of it")]
#[path = "../support/redis.rs"]
mod redis;
#[path = "../support/resp.rs"]
mod resp;

mod daemon;
mod peer;
mod waiting;
mod world;

mod actionhero;
mod delayed;
mod enqueue;
mod failed;
mod inspect;
mod locks;
mod lost_workers;
mod periodic;
mod process;
mod put_off;
mod resque_scheduler;
mod ruby;
mod scheduler;
mod workers;
