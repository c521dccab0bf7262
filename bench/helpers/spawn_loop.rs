//! The least that a process per job costs: two threads that start `/bin/true` as `exec` does, and nothing else.
//!
//! ```text
//! spawn-loop CHILDREN
//! ```
//!
//! Each child has a process group of its own, three pipes and one JSON line on its standard input; both outputs are read
//! to their ends. Prints the number of children per second. A fixed denominator, as the ceiling is.

use std::error::Error;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

const THREADS: usize = 2;

/// About what `exec` writes.
const LINE: &[u8] = b"{\"id\":\"0123456789abcdef-0-1-0\",\"claim\":\"0123456789abcdef-0-1-0\",\"task\":\"true\",\
\"queue\":\"bench\",\"args\":[1,{\"a\":\"b\"}],\"attempt\":1,\"redelivered\":0}\n";

fn main() -> ExitCode {
    let children = std::env::args().nth(1).and_then(|text| text.parse::<u64>().ok());
    let told = match children.map(rate) {
        Some(Ok(rate)) => writeln!(std::io::stdout(), "{rate:.0}"),
        Some(Err(error)) => {
            let _ = writeln!(std::io::stderr(), "spawn-loop: {error}");
            return ExitCode::FAILURE;
        }
        None => {
            let _ = writeln!(std::io::stderr(), "usage: spawn-loop CHILDREN");
            return ExitCode::from(64);
        }
    };
    if told.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn rate(children: u64) -> Result<f64, Box<dyn Error>> {
    let left = AtomicU64::new(children);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| run(&left))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| Err("a thread panicked".to_owned())))
    })?;
    #[expect(clippy::cast_precision_loss, reason = "nobody starts 2^52 children")]
    let rate = children as f64 / begun.elapsed().as_secs_f64();
    Ok(rate)
}

fn run(left: &AtomicU64) -> Result<(), String> {
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
        child().map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn child() -> Result<(), Box<dyn Error>> {
    let mut command = Command::new("/bin/true");
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A child that ends without reading is no error.
        let _ = stdin.write_all(LINE);
    }
    let output = child.wait_with_output()?;
    if output.status.success() { Ok(()) } else { Err(format!("/bin/true: {}", output.status).into()) }
}
