use std::time::Duration;

use axum::routing::{get, post};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::time::{Instant, advance};

use super::*;
use crate::http::slots::{Admitted, Slots};

struct Served {
    client: DuplexStream,
    stop: watch::Sender<bool>,
    slots: Slots,
    task: tokio::task::JoinHandle<()>,
}

fn served() -> Served {
    of_manner(Manner::Whole)
}

fn of_manner(manner: Manner) -> Served {
    let (client, server) = duplex(64 * 1024);
    let slots = if manner == Manner::Whole { Slots::new(1) } else { Slots::brief(1) };
    let Admitted::Yes(slot) = slots.take() else { unreachable!("it is the first") };
    slot.has_rights(true);
    let router = Router::new()
        .route("/", get(|| async { "yes" }))
        .route("/health/live", get(|| async { "live" }))
        .route("/echo", post(|body: Bytes| async move { body }))
        .route(
            "/long",
            get(|| async {
                // The time of the tests, which passes at once, here and below.
                tokio::time::sleep(Duration::from_secs(20)).await;
                "at last"
            }),
        );
    let (stop, stopped) = watch::channel(false);
    let peer = Peer::tcp("127.0.0.1".parse().unwrap(), "127.0.0.1".parse().unwrap());
    let task = tokio::spawn(serve(server, peer, (slot, manner), router, stopped));
    Served { client, stop, slots, task }
}

impl Served {
    async fn send(&mut self, text: &str) {
        self.client.write_all(text.as_bytes()).await.unwrap();
    }

    /// What comes until something ends with this.
    async fn read_to(&mut self, end: &str) -> String {
        let mut read = Vec::new();
        while !read.ends_with(end.as_bytes()) {
            let mut byte = [0];
            assert_eq!(self.client.read(&mut byte).await.unwrap(), 1, "{}", String::from_utf8_lossy(&read));
            read.push(byte[0]);
        }
        String::from_utf8(read).unwrap()
    }

    /// After how many seconds it is closed.
    async fn closes_after(&mut self) -> u64 {
        let begun = Instant::now();
        let mut rest = Vec::new();
        self.client.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
        begun.elapsed().as_secs()
    }
}

const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn silence_and_a_head_byte_by_byte_end_after_ten_seconds() {
    assert_eq!(served().closes_after().await, 10);
    let mut slow = served();
    let begun = Instant::now();
    for byte in GET.bytes() {
        if slow.client.write_all(&[byte]).await.is_err() {
            break;
        }
        // A byte a second.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(slow.closes_after().await, 0);
    assert!((10..12).contains(&begun.elapsed().as_secs()));
}

#[tokio::test(start_paused = true)]
async fn what_may_be_read_in_two_ways_is_answered_behind_what_came_before_it() {
    for cut in [1, 7, 60, 1000] {
        let mut served = served();
        let text = format!(
            "{GET}POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{GET}"
        );
        for part in text.as_bytes().chunks(cut) {
            served.client.write_all(part).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut all = String::new();
        served.client.read_to_string(&mut all).await.unwrap();
        assert!(all.starts_with("HTTP/1.1 200 OK\r\n") && all.matches("HTTP/1.1 ").count() == 2, "{cut}: {all}");
        let (_, last) = all.split_once("yes").unwrap();
        assert!(last.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{cut}: {last}");
        assert!(last.contains("connection: close") && last.ends_with("expected one of them\"}"), "{cut}: {last}");
    }
    let mut served = served();
    served.send("POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n").await;
    let mut all = String::new();
    served.client.read_to_string(&mut all).await.unwrap();
    assert!(all.starts_with("HTTP/1.1 400 ") && all.matches("HTTP/1.1 ").count() == 1, "{all}");
}

#[tokio::test(start_paused = true)]
async fn between_two_requests_there_is_more_time_and_for_the_next_head_there_is_not() {
    let mut served = served();
    for _ in 0..2 {
        served.send(GET).await;
        assert!(served.read_to("yes").await.starts_with("HTTP/1.1 200 OK\r\n"));
        advance(Duration::from_secs(60)).await;
    }
    served.send("GET").await;
    assert_eq!(served.closes_after().await, 10);
    let mut idle = self::served();
    idle.send(GET).await;
    idle.read_to("yes").await;
    assert_eq!(idle.closes_after().await, 75);
}

#[tokio::test(start_paused = true)]
async fn a_request_ends_before_the_connection_does_and_idle_ones_end_at_once() {
    let mut served = served();
    served.send("GET /long HTTP/1.1\r\nhost: x\r\n\r\n").await;
    // It is being answered by then.
    tokio::time::sleep(Duration::from_secs(1)).await;
    served.stop.send_replace(true);
    assert!(served.read_to("at last").await.contains("connection: close"));
    assert_eq!(served.closes_after().await, 0);
    served.task.await.unwrap();
    let mut idle = self::served();
    idle.send(GET).await;
    idle.read_to("yes").await;
    idle.stop.send_replace(true);
    assert_eq!(idle.closes_after().await, 0);
}

#[tokio::test(start_paused = true)]
async fn one_that_waits_gives_way_at_once() {
    let mut served = served();
    served.send("GET / HT").await;
    // It waits for the rest of the head by then.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(matches!(served.slots.take(), Admitted::For(..)));
    assert_eq!(served.closes_after().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_and_an_answer_that_is_not_read_end() {
    let mut served = served();
    served.send("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nab").await;
    assert_eq!(served.closes_after().await, 40);
    let mut deaf = self::served();
    let body = "x".repeat(200_000);
    let head = format!("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
    deaf.send(&head).await;
    deaf.send(&body).await;
    let begun = Instant::now();
    deaf.task.await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn who_still_reads_an_answer_does_not_give_way() {
    let mut served = served();
    // More than the pipe between the two holds.
    let body = "x".repeat(100_000);
    served.send(&format!("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len())).await;
    served.send(&body).await;
    // All of the answer that fits is in the pipe by then.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(matches!(served.slots.take(), Admitted::No(_)));
    served.read_to(&body).await;
    // The rest is written by then.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(matches!(served.slots.take(), Admitted::For(..)));
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_too_long_is_refused() {
    let mut served = served();
    let long = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(LONGEST_HEAD));
    served.send(&long).await;
    assert!(served.read_to("\r\n\r\n").await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test(start_paused = true)]
async fn who_reads_slowly_has_all_of_the_answer() {
    let mut served = served();
    let body = "x".repeat(160_000);
    served.send(&format!("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len())).await;
    served.send(&body).await;
    let mut read = 0;
    while read < body.len() {
        tokio::time::sleep(Duration::from_secs(9)).await;
        let mut part = vec![0; 48 * 1024];
        let count = served.client.read(&mut part).await.unwrap();
        assert!(count > 0, "cut after {read}");
        read += count;
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_slot_health_is_answered_and_nothing_else() {
    for (path, status, end) in [("/health/live", "200 OK", "live"), ("/", "503 Service Unavailable", NO_SLOT)] {
        let mut brief = of_manner(Manner::Brief);
        brief.send(&format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
        let mut answer = String::new();
        brief.client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")) && answer.ends_with(end), "{answer}");
        assert!(answer.contains("connection: close\r\n"), "{answer}");
    }
    assert_eq!(serde_json::from_str::<serde_json::Value>(NO_SLOT).unwrap()["status"], 503);
    assert_eq!(of_manner(Manner::Brief).closes_after().await, 5);
}
