//! Servers that are trusted, and others.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::server::{OK, Server, answer_all};
use super::{http, is_done, perform, said, spec, trusting};

/// An authority's certificate in a file.
pub(super) fn authority() -> (TempDir, PathBuf) {
    let (dir, ca, _) = made("127.0.0.1");
    (dir, ca)
}

/// The same, and a server's half of a connection with a certificate for this name.
fn made(name: &str) -> (TempDir, PathBuf, TlsAcceptor) {
    let dir = tempfile::tempdir().unwrap();
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, format!("authority of {name}"));
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = dir.path().join("ca.pem");
    fs::write(&ca, authority.self_signed(&authority_key).unwrap().pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    (dir, ca, TlsAcceptor::from(Arc::new(config)))
}

async fn server(acceptor: TlsAcceptor) -> Server {
    Server::encrypted(acceptor, |peer| answer_all(peer, OK.to_owned())).await
}

#[tokio::test]
async fn a_private_authority_is_trusted_where_the_task_names_it() {
    let (_dir, ca, acceptor) = made("localhost");
    let mut server = server(acceptor).await;
    let url = format!("https://localhost:{}/jobs", server.port);
    let handler = http(&trusting(&url, &ca));
    for _ in 0..5 {
        assert!(is_done(&perform(&handler, "[1]").await));
    }
    let seen = server.rest();
    assert_eq!(seen.len(), 5);
    assert_eq!(seen[0].header("host"), Some(format!("localhost:{}", server.port).as_str()));
    assert_eq!(server.accepted.load(Ordering::SeqCst), 1, "they share a connection");
}

#[tokio::test]
async fn whom_nobody_has_signed_is_sent_nothing() {
    let (_dir, _, acceptor) = made("127.0.0.1");
    let mut untrusted = server(acceptor).await;
    for name in ["elsewhere.test", "127.0.0.1"] {
        let (_other_dir, other, _) = made(name);
        let (exception, words) =
            said(&http(&trusting(&format!("https://127.0.0.1:{}/", untrusted.port), &other))).await;
        assert_eq!(exception, "HttpTls");
        assert_eq!(
            words,
            "its certificate is not to be trusted: nobody we trust has signed it: name its authority, ca_file = \"ca.pem\""
        );
    }
    assert!(untrusted.rest().is_empty());

    let (_dir, ca, acceptor) = made("jobs.test");
    let elsewhere = server(acceptor).await;
    let (_, words) = said(&http(&trusting(&format!("https://127.0.0.1:{}/", elsewhere.port), &ca))).await;
    assert_eq!(words, "its certificate is not to be trusted: it is for another host name");
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_is_told_from_one_that_is_not_trusted() {
    let (_dir, ca) = authority();
    let greet = |word: &'static str| {
        Server::start(move |mut peer| async move {
            // The handshake is not a request: a server that cannot read it answers in its own protocol, or closes the
            // connection.
            peer.greeting().await;
            peer.send(word).await;
        })
    };
    for (word, said_so) in [
        ("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n", "it does not speak TLS at this port"),
        ("", "does it speak TLS at this port?"),
    ] {
        let plain = greet(word).await;
        let (exception, words) = said(&http(&trusting(&format!("https://127.0.0.1:{}/", plain.port), &ca))).await;
        assert_eq!(exception, "HttpTls");
        assert!(words.ends_with(said_so), "{words}");
    }
}

#[tokio::test]
async fn an_encrypted_server_is_not_asked_in_the_clear() {
    let (_dir, _, acceptor) = made("127.0.0.1");
    let server = server(acceptor).await;
    let (exception, _) = said(&http(&spec(&server.url()))).await;
    assert!(exception == "HttpProtocol" || exception == "HttpConnectionLost", "{exception}");
}
