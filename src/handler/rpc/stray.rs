//! Tells the messages of a child from what something in it prints to stdout.

use super::protocol::{Message, is_meant, parse};

/// What some runtimes write at the start of a stream of UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What a line on stdout is.
#[derive(Debug, PartialEq)]
pub(crate) struct Read<'a> {
    /// Text that is no message. It may stand before one, if it ended no line.
    pub(crate) stray: &'a [u8],
    pub(crate) message: Option<Message>,
}

/// Tells messages from text that something in the child printed.
///
/// # Errors
/// What is meant as a message and is none. It may have been an answer, so it cannot be passed over.
pub(crate) fn read(line: &[u8]) -> Result<Read<'_>, String> {
    let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
    let text = line.trim_ascii();
    if text.first() == Some(&b'{') {
        return match parse(line) {
            Ok(message) => Ok(Read { stray: b"", message: Some(message) }),
            Err(error) if find(line, b"\"jsonrpc\"").is_some() || is_meant(line) => Err(error),
            Err(_) => Ok(Read { stray: line, message: None }),
        };
    }
    // A message behind text that did not end its line.
    let at = find(line, b"\"jsonrpc\"").and_then(|named| line.get(..named)?.iter().rposition(|&byte| byte == b'{'));
    let Some((before, message)) = at.and_then(|at| line.split_at_checked(at)) else {
        return Ok(Read { stray: if text.is_empty() { b"" } else { line }, message: None });
    };
    match parse(message) {
        Ok(message) => Ok(Read { stray: before, message: Some(message) }),
        // A request that was printed for debugging.
        Err(_) if find(message, b"\"method\"").is_some() => Ok(Read { stray: line, message: None }),
        Err(error) => Err(error),
    }
}

fn find(line: &[u8], word: &[u8]) -> Option<usize> {
    line.windows(word.len()).position(|window| window == word)
}

#[cfg(test)]
mod tests {
    use super::super::protocol::Response;
    use super::*;

    #[test]
    fn what_something_printed_is_told_from_messages() {
        let answer = r#"{"jsonrpc":"2.0","id":7,"result":null}"#;
        let message = || Message::Response { id: 7, response: Response::Result(None) };
        let line = |text: &str| read(text.as_bytes()).map(|read| (read.stray.to_vec(), read.message));
        for stray in [
            "hello",
            "[]",
            "{oops",
            r#"{"level":"info","id":7,"msg":"x"}"#,
            r#"DEBUG got {"jsonrpc":"2.0","id":7,"method":"perform","params":{}}"#,
        ] {
            assert_eq!(line(stray), Ok((stray.as_bytes().to_vec(), None)), "{stray}");
        }
        for nothing in ["", " \t", "\u{feff}"] {
            assert_eq!(line(nothing), Ok((Vec::new(), None)));
        }
        for (before, stray) in [("", ""), ("\u{feff}", ""), ("50% {x} ", "50% {x} ")] {
            assert_eq!(
                line(&format!("{before}{answer}")),
                Ok((stray.as_bytes().to_vec(), Some(message()))),
                "{before}"
            );
        }
        for broken in [
            r#"{"jsonrpc":"2.0","id":7,"result":NaN}"#,
            r#"50%{"jsonrpc":"2.0","id":7,"result":NaN}"#,
            r#"{"id":7,"result":1}"#,
            r#"{"method":"ready"}"#,
            r#"{"jsonrpc":"2.0","method":"status"}"#,
        ] {
            assert!(line(broken).unwrap_err().starts_with("expected"), "{broken}");
        }
        assert_eq!(read(b"\xff\xfe").unwrap().stray, b"\xff\xfe");
    }
}
