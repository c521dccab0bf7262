//! Encrypted connections: whom we trust, who trusts us.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::daemon::Folder;
use crate::place::{configure, folder, refused, works};
use crate::support::node::{Node, words};

/// Writes an authority `NAME-ca.pem` and certificates of it for a server and a client.
fn certificates(folder: &Path, name: &str) {
    let write = |file: &str, text: String| fs::write(folder.join(format!("{name}-{file}.pem")), text).unwrap();
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, format!("{name} authority"));
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    write("ca", authority.self_signed(&authority_key).unwrap().pem());
    let issuer = Issuer::new(authority, authority_key);
    for (who, names) in [("server", &["localhost", "127.0.0.1"][..]), ("client", &["windlass"]), ("other", &["other"])]
    {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        write(who, certificate.pem());
        write(&format!("{who}-key"), key.serialize_pem());
    }
}

/// A server that speaks nothing but TLS, with the certificates of `who` that it writes into `certs`.
fn server(certs: &Path, who: &str, more: &str) -> Node {
    let certs = certs.display();
    Node::start(|port, _| {
        words(&format!(
            "--port 0 --tls-port {port} --bind 127.0.0.1 --save \"\" --tls-cert-file {certs}/ours-{who}.pem \
             --tls-key-file {certs}/ours-{who}-key.pem --tls-ca-cert-file {certs}/ours-ca.pem {more}"
        ))
    })
}

fn prepared() -> Folder {
    let folder = folder("");
    for name in ["ours", "theirs"] {
        certificates(&folder.path(""), name);
    }
    folder
}

#[test]
fn an_encrypted_connection_with_a_certificate_of_our_own() {
    let folder = prepared();
    let node = server(&folder.path(""), "server", "--tls-auth-clients yes --requirepass s3cret");
    let url = format!("url = \"rediss://:s3cret@localhost:{}\"\n[store.tls]\n", node.port);
    configure(
        &folder,
        &format!("{url}ca = \"ours-ca.pem\"\ncert = \"ours-client.pem\"\nkey = \"ours-client-key.pem\""),
    );
    works(&folder);
    configure(&folder, &format!("{url}ca = \"ours-ca.pem\""));
    refused(&folder, 69, "it refuses our certificate");
    configure(&folder, &format!("{url}ca = \"ours-ca.pem\"\ncert = \"ours-client.pem\"\nkey = \"ours-other-key.pem\""));
    refused(&folder, 69, "do not go together");
    configure(&folder, &format!("{url}ca = \"gone.pem\""));
    refused(&folder, 64, "store.tls.ca: expected a readable PEM file");
}

#[test]
fn a_certificate_that_is_not_to_be_trusted_is_refused_by_its_fault() {
    let folder = prepared();
    let node = server(&folder.path(""), "server", "--tls-auth-clients no");
    configure(&folder, &format!("url = \"rediss://127.0.0.1:{}\"\n[store.tls]\nca = \"theirs-ca.pem\"", node.port));
    refused(&folder, 69, "nobody we trust has signed it");
    configure(&folder, &format!("url = \"redis://127.0.0.1:{}\"", node.port));
    let (code, said) = folder.windlass(&["stats"]);
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("if it speaks TLS at this port, write rediss://"), "{said}");
    let other = server(&folder.path(""), "other", "--tls-auth-clients no");
    configure(&folder, &format!("url = \"rediss://127.0.0.1:{}\"\n[store.tls]\nca = \"ours-ca.pem\"", other.port));
    refused(&folder, 69, "it is for another host name");
}

#[test]
fn a_server_that_speaks_no_tls_is_told() {
    let folder = prepared();
    let node = Node::start(|port, _| words(&format!("--port {port} --bind 127.0.0.1 --save \"\"")));
    configure(&folder, &format!("url = \"rediss://127.0.0.1:{}\"\n[store.tls]\nca = \"ours-ca.pem\"", node.port));
    // A Redis that is greeted so waits for the end of a line that never comes; what it cannot know, nor can we.
    let why = "no connection within 4s; does it speak TLS at this port?";
    let (code, said) = folder.windlass(&["stats"]);
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains(why), "{said}");
    let daemon = folder.daemon();
    daemon.wait_log(why);
    daemon.stop();
}
