//! What every store engine must do, whatever it is built on.
//!
//! One chapter for each arrow of a job's life and for what surrounds it, one function for each
//! behaviour, generic over a fixture: a fresh store, a clock that the test moves, and as many
//! handles on the store as the behaviour has processes. [`behaviours!`] makes a test of each for
//! every engine; adding an engine is one line there. What only one engine can suffer (a lost
//! connection, a full disk, other programs) stands in `crash`, `foreign` and `disk`.

#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "other test crates use the rest of it")]
mod support;

mod fixture;
mod instance;
mod look;

/// Makes a test of each behaviour for every engine: `chapter::redis::name`, `chapter::sqlite::name`.
/// A behaviour that is not listed is dead code, which the compiler tells.
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

mod barred;
mod busy;
mod claim;
mod clocks;
mod concurrency;
mod crash;
mod delayed;
mod disk;
mod duties;
mod enqueue;
mod enter;
mod errors;
mod faults;
mod foreign;
mod full;
mod identity;
mod inspect;
mod jobs;
mod large;
mod leader;
mod lease;
mod moving;
mod pause;
mod periodic;
mod plan;
mod put_off;
mod recovery;
mod retry;
mod rights;
mod rows;
mod scheduler;
mod schedules;
mod sequence;
mod settle;
mod tick;
mod transfer;
mod veto;
mod wake;
mod work;
