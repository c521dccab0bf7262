//! What most programs that are built from this library name.
//!
//! ```
//! use windlass::prelude::*;
//!
//! async fn greet(context: Context, Json(name): Json<String>) -> Result<String, std::fmt::Error> {
//!     context.progress(50, "thinking of something nice");
//!     Ok(format!("Hello, {name}!"))
//! }
//!
//! let program = Program::new().handler_fn("greet", greet);
//! # let _ = program;
//! ```

#[cfg(feature = "cli")]
pub use crate::cli::Program;
pub use crate::client::enqueue::EnqueueOutcome;
pub use crate::client::{Client, ClientError, Request, RequestError};
#[cfg(feature = "daemon")]
pub use crate::handler::contract::{Handler, Stop};
#[cfg(feature = "daemon")]
pub use crate::handler::typed::{Context, Json};
pub use crate::job::{Args, Failure, Outcome, QueueName, TaskName};
pub use crate::plugin::hook::{Decision, Hook, HookError, HookJob};
