//! A private redis-server: on a unix socket in a temporary folder, on a TCP port if asked.
//!
//! It never outlives the test process, no matter how that ends: a small shell is its parent and kills the server when its
//! standard input closes. Therefore a static, which is not dropped, may hold one.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;

use super::resp::{Client, Reply};

/// Runs the server with the arguments after the folder; one line on standard input names the
/// signal that ends it, and the end of input kills it and removes the folder.
pub(crate) const KEEPER: &str = r#"
dir=$1; shift
"$@" 2>&1 &
exec >/dev/null 2>&1
read -r signal || signal=GONE
case $signal in GONE) kill -KILL $!; wait $!; rm -rf "$dir";; *) kill -$signal $!; wait $!;; esac
exit 0
"#;

/// How a server is to run.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Options {
    /// Listen on a free TCP port of 127.0.0.1 as well.
    pub(crate) tcp: bool,
    /// Append every write to a file and sync it before the reply: what was acknowledged survives
    /// `kill -9`.
    pub(crate) durable: bool,
}

/// A running (or stopped) redis-server and its data.
#[derive(Debug)]
pub(crate) struct RedisServer {
    options: Options,
    variables: Vec<(&'static str, PathBuf)>,
    dir: tempfile::TempDir,
    port: u16,
    keeper: Option<Keeper>,
}

#[derive(Debug)]
struct Keeper {
    child: Child,
    stdin: ChildStdin,
}

impl RedisServer {
    /// Starts a server and returns when it accepts connections.
    ///
    /// # Panics
    /// When there is no redis-server, or when it does not start; says what it said.
    pub(crate) fn start(options: Options) -> Self {
        Self::start_with(options, &[])
    }

    /// The same with these variables in its environment.
    pub(crate) fn start_with(options: Options, variables: &[(&'static str, PathBuf)]) -> Self {
        let dir = tempfile::Builder::new().prefix("windlass-redis-").tempdir().expect("a temporary folder must be had");
        let mut server = Self { options, variables: variables.to_vec(), dir, port: 0, keeper: None };
        server.restart();
        server
    }

    /// The server that all tests of this process share; each takes a namespace of its own.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<RedisServer> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(Options::default()))
    }

    /// Its unix socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("redis.sock")
    }

    /// Its address: TCP if it listens there, otherwise its socket.
    pub(crate) fn url(&self) -> String {
        if self.options.tcp {
            format!("redis://127.0.0.1:{}", self.port)
        } else {
            format!("redis+unix://{}", self.socket().display())
        }
    }

    /// Starts it again on the same data (and, where nobody took it meanwhile, on the same port).
    pub(crate) fn restart(&mut self) {
        assert!(self.keeper.is_none(), "a running server must be stopped before it is started");
        let mut said = String::new();
        // A port found free may be taken before the server binds it.
        for _ in 0..5 {
            if self.options.tcp && self.port == 0 {
                self.port = free_port();
            }
            match self.launch() {
                Ok(keeper) => {
                    self.keeper = Some(keeper);
                    return;
                }
                Err(log) => said = log,
            }
            self.port = 0;
        }
        panic!("redis-server does not start (is it installed and on the PATH?); it said:\n{said}");
    }

    /// Ends it as an operator does: with TERM, its data saved as configured.
    pub(crate) fn stop(&mut self) {
        self.end("TERM");
    }

    /// Ends it as a power failure does: with KILL.
    pub(crate) fn kill(&mut self) {
        self.end("KILL");
    }

    /// One command over a connection of its own.
    ///
    /// # Panics
    /// When the server cannot be reached.
    pub(crate) fn command<A: AsRef<[u8]>>(&self, args: &[A]) -> Reply {
        let mut client = Client::connect(&self.socket()).expect("the server must be running");
        client.command(args).expect("the server must answer")
    }

    fn end(&mut self, signal: &str) {
        if let Some(mut keeper) = self.keeper.take() {
            writeln!(keeper.stdin, "{signal}").expect("the keeper must be reading");
            keeper.child.wait().expect("the keeper must be waited for");
        }
    }

    /// Starts it, and waits until it says that it accepts connections; else what it said.
    fn launch(&self) -> Result<Keeper, String> {
        let path = |path: &Path| path.to_str().expect("a temporary path must be UTF-8").to_owned();
        let dir = path(self.dir.path());
        let (socket, port) = (path(&self.socket()), self.port.to_string());
        let mut command = Command::new("sh");
        command.args(["-c", KEEPER, "keeper", &dir, "redis-server", "--dir", &dir, "--unixsocket", &socket]);
        command.args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--logfile", "", "--daemonize", "no"]);
        if self.options.durable {
            command.args(["--appendonly", "yes", "--appendfsync", "always"]);
        }
        let mut child = command
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("sh: {error}"))?;
        let mut stdin = child.stdin.take().expect("standard input must be piped");
        let stdout = child.stdout.take().expect("standard output must be piped");
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let mut said = String::new();
        for line in lines.by_ref() {
            said.push_str(&line);
            said.push('\n');
            // The socket is announced last, after the port and after the data is read.
            if line.contains("eady to accept connections") && (line.contains(&socket) || line.ends_with(" unix")) {
                // Read on, or the server would block on a full pipe.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(Keeper { child, stdin });
            }
        }
        writeln!(stdin, "KILL").map_err(|error| error.to_string())?;
        child.wait().map_err(|error| error.to_string())?;
        Err(said)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.end("KILL");
    }
}

pub(crate) fn free_port() -> u16 {
    let probe = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    probe.expect("a free port must be had").port()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_keeps_its_data_and_its_address_over_stop_and_kill() {
        let mut server = RedisServer::start(Options { tcp: true, durable: true });
        let url = server.url();
        assert!(url.starts_with("redis://127.0.0.1:"), "{url}");
        for (n, end) in [RedisServer::stop, RedisServer::kill].into_iter().enumerate() {
            server.command(&["SET", &format!("k{n}"), "v"]);
            end(&mut server);
            server.restart();
            assert_eq!(server.command(&["GET", &format!("k{n}")]), Reply::Text(b"v".to_vec()));
        }
        assert_eq!(server.url(), url);
    }

    #[test]
    fn a_server_ends_with_its_holder() {
        let server = RedisServer::start(Options::default());
        let socket = server.socket();
        drop(server);
        assert!(Client::connect(&socket).is_err());
    }
}
