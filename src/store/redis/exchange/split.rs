//! An exchange that is cut off again and again: it is sent in parts, until the part is known that nobody passes on.
//!
//! A server closes the connection on a call that is longer than it allows (`client-query-buffer-limit`,
//! `proto-max-bulk-len`), and a proxy or a firewall may do so on calls or answers of any length. Such an exchange would be
//! repeated for ever, and with it everything that it ends. After two cuts it is halved, and each half that is cut off
//! again, while short calls are answered. What is cut off alone is named and left out, so that the rest goes on.
//!
//! A part that was cut off may still be on its way. So its number is taken first (`fence.lua`): what comes later under that
//! number applies nothing. The parts have a lane of their own in the store, and so numbers of their own.

use std::collections::HashSet;
use std::ops::Range;

use bytes::Bytes;

use super::stretch::{Stretch, is_untouched, whole};
use super::{FENCE, RedisLane, start};
use crate::job::{ClaimToken, PayloadView};
use crate::store::error::StoreError;
use crate::store::queueing::{Entered, Exchange, Exchanged, Extra, Part, RefusedPart, Settlement};
use crate::store::redis::apart::Apart;
use crate::store::redis::refusal::Fault;
use crate::store::redis::refused_keys::naming;
use crate::store::redis::script::Call;
use crate::store::redis::{apart, reply, rights};

/// After how many cuts in a row an exchange is sent in parts.
const CUTS: u32 = 2;
/// What is shorter is not cut off for its length.
const SHORT: usize = 2048;
/// How many claims are remembered whose ends are cut off.
const KNOWN: usize = 1000;

/// How often the last exchange was cut off, and what is known to be cut off.
#[derive(Default)]
pub(super) struct Cuts {
    sequence: u64,
    count: u32,
    known: HashSet<ClaimToken>,
}

impl Cuts {
    /// How often the answer to this exchange was lost.
    pub(super) fn of(&self, sequence: u64) -> u32 {
        if self.sequence == sequence { self.count } else { 0 }
    }

    /// The answer to this exchange was lost. Returns whether that happened often enough.
    fn add(&mut self, sequence: u64) -> bool {
        if self.sequence != sequence {
            (self.sequence, self.count) = (sequence, 0);
        }
        self.count += 1;
        self.count >= CUTS
    }
}

/// What became of a part.
enum Sent {
    Reply(Exchanged),
    /// It was cut off, and will never be applied.
    CutOff,
    /// For a key of it that is refused; it will never be applied.
    Refused(StoreError),
}

/// An exchange that is sent in parts.
pub(super) struct Split {
    pub(super) sequence: u64,
    /// The number of the whole was taken, so that what was sent of it applies nothing any more.
    fenced: bool,
    /// What is still to be sent, the next part last.
    stretches: Vec<Stretch>,
    reply: Exchanged,
}

impl RedisLane {
    /// The answer to an exchange was lost. From the next repetition on it may be sent in parts.
    pub(super) fn cut_off(&mut self, exchange: &Exchange) {
        let has_parts = !exchange.settlements.is_empty() || !exchange.enters.is_empty();
        if self.cuts.add(exchange.sequence) && has_parts && self.bytes(exchange) >= SHORT {
            let entered = vec![Entered::Undone; exchange.enters.len()];
            let reply = Exchanged { entered, more: !exchange.idle.is_empty(), ..Exchanged::default() };
            self.split = Some(Split { sequence: exchange.sequence, fenced: false, stretches: Vec::new(), reply });
        }
    }

    /// An exchange with an end that is known to be cut off is sent in parts at once.
    pub(super) fn split_of(&mut self, exchange: &Exchange) -> Option<Split> {
        let split = self.split.take().filter(|split| split.sequence == exchange.sequence);
        let is_apart = self.apart.as_ref().is_some_and(|apart| apart.rest.sequence == exchange.sequence);
        let is_known = || exchange.settlements.iter().any(|one| self.cuts.known.contains(&one.claim));
        if split.is_none() && !is_apart && is_known() {
            self.cuts.count = CUTS;
            self.cuts.sequence = exchange.sequence;
            self.cut_off(exchange);
            return self.split.take();
        }
        split
    }

    /// Sends what is left of an exchange in parts.
    pub(super) async fn send_split(&mut self, mut split: Split, exchange: &Exchange) -> Result<Exchanged, StoreError> {
        let sent = self.go_on(&mut split, exchange).await;
        if sent.is_err() {
            self.split = Some(split);
        }
        sent
    }

    async fn go_on(&mut self, split: &mut Split, exchange: &Exchange) -> Result<Exchanged, StoreError> {
        if !split.fenced {
            split.stretches = self.first_stretches(exchange).await?;
            let whole = self.lane_text.clone();
            if let Some(reply) = self.fence(&whole, exchange).await? {
                return Ok(reply);
            }
            split.fenced = true;
        }
        while let Some(stretch) = split.stretches.pop() {
            if let Some(progress) = &self.progress {
                progress();
            }
            let sequence = stretch.sequence.unwrap_or(self.parts_sent + 1);
            self.parts_sent = sequence;
            let asked = stretch.asked(exchange, sequence);
            match self.send_stretch(&asked).await {
                Ok(Sent::Reply(reply)) if reply.dead => return Ok(reply),
                // Its number was taken when it was cut off, and the answer to that was lost: so nothing of it was applied.
                Ok(Sent::Reply(reply))
                    if stretch.sequence.is_some() && reply.findings.is_empty() && is_untouched(&asked, &reply) =>
                {
                    split.stretches.push(Stretch { sequence: None, ..stretch });
                }
                Ok(Sent::Reply(reply)) => {
                    if let ([settlement], []) = (&asked.settlements[..], &reply.undone[..]) {
                        self.cuts.known.remove(&settlement.claim);
                    }
                    split.reply.add(exchange, &stretch.items, whole(stretch.apart, reply));
                }
                Ok(Sent::Refused(error)) => self.without_refused(split, exchange, &asked, stretch, error).await?,
                // It was cut off, and the server answers.
                Ok(Sent::CutOff) if stretch.items.len() > 1 => {
                    let middle = stretch.items.start + stretch.items.len() / 2;
                    let halves = [middle..stretch.items.end, stretch.items.start..middle];
                    split.stretches.extend(halves.map(|items| Stretch::new(items, 0)));
                }
                Ok(Sent::CutOff) if stretch.cuts + 1 < CUTS => {
                    split.stretches.push(Stretch::new(stretch.items, stretch.cuts + 1))
                }
                Ok(Sent::CutOff) => match self.is_too_long(&asked).await {
                    Ok(true) => self.leave_out(split, exchange, &asked, stretch.items.start),
                    other => {
                        // It was not cut off for its length, or that cannot be found out now.
                        split.stretches.push(Stretch::new(stretch.items, 0));
                        let again = || StoreError::Unavailable("the connection is closed again and again".to_owned());
                        return Err(other.err().unwrap_or_else(again));
                    }
                },
                Err(error) => {
                    split.stretches.push(Stretch { sequence: Some(sequence), ..stretch });
                    return Err(error);
                }
            }
        }
        Ok(std::mem::take(&mut split.reply))
    }

    /// The parts to begin with, the first one last: two halves, and each end that is known to be cut off alone behind them.
    async fn first_stretches(&mut self, exchange: &Exchange) -> Result<Vec<Stretch>, StoreError> {
        let started = start(&self.connection, &self.instance, self.lane_of_parts()).await?;
        self.parts_sent = started.max(self.parts_sent);
        let is_known = |settlement: &Settlement| self.cuts.known.contains(&settlement.claim);
        let all = exchange.settlements.len() + exchange.enters.len();
        let known: Vec<usize> =
            (0..exchange.settlements.len()).filter(|at| is_known(&exchange.settlements[*at])).collect();
        let mut ranges: Vec<(Range<usize>, u32)> = if known.is_empty() {
            vec![(0..all / 2, 0), (all / 2..all, 0)]
        } else {
            let begins = std::iter::once(0).chain(known.iter().map(|at| at + 1));
            let between = begins.zip(known.iter().copied().chain([all])).map(|(from, to)| (from..to, 0));
            between.chain(known.iter().map(|at| (*at..at + 1, CUTS - 1))).collect()
        };
        ranges.retain(|(items, _)| !items.is_empty());
        Ok(ranges.into_iter().rev().map(|(items, cuts)| Stretch::new(items, cuts)).collect())
    }

    /// Sends a part.
    async fn send_stretch(&mut self, asked: &Exchange) -> Result<Sent, StoreError> {
        let lane = self.lane_of_parts();
        match self.send_over(&lane, asked).await {
            Ok(reply) => Ok(Sent::Reply(reply)),
            Err(Fault::Store(StoreError::Unavailable(_))) => {
                Ok(self.fence(&lane, asked).await?.map_or(Sent::CutOff, Sent::Reply))
            }
            Err(Fault::Store(error)) => Err(error),
            Err(fault) => {
                // An earlier attempt may have been applied before the key was refused.
                if let Some(reply) = self.fence(&lane, asked).await? {
                    return Ok(Sent::Reply(reply));
                }
                let refused = naming(&self.connection, fault, Vec::new()).await;
                if refused.is_transient() { Err(refused) } else { Ok(Sent::Refused(refused)) }
            }
        }
    }

    /// Sets apart what needs a refused key of a part, whose number is taken.
    async fn without_refused(
        &mut self,
        split: &mut Split,
        exchange: &Exchange,
        asked: &Exchange,
        stretch: Stretch,
        error: StoreError,
    ) -> Result<(), StoreError> {
        let found = match &stretch.apart {
            None => Apart::of(&self.connection, &self.shared(), asked).await,
            // More is refused by now: it is found out where they are sent the next time.
            Some(_) => Ok(None),
        };
        match found {
            Ok(Some(apart)) if apart.rest.settlements.is_empty() && apart.rest.enters.is_empty() => {
                split.reply.add(exchange, &stretch.items, apart.reply(Exchanged::default()));
            }
            Ok(Some(apart)) => split.stretches.push(Stretch { apart: Some(apart), ..Stretch::new(stretch.items, 0) }),
            Ok(None) => {
                let undone = (0..asked.settlements.len()).collect();
                let entered = vec![Entered::Undone; asked.enters.len()];
                let reply = Exchanged { undone, entered, findings: vec![error], ..Exchanged::default() };
                split.reply.add(exchange, &stretch.items, whole(stretch.apart, reply));
            }
            Err(shared) => {
                split.stretches.push(Stretch { sequence: None, ..stretch });
                return Err(rights::explain(&self.connection, shared).await);
            }
        }
        Ok(())
    }

    /// Is this cut off for its length? A call that is as long and does nothing is cut off as well, and a short one is answered.
    /// Without this a path that loses answers now and then would end jobs that are well.
    async fn is_too_long(&mut self, asked: &Exchange) -> Result<bool, StoreError> {
        let bytes = self.bytes(asked);
        if bytes < SHORT {
            return Ok(false);
        }
        if asked.settlements.iter().any(|settlement| self.cuts.known.contains(&settlement.claim)) {
            return Ok(true);
        }
        let lane = self.lane_of_parts();
        let mut call = self.fencing(&lane, asked);
        call.arg(Bytes::from(vec![b'x'; bytes]));
        match self.connection.run(&FENCE, call).await {
            Ok(_) => Ok(false),
            Err(StoreError::Unavailable(_)) => {
                let call = self.fencing(&lane, asked);
                self.connection.run(&FENCE, call).await.map(|_| true)
            }
            Err(error) => Err(error),
        }
    }

    /// The call that takes the number of an exchange, and changes nothing if it was taken.
    fn fencing(&self, lane: &Bytes, exchange: &Exchange) -> Call {
        let undone: Vec<String> = (0..exchange.settlements.len()).map(|index| format!("!{index}")).collect();
        let mut call = self.connection.call();
        call.key(self.key.clone()).arg(lane.clone()).number(exchange.sequence);
        call.text(&undone.join(",")).text(&vec!["U"; exchange.enters.len()].join(","));
        call
    }

    /// Takes the number of an exchange that was cut off. If it was applied, returns its reply; else it never will be.
    async fn fence(&mut self, lane: &Bytes, exchange: &Exchange) -> Result<Option<Exchanged>, StoreError> {
        let call = self.fencing(lane, exchange);
        match &*reply::bytes(self.connection.run(&FENCE, call).await?)?.unwrap_or_default() {
            b"A" => return Ok(None),
            b"R" => {}
            _ => return Ok(Some(Exchanged { dead: true, ..Exchanged::default() })),
        }
        let reply = self.applied(lane, exchange).await?;
        // By this or an earlier call of which the answer was lost.
        Ok(reply.filter(|reply| !is_untouched(exchange, reply)))
    }

    /// Names what is cut off alone, and leaves it out.
    fn leave_out(&mut self, split: &mut Split, exchange: &Exchange, asked: &Exchange, at: usize) {
        let bytes = self.bytes(asked);
        if let Some(settlement) = exchange.settlements.get(at) {
            if self.cuts.known.len() >= KNOWN {
                self.cuts.known.clear();
            }
            self.cuts.known.insert(settlement.claim.clone());
            let error = self.too_long("the end of a job", &settlement.payload, bytes);
            // The long values of a long job are not sent, if its record lends them.
            let lends = self.unlent.lends(&settlement.claim, &settlement.payload);
            let extras = if lends { Vec::new() } else { self.long_extras(settlement) };
            split.reply.undone.push(at);
            split.reply.refused.push(RefusedPart { part: Part::Settlement { index: at, extras }, error });
        } else if let Some(enter) = exchange.enters.get(at - exchange.settlements.len()) {
            let error = self.too_long("a job at its gates", &enter.payload, bytes);
            let part = Part::Enter(at - exchange.settlements.len());
            split.reply.refused.push(RefusedPart { part, error });
        }
    }

    /// What of a settlement needs long keys, or is itself long.
    fn long_extras(&self, settlement: &Settlement) -> Vec<Extra> {
        let is_long_run = settlement.run.as_ref().is_some_and(|keep| keep.run.rest().len() >= SHORT);
        let all = apart::extras(self.connection.keys(), settlement).into_iter();
        let is_long =
            |extra: &Option<Extra>, key: &Bytes| key.len() >= SHORT || *extra == Some(Extra::Run) && is_long_run;
        let mut extras: Vec<Extra> =
            all.filter(|(extra, key)| is_long(extra, key)).filter_map(|(extra, _)| extra).collect();
        extras.dedup();
        extras
    }

    fn too_long(&self, what: &str, payload: &[u8], bytes: usize) -> StoreError {
        let view = PayloadView::parse(payload).ok();
        let task = view.map_or_else(String::new, |view| format!(" of task {}", view.class));
        StoreError::Barred {
            place: format!("the connection to {}", self.connection.origin.address()),
            reason: format!(
                "it was closed each time in answer to {what}{task}, {bytes} bytes of which are sent (the job has {}), while \
                 shorter calls are answered; raise what bounds a call or an answer: of the server client-query-buffer-limit, \
                 proto-max-bulk-len and client-output-buffer-limit (redis-cli CONFIG GET '*limit*'), or of a proxy on the way",
                payload.len()
            ),
        }
    }

    /// How many bytes of an exchange are sent.
    fn bytes(&mut self, exchange: &Exchange) -> usize {
        let layout = self.workers.lay_out(self.connection.keys(), exchange, false);
        self.call(&self.lane_text, exchange, &layout, false, 0).bytes()
    }

    fn lane_of_parts(&self) -> Bytes {
        Bytes::from(format!("{}p", self.lane))
    }
}
