//! A stream of events (`text/event-stream`).

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::unfold;

use super::query::{Query, wrong};
use crate::client::request::nearest;
use crate::http::guard::caller::JudgedBy;
use crate::http::problem::{Kind, Problem};
use crate::http::site::Site;
use crate::http::streams::{MOST, MOST_FOLLOWED, NoStream, Opened, Topic, Topics};
use crate::http::{followed, watch};

/// The longest id of a job.
const LONGEST_ID: usize = 256;
/// Tells nginx to pass on what comes as it comes.
const NO_BUFFER: HeaderName = HeaderName::from_static("x-accel-buffering");

/// `GET /events`.
pub(in crate::http) async fn events(
    State(site): State<Site>,
    Extension(JudgedBy(content)): Extension<JudgedBy>,
    query: Query,
) -> Result<Response, Problem> {
    let query = query.only(&["topics", "job"])?;
    let topics = topics(query.text("topics"))?;
    let jobs = jobs(query.text("job"), topics)?;
    let Opened { events, begins, follow } = site.streams.open(topics, jobs).map_err(|why| {
        let detail = match why {
            NoStream::TooMany => format!("{MOST} streams are open, which is the most; ask for overview instead"),
            NoStream::Ends => "this server ends".to_owned(),
        };
        Problem::new(Kind::NoStream, detail).retry_after_s(5)
    })?;
    if begins {
        tokio::spawn(watch::run(site.clone(), Arc::clone(&content)));
    }
    for job in follow {
        tokio::spawn(followed::follow(site.clone(), site.streams.clone(), job));
    }
    // The watch ends the streams that were open when a reload came. It cannot know of this one if the reload came before.
    if !Arc::ptr_eq(&content, &site.content()) {
        let detail = "the configuration was replaced while this stream was opened; open it again";
        return Err(Problem::new(Kind::NoStream, detail).retry_after_s(1));
    }
    let body = unfold(events, |mut events| async move {
        let event = events.next().await?;
        Some((Ok::<_, Infallible>(event), events))
    });
    let kind = (CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    Ok(([kind, (NO_BUFFER, HeaderValue::from_static("no"))], Body::from_stream(body)).into_response())
}

/// The jobs whose output is wanted: their ids, behind commas.
fn jobs(text: Option<&str>, topics: Topics) -> Result<Vec<String>, Problem> {
    let jobs: Vec<String> = text.unwrap_or_default().split(',').map(|id| id.trim().to_owned()).collect();
    let jobs: Vec<String> = jobs.into_iter().filter(|id| !id.is_empty()).collect();
    match (topics.has(Topic::Output), jobs.len()) {
        (true, 1..=MOST_FOLLOWED) | (false, 0) => {}
        (true, _) => {
            let expected = format!("the ids of 1 to {MOST_FOLLOWED} jobs, for the topic output");
            return Err(wrong("job", &expected, text.unwrap_or("nothing")));
        }
        (false, _) => return Err(wrong("job", "job together with the topic output", text.unwrap_or_default())),
    }
    match jobs.iter().find(|id| id.len() > LONGEST_ID) {
        Some(_) => Err(wrong("job", "the id of a job", "a longer text")),
        None => Ok(jobs),
    }
}

/// The topics of a list of their names; if none are named, all but the output of jobs, which must be named.
fn topics(text: Option<&str>) -> Result<Topics, Problem> {
    let Some(text) = text else {
        let named = |topic: &Topic| *topic != Topic::Output;
        return Ok(Topic::ALL.into_iter().filter(named).fold(Topics::default(), Topics::with));
    };
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
        assert!(Topic::ALL.into_iter().all(|topic| topics(None).unwrap().has(topic) == (topic != Topic::Output)));
        let output = topics(Some("output")).unwrap();
        assert_eq!(jobs(Some("7, 8"), output), Ok(vec!["7".to_owned(), "8".to_owned()]));
        for (text, of) in [(None, output), (Some("1,2,3,4,5"), output), (Some("7"), both), (Some(","), output)] {
            assert!(jobs(text, of).is_err(), "{text:?}");
        }
        assert_eq!(jobs(None, both), Ok(Vec::new()));
        let told = topics(Some("job,faild")).unwrap_err().text("");
        assert!(told.contains("\"did_you_mean\":\"failed\"") && told.contains("?topics"), "{told}");
        assert!(topics(Some("")).is_err());
    }
}
