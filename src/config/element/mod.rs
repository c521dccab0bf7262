//! The types of configuration values, each with its reader and its tests.

#[cfg(feature = "tls")]
pub mod authorities;
pub mod crash_policy;
pub mod duration;
pub mod listen;
pub mod literal;
pub mod logging;
pub mod processors;
pub mod queues;
pub mod redis_cli;
pub mod redis_url;
pub mod size;
pub mod store_url;
pub mod store_url_error;
pub mod tls_files;
