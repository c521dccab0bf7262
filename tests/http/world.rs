//! A daemon with an HTTP server, on either store.

use crate::client::Place;
use crate::daemon::{Daemon, Folder, eventually};
use crate::support::redis::{Options, RedisServer};

/// A daemon, and where its server is.
pub(crate) struct World {
    pub(crate) folder: Folder,
    pub(crate) daemon: Daemon,
    pub(crate) place: Place,
    /// For as long as the daemon is there.
    _redis: Option<RedisServer>,
}

/// A token of an administrator.
pub(crate) const TOKEN: &str = "a-token-of-an-administrator";

impl World {
    /// Over SQLite; `http` is added to `[http]`, `prepare` puts tasks into the folder.
    pub(crate) fn sqlite(http: &str, prepare: impl FnOnce(&Folder)) -> Self {
        Self::start(Folder::new("sqlite:store.db", ""), None, http, prepare)
    }

    /// Over Redis.
    pub(crate) fn redis(http: &str, prepare: impl FnOnce(&Folder)) -> Self {
        let server = RedisServer::start(Options { tcp: false, durable: false });
        Self::start(Folder::new(&server.url(), ""), Some(server), http, prepare)
    }

    /// On both.
    pub(crate) fn both(http: &str, prepare: impl Fn(&Folder), test: impl Fn(&Self)) {
        for world in [Self::sqlite(http, &prepare), Self::redis(http, &prepare)] {
            test(&world);
            world.daemon.stop();
        }
    }

    fn start(folder: Folder, redis: Option<RedisServer>, http: &str, prepare: impl FnOnce(&Folder)) -> Self {
        configure(&folder, &format!("listen = \"127.0.0.1:0\"\n{http}"));
        prepare(&folder);
        let daemon = folder.daemon();
        daemon.wait_log("[ worker ] started");
        let place = listens(&daemon);
        // Its first worker starts a moment before that.
        eventually("it is ready", || place.get("/health/ready").status == 200);
        Self { folder, daemon, place, _redis: redis }
    }
}

impl World {
    /// What the command line says, as JSON.
    #[track_caller]
    pub(crate) fn cli(&self, args: &[&str]) -> serde_json::Value {
        let (code, said) = self.folder.windlass(&[&["--json"], args].concat());
        assert_eq!(code, Some(0), "{args:?}: {said}");
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
    }

    /// All items of a list, page by page.
    #[track_caller]
    pub(crate) fn all(&self, path: &str, limit: usize) -> Vec<serde_json::Value> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        let and = if path.contains('?') { '&' } else { '?' };
        loop {
            let page = self.place.get(&format!("{path}{and}limit={limit}{cursor}"));
            assert_eq!(page.status, 200, "{page:?}");
            let page = page.json();
            assert!(page["as_of"].is_string() && page["as_of_ms"].is_i64() && page["scanned"].is_u64(), "{page}");
            all.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return all,
            }
        }
    }
}

/// Adds `[http]` to the configuration of a folder.
pub(crate) fn configure(folder: &Folder, http: &str) {
    let text = folder.read("tasks.toml");
    std::fs::write(folder.path("tasks.toml"), format!("{text}\n[http]\n{http}\n")).unwrap();
}

/// Where the first TCP server of a daemon listens, as it says.
pub(crate) fn listens(daemon: &Daemon) -> Place {
    Place::Tcp(daemon.http_address())
}
