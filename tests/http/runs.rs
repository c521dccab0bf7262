//! Jobs by their ids: their output, their result, their end.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use serde_json::json;

use crate::daemon::{Folder, eventually};
use crate::world::World;

fn tasks(folder: &Folder) {
    folder.script("long", "echo begun; exec sleep 600");
    folder.script("asked", "echo the answer");
    let path = folder.path("tasks.d/asked.toml");
    fs::write(&path, fs::read_to_string(&path).unwrap() + "result = \"last_line\"\n").unwrap();
}

#[test]
fn a_job_that_runs_is_listed_read_and_cancelled() {
    World::both("", tasks, |world| {
        assert_eq!(world.place.json("POST", "/api/v1/tasks/long/jobs", "[1]").status, 201);
        let mut id = String::new();
        eventually("it runs", || {
            let running = world.place.get("/api/v1/running?task=long").json();
            id = running["items"][0]["id"].as_str().unwrap_or_default().to_owned();
            !id.is_empty()
        });
        let shown = world.place.get(&format!("/api/v1/jobs/{id}")).json();
        assert_eq!((&shown["state"], &shown["run"]["class"]), (&json!("running"), &json!("long")));
        let output = world.place.get(&format!("/api/v1/jobs/{id}/output"));
        assert_eq!((output.status, output.body.as_str()), (200, "begun\n"), "{output:?}");
        let result = world.place.get(&format!("/api/v1/jobs/{id}/result"));
        assert_eq!((result.status, result.problem().as_str()), (409, "not-ended"));
        let cancelled = world.place.json("POST", &format!("/api/v1/jobs/{id}/cancel"), "");
        assert_eq!((cancelled.status, &cancelled.json()["runs"][0]["state"]), (200, &json!("asked")));
        eventually("it has ended", || world.place.get(&format!("/api/v1/jobs/{id}")).json()["state"] == "cancelled");
        let again = world.place.json("POST", &format!("/api/v1/jobs/{id}/cancel"), "");
        assert_eq!((again.status, again.problem().as_str()), (404, "not-found"));
        assert_eq!(world.place.get("/api/v1/jobs/none/output").status, 404);
    });
}

#[test]
fn what_a_job_prints_is_written_out_unless_it_is_asked_for_raw() {
    let world = World::sqlite("", |folder| {
        folder.script("odd", r"printf 'a\tb\033[31mred\033]0;title\007 \302\233 é\n'; exec sleep 600");
    });
    assert_eq!(world.place.json("POST", "/api/v1/tasks/odd/jobs", "[]").status, 201);
    let mut id = String::new();
    eventually("it runs", || {
        let running = world.place.get("/api/v1/running?task=odd").json();
        id = running["items"][0]["id"].as_str().unwrap_or_default().to_owned();
        !id.is_empty()
    });
    let place = format!("/api/v1/jobs/{id}/output");
    let shown = world.place.get(&place);
    assert_eq!(shown.body, "a\tb\\u001b[31mred\\u001b]0;title\\u0007 \\u009b é\n", "{shown:?}");
    let raw = world.place.get(&format!("{place}?raw=true"));
    assert_eq!(raw.body, "a\tb\u{1b}[31mred\u{1b}]0;title\u{7} \u{9b} é\n");
    assert_eq!(raw.header("content-type"), Some("application/octet-stream"));
    assert_eq!(raw.header("content-disposition"), Some("attachment"));
    world.daemon.stop();
}

#[test]
fn a_tracked_job_has_an_id_and_its_result_is_kept() {
    World::both("", tasks, |world| {
        let told = world.place.json("POST", "/api/v1/tasks/asked/jobs?track", "").json();
        let id = told["id"].as_str().unwrap().to_owned();
        let mut result = json!(null);
        eventually("it has ended", || {
            let answer = world.place.get(&format!("/api/v1/jobs/{id}/result"));
            result = answer.json();
            answer.status == 200
        });
        assert_eq!((&result["outcome"], &result["result"]), (&json!("done"), &json!("the answer")));
        let shown = world.place.get(&format!("/api/v1/jobs/{id}")).json();
        assert_eq!((&shown["state"], &shown["tracked"]["class"]), (&json!("done"), &json!("asked")));
        let untracked = world.place.json("POST", "/api/v1/tasks/asked/jobs", "").json();
        assert_eq!(untracked["id"], json!(null));
        let late = world.place.json("POST", "/api/v1/tasks/asked/jobs?track&in=1h", "");
        assert_eq!(late.status, 400);
    });
}

/// A server that performs jobs: it notes the id and the claim of each, and answers when it is told to.
struct Performing {
    port: u16,
    asked: Receiver<(String, String)>,
    done: Sender<()>,
}

impl Performing {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port must be free");
        let port = listener.local_addr().expect("it listens").port();
        let ((asks, asked), (done, is_done)) = (channel(), channel::<()>());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut reader = BufReader::new(stream);
                let (mut head, mut line) = (Vec::new(), String::new());
                while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                    head.push(std::mem::take(&mut line).trim().to_lowercase());
                }
                let header = |name: &str| {
                    head.iter().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned()
                };
                let told = asks.send((header("windlass-job-id:"), header("windlass-claim:")));
                if told.is_err() || is_done.recv().is_err() {
                    return;
                }
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
                drop(reader.get_mut().write_all(answer));
            }
        });
        Self { port, asked, done }
    }
}

#[test]
fn a_server_tells_how_far_its_run_is_and_hears_that_it_is_over() {
    let servers = [Performing::start(), Performing::start()];
    let ports = Mutex::new(servers.iter().map(|server| server.port).collect::<Vec<_>>());
    let prepare = |folder: &Folder| {
        let port = ports.lock().unwrap().remove(0);
        let task = format!("name = \"far\"\n[run]\nhttp = \"http://127.0.0.1:{port}/\"\n");
        fs::write(folder.path("tasks.d/far.toml"), task).unwrap();
    };
    let mut servers = servers.iter();
    let servers = Mutex::new(&mut servers);
    World::both("", prepare, |world| {
        let server = servers.lock().unwrap().next().expect("one for each engine");
        assert_eq!(world.place.json("POST", "/api/v1/tasks/far/jobs", "[]").status, 201);
        let (id, claim) = server.asked.recv_timeout(Duration::from_secs(30)).expect("it is asked");
        let path = format!("/api/v1/jobs/{id}/progress");
        let put = |body: &str| world.place.json("PUT", &path, body);
        for percent in [10, 20, 40] {
            let body = format!("{{\"claim\":\"{claim}\",\"percent\":{percent},\"message\":\"copying\"}}");
            let answer = put(&body);
            assert_eq!((answer.status, &answer.json()["progress"]["percent"]), (200, &json!(f64::from(percent))));
        }
        let shown = || world.place.get(&format!("/api/v1/jobs/{id}")).json()["run"]["progress"].clone();
        eventually("the last one is shown", || shown()["percent"] == json!(40.0));
        assert_eq!(shown()["message"], "copying");
        let listed = world.cli(&["jobs", "list"]);
        assert_eq!(listed["runs"][0]["progress"]["percent"], json!(40.0), "{listed}");
        for (body, kind) in [
            ("{\"percent\":4}".to_owned(), "malformed"),
            (format!("{{\"claim\":\"{claim}\"}}"), "malformed"),
            (format!("{{\"claim\":\"{claim}\",\"percent\":101}}"), "malformed"),
            (format!("{{\"claim\":\"{claim}\",\"percent\":\"7\"}}"), "malformed"),
            (format!("{{\"claim\":\"{claim}\",\"message\":\"{}\"}}", "x".repeat(5000)), "malformed"),
            ("{\"claim\":\"0000-0-1-0\",\"percent\":4}".to_owned(), "not-found"),
        ] {
            assert_eq!(put(&body).problem(), kind, "{body}");
        }
        let of_other =
            world.place.json("PUT", "/api/v1/jobs/other/progress", &format!("{{\"claim\":\"{claim}\",\"percent\":4}}"));
        assert_eq!(of_other.problem(), "not-found", "the claim of another job");
        server.done.send(()).expect("it waits");
        eventually("the run is over", || world.cli(&["jobs", "list"])["runs"] == json!([]));
        eventually("anyone who goes on hears of it", || {
            put(&format!("{{\"claim\":\"{claim}\",\"percent\":90}}")).status == 404
        });
    });
}
