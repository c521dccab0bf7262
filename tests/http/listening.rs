//! Where the server listens: at the start, after a reload, after a crash.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;

use rustix::process::Signal;

use crate::client::Place;
use crate::daemon::{Folder, eventually, signal};
use crate::world::{World, configure, listens};

#[test]
fn an_address_that_cannot_be_had_ends_the_start() {
    for (listen, told) in [
        ("192.0.2.1:80".to_owned(), "this machine has no such address".to_owned()),
        ("unix:none/http.sock".to_owned(), "its folder does not exist".to_owned()),
        ("unix:tasks.toml".to_owned(), "something that is no socket stands there".to_owned()),
    ] {
        let folder = Folder::new("sqlite:store.db", "");
        // Anyone who is not from here needs a token.
        configure(&folder, &format!("listen = \"{listen}\"\ntoken = \"0123456789abcdef\""));
        let (code, said) = folder.windlass(&["run"]);
        assert!(code == Some(1) && said.contains(&told), "{listen}: {code:?}: {said}");
        assert!(!said.contains("[ worker ] started"), "{said}");
    }
}

#[test]
fn a_daemon_beside_another_works_and_listens_when_the_address_is_free() {
    // An address of this process alone: between the two nobody else takes it, as one of the others might a port of 127.0.0.1.
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let taken = TcpListener::bind(format!("127.77.{high}.{low}:0")).unwrap();
    let address = taken.local_addr().unwrap();
    let folder = Folder::new("sqlite:store.db", "");
    configure(&folder, &format!("listen = \"{address}\""));
    let daemon = folder.daemon();
    daemon.wait_log(&format!("failed to listen on {address} ([http] listen): another program listens there"));
    daemon.wait_log("[ worker ] started");
    drop(taken);
    daemon.wait_log(&format!("listening on http://{address}"));
    assert_eq!(Place::Tcp(address).get("/health/ready").status, 200);
    assert_eq!(daemon.log().matches("another program listens there").count(), 1, "it is told once");
    daemon.stop();
}

#[test]
fn an_address_that_others_reach_is_refused_without_a_token() {
    let folder = Folder::new("sqlite:store.db", "");
    configure(&folder, "listen = \"0.0.0.0:0\"");
    for command in ["run", "check"] {
        let (code, said) = folder.windlass(&[command]);
        assert!(code == Some(64) && said.contains("http.listen: other machines reach 0.0.0.0:0"), "{code:?}: {said}");
    }
}

#[test]
fn without_a_section_nothing_listens_and_no_thread_is_there() {
    let folder = Folder::new("sqlite:store.db", "");
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    let proper = daemon.proper();
    let threads = fs::read_dir(format!("/proc/{proper}/task")).unwrap();
    let name =
        |task: std::io::Result<fs::DirEntry>| fs::read_to_string(task.unwrap().path().join("comm")).unwrap_or_default();
    let names: Vec<_> = threads.map(name).collect();
    assert!(
        names.iter().all(|name| name.trim() != "http") && names.iter().any(|name| name.trim() == "log"),
        "{names:?}"
    );
    assert!(!daemon.log().contains("http:"));
    daemon.stop();
}

#[test]
fn a_socket_in_the_file_system_is_for_its_group_and_replaces_that_of_a_dead_daemon() {
    let folder = Folder::new("sqlite:store.db", "");
    configure(&folder, "listen = [\"unix:http.sock\", \"127.0.0.1:0\"]");
    let path = folder.path("http.sock");
    let place = Place::Unix(path.clone());
    let mut first = folder.daemon();
    first.wait_log("[ worker ] started");
    assert_eq!(fs::symlink_metadata(&path).unwrap().mode() & 0o777, 0o660);
    assert_eq!(place.get("/api/v1/tasks").status, 200);
    let other = listens(&first);
    eventually("it listens on both, and is ready", || other.get("/health/ready").status == 200);
    // A second one beside it works, and listens when the first is gone.
    let next = folder.daemon_with_log("next");
    next.wait_log("another program listens there");
    next.wait_log("[ worker ] started");
    signal(first.proper(), Signal::KILL);
    first.wait();
    next.wait_log("listening on unix:");
    eventually("it is ready", || place.get("/health/ready").status == 200);
    next.stop();
    assert!(!path.exists(), "one that ends removes it");
}

#[test]
fn a_reload_moves_the_server_and_is_refused_if_it_cannot() {
    let world = World::sqlite("", |_| {});
    let path = world.folder.path("http.sock");
    let reload = || signal(world.daemon.parent(), Signal::HUP);
    world.folder.reconfigure(
        "listen = \"127.0.0.1:0\"",
        "listen = [\"127.0.0.1:0\", \"unix:none/http.sock\"]\nread_only = true",
    );
    reload();
    world.daemon.wait_log("the reload is refused and nothing was changed: failed to listen on unix:");
    assert_eq!(world.place.send("POST", "/api/v1/x", &[], b"").status, 404, "nothing was changed");
    world.folder.reconfigure("[\"127.0.0.1:0\", \"unix:none/http.sock\"]", "\"unix:http.sock\"");
    reload();
    world.daemon.wait_log("changed keys http");
    eventually("the old address is closed", || world.place.connect().is_err());
    let place = Place::Unix(path.clone());
    eventually("the new one is open", || path.exists());
    assert_eq!(place.send("POST", "/api/v1/x", &[], b"").problem(), "read-only");
    let text = world.folder.read("tasks.toml");
    fs::write(world.folder.path("tasks.toml"), text.split("[http]").next().unwrap()).unwrap();
    reload();
    world.daemon.wait_log("changed, but applied only at a restart: http");
    assert_eq!(place.get("/health/ready").status, 200);
    world.daemon.stop();
}

#[test]
fn every_user_of_the_machine_is_mentioned_at_the_start() {
    let world = World::sqlite("", |_| {});
    world.daemon.wait_log("on this machine may do everything without a token");
    world.daemon.stop();
}
