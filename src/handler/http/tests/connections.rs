//! How connections are kept, shared, lost and dropped.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinHandle;

use super::server::{OK, Server, answer_all, eventually};
use super::{begin, http, is_done, perform, said, spec};
use crate::clock::{Clock, ManualClock};
use crate::handler::contract::{Invocation, Stop};
use crate::handler::fixture;
use crate::handler::lease_watch::WatchedLease;
use crate::job::Outcome;
use crate::task::handler_spec::HttpSpec;

#[tokio::test]
async fn jobs_after_each_other_share_a_connection_until_it_is_idle_for_long() {
    let server = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await;
    let http = http(&spec(&server.url()));
    for _ in 0..20 {
        assert!(is_done(&perform(&http, "[]").await));
    }
    assert_eq!(server.accepted.load(Ordering::SeqCst), 1);
    eventually("the idle connection is closed", || server.open.load(Ordering::SeqCst) == 0).await;
    assert!(is_done(&perform(&http, "[]").await));
    assert_eq!(server.accepted.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_meanwhile_fails_no_job() {
    // The response does not announce it, as with servers whose keep-alive ends.
    let server = Server::start(|mut peer| async move {
        peer.request().await;
        peer.send(OK).await;
    });
    let server = server.await;
    let http = http(&spec(&server.url()));
    for number in 1..=50 {
        assert!(is_done(&perform(&http, "[]").await));
        eventually("the server closes", || server.open.load(Ordering::SeqCst) == 0).await;
        assert_eq!(server.accepted.load(Ordering::SeqCst), number);
    }
}

#[tokio::test]
async fn a_server_that_announces_the_end_is_believed() {
    for answer in
        ["HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\nto the end"]
    {
        let server = Server::start(move |mut peer| async move {
            peer.request().await;
            peer.send(answer).await;
        });
        let server = server.await;
        let http = http(&HttpSpec { connections: 1, ..spec(&server.url()) });
        for _ in 0..20 {
            assert!(is_done(&perform(&http, "[]").await), "{answer}");
        }
        assert_eq!(server.accepted.load(Ordering::SeqCst), 20);
    }
}

#[tokio::test]
async fn what_may_have_arrived_is_not_sent_again() {
    // The second request on a connection is read, and never answered.
    let mut server = Server::start(|mut peer| async move {
        peer.request().await;
        peer.send(OK).await;
        peer.request().await;
    })
    .await;
    let http = http(&spec(&server.url()));
    assert!(is_done(&perform(&http, "[1]").await));
    let (exception, words) = said(&http).await;
    assert!(exception == "HttpConnectionLost" && words.contains("may have been done"), "{exception} {words}");
    let seen: Vec<_> = server.rest().iter().map(|seen| seen.connection).collect();
    assert_eq!(seen, [1, 1]);
}

#[tokio::test]
async fn a_word_that_nobody_asked_for_is_no_answer_to_the_next_job() {
    let spoke = Arc::new(Notify::new());
    let told = Arc::clone(&spoke);
    let mut server = Server::start(move |mut peer| {
        let told = Arc::clone(&told);
        async move {
            if peer.number > 1 {
                return answer_all(peer, OK.to_owned()).await;
            }
            peer.request().await;
            peer.send(OK).await;
            peer.send("HTTP/1.1 500 Stray\r\ncontent-length: 0\r\n\r\n").await;
            told.notify_one();
            peer.closed().await;
        }
    })
    .await;
    let http = http(&spec(&server.url()));
    assert!(is_done(&perform(&http, "[]").await));
    spoke.notified().await;
    assert!(is_done(&perform(&http, "[]").await));
    assert_eq!(server.rest().iter().map(|seen| seen.connection).collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_never_more_connections_than_allowed() {
    let server = Server::answering(OK).await;
    for connections in [1, 3] {
        let http = http(&HttpSpec { connections, ..spec(&server.url()) });
        server.most.store(server.open.load(Ordering::SeqCst), Ordering::SeqCst);
        let jobs = (0..300).map(|_| {
            let (outcome, stop) = begin(&http, "[]");
            tokio::spawn(async move {
                let outcome = outcome.await;
                drop(stop);
                outcome
            })
        });
        for outcome in join_all(jobs).await {
            assert!(is_done(&outcome.unwrap()));
        }
        assert!(server.most.load(Ordering::SeqCst) <= connections);
        drop(http);
        eventually("all are closed with their task", || server.open.load(Ordering::SeqCst) == 0).await;
    }
}

/// A server that answers as many requests as the gate has permits.
async fn gated() -> (Server, Arc<Semaphore>) {
    let open = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&open);
    let server = Server::start(move |mut peer| {
        let gate = Arc::clone(&gate);
        async move {
            while peer.request().await.is_some() {
                gate.acquire().await.unwrap().forget();
                peer.send(OK).await;
            }
        }
    });
    (server.await, open)
}

#[tokio::test]
async fn who_waits_for_a_connection_goes_on_when_one_is_free() {
    let (mut server, open) = gated().await;
    let http = http(&HttpSpec { connections: 1, ..spec(&server.url()) });
    let (first, _keep) = begin(&http, "[1]");
    let (second, stop) = begin(&http, "[2]");
    let (third, _keep_too) = begin(&http, "[3]");
    let first = tokio::spawn(first);
    server.seen().await;
    let (second, third) = (tokio::spawn(second), tokio::spawn(third));
    stop.send_replace(Stop::Terminate);
    assert_eq!(second.await.unwrap(), Outcome::Interrupted, "it waits for its turn, and can be stopped");
    assert!(server.rest().is_empty());
    open.add_permits(2);
    assert!(is_done(&first.await.unwrap()) && is_done(&third.await.unwrap()));
    assert_eq!(server.accepted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_request_that_waited_for_its_turn_beyond_the_lease_is_not_sent() {
    let (mut server, open) = gated().await;
    let http = http(&HttpSpec { connections: 1, ..spec(&server.url()) });
    let (first, _keep) = begin(&http, "[1]");
    let first = tokio::spawn(first);
    server.seen().await;
    let clock = Arc::new(ManualClock::at(0));
    let lease = WatchedLease::new(Arc::clone(&clock) as Arc<dyn Clock>, Duration::from_secs(30));
    let job = Invocation { lease: lease.watch(), ..fixture::invocation("[2]") };
    let (second, _keep_too) = fixture::begin(&http, job);
    let second = tokio::spawn(second);
    clock.suspend(Duration::from_secs(30));
    open.add_permits(2);
    assert!(is_done(&first.await.unwrap()));
    assert_eq!(second.await.unwrap(), Outcome::ClaimDoubted);
    assert!(server.rest().is_empty(), "it was not asked");
}

/// A server that answers on command, and the run of a job with this timeout whose request was received.
async fn waiting(timeout: Option<Duration>) -> (Server, Arc<Semaphore>, JoinHandle<Outcome>, watch::Sender<Stop>) {
    let open = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&open);
    let mut server = Server::start(move |mut peer| {
        let gate = Arc::clone(&gate);
        async move {
            peer.request().await;
            tokio::select! {
                _ = gate.acquire() => drop(peer.send(OK).await),
                () = peer.closed() => {}
            }
        }
    })
    .await;
    let http = http(&spec(&server.url()));
    let mut job = fixture::invocation("[]");
    Arc::make_mut(&mut job.task).timeout = timeout;
    let (outcome, stop) = fixture::begin(&http, job);
    let outcome = tokio::spawn(outcome);
    server.seen().await;
    (server, open, outcome, stop)
}

#[tokio::test]
async fn an_answer_that_comes_within_the_grace_counts() {
    let (_server, open, outcome, stop) = waiting(None).await;
    stop.send_replace(Stop::Terminate);
    tokio::task::yield_now().await;
    open.add_permits(1);
    assert!(is_done(&outcome.await.unwrap()));
}

#[tokio::test]
async fn a_run_that_must_end_drops_its_connection_at_once() {
    // A run that took too long fails, no matter what the response is.
    for (urgency, timeout) in [(Stop::Kill, None), (Stop::Terminate, Some(Duration::ZERO))] {
        let (server, _open, outcome, stop) = waiting(timeout).await;
        stop.send_replace(urgency);
        assert_eq!(outcome.await.unwrap(), Outcome::Interrupted);
        eventually("the server sees the end", || server.open.load(Ordering::SeqCst) == 0).await;
    }
    let server = Server::answering(OK).await;
    let http = http(&spec(&server.url()));
    let (outcome, stop) = begin(&http, "[]");
    stop.send_replace(Stop::Kill);
    assert_eq!(outcome.await, Outcome::Interrupted);
    assert_eq!(server.accepted.load(Ordering::SeqCst), 0, "one that was stopped before it began asks nobody");
}

#[tokio::test]
async fn where_nobody_listens_nothing_was_asked() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let (exception, words) = said(&http(&spec(&format!("http://127.0.0.1:{port}/")))).await;
    assert!(exception == "HttpConnect" && words.contains("cannot be reached at 127.0.0.1"), "{exception} {words}");
    let (exception, words) = said(&http(&spec("http://nobody.invalid:9/"))).await;
    assert!(exception == "HttpConnect" && words.contains("nobody.invalid cannot be found"), "{exception} {words}");
}

#[tokio::test]
async fn a_greeting_without_answer_ends_with_the_connect_timeout() {
    // The kernel accepts the connection; no server speaks.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (dir, ca) = super::encrypted::authority();
    let short = HttpSpec {
        connect_timeout: Duration::from_millis(50),
        ..super::trusting(&format!("https://127.0.0.1:{port}/"), &ca)
    };
    let (exception, words) = said(&http(&short)).await;
    assert_eq!(exception, "HttpTls");
    assert!(words.contains("within 50ms (connect_timeout); does it speak TLS"), "{words}");
    drop(dir);
}
