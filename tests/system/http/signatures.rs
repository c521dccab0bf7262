//! Signed requests, judged by the code of the documents, and the keys that sign them.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::server::{Server, answer};
use super::{folder, json};

const HANDLERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/handlers.md");

/// The function of the documents in this language.
fn documented(language: &str) -> String {
    let docs = fs::read_to_string(HANDLERS).expect("the documents must be readable");
    let fence = format!("```{language}\n");
    let mut blocks = docs.split(&fence).skip(1);
    let block = blocks.find(|block| block.to_lowercase().contains("genuine(")).expect("it must be there");
    block.split("```").next().unwrap().to_owned()
}

const ASK_PYTHON: &str = "
import json, sys
ask = json.load(sys.stdin)
print([is_genuine(one['method'], one['path'], one['headers'], bytes(one['body']), one['secret'].encode()) for one in ask])
";
const ASK_NODE: &str = "
const ask = JSON.parse(require('node:fs').readFileSync(0));
console.log(ask.map((one) => isGenuine(one.method, one.path, one.headers, Buffer.from(one.body), one.secret)));
";

/// What a program says about a list of requests.
fn judged(program: &str, flag: &str, code: &str, requests: &[Value]) -> Vec<bool> {
    let mut child = Command::new(program)
        .args([flag, code])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} must be there: {error}"));
    serde_json::to_writer(child.stdin.take().unwrap(), requests).expect("it must read");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout).to_lowercase();
    said.split(|letter: char| !letter.is_alphabetic()).filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn a_server_can_tell_our_requests_by_the_code_of_the_documents() {
    const NEW: &str = "s3cret \u{e4} of today";
    const OLD: &str = "s3cret of yesterday";
    let server = Server::start(|_, _| answer("200 OK", ""));
    let url = format!("{}?shard=1", server.url());
    let mut asked = Vec::new();
    let mut expected = Vec::new();
    for method in ["POST", "GET", "DELETE"] {
        let run = format!("secrets = [{{ file = \"key\" }}, {OLD:?}]\nmethod = \"{method}\"");
        let folder = folder(&url, &run, "");
        fs::write(folder.path("tasks.d/key"), format!("{NEW}\n")).unwrap();
        let performed = json(&folder, &["perform", "job", "--args", "[\"\u{fc}\"]"]);
        assert_eq!(performed["outcome"], "success", "{performed}");
        let request = server.seen.all().pop().unwrap();
        let mut line = request.line.split(' ');
        let headers: serde_json::Map<_, _> =
            request.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let genuine = json!({
            "method": line.next(), "path": line.next(), "headers": headers, "body": request.body, "secret": NEW,
        });
        assert_eq!((&genuine["method"], &genuine["path"]), (&json!(method), &json!("/jobs?shard=1")));
        let with = |key: &str, value: Value| {
            let mut changed = genuine.clone();
            *changed.pointer_mut(key).unwrap_or_else(|| panic!("{key}")) = value;
            changed
        };
        // The second of the signature is a part of what is signed, so one that was recorded cannot be made younger.
        let signature = request.header("windlass-signature");
        let (time, rest) = signature.split_once(',').unwrap();
        let second: i64 = time.trim_start_matches("t=").parse().unwrap();
        for (changed, is_genuine) in [
            (genuine.clone(), true),
            (with("/secret", json!(OLD)), true),
            (with("/secret", json!("something else")), false),
            (with("/method", json!(if method == "DELETE" { "GET" } else { "DELETE" })), false),
            (with("/path", json!("/jobs?shard=2")), false),
            (with("/headers/windlass-job-id", json!("another")), false),
            (with("/headers/windlass-claim", json!("another")), false),
            (with("/body", json!(b"{}")), false),
            (with("/headers/windlass-signature", json!(format!("t={},{rest}", second + 1))), false),
        ] {
            asked.push(changed);
            expected.push(is_genuine);
        }
        // One that somebody recorded is signed, and too old.
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, NEW.as_bytes());
        let (id, claim) = (request.header("windlass-job-id"), request.header("windlass-claim"));
        let head = format!("1700000000\n{method}\n/jobs?shard=1\n{id}\n{claim}\n");
        let tag = ring::hmac::sign(&key, &[head.as_bytes(), &request.body].concat());
        let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        asked.push(with("/headers/windlass-signature", json!(format!("t=1700000000,v2={hex}"))));
        expected.push(false);
    }
    let python = documented("python") + ASK_PYTHON;
    assert_eq!(judged("python3", "-c", &python, &asked), expected);
    let node = documented("js") + ASK_NODE;
    assert_eq!(judged("node", "-e", &node, &asked), expected);
}

#[test]
fn a_key_of_signatures_that_can_be_guessed_is_refused() {
    for (run, said) in [
        ("secret = \"fifteen letters\"", "run.secret: expected a secret of at least 16 bytes"),
        (
            "secrets = [\"sixteen letters.\", { file = \"key\" }]",
            "run.secrets.file: expected a secret of at least 16 bytes",
        ),
        ("secrets = []", "run.secrets: expected one secret, or two while it is exchanged"),
        (
            "secret = \"sixteen letters.\"\nsecrets = [\"sixteen letters.\"]",
            "run.secrets: expected one of secret and secrets",
        ),
    ] {
        let folder = folder("http://127.0.0.1:9/", run, "");
        fs::write(folder.path("tasks.d/key"), "short\n").unwrap();
        let (code, text) = folder.windlass(&["check"]);
        assert!(code == Some(64) && text.contains(said), "{said} is not in {text}");
    }
}
