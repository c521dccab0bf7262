//! What a connection shows to the server, and whom it trusts; read again from its files when the server refuses it.
//!
//! A password, a certificate or an authority may be exchanged while a daemon runs. The server then refuses the next
//! connection, not the present ones. So after a refusal the files that the configuration names are read before each attempt.
//! That is told at first, then each minute, and when it is over.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use fred::error::Error;
use fred::types::config::{ClusterDiscoveryPolicy, Config, Server, ServerConfig, TlsConfig};
use tokio::time::Instant;

use super::{reply, tls};
use crate::config::element::redis_url::{Host, Login, RedisUrl, Topology};
use crate::config::element::tls_files::{ConnectionFiles, TlsFiles};
use crate::file::bounded;
use crate::store::error::StoreError;
use crate::store::findings::Findings;

/// How often a refusal that lasts is told.
const REMINDER: Duration = Duration::from_secs(60);

/// The subject of what is told of a refusal, and of files that cannot be used.
const REFUSED: &str = "the refusal";
const FILES: &str = "the files of the connection";

/// What connections are made with at present. Shared by all of a store.
#[derive(Clone)]
pub(super) struct Credentials(Arc<Shared>);

struct Shared {
    url: RedisUrl,
    files: ConnectionFiles,
    findings: Findings,
    present: RwLock<Config>,
    /// The server took a connection before. Until then a refusal is an error of the caller, who tells it.
    taken: AtomicBool,
    refused: Mutex<Option<Refused>>,
}

/// A refusal that lasts.
struct Refused {
    since: Instant,
    told: Option<Instant>,
    why: String,
}

impl Credentials {
    pub(super) fn new(url: &RedisUrl, files: &ConnectionFiles, findings: Findings) -> Result<Self, StoreError> {
        let (present, files) = (RwLock::new(configured(url, &files.tls)?), files.clone());
        let (taken, refused) = (AtomicBool::new(false), Mutex::default());
        Ok(Self(Arc::new(Shared { url: url.clone(), files, findings, present, taken, refused })))
    }

    /// What the next connection is made with. After a refusal it is read again.
    pub(super) async fn next(&self) -> Config {
        if self.refusal().is_some() {
            let shared = Arc::clone(&self.0);
            // Files may be on a disk that is slow, and the core's thread must not wait.
            match tokio::task::spawn_blocking(move || shared.read()).await {
                Ok(Ok(config)) => *self.0.present.write().unwrap_or_else(PoisonError::into_inner) = config,
                Ok(Err(text)) => self.0.findings.complain(FILES, text),
                // The runtime ends.
                Err(_) => {}
            }
        }
        self.present()
    }

    pub(super) fn present(&self) -> Config {
        self.0.present.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whom the server knows us as.
    pub(super) fn user(&self) -> String {
        let present = self.0.present.read().unwrap_or_else(PoisonError::into_inner);
        present.username.clone().unwrap_or_else(|| "default".to_owned())
    }

    /// What Sentinels are shown.
    pub(super) fn of_sentinels(&self) -> (Login, Option<TlsConfig>) {
        let config = self.present();
        let mut login = Login::default();
        if let ServerConfig::Sentinel { username, password, .. } = config.server {
            (login.user, login.password) = (username, password);
        }
        (login, config.tls)
    }

    /// The server took a connection.
    pub(super) fn taken(&self) {
        self.0.taken.store(true, Ordering::Relaxed);
        if let Some(Refused { since, told: Some(_), .. }) = self.refusal().take() {
            let lasted = whole_seconds(since.elapsed());
            self.0.findings.mended(REFUSED, &format!("{} takes us again, after {lasted}", self.0.url));
        }
    }

    /// Takes note of an error of the library on a connection that it makes anew. Returns whether it is a refusal.
    pub(super) fn is_refused(&self, error: &Error) -> bool {
        let refuses = reply::refuses_us(error);
        if refuses {
            self.refused(&reply::not_opened(error, self.0.url.tls));
        }
        refuses
    }

    /// The server refuses us.
    pub(super) fn refused(&self, why: &StoreError) {
        // Sentinels that do not answer may also be down: then the outage is told, and the files are read all the same.
        let is_certain = matches!(why, StoreError::Unsupported(_));
        let why = match why {
            StoreError::Unsupported(why) | StoreError::Unreached(why) | StoreError::Misuse(why) => why.clone(),
            other => other.to_string(),
        };
        let mut present = self.refusal();
        let refused = present.get_or_insert_with(|| Refused { since: Instant::now(), told: None, why: why.clone() });
        refused.why = why;
        let is_due = refused.told.is_none_or(|told| told.elapsed() >= REMINDER);
        if is_certain && is_due && self.0.taken.load(Ordering::Relaxed) {
            refused.told = Some(Instant::now());
            let text = self.0.text(refused);
            drop(present);
            self.0.findings.complain(REFUSED, text);
        }
    }

    /// Why the server refuses us, while it does.
    pub(super) fn why(&self) -> Option<String> {
        self.refusal().as_ref().map(|refused| refused.why.clone())
    }

    fn refusal(&self) -> MutexGuard<'_, Option<Refused>> {
        self.0.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Reads the files again.
    fn read(&self) -> Result<Config, String> {
        let mut url = self.url.clone();
        if let Some(path) = &self.files.address {
            let read = bounded::read_text(path, bounded::SECRET);
            let text = read.map_err(|error| format!("{} cannot be read again: {error}", path.display()))?;
            // What stands there is a secret, so that it is not quoted.
            let found = RedisUrl::parse(&text).map_err(|error| format!("{}: {error}", path.display()))?;
            if (&found.topology, found.tls, found.database) != (&url.topology, url.tls, url.database) {
                return Err(format!(
                    "{} names another server now ({found}): restart the daemon to go there",
                    path.display()
                ));
            }
            url = found;
        }
        configured(&url, &self.files.tls).map_err(|error| format!("failed to {error}"))
    }

    fn text(&self, refused: &Refused) -> String {
        let lasted = refused.since.elapsed();
        let since = if lasted < REMINDER { String::new() } else { format!(", for {} now", whole_seconds(lasted)) };
        let files: Vec<String> = self.files().map(|path| path.display().to_string()).collect();
        let remedy = if files.is_empty() {
            "the configuration names no file with credentials ([store] url = { file = \"...\" }), so that new ones are \
             taken by a restart only"
                .to_owned()
        } else {
            format!("before each further attempt {} is read again: put there what the server takes", files.join(", "))
        };
        format!("{} refuses us{since}: {}; {remedy}", self.url, refused.why)
    }

    fn files(&self) -> impl Iterator<Item = &Path> {
        let ConnectionFiles { tls: TlsFiles { ca, identity, .. }, address } = &self.files;
        let identity = identity.iter().flat_map(|(cert, key)| [cert, key]);
        let tls = ca.iter().chain(identity).filter(|_| self.url.tls);
        address.iter().chain(tls).map(PathBuf::as_path)
    }
}

/// The address in the client library's terms.
fn configured(url: &RedisUrl, tls: &TlsFiles) -> Result<Config, StoreError> {
    let servers = |hosts: &[Host]| hosts.iter().map(|host| Server::new(host.name.as_str(), host.port)).collect();
    let server = match &url.topology {
        Topology::Server(host) => ServerConfig::new_centralized(host.name.as_str(), host.port),
        Topology::Socket(path) => ServerConfig::new_unix_socket(path),
        Topology::Sentinels(hosts, service) => ServerConfig::Sentinel {
            hosts: servers(hosts),
            service_name: service.clone(),
            username: url.sentinel_login.user.clone(),
            password: url.sentinel_login.password.clone(),
        },
        Topology::Cluster(hosts) => {
            ServerConfig::Clustered { hosts: servers(hosts), policy: ClusterDiscoveryPolicy::default() }
        }
    };
    Ok(Config {
        server,
        username: url.login.user.clone(),
        password: url.login.password.clone(),
        database: url.database,
        tls: url.tls.then(|| tls::configured(url, tls)).transpose()?,
        fail_fast: true,
        ..Config::default()
    })
}

fn whole_seconds(duration: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(duration.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Bus;

    const OURS: &str = "redis://worker:old@127.0.0.1:6379/2";

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_is_read_again_and_told_each_minute_until_it_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("url");
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        write(OURS);
        let (bus, listeners) = Bus::new(&[u32::MAX], 1 << 20);
        let told =
            || std::iter::from_fn(|| listeners[0].try_next()).map(|event| format!("{event:?}")).collect::<Vec<_>>();
        let files = ConnectionFiles { address: Some(path.clone()), ..ConnectionFiles::default() };
        let url = RedisUrl::parse(OURS).unwrap();
        let credentials = Credentials::new(&url, &files, Findings::new(bus)).unwrap();
        let why = StoreError::Unsupported("it refuses our credentials: WRONGPASS".to_owned());
        credentials.refused(&why);
        assert_eq!(told(), [""; 0], "anyone who opens the first connection tells it");
        credentials.taken();
        for _ in 0..5 {
            credentials.refused(&why);
            tokio::time::advance(Duration::from_secs(25)).await;
        }
        let said = told();
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].contains("refuses us: it refuses our credentials: WRONGPASS; before each"), "{said:?}");
        assert!(said[1].contains("refuses us, for 1m 15s now"), "{said:?}");
        assert!(said[0].contains(&path.display().to_string()) && !said[0].contains("old@"), "{said:?}");
        for (text, expected) in [("junk", "url: expected"), ("redis://x:new@elsewhere", "names another server now")] {
            write(text);
            assert_eq!(credentials.next().await.password.as_deref(), Some("old"));
            assert!(told()[0].contains(expected), "{text}");
        }
        write("redis://rotated:new@127.0.0.1:6379/2");
        assert_eq!(credentials.next().await.password.as_deref(), Some("new"));
        assert_eq!(credentials.user(), "rotated");
        credentials.taken();
        assert!(told()[0].contains("redis://127.0.0.1:6379/2 takes us again, after 2m 5s"));
        assert_eq!(told(), [""; 0]);
    }
}
