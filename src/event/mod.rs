//! What happens, as data, and the bus that carries it to whoever listens.

pub mod bus;
pub mod kind;

pub use bus::{Bus, Listener, Next};
pub use kind::{Event, Kind, Stream};
