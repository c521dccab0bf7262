//! A redis-server with arguments of its own: one of a Cluster, a replica, a Sentinel, one that speaks TLS.
//!
//! Whatever it is, it listens on a unix socket too, by which a test looks at it and orders it about.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

use crate::support::redis::{KEEPER, free_port};
use crate::support::resp::{Client, Reply};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running (or killed) server.
#[derive(Debug)]
pub(crate) struct Node {
    dir: tempfile::TempDir,
    /// Its TCP port.
    pub(crate) port: u16,
    keeper: Option<(Child, ChildStdin)>,
}

impl Node {
    /// Starts a server with the arguments that `args` makes of its port and its folder, and returns when it answers.
    ///
    /// # Panics
    /// When it does not.
    pub(crate) fn start(args: impl Fn(u16, &Path) -> Vec<String>) -> Self {
        // A port found free may be taken before the server binds it.
        for _ in 0..5 {
            let dir = tempfile::Builder::new().prefix("windlass-node-").tempdir().expect("a folder must be had");
            let mut node = Self { dir, port: free_port(), keeper: None };
            let args = args(node.port, node.dir.path());
            if node.launch(&args) {
                return node;
            }
        }
        panic!("redis-server does not start (is it installed and on the PATH?)");
    }

    /// Its unix socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("redis.sock")
    }

    /// A connection to it.
    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.socket()).expect("the server must be running")
    }

    /// One command over a connection of its own, of which an error is one of the test.
    #[track_caller]
    pub(crate) fn command<A: AsRef<[u8]> + std::fmt::Debug>(&self, args: &[A]) -> Reply {
        match self.client().command(args).expect("the server must answer") {
            Reply::Error(error) => panic!("{args:?}: {error}"),
            reply => reply,
        }
    }

    /// The one text that it answers.
    #[track_caller]
    pub(crate) fn text<A: AsRef<[u8]> + std::fmt::Debug>(&self, args: &[A]) -> String {
        self.command(args).texts().concat()
    }

    /// Ends it as a power failure does.
    pub(crate) fn kill(&mut self) {
        if let Some((mut keeper, mut stdin)) = self.keeper.take() {
            writeln!(stdin, "KILL").expect("the keeper must be reading");
            keeper.wait().expect("the keeper must be waited for");
        }
    }

    /// Is it there now?
    fn launch(&mut self, args: &[String]) -> bool {
        let folder = self.dir.path().display().to_string();
        let socket = self.socket().display().to_string();
        let mut command = Command::new("sh");
        command.args(["-c", KEEPER, "keeper", &folder, "redis-server"]).args(args);
        command.args(["--dir", &folder, "--unixsocket", &socket, "--daemonize", "no", "--logfile", "log"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("a shell must be had");
        let stdin = child.stdin.take().expect("standard input must be piped");
        self.keeper = Some((child, stdin));
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            let answers = Client::connect(&self.socket()).and_then(|mut client| client.command(&["PING"]));
            if answers.is_ok() {
                return true;
            }
            // A server that starts sends us no signal: ask again, with a deadline.
            std::thread::sleep(Duration::from_millis(10));
        }
        self.kill();
        false
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until something holds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        // What another process does sends no signal here: ask again, with a deadline.
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Words as arguments.
pub(crate) fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}
