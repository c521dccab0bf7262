//! Encrypted connections: whom we trust, who trusts us.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::daemon::Folder;
use crate::node::{Node, eventually, words};
use crate::place::{configure, done, enqueue, folder, refused, works};
use crate::support::resp::Reply;

/// Writes an authority `NAME-ca.pem` and certificates of it for a server and a client.
fn certificates(folder: &Path, name: &str) {
    let write = |file: &str, text: String| fs::write(folder.join(format!("{name}-{file}.pem")), text).unwrap();
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, format!("{name} authority"));
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    write("ca", authority.self_signed(&authority_key).unwrap().pem());
    let issuer = Issuer::new(authority, authority_key);
    for (who, names) in [
        ("server", &["localhost", "127.0.0.1"][..]),
        ("named", &["localhost"]),
        ("client", &["windlass"]),
        ("other", &["other"]),
    ] {
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
fn certificates_that_were_exchanged_are_read_again() {
    let folder = prepared();
    let certs = folder.path("");
    let node = server(&certs, "server", "--tls-auth-clients yes");
    let hand_out = |name: &str| {
        for file in ["ca", "client", "client-key"] {
            fs::copy(certs.join(format!("{name}-{file}.pem")), certs.join(format!("{file}.pem"))).unwrap();
        }
    };
    hand_out("ours");
    let files = "ca = \"ca.pem\"\ncert = \"client.pem\"\nkey = \"client-key.pem\"";
    configure(&folder, &format!("url = \"rediss://localhost:{}\"\n[store.tls]\n{files}", node.port));
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    let theirs = |file: &str| certs.join(format!("theirs-{file}.pem")).display().to_string();
    let (cert, key, ca) = (theirs("server"), theirs("server-key"), theirs("ca"));
    let all = ["CONFIG", "SET", "tls-cert-file", &cert, "tls-key-file", &key, "tls-ca-cert-file", &ca];
    assert_eq!(node.command(&all), Reply::Text(b"OK".to_vec()));
    node.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    daemon.wait_log("refuses us: its certificate is not to be trusted: nobody we trust has signed it");
    hand_out("theirs");
    daemon.wait_log("takes us again");
    enqueue(&folder, "after");
    eventually("it works on", || done(&folder).contains(&"after".to_owned()));
    daemon.stop();
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
fn a_cluster_and_a_service_of_sentinels_are_reached_by_tls_too() {
    let folder = prepared();
    let certs = folder.path("");
    let tls = "[store.tls]\nca = \"ours-ca.pem\"";
    // The node announces an address, and has a certificate for its name only.
    let more = "--tls-auth-clients no --cluster-enabled yes --tls-cluster yes --cluster-announce-ip 127.0.0.1";
    let node = server(&certs, "named", more);
    node.command(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    eventually("the Cluster is whole", || node.text(&["CLUSTER", "INFO"]).contains("cluster_state:ok"));
    let url = format!("url = \"rediss-cluster://localhost:{}\"\nnamespace = \"{{resque}}\"", node.port);
    configure(&folder, &format!("{url}\n{tls}"));
    works(&folder);
    assert!(matches!(node.command(&["DBSIZE"]), Reply::Int(keys) if keys > 0));
    drop(node);

    fs::remove_file(folder.path("done")).unwrap();
    let master = server(&certs, "server", "--tls-auth-clients no");
    let sentinel = Node::start(|port, dir| {
        let (certs, of) = (certs.display(), master.port);
        let config = format!(
            "port 0\ntls-port {port}\nbind 127.0.0.1\ntls-replication yes\ntls-auth-clients no\n\
             tls-cert-file {certs}/ours-server.pem\ntls-key-file {certs}/ours-server-key.pem\n\
             tls-ca-cert-file {certs}/ours-ca.pem\nsentinel monitor main 127.0.0.1 {of} 1\n"
        );
        let file = dir.join("sentinel.conf");
        fs::write(&file, config).unwrap();
        vec![file.display().to_string(), "--sentinel".to_owned()]
    });
    let url = format!("url = \"rediss-sentinel://localhost:{}/main\"", sentinel.port);
    configure(&folder, &format!("{url}\n{tls}"));
    works(&folder);
    assert!(matches!(master.command(&["DBSIZE"]), Reply::Int(keys) if keys > 0));
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
