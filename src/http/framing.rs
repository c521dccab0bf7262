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
//! | long chunk extensions | nobody reads them, and they cost time |
//!
//! The parser behind this takes all of these, or silently drops the header that it does not follow.

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
    Extension(u64),
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
                (b';' | b' ' | b'\t', _) if digits > 0 => At::Extension(size),
                (b'\r', _) if digits > 0 => At::SizeEnd(size),
                _ => return Err(CHUNK),
            },
            At::Extension(size) => {
                self.extensions += 1;
                match first {
                    _ if self.extensions > EXTENSIONS => return Err("the extensions of its chunks are too long"),
                    b'\r' => At::SizeEnd(size),
                    b'\n' => return Err(CHUNK),
                    _ => At::Extension(size),
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
                if at == At::Headers {
                    self.header(name, value)?;
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
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    if name.is_empty() || !name.iter().all(is_token) {
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEAD: &str = "POST / HTTP/1.1\r\nhost: x\r\n";

    fn judged(text: &str) -> Result<(), (String, &'static str)> {
        let whole = Framing::default().follow(text.as_bytes());
        // Byte by byte it is the same.
        let (mut framing, mut apart) = (Framing::default(), Ok(()));
        for (at, byte) in text.bytes().enumerate() {
            apart = framing.follow(&[byte]).map_err(|error| (at, error.why, error.is_begun));
            if apart.is_err() {
                break;
            }
        }
        assert_eq!(whole.map_err(|error| (error.why, error.is_begun)), apart.map_err(|(_, why, begun)| (why, begun)));
        whole.map_err(|error| (text[..error.good].to_owned(), error.why))
    }

    #[test]
    fn requests_that_are_read_in_one_way_pass_one_behind_another() {
        let all = [
            "GET / HTTP/1.1\r\n\r\n".to_owned(),
            format!("\r\n{HEAD}Content-Length: 5\r\n\r\nGET \n"),
            format!("{HEAD}content-length:0\r\n\r\n"),
            format!(
                "{HEAD}Transfer-Encoding: \t Chunked \r\n\r\n3;a=b\r\nx\n\r\r\n00a ;x\r\n0123456789\r\n0\r\ntrailer: y\r\n\r\n"
            ),
            format!("{HEAD}x: \r\ny: a:b\r\n\r\n"),
        ];
        for one in &all {
            assert_eq!(judged(&format!("{one}{one}GET / HTTP/1.1\r\n\r\n")), Ok(()), "{one}");
        }
        assert_eq!(judged(&all.concat()), Ok(()));
    }

    #[test]
    fn what_may_be_read_in_two_ways_is_refused_before_its_head_is_complete() {
        let long = format!("transfer-encoding: chunked\r\n\r\n1;{}\r\n", "x".repeat(EXTENSIONS + 1));
        for (text, told) in [
            ("content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n", "both Content-Length and Transfer-Encoding"),
            ("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", "both Content-Length and Transfer-Encoding"),
            ("content-length: 3\r\ncontent-length: 3\r\n\r\n", "more than one Content-Length"),
            ("content-length: 3, 3\r\n\r\n", "Content-Length is no number"),
            ("content-length: +3\r\n\r\n", "Content-Length is no number"),
            ("content-length:\r\n\r\n", "Content-Length is no number"),
            ("content-length: 99999999999999999999\r\n\r\n", "Content-Length is no number"),
            ("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n", "more than one Transfer-Encoding"),
            ("transfer-encoding: gzip, chunked\r\n\r\n", "unknown here"),
            ("transfer-encoding: identity\r\ncontent-length: 3\r\n\r\n", "unknown here"),
            ("x: a\r\n b\r\n\r\n", "on a second line"),
            ("x : a\r\n\r\n", "between the name of a header and its colon"),
            ("x\0: a\r\n\r\n", "what no name may"),
            (": a\r\n\r\n", "what no name may"),
            ("xa\r\n\r\n", "no colon"),
            ("x: a\n\r\n", "without a carriage return"),
            ("x: a\r\r\n\r\n", "within a line"),
            ("\n", "without a carriage return"),
        ] {
            let (good, why) = judged(&format!("{HEAD}{text}")).unwrap_err();
            assert!(why.contains(told), "{text:?}: {why}");
            assert!(
                !good.contains("\r\n\r\n") && !good.contains("\n\n"),
                "{text:?}: no head may be complete: {good:?}"
            );
        }
        for (text, told) in [
            (long.as_str(), "extensions"),
            ("transfer-encoding: chunked\r\n\r\n3\nabc", "a chunk"),
            ("transfer-encoding: chunked\r\n\r\n3;x\nabc", "a chunk"),
            ("transfer-encoding: chunked\r\n\r\n0x3\r\nabc\r\n", "a chunk"),
            ("transfer-encoding: chunked\r\n\r\n\r\n", "a chunk"),
            ("transfer-encoding: chunked\r\n\r\n3\r\nabcd\r\n", "a chunk"),
            ("transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n", "a chunk"),
            ("transfer-encoding: chunked\r\n\r\n0\r\nx\n\r\n", "without a carriage return"),
        ] {
            let error = Framing::default().follow(format!("{HEAD}{text}").as_bytes()).unwrap_err();
            assert!(error.why.contains(told) && error.is_begun, "{text:?}: {error:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(parts in proptest::collection::vec("[A-Za-z0-9:;, \r\n]{0,12}|\r\n|content-length: 2\r\n|transfer-encoding: chunked\r\n", 0..20)) {
            let _ = judged(&parts.concat());
        }
    }
}
