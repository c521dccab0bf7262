//! Promotion: moves delayed jobs to their queues as soon as they are due, in bounded batches.
//!
//! It uses the leader lock of node-resque's schedulers. Leadership saves work and keeps the order;
//! the store's atomic steps ensure that no job is lost or doubled under two leaders.
//!
//! Longer than 400 lines because one loop weighs looks, due times and the lead against each other.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::ruby_leader::{Stance, Watcher};
use super::skew::Skew;
use super::transfer::{StepOutcome, Transfer};
use super::{Failing, SchedulerContext};
use crate::backoff;
use crate::event::figures::Lead as Leads;
use crate::event::{Event, EventKind};
use crate::job::run_counts::millis;
use crate::store::StoreError;
use crate::store::announce::Announcements;
use crate::store::handle::Waker;
use crate::store::outage::Asker;
use crate::store::path::Path;
use crate::store::scheduling::{Due, Lead, Leadership, Resign};
use crate::store::wake::{ArmedState, Watch};
use crate::supervise::pulse::{LONGEST, Pulse};

/// How long the leadership is held without renewal. The instance that recovers a dead leader frees its lock at once
/// (`recover`); the limit is for a leader that no instance recovers.
const TTL: Duration = Duration::from_secs(15);
/// How often at least a leader looks anew while nothing is delayed: it may have missed a change, and the clocks may drift.
const LOOK: Duration = Duration::from_secs(60);
/// When the leadership is renewed: early enough that an attempt may fail.
const RENEWAL: Duration = Duration::from_secs(10);
/// After more steps in a row that found jobs but moved none, another promoter is at work, and this one waits.
const MAX_FUTILE_STEPS: u32 = 16;
/// How long it waits then.
const RIVAL_WAIT: Duration = Duration::from_secs(1);
/// Over a long path, how long before they are due jobs are read, so that their promotion can arrive when they are due.
const AHEAD: Duration = Duration::from_secs(2);
/// The pause after a wake-up, because changes of the delayed jobs may come by the thousand. Over a long path the look itself
/// takes longer.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// An entry that is overdue by so much in two checks in a row is promoted even by an instance that does not lead,
/// because the leader is dead or stuck.
const OVERDUE_MS: i64 = 5_000;
/// How long overdue entries are checked more often after that: as long as the lock of a dead node-resque leader lives.
const RESCUE_PERIOD: Duration = Duration::from_secs(180);
/// How often they are checked then.
const RESCUE_INTERVAL: Duration = Duration::from_secs(1);

/// Promotes until `stop` is true, then resigns.
pub async fn run(context: SchedulerContext, mut stop: watch::Receiver<bool>) {
    let SchedulerContext { bus, name, .. } = &context;
    bus.emit(Event::SchedulerStart { name: name.clone() });
    let mut promoter = Promoter::new(&context);
    tokio::select! {
        () = promoter.run_forever() => {}
        stopped = stop.wait_for(|stop| *stop) => drop(stopped),
    }
    // A step in flight is atomic; the next leader reads the state again, so its reply is not needed.
    let resign = Resign { which: Leadership::Scheduler, owner: name.clone() };
    let _ = tokio::time::timeout(Duration::from_secs(1), context.store.run(resign)).await;
    bus.figures().lead(Leads::Scheduler, false);
    bus.emit(Event::SchedulerEnd { name: name.clone() });
}

struct Promoter<'a> {
    context: &'a SchedulerContext,
    leading: bool,
    /// Whether the last message says that this instance leads.
    told_leading: bool,
    /// When the leadership was renewed last.
    renewed: Instant,
    /// When it was looked last what is due.
    looked: Instant,
    transfer: Transfer,
    /// What was seen of the leader of resque-scheduler.
    ruby: Watcher,
    /// The path that looks take.
    path: Path,
    /// The entry that was overdue at the last check while another instance led.
    overdue: Option<Bytes>,
    /// When this instance last promoted while another led.
    rescued: Option<Instant>,
    failing: Failing,
    skew: Skew,
    pulse: Pulse,
}

/// What a look saw.
struct Look {
    seen: ArmedState,
    /// What is due or soon will be, if it was read, too.
    read: Option<Due>,
    /// When the look was sent, and how long it took.
    asked: Instant,
    took: Duration,
}

impl<'a> Promoter<'a> {
    fn new(context: &'a SchedulerContext) -> Self {
        Self {
            context,
            leading: false,
            told_leading: false,
            renewed: Instant::now(),
            looked: Instant::now(),
            transfer: Transfer::default(),
            ruby: Watcher::default(),
            path: Path::default(),
            overdue: None,
            rescued: None,
            failing: Failing::new(Asker::Promoter, "the scheduler"),
            skew: Skew::default(),
            pulse: context.pulses.begin("scheduler promotion", LONGEST),
        }
    }

    async fn run_forever(&mut self) {
        let mut attempt = 0;
        loop {
            self.pulse.turn();
            let error = match self.context.store.waker().await {
                Ok(waker) => match self.rounds(&waker, &mut attempt).await {
                    Ok(never) => match never {},
                    Err(error) => error,
                },
                Err(error) => error,
            };
            self.failed(&error).await;
            sleep(backoff::exponential(attempt, Duration::from_millis(100), error.longest_wait(), 0.5)).await;
            attempt = attempt.saturating_add(1);
        }
    }

    /// Reports the failure of a round, once, and resigns, because another instance may succeed.
    async fn failed(&mut self, error: &StoreError) {
        let SchedulerContext { store, bus, name, .. } = self.context;
        bus.figures().lead(Leads::Scheduler, false);
        if std::mem::replace(&mut self.leading, false) && !error.is_transient() {
            let resign = Resign { which: Leadership::Scheduler, owner: name.clone() };
            let _ = tokio::time::timeout(Duration::from_secs(1), store.run(resign)).await;
        }
        self.failing.failed(self.context, error);
    }

    async fn rounds(&mut self, waker: &Waker, attempt: &mut u32) -> Result<std::convert::Infallible, StoreError> {
        let mut announced = self.context.announcements.delayed.subscribe();
        // What was read ahead, and when it is to be sent.
        let mut ahead: Option<(Instant, Due)> = None;
        // The last look was given up. The next one is not, because there might be no end to that.
        let mut given_up = false;
        loop {
            self.pulse.turn();
            let SchedulerContext { bus, .. } = self.context;
            self.renew().await?;
            if bus.wants(EventKind::SchedulerPoll) {
                bus.emit(Event::SchedulerPoll);
            }
            let Look { seen, read, asked, took } = tokio::select! {
                biased;
                look = self.look(waker) => look?,
                () = until(ahead.as_ref().map(|(at, _)| *at)), if self.leading => {
                    self.leading = self.promote_due(ahead.take().map(|(_, read)| read)).await?;
                    continue;
                }
                // What is on its way would not be seen by this look.
                () = announced.due(), if self.leading && !given_up => {
                    given_up = true;
                    continue;
                }
            };
            given_up = false;
            self.path.note(took);
            self.looked = asked;
            // A step that is sent when a job is due, counted from here, reaches the store a quarter of a round trip after
            // that: a path takes not always the same time, and one that comes too early must be sent again.
            let told = asked + took / 4;
            // What is delayed only a leader asks.
            self.skew.notice(self.context, asked, seen.now_ms, seen.next_due_s.is_some());
            let Announcements { queued, delayed, .. } = &self.context.announcements;
            queued.set_polled(seen.polled);
            delayed.set_polled(seen.polled);
            if seen.leadership_free {
                continue;
            }
            let due_in = self.next_ms(&seen).await?.map(|next_ms| next_ms.saturating_sub(seen.now_ms));
            let due_in = due_in.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0)));
            let is_due = self.leading && (due_in == Some(Duration::ZERO) || read.as_ref().is_some_and(Due::is_due));
            if is_due {
                // This may be refused although every look succeeds.
                self.leading = self.promote_due(read).await?;
                *attempt = 0;
                self.failing.worked(self.context);
                continue;
            }
            *attempt = 0;
            self.failing.worked(self.context);
            let due = due_in.map(|due_in| told + due_in);
            // The two looks may have seen different seconds.
            let read = read.filter(|read| read.is_ahead() && read.due_s == seen.next_due_s && read.ruby.is_none());
            ahead = due.zip(read.filter(|_| !self.transfer.skips_entries()));
            // Over a long path what is due later is read shortly before.
            let looks_before = self.leading && self.path.is_long() && due_in.is_some_and(|due_in| due_in > AHEAD);
            let next = if looks_before { due.map(|due| due - AHEAD / 2) } else { due };
            tokio::select! {
                () = waker.woken() => {
                    if !self.path.is_long() {
                        let due_in = due.map_or(DEBOUNCE, |due| due.saturating_duration_since(Instant::now()));
                        sleep(DEBOUNCE.min(due_in)).await;
                    }
                }
                () = announced.due(), if self.leading => {}
                is_due = self.hold_lead(waker, next) => {
                    if is_due? && self.leading && !looks_before {
                        // The step itself looks whether a job is due: another look before it would cost a round trip.
                        self.leading = self.promote_due(ahead.take().map(|(_, read)| read)).await?;
                    }
                }
            }
        }
    }

    /// Looks at what is watched and arms the waker. Over a long path a leader reads in the same moment what is due or soon
    /// will be, because reading it when it is due would cost another round trip.
    async fn look(&self, waker: &Waker) -> Result<Look, StoreError> {
        let leaderships = if self.leading { Vec::new() } else { vec![Leadership::Scheduler] };
        let poll = Some(self.context.config.borrow().poll);
        let watch = Watch { delayed: self.leading, leaderships, poll, ..Watch::default() };
        let asked = Instant::now();
        let arm = async { Ok::<_, StoreError>((waker.arm(&watch).await?, asked.elapsed())) };
        let ((seen, took), read) = if self.leading && self.path.is_long() {
            let (armed, read) = tokio::join!(arm, self.transfer.read(self.context, millis(AHEAD)));
            (armed?, Some(read?))
        } else {
            (arm.await?, None)
        };
        Ok(Look { seen, read, asked, took })
    }

    /// When the next job is due, in milliseconds of the store's time.
    async fn next_ms(&self, seen: &ArmedState) -> Result<Option<i64>, StoreError> {
        if self.leading && self.transfer.skips_entries() {
            return self.transfer.next_ms(self.context).await;
        }
        Ok(seen.next_due_s.map(|second| second.saturating_mul(1000)))
    }

    /// Takes the leadership, or renews it if it is time to.
    async fn renew(&mut self) -> Result<(), StoreError> {
        let SchedulerContext { store, bus, name, .. } = self.context;
        let renewed = self.renewed;
        if self.leading && Instant::now() < self.context.shared_renewal.time(renewed, renewed + RENEWAL) {
            return Ok(());
        }
        let lead = Lead { which: Leadership::Scheduler, owner: name.clone(), ttl_ms: millis(TTL) };
        let leads = match self.context.shared_renewal.share(&lead).await {
            Some(leads) => leads,
            None => store.run(lead).await?,
        };
        if leads && !self.told_leading {
            bus.emit(Event::Notice { text: format!("scheduler leader: {name}") });
        }
        (self.leading, self.told_leading) = (leads, leads);
        bus.figures().lead(Leads::Scheduler, leads);
        self.renewed = Instant::now();
        Ok(())
    }

    /// Waits until a job is due, it is time for a new look or the leadership changes. A leader looks anew with each
    /// renewal, because the store's clock may have been set and this timer may have stood still while the machine slept.
    /// Neither matters while nothing is delayed: then it checks that it would be told of a new job, and goes on here. So
    /// does an instance that does not lead. Returns whether a job is due, or an error if the waker fails, because then no
    /// wake-up would come.
    async fn hold_lead(&mut self, waker: &Waker, due: Option<Instant>) -> Result<bool, StoreError> {
        let led = self.leading;
        loop {
            self.pulse.turn();
            let rescues = !led && self.rescued.is_some_and(|rescued| rescued.elapsed() < RESCUE_PERIOD);
            let renewal = if rescues {
                self.renewed + RESCUE_INTERVAL
            } else {
                self.context.shared_renewal.time(self.renewed, self.renewed + RENEWAL)
            };
            if let Some(due) = due.filter(|due| *due <= renewal) {
                sleep_until(due).await;
                return Ok(true);
            }
            sleep_until(renewal).await;
            self.renew().await?;
            let has_entries = due.is_some() || self.transfer.skips_entries();
            if self.leading != led || led && (has_entries || self.looked.elapsed() >= LOOK) {
                return Ok(false);
            }
            let is_told = waker.check().await?;
            if !led {
                self.rescue(rescues).await?;
            }
            if !is_told {
                return Ok(false);
            }
            if led && self.context.bus.wants(EventKind::SchedulerPoll) {
                self.context.bus.emit(Event::SchedulerPoll);
            }
        }
    }

    /// Promotes what the leader leaves overdue.
    async fn rescue(&mut self, at_once: bool) -> Result<(), StoreError> {
        let due = self.transfer.first(self.context).await?;
        let late_ms = due.due_s.map_or(0, |second| due.now_ms.saturating_sub(second.saturating_mul(1000)));
        let overdue = due.entry().filter(|_| late_ms >= OVERDUE_MS);
        let is_left = overdue.is_some() && matches!(self.ruby.judge(self.context, &due), Stance::MovesThem);
        let overdue = overdue.filter(|_| !is_left);
        let stands = overdue.is_some() && (at_once || overdue == self.overdue);
        self.overdue = overdue;
        if !stands {
            return Ok(());
        }
        if !at_once {
            let late_s = late_ms / 1000;
            let text = format!(
                "delayed jobs are overdue by {late_s} s and the scheduler's leader does not promote them; promoting them"
            );
            self.context.bus.emit(Event::Warning { text });
        }
        self.rescued = Some(Instant::now());
        self.transfer_all(None, None).await.map(drop)
    }

    /// Promotes until nothing is due, beginning with what was read already. False if another instance leads.
    async fn promote_due(&mut self, read: Option<Due>) -> Result<bool, StoreError> {
        self.transfer_all(Some(self.context.name.as_str()), read).await
    }

    async fn transfer_all(&mut self, leader: Option<&str>, mut read: Option<Due>) -> Result<bool, StoreError> {
        let mut futile = 0;
        let mut early = false;
        loop {
            self.pulse.turn();
            if leader.is_some() {
                self.renew().await?;
                if !self.leading {
                    return Ok(false);
                }
            }
            let sent;
            let outcome = if std::mem::take(&mut early) {
                self.announce();
                sent = Instant::now();
                self.transfer.send_again(self.context).await?
            } else {
                let due = match read.take() {
                    Some(due) => due,
                    None => self.transfer.read(self.context, 0).await?,
                };
                let ruby = match due.is_due().then(|| self.ruby.judge(self.context, &due)) {
                    Some(Stance::MovesThem) => {
                        sleep(RIVAL_WAIT).await;
                        return Ok(true);
                    }
                    Some(Stance::StandsStill(leader)) => Some(leader),
                    Some(Stance::Absent) | None => None,
                };
                if !due.jobs.is_empty() {
                    self.announce();
                }
                sent = Instant::now();
                self.transfer.step_with(self.context, leader, ruby, due).await?
            };
            match outcome {
                StepOutcome::NotLeader => return Ok(false),
                StepOutcome::RubyLeads => {
                    sleep(RIVAL_WAIT).await;
                    return Ok(true);
                }
                StepOutcome::Early { due_ms } if self.transfer.is_soon(due_ms) => {
                    sleep(self.transfer.until(due_ms).saturating_sub(sent.elapsed())).await;
                    early = true;
                }
                StepOutcome::Early { .. } => return Ok(true),
                StepOutcome::Nothing { next_ms: Some(next_ms) } if self.transfer.is_soon(next_ms) => {
                    // It came a little early. Another look before the next step would cost a round trip.
                    sleep(self.transfer.until(next_ms)).await;
                }
                StepOutcome::Nothing { .. } => return Ok(true),
                StepOutcome::InTime => {
                    self.ruby.moved();
                    return Ok(true);
                }
                StepOutcome::Moved => {
                    self.ruby.moved();
                    futile = 0;
                }
                StepOutcome::Futile => {
                    self.ruby.saw_rival();
                    futile += 1;
                    if futile > MAX_FUTILE_STEPS {
                        sleep(RIVAL_WAIT).await;
                        return Ok(true);
                    }
                }
            }
        }
    }

    /// The pool of this instance can send its claim right behind what is sent now.
    fn announce(&self) {
        self.context.announcements.queued.announce(&self.path);
    }
}

/// Waits until then, or without end.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
