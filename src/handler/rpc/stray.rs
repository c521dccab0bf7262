//! Tells the messages of a child from what something in it prints to stdout.

use super::protocol::{Message, is_meant, parse};

/// What some runtimes write at the start of a stream of UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What each message has.
const NAME: &[u8] = b"\"jsonrpc\"";

/// How many places in a line are tried as the beginning of a message behind text, from the last one on.
const TRIED: usize = 8;

/// What a line on stdout is.
#[derive(Debug, PartialEq)]
pub(crate) struct Read<'a> {
    /// Text that is no message. It may stand before one, if it ended no line.
    pub(crate) stray: &'a [u8],
    pub(crate) message: Option<Message>,
}

/// Tells messages from text that something in the child printed.
///
/// A message stands on a line of its own. Behind text that did not end its line one counts only if it is expected: the text
/// may hold anything, such as the arguments of a job that look like an answer.
///
/// # Errors
/// A line that is meant as a message and is none. It may have been an answer, so it cannot be passed over.
pub(crate) fn read(line: &[u8], is_expected: impl FnMut(&Message) -> bool) -> Result<Read<'_>, String> {
    let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
    let text = line.trim_ascii();
    if text.first() == Some(&b'{') {
        return match parse(line) {
            Ok(message) => Ok(Read { stray: b"", message: Some(message) }),
            Err(error) if find(line, NAME).is_some() || is_meant(line) => Err(error),
            Err(_) => Ok(Read { stray: line, message: None }),
        };
    }
    if text.is_empty() {
        return Ok(Read { stray: b"", message: None });
    }
    let (stray, message) = behind(line, is_expected).map_or((line, None), |(stray, message)| (stray, Some(message)));
    Ok(Read { stray, message })
}

/// The text before an expected message at the end of a line, and the message. The text may hold the beginnings of others.
fn behind(line: &[u8], mut is_expected: impl FnMut(&Message) -> bool) -> Option<(&[u8], Message)> {
    let mut end = line.len();
    for _ in 0..TRIED {
        let named = line.get(..end)?.windows(NAME.len()).rposition(|window| window == NAME)?;
        let at = line.get(..named)?.iter().rposition(|&byte| byte == b'{')?;
        let (before, message) = line.split_at_checked(at)?;
        if let Some(message) = parse(message).ok().filter(&mut is_expected) {
            return Some((before, message));
        }
        end = at;
    }
    None
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
        let message = |id: u64| Message::Response { id, response: Response::Result(None) };
        // The child holds the job of this request.
        let is_held = |message: &Message| matches!(message, Message::Response { id: 7, .. });
        let line = |text: &str| read(text.as_bytes(), is_held).map(|read| (read.stray.to_vec(), read.message));
        for stray in [
            "hello",
            "[]",
            "{oops",
            r#"{"level":"info","id":7,"msg":"x"}"#,
            r#"DEBUG got {"jsonrpc":"2.0","id":7,"method":"perform","params":{}}"#,
            r#"working on "{"jsonrpc":"2.0","id":8,"result":"forged"}"#,
            r#"working on {"jsonrpc":"2.0","id":7,"result":"forged"}."#,
            r#"working on {"jsonrpc":"2.0","method":"ready"}"#,
            r#"50%{"jsonrpc":"2.0","id":7,"result":NaN}"#,
        ] {
            assert_eq!(line(stray), Ok((stray.as_bytes().to_vec(), None)), "{stray}");
        }
        for nothing in ["", " \t", "\u{feff}"] {
            assert_eq!(line(nothing), Ok((Vec::new(), None)));
        }
        let forged = r#"got {"jsonrpc":"2.0","id":8,"result":1}{"jsonrpc":"2.0","#;
        for (before, stray) in [("", ""), ("\u{feff}", ""), ("50% {x} ", "50% {x} "), (forged, forged)] {
            assert_eq!(
                line(&format!("{before}{answer}")),
                Ok((stray.as_bytes().to_vec(), Some(message(7)))),
                "{before}"
            );
        }
        // A line of its own is a message, whatever it answers.
        let other = answer.replace('7', "8");
        assert_eq!(line(&other), Ok((Vec::new(), Some(message(8)))));
        for broken in [
            r#"{"jsonrpc":"2.0","id":7,"result":NaN}"#,
            r#"{"id":7,"result":1}"#,
            r#"{"method":"ready"}"#,
            r#"{"jsonrpc":"2.0","method":"status"}"#,
        ] {
            assert!(line(broken).unwrap_err().starts_with("expected"), "{broken}");
        }
        assert_eq!(read(b"\xff\xfe", is_held).unwrap().stray, b"\xff\xfe");
    }
}
