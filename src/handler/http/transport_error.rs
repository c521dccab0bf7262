//! Why there was no answer.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use humantime::format_duration;
use tokio_rustls::rustls::{self, CertificateError};

use crate::job::Failure;

/// Why there was no answer to a request. The words go on after the server's name and a colon.
#[derive(Debug, thiserror::Error)]
pub(super) enum TransportError {
    /// No connection: nobody was asked to do anything.
    #[error("{0}")]
    Connect(String),
    /// No encryption that could be trusted: nobody was asked to do anything.
    #[error("{0}")]
    Tls(String),
    /// The server went away before the request left.
    #[error("the connection was closed before the request was sent: {0}")]
    Unsent(String),
    /// The connection broke after the request had left.
    #[error("{0}; the job may have been done")]
    Lost(String),
    /// What came back is no HTTP/1.1; the request had left.
    #[error("{0}; the job may have been done")]
    Protocol(String),
}

impl TransportError {
    /// A name that no resolver knows.
    pub(super) fn unknown_host(host: &str, error: &io::Error) -> Self {
        Self::Connect(format!("the address of {host} cannot be found: {error}"))
    }

    /// Nothing within the time that there is.
    pub(super) fn too_late(limit: Duration) -> Self {
        Self::Connect(format!("no connection within {} (connect_timeout)", format_duration(limit)))
    }

    /// A greeting that came to no end.
    pub(super) fn too_late_for_tls(limit: Duration) -> Self {
        let limit = format_duration(limit);
        Self::Tls(format!("no encrypted connection within {limit} (connect_timeout); does it speak TLS at this port?"))
    }

    /// A greeting that failed.
    pub(super) fn of_tls(error: &io::Error) -> Self {
        let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        Self::Tls(match cause {
            Some(rustls::Error::InvalidCertificate(fault)) => {
                format!("its certificate is not to be trusted: {}", certificate_fault(fault))
            }
            Some(rustls::Error::InvalidMessage(_)) => "it does not speak TLS at this port".to_owned(),
            Some(other) => format!("no encryption could be agreed on: {other}"),
            // Servers that speak something else take the greeting for nonsense, and hang up with or without a word.
            None => {
                format!("the connection broke while encryption was agreed on: {error}; does it speak TLS at this port?")
            }
        })
    }

    /// An error of a request that had begun to leave.
    pub(super) fn of_exchange(error: &hyper::Error) -> Self {
        if error.is_parse() {
            return Self::Protocol(format!("its answer is not HTTP/1.1 as we read it: {error}"));
        }
        if error.is_incomplete_message() {
            return Self::Lost("it closed the connection without a whole answer".to_owned());
        }
        Self::Lost(format!("the connection broke before the answer was whole: {}", deepest(error)))
    }

    /// The failure of a job that met it.
    pub(super) fn failure(&self, origin: &str) -> Failure {
        let exception = match self {
            Self::Connect(_) | Self::Unsent(_) => "HttpConnect",
            Self::Tls(_) => "HttpTls",
            Self::Lost(_) => "HttpConnectionLost",
            Self::Protocol(_) => "HttpProtocol",
        };
        Failure::new(exception, format!("{origin}: {self}"))
    }
}

/// The innermost cause, which says most.
pub(super) fn deepest(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = cause.to_string();
        source = cause.source();
    }
    text
}

fn certificate_fault(fault: &CertificateError) -> String {
    match fault {
        // The second: somebody of the same name as whom we trust.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "nobody we trust has signed it: name its authority, ca_file = \"ca.pem\"".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another host name".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "it is not valid yet".to_owned(),
        CertificateError::Revoked => "it was revoked".to_owned(),
        other => format!("{other:?}"),
    }
}
