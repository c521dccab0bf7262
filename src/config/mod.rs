//! The configuration, `config/tasks.toml`: ActionHero's `config/tasks.js`, key by key.
//!
//! `load` reads it and collects every problem before it gives up; `model` is what comes out.

pub mod defaults;
mod effective;
pub mod element;
pub mod error;
mod event_levels;
pub mod http;
pub mod load;
pub mod model;
#[cfg(feature = "daemon")]
pub(crate) mod origin;
#[cfg(feature = "otel")]
pub mod otel;
pub mod overrides;
mod position;
pub(crate) mod reader;
pub mod secret_text;

pub use model::Config;
