//! What requests see of the daemon.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::attempts::Attempts;
use super::failed_index::FailedIndex;
use super::looks::Looks;
use super::operation::Operations;
use super::problem::{Kind, Problem};
use super::queue_bound::QueueBound;
use super::reading::Turns;
use super::requests::Requests;
use super::standing::Standing;
use super::streams::Streams;
use super::telling::Telling;
use super::underway::Underway;
use crate::client::enqueue::Client;
use crate::clock::Clock;
use crate::config::http::HttpConfig;
use crate::event::{Bus, Listener, Tally};
#[cfg(feature = "otel")]
use crate::job::trace::Sampler;
use crate::plugin::registry::Plugins;
use crate::store::handle::Store;
use crate::store::outage::Outage;
use crate::store::role::{Admin, Whole};
use crate::supervise::pulse::Pulses;
use crate::task::definition::Registry;
use crate::text::redact::Redactor;

/// What a reload replaces.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Content {
    /// `[http]`.
    pub http: HttpConfig,
    /// The tasks.
    pub registry: Arc<Registry>,
    /// Hides what no answer may hold.
    pub redactor: Redactor,
    /// The name of this host.
    pub host: String,
    /// Which enqueues are traced; `None`: none.
    #[cfg(feature = "otel")]
    pub sampler: Option<Sampler>,
}

impl Content {
    /// The content under a configuration. `redact`: the keys of arguments whose values are not shown.
    #[must_use]
    pub fn new(http: HttpConfig, registry: Arc<Registry>, redact: &[String]) -> Self {
        Self {
            http,
            registry,
            redactor: Redactor::new(redact),
            host: String::new(),
            #[cfg(feature = "otel")]
            sampler: None,
        }
    }

    /// Traces enqueues.
    #[cfg(feature = "otel")]
    #[must_use]
    pub fn sampled_by(self, sampler: Option<Sampler>) -> Self {
        Self { sampler, ..self }
    }

    /// On this host.
    #[must_use]
    pub fn on(self, host: String) -> Self {
        Self { host, ..self }
    }
}

/// A listener of the bus, and its number there: it hears only what somebody wants to know.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Outlet {
    /// The listener.
    pub listener: Arc<Listener>,
    /// Its number.
    pub index: usize,
}

impl Outlet {
    /// The listener of this number.
    #[must_use]
    pub fn new(listener: Listener, index: usize) -> Self {
        Self { listener: Arc::new(listener), index }
    }
}

/// What requests see of the daemon. Cheap to clone.
#[derive(Clone)]
#[non_exhaustive]
pub struct Site {
    /// What a reload replaces.
    pub content: watch::Receiver<Arc<Content>>,
    /// How far the daemon has come.
    pub standing: Standing,
    /// Plugins that are written in code.
    pub plugins: Arc<Plugins>,
    /// Where plugins run.
    pub handlers: Handle,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Whether its loops turn.
    pub pulses: Pulses,
    /// Whether the store answers.
    pub outage: Outage,
    /// Where it is told what people should know.
    pub bus: Bus,
    /// How jobs ended.
    pub tally: Tally,
    /// When this daemon started, in milliseconds since the Unix epoch.
    pub(super) started_ms: i64,
    /// Wrong tokens.
    pub(super) attempts: Arc<Attempts>,
    /// What was asked for.
    pub(super) requests: Arc<Requests>,
    /// What is done to many failed jobs.
    pub(super) operations: Arc<Operations>,
    /// The failed jobs by kind.
    pub(super) failed_index: Arc<FailedIndex>,
    /// The queues that those make who may only enqueue.
    pub(super) queue_bound: Arc<QueueBound>,
    /// Where it is heard what this instance says of its jobs, if it has any.
    pub outlet: Option<Outlet>,
    /// Where it is told that somebody asks, if somebody wants to know.
    pub asked: Option<watch::Sender<Instant>>,
    /// The streams of events.
    pub(super) streams: Streams,
    /// Requests with a key.
    pub(super) underway: Underway,
    /// What was read for all who ask.
    pub(super) looks: Arc<Looks>,
    /// The turns of those who read records.
    pub(super) readings: Arc<Turns>,
    /// What servers tell of the runs that they perform.
    pub(super) telling: Arc<Telling>,
}

impl Site {
    /// A site with this content; the rest is its own until it is replaced.
    #[must_use]
    pub fn new(
        content: watch::Receiver<Arc<Content>>,
        standing: Standing,
        handlers: Handle,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            content,
            standing,
            plugins: Arc::default(),
            handlers,
            started_ms: clock.now_ms(),
            clock,
            pulses: Pulses::default(),
            outage: Outage::default(),
            bus: Bus::silent(),
            tally: Tally::default(),
            attempts: Arc::default(),
            requests: Arc::default(),
            operations: Arc::default(),
            failed_index: Arc::default(),
            queue_bound: Arc::default(),
            outlet: None,
            asked: None,
            streams: Streams::default(),
            underway: Underway::default(),
            looks: Arc::default(),
            readings: Arc::default(),
            telling: Arc::default(),
        }
    }

    /// The store.
    ///
    /// # Errors
    /// If it is not open yet.
    fn store(&self) -> Result<&Store<Whole>, Problem> {
        self.standing.store().ok_or_else(|| {
            Problem::new(Kind::Starting, "the daemon has not opened its store yet; try again in a moment")
                .retry_after_s(2)
        })
    }

    /// The store, for looks and corrections.
    ///
    /// # Errors
    /// If it is not open yet.
    pub(super) fn admin(&self) -> Result<Store<Admin>, Problem> {
        Ok(self.store()?.narrow())
    }

    /// A client for the present tasks.
    ///
    /// # Errors
    /// If the store is not open yet.
    pub(super) fn client(&self) -> Result<Client, Problem> {
        let registry = Arc::clone(&self.content.borrow().registry);
        Ok(Client::new(self.store()?.narrow(), registry).with_plugins(Arc::clone(&self.plugins)))
    }

    /// Makes a change where plugins run, and to its end even if the client leaves.
    ///
    /// # Errors
    /// Those of the change; or it panicked.
    pub(super) async fn change<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Result<T, Problem> {
        let failed = |_| Problem::new(Kind::Internal, "the request failed; the log says more");
        self.handlers.spawn(change).await.map_err(failed)?
    }

    /// Takes a long look where plugins run, so that no other request waits for it. It ends when nobody waits for it any more.
    ///
    /// # Errors
    /// Those of the look; or it panicked.
    pub(super) async fn look<T: Send + 'static, F: Future<Output = Result<T, Problem>>>(
        &self,
        look: impl FnOnce() -> F + Send + 'static,
    ) -> Result<T, Problem> {
        let failed = |_| Problem::new(Kind::Internal, "the request failed; the log says more");
        let handlers = self.handlers.clone();
        let (_waits, mut gone) = oneshot::channel::<()>();
        let look = move || {
            // Looks are large, and the stack of such a thread is not.
            let look = Box::pin(async move { look().await });
            handlers.block_on(async {
                tokio::select! {
                    biased;
                    _ = &mut gone => Err(Problem::new(Kind::Timeout, "nobody waits for the answer any more")),
                    found = look => found,
                }
            })
        };
        self.handlers.spawn_blocking(look).await.map_err(failed)?
    }

    /// Somebody asks.
    pub(super) fn asks(&self) {
        if let Some(asked) = &self.asked {
            asked.send_replace(Instant::now());
        }
    }

    /// Does the store undo a step that failed, so that its outcome is always known?
    pub(super) fn undoes_failed_steps(&self) -> bool {
        self.standing.store().is_some_and(|store| store.describe().starts_with("sqlite:"))
    }

    /// The content at present.
    pub(super) fn content(&self) -> Arc<Content> {
        Arc::clone(&self.content.borrow())
    }
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site")
            .field("content", &self.content())
            .field("standing", &self.standing)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
impl Site {
    /// A site of its own, without a store and without anybody who reloads it.
    pub(super) fn alone(handlers: Handle) -> Self {
        let http = HttpConfig { listen: Vec::new(), ..HttpConfig::of_this_machine() };
        let content = watch::channel(Arc::new(Content::new(http, Arc::default(), &[]))).1;
        Self::new(content, Standing::default(), handlers, Arc::new(crate::clock::ManualClock::at(0)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::runtime::Builder;
    use tokio::time::timeout;

    use super::*;

    #[test]
    fn a_look_ends_when_nobody_waits_for_it() {
        let handlers = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let site = Site::alone(handlers.handle().clone());
        let (begins, begun) = oneshot::channel();
        let (held, ended) = oneshot::channel::<()>();
        let look = site.look(move || async move {
            let _held = held;
            let _ = begins.send(());
            std::future::pending::<Result<(), Problem>>().await
        });
        let has_ended = Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            tokio::select! {
                _ = look => panic!("it has no end"),
                told = begun => told.unwrap(),
            }
            timeout(Duration::from_secs(60), ended).await.is_ok()
        });
        handlers.shutdown_background();
        assert!(has_ended);
    }
}
