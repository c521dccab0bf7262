//! What every store engine must do.
//!
//! There is one file for each arrow of a job's life and for related subjects, and one function for each behaviour. The
//! functions are generic over a fixture: a new store, a clock that the test moves, and one handle for each process.
//! [`behaviours!`] makes a test of each for every engine; adding an engine is one line there. Faults of one engine only (a
//! lost connection, a full disk, other programs) are in `crash`, `foreign` and `disk`.

#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "other test crates use the rest of it")]
mod support;

mod fixture;
mod instance;
mod look;

/// Makes a test of each behaviour for every engine: `chapter::redis::name`, `chapter::sqlite::name`.
/// A behaviour that is not listed is dead code, which the compiler reports.
macro_rules! behaviours {
    ($($behaviour:ident),+ $(,)?) => {
        engine_tests!(redis: $($behaviour),+);
        engine_tests!(sqlite: $($behaviour),+);
    };
}

/// The tests of one engine.
macro_rules! engine_tests {
    ($engine:ident: $($behaviour:ident),+) => {
        mod $engine {
            $(
                #[tokio::test]
                async fn $behaviour() {
                    super::$behaviour(&crate::fixture::Fixture::$engine().await).await;
                }
            )+
        }
    };
}

mod audit;
mod barred;
mod busy;
mod calendar;
mod claim;
mod clocks;
mod concurrency;
mod counts;
mod crash;
mod crowded;
mod cut_apart;
mod cut_off;
mod delayed;
mod disk;
mod duties;
mod emptied;
mod enqueue;
mod enter;
mod errors;
mod explained;
mod failed;
mod failed_pages;
mod faults;
mod foreign;
mod full;
mod history;
mod identity;
mod inspect;
mod jobs;
mod large;
mod leader;
mod lease;
mod listed;
mod long_jobs;
mod long_moves;
mod lost_keys;
mod marks;
mod move_delayed;
mod moving;
mod moving_stopped;
mod names;
mod not_moved;
mod numbers;
mod operations;
mod overwritten;
mod pause;
mod periodic;
mod plan;
mod put_off;
mod recovery;
mod remedy;
mod renaming;
mod results;
mod retry;
mod rights;
mod rows;
mod runs;
mod sampling;
mod scheduler;
mod schedules;
mod sequence;
mod set_back;
mod settle;
mod showing;
mod tick;
mod transfer;
mod triggers;
mod unwritable;
mod values;
mod veto;
mod wake;
mod wishes;
mod work;
