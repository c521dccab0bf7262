//! The daemon's side: it answers who it is, passes on its sockets, and retires.

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{geteuid, getpid, getppid};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::UnixStream;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::pass::Pass;
use super::wire::{self, Answer, LONGEST_QUESTION, MOST_SOCKETS, RETIRE, SOCKETS, WHO, Who};
use crate::daemon::web::{PassedSocket, WebSockets};
use crate::event::{Bus, Event};
use crate::pool::{Control, Phase, Work};
use crate::process::{mark, private, sweep};
use crate::supervise::scope::named;

/// How long a question and its answer may take.
const LIMIT: Duration = Duration::from_secs(2);
/// How long the socket rests after a failure, such as too many open files.
const REST: Duration = Duration::from_millis(200);

/// What a daemon lets another one do.
pub(in crate::daemon) struct Offer {
    pub(in crate::daemon) work: watch::Receiver<Work>,
    pub(in crate::daemon) control: watch::Sender<Control>,
    pub(in crate::daemon) sockets: WebSockets,
    pub(in crate::daemon) bus: Bus,
}

struct Offered {
    offer: Offer,
    pass: Pass,
    /// Somebody else has the sockets, too.
    passed: AtomicBool,
    parent: u32,
}

impl Offer {
    /// Answers from now on. That there can be no such socket is told.
    pub(in crate::daemon) fn make(self, runtime: &Handle) {
        let bus = self.bus.clone();
        if let Err(error) = self.serve(runtime) {
            let text = format!("another daemon cannot take over from this one without a gap: {error}");
            bus.emit(Event::Warning { text });
        }
    }

    fn serve(self, runtime: &Handle) -> io::Result<()> {
        let given = private::variable(mark::SUCCESSION).and_then(|text| Pass::read(text.to_str()?));
        let pass = given.map_or_else(Pass::new, Ok)?;
        let listener = UnixListener::bind_addr(&wire::address(&pass.name)?)?;
        listener.set_nonblocking(true)?;
        let _in_runtime = runtime.enter();
        let listener = tokio::net::UnixListener::from_std(listener)?;
        let parent = getppid().map_or(0, |parent| parent.as_raw_pid().unsigned_abs());
        let offered = Arc::new(Offered { offer: self, pass, passed: AtomicBool::new(false), parent });
        runtime.spawn(named("the offer to a successor", offered.answer_all(listener)));
        Ok(())
    }
}

impl Offered {
    async fn answer_all(self: Arc<Self>, listener: tokio::net::UnixListener) {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                sleep(REST).await;
                continue;
            };
            let ourselves = Arc::clone(&self);
            // Each by itself, so that nobody holds up the others.
            tokio::spawn(named("the offer to a successor", async move {
                // Who is too slow goes without.
                let _ = timeout(LIMIT, ourselves.answer(stream)).await;
            }));
        }
    }

    async fn answer(&self, mut stream: UnixStream) -> io::Result<()> {
        let mut question = Vec::new();
        while !question.ends_with(b"\n") && question.len() < LONGEST_QUESTION {
            if stream.read_buf(&mut question).await? == 0 {
                return Ok(());
            }
        }
        let question = String::from_utf8_lossy(&question);
        let mut words = question.split_ascii_whitespace();
        let (word, token) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let peer = stream.peer_cred()?;
        let pid = peer.pid().and_then(|pid| u32::try_from(pid).ok()).unwrap_or_default();
        let (answer, passed) = match self.judge(peer.uid(), pid, word, token) {
            Err(error) => (Answer { error: Some(error), ..Answer::default() }, Vec::new()),
            Ok(()) => self.obey(word, pid),
        };
        let mut text = serde_json::to_vec(&answer)?;
        text.push(b'\n');
        let sockets: Vec<_> = passed.iter().map(|(_, socket)| socket.as_fd()).collect();
        let sent = stream.async_io(Interest::WRITABLE, || wire::send(&stream, &text, &sockets)).await?;
        stream.write_all(text.get(sent..).unwrap_or_default()).await
    }

    /// May this process ask that?
    fn judge(&self, uid: u32, pid: u32, word: &str, token: &str) -> Result<(), String> {
        if uid != 0 && uid != geteuid().as_raw() {
            return Err(format!("user {uid} may not ask this daemon; run it as the daemon's user, or as root"));
        }
        if word == WHO || self.pass.is(token) {
            return Ok(());
        }
        match sweep::descends_from(pid, self.parent) {
            Some(false) => Ok(()),
            Some(true) => Err("a job, or what it has started, cannot replace its daemon".to_owned()),
            None => Err(format!("whether process {pid} belongs to a job of this daemon cannot be seen here")),
        }
    }

    fn obey(&self, word: &str, pid: u32) -> (Answer, Vec<PassedSocket>) {
        let failed = |error| (Answer { error: Some(error), ..Answer::default() }, Vec::new());
        match word {
            WHO => (Answer { who: Some(self.who()), ..Answer::default() }, Vec::new()),
            SOCKETS => match self.offer.sockets.pass_on() {
                Ok(mut passed) => {
                    passed.truncate(MOST_SOCKETS);
                    self.passed.store(true, Ordering::SeqCst);
                    let sockets = passed.iter().map(|(address, _)| address.clone()).collect();
                    (Answer { sockets, ..Answer::default() }, passed)
                }
                Err(error) => failed(format!("failed to pass on the sockets: {error}")),
            },
            RETIRE => {
                self.retire(pid);
                (Answer::default(), Vec::new())
            }
            _ => failed("this version does not know that question".to_owned()),
        }
    }

    fn who(&self) -> Who {
        let work = self.offer.work.borrow();
        let config = &work.config;
        Who {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: getpid().as_raw_pid().unsigned_abs(),
            parent: self.parent,
            config: super::predecessor::source(config),
            store: config.store.url.to_string(),
            namespace: config.store.namespace.clone(),
            queues: config.queues.as_configured(),
            ends: self.offer.control.borrow().phase > Phase::Run,
        }
    }

    fn retire(&self, pid: u32) {
        if self.passed.load(Ordering::SeqCst) {
            self.offer.sockets.leave();
        }
        let news = self.offer.control.send_if_modified(|orders| {
            let news = orders.phase < Phase::Retire;
            orders.phase = orders.phase.max(Phase::Retire);
            news
        });
        if news {
            let text = format!(
                "process {pid} has taken over: nothing more is claimed here, running jobs end in their own time, and then this \
                 daemon does; TERM drains it within shutdown.timeout"
            );
            self.offer.bus.emit(Event::Notice { text });
        }
    }
}
