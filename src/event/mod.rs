//! What happens, as data, and the bus that carries it to whoever listens.

pub mod bus;
pub mod kind;

pub use bus::{Bus, Listener};
pub use kind::{Event, Kind, Stream};
