//! The trace in which a request enqueues: that of its `traceparent`. A header that is none is left alone, as the standard asks.

#[cfg(feature = "otel")]
pub(super) use built::Traced;
#[cfg(not(feature = "otel"))]
pub(super) use left_out::Traced;

#[cfg(feature = "otel")]
mod built {
    use std::sync::Arc;

    use axum::http::HeaderMap;

    use crate::admin::enqueued::EnqueueView;
    use crate::client::enqueue::Client;
    use crate::client::request::ResolvedJob;
    use crate::event::{Bus, Event};
    use crate::http::site::Site;
    use crate::job::trace::{SentTrace, TraceContext};

    /// The span of a request's enqueue, if there is one.
    #[derive(Debug)]
    pub(in crate::http) struct Traced(Option<(SentTrace, Bus)>);

    impl Traced {
        /// Begins now.
        pub(in crate::http) fn begin(site: &Site, headers: &HeaderMap) -> Self {
            let parent = headers.get("traceparent").and_then(|value| value.to_str().ok()).and_then(TraceContext::parse);
            let sampler = site.content.borrow().sampler;
            let trace = SentTrace::begin(parent, sampler, site.bus.now_ms());
            Self(trace.map(|trace| (trace, site.bus.clone())))
        }

        /// The client whose jobs continue it.
        pub(in crate::http) fn client(&self, client: Client) -> Client {
            client.within(self.0.as_ref().map(|(trace, _)| trace.context))
        }

        /// It ends now.
        pub(in crate::http) fn ended(self, job: &ResolvedJob, view: &EnqueueView) {
            let Some((trace, bus)) = self.0 else { return };
            let of = (job.task.as_str(), job.queue.as_str());
            if let Some(span) = trace.ended(of, view.refused_by.as_deref(), bus.now_ms()) {
                bus.emit(Event::Sent { span: Arc::new(span) });
            }
        }
    }
}

#[cfg(not(feature = "otel"))]
#[expect(clippy::unused_self, reason = "it has the shape of the other one")]
mod left_out {
    use axum::http::HeaderMap;

    use crate::admin::enqueued::EnqueueView;
    use crate::client::enqueue::Client;
    use crate::client::request::ResolvedJob;
    use crate::http::site::Site;

    #[derive(Debug)]
    pub(in crate::http) struct Traced;

    impl Traced {
        pub(in crate::http) fn begin(_: &Site, _: &HeaderMap) -> Self {
            Self
        }

        pub(in crate::http) fn client(&self, client: Client) -> Client {
            client
        }

        pub(in crate::http) fn ended(self, _: &ResolvedJob, _: &EnqueueView) {}
    }
}
