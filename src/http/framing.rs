//! Where each request of a connection ends, judged before anything else reads it.
//!
//! A proxy in front and the server must agree on it. Where they may differ, a stranger hides a second request in the body of a
//! first one, and it runs with the rights of the next caller of the proxy. So what can be read in two ways is refused:
//!
//! | | |
//! |---|---|
//! | `Content-Length` beside `Transfer-Encoding`, or either of them twice | which one counts? |
//! | a `Content-Length` that is no number, an encoding that is not `chunked` | |
//! | a line that ends without CR, a CR without LF | other programs see another line |
//! | a line that continues the one before, a blank before the colon | other programs see another header |
//! | a blank behind the size of a chunk, an extension of a chunk that is no `;name` or `;name=value` | other programs see another size, or another line |
//! | long chunk extensions | nobody reads them, and they cost time |
//! | a header behind the body that belongs in front of it | other programs may count it |
//!
//! The parser behind this takes all of these, or silently drops the header that it does not follow.

use super::guard::proxy;

/// The longest line that is kept. The parser refuses shorter heads than this, so that nothing is judged that it would take.
const LONGEST_LINE: usize = 64 * 1024;
/// How many bytes the extensions of all chunks of a body have together.
const EXTENSIONS: usize = 1024;
/// How many digits the size of a chunk has.
const DIGITS: u32 = 15;

/// Follows the bytes of a connection from request to request.
#[derive(Debug, Default)]
pub(super) struct Framing {
    at: At,
    line: Vec<u8>,
    /// The lengths that the head tells.
    length: Option<u64>,
    chunked: bool,
    extensions: usize,
}

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum At {
    /// The line of a request, or blank lines before it.
    #[default]
    Request,
    /// The headers.
    Headers,
    /// A body of so many bytes.
    Body(u64),
    /// The size of a chunk, and how many digits it has so far.
    Size(u64, u32),
    /// What follows the size.
    Extension(u64, Part),
    /// The end of that line.
    SizeEnd(u64),
    /// So many bytes of a chunk.
    Chunk(u64),
    /// The end of a chunk.
    ChunkCr,
    ChunkLf,
    /// The headers behind the last chunk.
    Trailers,
}

/// Where within an extension of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Its name, and whether any of it has come.
    Name(bool),
    /// Its value, and whether any of it has come.
    Value(bool),
    /// A value in quotes.
    Quoted,
    /// Behind a backslash in quotes.
    Escaped,
    /// Behind the quotes.
    End,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ambiguous {
    /// How many of the bytes are good.
    pub(super) good: usize,
    /// What is wrong, and what was expected.
    pub(super) why: &'static str,
    /// Was its head complete? Then somebody works on it already.
    pub(super) is_begun: bool,
}

impl Framing {
    /// Follows these bytes. Those before the first that is wrong complete no head that is wrong.
    ///
    /// # Errors
    /// Says what is wrong. Nothing may follow.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> Result<(), Ambiguous> {
        let mut good = 0;
        while let Some(rest) = bytes.get(good..).filter(|rest| !rest.is_empty()) {
            let is_begun = !matches!(self.at, At::Request | At::Headers);
            good += self.step(rest).map_err(|why| Ambiguous { good, why, is_begun })?;
        }
        Ok(())
    }

    /// Is more of a body to come?
    pub(super) fn is_in_body(&self) -> bool {
        !matches!(self.at, At::Request | At::Headers)
    }

    /// Goes on by some bytes, and says by how many.
    fn step(&mut self, rest: &[u8]) -> Result<usize, &'static str> {
        let first = rest[0];
        let is = |expected: u8, next: At| if first == expected { Ok(next) } else { Err(CHUNK) };
        self.at = match self.at {
            At::Request | At::Headers | At::Trailers => return self.line(rest),
            At::Body(left) | At::Chunk(left) => {
                let taken = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let left = left - taken as u64;
                self.at = match self.at {
                    At::Body(_) if left == 0 => At::Request,
                    At::Body(_) => At::Body(left),
                    _ if left == 0 => At::ChunkCr,
                    _ => At::Chunk(left),
                };
                return Ok(taken);
            }
            At::Size(size, digits) => match (first, char::from(first).to_digit(16)) {
                (_, Some(digit)) if digits < DIGITS => At::Size(size * 16 + u64::from(digit), digits + 1),
                (b';', _) if digits > 0 => At::Extension(size, Part::Name(false)),
                (b'\r', _) if digits > 0 => At::SizeEnd(size),
                _ => return Err(CHUNK),
            },
            At::Extension(size, part) => {
                self.extensions += 1;
                if self.extensions > EXTENSIONS {
                    return Err("the extensions of its chunks are too long");
                }
                match part.step(first) {
                    Some(next) => At::Extension(size, next),
                    None if first == b'\r' && part.may_end() => At::SizeEnd(size),
                    None => return Err("an extension of a chunk is neither ;name nor ;name=value"),
                }
            }
            At::SizeEnd(size) => is(b'\n', if size == 0 { At::Trailers } else { At::Chunk(size) })?,
            At::ChunkCr => is(b'\r', At::ChunkLf)?,
            At::ChunkLf => is(b'\n', At::Size(0, 0))?,
        };
        Ok(1)
    }

    /// Takes a line, or a part of one.
    fn line(&mut self, rest: &[u8]) -> Result<usize, &'static str> {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let part = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        if self.line.len() + part.len() > LONGEST_LINE {
            return Err("a line of its head is too long");
        }
        self.line.extend_from_slice(part);
        let Some(end) = end else { return Ok(rest.len()) };
        let line = std::mem::take(&mut self.line);
        let Some(line) = line.strip_suffix(b"\r") else {
            return Err("a line ends without a carriage return: expected CR LF at the end of each");
        };
        if line.contains(&b'\r') {
            return Err("a carriage return stands within a line");
        }
        self.whole_line(line)?;
        Ok(end + 1)
    }

    fn whole_line(&mut self, line: &[u8]) -> Result<(), &'static str> {
        match (self.at, line.is_empty()) {
            // Some programs send one behind a body.
            (At::Request, true) => {}
            (At::Request, false) => {
                (self.at, self.length, self.chunked, self.extensions) = (At::Headers, None, false, 0);
            }
            (At::Trailers, true) => self.at = At::Request,
            (_, true) => {
                self.at = match self.length {
                    _ if self.chunked => At::Size(0, 0),
                    None | Some(0) => At::Request,
                    Some(length) => At::Body(length),
                };
            }
            (at, false) => {
                let (name, value) = header(line)?;
                match at {
                    At::Headers => self.header(name, value)?,
                    _ if belongs_in_front(name) => {
                        return Err(
                            "a header behind its body belongs in front of it: expected none of length, encoding, host or caller",
                        );
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn header(&mut self, name: &[u8], value: &[u8]) -> Result<(), &'static str> {
        if name.eq_ignore_ascii_case(b"content-length") {
            if self.length.is_some() {
                return Err("it has more than one Content-Length: expected one");
            }
            let number = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            let length = number.and_then(|number| number.parse().ok());
            self.length = Some(length.ok_or("its Content-Length is no number: expected how many bytes its body has")?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.chunked {
                return Err("it has more than one Transfer-Encoding: expected one");
            }
            if !value.eq_ignore_ascii_case(b"chunked") {
                return Err(
                    "its Transfer-Encoding is unknown here: expected chunked, or a Content-Length in its place",
                );
            }
            self.chunked = true;
        }
        if self.chunked && self.length.is_some() {
            return Err("it has both Content-Length and Transfer-Encoding: expected one of them");
        }
        Ok(())
    }
}

impl Part {
    /// Where the next byte leads; `None`: it belongs to no extension.
    fn step(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (Self::Name(_), byte) if is_token(byte) => Some(Self::Name(true)),
            (Self::Name(true), b'=') => Some(Self::Value(false)),
            (Self::Value(_), byte) if is_token(byte) => Some(Self::Value(true)),
            (Self::Value(false), b'"') => Some(Self::Quoted),
            (Self::Quoted, b'"') => Some(Self::End),
            (Self::Quoted, b'\\') => Some(Self::Escaped),
            (Self::Quoted | Self::Escaped, b'\t' | b' '..=b'~' | 0x80..) => Some(Self::Quoted),
            (_, b';') if self.may_end() => Some(Self::Name(false)),
            _ => None,
        }
    }

    /// May the extension end here?
    fn may_end(self) -> bool {
        matches!(self, Self::Name(true) | Self::Value(true) | Self::End)
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Would this header, behind a body, say where the request ends, whom it is for or who sent it?
fn belongs_in_front(name: &[u8]) -> bool {
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    let routing = [
        "transfer-encoding",
        "trailer",
        "te",
        "connection",
        "keep-alive",
        "upgrade",
        "expect",
        "host",
        "authorization",
        "proxy-authorization",
        "cookie",
        "origin",
        "idempotency-key",
    ];
    name.starts_with("content-")
        || name.starts_with("sec-")
        || routing.contains(&name.as_str())
        || proxy::is_trace(&name)
}

const CHUNK: &str = "a chunk of its body has no size, or is not as long as it says";

/// Name and value of a header.
fn header(line: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    if line.first().is_some_and(|first| b" \t".contains(first)) {
        return Err("a header continues on a second line: expected each on one line");
    }
    let colon = line.iter().position(|byte| *byte == b':').ok_or("a header has no colon")?;
    let (name, value) = (line.get(..colon).unwrap_or_default(), line.get(colon + 1..).unwrap_or_default());
    if name.last().is_some_and(|last| b" \t".contains(last)) {
        return Err("a blank stands between the name of a header and its colon");
    }
    if name.is_empty() || !name.iter().copied().all(is_token) {
        return Err("the name of a header holds what no name may");
    }
    Ok((name, value.trim_ascii()))
}

/// The whole answer to a request that is refused.
pub(super) fn refusal(why: &str) -> String {
    let body = format!(
        r#"{{"type":"urn:windlass:problem:malformed","title":"The request cannot be read","status":400,"detail":"where this request ends is not sure: {why}"}}"#
    );
    format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\ncache-control: no-store\r\n\
         x-content-type-options: nosniff\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests;
