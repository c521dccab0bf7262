//! A Cluster of three masters and a replica: found, moved about, failed over.

use std::fs;

use crate::login::RIGHTS;
use crate::node::{Node, eventually, words};
use crate::place::{configure, done, enqueue, folder, refused, works};
use crate::support::redis::free_port;
use crate::support::resp::Reply;

struct Cluster {
    /// Three masters, and a replica of the first, which owns the namespace's slot.
    nodes: Vec<Node>,
    slot: String,
}

impl Cluster {
    fn start() -> Self {
        let start = || {
            Node::start(|port, _| {
                let bus = free_port();
                words(&format!(
                    "--port {port} --bind 127.0.0.1 --save \"\" --cluster-enabled yes --cluster-port {bus} \
                     --cluster-node-timeout 1500 --cluster-replica-validity-factor 0"
                ))
            })
        };
        let nodes: Vec<Node> = (0..4).map(|_| start()).collect();
        let slot = match nodes[0].command(&["CLUSTER", "KEYSLOT", "{resque}"]) {
            Reply::Int(slot) => slot,
            other => panic!("{other:?}"),
        };
        // The first owns the third in which the namespace is.
        let mut thirds = vec![(0, 5460), (5461, 10922), (10923, 16383)];
        let at = thirds.iter().position(|(from, to)| (*from..=*to).contains(&slot)).unwrap();
        thirds.rotate_left(at);
        for (node, (from, to)) in nodes.iter().zip(thirds) {
            node.command(&["CLUSTER", "ADDSLOTSRANGE", &from.to_string(), &to.to_string()]);
        }
        for node in &nodes[1..] {
            let bus = node.command(&["CONFIG", "GET", "cluster-port"]).texts().remove(1);
            nodes[0].command(&["CLUSTER", "MEET", "127.0.0.1", &node.port.to_string(), &bus]);
        }
        eventually("the nodes know each other", || {
            nodes.iter().all(|node| {
                let told = node.text(&["CLUSTER", "INFO"]);
                told.contains("cluster_state:ok") && told.contains("cluster_known_nodes:4")
            })
        });
        let first = nodes[0].text(&["CLUSTER", "MYID"]);
        eventually("the replica knows its master", || {
            !matches!(nodes[3].client().command(&["CLUSTER", "REPLICATE", &first]).unwrap(), Reply::Error(_))
        });
        eventually("the replica replicates", || {
            nodes[3].text(&["INFO", "replication"]).contains("master_link_status:up")
        });
        eventually("everybody knows the replica", || {
            nodes.iter().all(|node| {
                let told = node.text(&["CLUSTER", "NODES"]);
                told.matches("master").count() == 3 && told.matches("slave").count() == 1
            })
        });
        Self { nodes, slot: slot.to_string() }
    }

    /// The address, by two of the nodes that do not own the slot.
    fn store(&self) -> String {
        let (one, other) = (self.nodes[1].port, self.nodes[2].port);
        format!("url = \"redis-cluster://127.0.0.1:{one},127.0.0.1:{other}\"\nnamespace = \"{{resque}}\"")
    }

    /// Moves the namespace's slot, key by key, as an operator does.
    fn migrate(&self, from: usize, to: usize) {
        let (from, to) = (&self.nodes[from], &self.nodes[to]);
        let (id_from, id_to) = (from.text(&["CLUSTER", "MYID"]), to.text(&["CLUSTER", "MYID"]));
        let slot = self.slot.as_str();
        to.command(&["CLUSTER", "SETSLOT", slot, "IMPORTING", &id_from]);
        from.command(&["CLUSTER", "SETSLOT", slot, "MIGRATING", &id_to]);
        loop {
            let keys = from.command(&["CLUSTER", "GETKEYSINSLOT", slot, "1"]).texts();
            let Some(key) = keys.first() else { break };
            from.command(&["MIGRATE", "127.0.0.1", &to.port.to_string(), key, "0", "5000"]);
        }
        for node in [to, from, &self.nodes[1], &self.nodes[2]] {
            node.command(&["CLUSTER", "SETSLOT", slot, "NODE", &id_to]);
        }
    }
}

#[test]
fn jobs_go_all_the_way_and_the_namespace_must_be_a_hash_tag() {
    let cluster = Cluster::start();
    // As the user that docs/connections.md gives, with the rights that it adds for a Cluster.
    for node in &cluster.nodes {
        let rights = RIGHTS.replace("~resque:*", "~{resque}:*");
        node.command(&words(&format!("{rights} +cluster|slots +cluster|info")));
    }
    let folder = folder(&cluster.store().replace("://", "://windlass:s3cret@"));
    works(&folder);
    for node in &cluster.nodes {
        assert_eq!(node.command(&["ACL", "LOG"]), Reply::List(Vec::new()));
    }
    let keys = cluster.nodes[0].command(&["CLUSTER", "COUNTKEYSINSLOT", &cluster.slot]);
    assert!(matches!(keys, Reply::Int(keys) if keys > 0), "{keys:?}");
    for node in &cluster.nodes[1..3] {
        assert_eq!(node.command(&["DBSIZE"]), Reply::Int(0));
    }
    configure(&folder, &cluster.store().replace("{resque}", "resque"));
    refused(&folder, 64, "write namespace = \"{resque}\"");
    configure(&folder, &format!("url = \"redis://127.0.0.1:{}\"", cluster.nodes[0].port));
    refused(&folder, 69, "it is a Cluster: write redis-cluster:// instead of redis://");
}

#[test]
fn a_daemon_follows_its_slot_while_jobs_run() {
    let cluster = Cluster::start();
    let folder = folder(&cluster.store());
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    assert_eq!(folder.windlass(&["enqueue", "gated"]).0, Some(0));
    eventually("a job runs", || folder.path("begun").exists());
    for n in 0..20 {
        let (code, said) = folder.windlass(&["enqueue", "note", "--arg", &format!("\"{n}\""), "--in", "2s"]);
        assert_eq!(code, Some(0), "{said}");
    }
    cluster.migrate(0, 1);
    fs::write(folder.path("gate"), "").unwrap();
    enqueue(&folder, "after");
    eventually("every job is run", || done(&folder).len() == 22);
    eventually("every job is settled", || {
        let stats = folder.windlass(&["--json", "stats"]).1;
        stats.contains("\"processed\":22") && stats.contains("\"failed\":0")
    });
    assert_eq!(fs::read_to_string(folder.path("begun")).unwrap().lines().count(), 1);
    assert_eq!(cluster.nodes[0].command(&["DBSIZE"]), Reply::Int(0));
    // And back, idle: what waits for a change is told by the new owner.
    cluster.migrate(1, 0);
    enqueue(&folder, "woken");
    eventually("it wakes", || done(&folder).len() == 23);
    daemon.stop();
}

#[test]
fn a_daemon_goes_on_with_the_replica_when_the_master_of_its_slot_dies() {
    let mut cluster = Cluster::start();
    let folder = folder(&cluster.store());
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    assert_eq!(folder.windlass(&["enqueue", "gated"]).0, Some(0));
    eventually("a job runs", || folder.path("begun").exists());
    let (code, said) = folder.windlass(&["enqueue", "note", "--arg", "\"before\"", "--in", "3s"]);
    assert_eq!(code, Some(0), "{said}");
    let mut client = cluster.nodes[0].client();
    client.command(&["SET", "{resque}mark", "1"]).unwrap();
    assert_eq!(client.command(&["WAIT", "1", "10000"]).unwrap(), Reply::Int(1));
    cluster.nodes[0].kill();
    eventually("the replica is the master", || cluster.nodes[3].text(&["ROLE"]).starts_with("master"));
    fs::write(folder.path("gate"), "").unwrap();
    enqueue(&folder, "after");
    eventually("every job is run", || {
        let done = done(&folder);
        ["gated", "before", "after"].iter().all(|word| done.contains(&(*word).to_owned()))
    });
    assert_eq!(fs::read_to_string(folder.path("begun")).unwrap().lines().count(), 1);
    eventually("every job is settled", || {
        let stats = folder.windlass(&["--json", "stats"]).1;
        stats.contains("\"processed\":3") && stats.contains("\"failed\":0")
    });
    daemon.stop();
}
