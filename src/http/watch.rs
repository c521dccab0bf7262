//! Watches for those who read streams of events: what this instance says of its jobs, and what changes in the store. Nothing
//! is looked at, and no event is made, for topics that nobody reads.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::problem::Problem;
use super::site::{Content, Outlet, Site};
use super::streams::{Streams, Topic};
use crate::admin::error::AdminError;
use crate::admin::explain::{self, Explanation, Here};
use crate::admin::failed::{FailedView, newest};
use crate::admin::gauges;
use crate::admin::instances::{self, InstanceView};
use crate::admin::overview::leader;
use crate::admin::running::{self, RunningView, Which};
use crate::admin::summary::Summary;
use crate::event::kind::JobInfo;
use crate::event::{Event, EventKind};
use crate::job::{Progress, QueueName};
use crate::store::handle::Store;
use crate::store::inspection::{Paused, ReadPaused};
use crate::store::role::Admin;
use crate::store::snapshot::QueueGauge;
use crate::supervise::scope::{contained_future, message};
use crate::task::load::lacks;
use crate::text::cut::cut;

/// How often events of jobs are passed on.
const TICK: Duration = Duration::from_millis(100);
/// How often the store is looked at; and for what takes many looks.
const LOOK: Duration = Duration::from_secs(1);
const LONG_LOOK: Duration = Duration::from_secs(5);
/// How many new failures one look tells of.
const NEWEST: usize = 20;
/// Of how many runs it is told how far they are.
const RUNS: usize = 500;
/// How much of an error an event holds, in bytes.
const LONGEST_ERROR: usize = 400;

/// The kinds of events that tell of jobs.
const OF_JOBS: [EventKind; 7] = [
    EventKind::Job,
    EventKind::Success,
    EventKind::Failure,
    EventKind::Retry,
    EventKind::Later,
    EventKind::ReEnqueue,
    // What a plugin refuses.
    EventKind::Warning,
];

/// Watches until nobody reads any stream. The first one was opened under this content.
pub(super) async fn run(site: Site, content: Arc<Content>) {
    let streams = site.streams.clone();
    let watch = async {
        tokio::select! {
            () = pass_on(&site, &streams, content) => {}
            () = look(&site, &streams) => {}
        }
    };
    if let Err(panic) = contained_future(Box::pin(watch)).await {
        site.bus
            .emit(Event::InternalError { error: format!("http: the streams of events ended: {}", message(&*panic)) });
        streams.give_up();
    }
}

/// Passes on what this instance says of its jobs. Ends when there are no streams.
async fn pass_on(site: &Site, streams: &Streams, mut content: Arc<Content>) {
    let bits = OF_JOBS.into_iter().fold(0, |bits, kind| bits | kind.bit());
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while let Some(topics) = streams.wanted() {
        ticks.tick().await;
        if let Some(Outlet { listener, index }) = &site.outlet {
            let interest = if topics.has(Topic::Job) { bits } else { 0 };
            site.bus.set_interest(*index, interest);
            while let Some(event) = listener.try_next() {
                if let Some(told) = of_job(&event, &content) {
                    streams.tell(Topic::Job, &told.to_string());
                }
            }
            streams.lost(Topic::Job, listener.take_lost());
        }
        streams.keep();
        // Tokens may have been withdrawn.
        let present = site.content();
        if !Arc::ptr_eq(&content, &present) {
            content = present;
            streams.end_all();
        }
    }
    if let Some(Outlet { listener, index }) = &site.outlet {
        site.bus.set_interest(*index, 0);
        while listener.try_next().is_some() {}
    }
}

/// What an event tells of a job, if it tells of one.
fn of_job(event: &Event, content: &Content) -> Option<Value> {
    let of = |state: &str, job: &JobInfo| {
        json!({
            "state": state, "id": &*job.id, "task": job.class.as_str(), "queue": job.queue.as_str(),
            "worker": job.worker.name(), "host": content.host,
        })
    };
    let with = |mut told: Value, name: &str, text: &str| {
        told[name] = cut(text, LONGEST_ERROR).into();
        told
    };
    let timed = |mut told: Value, duration: &Duration| {
        told["ms"] = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).into();
        told
    };
    Some(match event {
        Event::Job { job } => of("started", job),
        Event::Success { job, duration, .. } => timed(of("done", job), duration),
        Event::Failure { job, error, duration, .. } => with(timed(of("failed", job), duration), "error", error),
        Event::Retry { job, error, duration, .. } => with(timed(of("retried", job), duration), "error", error),
        Event::Later { job, why } => with(of("later", job), "why", why),
        Event::ReEnqueue { job, why } => with(of("put_back", job), "why", why),
        Event::Vetoed { job, plugin, .. } => with(of("vetoed", job), "by", plugin),
        _ => return None,
    })
}

/// What was seen last; `None` of what nobody asked for lately.
#[derive(Debug, Default)]
struct Seen {
    failed: Option<Option<String>>,
    paused: Option<Paused>,
    instances: Option<BTreeMap<String, InstanceView>>,
    leader: Option<Value>,
    attention: Option<(Instant, Value)>,
    progress: Option<(Instant, HashMap<String, Option<Progress>>)>,
    operations: Option<HashMap<String, Value>>,
}

/// Looks at the store. Never ends.
async fn look(site: &Site, streams: &Streams) {
    let mut seen = Seen::default();
    loop {
        if let Ok(store) = site.admin() {
            site.asks();
            Box::pin(seen.look(site, streams, &store)).await;
        }
        sleep(LOOK).await;
    }
}

impl Seen {
    /// Looks at what somebody wants to know. A store that is away has nothing to tell; what is missed is seen by a later look.
    async fn look(&mut self, site: &Site, streams: &Streams, store: &Store<Admin>) {
        let (topics, content) = (streams.topics(), site.content());
        if topics.has(Topic::Snapshot) {
            Box::pin(snapshot(site, streams, store, &content)).await;
        }
        if !topics.has(Topic::Failed) {
            self.failed = None;
        } else if let Ok(new) = Box::pin(self.failures(store)).await {
            for view in new {
                streams.tell(Topic::Failed, &of_failure(&view).to_string());
            }
        }
        if !topics.has(Topic::Paused) {
            self.paused = None;
        } else if let Ok(paused) = Box::pin(store.run(ReadPaused)).await {
            let before = self.paused.replace(paused.clone()).unwrap_or_else(|| paused.clone());
            changes(&before, &paused).iter().for_each(|told| streams.tell(Topic::Paused, &told.to_string()));
        }
        if !topics.has(Topic::Instance) {
            self.instances = None;
        } else if let Ok(all) = Box::pin(instances::list(store)).await {
            let all: BTreeMap<String, InstanceView> = all.into_iter().map(|one| (one.id.clone(), one)).collect();
            let before = self.instances.replace(all.clone()).unwrap_or_else(|| all.clone());
            came_and_went(&before, &all).iter().for_each(|told| streams.tell(Topic::Instance, &told.to_string()));
        }
        if !topics.has(Topic::Operation) {
            self.operations = None;
        } else {
            self.operations(site).iter().for_each(|told| streams.tell(Topic::Operation, &told.to_string()));
        }
        if !topics.has(Topic::Progress) {
            self.progress = None;
        } else if self.progress.as_ref().is_none_or(|(at, _)| at.elapsed() >= LONG_LOOK)
            && let Ok(runs) = Box::pin(running::list(store, &content.registry, Which::All, RUNS, false)).await
        {
            self.progress(&runs.runs).iter().for_each(|told| streams.tell(Topic::Progress, &told.to_string()));
        }
        if !topics.has(Topic::Leader) {
            self.leader = None;
        } else if let Ok(now) = Box::pin(leader(store)).await {
            let now = json!(now);
            if self.leader.replace(now.clone()).is_some_and(|before| before != now) {
                streams.tell(Topic::Leader, &now.to_string());
            }
        }
        if !topics.has(Topic::Attention) {
            self.attention = None;
        } else if self.attention.as_ref().is_none_or(|(at, _)| at.elapsed() >= LONG_LOOK)
            && let Ok(found) = Box::pin(attention(site, store)).await
        {
            let causes: Vec<_> =
                found.findings.iter().map(|one| json!({"cause": one.cause, "blocks": one.blocks})).collect();
            let now = json!({"state": found.state, "findings": causes});
            let before = self.attention.replace((Instant::now(), now.clone()));
            if before.is_some_and(|(_, before)| before != now) {
                streams.tell(Topic::Attention, &now.to_string());
            }
        }
    }

    /// The runs that are further than at the last look. The first look only sees where they are.
    fn progress(&mut self, runs: &[RunningView]) -> Vec<Value> {
        let claim = |run: &RunningView| run.claim.clone();
        let now: HashMap<_, _> = runs.iter().filter_map(|run| Some((claim(run)?, run.progress.clone()))).collect();
        let before = self.progress.replace((Instant::now(), now)).map(|(_, before)| before);
        let is_new = |run: &&RunningView| {
            let known = before.as_ref().zip(claim(run)).map(|(before, claim)| before.get(&claim).cloned().flatten());
            run.progress.is_some() && known.is_some_and(|known| known != run.progress)
        };
        let of = |run: &RunningView| {
            json!({
                "id": run.id, "claim": run.claim, "task": run.class, "queue": run.queue, "worker": run.worker,
                "progress": run.progress,
            })
        };
        runs.iter().filter(is_new).map(of).collect()
    }

    /// The operations of this process that have changed since the last look; the first one tells of those that go on.
    fn operations(&mut self, site: &Site) -> Vec<Value> {
        let mut now = HashMap::new();
        let (mut told, before) = (Vec::new(), self.operations.take());
        for operation in site.operations.all() {
            let view = operation.view.borrow().clone();
            let line = view.line();
            let is_new = match &before {
                Some(before) => before.get(&view.id) != Some(&line),
                None => !view.is_over(),
            };
            if is_new {
                told.push(line.clone());
            }
            now.insert(view.id, line);
        }
        self.operations = Some(now);
        told
    }

    /// The failures since the last look, the first one first. The first look only sees which is the newest.
    async fn failures(&mut self, store: &Store<Admin>) -> Result<Vec<FailedView>, AdminError> {
        let newest_id = newest(store, 1).await?.pop().map(|view| view.id);
        let Some(last) = self.failed.replace(newest_id.clone()) else { return Ok(Vec::new()) };
        if newest_id.is_none() || newest_id == last {
            return Ok(Vec::new());
        }
        let mut new = newest(store, NEWEST).await?;
        if let Some(view) = new.last() {
            self.failed = Some(Some(view.id.clone()));
        }
        let seen = new.iter().rposition(|view| Some(&view.id) == last.as_ref());
        Ok(new.split_off(seen.map_or(0, |at| at + 1)))
    }
}

/// What needs attention.
pub(super) async fn attention(site: &Site, store: &Store<Admin>) -> Result<Arc<Explanation>, Problem> {
    let (store, content) = (store.clone(), site.content());
    let look = site.look(move || async move {
        let missing = lacks::now(&content.registry);
        let here = Here::of(&content.registry).lacking(&missing, &content.host);
        Ok(explain::attention(&store, here).await?)
    });
    site.looks.attention(look).await
}

/// How the fleet and its queues stand.
async fn snapshot(site: &Site, streams: &Streams, store: &Store<Admin>, content: &Content) {
    #[derive(Serialize)]
    struct Told<'a> {
        #[serde(flatten)]
        summary: &'a Summary,
        of_queues: Vec<Value>,
    }
    let registry = &content.registry;
    let summary = Box::pin(site.looks.summary(store, registry)).await;
    let gauges = Box::pin(site.looks.gauges(store, registry)).await;
    let (Ok(summary), Ok(gauges)) = (summary, gauges) else { return };
    let sampled: BTreeMap<&str, &QueueGauge> =
        gauges.snapshot.iter().flat_map(|one| &one.queues).map(|queue| (queue.queue.as_str(), queue)).collect();
    let line = |queue: &gauges::QueueGauge| {
        let mut told = json!({"queue": queue.queue.as_str(), "length": queue.jobs});
        if queue.paused {
            told["paused"] = true.into();
        }
        if let Some(one) = sampled.get(queue.queue.as_str()) {
            let age = one.age_ms.filter(|_| queue.jobs > 0);
            for (name, value) in [
                ("oldest_ms", age),
                ("in_per_minute", one.arrived_per_minute),
                ("out_per_minute", one.departed_per_minute),
                ("counted_ms", one.counted.map(|counted| counted.over_ms)),
                ("counted_in", one.counted.map(|counted| counted.arrived)),
                ("counted_out", one.counted.map(|counted| counted.departed)),
            ] {
                if let Some(value) = value {
                    told[name] = value.into();
                }
            }
        }
        told
    };
    let told = Told { summary: &summary, of_queues: gauges.queues.iter().map(line).collect() };
    // Its names are texts and its values JSON.
    streams.tell(Topic::Snapshot, &serde_json::to_string(&told).unwrap_or_default());
}

fn of_failure(view: &FailedView) -> Value {
    let error = view.error.as_deref().map(|error| cut(error, LONGEST_ERROR));
    json!({
        "id": view.id, "task": view.class, "queue": view.queue, "exception": view.exception, "error": error,
        "worker": view.worker,
    })
}

/// The pauses that began or ended. Without a queue: of all.
fn changes(before: &Paused, now: &Paused) -> Vec<Value> {
    let mut told = Vec::new();
    if before.all != now.all {
        told.push(json!({"paused": now.all}));
    }
    let (old, new): (HashSet<_>, HashSet<_>) = (before.queues.iter().collect(), now.queues.iter().collect());
    let of = |paused: bool| move |queue: &&QueueName| json!({"queue": queue.as_str(), "paused": paused});
    told.extend(new.difference(&old).map(of(true)));
    told.extend(old.difference(&new).map(of(false)));
    told
}

/// The instances that came, went, or changed their state.
fn came_and_went(before: &BTreeMap<String, InstanceView>, now: &BTreeMap<String, InstanceView>) -> Vec<Value> {
    let of = |one: &InstanceView, state: &str| json!({"id": one.id, "name": one.name, "host": one.host, "version": one.version, "state": state});
    let is_new = |one: &&InstanceView| before.get(&one.id).is_none_or(|old| old.state != one.state);
    let came = now.values().filter(is_new).map(|one| of(one, one.state));
    let went = before.values().filter(|one| !now.contains_key(&one.id)).map(|one| of(one, "gone"));
    came.chain(went).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_told_one_by_one_and_nothing_is_told_that_stays() {
        let paused = |all: bool, queues: &[&str]| {
            let queues = queues.iter().map(|name| QueueName::as_stored(name)).collect();
            Paused { all, queues }
        };
        assert_eq!(changes(&paused(false, &["a"]), &paused(false, &["a"])), Vec::<Value>::new());
        assert_eq!(
            changes(&paused(false, &["a", "b"]), &paused(true, &["b", "c"])),
            [json!({"paused": true}), json!({"queue": "c", "paused": true}), json!({"queue": "a", "paused": false})]
        );
    }
}
