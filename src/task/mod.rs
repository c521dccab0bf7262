//! Tasks, `tasks.d/*.toml`: what to do when a job of a class is claimed.

pub mod definition;
pub mod handler_spec;
pub mod load;
pub mod plugin_spec;
pub mod registry;

pub use definition::TaskDefinition;
pub use handler_spec::HandlerSpec;
pub use plugin_spec::PluginSpec;
pub use registry::Registry;
