//! The HTTP server of a daemon, if `[http]` wants one and the program was built with it (the feature `web`).
//!
//! Its sockets are bound before anything else starts, so that an address that cannot be had ends the start. It serves before
//! the daemon is ready: health tells how far it has come.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::options::RunError;
use crate::clock::Clock;
use crate::config::Config;
use crate::config::error::Problem;
use crate::event::{Bus, Listener, Tally};
use crate::plugin::registry::Plugins;
use crate::store::Store;
use crate::store::outage::Outage;
use crate::store::role::Whole;
use crate::supervise::pulse::Pulses;
use crate::task::Registry;

/// What is wrong with `[http]` for this program.
#[must_use]
pub fn check(config: &Config) -> Option<Problem> {
    let is_built = cfg!(feature = "web");
    let told = "this program was built without its HTTP server (the feature `web`); remove [http]";
    (config.http.is_some() && !is_built).then(|| Problem::of_source("http", told))
}

/// What the server is made with beside its content.
pub(super) struct Surroundings {
    pub(super) plugins: Arc<Plugins>,
    pub(super) handlers: Handle,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) pulses: Pulses,
    pub(super) outage: Outage,
    pub(super) bus: Bus,
    pub(super) tally: Tally,
    /// What streams of events hear of: the third listener of the bus.
    pub(super) streamed: Listener,
}

/// A socket that passes from one daemon to the next: its address, as the configuration has it, and the socket.
pub(super) type PassedSocket = (String, OwnedFd);

#[cfg(feature = "web")]
pub(super) use built::{WebBound, WebReload, WebSockets, WebTold};
#[cfg(not(feature = "web"))]
pub(super) use left_out::{WebBound, WebReload, WebSockets, WebTold};

/// How many connections it may have.
#[cfg(feature = "web")]
pub(super) fn connections(config: &Config) -> usize {
    config.http.as_ref().map_or(0, |_| crate::http::OPEN)
}

#[cfg(not(feature = "web"))]
pub(super) fn connections(_: &Config) -> usize {
    0
}

#[cfg(feature = "web")]
mod built {
    use std::sync::OnceLock;
    use std::time::Duration;

    use tokio::sync::watch;

    use super::*;
    use crate::config::http::{HttpConfig, LoopbackMode};
    use crate::event::Event;
    use crate::http::{
        self, Changes, Content, Listening, Outlet, Passed, Relisten, Server, Site, Sockets, Stage, Standing,
    };
    use crate::process::sweep::hostname;

    /// How long requests may go on when all else has ended.
    const LAST_ANSWERS: Duration = Duration::from_secs(1);
    /// The number of the listener that hears what streams tell.
    const STREAMED: usize = 2;

    /// The sockets, before anything is served.
    pub(in crate::daemon) struct WebBound(Option<Prepared>);

    struct Prepared {
        sockets: Sockets,
        content: watch::Receiver<Arc<Content>>,
        changes: Changes,
    }

    /// What a reload replaces. `None`: there is no server.
    pub(in crate::daemon) struct WebReload(Option<(watch::Sender<Arc<Content>>, Relisten)>);

    /// What a reload has bound, and has not yet handed over.
    pub(in crate::daemon) struct Rebound(Sockets);

    /// What the server is told. Cheap to clone.
    #[derive(Clone, Default)]
    pub(in crate::daemon) struct WebTold {
        standing: Standing,
        /// When all must be over.
        deadline: Arc<OnceLock<Instant>>,
    }

    /// The running server, if there is one.
    pub(in crate::daemon) struct Web(Option<Server>);

    fn content(http: &HttpConfig, config: &Config, registry: &Arc<Registry>) -> Arc<Content> {
        let content = Content::new(http.clone(), Arc::clone(registry), &config.log.redact).on(hostname());
        #[cfg(feature = "otel")]
        let content = content.sampled_by(config.otel.as_ref().map(|otel| otel.sampler));
        Arc::new(content)
    }

    /// What it listens on, for a daemon that takes over.
    #[derive(Default)]
    pub(in crate::daemon) struct WebSockets(Listening);

    impl WebSockets {
        /// The sockets. This daemon goes on with them.
        ///
        /// # Errors
        /// If the system gives no descriptors.
        pub(in crate::daemon) fn pass_on(&self) -> std::io::Result<Vec<PassedSocket>> {
            Ok(self.0.pass_on()?.into_iter().map(|one| (one.address, one.socket)).collect())
        }

        /// They belong to the daemon that has taken over.
        pub(in crate::daemon) fn leave(&self) {
            self.0.leave();
        }
    }

    impl WebBound {
        /// Binds the sockets, but those that were passed.
        ///
        /// # Errors
        /// If one cannot be had.
        pub(in crate::daemon) fn bind(
            config: &Config,
            registry: &Arc<Registry>,
            passed: Vec<PassedSocket>,
        ) -> Result<(Self, WebReload), RunError> {
            let Some(http) = &config.http else { return Ok((Self(None), WebReload(None))) };
            let passed = passed.into_iter().map(|(address, socket)| Passed { address, socket }).collect();
            let (mut sockets, rest) = http::take_over(&http.listen, passed);
            sockets.add(http::bind(&rest, &[])?);
            let (sender, content) = watch::channel(content(http, config, registry));
            let (relisten, changes) = http::changes();
            Ok((Self(Some(Prepared { sockets, content, changes })), WebReload(Some((sender, relisten)))))
        }

        /// Serves from now on.
        ///
        /// # Errors
        /// If the system gives no thread.
        pub(in crate::daemon) fn serve(self, told: &WebTold, around: Surroundings) -> std::io::Result<Web> {
            let Some(Prepared { sockets, content, changes }) = self.0 else { return Ok(Web(None)) };
            if let Some(text) = everybody(&content.borrow().http) {
                around.bus.emit(Event::Notice { text });
            }
            let Surroundings { plugins, handlers, clock, pulses, outage, bus, tally, streamed } = around;
            bus.figures().watch();
            bus.figures().taken_over(clock.now_ms());
            let mut site = Site::new(content, told.standing.clone(), handlers, clock);
            (site.plugins, site.pulses, site.outage, site.bus, site.tally) = (plugins, pulses, outage, bus, tally);
            site.outlet = Some(Outlet::new(streamed, STREAMED));
            Ok(Web(Some(Server::start(&site, sockets, changes)?)))
        }
    }

    /// That programs of this machine need no token.
    fn everybody(http: &HttpConfig) -> Option<String> {
        let local: Vec<_> = http.listen.iter().filter(|address| address.is_local()).map(ToString::to_string).collect();
        (http.loopback == LoopbackMode::Open && !local.is_empty()).then(|| {
            format!(
                "http: anyone who reaches {} on this machine may do everything without a token; loopback = \"token\" under \
                 [http] asks for one",
                local.join(", ")
            )
        })
    }

    impl WebReload {
        /// Binds what is new.
        ///
        /// # Errors
        /// If it cannot be had: the reload is refused.
        pub(in crate::daemon) fn prepare(&self, old: &Config, new: &Config) -> Result<Rebound, String> {
            let (Some(_), Some(old), Some(new)) = (&self.0, &old.http, &new.http) else {
                return Ok(Rebound(Sockets::default()));
            };
            let added = new.listen.iter().filter(|address| !old.listen.contains(address));
            http::bind(added, &old.listen).map(Rebound).map_err(|error| format!("failed to {error}"))
        }

        /// Replaces the content, and the addresses if they have changed.
        pub(in crate::daemon) fn apply(
            &self,
            Rebound(new): Rebound,
            old: &Config,
            config: &Config,
            registry: &Arc<Registry>,
        ) {
            let (Some((sender, relisten)), Some(http)) = (&self.0, &config.http) else { return };
            sender.send_replace(content(http, config, registry));
            if old.http.as_ref().is_some_and(|old| old.listen != http.listen) {
                relisten.change(http.listen.clone(), new);
            }
        }
    }

    impl WebTold {
        /// The store is open.
        pub(in crate::daemon) fn opened(&self, store: &Store<Whole>) {
            self.standing.opened(store);
        }

        /// The daemon works.
        pub(in crate::daemon) fn works(&self) {
            self.standing.reach(Stage::Working);
        }

        /// Another daemon has taken over.
        pub(in crate::daemon) fn replaced(&self) {
            self.standing.replaced();
        }

        /// The daemon ends, and all must be over by then.
        pub(in crate::daemon) fn drains(&self, deadline: Instant) {
            self.standing.reach(Stage::Draining);
            // The first one counts.
            let _ = self.deadline.set(deadline);
        }
    }

    impl Web {
        /// What it listens on.
        pub(in crate::daemon) fn sockets(&self) -> WebSockets {
            self.0.as_ref().map(|server| WebSockets(server.listening())).unwrap_or_default()
        }

        /// Ends it. Requests may go on for a moment, unless all must be over at once.
        pub(in crate::daemon) async fn end(self, told: &WebTold, at_once: bool) {
            let Some(server) = self.0 else { return };
            let now = Instant::now();
            let last = if at_once { now } else { now + LAST_ANSWERS };
            server.end(told.deadline.get().map_or(last, |deadline| last.min(*deadline).max(now))).await;
        }
    }
}

#[cfg(not(feature = "web"))]
mod left_out {
    use super::*;

    pub(in crate::daemon) struct WebBound;
    pub(in crate::daemon) struct WebReload;
    pub(in crate::daemon) struct Rebound;
    #[derive(Clone, Default)]
    pub(in crate::daemon) struct WebTold;
    pub(in crate::daemon) struct WebSockets;
    pub(in crate::daemon) struct Web;

    impl WebBound {
        pub(in crate::daemon) fn bind(
            _: &Config,
            _: &Arc<Registry>,
            _: Vec<PassedSocket>,
        ) -> Result<(Self, WebReload), RunError> {
            Ok((Self, WebReload))
        }

        pub(in crate::daemon) fn serve(self, _: &WebTold, _: Surroundings) -> std::io::Result<Web> {
            Ok(Web)
        }
    }

    impl WebReload {
        pub(in crate::daemon) fn prepare(&self, _: &Config, _: &Config) -> Result<Rebound, String> {
            Ok(Rebound)
        }

        pub(in crate::daemon) fn apply(&self, _: Rebound, _: &Config, _: &Config, _: &Arc<Registry>) {}
    }

    impl WebTold {
        pub(in crate::daemon) fn opened(&self, _: &Store<Whole>) {}
        pub(in crate::daemon) fn works(&self) {}
        pub(in crate::daemon) fn replaced(&self) {}
        pub(in crate::daemon) fn drains(&self, _: Instant) {}
    }

    impl WebSockets {
        pub(in crate::daemon) fn pass_on(&self) -> std::io::Result<Vec<PassedSocket>> {
            Ok(Vec::new())
        }

        pub(in crate::daemon) fn leave(&self) {}
    }

    impl Web {
        pub(in crate::daemon) fn sockets(&self) -> WebSockets {
            WebSockets
        }

        pub(in crate::daemon) async fn end(self, _: &WebTold, _: bool) {}
    }
}
