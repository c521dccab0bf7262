//! Samples of the queues, what is published of them, and what is kept for the next leader.

use std::collections::HashSet;

use bytes::Bytes;
use fred::interfaces::Resp3Frame as Frame;

use super::engine::RedisStore;
use super::inspect::{queue_name, queue_names};
use super::pause::says_pause;
use super::refusal::Fault;
use super::refused_keys::{naming, refused_keys};
use super::reply;
use super::script::{Call, Script, script};
use super::{rights, scan};
use crate::job::QueueName;
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::sampling::{
    AskForSamples, Counters, ForgetQueues, Forgotten, Memory, OldestJobs, Publish, PublishedSnapshot, QueueState,
    ReadCurves, ReadSnapshot, Sample, Sampled, Totals, WATCHED_MS, WalkQueues, Walked,
};
use crate::store::scheduling::Leadership;

static SAMPLE: Script = script!("departed", "sample");
static PUBLISH: Script = script!("publish");
static WATCHED: Script = script!("watched");
static FORGET_QUEUES: Script = script!("departed", "forget_queues");

/// The subject of findings about curves.
const CURVES_KEPT: &str = "the curves of queues";

/// Of how many paused queues a sample tells about (`sample.lua`).
const MOST_PAUSES: usize = 10_000;

/// How many fields of a hash the server tells in one reply, roughly.
const FIELDS: &str = "200";

/// Of how many queues one command asks whether any holds jobs.
const ASKED_TOGETHER: usize = 100;

impl Perform<Sample> for RedisStore {
    async fn perform(&self, arrow: Sample) -> Result<Sampled, StoreError> {
        let keys = self.connection.keys();
        let list = |queue: &QueueName| keys.queue(queue);
        let call = |left_out: &HashSet<Bytes>| {
            // While nothing moves the time tells only when that was.
            let estimated = arrow.quiet.and_then(|_| self.connection.origin.told.estimate());
            let mut call = Call::at(self.connection.origin.now_ms().or(estimated));
            call.key(keys.departed()).keys(&[keys.queues(), keys.workers(), keys.watched()]);
            call.keys(&[keys.processed(), keys.failures(), keys.failed(), keys.schedule(), keys.paused()]);
            call.keys(&[keys.pause_all(), keys.instances(), keys.leadership(Leadership::Scheduler)]);
            call.flag(arrow.totals).flag(arrow.quiet.is_some());
            if let Some(Counters { processed, failed }) = arrow.quiet {
                call.number(processed).number(failed);
            }
            let sampled = arrow.queues.iter().filter(|one| !left_out.contains(&list(&one.queue)));
            call.number(sampled.clone().count());
            for one in sampled {
                call.key(list(&one.queue)).text(one.queue.as_str()).flag(one.head);
            }
            call
        };
        let mut left_out = self.unsampled.keys();
        let frame = loop {
            match self.connection.try_run(&SAMPLE, call(&left_out)).await {
                Ok(frame) => break frame,
                Err(Fault::Store(error)) => return Err(rights::explain_to_instance(&self.connection, error).await),
                Err(fault @ Fault::Keys(_)) => {
                    let all = arrow.queues.iter().map(|one| list(&one.queue)).collect();
                    let refused: HashSet<Bytes> = refused_keys(&self.connection, all).await?.into_keys().collect();
                    if refused.is_subset(&left_out) {
                        let error = naming(&self.connection, fault, call(&left_out).into_keys()).await;
                        return Err(rights::explain_to_instance(&self.connection, error).await);
                    }
                    self.unsampled.add(refused.iter().cloned());
                    left_out.extend(refused);
                }
            }
        };
        let (sampled, states) = read(frame)?;
        if sampled.totals.as_ref().is_some_and(|totals| totals.paused.len() >= MOST_PAUSES) {
            let key = String::from_utf8_lossy(&keys.paused()).into_owned();
            let text = format!("{key} has {MOST_PAUSES} members or more: figures know only some of the paused queues");
            self.connection.origin.findings.tell(&format!("the members of {key}"), text);
        }
        let mut states = states.map(Vec::into_iter);
        // Those that were left out hold nothing for this user.
        let mut state = |queue: &QueueName| match &mut states {
            Some(states) if !left_out.contains(&list(queue)) => states.next().unwrap_or_default(),
            _ => QueueState::default(),
        };
        let queues = arrow.queues.iter().map(|one| state(&one.queue)).collect();
        Ok(Sampled { queues: states.is_some().then_some(queues), ..sampled })
    }
}

/// What the script returns, and the state of each queue; `None` if all is quiet.
fn read(frame: Frame) -> Result<(Sampled, Option<Vec<QueueState>>), StoreError> {
    let mut reply = reply::list(frame)?.into_iter();
    let mut next = || reply.next().unwrap_or(Frame::Null);
    let now_ms = reply::number(next())?;
    let (known, workers, watched) = (number(next()), number(next()), number(next()) > 0);
    let counters = Counters { processed: number(next()), failed: number(next()) };
    let totals = reply::list(next())?;
    let totals = if totals.is_empty() { None } else { Some(read_totals(totals)?) };
    let states = match next() {
        Frame::Null => None,
        states => Some(read_states(reply::list(states)?)),
    };
    Ok((Sampled { now_ms, known, workers, watched, counters, queues: None, totals }, states))
}

fn read_states(parts: Vec<Frame>) -> Vec<QueueState> {
    let mut parts = parts.into_iter();
    let mut states = Vec::with_capacity(parts.len() / 4);
    while let Some(length) = parts.next() {
        let mut part = || parts.next().and_then(text);
        // A queue of which no job left has no count.
        let departed = part().map_or(Some(0), |text| reply::parsed(&text));
        let unsure = part().and_then(|text| reply::parsed(&text));
        let head = part().and_then(|digest| digest_of(&digest));
        states.push(QueueState { length: number(length), departed, unsure, head, oldest_ms: None });
    }
    states
}

fn read_totals(parts: Vec<Frame>) -> Result<Totals, StoreError> {
    let mut parts = parts.into_iter();
    let mut next = || parts.next().unwrap_or(Frame::Null);
    let (failed, delayed_seconds) = (number(next()), number(next()));
    let next_delayed_s = text(next()).and_then(|second| reply::parsed(&second));
    let all_paused = text(next()).is_some_and(|switch| says_pause(&switch));
    let instances = number(next());
    let promoter = text(next()).map(|name| String::from_utf8_lossy(&name).into_owned());
    let (counted, used, most) = (number(next()), text(next()), text(next()));
    let bytes = |text: Option<Bytes>| text.and_then(|text| reply::parsed::<u64>(&text));
    let most = bytes(most).filter(|most| *most > 0);
    let memory = bytes(used).map(|used| Memory { used, most });
    let evicted = bytes(text(next()));
    let paused = queue_names(&reply::strings(next())?);
    Ok(Totals {
        failed,
        delayed_seconds,
        next_delayed_s,
        all_paused,
        paused,
        instances,
        promoter,
        counted,
        evicted,
        memory,
    })
}

/// A text, if there is one.
fn text(frame: Frame) -> Option<Bytes> {
    reply::bytes(frame).ok().flatten()
}

/// A number that is never below zero; 0 for what is none.
fn number(frame: Frame) -> u64 {
    text(frame).and_then(|text| reply::parsed::<i64>(&text)).map_or(0, |number| number.max(0).unsigned_abs())
}

/// The first bytes of a digest that is written in hexadecimal.
fn digest_of(digest: &[u8]) -> Option<u64> {
    let first = std::str::from_utf8(digest.get(..16)?).ok()?;
    u64::from_str_radix(first, 16).ok()
}

impl Perform<Publish> for RedisStore {
    async fn perform(&self, arrow: Publish) -> Result<(), StoreError> {
        let keys = self.connection.keys();
        let mut call = Call::at(None);
        call.key(keys.snapshot()).key(keys.arrivals());
        call.arg(arrow.snapshot).number(arrow.lasts_ms.max(1)).number(arrow.curves.len());
        for (queue, curve) in &arrow.curves {
            call.text(queue.as_str()).text(curve.as_deref().unwrap_or_default());
        }
        let broken = reply::bytes(self.connection.run(&PUBLISH, call).await?)?.unwrap_or_default();
        let findings = &self.connection.origin.findings;
        let mut broken = self.connection.findings(&broken).into_iter();
        match broken.next() {
            Some(error) => findings.tell(CURVES_KEPT, format!("the curves of queues are not kept: failed to {error}")),
            None if !arrow.curves.is_empty() => findings.mended(CURVES_KEPT, "the curves of queues are kept again"),
            None => {}
        }
        Ok(())
    }
}

impl Perform<ReadCurves> for RedisStore {
    async fn perform(&self, arrow: ReadCurves) -> Result<Vec<Option<String>>, StoreError> {
        if arrow.queues.is_empty() {
            return Ok(Vec::new());
        }
        let names = arrow.queues.iter().map(|queue| Bytes::copy_from_slice(queue.as_str().as_bytes()));
        let arguments = std::iter::once(self.connection.keys().arrivals()).chain(names).collect();
        let curves = reply::list(self.connection.command("HMGET", arguments).await?)?;
        Ok(curves.into_iter().map(|curve| text(curve).and_then(|curve| String::from_utf8(curve.into()).ok())).collect())
    }
}

impl Perform<ForgetQueues> for RedisStore {
    async fn perform(&self, arrow: ForgetQueues) -> Result<Forgotten, StoreError> {
        let keys = self.connection.keys();
        let cursor = arrow.from.map_or(scan::BEGIN, Bytes::from);
        let count = [&b"COUNT"[..], FIELDS.as_bytes()].map(Bytes::from_static);
        let arguments = [keys.departed(), cursor].into_iter().chain(count).collect();
        let (pairs, next) = scan::read_members(self.connection.command("HSCAN", arguments).await?)?;
        let names: Vec<QueueName> = pairs.iter().step_by(2).filter_map(queue_name).collect();
        let next = next.map(|next| String::from_utf8_lossy(&next).into_owned());
        if names.is_empty() {
            return Ok(Forgotten { queues: Vec::new(), next });
        }
        let mut call = self.connection.call();
        call.key(keys.departed()).key(keys.arrivals()).key(keys.queues()).number(names.len());
        for queue in &names {
            call.key(keys.queue(queue)).text(queue.as_str());
        }
        let gone = reply::strings(self.connection.run(&FORGET_QUEUES, call).await?)?;
        Ok(Forgotten { queues: gone.iter().filter_map(queue_name).collect(), next })
    }
}

impl Perform<WalkQueues> for RedisStore {
    async fn perform(&self, arrow: WalkQueues) -> Result<Walked, StoreError> {
        let (connection, keys) = (&self.connection, self.connection.keys());
        let cursor = arrow.from.map_or(scan::BEGIN, Bytes::from);
        let (members, next) = scan::names(connection, &keys.queues(), cursor).await?;
        let names: Vec<QueueName> = members.iter().filter_map(queue_name).collect();
        // Most of very many queues are empty, so that most parts are done with by one command.
        let parts: Vec<&[QueueName]> = names.chunks(ASKED_TOGETHER).collect();
        let list = |queues: &[QueueName]| queues.iter().map(|queue| keys.queue(queue)).collect::<Vec<_>>();
        let reads = parts.iter().map(|part| ("EXISTS", list(part))).collect();
        let mut holding = Vec::new();
        for (part, answer) in parts.into_iter().zip(connection.commands(reads).await?) {
            match answer.and_then(reply::count) {
                Ok(0) => continue,
                Err(error) if error.is_transient() => return Err(error),
                _ => {}
            }
            let reads = part.iter().map(|queue| ("EXISTS", list(std::slice::from_ref(queue)))).collect();
            for (queue, answer) in part.iter().zip(connection.commands(reads).await?) {
                match answer.and_then(reply::count) {
                    Ok(0) => {}
                    Ok(_) => holding.push(queue.clone()),
                    Err(error) if error.is_transient() => return Err(error),
                    // A key that this user may not read is not sampled either.
                    Err(_) => {}
                }
            }
        }
        let next = next.map(|next| String::from_utf8_lossy(&next).into_owned());
        Ok(Walked { holding, next })
    }
}

impl Perform<ReadSnapshot> for RedisStore {
    async fn perform(&self, _: ReadSnapshot) -> Result<PublishedSnapshot, StoreError> {
        let reads = vec![("GET", vec![self.connection.keys().snapshot()]), ("TIME", Vec::new())];
        let mut answers = self.connection.commands(reads).await?.into_iter();
        let mut next = || answers.next().unwrap_or(Ok(Frame::Null));
        let bytes = reply::bytes(next()?)?;
        let now_ms = match self.connection.origin.now_ms() {
            Some(now_ms) => now_ms,
            None => reply::time_ms(next()?)?,
        };
        Ok(PublishedSnapshot { now_ms, bytes })
    }
}

impl Perform<OldestJobs> for RedisStore {
    async fn perform(&self, arrow: OldestJobs) -> Result<Vec<Option<i64>>, StoreError> {
        Ok(vec![None; arrow.queues.len()])
    }
}

impl Perform<AskForSamples> for RedisStore {
    async fn perform(&self, _: AskForSamples) -> Result<(), StoreError> {
        let mut call = Call::at(None);
        call.key(self.connection.keys().watched()).number(WATCHED_MS);
        self.connection.run(&WATCHED, call).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use fred::interfaces::Resp3Frame as Frame;
    use proptest::prelude::*;

    use super::*;

    fn frame() -> impl Strategy<Value = Frame> {
        let leaf = prop_oneof![
            Just(Frame::Null),
            any::<i64>().prop_map(|data| Frame::Number { data, attributes: None }),
            "[0-9a-f-]{0,20}|\\PC{0,8}".prop_map(|text| Frame::BlobString { data: text.into(), attributes: None }),
        ];
        leaf.prop_recursive(2, 40, 12, |inner| {
            proptest::collection::vec(inner, 0..12).prop_map(|data| Frame::Array { data, attributes: None })
        })
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_readers(frames in proptest::collection::vec(frame(), 0..10)) {
            let _ = read(Frame::Array { data: frames, attributes: None });
        }
    }
}
