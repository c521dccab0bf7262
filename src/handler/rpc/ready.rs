//! Waiting for what need not be there.

use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::time::{Instant, sleep_until};

pub(super) async fn readable(output: Option<&Receiver>) {
    match output {
        // An error shows again at the read, which then ends this pipe.
        Some(output) => drop(output.readable().await),
        None => std::future::pending().await,
    }
}

pub(super) async fn writable(input: Option<&Sender>) {
    match input {
        Some(input) => drop(input.writable().await),
        None => std::future::pending().await,
    }
}

pub(super) async fn at(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}
