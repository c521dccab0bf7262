//! `[store]`: credentials, certificates, the namespace of a Cluster.

use super::*;

#[test]
fn the_address_of_the_store_may_be_a_credential_of_systemd() {
    let (dir, mut sources) = place(Some("[store]\nurl = { credential = \"redis\" }"));
    let told = load(&sources).unwrap_err().to_string();
    assert!(told.contains("store.url.credential: expected to be run by systemd"), "{told}");
    sources.env.insert("CREDENTIALS_DIRECTORY".to_owned(), dir.path().display().to_string());
    fs::write(dir.path().join("redis"), "redis://:s3cret@host\n").unwrap();
    assert_eq!(load(&sources).unwrap().config.store.url, StoreUrl::Redis("redis://:s3cret@host".to_owned()));
}

#[test]
fn certificates_are_files_beside_the_configuration() {
    let text = "[store]\nurl = \"rediss://host\"\n[store.tls]\nca = \"ca.pem\"\ncert = \"c.pem\"";
    let (dir, sources) = place(Some(text));
    fs::write(dir.path().join("config/c.pem"), "-----BEGIN CERTIFICATE-----").unwrap();
    let told = load(&sources).unwrap_err().to_string();
    assert!(told.contains("tasks.toml:4:6: store.tls.ca: expected a readable PEM file (No such file"), "{told}");
    assert!(told.contains("tasks.toml:5:8: store.tls.cert: expected key beside it"), "{told}");
    fs::write(dir.path().join("config/tasks.toml"), text.replace("cert", "#")).unwrap();
    fs::write(dir.path().join("config/ca.pem"), "none").unwrap();
    assert!(load(&sources).unwrap_err().to_string().contains("store.tls.ca: expected a PEM file"));
    fs::write(dir.path().join("config/ca.pem"), "-----BEGIN CERTIFICATE-----").unwrap();
    let Loaded { config, notes, .. } = load(&sources).unwrap();
    assert_eq!((config.store.tls.ca, notes.len()), (Some(dir.path().join("config/ca.pem")), 0));
    fs::write(dir.path().join("config/tasks.toml"), text.replace("rediss", "redis").replace("cert", "#")).unwrap();
    let notes = load(&sources).unwrap().notes.join(" ");
    assert!(notes.contains("store.tls: has no effect: the store is not reached by TLS"), "{notes}");
}

#[test]
fn on_a_cluster_the_namespace_must_be_a_hash_tag() {
    let (_dir, sources) = place(Some("[store]\nurl = \"redis-cluster://a\"\nnamespace = \"jobs\""));
    let told = load(&sources).unwrap_err().to_string();
    assert!(told.contains("tasks.toml:3:13: store.namespace: on a Cluster"), "{told}");
    assert!(told.contains("write namespace = \"{jobs}\""), "{told}");
    let (_dir, sources) = place(Some("[store]\nurl = \"redis-cluster://a\""));
    assert!(load(&sources).unwrap_err().to_string().contains("write namespace = \"{resque}\""));
    let (_dir, sources) = place(Some("[store]\nurl = \"redis-cluster://a\"\nnamespace = \"{jobs}\""));
    assert_eq!(load(&sources).unwrap().config.store.namespace, "{jobs}");
}
