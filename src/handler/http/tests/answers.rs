//! What is sent, and what an answer means.

use std::sync::Arc;
use std::time::Duration;

use hyper::http::{HeaderName, Method};
use ring::hmac;

use super::server::{OK, Server, eventually};
use super::{NOW_S, begin, failure, http, is_done, perform, said, spec};
use crate::handler::fixture::{self, invocation};
use crate::job::{Failure, Outcome, QueueName};
use crate::task::handler_spec::{HttpSpec, RetryLater, Secret};

fn answer(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn the_job_is_the_body_and_its_identity_stands_in_headers() {
    let mut server = Server::answering(OK).await;
    let secret = Secret::Known("Bearer s3cret".to_owned());
    let http =
        http(&HttpSpec { headers: vec![(HeaderName::from_static("authorization"), secret)], ..spec(&server.url()) });
    let mut job = invocation("[{\"to\":\n\"ada\"}, 1.0]");
    job.queue = QueueName::as_stored("grün");
    job.scheduled_at = Some(Arc::from("2026-01-01T00:00:00Z"));
    let (id, claim) = (job.identity.id.to_string(), job.claim.as_str().to_owned());
    let (outcome, _stop) = fixture::begin(&http, job);
    assert!(is_done(&outcome.await));
    let seen = server.seen().await;
    assert_eq!(seen.line, "POST /jobs?a=1 HTTP/1.1");
    let body = format!(
        "{{\"id\":\"{id}\",\"claim\":\"{claim}\",\"task\":\"test\",\"queue\":\"grün\",\"args\":[{{\"to\": \"ada\"}}, 1.0],\
         \"attempt\":1,\"redelivered\":0,\"scheduled_at\":\"2026-01-01T00:00:00Z\"}}"
    );
    assert_eq!(String::from_utf8_lossy(&seen.body), body);
    for (name, value) in [
        ("host", format!("127.0.0.1:{}", server.port)),
        ("content-type", "application/json".to_owned()),
        ("authorization", "Bearer s3cret".to_owned()),
        ("windlass-job-id", id),
        ("windlass-claim", claim),
        ("windlass-task", "test".to_owned()),
        ("windlass-queue", "gr%C3%BCn".to_owned()),
        ("windlass-attempt", "1".to_owned()),
    ] {
        assert_eq!(seen.header(name), Some(value.as_str()), "{name}");
    }
    assert_eq!(seen.header("windlass-signature"), None);
    assert_eq!(seen.header("transfer-encoding"), None, "its length is known");
}

#[tokio::test]
async fn an_answer_before_the_body_was_read_counts() {
    let long = format!("[{:?}]", "x".repeat(8 << 20));
    for closes in [true, false] {
        for (head, exception, words) in [
            ("413 Content Too Large", "HttpStatus", "413 Payload Too Large"),
            ("401 Unauthorized", "HttpStatus", "401 Unauthorized"),
            ("503 Service Unavailable", "", ""),
        ] {
            let server = Server::start(move |mut peer| async move {
                peer.head().await;
                peer.send(answer(head, "no")).await;
                if !closes {
                    peer.closed().await;
                }
            })
            .await;
            match perform(&http(&spec(&server.url())), &long).await {
                Outcome::Failure(failure) => {
                    assert_eq!(failure.exception, exception, "{head}, closes: {closes}: {failure:?}");
                    assert!(failure.error.contains(words), "{failure:?}");
                    assert_eq!(failure.backtrace, ["no"], "{failure:?}");
                }
                Outcome::Later { .. } => assert_eq!(exception, "", "{head}"),
                other => panic!("{head}: {other:?}"),
            }
        }
    }
    // A server that closes without an answer may have done the job.
    let server = Server::start(|mut peer| async move {
        peer.head().await;
    })
    .await;
    let Outcome::Failure(failure) = perform(&http(&spec(&server.url())), &long).await else { panic!("it was closed") };
    assert_eq!(failure.exception, "HttpConnectionLost", "{failure:?}");
}

#[tokio::test]
async fn a_signature_is_over_what_the_server_sees() {
    let mut server = Server::answering(OK).await;
    let secrets = vec![Secret::Known("whsec".to_owned())];
    for method in [Method::PUT, Method::GET, Method::DELETE] {
        let http = http(&HttpSpec { secrets: secrets.clone(), method: method.clone(), ..spec(&server.url()) });
        assert!(is_done(&perform(&http, "[1]").await));
        let seen = server.seen().await;
        let mut line = seen.line.split(' ');
        assert_eq!(line.next(), Some(method.as_str()), "{seen:?}");
        let path = line.next().unwrap();
        if method != Method::PUT {
            assert_eq!((seen.body.len(), seen.header("content-type"), seen.header("content-length")), (0, None, None));
        }
        let signature = seen.header("windlass-signature").unwrap();
        assert_eq!(signature.contains(",v1="), method == Method::PUT, "{signature}");
        assert!(signature.starts_with(&format!("t={NOW_S},")), "{signature}");
        let hex = signature.rsplit_once(",v2=").unwrap().1;
        let tag: Vec<u8> =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"whsec");
        let (id, claim) = (seen.header("windlass-job-id").unwrap(), seen.header("windlass-claim").unwrap());
        let signed = [format!("{NOW_S}\n{method}\n{path}\n{id}\n{claim}\n").as_bytes(), &seen.body].concat();
        hmac::verify(&key, &signed, &tag).unwrap();
    }
}

#[tokio::test]
async fn a_result_is_kept_where_it_is_asked_for_and_never_more_than_64_kib() {
    let server = Server::answering(answer("201 Created", "{\"made\":\"ü\"}")).await;
    let keeping = |server: &Server| http(&HttpSpec { keep_body: true, ..spec(&server.url()) });
    let result = |text: &str| Outcome::Success { result: Some(text.to_owned()) };
    assert_eq!(perform(&keeping(&server), "[]").await, result("{\"made\":\"ü\"}"));
    assert!(is_done(&perform(&http(&spec(&server.url())), "[]").await));
    let long = "é".repeat(50 * 1024);
    let server = Server::answering(answer("200 OK", &long)).await;
    assert_eq!(perform(&keeping(&server), "[]").await, result(&long[..64 * 1024]));
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n4\r\n two\r\n0\r\n\r\n";
    let server = Server::answering(chunked).await;
    assert_eq!(perform(&keeping(&server), "[]").await, result("one two"));
    let server = Server::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(perform(&keeping(&server), "[]").await, result(""));
}

#[tokio::test]
async fn any_other_status_is_a_failure_with_the_beginning_of_the_body() {
    let server = Server::answering(answer("404 Not Found", "no such customer\r\nlook it up\n")).await;
    let Failure { exception, error, backtrace, .. } = failure(&http(&spec(&server.url()))).await;
    assert_eq!(exception, "HttpStatus");
    assert_eq!(error, format!("http://127.0.0.1:{} answered 404 Not Found", server.port));
    assert_eq!(backtrace, ["no such customer", "look it up"]);
    let server = Server::answering(answer("500 Oh no", &"x".repeat(100_000))).await;
    assert_eq!(failure(&http(&spec(&server.url()))).await.backtrace, ["x".repeat(4096)]);
    assert_eq!(server.accepted.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let mut server = Server::answering("HTTP/1.1 307 X\r\nlocation: /else\r\ncontent-length: 0\r\n\r\n").await;
    let error = failure(&http(&spec(&server.url()))).await.error;
    assert!(error.ends_with("answered 307, a redirect, to /else: redirects are not followed"), "{error}");
    assert_eq!(server.rest().len(), 1);
}

#[tokio::test]
async fn busy_servers_are_asked_again_when_they_say_and_not_for_ever() {
    let later = |seconds| Outcome::Later { delay: Duration::from_secs(seconds), tail: Vec::new() };
    for (head, wait) in [
        ("429 Too Many Requests\r\nretry-after: 7", 7),
        ("503 X\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\nretry-after: Sun, 06 Nov 1994 08:51:37 GMT", 120),
        ("503 X\r\nretry-after: 0", 1),
        ("503 X\r\nretry-after: 999999999", 86_400),
        ("503 X\r\nretry-after: whenever", 30),
        ("503 X", 30),
        ("429 X", 30),
    ] {
        let server = Server::answering(answer(head, "not now")).await;
        assert_eq!(perform(&http(&spec(&server.url())), "[]").await, later(wait), "{head}");
    }
    let server = Server::answering(answer("503 X", "overload")).await;
    let limited = HttpSpec { later: RetryLater { delay: Duration::from_secs(1), limit: 2 }, ..spec(&server.url()) };
    let mut job = invocation("[]");
    job.identity.later = 1;
    assert_eq!(fixture::begin(&http(&limited), job.clone()).0.await, later(1));
    job.identity.later = 2;
    let Outcome::Failure(failure) = fixture::begin(&http(&limited), job).0.await else { panic!("it must fail") };
    assert!(failure.error.ends_with("answered 503 (later) 3 times; retry_later_limit is 2"), "{failure}");
    assert_eq!(failure.backtrace, ["overload"]);
}

#[tokio::test]
async fn a_megabyte_goes_and_is_read_whole() {
    let mut server = Server::answering(OK).await;
    let args = format!("[\"{}\"]", "x".repeat(1 << 20));
    assert!(is_done(&perform(&http(&spec(&server.url())), &args).await));
    let seen = server.seen().await;
    let text = String::from_utf8(seen.body).unwrap();
    assert!(text.contains(&args) && text.ends_with('}'));
}

#[tokio::test]
async fn what_is_no_answer_is_told_as_what_it_is() {
    let garbage = Server::answering("SSH-2.0-OpenSSH_9.6\r\n").await;
    let (exception, words) = said(&http(&spec(&garbage.url()))).await;
    assert!(exception == "HttpProtocol" && words.contains("is not HTTP/1.1 as we read it"), "{exception} {words}");

    let half = Server::start(|mut peer| async move {
        peer.request().await;
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
    });
    let half = half.await;
    let (exception, words) = said(&http(&spec(&half.url()))).await;
    assert!(
        exception == "HttpConnectionLost" && words.ends_with("; the job may have been done"),
        "{exception} {words}"
    );

    let mut silent = Server::start(|mut peer| async move { drop(peer.request().await) }).await;
    let (exception, words) = said(&http(&spec(&silent.url()))).await;
    assert_eq!(
        (exception.as_str(), words.as_str()),
        ("HttpConnectionLost", "it closed the connection without a whole answer; the job may have been done")
    );
    assert_eq!(silent.rest().len(), 1, "what may have been done is not sent again");
}

#[tokio::test]
async fn endless_answers_are_cut_off() {
    let body = Server::start(|mut peer| async move {
        peer.request().await;
        peer.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
        while peer.send(format!("2000\r\n{}\r\n", "x".repeat(0x2000))).await {}
    });
    let body = body.await;
    assert!(is_done(&perform(&http(&spec(&body.url())), "[]").await));
    let heads = Server::start(|mut peer| async move {
        peer.request().await;
        peer.send("HTTP/1.1 200 OK\r\n").await;
        while peer.send(format!("x: {}\r\n", "y".repeat(2000))).await {}
    });
    let heads = heads.await;
    let (exception, words) = said(&http(&spec(&heads.url()))).await;
    assert!(exception == "HttpProtocol" && words.contains("too large"), "{exception} {words}");
    let many = Server::start(|mut peer| async move {
        peer.request().await;
        peer.send("HTTP/1.1 200 OK\r\n").await;
        while peer.send("a: b\r\n".repeat(100)).await {}
    });
    let (exception, _) = said(&http(&spec(&many.await.url()))).await;
    assert_eq!(exception, "HttpProtocol");
}

#[tokio::test]
async fn a_body_without_end_does_not_keep_a_failure_waiting() {
    let mut slow = Server::start(|mut peer| async move {
        peer.request().await;
        peer.send("HTTP/1.1 500 X\r\ncontent-length: 100\r\n\r\nwhy").await;
        peer.closed().await;
    })
    .await;
    let http = http(&spec(&slow.url()));
    let (outcome, _stop) = begin(&http, "[]");
    let outcome = tokio::spawn(outcome);
    slow.seen().await;
    let Outcome::Failure(failure) = outcome.await.unwrap() else { panic!("it must fail") };
    assert_eq!(failure.backtrace, ["why"]);
}

#[tokio::test]
async fn a_few_provisional_answers_are_passed_over_and_endless_ones_fail() {
    let provisional = "HTTP/1.1 102 Processing\r\n\r\n";
    let server = Server::answering(format!("{}{OK}", provisional.repeat(50))).await;
    let handler = http(&spec(&server.url()));
    for _ in 0..3 {
        assert!(is_done(&perform(&handler, "[]").await));
    }
    assert_eq!(server.accepted.load(std::sync::atomic::Ordering::SeqCst), 1, "each request has its own number of them");
    let server = Server::start(|mut peer| async move {
        peer.request().await;
        while peer.send("HTTP/1.1 100 Continue\r\n\r\n").await {}
    })
    .await;
    let Failure { exception, error, .. } = failure(&http(&spec(&server.url()))).await;
    assert_eq!(exception, "HttpProtocol");
    let told = "it sent more than 100 provisional responses (1xx) and none that counts; the job may have been done";
    assert!(error.ends_with(told), "{error}");
    eventually("the connection is closed", || server.open.load(std::sync::atomic::Ordering::SeqCst) == 0).await;
}
