//! The most that one child of `rpc` does: requests over its pipes, so many at once, and nothing else.
//!
//! ```text
//! pipe-loop CHILD DEPTH JOBS
//! ```
//!
//! Writes what `rpc` writes, reads answers without looking at them, and writes one request for each. Prints the number of
//! answers per second. A fixed denominator, as the ceiling is.

use std::error::Error;
use std::io::{Read, Write};
use std::process::{Command, ExitCode, Stdio};

use tokio::time::Instant;

/// How much one read takes.
const CHUNK: usize = 64 * 1024;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let asked = match &words[..] {
        [child, depth, jobs] => depth.parse().ok().zip(jobs.parse().ok()).map(|(depth, jobs)| (child, depth, jobs)),
        _ => None,
    };
    let told = match asked.map(|(child, depth, jobs)| rate(child, depth, jobs)) {
        Some(Ok(rate)) => writeln!(std::io::stdout(), "{rate:.0}"),
        Some(Err(error)) => {
            let _ = writeln!(std::io::stderr(), "pipe-loop: {error}");
            return ExitCode::FAILURE;
        }
        None => {
            let _ = writeln!(std::io::stderr(), "usage: pipe-loop CHILD DEPTH JOBS");
            return ExitCode::from(64);
        }
    };
    if told.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn rate(program: &str, depth: u64, jobs: u64) -> Result<f64, Box<dyn Error>> {
    let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let (Some(mut input), Some(mut output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("the child has no pipes".into());
    };
    let mut chunk = vec![0; CHUNK];
    // It says that it is ready.
    lines(&mut output, &mut chunk)?;
    let begun = Instant::now();
    let (mut asked, mut answered) = (0, 0);
    let mut requests = Vec::new();
    while answered < jobs {
        requests.clear();
        while asked < jobs && asked - answered < depth {
            asked += 1;
            request(&mut requests, asked)?;
        }
        input.write_all(&requests)?;
        answered += lines(&mut output, &mut chunk)?;
    }
    #[expect(clippy::cast_precision_loss, reason = "nobody asks 2^52 times")]
    let rate = jobs as f64 / begun.elapsed().as_secs_f64();
    drop(input);
    child.wait()?;
    Ok(rate)
}

/// About what `rpc` writes.
fn request(out: &mut Vec<u8>, id: u64) -> std::io::Result<()> {
    writeln!(
        out,
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"perform\",\"params\":{{\"id\":\"0123456789abcdef-0-1-0\",\
         \"claim\":\"0123456789abcdef-0-1-0\",\"task\":\"echo\",\"queue\":\"bench\",\"args\":[1,{{\"a\":\"b\"}}],\
         \"attempt\":1,\"redelivered\":0}}}}"
    )
}

/// Reads once; how many lines end in it.
fn lines(output: &mut impl Read, chunk: &mut [u8]) -> Result<u64, Box<dyn Error>> {
    let count = output.read(chunk)?;
    if count == 0 {
        return Err("the child has closed its standard output".into());
    }
    let ends = chunk.iter().take(count).filter(|byte| **byte == b'\n').count();
    Ok(u64::try_from(ends)?)
}
