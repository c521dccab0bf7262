//! A master, its replica and the Sentinel that replaces the one by the other.

use std::fs;
use std::io;

use rustix::process::Signal;

use crate::daemon::signal;
use crate::login::RIGHTS;
use crate::node::{Node, eventually, words};
use crate::place::{configure, done, enqueue, folder, refused, works};
use crate::support::proxy::Proxy;
use crate::support::resp::Reply;

const SERVER: &str = "--bind 127.0.0.1 --save \"\" --requirepass s3cret --masterauth s3cret";

struct Service {
    master: Node,
    replica: Node,
    sentinel: Node,
}

impl Service {
    /// Waits until the Sentinel has made the replica the master.
    fn wait_for_the_replica_to_lead(&self) {
        eventually("the replica is the master", || {
            text(&self.replica, "s3cret", &["INFO", "replication"]).contains("role:master")
        });
    }

    /// Started, replicating, watched.
    fn start() -> Self {
        let master = Node::start(|port, _| words(&format!("--port {port} {SERVER}")));
        let of = master.port;
        let replica = Node::start(|port, _| words(&format!("--port {port} {SERVER} --replicaof 127.0.0.1 {of}")));
        let sentinel = Node::start(|port, dir| {
            let config = format!(
                "port {port}\nbind 127.0.0.1\nrequirepass w4tch\nsentinel monitor main 127.0.0.1 {of} 1\n\
                 sentinel auth-pass main s3cret\nsentinel down-after-milliseconds main 700\n\
                 sentinel failover-timeout main 4000\n"
            );
            let file = dir.join("sentinel.conf");
            fs::write(&file, config).unwrap();
            vec![file.display().to_string(), "--sentinel".to_owned()]
        });
        let service = Self { master, replica, sentinel };
        eventually("the replica replicates", || {
            text(&service.replica, "s3cret", &["INFO", "replication"]).contains("master_link_status:up")
        });
        eventually("the Sentinel knows the replica", || {
            let told = text(&service.sentinel, "w4tch", &["SENTINEL", "MASTER", "main"]);
            told.contains("num-slaves1")
        });
        service
    }

    fn url(&self, sentinel_password: &str) -> String {
        let port = self.sentinel.port;
        // One of the Sentinels need not be there.
        format!(
            "url = \"redis-sentinel://:s3cret@127.0.0.1:1,127.0.0.1:{port}/main/2?sentinel_password={sentinel_password}\""
        )
    }
}

fn ask(node: &Node, password: &str, commands: &[&[&str]]) -> Vec<Reply> {
    tried(node, password, commands).unwrap()
}

fn tried(node: &Node, password: &str, commands: &[&[&str]]) -> io::Result<Vec<Reply>> {
    let mut client = node.client();
    client.command(&["AUTH", password])?;
    commands.iter().map(|command| client.command(command)).collect()
}

/// Its connections stay open, and new ones are accepted by the kernel; nothing is answered.
fn stop(master: &Node) {
    let info = text(master, "s3cret", &["INFO", "server"]);
    let pid = info.lines().find_map(|line| line.strip_prefix("process_id:")).and_then(|pid| pid.trim().parse().ok());
    signal(pid.expect("the server must know its pid"), Signal::STOP);
}

/// What it answers now. A server that is being promoted closes every connection: then nothing yet.
fn text(node: &Node, password: &str, command: &[&str]) -> String {
    tried(node, password, &[command]).unwrap_or_default().iter().flat_map(Reply::texts).collect()
}

#[test]
fn the_master_of_a_service_is_found_by_its_sentinels() {
    let service = Service::start();
    let folder = folder(&service.url("w4tch"));
    works(&folder);
    let log = fs::read_to_string(folder.path("log")).unwrap();
    assert!(
        log.contains(&format!("starts on redis-sentinel://127.0.0.1:1,127.0.0.1:{}/main/2", service.sentinel.port))
    );
    assert!(!log.contains("s3cret") && !log.contains("w4tch"), "{log}");
    configure(&folder, &service.url("wrong"));
    let (code, said) = folder.windlass(&["stats"]);
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("they refuse our credentials (?sentinel_password=)"), "{said}");
    configure(&folder, &service.url("w4tch").replace("/main/", "/other/"));
    let (code, said) = folder.windlass(&["stats"]);
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("the Sentinel knows no master of this service"), "{said}");
    configure(&folder, &service.url("w4tch").replace(":s3cret@", ":wrong@"));
    refused(&folder, 69, "it refuses our credentials: WRONGPASS");
}

#[test]
fn the_documented_rights_are_enough_for_sentinels_and_their_master() {
    let service = Service::start();
    let rights = format!("{RIGHTS} +role");
    let rights = rights.split_whitespace().collect::<Vec<_>>();
    ask(&service.master, "s3cret", &[&rights]);
    let watch = "ACL SETUSER watch on >w4tch -@all +ping +auth +hello +info +client|id +sentinel|sentinels \
                 +sentinel|get-master-addr-by-name";
    let watch = watch.split_whitespace().collect::<Vec<_>>();
    assert_eq!(ask(&service.sentinel, "w4tch", &[&watch]), [Reply::Text(b"OK".to_vec())]);
    let url = service.url("w4tch&sentinel_user=watch").replace("://:", "://windlass:");
    works(&folder(&url));
    for (node, password) in [(&service.master, "s3cret"), (&service.sentinel, "w4tch")] {
        assert_eq!(ask(node, password, &[&["ACL", "LOG"]]), [Reply::List(Vec::new())]);
    }
}

#[test]
fn a_daemon_goes_on_with_the_new_master_and_loses_nothing_that_was_replicated() {
    let mut service = Service::start();
    let folder = folder(&service.url("w4tch"));
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    assert_eq!(folder.windlass(&["enqueue", "gated"]).0, Some(0));
    eventually("a job runs", || folder.path("begun").exists());
    for n in 0..20 {
        let at = if n % 2 == 0 { "2s" } else { "4s" };
        let (code, said) = folder.windlass(&["enqueue", "note", "--arg", &format!("\"{n}\""), "--in", at]);
        assert_eq!(code, Some(0), "{said}");
    }
    // All of it has reached the replica when what was written last has.
    let replies = ask(&service.master, "s3cret", &[&["SET", "mark", "1"], &["WAIT", "1", "10000"]]);
    assert_eq!(replies[1], Reply::Int(1));
    service.master.kill();
    service.wait_for_the_replica_to_lead();
    fs::write(folder.path("gate"), "").unwrap();
    enqueue(&folder, "after");
    let expected = || {
        let mut all: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        all.extend(["after".to_owned(), "gated".to_owned()]);
        all.sort();
        all
    };
    eventually("every job is run", || {
        let mut done = done(&folder);
        done.sort();
        done.dedup();
        done == expected()
    });
    // The one that ran meanwhile was neither cut off nor run twice.
    assert_eq!(fs::read_to_string(folder.path("begun")).unwrap().lines().count(), 1);
    eventually("every job is settled", || {
        let stats = folder.windlass(&["--json", "stats"]).1;
        stats.contains("\"processed\":22") && stats.contains("\"failed\":0")
    });
    // Waking works on the new master too.
    enqueue(&folder, "woken");
    eventually("it wakes", || done(&folder).contains(&"woken".to_owned()));
    daemon.stop();
}

#[test]
fn a_master_that_hangs_is_left_for_the_new_one() {
    let service = Service::start();
    let folder = folder(&service.url("w4tch"));
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    stop(&service.master);
    service.wait_for_the_replica_to_lead();
    enqueue(&folder, "after");
    eventually("the job is run by way of the new master", || done(&folder) == ["after"]);
    daemon.stop();
}

#[test]
fn a_master_that_was_replaced_is_left_though_it_still_answers() {
    let service = Service::start();
    let folder = folder(&service.url("w4tch"));
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    // It goes on as a master: the Sentinel may not make it a replica.
    ask(&service.master, "s3cret", &[&["ACL", "SETUSER", "default", "-replicaof", "-slaveof"]]);
    assert_eq!(ask(&service.sentinel, "w4tch", &[&["SENTINEL", "FAILOVER", "main"]]), [Reply::Text(b"OK".to_vec())]);
    let replica = service.replica.port.to_string();
    eventually("the Sentinel names the replica", || {
        let told = ask(&service.sentinel, "w4tch", &[&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"]]);
        told[0].texts().contains(&replica)
    });
    enqueue(&folder, "after");
    eventually("the job is run by way of the new master", || done(&folder) == ["after"]);
    eventually("it is settled there", || folder.windlass(&["--json", "stats"]).1.contains("\"processed\":1"));
    let role = text(&service.master, "s3cret", &["INFO", "replication"]);
    assert!(role.contains("role:master"), "{role}");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sentinel_that_falls_silent_with_its_master_is_passed_over() {
    let service = Service::start();
    // The one that is asked first.
    let proxy = Proxy::start(&service.sentinel.socket()).await;
    let first = proxy.url().replace("redis://", "");
    let folder = folder(&service.url("w4tch").replace("127.0.0.1:1,", &format!("{first},")));
    tokio::task::block_in_place(|| {
        let daemon = folder.daemon();
        daemon.wait_log("[ worker ] started");
        proxy.stall();
        stop(&service.master);
        service.wait_for_the_replica_to_lead();
        enqueue(&folder, "after");
        eventually("the job is run by way of the new master", || done(&folder) == ["after"]);
        daemon.stop();
    });
}

#[test]
fn a_job_that_a_failover_brings_back_under_an_idle_processor_is_run_again_at_once() {
    let node = Node::start(|port, _| words(&format!("--port {port} --bind 127.0.0.1 --save \"\"")));
    let folder = folder(&format!("url = \"redis://127.0.0.1:{}\"", node.port));
    folder.script("gated", "echo $WINDLASS_JOB_ID >>begun; until [ -e gate ]; do sleep 0.05; done");
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    assert_eq!(folder.windlass(&["enqueue", "gated"]).0, Some(0));
    eventually("a job runs", || folder.path("begun").exists());
    let working = |key: &&String| key.contains("+") && key.ends_with(":default") && !key.contains("ping");
    let keys = node.command(&["KEYS", "resque:worker:*"]).texts();
    let key = keys.iter().find(working).expect("a working record must stand").clone();
    let record = node.text(&["GET", &key]);
    assert!(record.starts_with("{\"claim\":"), "{record}");
    fs::write(folder.path("gate"), "").unwrap();
    eventually("the job is settled", || node.command(&["EXISTS", &key]) == Reply::Int(0));
    // The end of the job had not been replicated when the master died.
    node.command(&["SET", &key, &record]);
    let begun = || fs::read_to_string(folder.path("begun")).unwrap().lines().map(str::to_owned).collect::<Vec<_>>();
    eventually("the job is run again, not two leases later", || {
        // The processors stand under the names of their queues; these wake the lanes of both.
        enqueue(&folder, "other");
        begun().len() == 2
    });
    assert_eq!(begun()[0], begun()[1], "it has the same id");
    let log = fs::read_to_string(folder.path("log")).unwrap();
    assert!(log.contains("stood on record"), "{log}");
    daemon.stop();
}
