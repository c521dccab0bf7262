//! A connection: how it is made, how a command is sent, when it fails.
//!
//! No command is ever sent twice: one attempt, then the caller is told that the outcome is unknown.
//! While the connection is down a command waits shortly for it to come back, then fails. Nothing
//! hangs, because each command has a limit, after which a new connection is made (`keeper`).

use std::sync::Arc;
use std::time::Duration;

use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::{ClientLike, Resp3Frame as Frame};
use fred::types::config::{Config, ConnectionConfig, Options, ReconnectPolicy, ServerConfig, TcpConfig};
use fred::types::{Builder, ClientState, ClusterHash, CustomCommand, RespVersion, Value};
use futures_util::FutureExt;
use tokio::sync::watch;

use super::beats::Beats;
use super::credentials::Credentials;
use super::keeper::{Kept, Made, close};
use super::keys::Keys;
use super::known_rights::Rights;
use super::patience::Patience;
use super::refusal;
use super::reply;
use super::script::Call;
use super::sentinels::Sentinels;
use super::sharing::Sharing;
use super::told_time::ToldTime;
use crate::config::element::redis_cli::redis_cli;
use crate::config::element::redis_url::{RedisUrl, Topology, is_hash_tag, untagged};
use crate::config::element::tls_files::ConnectionFiles;
use crate::store::backend::TimeSource;
use crate::store::error::StoreError;
use crate::store::findings::Findings;
use crate::store::unreadable::PassedOver;

/// How long opening a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(4);
/// How long a command waits for a lost connection to come back before it fails.
const RECONNECT_WAIT: Duration = Duration::from_millis(1500);
/// Delays between attempts to reconnect, in milliseconds: first, longest, growth.
const RECONNECT_DELAYS: (u32, u32, u32) = (20, 1000, 2);

/// What stands between two findings of a script.
const FINDING_END: u8 = 0x1e;

/// Where the server is, and what every connection to it shares.
#[derive(Clone)]
pub(super) struct Origin {
    /// What connections are made with.
    credentials: Credentials,
    url: RedisUrl,
    slot: u16,
    pub(super) keys: Arc<Keys>,
    time: TimeSource,
    pub(super) findings: Findings,
    /// How often it was found that the server does not tell of changes any more that it promised to tell of.
    pub(super) forgotten: watch::Sender<u64>,
    /// What shows that.
    pub(super) beats: Beats,
    /// Shared by all connections: they are one user's.
    pub(super) rights: Arc<Rights>,
    /// What time the server told last.
    pub(super) told: Arc<ToldTime>,
    /// How long answers are waited for.
    pub(super) patience: Patience,
    /// Who shares a connection.
    pub(super) sharing: Arc<Sharing>,
    /// Those that know the master, if it is found by Sentinels.
    sentinels: Option<Arc<Sentinels>>,
}

impl std::fmt::Debug for Origin {
    /// The address only: the client library's configuration would show the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Origin").field(&self.url).finish()
    }
}

impl Origin {
    pub(super) fn new(
        url: &str,
        files: &ConnectionFiles,
        namespace: &str,
        time: TimeSource,
        findings: Findings,
    ) -> Result<Self, StoreError> {
        if namespace.trim().is_empty() {
            return Err(StoreError::Misuse("the namespace must not be empty".to_owned()));
        }
        let url = RedisUrl::parse(url).map_err(|error| StoreError::Misuse(error.to_string()))?;
        if url.is_cluster() && !is_hash_tag(namespace) {
            return Err(StoreError::Unsupported(untagged(namespace)));
        }
        let credentials = Credentials::new(&url, files, findings.clone())?;
        let slot = fred::util::redis_keyslot(Keys::new(namespace).queues().as_ref());
        let (keys, rights, told) = (Arc::new(Keys::new(namespace)), Arc::default(), Arc::default());
        let patience = Patience::default();
        let sentinels = Sentinels::of(&url, &credentials, &patience).map(Arc::new);
        Ok(Self {
            credentials,
            url,
            slot,
            keys,
            time,
            findings,
            rights,
            told,
            patience,
            sharing: Arc::default(),
            sentinels,
            forgotten: watch::Sender::new(0),
            beats: Beats::default(),
        })
    }

    pub(super) fn sentinels(&self) -> Option<&Arc<Sentinels>> {
        self.sentinels.as_ref()
    }

    /// The server's address, without secrets.
    pub(super) fn address(&self) -> String {
        self.url.to_string()
    }

    /// How a person asks it.
    pub(super) fn cli(&self) -> String {
        redis_cli(&self.url)
    }

    /// Is there one server, which no other can take the place of?
    pub(super) fn is_one_server(&self) -> bool {
        matches!(self.url.topology, Topology::Server(_) | Topology::Socket(_))
    }

    /// Whom the server knows us as.
    pub(super) fn user(&self) -> String {
        self.credentials.user()
    }

    /// Does this key stand in another slot than the namespace?
    pub(super) fn is_elsewhere(&self, key: &[u8]) -> bool {
        fred::util::redis_keyslot(key) != self.slot
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
        let made = self.connect(version.clone(), CONNECT_LIMIT).boxed().await?;
        let options = Options { max_attempts: Some(1), fail_fast: true, ..Options::default() };
        let origin = self.clone();
        let again = move |limit| {
            let (origin, version) = (origin.clone(), version.clone());
            async move { origin.connect(version, limit).await }.boxed()
        };
        let (address, findings) = (self.address(), self.findings.clone());
        let tell = move |why: &str| {
            findings.tell("the connection", format!("the connection to {address} {why} and is made anew"));
        };
        let master = self.sentinels.as_ref().map(|sentinels| sentinels.master());
        let credentials = self.credentials.clone();
        let refused = move |error: &Error| credentials.is_refused(error);
        let kept = Kept::new(self.patience.clone(), made, Box::new(again), Box::new(tell), Box::new(refused), master);
        Ok(Connection { kept, options, origin: self.clone() })
    }

    /// Does the server take another connection? It is closed at once.
    pub(super) async fn try_to_open(&self) -> Result<(), StoreError> {
        close(self.connect(RespVersion::RESP2, CONNECT_LIMIT).boxed().await?).await;
        Ok(())
    }

    /// Makes a connection that nobody keeps yet. Its future is large: box it where it is awaited.
    async fn connect(&self, version: RespVersion, limit: Duration) -> Result<Made, StoreError> {
        let mut config = Config { version, ..self.credentials.next().await };
        let sentinel = self.sentinels.as_ref().map(|sentinels| (sentinels, sentinels.first()));
        if let (Some((_, first)), ServerConfig::Sentinel { hosts, .. }) = (sentinel, &mut config.server) {
            hosts.rotate_left(first);
        }
        let (first, longest, growth) = RECONNECT_DELAYS;
        let mut policy = ReconnectPolicy::new_exponential(0, first, longest, growth);
        policy.set_jitter(10);
        // A Sentinel that is silent must leave time for another one.
        let is_one_of_several = matches!(&config.server, ServerConfig::Sentinel { hosts, .. } if hosts.len() > 1);
        let patience = if is_one_of_several { CONNECT_LIMIT / 2 } else { CONNECT_LIMIT };
        let connection = ConnectionConfig {
            connection_timeout: patience,
            internal_command_timeout: patience,
            max_command_attempts: 1,
            reconnect_on_auth_error: true,
            tcp: TcpConfig { nodelay: Some(true), ..TcpConfig::default() },
            ..ConnectionConfig::default()
        };
        let client = Builder::from_config(config)
            .set_policy(policy)
            .set_connection_config(connection)
            .build()
            .map_err(|error| reply::failed(&error))?;
        match tokio::time::timeout(limit, client.init()).await {
            Ok(Ok(router)) => {
                self.credentials.taken();
                Ok((client, router))
            }
            Ok(Err(error)) => {
                self.credentials.is_refused(&error);
                Err(reply::not_opened(&error, self.url.tls))
            }
            Err(_) => {
                // Its task goes on without us, and has the only end of its channel that counts: take that away.
                client.connect().abort();
                if let Some((sentinels, first)) = sentinel {
                    sentinels.pass_over(first);
                }
                Err(reply::not_in_time(limit, self.url.tls))
            }
        }
    }
}

/// One connection. Commands sent at the same time share it in order.
pub(super) struct Connection {
    kept: Kept,
    options: Options,
    pub(super) origin: Origin,
}

impl Connection {
    pub(super) fn keys(&self) -> &Keys {
        &self.origin.keys
    }

    /// Hands out the client of the connection at present.
    pub(super) fn clients(&self) -> impl Fn() -> Client + Send + 'static {
        self.kept.clients()
    }

    /// Tells of each new connection that took the place of one that was lost.
    pub(super) fn renewals(&self) -> watch::Receiver<Option<u64>> {
        self.kept.numbers()
    }

    /// Is the server spoken to as a Cluster?
    pub(super) fn is_cluster(&self) -> bool {
        self.origin.url.is_cluster()
    }

    /// A call at the time that scripts of this store go by.
    pub(super) fn call(&self) -> Call {
        Call::at(self.origin.now_ms())
    }

    /// An error that the server answered is an error.
    pub(super) fn checked(&self, frame: Frame) -> Result<Frame, StoreError> {
        let error = match &frame {
            Frame::SimpleError { data, .. } => data.to_string(),
            Frame::BlobError { data, .. } => String::from_utf8_lossy(data).into_owned(),
            _ => return Ok(frame),
        };
        self.origin.rights.note(&error);
        Err(refusal::refused_to(&self.origin.user(), &self.origin.cli(), &error))
    }

    /// The errors that a script met and went on after.
    pub(super) fn findings(&self, text: &[u8]) -> Vec<StoreError> {
        let errors = text.split(|byte| *byte == FINDING_END).filter(|error| !error.is_empty());
        let read = |error: &[u8]| {
            let error = String::from_utf8_lossy(error);
            self.origin.rights.note(&error);
            refusal::refused_to(&self.origin.user(), &self.origin.cli(), &error)
        };
        errors.map(read).collect()
    }

    /// Counts and tells what a look at the records under `key` could not read.
    pub(super) fn passed_over(&self, passed: &PassedOver, key: &[u8]) {
        self.origin.findings.passed_over(passed, &String::from_utf8_lossy(key));
    }

    /// Tells that runs are not kept where they should be.
    pub(super) fn tell_without_run(&self, refused: &StoreError) {
        let text = format!("failed to {refused}; the runs of that task are not kept");
        self.origin.findings.tell("runs that are kept", text);
    }

    pub(super) async fn send(&self, name: &'static str, arguments: Vec<Value>) -> Result<Frame, StoreError> {
        self.send_for(name, arguments, 0).await
    }

    /// Sends a command whose answer has about so many bytes.
    pub(super) async fn send_for(
        &self,
        name: &'static str,
        arguments: Vec<Value>,
        answer: usize,
    ) -> Result<Frame, StoreError> {
        let Some(number) = self.kept.number(RECONNECT_WAIT).await else { return Err(self.down()) };
        let client = self.kept.client();
        if client.state() != ClientState::Connected {
            self.wait_for(&client).await?;
        }
        let command = CustomCommand::new_static(name, ClusterHash::Custom(self.origin.slot), false);
        let with_options = client.with_options(&self.options);
        let size = |value: &Value| if let Value::Bytes(bytes) = value { bytes.len() } else { 0 };
        let bytes = arguments.iter().map(size).sum::<usize>() + answer;
        let frame = match self.kept.answer(number, bytes, with_options.custom_raw(command, arguments)).await {
            Some(answer) => answer.map_err(|error| reply::failed(&error))?,
            None => return Err(StoreError::Unavailable(format!("{} gave no answer in time", self.origin.address()))),
        };
        if is_of_a_replica(&frame) {
            look_for_the_master(client);
        } else if is_unauthenticated(&frame) {
            // The next one shows the present credentials.
            self.kept.refused(number);
        }
        Ok(frame)
    }

    async fn wait_for(&self, client: &Client) -> Result<(), StoreError> {
        match tokio::time::timeout(RECONNECT_WAIT, client.wait_for_connect()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) if client.state() == ClientState::Connected => Ok(()),
            Ok(Err(_)) | Err(_) => Err(self.down()),
        }
    }

    fn down(&self) -> StoreError {
        let address = self.origin.address();
        StoreError::Unreached(match self.origin.credentials.why() {
            Some(why) => format!("{address} takes no connection of ours: {why}"),
            None => format!("{address} is not connected"),
        })
    }
}

/// A server that was our master has become a replica: behind Sentinel, a Cluster or a name, another is it now.
fn look_for_the_master(client: Client) {
    tokio::spawn(async move { client.force_reconnection().await });
}

/// What a server answers that does not know us on this connection (any more).
fn is_unauthenticated(frame: &Frame) -> bool {
    matches!(frame, Frame::SimpleError { data, .. } if data.starts_with("NOAUTH"))
}

/// What a replica answers to those who would write (or, cut off from its master, read).
fn is_of_a_replica(frame: &Frame) -> bool {
    matches!(frame, Frame::SimpleError { data, .. } if data.contains("READONLY") || data.starts_with("MASTERDOWN"))
}
