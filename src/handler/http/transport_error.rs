//! Why there was no response.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use humantime::format_duration;
use tokio_rustls::rustls::{self, CertificateError};

use crate::job::Failure;

/// Why a request got no response. The text follows the server's name and a colon.
#[derive(Debug, thiserror::Error)]
pub(super) enum TransportError {
    /// There was no connection; nothing was sent.
    #[error("{0}")]
    Connect(String),
    /// This machine is short of sockets or memory; nothing was sent.
    #[error("{0}")]
    Short(String),
    /// There was no trusted encryption; nothing was sent.
    #[error("{0}")]
    Tls(String),
    /// The lease may have run out while the job waited for a connection; nothing was sent.
    #[error("the lease may have run out before the request was sent")]
    ClaimDoubted,
    /// The server closed the connection before the request was sent.
    #[error("the connection was closed before the request was sent: {0}")]
    Unsent(String),
    /// The connection broke after the request was sent.
    #[error("{0}; the job may have been done")]
    Lost(String),
    /// The response is not HTTP/1.1; the request was sent.
    #[error("{0}; the job may have been done")]
    Protocol(String),
}

impl TransportError {
    /// No resolver knows the name.
    pub(super) fn unknown_host(host: &str, error: &io::Error) -> Self {
        Self::Connect(format!("the address of {host} cannot be found: {error}"))
    }

    /// The limit passed before there was a connection.
    pub(super) fn too_late(limit: Duration) -> Self {
        Self::Connect(format!("no connection within {} (connect_timeout)", format_duration(limit)))
    }

    /// The limit passed during the TLS handshake.
    pub(super) fn too_late_for_tls(limit: Duration) -> Self {
        let limit = format_duration(limit);
        Self::Tls(format!("no encrypted connection within {limit} (connect_timeout); does it speak TLS at this port?"))
    }

    /// The TLS handshake failed.
    pub(super) fn of_tls(error: &io::Error) -> Self {
        let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        Self::Tls(match cause {
            Some(rustls::Error::InvalidCertificate(fault)) => {
                format!("its certificate is not to be trusted: {}", certificate_fault(fault))
            }
            Some(rustls::Error::InvalidMessage(_)) => "it does not speak TLS at this port".to_owned(),
            Some(other) => format!("no encryption could be agreed on: {other}"),
            // A server that does not speak TLS closes the connection, with or without an error of its own.
            None => {
                format!("the connection broke while encryption was agreed on: {error}; does it speak TLS at this port?")
            }
        })
    }

    /// An error after the request began to be sent.
    pub(super) fn of_exchange(error: &hyper::Error) -> Self {
        if error.is_parse() {
            return Self::Protocol(format!("its answer is not HTTP/1.1 as we read it: {error}"));
        }
        if error.is_incomplete_message() {
            return Self::Lost("it closed the connection without a whole answer".to_owned());
        }
        Self::Lost(format!("the connection broke before the answer was whole: {}", deepest(error)))
    }

    /// The failure of a job with this error.
    pub(super) fn failure(&self, origin: &str) -> Failure {
        let exception = match self {
            Self::Connect(_) | Self::Unsent(_) | Self::Short(_) | Self::ClaimDoubted => "HttpConnect",
            Self::Tls(_) => "HttpTls",
            Self::Lost(_) => "HttpConnectionLost",
            Self::Protocol(_) => "HttpProtocol",
        };
        Failure::new(exception, format!("{origin}: {self}"))
    }
}

/// The innermost cause, which says the most.
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
        // The second means that the signer has the same name as an authority that we trust.
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
