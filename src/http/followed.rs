//! Runs that clients of streams follow: what their jobs print, from wherever in the fleet they run, and how they end.
//!
//! One task for each job that somebody follows, however many do; it ends when nobody does any more.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::site::Site;
use super::streams::Streams;
use crate::admin::running::{self, Which};
use crate::admin::watching::{LOOK, News, Watcher};
use crate::event::Event;
use crate::store::handle::Store;
use crate::store::role::Admin;
use crate::supervise::scope::{contained_future, message};
use crate::text::redact::Stream;

/// How often a job that does not run is looked for, for it may be retried.
const AGAIN: Duration = Duration::from_secs(3);
/// The most that one event holds of lines, in bytes.
const MOST: usize = 16 << 10;

/// Follows a job for as long as somebody wants to know.
pub(super) async fn follow(site: Site, streams: Streams, job: String) {
    let followed = async {
        while !streams.follow_ends(&job) {
            if let Ok(store) = site.admin() {
                Box::pin(run(&site, &streams, &store, &job)).await;
            }
            sleep(AGAIN).await;
        }
    };
    if let Err(panic) = contained_future(Box::pin(followed)).await {
        let error = format!("http: nobody follows job {job} any more: {}", message(&*panic));
        site.bus.emit(Event::InternalError { error });
        streams.give_up_job(&job);
    }
}

/// Tells of one run of the job, if it runs. A store that is away has nothing to tell.
async fn run(site: &Site, streams: &Streams, store: &Store<Admin>, job: &str) {
    let ids = [job.to_owned()];
    let Ok((runs, _)) = running::find(store, Which::Ids(&ids), 1).await else { return };
    let Some(run) = runs.first() else { return };
    let Some(mut watcher) = Watcher::new(store, run.worker(), run.claim()) else { return };
    let claim = watcher.claim().to_string();
    let mut hidden = Stream::default();
    while streams.follows(job) {
        if let Ok(news) = watcher.look().await {
            let content = site.content();
            let hide = |line: &String| hidden.hide(&content.redactor, "", line, false).into_owned();
            for event in events(job, &claim, &news, hide) {
                streams.tell_output(job, &event.to_string());
            }
            if news.over.is_some() {
                return;
            }
        }
        sleep(LOOK).await;
    }
}

/// What one look has brought, in events of bounded length.
fn events(job: &str, claim: &str, news: &News, mut hide: impl FnMut(&String) -> String) -> Vec<Value> {
    let mut events = Vec::new();
    let (mut lines, mut bytes, mut missed) = (Vec::new(), 0, news.missed);
    let mut flush = |lines: &mut Vec<String>, missed: &mut u64| {
        if !lines.is_empty() || *missed > 0 {
            let lines = std::mem::take(lines);
            events.push(json!({"id": job, "claim": claim, "missed": std::mem::take(missed), "lines": lines}));
        }
    };
    for line in news.lines.iter().map(&mut hide) {
        let line = crate::text::cut::cut(line, MOST);
        if bytes + line.len() > MOST {
            flush(&mut lines, &mut missed);
            bytes = 0;
        }
        bytes += line.len();
        lines.push(line);
    }
    flush(&mut lines, &mut missed);
    if let Some(end) = &news.over {
        let outcome = end.as_ref().map_or("ended", |end| end.outcome.as_str());
        let error = end.as_ref().and_then(|end| end.error.as_ref()).map(&mut hide);
        events.push(json!({"id": job, "claim": claim, "ended": outcome, "error": error}));
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::shown_run::ShownEnd;

    #[test]
    fn what_a_look_brings_is_told_in_events_of_bounded_length() {
        let lines: Vec<String> = (0..5).map(|n| format!("{n}{}", "x".repeat(7000))).collect();
        let over = Some(Some(ShownEnd::new("failed", Some("secret"))));
        let news = News { missed: 3, lines, shown: None, over };
        let told = events("7", "c", &news, |line| line.replace("secret", "[redacted]"));
        assert_eq!(told.len(), 4, "{told:#?}");
        assert!(told.iter().all(|event| event.to_string().len() < MOST + 1000));
        assert_eq!((&told[0]["missed"], &told[1]["missed"]), (&json!(3), &json!(0)));
        let count = |event: &Value| event["lines"].as_array().map_or(0, Vec::len);
        assert_eq!(told.iter().map(count).sum::<usize>(), 5);
        assert_eq!(told[3], json!({"id": "7", "claim": "c", "ended": "failed", "error": "[redacted]"}));
        let nothing = News { missed: 0, lines: Vec::new(), shown: None, over: None };
        assert!(events("7", "c", &nothing, String::clone).is_empty());
    }
}
