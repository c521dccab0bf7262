//! A server that answers every request with an empty 200 at once, for the `http` chapter: what it costs is the client's.
//!
//! Prints its port, then serves until its standard input ends.

use std::io::Write as _;
use std::process::ExitCode;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The longest request that is read.
const LONGEST: usize = 1024 * 1024;

const DONE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

fn main() -> ExitCode {
    let served = tokio::runtime::Builder::new_current_thread().enable_all().build().and_then(|runtime| {
        runtime.block_on(async {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
            let mut out = std::io::stdout();
            writeln!(out, "{}", listener.local_addr()?.port())?;
            out.flush()?;
            let (over, mut ended) = tokio::sync::oneshot::channel();
            std::thread::spawn(move || {
                let read = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
                over.send(read)
            });
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let (stream, _) = accepted?;
                        stream.set_nodelay(true)?;
                        tokio::spawn(serve(stream));
                    }
                    _ = &mut ended => return Ok(()),
                }
            }
        })
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "http-server: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One connection, request by request; it is closed on anything that is not understood.
async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let mut buffer = Vec::with_capacity(4096);
    loop {
        while let Some(length) = request(&buffer) {
            buffer.drain(..length);
            stream.write_all(DONE).await?;
        }
        if buffer.len() > LONGEST || stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

/// The length of the first request, once all of it is there. Requests of unknown length never are.
fn request(buffer: &[u8]) -> Option<usize> {
    let end = buffer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(buffer.get(..end)?).ok()?;
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = end.checked_add(length.map_or(Some(0), |(_, value)| value.trim().parse().ok())?)?;
    (buffer.len() >= length).then_some(length)
}
