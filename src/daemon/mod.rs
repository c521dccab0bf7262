//! The daemon: everything below, assembled and kept running.

pub mod supervisor;
