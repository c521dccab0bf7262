//! The sampler: the leader of the duties looks at all queues, keeps their curves, and publishes what they tell.
//!
//! Every second while jobs come and go or somebody looks; otherwise more and more seldom, and soon when the store tells this
//! instance of a change. While no queue holds a job, a sample is the few commands that show whether that is still so. Two
//! leaders at a time do no harm: the later snapshot stands.

mod names;
mod others;
mod report;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;

use self::names::{MOST, NamesWalk, is_too_many};
use self::others::Others;
use super::{Failing, SchedulerContext};
use crate::curve::{QueueCurve, QueueSample};
use crate::job::QueueName;
use crate::store::StoreError;
use crate::store::outage::Asker;
use crate::store::queueing::QueueNames;
use crate::store::sampling::{
    CURVES, Counters, ForgetQueues, Publish, QueueState, ReadCurves, SAMPLED, SNAPSHOT_MS, Sample, Sampled,
    SampledQueue, Totals,
};
use crate::supervise::pulse::LONGEST;

/// How often samples are taken while something goes on.
const BUSY: Duration = Duration::from_secs(1);
/// How often at least while jobs wait: so exact is the age of one that comes meanwhile.
const WAITING: Duration = Duration::from_secs(5);
/// How often at least otherwise; and if the store tells this instance of every job that comes.
const QUIET: Duration = Duration::from_secs(15);
const TOLD: Duration = Duration::from_secs(60);
/// How often the numbers of the store are read, the workers and names of queues at least, and curves kept. So often ages
/// are told of jobs that only wait.
const SELDOM: Duration = Duration::from_secs(10);
/// How often at least it is told that no queue holds a job, unless somebody looks.
const EMPTY: Duration = Duration::from_secs(50);

/// Samples until `stop` is true. `leads` tells whether this instance leads the duties.
pub async fn run(context: SchedulerContext, leads: watch::Receiver<bool>, mut stop: watch::Receiver<bool>) {
    tokio::select! {
        () = run_forever(&context, leads) => {}
        stopped = stop.wait_for(|stop| *stop) => drop(stopped),
    }
}

async fn run_forever(context: &SchedulerContext, mut leads: watch::Receiver<bool>) {
    let mut failing = Failing::new(Asker::Sampler, "the samples of the queues");
    let pulse = context.pulses.begin("scheduler sampler", LONGEST);
    let stir = &context.announcements.stir;
    // Without the duties, which tell who leads, nobody samples.
    while pulse.wait(leads.wait_for(|leads| *leads)).await.is_ok() {
        let mut sampler = Sampler::new(context);
        while *leads.borrow() {
            pulse.turn();
            let wait = match sampler.round().await {
                Ok(wait) => {
                    failing.worked(context);
                    wait
                }
                Err(error) => {
                    failing.failed(context, &error);
                    error.longest_wait()
                }
            };
            tokio::select! {
                // Who leads no more stops at once. That somebody leads is told again and again.
                is_gone = async { leads.wait_for(|leads| !*leads).await.is_err() } => if is_gone {
                    return pulse.wait(std::future::pending()).await;
                },
                () = tokio::time::sleep(wait) => {}
                // Changes may come by the thousand.
                _ = async { tokio::join!(stir.told(), tokio::time::sleep(wait.min(BUSY))) } => sampler.stirred(),
            }
        }
        context.outage.asks_no_more(Asker::Sampler);
    }
    pulse.wait(std::future::pending()).await
}

/// When something was done that is done seldom.
#[derive(Debug, Default)]
struct Seldom(Option<Instant>);

impl Seldom {
    fn is_due(&self, every: Duration) -> bool {
        self.0.is_none_or(|last| last.elapsed() >= every)
    }

    fn done(&mut self) {
        self.0 = Some(Instant::now());
    }
}

/// The curves of all queues, and what was read between the samples.
pub struct Sampler<'a> {
    context: &'a SchedulerContext,
    /// The queues to be sampled, how many were known then, and when that was.
    names: Vec<QueueName>,
    known: Option<u64>,
    named: Seldom,
    curves: HashMap<QueueName, QueueCurve>,
    /// The queues whose curves the last leader may have kept and nobody has read yet.
    unread: HashSet<QueueName>,
    /// The queues whose curves this leader has kept.
    kept: HashSet<QueueName>,
    keeping: Seldom,
    others: Others,
    workers: u64,
    looked: Seldom,
    totals: Option<(i64, Totals)>,
    totalled: Seldom,
    /// There was a change since they were read.
    stirred: bool,
    /// The counters of the last sample, and whether all was quiet then.
    counters: Option<Counters>,
    quiet: bool,
    /// In how many samples in a row nothing came, went or ended, and nobody looked.
    still: u32,
    published: Seldom,
    /// Where the walk through the counts of unknown queues goes on.
    forgetting: Option<String>,
    /// The walk through all names, if there are too many to sample each.
    walk: Option<NamesWalk>,
}

impl<'a> Sampler<'a> {
    /// A sampler that has seen nothing.
    #[must_use]
    pub fn new(context: &'a SchedulerContext) -> Self {
        Self {
            context,
            names: Vec::new(),
            known: None,
            named: Seldom::default(),
            curves: HashMap::new(),
            unread: HashSet::new(),
            kept: HashSet::new(),
            keeping: Seldom::default(),
            others: Others::default(),
            workers: 0,
            looked: Seldom::default(),
            totals: None,
            totalled: Seldom::default(),
            stirred: false,
            counters: None,
            quiet: false,
            still: 0,
            published: Seldom::default(),
            forgetting: None,
            walk: None,
        }
    }

    /// Takes a sample and publishes it. Returns how long to wait for the next.
    ///
    /// # Errors
    /// Fails when the store cannot be reached; the next call goes on.
    pub async fn round(&mut self) -> Result<Duration, StoreError> {
        let began = Instant::now();
        let seldom = if self.quiet { SELDOM * 6 } else { SELDOM };
        let mut is_news = false;
        if let Some(known) = self.known.filter(|_| self.walk.is_some() || self.named.is_due(seldom)) {
            is_news = self.read_names(known).await? && self.walk.is_some();
        }
        let mut sampled = self.sample().await?;
        // A walk goes on whatever their number.
        if self.known != Some(sampled.known) && !(self.walk.is_some() && is_too_many(sampled.known)) {
            self.read_names(sampled.known).await?;
            self.known = Some(sampled.known);
            sampled = self.sample().await?;
            is_news = true;
        }
        self.known = Some(sampled.known);
        if is_news {
            self.still = 0;
        }
        let (still, pause) = (self.still, self.pause());
        let stands = if self.quiet { EMPTY.max(pause) } else { SELDOM };
        // The first sample in which nothing moves is told, too, because the one before it said that another comes soon. The
        // others are told before the last that was told is overdue.
        if still <= 1 || self.published.is_due(stands.saturating_sub(pause)) {
            self.published.done();
            self.publish(&sampled, if still == 0 { BUSY } else { stands }).await?;
        }
        if !self.quiet {
            self.forget_some().await?;
        }
        Ok(pause.saturating_sub(began.elapsed()).max(BUSY / 10))
    }

    /// How long after this sample the next one is taken: doubled with each in which nothing moved, unless changes are told.
    #[must_use]
    pub fn pause(&self) -> Duration {
        let longest = if self.quiet && self.walk.is_none() { QUIET } else { WAITING };
        match self.still {
            2.. if self.quiet && self.walk.is_none() && self.is_told() => TOLD,
            still => BUSY.saturating_mul(1 << still.min(5)).min(longest),
        }
    }

    /// The store told this instance of a change. It may be that a queue was paused, of whose jobs nobody is told.
    pub fn stirred(&mut self) {
        self.stirred = true;
    }

    /// Is this instance told of every job that comes?
    fn is_told(&self) -> bool {
        let paused = |totals: &Totals| totals.all_paused || !totals.paused.is_empty();
        self.context.announcements.stir.is_complete(&self.names)
            && !self.stirred
            && self.totals.as_ref().is_some_and(|(_, totals)| !paused(totals))
    }

    /// Reads which queues are sampled. Returns whether there are new ones.
    async fn read_names(&mut self, known: u64) -> Result<bool, StoreError> {
        let names = if is_too_many(known) {
            self.walk.get_or_insert_default().go_on(&self.context.store, known).await?
        } else {
            self.walk = None;
            self.context.store.run(QueueNames { limit: MOST }).await?
        };
        let known: HashSet<&QueueName> = names.iter().collect();
        self.curves.retain(|queue, _| known.contains(queue));
        self.unread.retain(|queue| known.contains(queue));
        let before: HashSet<QueueName> = self.names.drain(..).collect();
        let is_news = names.iter().any(|queue| !before.contains(queue));
        self.unread.extend(names.iter().filter(|queue| !before.contains(*queue)).cloned());
        self.names = names;
        self.named.done();
        Ok(is_news)
    }

    /// Samples all queues, some at a time, and adds what was seen to their curves.
    async fn sample(&mut self) -> Result<Sampled, StoreError> {
        let store = &self.context.store;
        let quiet = self.counters.filter(|_| self.quiet);
        // A store without queues is sampled as well.
        let chunks = self.names.len().div_ceil(SAMPLED).max(1);
        let mut parts = Vec::with_capacity(chunks);
        for chunk in 0..chunks {
            let names: Vec<QueueName> = self.names.iter().skip(chunk * SAMPLED).take(SAMPLED).cloned().collect();
            let wants = |queue: &QueueName| self.curves.get(queue).is_some_and(QueueCurve::wants_head);
            let head = |queue: &QueueName| self.others.work_on(queue) || wants(queue);
            let queues = names.iter().map(|queue| SampledQueue { queue: queue.clone(), head: head(queue) }).collect();
            let totals = chunk == 0 && (!self.quiet || self.stirred) && self.totalled.is_due(SELDOM);
            parts.push((names, store.run(Sample { queues, totals, quiet }).await?));
        }
        let mut whole = parts.first().map(|(_, first)| first.clone()).unwrap_or_default();
        if let Some(totals) = whole.totals.take() {
            self.totals = Some((whole.now_ms, totals));
            self.totalled.done();
            self.stirred = false;
        }
        let stirs = parts.iter().any(|(_, part)| part.queues.is_some());
        let workers = parts.iter().map(|(_, part)| part.workers).max().unwrap_or(0);
        // Who takes jobs is read after the sample: anyone who took some before is there by now.
        if stirs && (workers != self.workers || self.looked.is_due(SELDOM)) {
            self.others = others::read(store).await?;
            self.workers = workers;
            self.looked.done();
        }
        let holds = |state: &QueueState| state.length > 0;
        let mut seen = Vec::with_capacity(self.names.len());
        for (names, part) in parts {
            match part.queues {
                Some(states) => seen.extend(names.into_iter().zip(states).map(|one| (part.now_ms, one))),
                None => {
                    for queue in names {
                        self.curves.entry(queue).or_default().seen_empty(part.now_ms);
                    }
                }
            }
        }
        self.read_kept(seen.iter().filter(|(_, (_, state))| holds(state)).map(|(_, (queue, _))| queue)).await?;
        let mut moves = whole.watched || self.counters != Some(whole.counters);
        let mut waits = false;
        for (at_ms, (queue, state)) in seen {
            waits |= holds(&state);
            moves |= self.add(queue, at_ms, &state);
        }
        self.counters = Some(whole.counters);
        (self.quiet, self.still) = (!moves && !waits, if moves { 0 } else { self.still.saturating_add(1) });
        Ok(whole)
    }

    /// Adds a sample to the curve of a queue. Returns whether jobs came or went.
    fn add(&mut self, queue: QueueName, at_ms: i64, state: &QueueState) -> bool {
        let Some(departed) = state.departed else {
            return self.curves.remove(&queue).is_some();
        };
        let others = self.others.work_on(&queue);
        let QueueState { length, unsure, head, oldest_ms, .. } = *state;
        let curve = self.curves.entry(queue).or_default();
        let before = curve.totals();
        curve.add(QueueSample { at_ms, length, departed, unsure, others, head, oldest_ms });
        before.is_some() && curve.totals() != before
    }

    /// Reads the curves that the last leader kept of queues that hold jobs.
    async fn read_kept(&mut self, holding: impl Iterator<Item = &QueueName>) -> Result<(), StoreError> {
        if self.unread.is_empty() {
            return Ok(());
        }
        let wanted: Vec<QueueName> = holding.filter(|queue| self.unread.contains(*queue)).cloned().collect();
        for queues in wanted.chunks(CURVES) {
            let texts = self.context.store.run(ReadCurves { queues: queues.to_vec() }).await?;
            for (queue, text) in queues.iter().zip(texts) {
                if let Some(text) = text {
                    self.kept.insert(queue.clone());
                    let curve = QueueCurve::unpack(&text).unwrap_or_default();
                    self.curves.entry(queue.clone()).or_insert(curve);
                }
            }
        }
        // A queue that holds none begins with this sample.
        self.unread.clear();
        Ok(())
    }

    async fn publish(&mut self, sampled: &Sampled, next: Duration) -> Result<(), StoreError> {
        let snapshot = report::snapshot(&self.context.name, sampled, next, self.totals.as_ref(), &self.curves);
        let curves = if self.keeping.is_due(SELDOM) { self.curves_to_keep() } else { Vec::new() };
        let snapshot = Bytes::from(snapshot.encode());
        let mut parts = curves.chunks(CURVES);
        loop {
            let curves = parts.next().unwrap_or_default().to_vec();
            let is_last = parts.len() == 0;
            let snapshot = snapshot.clone();
            self.context.store.run(Publish { snapshot, lasts_ms: SNAPSHOT_MS, curves: curves.clone() }).await?;
            for (queue, curve) in curves {
                if curve.is_some() {
                    self.kept.insert(queue);
                } else {
                    self.kept.remove(&queue);
                }
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// The curves of queues that hold jobs, and `None` for those that were kept and hold none.
    fn curves_to_keep(&mut self) -> Vec<(QueueName, Option<String>)> {
        self.keeping.done();
        let holds = |curve: &QueueCurve| curve.last().is_some_and(|last| last.length > 0);
        let waiting = self.curves.iter().filter(|(_, curve)| holds(curve));
        let mut keep: Vec<_> =
            waiting.filter_map(|(queue, curve)| Some((queue.clone(), Some(curve.pack()?)))).collect();
        let kept: HashSet<QueueName> = keep.iter().map(|(queue, _)| queue.clone()).collect();
        keep.extend(self.kept.difference(&kept).map(|queue| (queue.clone(), None)));
        keep
    }

    /// Goes on with the walk through the counts of queues that are not known any more, if there are any.
    async fn forget_some(&mut self) -> Result<(), StoreError> {
        let known = self.known.unwrap_or(u64::MAX);
        let surplus = self.totals.as_ref().is_some_and(|(_, totals)| totals.counted > known);
        if self.forgetting.is_none() && !surplus {
            return Ok(());
        }
        let forgotten = self.context.store.run(ForgetQueues { from: self.forgetting.take() }).await?;
        self.forgetting = forgotten.next;
        for queue in forgotten.queues {
            self.curves.remove(&queue);
            self.kept.remove(&queue);
            if let Some((_, totals)) = &mut self.totals {
                totals.counted = totals.counted.saturating_sub(1);
            }
        }
        Ok(())
    }
}
