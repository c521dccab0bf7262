//! The fuzz targets: each reads whatever it is given, and panics if the reader breaks a promise.
//!
//! The programs in `fuzz_targets` run them under libFuzzer, and `tests/fuzz` runs them in every test.

#![allow(missing_docs, clippy::expect_used, reason = "what cannot be set up fails the test")]

pub mod address;
pub mod bulk;
pub mod canonical;
pub mod cleaning;
pub mod configuration;
pub mod cron;
pub mod dates;
pub mod delayed;
pub mod failed_bytes;
pub mod failure;
pub mod filter;
pub mod globs;
pub mod http_answer;
pub mod identity;
pub mod instance;
pub mod log;
pub mod moments;
pub mod names;
pub mod output;
pub mod payload;
pub mod periodic;
pub mod ping;
pub mod plugin_answer;
pub mod proc_stat;
pub mod redaction;
pub mod rpc;
pub mod samples;
pub mod seconds;
pub mod shim;
pub mod tasks;
pub mod template;
pub mod working;
