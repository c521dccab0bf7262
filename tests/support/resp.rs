//! The Redis protocol as far as tests need it: where a frame ends, and a small blocking client.
//!
//! The client reads and writes what no engine would write: foreign values, keys of the wrong type, another program's
//! push.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// How many bytes the frame at the start of `wire` takes, or `None` if it is not yet complete.
/// Attributes (RESP3) count with the frame that they precede.
pub(crate) fn frame_len(wire: &[u8]) -> Option<usize> {
    let (mut at, mut open) = (0, 1_u64);
    while open > 0 {
        let line = line(&wire[at..])?;
        let kind = *line.first()?;
        at += line.len() + 2;
        let count = || std::str::from_utf8(&line[1..]).ok().and_then(|text| text.parse::<i64>().ok()).unwrap_or(-1);
        open -= 1;
        match kind {
            b'$' | b'=' | b'!' => at += usize::try_from(count()).map_or(0, |len| len + 2),
            b'*' | b'~' | b'>' => open += u64::try_from(count()).unwrap_or(0),
            b'%' => open += 2 * u64::try_from(count()).unwrap_or(0),
            b'|' => open += 2 * u64::try_from(count()).unwrap_or(0) + 1,
            _ => {}
        }
        if at > wire.len() {
            return None;
        }
    }
    Some(at)
}

fn line(wire: &[u8]) -> Option<&[u8]> {
    wire.windows(2).position(|pair| pair == b"\r\n").map(|end| &wire[..end])
}

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// A status or a bulk string.
    Text(Vec<u8>),
    /// An error.
    Error(String),
    /// An integer.
    Int(i64),
    /// Nothing.
    Nil,
    /// Several.
    List(Vec<Reply>),
}

impl Reply {
    /// The texts of a list, or the one text.
    pub(crate) fn texts(&self) -> Vec<String> {
        match self {
            Self::List(list) => list.iter().flat_map(Reply::texts).collect(),
            Self::Text(text) => vec![String::from_utf8_lossy(text).into_owned()],
            _ => Vec::new(),
        }
    }
}

/// A blocking client over a unix socket.
#[derive(Debug)]
pub(crate) struct Client {
    stream: UnixStream,
    read: Vec<u8>,
}

impl Client {
    /// Connects.
    pub(crate) fn connect(socket: &Path) -> io::Result<Self> {
        Ok(Self { stream: UnixStream::connect(socket)?, read: Vec::new() })
    }

    /// Sends one command and waits for its reply.
    pub(crate) fn command<A: AsRef<[u8]>>(&mut self, args: &[A]) -> io::Result<Reply> {
        let mut wire = format!("*{}\r\n", args.len()).into_bytes();
        for arg in args {
            wire.extend(format!("${}\r\n", arg.as_ref().len()).into_bytes());
            wire.extend(arg.as_ref());
            wire.extend(b"\r\n");
        }
        self.stream.write_all(&wire)?;
        let mut chunk = [0; 16 * 1024];
        loop {
            if let Some(len) = frame_len(&self.read) {
                let frame: Vec<u8> = self.read.drain(..len).collect();
                return Ok(parse(&mut &frame[..]));
            }
            match self.stream.read(&mut chunk)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => self.read.extend(&chunk[..n]),
            }
        }
    }
}

/// Reads one reply from a complete frame.
fn parse(wire: &mut &[u8]) -> Reply {
    let line = line(wire).expect("a complete frame must end its lines");
    *wire = &wire[line.len() + 2..];
    let text = || String::from_utf8_lossy(&line[1..]).into_owned();
    let int = || text().parse::<i64>().expect("a length must be a number");
    match line[0] {
        b'-' => Reply::Error(text()),
        b':' => Reply::Int(int()),
        b'$' => match usize::try_from(int()) {
            Err(_) => Reply::Nil,
            Ok(len) => {
                let (bulk, rest) = wire.split_at(len);
                *wire = &rest[2..];
                Reply::Text(bulk.to_vec())
            }
        },
        b'*' => usize::try_from(int()).map_or(Reply::Nil, |n| Reply::List((0..n).map(|_| parse(wire)).collect())),
        _ => Reply::Text(line[1..].to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_ends_where_its_last_member_ends() {
        let whole = |wire: &str| assert_eq!(frame_len(wire.as_bytes()), Some(wire.len()), "{wire:?}");
        for wire in ["+OK\r\n", ":1\r\n", "$-1\r\n", "$2\r\n\r\n\r\n", "*0\r\n", "*2\r\n$1\r\na\r\n*1\r\n:1\r\n"] {
            whole(wire);
        }
        for wire in ["%1\r\n+a\r\n:1\r\n", ">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n", "|1\r\n+a\r\n+b\r\n:1\r\n"] {
            whole(wire);
        }
        assert_eq!(frame_len(b"+OK\r\n+more\r\n"), Some(5));
        for part in ["", "$", "$3\r\nab", "*2\r\n:1\r\n", "|1\r\n+a\r\n+b\r\n", "$1\r\na\r"] {
            assert_eq!(frame_len(part.as_bytes()), None, "{part:?}");
        }
    }
}
