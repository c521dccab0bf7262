//! `/metrics`, as Prometheus and who reads its formats meet it, on both stores.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use rustix::process::Signal;

use crate::client::{Answer, Place};
use crate::daemon::{Folder, eventually, signal};
use crate::world::{TOKEN, World};

const OPEN_METRICS: &str = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5";

/// A page that was read as its format says: the types of its families, and its samples.
#[derive(Debug)]
struct Page {
    types: BTreeMap<String, String>,
    samples: BTreeMap<(String, Vec<(String, String)>), f64>,
}

impl Page {
    /// Reads a page. Whatever is not as the formats want it fails the test.
    #[track_caller]
    fn read(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{answer:?}");
        let media_type = answer.header("content-type").unwrap();
        let is_open = media_type == "application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert!(is_open || media_type == "text/plain; version=0.0.4; charset=utf-8", "{media_type}");
        assert!(answer.body.ends_with('\n'));
        assert_eq!(answer.body.ends_with("# EOF\n"), is_open);
        let (mut types, mut samples) = (BTreeMap::new(), BTreeMap::new());
        let mut family = (String::new(), String::new());
        for line in answer.body.lines().filter(|line| *line != "# EOF") {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                family = (name.to_owned(), kind.to_owned());
                assert_eq!(types.insert(name.to_owned(), kind.to_owned()), None, "{name} comes twice");
                continue;
            }
            if line.starts_with("# HELP ") {
                continue;
            }
            assert!(!line.starts_with('#'), "{line}");
            let (name, labels, value) = sample(line);
            let suffix =
                name.strip_prefix(family.0.as_str()).unwrap_or_else(|| panic!("{line} stands under {family:?}"));
            let suffixes: &[&str] = match (family.1.as_str(), is_open) {
                ("counter", true) => &["_total"],
                ("histogram", _) => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            assert!(suffixes.contains(&suffix), "{line} stands under {family:?}");
            assert!(family.1 != "counter" || name.ends_with("_total"), "{line}");
            assert_eq!(samples.insert((name, labels), value), None, "{line} comes twice");
        }
        let page = Self { types, samples };
        page.check_histograms();
        page
    }

    #[track_caller]
    fn check_histograms(&self) {
        for ((name, labels), count) in &self.samples {
            let Some(base) = name.strip_suffix("_count") else { continue };
            let is_of = |(other, all): &(String, Vec<(String, String)>)| {
                *other == format!("{base}_bucket") && labels.iter().all(|label| all.contains(label))
            };
            let bound = |labels: &[(String, String)]| {
                let le = labels.iter().find(|(name, _)| name == "le").unwrap();
                le.1.parse::<f64>().unwrap()
            };
            let buckets = self.samples.iter().filter(|(key, _)| is_of(key));
            let mut buckets: Vec<(f64, f64)> = buckets.map(|((_, labels), count)| (bound(labels), *count)).collect();
            buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
            assert!(buckets.windows(2).all(|two| two[0].0 < two[1].0 && two[0].1 <= two[1].1), "{name}: {buckets:?}");
            assert_eq!(buckets.last(), Some(&(f64::INFINITY, *count)), "{name}");
        }
    }

    /// The value of a sample, given by its name and labels in order.
    fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.samples.get(&(name.to_owned(), labels)).copied()
    }

    fn names(&self) -> BTreeSet<&str> {
        self.types.keys().map(String::as_str).collect()
    }
}

#[track_caller]
fn no_sample<T>(line: &str) -> T {
    panic!("no sample: {line}")
}

/// Reads `name{label="value",...} 1.5`.
#[track_caller]
fn sample(line: &str) -> (String, Vec<(String, String)>, f64) {
    let name_end = line.find(['{', ' ']).unwrap_or_else(|| no_sample(line));
    let (name, mut rest) = line.split_at(name_end);
    assert!(name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_'), "{line}");
    let mut labels = Vec::new();
    while let Some(next) = rest.strip_prefix('{').or_else(|| rest.strip_prefix(',')) {
        let (label, mut after) = next.split_once("=\"").unwrap_or_else(|| no_sample(line));
        let mut value = String::new();
        loop {
            let letter = after.chars().next().unwrap_or_else(|| no_sample(line));
            after = &after[letter.len_utf8()..];
            match letter {
                '"' => break,
                '\\' => {
                    let escaped = after.chars().next().unwrap_or_else(|| no_sample(line));
                    after = &after[1..];
                    value.push(match escaped {
                        'n' => '\n',
                        '\\' | '"' => escaped,
                        _ => no_sample(line),
                    });
                }
                other => value.push(other),
            }
        }
        labels.push((label.to_owned(), value));
        rest = after;
    }
    let rest = rest.strip_prefix('}').unwrap_or(rest);
    let value = rest.strip_prefix(' ').unwrap_or_else(|| no_sample(line));
    (name.to_owned(), labels, value.parse().unwrap_or_else(|_| no_sample(line)))
}

fn page(place: &Place) -> Page {
    Page::read(&place.get("/metrics"))
}

#[test]
fn a_page_tells_how_jobs_ended_and_how_instance_and_fleet_stand() {
    let prepare = |folder: &Folder| {
        folder.script("add", "true");
        folder.script("fail", "exit 1");
        folder.script("long", "touch begun; until [ -e go ]; do sleep 0.02; done");
        folder.script("often", "true");
        folder.add_keys("often", "frequency = \"1h\"");
        folder.reconfigure("scheduler = true", "scheduler = true\nunknown = \"fail\"");
    };
    World::both("", prepare, |world| {
        let folder = &world.folder;
        folder.enqueue(&["add"]);
        folder.enqueue(&["fail"]);
        folder.enqueue(&["--foreign", "--queue", "default", "Strange\"Class"]);
        folder.enqueue(&["--queue", "a/b \"c\"", "add"]);
        assert_eq!(folder.windlass(&["queues", "pause", "a/b \"c\""]).0, Some(0));
        folder.enqueue(&["long"]);
        eventually("the long job begins", || folder.path("begun").exists());
        let ended = |page: &Page, task: &str, outcome: &str| {
            page.get("windlass_jobs_total", &[("task", task), ("queue", "default"), ("outcome", outcome)])
        };
        let mut seen = page(&world.place);
        eventually("all is told", || {
            seen = page(&world.place);
            let told = [("add", "done"), ("often", "done"), ("fail", "failed"), ("_unknown", "failed")];
            told.iter().all(|(task, outcome)| ended(&seen, task, outcome) == Some(1.0))
                && seen.get("windlass_queue_jobs", &[("queue", "a/b \"c\"")]) == Some(1.0)
                && seen.get("windlass_leader", &[("role", "scheduler")]) == Some(1.0)
                && seen.get("windlass_leader", &[("role", "duties")]) == Some(1.0)
                && seen.get("windlass_failed_jobs", &[]) == Some(2.0)
                && seen.get("windlass_periodic_last_success_timestamp_seconds", &[("task", "often")]).is_some()
                && seen.get("windlass_queue_processors", &[("queue", "default")]) == Some(2.0)
        });
        assert_eq!(ended(&seen, "long", "done"), Some(0.0), "a counter begins before its first job");
        assert_eq!(seen.get("windlass_jobs_running", &[("task", "long")]), Some(1.0));
        assert_eq!(seen.get("windlass_jobs_running", &[("task", "add")]), Some(0.0));
        assert_eq!(seen.get("windlass_processors", &[("state", "busy")]), Some(1.0));
        assert_eq!(seen.get("windlass_processors", &[("state", "idle")]), Some(1.0));
        assert_eq!(seen.get("windlass_processors_max", &[]), Some(2.0));
        assert_eq!(seen.get("windlass_job_duration_seconds_count", &[("task", "add")]), Some(1.0));
        let lease = seen.get("windlass_lease_remaining_seconds", &[]).unwrap();
        assert!((0.0..=3.0).contains(&lease), "{lease}");
        assert_eq!(seen.get("windlass_queue_paused", &[("queue", "a/b \"c\"")]), Some(1.0));
        assert_eq!(seen.get("windlass_queue_paused", &[("queue", "default")]), Some(0.0));
        assert_eq!(seen.get("windlass_queue_processors", &[("queue", "a/b \"c\"")]), Some(0.0), "nobody works on it");
        assert_eq!(seen.get("windlass_fleet_read_successful", &[]), Some(1.0));
        assert_eq!(seen.get("windlass_instances", &[]), Some(1.0));
        assert_eq!(seen.get("windlass_store_connected", &[]), Some(1.0));
        assert_eq!(seen.get("windlass_periodic_stopped", &[("task", "often")]), Some(0.0));
        let exchanges = seen.get("windlass_store_request_duration_seconds_count", &[("verb", "exchange")]).unwrap();
        assert!(exchanges >= 1.0, "{exchanges}");
        let asked = [("route", "GET /metrics"), ("code", "2xx")];
        assert!(seen.get("windlass_http_requests_total", &asked).unwrap() >= 1.0);
        assert!(seen.get("process_resident_memory_bytes", &[]).unwrap() > 1e6);
        assert!(seen.get("process_open_fds", &[]).unwrap() > 3.0);
        let store = folder.read("tasks.toml").contains("sqlite:").then_some("sqlite");
        let build = seen.samples.iter().find(|((name, _), _)| name == "windlass_build_info").unwrap();
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(build.0.1[0], ("version".to_owned(), version.to_owned()));
        assert!(store.is_none_or(|store| build.0.1[1].1 == store), "{build:?}");
        let blocked = [("queue", "a/b \"c\"")];
        let mut sampled = page(&world.place);
        eventually("the leader has sampled the queue", || {
            sampled = page(&world.place);
            sampled.get("windlass_queue_arrivals_total", &blocked).is_some()
                && sampled.get("windlass_queue_oldest_job_age_seconds", &blocked).is_some()
                && sampled.get("windlass_fleet_failed_total", &[]) == Some(2.0)
        });
        assert!(sampled.get("windlass_store_memory_bytes", &[]).unwrap() > 1e4);
        // The same page for who asks for the standard.
        let open = Page::read(&world.place.send("GET", "/metrics", &[("accept", OPEN_METRICS)], b""));
        assert!(open.types.contains_key("windlass_jobs") && !open.types.contains_key("windlass_jobs_total"));
        let without = |page: &Page| -> BTreeSet<String> {
            page.names().into_iter().map(|name| name.trim_end_matches("_total").to_owned()).collect()
        };
        assert_eq!(without(&sampled), without(&open));
        fs::write(folder.path("go"), "").unwrap();
        eventually("the long job ends", || ended(&page(&world.place), "long", "done") == Some(1.0));
    });
}

#[test]
fn who_may_read_metrics_is_who_may_read_or_everybody() {
    let tokens = "token = { file = \"token\" }\nloopback = \"token\"\ntokens = [\
                  { name = \"reader\", role = \"read\", token = \"a-token-that-only-reads\" }, \
                  { name = \"shop\", role = \"enqueue\", token = \"a-token-that-enqueues\" }]";
    let token_file = |folder: &Folder| fs::write(folder.path("token"), TOKEN).unwrap();
    let world = World::sqlite(tokens, token_file);
    let with = |token: &str| {
        let value = format!("Bearer {token}");
        world.place.send("GET", "/metrics", &[("authorization", &value)], b"").status
    };
    assert_eq!(world.place.get("/metrics").problem(), "unauthenticated");
    assert_eq!((with("a-token-that-only-reads"), with(TOKEN), with("a-token-that-enqueues")), (200, 200, 403));
    assert_eq!(world.place.send("POST", "/metrics", &[("content-type", "application/json")], b"{}").status, 401);
    world.folder.reconfigure("loopback = \"token\"", "loopback = \"token\"\nmetrics = \"open\"");
    signal(world.daemon.parent(), Signal::HUP);
    eventually("it is open", || world.place.get("/metrics").status == 200);
    assert_eq!(world.place.get("/api/v1/tasks").status, 401, "and nothing else is");
    let forged = world.place.send("GET", "/metrics", &[("host", "evil.example")], b"");
    assert_eq!(forged.problem(), "unknown-host");
    world.daemon.stop();
}

#[test]
fn a_reload_that_is_refused_is_told_until_one_is_taken_over() {
    let world = World::sqlite("", |folder| folder.script("add", "true"));
    let told = || page(&world.place).get("windlass_config_last_reload_successful", &[]);
    let at = || page(&world.place).get("windlass_config_last_reload_success_timestamp_seconds", &[]).unwrap();
    let first = at();
    assert_eq!(told(), Some(1.0));
    let right = world.folder.read("tasks.d/add.toml");
    fs::write(world.folder.path("tasks.d/add.toml"), "nonsense").unwrap();
    signal(world.daemon.parent(), Signal::HUP);
    eventually("it is refused", || told() == Some(0.0));
    assert!((at() - first).abs() < f64::EPSILON, "what was read before is in force");
    fs::write(world.folder.path("tasks.d/add.toml"), right).unwrap();
    signal(world.daemon.parent(), Signal::HUP);
    eventually("it is taken over", || told() == Some(1.0));
    assert!(at() > first);
    world.daemon.stop();
}

#[test]
fn children_of_rpc_tasks_are_counted_with_how_they_ended() {
    let program = "#!/bin/sh\nexit 3\n";
    let world = World::sqlite("", |folder| folder.worker("broken", program));
    world.folder.enqueue(&["broken"]);
    let failed = || {
        let labels = [("task", "broken"), ("reason", "failed_start")];
        page(&world.place).get("windlass_child_restarts_total", &labels)
    };
    eventually("a start fails", || failed().is_some_and(|count| count >= 1.0));
    world.daemon.stop();
}

#[test]
fn without_its_store_a_page_has_all_that_needs_none() {
    use crate::support::redis::{Options, RedisServer};
    use crate::world::{configure, listens};
    let mut server = RedisServer::start(Options { tcp: false, durable: true });
    let folder = Folder::new(&server.url(), "");
    configure(&folder, "listen = \"127.0.0.1:0\"");
    server.stop();
    let daemon = folder.daemon();
    let place = listens(&daemon);
    let early = page(&place);
    assert_eq!(early.get("windlass_store_connected", &[]), Some(0.0));
    assert_eq!(early.get("windlass_fleet_read_successful", &[]), Some(0.0));
    server.restart();
    eventually("it works", || place.get("/health/ready").status == 200);
    eventually("the fleet is told", || page(&place).get("windlass_fleet_read_successful", &[]) == Some(1.0));
    server.stop();
    eventually("the store is away", || page(&place).get("windlass_store_connected", &[]) == Some(0.0));
    eventually("the fleet is left out", || {
        let away = page(&place);
        assert!(away.get("windlass_start_time_seconds", &[]).is_some());
        away.get("windlass_fleet_read_successful", &[]) == Some(0.0) && away.get("windlass_failed_jobs", &[]).is_none()
    });
    server.restart();
    eventually("it came back", || {
        page(&place).get("windlass_store_reconnects_total", &[]).is_some_and(|count| count >= 1.0)
    });
    daemon.stop();
}
