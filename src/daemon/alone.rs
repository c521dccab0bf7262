//! The HTTP server by itself, beside any fleet: no worker and no scheduler. It ends with a signal.
//!
//! Where no instance leads, nobody samples the queues; then this does, while somebody asks. What it sees is published as a leader
//! does, so that the command line tells it as well, and a leader that comes replaces it.

use std::sync::Arc;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep};

use super::host;
use super::options::RunError;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::config::http::HttpConfig;
use crate::event::{Bus, Event, EventKind, Listener};
use crate::http::{self, Content, Server, Site, Stage, Standing};
use crate::plugin::registry::Plugins;
use crate::process::sweep::hostname;
use crate::scheduler::sampling::Sampler;
use crate::scheduler::{SchedulerConfig, SchedulerContext};
use crate::store::Store;
use crate::store::role::{Admin, Whole};
use crate::store::sampling::ReadSnapshot;
use crate::store::snapshot::Snapshot;
use crate::task::Registry;

/// How many bytes of messages wait to be printed.
const CAPACITY: usize = 64 * 1024;
/// How long requests may go on when it ends.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// For how long it samples after somebody asked.
const WATCHED: Duration = Duration::from_secs(15);
/// How often it samples at most, and how often it looks whether an instance does.
const SAMPLE: Duration = Duration::from_secs(1);
const LED: Duration = Duration::from_secs(5);

/// What it is made of.
pub struct Alone {
    /// Where it listens, and for whom.
    pub http: HttpConfig,
    /// The configuration.
    pub config: Arc<Config>,
    /// The tasks that are known here, if there are any.
    pub registry: Arc<Registry>,
    /// Plugins that are written in code.
    pub plugins: Arc<Plugins>,
    /// The store.
    pub store: Store<Whole>,
    /// Where messages go.
    pub tell: Box<dyn Fn(&str) + Send>,
}

/// Serves until a signal comes. It needs the runtime of the caller.
///
/// # Errors
/// Says why it does not start.
pub async fn serve(alone: Alone) -> Result<(), RunError> {
    let Alone { http, config, registry, plugins, store, tell } = alone;
    let system = |doing| move |error| RunError::System { doing, error };
    let told = [EventKind::Notice, EventKind::Warning, EventKind::InternalError].map(EventKind::bit);
    let (bus, mut listeners) = Bus::new(&[told.into_iter().sum()], CAPACITY);
    let listener = listeners.pop().expect("one interest must give one listener");
    let teller = move || say_all(&listener, &tell);
    let teller = std::thread::Builder::new().name("log".to_owned()).spawn(teller).map_err(system("start the log"))?;
    let signalled = signalled().map_err(system("listen for signals"))?;
    let sockets = http::bind(&http.listen, &[])?.all()?;
    let content = Content::new(http, Arc::clone(&registry), &config.log.redact).on(hostname());
    let (_content, content) = watch::channel(Arc::new(content));
    let (asked, asks) = watch::channel(Instant::now());
    let standing = Standing::default();
    standing.opened(&store);
    let mut site = Site::new(content, standing.clone(), Handle::current(), Arc::new(SystemClock));
    (site.plugins, site.bus, site.asked) = (plugins, bus.clone(), Some(asked));
    // There is no pool whose figures could be asked for, so it never counts as working for metrics; it is ready all the same.
    let server = Server::start(&site, sockets, http::changes().1).map_err(system("start the HTTP server"))?;
    standing.reach(Stage::Working);
    tokio::select! {
        // The thread that could tell is gone with the process.
        _ = signalled => {}
        () = sample(&config, registry, &store, asks) => {}
    }
    server.end(Instant::now() + LAST_ANSWERS).await;
    drop(site);
    bus.close();
    let _ = teller.join();
    Ok(())
}

fn say_all(listener: &Listener, tell: &dyn Fn(&str)) {
    while let Some(event) = listener.next() {
        if let Event::Notice { text } | Event::Warning { text } | Event::InternalError { error: text } = event {
            tell(&text);
        }
    }
}

/// Is told when this process is to end.
fn signalled() -> std::io::Result<oneshot::Receiver<()>> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGQUIT, SIGHUP])?;
    let (tell, told) = oneshot::channel();
    let wait = move || {
        let _ = signals.forever().next();
        // It may have ended by itself.
        let _ = tell.send(());
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
    Ok(told)
}

/// Samples the queues while somebody asks and no instance does. Never ends.
async fn sample(config: &Config, registry: Arc<Registry>, store: &Store<Whole>, mut asks: watch::Receiver<Instant>) {
    let (_kept, scheduler) = watch::channel(SchedulerConfig::of(config, registry));
    let name = format!("dashboard-{}:{}", hostname().replace(':', "-"), std::process::id());
    let context = SchedulerContext::new(store.narrow(), scheduler, name, host::identity());
    let looks: Store<Admin> = store.narrow();
    while asks.changed().await.is_ok() {
        let mut sampler = Sampler::new(&context);
        while asks.borrow().elapsed() < WATCHED {
            let wait = match is_led(&looks, &context.name).await {
                true => LED,
                // What cannot be read or published is missing in the answers. It is tried again.
                false => sampler.round().await.unwrap_or(LED),
            };
            sleep(wait.clamp(SAMPLE, LED)).await;
        }
    }
    std::future::pending().await
}

/// Does somebody else sample?
async fn is_led(store: &Store<Admin>, own: &str) -> bool {
    let Ok(published) = store.run(ReadSnapshot).await else { return false };
    let snapshot = published.bytes.and_then(|bytes| Snapshot::read(&bytes).ok());
    snapshot.is_some_and(|snapshot| snapshot.is_fresh(published.now_ms) && snapshot.leader != own)
}
