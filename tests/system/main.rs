//! The real binary, as people and scripts meet it.

mod cli;
mod place;
