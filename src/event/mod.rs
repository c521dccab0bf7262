//! Events as data, and the bus that carries them to listeners.

pub mod bus;
pub mod children;
pub mod figures;
pub mod kind;
pub mod live;
pub mod output;
pub mod question;
pub mod tally;

pub use bus::{Bus, Listener, Received};
pub use kind::{Event, EventKind, OutputStream};
pub use output::OutputTeller;
pub use tally::Tally;
