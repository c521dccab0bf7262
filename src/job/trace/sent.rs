//! The span of an enqueue.

use super::context::{SpanId, TraceContext};
use super::sampler::Sampler;

/// An enqueue inside of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SentTrace {
    /// What the job continues.
    pub context: TraceContext,
    /// Its own span, if it has one: its parent, and when it began.
    own: Option<(Option<SpanId>, i64)>,
}

/// An enqueue that has ended, as a span.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SentSpan {
    /// The span.
    pub context: TraceContext,
    /// The span that it continues.
    pub parent: Option<SpanId>,
    /// When it began, in milliseconds since the Unix epoch.
    pub began_ms: i64,
    /// When it ended.
    pub ended_ms: i64,
    /// The job's queue.
    pub queue: String,
    /// Its task.
    pub task: String,
    /// Who refused it, if it was refused.
    pub refused_by: Option<String>,
}

impl SentTrace {
    /// Continues the trace of who asks for the enqueue, or begins one. `None`: the job is in no trace. Without a sampler nothing
    /// is recorded here, and a trace is passed on as it came.
    #[must_use]
    pub fn begin(parent: Option<TraceContext>, sampler: Option<Sampler>, now_ms: i64) -> Option<Self> {
        let random = || {
            let mut drawn = [0; 24];
            getrandom::fill(&mut drawn).ok().map(|()| drawn)
        };
        Self::begin_with(parent, sampler, now_ms, random)
    }

    /// `random` makes the ids.
    fn begin_with(
        parent: Option<TraceContext>,
        sampler: Option<Sampler>,
        now_ms: i64,
        random: impl FnOnce() -> Option<[u8; 24]>,
    ) -> Option<Self> {
        let Some(sampler) = sampler else { return parent.map(|context| Self { context, own: None }) };
        let drawn = random()?;
        let (mut trace, mut span) = ([0; 16], [0; 8]);
        trace.copy_from_slice(&drawn[..16]);
        span.copy_from_slice(&drawn[16..]);
        let trace = parent.map_or(trace, |parent| parent.trace);
        let sampled = sampler.samples(&trace, parent.map(|parent| parent.sampled));
        match parent {
            // It is passed on, so that nobody behind decides anew.
            Some(parent) if !sampled => Some(Self { context: TraceContext { sampled, ..parent }, own: None }),
            None if !sampled => None,
            _ => {
                let context = TraceContext::new(trace, span, true)?;
                Some(Self { context, own: Some((parent.map(|parent| parent.span), now_ms)) })
            }
        }
    }

    /// The span, if there is one to record.
    #[must_use]
    pub fn ended(self, (task, queue): (&str, &str), refused_by: Option<&str>, now_ms: i64) -> Option<SentSpan> {
        let (parent, began_ms) = self.own?;
        Some(SentSpan {
            context: self.context,
            parent,
            began_ms,
            ended_ms: now_ms,
            queue: queue.to_owned(),
            task: task.to_owned(),
            refused_by: refused_by.map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_enqueue_continues_a_trace_or_begins_one() {
        let parent = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        let unsampled = TraceContext { sampled: false, ..parent };
        let begin = |parent, sampler| SentTrace::begin_with(parent, sampler, 5, || Some([9; 24]));
        let (all, none) = (Some(Sampler::of_ratio(1.0)), Some(Sampler::of_ratio(0.0)));

        let child = begin(Some(parent), none).unwrap();
        assert_eq!((child.context.trace, child.context.span, child.context.sampled), (parent.trace, [9; 8], true));
        let span = child.ended(("t", "q"), None, 8).unwrap();
        assert_eq!((span.parent, span.began_ms, span.ended_ms), (Some(parent.span), 5, 8));

        let root = begin(None, all).unwrap();
        assert_eq!((root.context.trace, root.ended(("t", "q"), Some("QueueLock"), 8).unwrap().parent), ([9; 16], None));

        // Nothing is recorded, and who comes later does not decide anew.
        for (parent, sampler) in [(unsampled, all), (parent, None), (unsampled, None)] {
            let passed_on = begin(Some(parent), sampler).unwrap();
            assert_eq!((passed_on.context, passed_on.ended(("t", "q"), None, 8)), (parent, None));
        }
        assert_eq!((begin(None, none), begin(None, None)), (None, None));
        assert_eq!(
            SentTrace::begin_with(None, all, 5, || None),
            None,
            "a system without random numbers traces nothing"
        );
    }
}
