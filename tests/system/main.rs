//! The real binary, as people and scripts meet it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "other test crates use the rest of it")]
mod support;

mod broken;
mod cancel;
mod children;
mod cli;
mod confine;
mod daemon;
mod data;
mod defaults;
mod delayed_moves;
mod emptied;
mod engines;
mod environment;
mod explain;
mod extending;
mod failed_list;
mod files;
mod follow_up;
mod from_cron;
mod generate;
mod health;
mod held_back;
mod history;
mod hostile;
mod http;
mod idle;
mod inherited;
mod inspect;
mod lease;
mod left_over;
mod log;
mod lost_keys;
mod manners;
mod mended;
mod moving;
mod no_store;
mod notify;
mod outage;
mod output_file;
mod place;
mod plugins;
mod poison;
mod refused;
mod reload;
mod rights;
mod rpc;
mod runs;
mod schedules;
mod secrets;
mod shortage;
mod silence;
mod supervision;
mod systemd;
mod times;
mod trust;
mod unstarted;
mod upgrade;
mod waits;
mod watching;
