//! A stream of events (`text/event-stream`).

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::unfold;

use super::query::{Query, wrong};
use crate::client::request::nearest;
use crate::http::problem::{Kind, Problem};
use crate::http::site::Site;
use crate::http::streams::{MOST, NoStream, Topic, Topics};
use crate::http::watch;

/// Tells nginx to pass on what comes as it comes.
const NO_BUFFER: HeaderName = HeaderName::from_static("x-accel-buffering");

/// `GET /events`.
pub(in crate::http) async fn events(State(site): State<Site>, query: Query) -> Result<Response, Problem> {
    let query = query.only(&["topics"])?;
    let topics = topics(query.text("topics"))?;
    let (events, begins) = site.streams.open(topics).map_err(|why| {
        let detail = match why {
            NoStream::TooMany => format!("{MOST} streams are open, which is the most; ask for overview instead"),
            NoStream::Ends => "this server ends".to_owned(),
        };
        Problem::new(Kind::NoStream, detail).retry_after_s(5)
    })?;
    if begins {
        tokio::spawn(watch::run(site.clone()));
    }
    let body = unfold(events, |mut events| async move {
        let event = events.recv().await?;
        Some((Ok::<_, Infallible>(event), events))
    });
    let kind = (CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    Ok(([kind, (NO_BUFFER, HeaderValue::from_static("no"))], Body::from_stream(body)).into_response())
}

/// The topics of a list of their names; all of them if none are named.
fn topics(text: Option<&str>) -> Result<Topics, Problem> {
    let Some(text) = text else { return Ok(Topic::ALL.into_iter().fold(Topics::default(), Topics::with)) };
    text.split(',').map(str::trim).try_fold(Topics::default(), |topics, name| {
        let topic = Topic::ALL.into_iter().find(|topic| topic.name() == name);
        topic.map(|topic| topics.with(topic)).ok_or_else(|| {
            let names = Topic::ALL.map(Topic::name);
            wrong("topics", &names.join(", "), name).did_you_mean(nearest(name, names.into_iter()))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_named_and_all_are_meant_if_none_is() {
        let both = Topics::default().with(Topic::Job).with(Topic::Failed);
        assert_eq!(topics(Some("job, failed")), Ok(both));
        assert!(Topic::ALL.into_iter().all(|topic| topics(None).unwrap().has(topic)));
        let told = topics(Some("job,faild")).unwrap_err().text("");
        assert!(told.contains("\"did_you_mean\":\"failed\"") && told.contains("?topics"), "{told}");
        assert!(topics(Some("")).is_err());
    }
}
