//! A real server of the test's own, and a client that looks at it from outside.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::{Clock, ManualClock};
use crate::job::{ClaimToken, QueueName, WorkerName};
use crate::store::backend::TimeSource;
use crate::store::effect::Verdict;

use crate::store::error::StoreError;
use crate::store::handle::{Lane, Store};
use crate::store::instance::{Extend, HostIdentity, InstanceRecord};
use crate::store::queueing::{Claim, Enqueue, Exchange, Settlement};
use crate::store::redis::RedisStore;
use crate::store::role::Whole;
use crate::store::verbs::Verbs as _;

/// 2026-11-24T03:26:17.500Z.
pub(super) const NOW_MS: i64 = 1_795_490_777_500;

pub(super) struct Server {
    child: Option<Child>,
    dir: tempfile::TempDir,
    pub(super) clock: Arc<ManualClock>,
}

impl Server {
    /// A server on a socket in a directory of its own.
    pub(super) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut server = Self { child: None, dir, clock: Arc::new(ManualClock::at(NOW_MS)) };
        server.launch();
        server
    }

    pub(super) fn launch(&mut self) {
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]).arg(self.socket());
        command.arg("--dir").arg(self.dir.path()).stdout(Stdio::null());
        self.child = Some(command.spawn().expect("redis-server must be installed"));
        // redis-cli waits for nobody: ask until the server answers.
        for _ in 0..500 {
            let output = Command::new("redis-cli").arg("-s").arg(self.socket()).arg("ping").output().unwrap();
            if output.stdout.starts_with(b"PONG") {
                return;
            }
            // The server tells nobody when it listens; ask again.
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("redis-server must answer within seconds");
    }

    pub(super) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.dir.path().join("redis.sock")
    }

    /// A store whose time is the test's clock.
    pub(super) async fn store(&self) -> Store<Whole> {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        RedisStore::connect(&self.url(), "resque", TimeSource::Clock(clock)).await.unwrap().into()
    }

    pub(super) fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// What another program sees: one command, its reply as redis-cli prints it, without quoting.
    pub(super) fn cli(&self, arguments: &[&str]) -> String {
        let output = Command::new("redis-cli").arg("-s").arg(self.socket()).args(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A lane of an instance, which is registered.
pub(super) async fn lane_of(store: &Store<Whole>, id: &str, lane: u8) -> Result<Lane, StoreError> {
    store.join(&instance(id)).await?;
    store.lane(id, lane).await
}

pub(super) fn worker(n: usize) -> WorkerName {
    WorkerName::new(&format!("h-windlass:7+{n}"), "math")
}

/// A heartbeat that pings a worker.
pub(super) fn beat() -> Extend {
    Extend {
        record: instance("00ff"),
        publish: false,
        census: false,
        workers: Vec::new(),
        pinged: vec![worker(1)],
        locks: Vec::new(),
        done: Vec::new(),
        progress: Vec::new(),
        ran: Vec::new(),
        long: Vec::new(),
    }
}

pub(super) fn queue(name: &str) -> QueueName {
    QueueName::as_stored(name)
}

pub(super) fn job(queue: &str, payload: &[u8]) -> Enqueue {
    Enqueue {
        queue: QueueName::as_stored(queue),
        payload: Bytes::copy_from_slice(payload),
        front: false,
        admissions: Vec::new(),
    }
}

/// An exchange that claims from `math` for workers 1 to `idle`.
pub(super) fn claiming(sequence: u64, idle: usize) -> Exchange {
    Exchange {
        sequence,
        settlements: Vec::new(),
        enters: Vec::new(),
        idle: (1..=idle).map(worker).collect(),
        queues: Arc::from([queue("math")]),
        share: 1,
        run_at: "2026-11-24T03:26:17.500Z".to_owned(),
    }
}

pub(super) fn settled(n: usize, claim: &Claim, verdict: Verdict) -> Settlement {
    Settlement {
        worker: worker(n),
        claim: claim.token.clone(),
        queue: claim.queue.clone(),
        payload: claim.payload.clone(),
        verdict,
        free: Vec::new(),
        tick: None,
        run: None,
    }
}

pub(super) fn token(text: &str) -> ClaimToken {
    ClaimToken::as_stored(text)
}

pub(super) fn instance(id: &str) -> InstanceRecord {
    InstanceRecord {
        id: id.to_owned(),
        name: "h-windlass:7".to_owned(),
        queues: "math".to_owned(),
        former_queues: Vec::new(),
        host: HostIdentity {
            hostname: "h".to_owned(),
            boot_id: "b".to_owned(),
            pid_namespace: 1,
            pid: 7,
            started_ticks: 9,
        },
        processors: 2,
        lease_ms: 15_000,
        periodic: Vec::new(),
        version: "0.1.0".to_owned(),
        halt: None,
        tasks: None,
        skipped: Vec::new(),
        stuck: None,
        reload_refused: None,
        queues_given: false,
    }
}
