//! What happens, as data, and the bus that carries it to whoever listens.

pub mod bus;
pub mod kind;

pub use bus::{Bus, Listener, Received};
pub use kind::{Event, EventKind, OutputStream};
