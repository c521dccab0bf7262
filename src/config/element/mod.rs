//! The kinds of values a configuration holds, one a file, each with its reader and its tests.

#[cfg(feature = "tls")]
pub mod authorities;
pub mod duration;
pub mod event_level;
pub mod log_format;
pub mod on_crash;
pub mod processors;
pub mod queues;
pub mod redeliveries;
pub mod redis_url;
pub mod size;
pub mod store_url;
pub mod store_url_error;
pub mod tls_files;
