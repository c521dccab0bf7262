//! The trace in which a command enqueues: that of `TRACEPARENT`, which a daemon gives to the programs of its jobs, and others
//! to theirs.

#[cfg(feature = "otel")]
pub(super) use built::Traced;
#[cfg(not(feature = "otel"))]
pub(super) use left_out::Traced;

#[cfg(feature = "otel")]
mod built {
    use std::cell::OnceCell;

    use crate::cli::context::CommandContext;
    use crate::cli::exit::CliError;
    use crate::cli::output::warn;
    use crate::client::enqueue::{Client, EnqueueOutcome};
    use crate::clock::{Clock as _, SystemClock};
    use crate::config::otel::OtelConfig;
    use crate::daemon::traces::tell_sent;
    use crate::job::run_variables::TRACEPARENT;
    use crate::job::trace::{SentSpan, SentTrace, TraceContext};

    /// The span of this command's enqueue, if there is one.
    #[derive(Debug)]
    pub(in crate::cli) struct Traced {
        otel: Option<OtelConfig>,
        trace: Option<SentTrace>,
        span: OnceCell<SentSpan>,
    }

    impl Traced {
        /// Begins now.
        ///
        /// # Errors
        /// If the configuration cannot be read.
        pub(in crate::cli) fn begin(context: &CommandContext) -> Result<Self, CliError> {
            let otel = context.config()?.config.otel;
            let parent = context.sources().env.get(TRACEPARENT).and_then(|text| TraceContext::parse(text));
            let sampler = otel.as_ref().map(|otel| otel.sampler);
            let trace = SentTrace::begin(parent, sampler, SystemClock.now_ms());
            Ok(Self { otel, trace, span: OnceCell::new() })
        }

        /// The client whose jobs continue it.
        pub(in crate::cli) fn client(&self, client: Client) -> Client {
            client.within(self.trace.map(|trace| trace.context))
        }

        /// It ends now.
        pub(in crate::cli) fn ended(&self, task: &str, queue: &str, outcome: Option<&EnqueueOutcome>) {
            let refused_by = match outcome {
                Some(EnqueueOutcome::Refused(refusal)) => Some(&*refusal.plugin),
                Some(EnqueueOutcome::Enqueued { .. }) | None => None,
            };
            let span = self.trace.and_then(|trace| trace.ended((task, queue), refused_by, SystemClock.now_ms()));
            if let Some(span) = span {
                // A command enqueues once.
                let _ = self.span.set(span);
            }
        }

        /// Sends it to who collects traces.
        pub(in crate::cli) async fn tell(&self) {
            if let (Some(otel), Some(span)) = (&self.otel, self.span.get())
                && let Err(why) = tell_sent(otel, span).await
            {
                warn(&format!("the span of this enqueue was not sent: {why}"));
            }
        }
    }
}

#[cfg(not(feature = "otel"))]
#[expect(
    clippy::unused_self,
    clippy::unused_async,
    clippy::unnecessary_wraps,
    reason = "it has the shape of the other one"
)]
mod left_out {
    use crate::cli::context::CommandContext;
    use crate::cli::exit::CliError;
    use crate::client::enqueue::{Client, EnqueueOutcome};

    pub(in crate::cli) struct Traced;

    impl Traced {
        pub(in crate::cli) fn begin(_: &CommandContext) -> Result<Self, CliError> {
            Ok(Self)
        }

        pub(in crate::cli) fn client(&self, client: Client) -> Client {
            client
        }

        pub(in crate::cli) fn ended(&self, _: &str, _: &str, _: Option<&EnqueueOutcome>) {}

        pub(in crate::cli) async fn tell(&self) {}
    }
}
