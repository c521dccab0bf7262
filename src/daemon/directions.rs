//! Tells programs of jobs where their daemon works, if they ask.
//!
//! ```text
//!   the daemon --(the variable WINDLASS_DAEMON: a name)--> a job --> `windlass enqueue` in that job
//!   the daemon <--(the socket of that name)-- `windlass enqueue`: which configuration, which store?
//! ```
//!
//! A job that enqueues another one means the store from which it came itself. It does not know the address: that may stand on
//! the daemon's command line, in its environment, which jobs do not get, or in a file that they may not read. So the command
//! asks. The socket has no place in the file system, so that nothing of it is left when the daemon dies. An address with a
//! password is told to the daemon's own user and to root alone; others learn the configuration, and which store it is.

use std::io;
#[cfg(feature = "cli")]
use std::io::Read as _;
use std::os::linux::net::SocketAddrExt;
#[cfg(feature = "cli")]
use std::os::unix::net::UnixStream;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::Duration;

#[cfg(feature = "cli")]
use rustix::net::sockopt::socket_peercred;
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use crate::config::Config;
use crate::supervise::scope::named;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(2);
/// The longest answer, in bytes.
#[cfg(feature = "cli")]
const LONGEST: u64 = 64 * 1024;
/// How long the socket rests after a failure, such as too many open files.
const REST: Duration = Duration::from_millis(200);

/// Where a daemon works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Directions {
    /// The path of its configuration, if it has one.
    pub config: Option<String>,
    /// The address of its store; `None` if the one who asks may not know its password.
    pub store: Option<String>,
    /// The same without secrets.
    pub shown: String,
}

impl Directions {
    /// Those of a daemon with this configuration.
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            config: config.source.as_deref().and_then(|path| path.to_str()).map(str::to_owned),
            store: Some(config.store.url.with_secrets()),
            shown: config.store.url.to_string(),
        }
    }

    /// What others than our user may know.
    fn public_of(config: &Config) -> Self {
        let all = Self::of(config);
        Self { store: all.store.filter(|_| !config.store.url.has_secrets()), ..all }
    }
}

fn address(name: &str) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("windlass-{name}"))
}

/// Answers from now on; returns the name by which it is asked.
///
/// # Errors
/// Fails if there can be no such socket.
pub(crate) fn give(config: &Config, runtime: &Handle) -> io::Result<String> {
    // Nobody can guess it and have the socket before us.
    let name = format!("{:016x}", getrandom::u64().map_err(io::Error::other)?);
    let listener = UnixListener::bind_addr(&address(&name)?)?;
    listener.set_nonblocking(true)?;
    let _in_runtime = runtime.enter();
    let listener = tokio::net::UnixListener::from_std(listener)?;
    let all = serde_json::to_vec(&Directions::of(config))?;
    let public = serde_json::to_vec(&Directions::public_of(config))?;
    runtime.spawn(named("directions for jobs", answer(listener, all, public)));
    Ok(name)
}

async fn answer(listener: tokio::net::UnixListener, all: Vec<u8>, public: Vec<u8>) {
    loop {
        let Ok((mut stream, _)) = listener.accept().await else {
            sleep(REST).await;
            continue;
        };
        let trusted = stream.peer_cred().is_ok_and(|peer| is_trusted(peer.uid()));
        // It fits into the socket's buffer, so that nobody holds up the others. Who does not read it goes without.
        let _ = timeout(LIMIT, stream.write_all(if trusted { &all } else { &public })).await;
    }
}

fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == geteuid().as_raw()
}

/// Asks the daemon of this name. Only an answer of root or of our own user counts: where a daemon has died, anybody could
/// give one.
///
/// # Errors
/// Says why there is no answer.
#[cfg(feature = "cli")]
pub(crate) fn ask(name: &str) -> io::Result<Directions> {
    let stream = UnixStream::connect_addr(&address(name)?)?;
    stream.set_read_timeout(Some(LIMIT))?;
    if !is_trusted(socket_peercred(&stream)?.uid.as_raw()) {
        return Err(io::Error::other("it belongs to another user"));
    }
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer)?;
    serde_json::from_slice(&answer).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::{Sources, load};

    fn config(store: &str) -> Config {
        let sources = Sources { store_url: Some(store.to_owned()), ..Sources::new("/nowhere") };
        load(&sources).unwrap().config
    }

    #[test]
    fn an_address_with_a_password_is_not_public() {
        for (store, is_public) in [
            ("redis://:pw@host:6379/1", false),
            ("redis-sentinel://host/main?sentinel_password=pw", false),
            ("redis://localhost", true),
            ("sqlite:/a/b.db", true),
        ] {
            let config = config(store);
            assert_eq!(Directions::of(&config).store.as_deref(), Some(store));
            let public = Directions::public_of(&config);
            assert_eq!(public.store.as_deref(), is_public.then_some(store));
            assert!(!serde_json::to_string(&public).unwrap().contains("pw"), "{public:?}");
        }
    }

    #[cfg(feature = "cli")]
    #[test]
    fn who_asks_gets_what_was_given() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let config = config("redis://:pw@host:6379/1");
        let name = give(&config, runtime.handle()).unwrap();
        for _ in 0..3 {
            assert_eq!(ask(&name).unwrap(), Directions::of(&config));
        }
        drop(runtime);
        assert!(ask(&name).is_err(), "nobody answers after its end");
    }
}
