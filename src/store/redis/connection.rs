//! A connection: how it is made, how a command is sent, when it fails.
//!
//! No command is ever sent twice: one attempt, then the caller is told that the outcome is unknown.
//! While the connection is down a command waits shortly for it to come back, then fails; nothing
//! hangs, for each command also has a limit.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fred::clients::Client;
use fred::interfaces::{ClientLike, Resp3Frame as Frame};
use fred::types::config::{Config, ConnectionConfig, Options, ReconnectPolicy, TcpConfig, UnresponsiveConfig};
use fred::types::{Builder, ClientState, ClusterHash, CustomCommand, RespVersion, Value};

use super::keys::Keys;
use super::reply;
use super::script::{Call, Script};
use crate::store::engine::TimeSource;
use crate::store::error::StoreError;

/// How long a command may take; far below a lease, so that a stuck server is noticed in time.
const COMMAND_LIMIT: Duration = Duration::from_secs(4);
/// How long opening a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(4);
/// How long a command waits for a lost connection to come back before it fails.
const RECONNECT_WAIT: Duration = Duration::from_millis(1500);
/// Delays between attempts to reconnect, in milliseconds: first, longest, growth.
const RECONNECT_DELAYS: (u32, u32, u32) = (20, 1000, 2);

/// Where the server is, and what every connection to it shares.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    config: Config,
    slot: u16,
    pub(super) keys: Arc<Keys>,
    time: TimeSource,
}

impl Origin {
    pub(super) fn new(url: &str, namespace: &str, time: TimeSource) -> Result<Self, StoreError> {
        if url.starts_with("rediss") || url.starts_with("valkeys") {
            return Err(StoreError::Unsupported("this build speaks no TLS".to_owned()));
        }
        if namespace.trim().is_empty() {
            return Err(StoreError::Misuse("the namespace must not be empty".to_owned()));
        }
        let url = if let Some(rest) = url.strip_prefix("valkey") { format!("redis{rest}") } else { url.to_owned() };
        let mut config = configured(&url)?;
        config.fail_fast = true;
        if config.server.is_clustered() && !is_hash_tag(namespace) {
            return Err(StoreError::Unsupported(format!(
                "on a Cluster the namespace must be a hash tag, so that all keys stand in one slot: \
                 write namespace = \"{{{namespace}}}\""
            )));
        }
        let slot = fred::util::redis_keyslot(Keys::new(namespace).queues().as_ref());
        Ok(Self { config, slot, keys: Arc::new(Keys::new(namespace)), time })
    }

    /// The server's address, without secrets.
    pub(super) fn address(&self) -> String {
        let hosts: Vec<String> = self.config.server.hosts().iter().map(ToString::to_string).collect();
        let scheme = match &self.config.server {
            server if server.is_clustered() => "redis-cluster",
            server if server.is_sentinel() => "redis-sentinel",
            server if server.is_unix_socket() => "redis+unix",
            _ => "redis",
        };
        if self.config.server.is_unix_socket() {
            let path = hosts.first().map_or("", |host| host.trim_end_matches(":0"));
            return format!("{scheme}://{path}");
        }
        let database = self.config.database.map_or_else(String::new, |number| format!("/{number}"));
        format!("{scheme}://{}{database}", hosts.join(","))
    }

    /// The time for scripts: empty for the store's own.
    pub(super) fn now_ms(&self) -> Option<i64> {
        match &self.time {
            TimeSource::Store => None,
            TimeSource::Clock(clock) => Some(clock.now_ms()),
        }
    }

    /// Opens a connection on the runtime that calls.
    pub(super) async fn open(&self, version: RespVersion) -> Result<Connection, StoreError> {
        let config = Config { version, ..self.config.clone() };
        let (first, longest, growth) = RECONNECT_DELAYS;
        let mut policy = ReconnectPolicy::new_exponential(0, first, longest, growth);
        policy.set_jitter(10);
        let connection = ConnectionConfig {
            connection_timeout: CONNECT_LIMIT,
            internal_command_timeout: CONNECT_LIMIT,
            max_command_attempts: 1,
            unresponsive: UnresponsiveConfig { max_timeout: Some(COMMAND_LIMIT), interval: Duration::from_secs(1) },
            reconnect_on_auth_error: true,
            tcp: TcpConfig { nodelay: Some(true), ..TcpConfig::default() },
            ..ConnectionConfig::default()
        };
        let client = Builder::from_config(config)
            .set_policy(policy)
            .set_connection_config(connection)
            .build()
            .map_err(|error| reply::failed(&error))?;
        match tokio::time::timeout(CONNECT_LIMIT, client.init()).await {
            Ok(Ok(_router)) => {}
            Ok(Err(error)) => return Err(reply::failed(&error)),
            Err(_) => return Err(StoreError::Unavailable(format!("no connection within {CONNECT_LIMIT:?}"))),
        }
        let options =
            Options { max_attempts: Some(1), timeout: Some(COMMAND_LIMIT), fail_fast: true, ..Options::default() };
        Ok(Connection { client, options, origin: self.clone() })
    }
}

/// Reads a URL. The library refuses credentials before a socket's path, so they are taken out first.
fn configured(url: &str) -> Result<Config, StoreError> {
    let read = |url: &str| Config::from_url(url).map_err(|error| reply::failed(&error));
    let Some((scheme, (credentials, path))) = url
        .split_once("://")
        .filter(|(scheme, _)| scheme.ends_with("unix"))
        .and_then(|(scheme, rest)| rest.split_once("@/").map(|parts| (scheme, parts)))
    else {
        return read(url);
    };
    // With a host in place of the path the rest of the URL is an ordinary one.
    let Config { username, password, .. } = read(&format!("redis://{credentials}@localhost"))?;
    Ok(Config { username, password, ..read(&format!("{scheme}:///{path}"))? })
}

/// A namespace within braces: Redis Cluster hashes only what stands in them.
fn is_hash_tag(namespace: &str) -> bool {
    let tag = namespace.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    tag.is_some_and(|(tag, _)| !tag.is_empty())
}

/// One connection. Commands sent at the same time share it in order.
pub(super) struct Connection {
    pub(super) client: Client,
    options: Options,
    pub(super) origin: Origin,
}

impl Connection {
    pub(super) fn keys(&self) -> &Keys {
        &self.origin.keys
    }

    /// Is the server spoken to as a Cluster?
    pub(super) fn is_cluster(&self) -> bool {
        self.origin.config.server.is_clustered()
    }

    /// A call at the time that scripts of this store go by.
    pub(super) fn call(&self) -> Call {
        Call::at(self.origin.now_ms())
    }

    /// Runs a script. A server that does not know it (`NOSCRIPT`) has not run it, and gets its source.
    pub(super) async fn run(&self, script: &Script, call: Call) -> Result<Frame, StoreError> {
        let mut arguments = call.into_command(script.digest.clone());
        match self.send("EVALSHA", arguments.clone()).await? {
            frame if is_unknown_script(&frame) => {
                if let Some(first) = arguments.first_mut() {
                    *first = Value::Bytes(Bytes::from_static(script.source.as_bytes()));
                }
                checked(self.send("EVAL", arguments).await?)
            }
            frame => checked(frame),
        }
    }

    /// Like [`run`](Self::run), for calls so large that keeping a copy costs: the call is built
    /// again in the rare case that the server does not know the script.
    pub(super) async fn run_built(
        &self,
        script: &Script,
        mut build: impl FnMut() -> Call,
    ) -> Result<Frame, StoreError> {
        match self.send("EVALSHA", build().into_command(script.digest.clone())).await? {
            frame if is_unknown_script(&frame) => {
                let source = Bytes::from_static(script.source.as_bytes());
                checked(self.send("EVAL", build().into_command(source)).await?)
            }
            frame => checked(frame),
        }
    }

    /// Runs one command that only reads, or is an arrow by itself.
    pub(super) async fn command(&self, name: &'static str, arguments: Vec<Bytes>) -> Result<Frame, StoreError> {
        checked(self.send(name, arguments.into_iter().map(Value::Bytes).collect()).await?)
    }

    /// Runs several commands in one round trip. An error answers its own command only.
    pub(super) async fn commands(
        &self,
        commands: Vec<(&'static str, Vec<Bytes>)>,
    ) -> Result<Vec<Result<Frame, StoreError>>, StoreError> {
        let sent = commands.into_iter().map(|(name, arguments)| {
            let arguments = arguments.into_iter().map(Value::Bytes).collect();
            self.send(name, arguments)
        });
        let replies = futures_util::future::join_all(sent).await;
        replies.into_iter().map(|reply| reply.map(checked)).collect()
    }

    async fn send(&self, name: &'static str, arguments: Vec<Value>) -> Result<Frame, StoreError> {
        if self.client.state() != ClientState::Connected {
            self.wait_for_connection().await?;
        }
        let command = CustomCommand::new_static(name, ClusterHash::Custom(self.origin.slot), false);
        let sent = self.client.with_options(&self.options).custom_raw(command, arguments).await;
        sent.map_err(|error| reply::failed(&error))
    }

    async fn wait_for_connection(&self) -> Result<(), StoreError> {
        let down = || StoreError::Unavailable(format!("{} is not connected", self.origin.address()));
        match tokio::time::timeout(RECONNECT_WAIT, self.client.wait_for_connect()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) if self.client.state() == ClientState::Connected => Ok(()),
            Ok(Err(_)) | Err(_) => Err(down()),
        }
    }
}

fn is_unknown_script(frame: &Frame) -> bool {
    matches!(frame, Frame::SimpleError { data, .. } if data.starts_with("NOSCRIPT"))
}

/// An error that the server answered is an error.
fn checked(frame: Frame) -> Result<Frame, StoreError> {
    match frame {
        Frame::SimpleError { data, .. } => Err(reply::refused(&data)),
        Frame::BlobError { data, .. } => Err(reply::refused(&String::from_utf8_lossy(&data))),
        frame => Ok(frame),
    }
}

impl Drop for Connection {
    /// The library keeps a connection open until it is told to quit, even if nobody holds it. Without
    /// a runtime there is nothing to close: its tasks ended with theirs.
    fn drop(&mut self) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let client = self.client.clone();
            runtime.spawn(async move { client.quit().await });
        }
    }
}
