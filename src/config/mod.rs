//! The configuration, `config/tasks.toml`: ActionHero's `config/tasks.js`, key by key.
//!
//! `load` reads it and collects every problem before it gives up; `model` is what comes out.

pub mod element;
pub mod error;
pub mod load;
mod logging;
pub mod model;
pub mod overrides;
pub mod reader;
mod understood;

pub use model::Config;
