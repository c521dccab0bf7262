//! Reads the reply to an exchange.

use std::collections::HashMap;

use bytes::Bytes;
use fred::interfaces::Resp3Frame as Frame;

use super::RedisLane;
use super::outcomes::{enter_outcomes, halves, unapplied};
use super::parts::Unread;
use crate::job::{ClaimToken, Identity};
use crate::store::effect::Gate;
use crate::store::error::StoreError;
use crate::store::queueing::{Claim, Enter, Entered, Exchange, Exchanged, Part, RefusedPart};
use crate::store::redis::reply;
use crate::store::working::WorkingRecord;

impl RedisLane {
    /// Reads a reply, without the jobs that did not fit into it.
    pub(super) fn understand(
        &self,
        exchange: &Exchange,
        frame: Frame,
        unread: &mut Vec<Unread>,
    ) -> Result<Exchanged, StoreError> {
        let mut reply = reply::list(frame)?.into_iter();
        let mut next = || reply::bytes(reply.next().unwrap_or(Frame::Null)).map(Option::unwrap_or_default);
        match &*next()? {
            // The lane is gone, or somebody else wrote its number: nothing was applied, and what was before is unknown.
            b"G" | b"S" => Ok(Exchanged { dead: true, ..Exchanged::default() }),
            b"R" => {
                let (lost, undone) = unapplied(&next()?);
                let (entered, due, repeated) = enter_outcomes(exchange, &next()?);
                let mut claims = Vec::new();
                while let (Some(index), Some(record)) = (reply.next(), reply.next()) {
                    let Ok(index) = usize::try_from(reply::number(index)?) else { break };
                    match record {
                        Frame::Number { data, .. } => {
                            let length = usize::try_from(data).unwrap_or(0);
                            unread.push(Unread { position: claims.len() + unread.len(), index, length });
                        }
                        record => {
                            let raw = reply::bytes(record)?.unwrap_or_default();
                            claims.extend(self.on_record(exchange, index, raw));
                        }
                    }
                }
                // Whether jobs were left because of their bytes is not known any more.
                let more = claims.len() + unread.len() < exchange.idle.len();
                Ok(Exchanged { lost, undone, repeated, entered, due, claims, more, ..Exchanged::default() })
            }
            b"A" => {
                let (lost, undone) = unapplied(&next()?);
                let (entered, due, repeated) = enter_outcomes(exchange, &next()?);
                let findings = self.connection.findings(&next()?);
                let refused = self.refused(exchange, &entered, &findings);
                let (runs, (indexes, occupied)) = (next()?, halves(&next()?));
                let identities = reply::list(reply.next().unwrap_or(Frame::Null))?;
                let more = runs.ends_with(b"+");
                let claims = self.claims(exchange, &runs, &indexes, identities, reply, unread)?;
                let dead = false;
                Ok(Exchanged { dead, lost, undone, refused, findings, repeated, entered, due, claims, occupied, more })
            }
            _ => Err(StoreError::Unsupported("its reply is not an exchange's".to_owned())),
        }
    }

    /// The enters that stopped at a lock that is not one.
    fn refused(&self, exchange: &Exchange, entered: &[Entered], findings: &[StoreError]) -> Vec<RefusedPart> {
        if findings.is_empty() {
            return Vec::new();
        }
        let of_one = |(index, (enter, outcome)): (usize, (&Enter, &Entered))| {
            let is_lock = |place: &str, gate: &Gate| match gate {
                Gate::TakeLock { key, .. } | Gate::FreeLock { key } => {
                    self.connection.keys().lock(key) == place.as_bytes()
                }
                Gate::Fresh { .. } | Gate::NextTick { .. } | Gate::TellDue { .. } => false,
            };
            let stopped = |finding: &&StoreError| match finding {
                StoreError::Corrupt { place, .. } | StoreError::Barred { place, .. } => {
                    enter.gates.iter().any(|gate| is_lock(place, gate))
                }
                _ => false,
            };
            let error = findings.iter().find(stopped).filter(|_| *outcome == Entered::Undone)?.clone();
            Some(RefusedPart { part: Part::Enter(index), error })
        };
        exchange.enters.iter().zip(entered).enumerate().filter_map(of_one).collect()
    }

    /// The claims of a first reply: jobs in order, told apart by runs of queues.
    fn claims(
        &self,
        exchange: &Exchange,
        runs: &[u8],
        indexes: &[usize],
        identities: Vec<Frame>,
        jobs: impl Iterator<Item = Frame>,
        unread: &mut Vec<Unread>,
    ) -> Result<Vec<Claim>, StoreError> {
        let mut known = HashMap::new();
        let mut identities = identities.into_iter();
        while let (Some(position), Some(identity)) = (identities.next(), identities.next()) {
            let text = reply::bytes(identity)?.unwrap_or_default();
            let identity = std::str::from_utf8(&text).ok().and_then(Identity::decode);
            known.extend(identity.map(|identity| (reply::count(position).unwrap_or(u64::MAX), identity)));
        }
        let mut runs = runs.split(|byte| *byte == b',').filter_map(|run| {
            let (queue, length) = std::str::from_utf8(run).ok()?.split_once(' ')?;
            Some((self.queues.names.get(queue.parse::<usize>().ok()?)?, length.parse::<usize>().ok()?))
        });
        let mut claims = Vec::with_capacity(jobs.size_hint().0);
        let mut run = runs.next();
        for (position, job) in jobs.enumerate() {
            while run.is_some_and(|(_, left)| left == 0) {
                run = runs.next();
            }
            let Some((queue, left)) = &mut run else { break };
            *left -= 1;
            let index = indexes.get(position).copied().unwrap_or(position);
            let Some(worker) = exchange.idle.get(index) else { break };
            if let Frame::Number { data, .. } = job {
                unread.push(Unread { position, index, length: usize::try_from(data).unwrap_or(0) });
                continue;
            }
            let token = ClaimToken::new(&self.instance, self.lane, exchange.sequence, self.workers.ordinal(worker));
            let identity = if known.is_empty() { None } else { known.remove(&(position as u64)) };
            claims.push(Claim {
                index,
                queue: queue.clone(),
                payload: reply::bytes(job)?.unwrap_or_default(),
                identity: identity.unwrap_or_else(|| Identity::first(&token)),
                token,
            });
        }
        Ok(claims)
    }

    /// A claim of a repeated exchange, from its working record.
    pub(super) fn on_record(&self, exchange: &Exchange, index: usize, raw: Bytes) -> Option<Claim> {
        let record = WorkingRecord::parse(exchange.idle.get(index)?, raw);
        Some(Claim {
            index,
            token: record.claim?,
            queue: record.queue?,
            payload: record.payload?,
            identity: record.identity?,
        })
    }
}
