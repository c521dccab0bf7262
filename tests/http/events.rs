//! Streams of events, as browsers read them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;

use crate::client::{Answer, Place};
use crate::daemon::{Folder, signal};
use crate::world::World;

fn tasks(folder: &Folder) {
    folder.script("note", "true");
    folder.script("fail", "exit 1");
}

/// An open stream, and what has come.
struct Events {
    stream: TcpStream,
    text: String,
}

impl Events {
    fn open(world: &World, topics: &str) -> Self {
        let Place::Tcp(address) = &world.place else { unreachable!("it listens there") };
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let request = format!("GET /api/v1/events?topics={topics} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut events = Self { stream, text: String::new() };
        events.until("retry: 2000", || {});
        events
    }

    /// Reads what has come. False at the end.
    fn read(&mut self) -> bool {
        let mut part = [0; 16 * 1024];
        match self.stream.read(&mut part) {
            Ok(0) => false,
            Ok(length) => {
                self.text.push_str(&String::from_utf8_lossy(&part[..length]));
                true
            }
            Err(error) => matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
        }
    }

    /// Did the server end it? Its connection may be used for another request.
    fn has_ended(&self) -> bool {
        self.text.ends_with("\r\n0\r\n\r\n")
    }

    /// Reads until this has come, and does something again and again meanwhile.
    #[track_caller]
    fn until(&mut self, wanted: &str, mut meanwhile: impl FnMut()) {
        let patience = Instant::now() + Duration::from_secs(60);
        while !self.text.contains(wanted) {
            assert!(Instant::now() < patience, "{wanted} does not come: {}", self.text);
            meanwhile();
            assert!(self.read(), "it ended: {}", self.text);
        }
    }
}

#[test]
fn what_happens_is_told_to_who_asked_for_it() {
    World::both("", tasks, |world| {
        let mut events = Events::open(world, "job,failed,paused,snapshot");
        assert!(
            events.text.contains("content-type: text/event-stream") && events.text.contains("x-accel-buffering: no")
        );
        let mut others = Events::open(world, "leader,instance,attention");
        let enqueue = |task: &str| {
            world.place.json("POST", &format!("/api/v1/tasks/{task}/jobs"), "[]");
        };
        events.until("\"state\":\"done\"", || enqueue("note"));
        events.until("event: snapshot\ndata: {\"as_of\":", || {});
        // What was there before the first look is nothing new.
        events.until("event: failed\ndata: {", || enqueue("fail"));
        assert!(events.text.contains("\"state\":\"started\"") && events.text.contains("\"state\":\"failed\""));
        let mut pauses = ["pause", "resume"].into_iter().cycle();
        let mut toggle = || {
            let what = pauses.next().unwrap();
            world.place.send("POST", &format!("/api/v1/queues/other/{what}"), &[], b"");
            std::thread::sleep(Duration::from_millis(1100));
        };
        events.until("event: paused\ndata: {\"queue\":\"other\",\"paused\":true}", &mut toggle);
        let numbers: Vec<u64> =
            events.text.split("\nid: ").skip(1).filter_map(|rest| rest.split('\n').next()?.parse().ok()).collect();
        assert!(numbers.windows(2).all(|two| two[0] < two[1]), "{numbers:?}");
        others.read();
        for topic in ["job", "failed", "paused", "snapshot"] {
            assert!(!others.text.contains(&format!("event: {topic}\n")), "{}", others.text);
        }
    });
}

#[test]
fn an_instance_that_comes_is_told() {
    let world = World::sqlite("", tasks);
    let mut events = Events::open(&world, "instance,job");
    // The first look sees who is there.
    events.until("\"state\":\"done\"", || {
        world.place.json("POST", "/api/v1/tasks/note/jobs", "[]");
        std::thread::sleep(Duration::from_millis(500));
    });
    std::thread::sleep(Duration::from_millis(1500));
    world.folder.reconfigure("listen = \"127.0.0.1:0\"", "listen = \"unix:other.sock\"");
    let other = world.folder.daemon_with_log("other");
    events.until("event: instance\ndata: {", || {});
    other.stop();
    events.until("\"state\":\"gone\"", || {});
    world.daemon.stop();
}

#[test]
fn there_are_so_many_streams_and_who_leaves_makes_room() {
    let world = World::sqlite("", tasks);
    let mut all: Vec<Events> = (0..64).map(|_| Events::open(&world, "leader")).collect();
    let refused = world.place.get("/api/v1/events");
    assert_eq!((refused.status, refused.problem().as_str()), (503, "no-stream"), "{refused:?}");
    assert_eq!(world.place.get("/api/v1/events?topics=jobs").problem(), "malformed");
    all.pop();
    let mut opened = None;
    crate::daemon::eventually("there is room again", || {
        let Place::Tcp(address) = &world.place else { unreachable!("it listens there") };
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /api/v1/events?topics=leader HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        opened = Some(stream);
        &head == b"HTTP/1.1 200"
    });
    // Streams do not hold up the end of the daemon, and end with it.
    world.daemon.stop();
    let mut last = all.pop().unwrap();
    while last.read() {}
    assert!(Answer::parse(last.text.as_bytes()).body.contains("retry: 2000"), "it was not cut: {}", last.text);
}

/// Prints much, then a line now and then until it may end.
const PRINTS: &str = "yes 0123456789012345678901234567890123456789 | head -c 900000; while [ ! -e stop ]; do echo going on; sleep 0.2; done; echo end";

#[test]
fn what_a_job_prints_comes_to_who_follows_it_and_who_never_reads_holds_up_nobody() {
    let prepare = |folder: &Folder| {
        folder.script("prints", PRINTS);
        tasks(folder);
    };
    World::both("", prepare, |world| {
        world.place.json("POST", "/api/v1/tasks/prints/jobs", "[]");
        let mut id = String::new();
        crate::daemon::eventually("it runs", || {
            let running = world.place.get("/api/v1/running?task=prints").json();
            id = running["items"][0]["id"].as_str().unwrap_or_default().to_owned();
            !id.is_empty()
        });
        let topics = format!("output,operation&job={id}");
        let _never = Events::open(world, &topics);
        let mut events = Events::open(world, &topics);
        events.until("\"going on\"", || {});
        let other = Events::open(world, "output&job=another");
        std::fs::write(world.folder.path("stop"), "").unwrap();
        events.until("\"ended\":\"done\"", || {});
        assert!(events.text.contains(&format!("\"id\":\"{id}\"")), "{}", events.text);
        assert!(!other.text.contains("going on"));
        world.place.json("POST", "/api/v1/tasks/fail/jobs", "[]");
        crate::daemon::eventually("it has failed", || world.place.get("/api/v1/failed").json()["count"] == 1);
        let order = "{\"action\":\"remove\",\"filter\":\"task:fail\",\"expect\":1}";
        assert_eq!(world.place.json("POST", "/api/v1/failed/operations", order).status, 202);
        events.until("event: operation\ndata: {", || {});
        events.until("\"state\":\"done\",\"matching\":1,\"done\":1", || {});
        for bad in ["topics=output", "topics=job&job=7", "topics=output&job=1,2,3,4,5"] {
            assert_eq!(world.place.get(&format!("/api/v1/events?{bad}")).problem(), "malformed", "{bad}");
        }
        std::fs::remove_file(world.folder.path("stop")).unwrap();
    });
}

#[test]
fn streams_end_with_a_reload_and_those_that_are_opened_after_it_live() {
    let world = World::sqlite("", tasks);
    for times in 1..4 {
        let mut old = Events::open(&world, "job");
        // That it lives for a while is what is tested.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(1) {
            assert!(old.read() && !old.has_ended(), "reload {times}: it ended: {}", old.text);
        }
        old.until("\"state\":\"done\"", || {
            world.place.json("POST", "/api/v1/tasks/note/jobs", "[]");
        });
        signal(world.daemon.parent(), Signal::HUP);
        crate::daemon::eventually("it is reloaded", || world.daemon.log().matches("reloaded: ").count() == times);
        while !old.has_ended() && old.read() {
            assert!(begun.elapsed() < Duration::from_secs(60), "it goes on under the old configuration");
        }
    }
    // There is room for as many as before.
    let all: Vec<Events> = (0..64).map(|_| Events::open(&world, "leader")).collect();
    assert_eq!(world.place.get("/api/v1/events").problem(), "no-stream");
    drop(all);
    world.daemon.stop();
}
