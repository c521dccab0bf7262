//! What comes to each stream, and what does not.

use futures_util::FutureExt as _;
use tokio::time::advance;

use super::*;

const JOBS: Topics = Topics(1 << Topic::Job as u8);

fn open(streams: &Streams, topics: Topics) -> Result<(Events, bool), NoStream> {
    streams.open(topics, Vec::new()).map(|opened| (opened.events, opened.begins))
}

fn read(events: &mut Events) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(Some(event)) = events.next().now_or_never() {
        all.push(String::from_utf8(event.to_vec()).unwrap());
    }
    all
}

#[tokio::test(start_paused = true)]
async fn each_stream_gets_its_topics_and_hears_that_it_lives() {
    let streams = Streams::default();
    assert_eq!(streams.wanted(), None);
    let (mut jobs, begins) = open(&streams, JOBS).unwrap();
    let (mut leaders, again) = open(&streams, Topics::default().with(Topic::Leader)).unwrap();
    assert_eq!((begins, again), (true, false));
    assert_eq!(streams.wanted(), Some(JOBS.with(Topic::Leader)));
    streams.tell(Topic::Job, "{\"n\":1}");
    streams.tell(Topic::Leader, "{\"n\":2}");
    assert_eq!(read(&mut jobs), ["retry: 2000\n\n", "id: 1\nevent: job\ndata: {\"n\":1}\n\n"]);
    assert_eq!(read(&mut leaders)[1], "id: 2\nevent: leader\ndata: {\"n\":2}\n\n");
    advance(ALIVE).await;
    streams.keep();
    streams.keep();
    assert_eq!(read(&mut jobs), [":\n\n"]);
    drop(jobs);
    assert_eq!(streams.wanted(), Some(Topics::default().with(Topic::Leader)));
    streams.end_all();
    assert!(leaders.next().await.is_some(), "what was sent before comes");
    assert!(leaders.next().await.is_none());
    assert_eq!(streams.wanted(), None);
    assert!(open(&streams, JOBS).unwrap().1, "nobody watched any more");
    streams.close();
    assert_eq!(open(&streams, JOBS).unwrap_err(), NoStream::Ends);
}

#[tokio::test(start_paused = true)]
async fn what_is_too_much_is_dropped_and_counted_and_holds_nobody_up() {
    let streams = Streams::default();
    let (mut fast, _) = open(&streams, JOBS).unwrap();
    let (mut never, _) = open(&streams, JOBS).unwrap();
    for second in 0..4 {
        (0..60).for_each(|n| streams.tell(Topic::Job, &n.to_string()));
        streams.keep();
        let got = read(&mut fast);
        assert_eq!(got.iter().filter(|text| text.contains("event: job")).count(), 50, "{second}");
        assert!(!got.iter().any(|text| text.contains("dropped")), "not within the same second");
        advance(Duration::from_secs(1)).await;
        streams.keep();
        assert!(read(&mut fast)[0].ends_with("event: dropped\ndata: {\"n\":10}\n\n"));
    }
    streams.lost(Topic::Job, 7);
    streams.keep();
    assert!(read(&mut fast)[0].contains("{\"n\":7}"));
    let held = read(&mut never);
    assert_eq!(held.len(), WAITING, "no more is kept for who does not read");
    advance(Duration::from_secs(1)).await;
    streams.keep();
    let told = read(&mut never).concat();
    assert!(told.contains("event: dropped"), "{told}");
    let kept = |what: &str| held.iter().filter(|text| text.contains(what)).count();
    let dropped = 240 + 7 - kept("event: job");
    let before: usize = held
        .iter()
        .filter(|text| text.contains("event: dropped"))
        .map(|text| text.split("\"n\":").nth(1).unwrap().trim_end().trim_end_matches('}').parse::<usize>().unwrap())
        .sum();
    assert!(told.contains(&format!("{{\"n\":{}}}", dropped - before)), "{told}: {dropped} {before}");
}

#[tokio::test(start_paused = true)]
async fn there_are_so_many_and_no_more() {
    let streams = Streams::default();
    let mut all: Vec<_> = (0..MOST).map(|_| open(&streams, JOBS).unwrap()).collect();
    assert_eq!(open(&streams, JOBS).unwrap_err(), NoStream::TooMany);
    all.pop();
    assert!(open(&streams, JOBS).is_ok());
}

#[tokio::test(start_paused = true)]
async fn output_goes_to_who_follows_the_job_and_who_never_reads_holds_few_bytes() {
    let streams = Streams::default();
    let output = Topics::default().with(Topic::Output);
    let follow = |job: &str| streams.open(output, vec![job.to_owned()]).unwrap();
    let (mut one, mut never) = (follow("7"), follow("7"));
    assert_eq!((one.follow, never.follow), (vec!["7".to_owned()], vec![]), "one task for all who follow it");
    let mut other = follow("8");
    assert!(streams.follows("7") && streams.follows("8") && !streams.follows("9"));
    let long = format!("\"{}\"", "x".repeat(16 << 10));
    for _ in 0..10 {
        (0..10).for_each(|_| streams.tell_output("7", &long));
        assert_eq!(read(&mut one.events).iter().filter(|text| text.contains("event: output")).count(), 10);
        advance(Duration::from_secs(1)).await;
        streams.keep();
    }
    assert_eq!(read(&mut other.events), ["retry: 2000\n\n"]);
    let held: usize = read(&mut never.events).iter().map(String::len).sum();
    assert!((100 << 10..=WAITING_BYTES).contains(&held), "{held}");
    drop((one.events, never.events));
    assert!(!streams.follows("7"));
    assert!(streams.follow_ends("7") && !streams.follow_ends("8"));
    assert_eq!(follow("7").follow, ["7"], "it is followed anew");
}
