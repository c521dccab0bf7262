//! Users, passwords, databases; over TCP and a unix socket.

use std::fs;

use crate::node::{Node, eventually, words};
use crate::place::{configure, done, enqueue, folder, refused, works};
use crate::support::resp::Reply;

/// What a daemon and all commands need, as docs/connections.md gives it.
pub(crate) const RIGHTS: &str = include_str!("rights.txt");

fn server(more: &str) -> Node {
    Node::start(|port, _| words(&format!("--port {port} --bind 127.0.0.1 --save \"\" {more}")))
}

#[test]
fn a_user_with_password_and_a_database_of_its_own() {
    let node = server("");
    node.command(&["ACL", "SETUSER", "worker", "on", ">p/s3cret", "~*", "&*", "+@all"]);
    node.command(&["ACL", "SETUSER", "default", "off"]);
    let folder = folder("url = { file = \"secret\" }");
    fs::write(folder.path("secret"), format!("redis://worker:p%2Fs3cret@127.0.0.1:{}/2\n", node.port)).unwrap();
    works(&folder);
    let log = fs::read_to_string(folder.path("log")).unwrap();
    assert!(log.contains(&format!("starts on redis://127.0.0.1:{}/2", node.port)), "{log}");
    assert!(!log.contains("s3cret"), "{log}");
    // A wrong password is told at once: no waiting mends it.
    configure(&folder, &format!("url = \"redis://worker:s3cret@127.0.0.1:{}/2\"", node.port));
    refused(&folder, 69, "it refuses our credentials: WRONGPASS");
    configure(&folder, &format!("url = \"redis://127.0.0.1:{}/2\"", node.port));
    refused(&folder, 69, "it refuses our credentials: NOAUTH");
}

#[test]
fn a_password_that_was_exchanged_is_read_again() {
    let node = server("");
    node.command(&["ACL", "SETUSER", "worker", "on", ">old", "~*", "&*", "+@all"]);
    let folder = folder("url = { file = \"secret\" }");
    let write = |password: &str| {
        fs::write(folder.path("secret"), format!("redis://worker:{password}@127.0.0.1:{}\n", node.port)).unwrap();
    };
    write("old");
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    node.command(&["ACL", "SETUSER", "worker", "resetpass", ">new"]);
    node.command(&["CLIENT", "KILL", "USER", "worker"]);
    daemon.wait_log("refuses us: it refuses our credentials: WRONGPASS");
    assert!(daemon.log().contains(&format!("{} is read again", folder.path("secret").display())), "{}", daemon.log());
    write("new");
    daemon.wait_log("takes us again");
    enqueue(&folder, "after");
    eventually("it works on", || done(&folder).contains(&"after".to_owned()));
    assert_eq!(daemon.log().matches("refuses us: it refuses our credentials").count(), 1, "{}", daemon.log());
    assert!(!daemon.log().contains(":new@"), "{}", daemon.log());
    daemon.stop();
}

#[test]
fn a_unix_socket_with_user_and_database() {
    let node = server("--requirepass s3cret");
    let folder = folder(&format!("url = \"redis+unix://default:s3cret@{}?db=3\"", node.socket().display()));
    works(&folder);
    let mut client = node.client();
    client.command(&["AUTH", "s3cret"]).unwrap();
    client.command(&["SELECT", "3"]).unwrap();
    assert_eq!(client.command(&["GET", "resque:stat:processed"]).unwrap().texts(), ["2"]);
    configure(&folder, &format!("url = \"redis+unix://:wrong@{}\"", node.socket().display()));
    refused(&folder, 69, "it refuses our credentials: WRONGPASS");
}

#[test]
fn the_documented_rights_are_enough() {
    let node = server("");
    let rules = words(RIGHTS.trim());
    assert_eq!(rules[..3], ["ACL", "SETUSER", "windlass"]);
    node.command(&rules);
    node.command(&["ACL", "LOG", "RESET"]);
    let folder = folder(&format!("url = \"redis://windlass:s3cret@127.0.0.1:{}\"", node.port));
    works(&folder);
    let said = |args: &[&str]| {
        let (code, said) = folder.windlass(args);
        assert_eq!(code, Some(0), "{args:?}: {said}");
        said
    };
    folder.script("fails", "exit 1");
    let daemon = folder.daemon_with_log("second");
    daemon.wait_log("[ worker ] started");
    said(&["enqueue", "fails"]);
    eventually("a job fails", || said(&["--json", "stats"]).contains("\"failed\":1"));
    said(&["enqueue", "note", "--arg", "\"tomorrow\"", "--in", "1d"]);
    for args in [
        &["workers"][..],
        &["queues"],
        &["queues", "show", "default"],
        &["delayed"],
        &["delayed", "delete", "note", "--queue", "default", "--args", "\"tomorrow\""],
        &["failed"],
        &["failed", "retry", "--all", "--yes"],
        &["failed", "remove", "--all", "--yes"],
        &["periodic"],
        &["locks"],
        &["leader"],
    ] {
        said(args);
    }
    enqueue(&folder, "again");
    eventually("it works on", || done(&folder).contains(&"again".to_owned()));
    daemon.stop();
    said(&["enqueue", "note", "--arg", "\"left\""]);
    said(&["queues", "delete", "default", "--yes"]);
    for name in ["log", "second"] {
        let log = fs::read_to_string(folder.path(name)).unwrap();
        assert!(!log.contains("a right is missing") && !log.contains("will not tell of changes"), "{log}");
    }
    // The server's own record of what it refused.
    assert_eq!(node.command(&["ACL", "LOG"]), Reply::List(Vec::new()));
}

#[test]
fn the_documented_rights_name_every_command_that_is_sent_without_a_script() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/redis");
    let mut sent = 0;
    let files = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    // Its words in capitals are those of servers that refuse.
    for file in files.filter(|path| !path.ends_with("refusal.rs")) {
        let text = fs::read_to_string(&file).unwrap();
        // `("NAME", arguments` is how a command is written down.
        let names = text.split("(\"").skip(1).filter_map(|rest| rest.split_once("\", ")).map(|(name, _)| name);
        for name in names.filter(|name| name.len() > 2 && name.bytes().all(|letter| letter.is_ascii_uppercase())) {
            let right = format!("+{}", name.to_lowercase());
            let given = RIGHTS.split_whitespace().any(|given| given.split('|').next() == Some(&right));
            assert!(given, "{}: {right} is not among the rights", file.display());
            sent += 1;
        }
    }
    assert!(sent > 20, "the commands are written down in another way: {sent}");
}

#[test]
fn the_documented_rights_name_every_command_of_the_scripts() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let documented = fs::read_to_string(root.join("docs/connections.md")).unwrap();
    let rights: Vec<&str> = RIGHTS.split_whitespace().collect();
    let line = documented.split_whitespace().filter(|word| *word != "\\").collect::<Vec<_>>().join(" ");
    assert!(line.contains(&rights.join(" ")), "docs/connections.md gives other rights than these:\n{RIGHTS}");
    let scripts: Vec<_> =
        fs::read_dir(root.join("src/store/redis/scripts")).unwrap().map(|entry| entry.unwrap()).collect();
    assert!(scripts.len() > 20, "the scripts are elsewhere");
    for script in scripts {
        let text = fs::read_to_string(script.path()).unwrap();
        for word in text.split('\'') {
            let command = word.len() > 2 && word.bytes().all(|letter| letter.is_ascii_uppercase());
            // Errors and options are no commands.
            if command && !["WRONGTYPE", "NOPERM", "WITHSCORES", "COUNT", "MAXLEN", "MOVED"].contains(&word) {
                let right = format!("+{}", word.to_lowercase());
                assert!(
                    rights.contains(&right.as_str()),
                    "{}: {right} is not among the rights",
                    script.path().display()
                );
            }
        }
    }
}
