//! Windlass with one more handler: the job's first act is to read the clock and say so.
//!
//! `builtin = "stamp"`, arguments `[PORT, NUMBER]`: sends `NUMBER NANOSECONDS` to that UDP port of this machine, the time
//! being that of `CLOCK_MONOTONIC`, which is one clock for all processes. The peers' stamp jobs do the same.

use std::net::{Ipv4Addr, UdpSocket};
use std::process::ExitCode;
use std::sync::Arc;

use rustix::time::{ClockId, clock_gettime};
use windlass::cli::Program;
use windlass::handler::Invocation;
use windlass::job::{Failure, Outcome};

fn main() -> ExitCode {
    let socket = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)));
    Program::new().handler_fn("stamp", move |job| stamp(Arc::clone(&socket), job)).main()
}

async fn stamp(socket: Arc<std::io::Result<UdpSocket>>, job: Invocation) -> Outcome {
    let now = clock_gettime(ClockId::Monotonic);
    let nanoseconds = i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec);
    let sent = match (&*socket, serde_json::from_slice::<(u16, u64)>(&job.args)) {
        (Ok(socket), Ok((port, number))) => {
            let text = format!("{number} {nanoseconds}");
            socket.send_to(text.as_bytes(), (Ipv4Addr::LOCALHOST, port)).map_err(|error| error.to_string())
        }
        (Err(error), _) => Err(error.to_string()),
        (_, Err(error)) => Err(format!("expected [PORT, NUMBER]: {error}")),
    };
    match sent {
        Ok(_) => Outcome::Success { result: None },
        Err(error) => Outcome::Failure(Failure::new("StampError", error)),
    }
}
