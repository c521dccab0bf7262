//! Reading replies and errors.

use bytes::Bytes;
use fred::error::{Error, ErrorKind};
use fred::interfaces::Resp3Frame as Frame;

use super::refusal::refused;
use crate::store::error::StoreError;

/// A reply that the script does not return. A proxy in between may send one.
fn unexpected(what: &str) -> StoreError {
    StoreError::Unsupported(format!("its reply is not {what}"))
}

pub(super) fn list(frame: Frame) -> Result<Vec<Frame>, StoreError> {
    match frame {
        Frame::Array { data, .. } | Frame::Push { data, .. } => Ok(data),
        Frame::Set { data, .. } => Ok(data.into_iter().collect()),
        // RESP3 answers hashes as maps; flattened they read as in RESP2.
        Frame::Map { data, .. } => Ok(data.into_iter().flat_map(|(field, value)| [field, value]).collect()),
        Frame::Null => Ok(Vec::new()),
        _ => Err(unexpected("a list")),
    }
}

pub(super) fn bytes(frame: Frame) -> Result<Option<Bytes>, StoreError> {
    match frame {
        Frame::BlobString { data, .. } | Frame::SimpleString { data, .. } => Ok(Some(data)),
        Frame::Null | Frame::Boolean { data: false, .. } => Ok(None),
        Frame::Number { data, .. } => Ok(Some(Bytes::from(data.to_string()))),
        _ => Err(unexpected("a string")),
    }
}

/// A list of strings; members that are not there are left out.
pub(super) fn strings(frame: Frame) -> Result<Vec<Bytes>, StoreError> {
    list(frame)?.into_iter().filter_map(|member| bytes(member).transpose()).collect()
}

pub(super) fn number(frame: Frame) -> Result<i64, StoreError> {
    match frame {
        Frame::Number { data, .. } => Ok(data),
        Frame::Boolean { data, .. } => Ok(i64::from(data)),
        Frame::Null => Ok(0),
        Frame::BlobString { data, .. } | Frame::SimpleString { data, .. } => {
            std::str::from_utf8(&data).ok().and_then(|text| text.parse().ok()).ok_or_else(|| unexpected("a number"))
        }
        _ => Err(unexpected("a number")),
    }
}

pub(super) fn count(frame: Frame) -> Result<u64, StoreError> {
    Ok(number(frame)?.max(0).unsigned_abs())
}

/// What LLEN answers. A key that is no list, or that this user may not touch, holds no jobs for us.
pub(super) fn length(answer: Result<Frame, StoreError>) -> Result<u64, StoreError> {
    match answer {
        Ok(frame) => count(frame),
        Err(StoreError::Corrupt { .. } | StoreError::Barred { .. }) => Ok(0),
        Err(error) => Err(error),
    }
}

/// The number a text holds, or `None`.
pub(super) fn parsed<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// What TIME answers, in milliseconds.
pub(super) fn time_ms(frame: Frame) -> Result<i64, StoreError> {
    let time = strings(frame)?;
    let part = |at: usize| time.get(at).and_then(|part| parsed::<i64>(part)).unwrap_or(0);
    Ok(part(0).saturating_mul(1000).saturating_add(part(1) / 1000))
}

/// The score of the first member of a list of members with scores, which RESP3 nests.
pub(super) fn first_score(frame: Frame) -> Result<Option<Bytes>, StoreError> {
    let mut parts = list(frame)?.into_iter();
    let score = match parts.next() {
        Some(Frame::Array { data, .. }) => data.into_iter().nth(1),
        _ => parts.next(),
    };
    match score {
        Some(Frame::Double { data, .. }) => Ok(Some(Bytes::from(data.to_string()))),
        Some(score) => bytes(score),
        None => Ok(None),
    }
}

/// Members with their scores, which RESP3 nests.
pub(super) fn scored(frame: Frame) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
    let text = |frame| match frame {
        // As the server writes it where it is text: short, and exact when it is read again.
        Frame::Double { data, .. } => Ok(Some(Bytes::from(data.to_string()))),
        frame => bytes(frame),
    };
    let (mut parts, mut found) = (list(frame)?.into_iter(), Vec::new());
    while let Some(part) = parts.next() {
        let (member, score) = match part {
            Frame::Array { data, .. } => {
                let mut pair = data.into_iter();
                (pair.next(), pair.next())
            }
            member => (Some(member), parts.next()),
        };
        let member = member.map(bytes).transpose()?.flatten();
        let score = score.map(text).transpose()?.flatten();
        found.push(member.zip(score).ok_or_else(|| unexpected("members with scores"))?);
    }
    Ok(found)
}

/// The whole second at which something with this score is due; `None` for what never is.
pub(super) fn due_second(score: &[u8]) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "what lies beyond saturates")]
    let second = |score: f64| score.ceil() as i64;
    parsed::<f64>(score).filter(|score| !score.is_nan() && *score < f64::INFINITY).map(second)
}

/// Comma-separated numbers.
pub(super) fn numbers(text: &[u8]) -> Vec<usize> {
    text.split(|byte| *byte == b',').filter_map(parsed).collect()
}

/// What an error of the client library means for the caller.
pub(super) fn failed(error: &Error) -> StoreError {
    match error.kind() {
        ErrorKind::Config | ErrorKind::Url | ErrorKind::InvalidArgument | ErrorKind::InvalidCommand => {
            refused_or(error, StoreError::Misuse)
        }
        ErrorKind::Auth => refused(error.details()),
        ErrorKind::IO
        | ErrorKind::Canceled
        | ErrorKind::Timeout
        | ErrorKind::Routing
        | ErrorKind::Cluster
        | ErrorKind::Backpressure
        | ErrorKind::Protocol => StoreError::Unavailable(readable(error.details()).to_owned()),
        // Errors that the server answered arrive as unknown, and so does a failed write.
        _ => refused_or(error, StoreError::Unavailable),
    }
}

/// The names of faults with certificates, in the words of the TLS library.
const CERTIFICATES: [&str; 8] = [
    "InvalidCertificate",
    "CertificateRequired",
    "CertificateExpired",
    "CertificateRevoked",
    "CertificateUnknown",
    "HandshakeFailure",
    "UnknownCA",
    "BadCertificate",
];

/// Does this error, which came while a connection was opened, mean that the two sides do not trust each other? Other
/// credentials help, not waiting.
pub(super) fn refuses_us(error: &Error) -> bool {
    let has = |word: &str| error.details().contains(word);
    // Of Sentinels it is not told which of both it is.
    let by_sentinels = *error.kind() == ErrorKind::Sentinel && has("to all sentinel nodes");
    by_sentinels
        || matches!(error.kind(), ErrorKind::Auth | ErrorKind::Tls)
        || ["NOAUTH", "WRONGPASS", "without any password configured"].into_iter().any(has)
        || CERTIFICATES.into_iter().any(has)
}

/// What an error means that came while a connection was opened. The usual cause is an address or a certificate that does not
/// fit the server; waiting does not help.
pub(super) fn not_opened(error: &Error, tls: bool) -> StoreError {
    let details = error.details();
    let has = |word: &str| details.contains(word);
    if has("InvalidCertificate") {
        let why = if has("UnknownIssuer") {
            "nobody we trust has signed it: name its authority, [store.tls] ca = \"ca.pem\""
        } else if has("NotValidForName") {
            "it is for another host name"
        } else if has("Expired") {
            "it has expired"
        } else {
            certificate_fault(details)
        };
        return StoreError::Unsupported(format!("its certificate is not to be trusted: {why}"));
    }
    if has("InvalidMessage") || has("InvalidContentType") {
        return StoreError::Unsupported(
            "it does not speak TLS at this port: write redis:// or another port".to_owned(),
        );
    }
    if CERTIFICATES.into_iter().any(has) {
        return StoreError::Unsupported(format!(
            "it refuses our certificate, [store.tls] cert and key: {}",
            readable(details)
        ));
    }
    let said = readable(details);
    match error.kind() {
        ErrorKind::Tls => StoreError::Unsupported(said.to_owned()),
        ErrorKind::Sentinel if has("to all sentinel nodes") => StoreError::Unreached(
            "none of the Sentinels answers, or they refuse our credentials (?sentinel_password=)".to_owned(),
        ),
        ErrorKind::Sentinel if has("Missing primary") => {
            StoreError::Unreached("the Sentinel knows no master of this service".to_owned())
        }
        ErrorKind::Protocol | ErrorKind::IO
            if !tls && ["losed", "reset", "roken pipe", "Protocol"].into_iter().any(has) =>
        {
            StoreError::Unreached(format!(
                "{said} at the first word; if it speaks TLS at this port, write rediss://; if it has as many clients as \
                 it allows, close some or raise maxclients"
            ))
        }
        // No step was sent yet.
        _ => match failed(error) {
            StoreError::Unavailable(said) => StoreError::Unreached(said),
            other => other,
        },
    }
}

/// The error if a connection was not opened in time.
pub(super) fn not_in_time(limit: std::time::Duration, tls: bool) -> StoreError {
    let hint = if tls { "; does it speak TLS at this port?" } else { "" };
    StoreError::Unreached(format!("no connection within {limit:?}{hint}"))
}

/// The fault's name, out of `InvalidCertificate(NAME)`.
fn certificate_fault(details: &str) -> &str {
    let rest = details.split_once("InvalidCertificate(").map_or(details, |(_, rest)| rest);
    rest.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or(rest)
}

/// What the system said, out of the client library's debug form of it.
fn readable(details: &str) -> &str {
    let quoted = ["message: \"", "error: \""].iter().find_map(|mark| details.split_once(mark)?.1.split_once('"'));
    quoted.map_or(details, |(message, _)| message)
}

fn refused_or(error: &Error, otherwise: fn(String) -> StoreError) -> StoreError {
    match refused(error.details()) {
        StoreError::Misuse(text) => otherwise(text),
        known => known,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, Strategy, prop_oneof, proptest};

    use super::*;

    #[test]
    fn errors_say_what_a_caller_can_do() {
        let lookup = "Custom { kind: Uncategorized, error: \"failed to lookup address information\" }";
        let lookup = failed(&Error::new(ErrorKind::IO, lookup));
        assert!(matches!(lookup, StoreError::Unavailable(text) if text == "failed to lookup address information"));
        assert!(matches!(failed(&Error::new(ErrorKind::Unknown, "Too many failed")), StoreError::Unavailable(_)));
    }

    fn frames() -> impl Strategy<Value = Frame> {
        let raw = proptest::collection::vec(proptest::num::u8::ANY, 0..20).prop_map(Bytes::from);
        let digits = "[+-]?[0-9]{0,25}([.][0-9]{0,3})?(e[0-9]{0,4}|inf|nan)?".prop_map(Bytes::from);
        let leaf = prop_oneof![
            prop_oneof![raw, digits].prop_map(|data| Frame::BlobString { data, attributes: None }),
            proptest::num::i64::ANY.prop_map(|data| Frame::Number { data, attributes: None }),
            proptest::num::f64::ANY.prop_map(|data| Frame::Double { data, attributes: None }),
            proptest::bool::ANY.prop_map(|data| Frame::Boolean { data, attributes: None }),
            "[ -~]{0,20}".prop_map(|data| Frame::SimpleError { data: data.into(), attributes: None }),
            Just(Frame::Null),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            proptest::collection::vec(inner, 0..4).prop_map(|data| Frame::Array { data, attributes: None })
        })
    }

    proptest! {
        #[test]
        fn no_reply_breaks_the_readers(frame in frames()) {
            let _ = (list(frame.clone()), bytes(frame.clone()), strings(frame.clone()), number(frame.clone()));
            let _ = (count(frame.clone()), time_ms(frame.clone()), scored(frame.clone()), first_score(frame));
        }

        #[test]
        fn no_bytes_break_the_readers(raw in proptest::collection::vec(proptest::num::u8::ANY, 0..60)) {
            let _ = (parsed::<i64>(&raw), parsed::<u64>(&raw), due_second(&raw), numbers(&raw));
        }

        #[test]
        fn no_error_breaks_its_reader(
            text in "(ERR |CORRUPT |REFUSED |NOPERM |InvalidCertificate\\(|message: \"|\u{1f}| script: |\\PC){0,8}"
        ) {
            let _ = refused(&text);
            for kind in [ErrorKind::IO, ErrorKind::Auth, ErrorKind::Unknown, ErrorKind::Tls, ErrorKind::Config] {
                let _ = (failed(&Error::new(kind.clone(), text.clone())), not_opened(&Error::new(kind, text.clone()), true));
            }
        }
    }
}
