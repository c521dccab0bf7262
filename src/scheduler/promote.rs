//! Delayed jobs to their queues, as soon as they are due, in bounded batches.
//!
//! Under the leader lock that node-resque's schedulers use. Leadership saves work and gives order;
//! that no job is lost or doubled under two leaders is the store's doing.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::Context;
use crate::backoff;
use crate::event::{Event, Kind};
use crate::job::{Args, Failure, PayloadView, QueueName};
use crate::plugin::chain::Chain;
use crate::store::StoreError;
use crate::store::scheduling::{Lead, Leadership, Promote, PromoteTo, Promoted, Promotion, ReadDue, Resign};
use crate::store::wake::{Waker, Watch};

/// Most jobs moved in one step: what keeps a step below 5 ms of Redis' time when measured.
const BATCH: usize = 250;
/// How long the leadership is held without renewal. Whoever buries a dead leader gives it back at once (`recover`); this
/// is for when nobody does.
const TTL: Duration = Duration::from_secs(15);
/// When it is renewed: early enough that an attempt may fail.
const RENEWAL: Duration = Duration::from_secs(10);
/// A step that moved nothing although there was something has a rival; after so many, look later.
const FUTILE: u32 = 16;
/// So much later.
const RIVALRY: Duration = Duration::from_secs(1);
/// Between two answers to changes of the delayed jobs, which may come by the thousand.
const CALM: Duration = Duration::from_millis(20);
/// Clocks further apart than this are worth a word.
const SKEW_MS: i64 = 1000;

/// Promotes until told to stop, then resigns.
pub async fn run(context: Context, mut stop: watch::Receiver<bool>) {
    let Context { bus, name, .. } = &context;
    bus.emit(Event::SchedulerStart { name: name.clone() });
    let mut promoter = Promoter { context: &context, leading: false, renewed: Instant::now(), skew_told: None };
    tokio::select! {
        () = promoter.go() => {}
        stopped = stop.wait_for(|stop| *stop) => drop(stopped),
    }
    // The step in flight, if any, is atomic; what it would have told is read anew by the next leader.
    let _ = tokio::time::timeout(
        Duration::from_secs(1),
        context.store.run(Resign { which: Leadership::Scheduler, owner: name.to_owned() }),
    )
    .await;
    bus.emit(Event::SchedulerEnd { name: name.clone() });
}

struct Promoter<'a> {
    context: &'a Context,
    leading: bool,
    /// When the leadership was renewed last.
    renewed: Instant,
    skew_told: Option<Instant>,
}

impl Promoter<'_> {
    async fn go(&mut self) {
        let mut attempt = 0;
        loop {
            let error = match self.context.store.waker().await {
                Ok(waker) => match self.rounds(&waker, &mut attempt).await {
                    Ok(never) => match never {},
                    Err(error) => error,
                },
                Err(error) => error,
            };
            self.leading = false;
            if attempt == 0 {
                let error = format!("the scheduler failed to {error}; trying again");
                self.context.bus.emit(Event::InternalError { error });
            }
            sleep(backoff::exponential(attempt, Duration::from_millis(100), Duration::from_secs(5), 0.5)).await;
            attempt = attempt.saturating_add(1);
        }
    }

    async fn rounds(&mut self, waker: &Waker, attempt: &mut u32) -> Result<std::convert::Infallible, StoreError> {
        loop {
            let Context { bus, .. } = self.context;
            self.renew().await?;
            if bus.wants(Kind::SchedulerPoll) {
                bus.emit(Event::SchedulerPoll);
            }
            let leaderships = if self.leading { Vec::new() } else { vec![Leadership::Scheduler] };
            let seen = waker.arm(&Watch { delayed: self.leading, leaderships, ..Watch::default() }).await?;
            *attempt = 0;
            self.notice_skew(seen.now_ms);
            if seen.leadership_free {
                continue;
            }
            let due_in = seen.next_due_s.map(|second| second.saturating_mul(1000).saturating_sub(seen.now_ms));
            let due_in = due_in.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0)));
            if self.leading && due_in == Some(Duration::ZERO) {
                self.leading = self.promote_due().await?;
                continue;
            }
            let due = due_in.map(|due_in| Instant::now() + due_in);
            tokio::select! {
                () = waker.woken() => {
                    let due_in = due.map_or(CALM, |due| due.saturating_duration_since(Instant::now()));
                    sleep(CALM.min(due_in)).await;
                }
                ended = self.lead_on(waker, due) => ended?,
            }
        }
    }

    /// Takes or renews the leadership where it is time to.
    async fn renew(&mut self) -> Result<(), StoreError> {
        let Context { store, bus, name, .. } = self.context;
        if self.leading && self.renewed.elapsed() < RENEWAL {
            return Ok(());
        }
        let leads =
            store.run(Lead { which: Leadership::Scheduler, owner: name.to_owned(), ttl_ms: millis(TTL) }).await?;
        if leads && !self.leading {
            bus.emit(Event::Notice { text: format!("scheduler leader: {name}") });
        }
        self.leading = leads;
        self.renewed = Instant::now();
        Ok(())
    }

    /// Renews the leadership until something is due or it is lost. While the waker hears there is nothing to look at.
    async fn lead_on(&mut self, waker: &Waker, due: Option<Instant>) -> Result<(), StoreError> {
        let led = self.leading;
        loop {
            let renewal = self.renewed + RENEWAL;
            if let Some(due) = due.filter(|due| *due <= renewal) {
                sleep_until(due).await;
                return Ok(());
            }
            sleep_until(renewal).await;
            self.renew().await?;
            waker.check().await?;
            if self.leading != led {
                return Ok(());
            }
        }
    }

    /// Promotes until nothing is due. False if somebody else turned out to lead.
    async fn promote_due(&mut self) -> Result<bool, StoreError> {
        let Context { store, name, bus, .. } = self.context;
        let (mut futile, mut last) = (0, None);
        loop {
            self.renew().await?;
            if !self.leading {
                return Ok(false);
            }
            let due = store.run(ReadDue { limit: BATCH }).await?;
            let Some(second) = due.second.filter(|_| due.is_due()) else { return Ok(true) };
            if last != Some(second) && bus.wants(Kind::WorkingTimestamp) {
                bus.emit(Event::WorkingTimestamp { second });
            }
            last = Some(second);
            let given = due.jobs.len();
            let jobs = due.jobs.into_iter().map(|payload| self.route(payload)).collect();
            let promotion = Promotion { leader: Some(name.clone()), second, jobs };
            match store.run(promotion.clone()).await? {
                Promoted::NotLeader => return Ok(false),
                Promoted::Moved(moved) => {
                    self.tell(&promotion, moved);
                    futile = if moved == 0 && given > 0 { futile + 1 } else { 0 };
                    if futile > FUTILE {
                        sleep(RIVALRY).await;
                        return Ok(true);
                    }
                }
            }
        }
    }

    /// Where a due job goes. Nothing is vetoed here: a bad one goes to the failed list, verbatim.
    fn route(&self, payload: Bytes) -> Promote {
        let to = match PayloadView::parse(&payload) {
            Ok(view) => match view.queue.as_deref().map(QueueName::new) {
                Some(Ok(queue)) => {
                    let lock = self.queue_lock(&view, &queue);
                    PromoteTo::Queue { queue, lock }
                }
                Some(Err(_)) | None => self.refuse(&payload, "the delayed job names no queue".to_owned()),
            },
            Err(bad) => self.refuse(&payload, bad.to_string()),
        };
        Promote { payload, to }
    }

    fn queue_lock(&self, view: &PayloadView<'_>, queue: &QueueName) -> Option<(crate::job::LockKey, u64)> {
        let registry = self.context.registry();
        Chain::of(registry.get(&view.class)?).queue_lock(queue, &Args::of(view).ok()?)
    }

    fn refuse(&self, payload: &Bytes, why: String) -> PromoteTo {
        let Context { name, clock, bus, .. } = self.context;
        bus.emit(Event::Warning { text: format!("a due job goes to the failed list: {why}") });
        PromoteTo::Failed { record: Failure::new("Error", why).record(name, "", payload, clock.now_ms()) }
    }

    fn tell(&self, promotion: &Promotion, moved: usize) {
        let bus = &self.context.bus;
        if !bus.wants(Kind::TransferredJob) {
            return;
        }
        for job in promotion.jobs.iter().take(moved) {
            if matches!(job.to, PromoteTo::Queue { .. }) {
                let payload = job.payload.clone();
                bus.emit(Event::TransferredJob { second: promotion.second, payload });
            }
        }
    }

    fn notice_skew(&mut self, store_ms: i64) {
        let skew = self.context.clock.now_ms().saturating_sub(store_ms);
        let fresh = self.skew_told.is_none_or(|told| told.elapsed() > Duration::from_secs(600));
        if skew.abs() > SKEW_MS && fresh {
            self.skew_told = Some(Instant::now());
            self.context.bus.emit(Event::Warning {
                text: format!("this machine's clock and the store's are {skew} ms apart; jobs go by the store's"),
            });
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
