//! Tasks, `tasks.d/*.toml`: what to do when a job of a class is claimed.

pub mod calendar;
pub mod definition;
pub mod environment;
pub mod handler_spec;
pub mod hook_point;
pub mod http_url;
pub mod inputs;
pub mod load;
pub mod ping;
pub mod plugin_spec;
pub mod schedule;
pub mod template;
pub mod zone;
pub mod zones;

pub use definition::{Registry, TaskDefinition};
pub use handler_spec::HandlerSpec;
pub use plugin_spec::PluginSpec;
pub use schedule::Cadence;
