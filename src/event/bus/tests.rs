use bytes::Bytes;

use super::super::kind::{JobInfo, OutputStream};
use super::*;
use crate::clock::ManualClock;
use crate::job::{Failure, QueueName, TaskName, WorkerName};

fn notice(text: &str) -> Event {
    Event::Notice { text: text.into() }
}

fn output(line: String) -> Event {
    let (id, task) = (Arc::from("id"), TaskName::as_stored("t"));
    Event::Output { id, task, stream: OutputStream::Stdout, line }
}

fn texts(listener: &Listener) -> Vec<String> {
    let text = |event| match event {
        Event::Notice { text } | Event::Warning { text } => text,
        Event::Output { line, .. } => line,
        other => format!("{:?}", other.kind()),
    };
    std::iter::from_fn(|| listener.try_next()).map(text).collect()
}

#[test]
fn a_listener_gets_what_it_wants_and_a_full_one_loses_what_it_is_told_of() {
    let room = 2 * notice("a").weight();
    let (bus, listeners) =
        Bus::new(&[EventKind::Notice.bit(), EventKind::WorkerPause.bit() | EventKind::Notice.bit()], room);
    assert!(bus.wants(EventKind::Notice) && !bus.wants(EventKind::Job));
    bus.emit(notice("a"));
    bus.emit(Event::WorkerPause);
    for text in ["b", "c"] {
        bus.emit(notice(text));
    }
    assert_eq!(texts(&listeners[0]), ["a", "b"]);
    assert_eq!(listeners[0].take_lost(), 1);
    assert_eq!(texts(&listeners[1]), ["a", "b"], "the pause gave way");
    assert_eq!(listeners[1].take_lost(), 2);
    assert_eq!(bus.dropped(), [1, 2], "in all, also what was told of");
    bus.set_interest(1, EventKind::Job.bit());
    assert!(bus.wants(EventKind::Job) && bus.wants(EventKind::Notice) && !bus.wants(EventKind::WorkerPause));
    bus.emit(notice("last"));
    bus.close();
    assert!(listeners[0].next().is_some() && listeners[0].next().is_none());
    assert!(listeners[1].next().is_none(), "it does not want notices any more");
}

#[test]
fn the_queue_is_bounded_in_bytes_and_output_makes_room_for_verdicts() {
    const ROOM: usize = 1024 * 1024;
    let (bus, listeners) = Bus::new(&[u32::MAX], ROOM);
    for n in 0..16 * 1024 {
        bus.emit(output(format!("{n} {}", "x".repeat(16 * 1024))));
    }
    let waiting = listeners[0].queue.lock().bytes;
    assert!(waiting <= ROOM && waiting > ROOM / 2, "{waiting}");
    for n in 0..1000 {
        bus.emit(Event::Warning { text: n.to_string() });
    }
    assert!(listeners[0].queue.lock().bytes <= ROOM);
    let told = texts(&listeners[0]);
    let (verdicts, lines): (Vec<&String>, Vec<&String>) = told.iter().partition(|text| !text.contains('x'));
    assert_eq!(verdicts, (0..1000).map(|n| n.to_string()).collect::<Vec<_>>().iter().collect::<Vec<_>>());
    assert!(!lines.is_empty(), "only as much output as needed gives way");
    assert_eq!(listeners[0].take_lost(), 16 * 1024 - lines.len() as u64);
    assert_eq!(listeners[0].queue.lock().bytes, 0);
}

#[test]
fn a_flood_of_output_displaces_nothing_that_the_daemon_says() {
    let (bus, listeners) = Bus::new(&[u32::MAX], 64 * 1024);
    let flood = || (0..1000).for_each(|n| bus.emit(output(format!("{n} {}", "x".repeat(1000)))));
    flood();
    for second in 0..50 {
        bus.emit(Event::WorkingTimestamp { second });
        bus.emit(notice("verdict"));
    }
    flood();
    let told = texts(&listeners[0]);
    let of = |what: &str| told.iter().filter(|text| *text == what).count();
    assert_eq!((of("WorkingTimestamp"), of("verdict")), (50, 50));
}

#[test]
fn events_hold_little_of_large_jobs_and_nothing_of_their_payloads() {
    const JOBS: usize = 3_000;
    let (bus, listeners) = Bus::new(&[u32::MAX], 8 * 1024 * 1024);
    let large = Bytes::from(vec![b'x'; 1024 * 1024]);
    let text = || String::from_utf8(large[..64 * 1024].to_vec()).unwrap();
    let failure = Failure::new(text(), text()).with_backtrace(vec![text()]);
    // As a stderr that nobody reads has it.
    for _ in 0..JOBS {
        let (worker, queue, class) =
            (WorkerName::parse("host:1:*"), QueueName::as_stored("q"), TaskName::as_stored("t"));
        let args = JobInfo::args_of(&large.slice(1..));
        let job = Arc::new(JobInfo::new(worker, queue, class, args, Arc::from("id")));
        bus.emit(Event::Job { job: Arc::clone(&job) });
        bus.emit(Event::Success { job: Arc::clone(&job), result: Some(text()), duration: Duration::ZERO });
        bus.emit(Event::failure(Arc::clone(&job), &failure, Duration::ZERO));
        bus.emit(Event::ReEnqueue { job, why: text() });
    }
    assert!(large.is_unique(), "a payload must end with its job");
    let waiting = listeners[0].queue.lock();
    assert!(waiting.bytes <= 8 * 1024 * 1024);
    let events = waiting.waiting.iter().flat_map(|rank| &rank.events);
    let longest = events.map(|event| event.event.weight()).max().unwrap();
    assert!(longest <= 4 * 1024, "{longest}");
}

#[test]
fn what_is_sent_first_comes_first_whatever_its_rank() {
    let (bus, listeners) = Bus::new(&[u32::MAX], 1 << 20);
    bus.emit(output("one".into()));
    bus.emit(notice("two"));
    bus.emit(output("three".into()));
    assert_eq!(texts(&listeners[0]), ["one", "two", "three"]);
}

#[test]
fn an_event_carries_the_time_at_which_it_was_sent() {
    let clock = Arc::new(ManualClock::at(1_000));
    let (bus, listeners) = Bus::timed(&[u32::MAX], 1 << 20, Arc::clone(&clock) as Arc<dyn Clock>);
    bus.emit(notice("early"));
    clock.advance(5_000);
    assert!(matches!(listeners[0].wait(None), Received::Event(1_000, Event::Notice { .. })));
    assert!(matches!(listeners[0].wait(Some(Duration::ZERO)), Received::TimedOut));
    drop(bus);
    assert!(matches!(listeners[0].wait(None), Received::Closed), "the last sender is gone");
}

#[test]
fn closing_waits_for_nobody() {
    let (bus, listeners) = Bus::new(&[u32::MAX], notice("a").weight());
    bus.emit(notice("a"));
    bus.emit(notice("b"));
    // The queue is full and is not read.
    bus.close();
    bus.emit(notice("late"));
    assert_eq!(listeners[0].take_lost(), 1);
    assert!(listeners[0].next().is_some() && listeners[0].next().is_none());
}
