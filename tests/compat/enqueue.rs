//! A: what is enqueued, byte for byte, and in which order it is taken.

use crate::waiting::eventually;
use crate::world::{Settings, World};

/// A node-resque that knows class `add`, whose jobs tell that they ran.
const ADD: &str = r#"{"add":{"behaviour":"record"}}"#;

#[test]
fn a01_a_job_is_written_as_node_resque_writes_it() {
    let world = World::new();
    world.task("add", "");
    let answer = world.windlass(&["enqueue", "add", "--args", "[1, 2]"]).json();
    assert_eq!(answer["enqueued"], true, "{answer}");
    assert_eq!(world.queued("math"), [r#"{"class":"add","queue":"math","args":[1,2]}"#]);
    assert_eq!(world.int(&["SISMEMBER", "resque:queues", "math"]), 1);
}

#[test]
fn a02_every_argument_is_encoded_as_node_resque_encodes_it() {
    let world = World::new();
    let mut peer = world.peer("{}");
    let vectors = [
        r#"[{"b":1,"2":2,"a":3,"10":4,"1":5,"01":6,"-1":7,"4294967294":8,"4294967295":9}]"#,
        r#"[{"a":1,"b":2,"a":3}]"#,
        "[1.0, -0, 0.5, 1e20, 1e21, 123456789012345680000, 0.000001, 1e-7]",
        "[9007199254740993, -9007199254740993, 1700000000000123, 5e-324]",
        r#"["\u007f", "\u2028\u2029", "\ud83d\ude00", "\ud83d", "\/", "\u0000\u001f\b\t\n\f\r\"\\", "é"]"#,
        "[[], {}, [[]], [{}], null, true, false, \"\"]",
        r#"[{"":0,"a b":[{"z":1,"0":{"1":2,"x":3}}]}]"#,
        "[]",
    ];
    for args in vectors {
        let answer = world.windlass(&["enqueue", "any", "--foreign", "--queue", "math", "--args", args]);
        assert_eq!(answer.code, Some(0), "{args}: {answer:?}");
        peer.queue("enqueue", &format!(r#"["math","any",{args}]"#));
        let queued = world.queued("math");
        assert_eq!(queued[0], queued[1], "ours first, node-resque's second, of {args}");
        world.redis(&["DEL", "resque:queue:math"]);
    }
}

#[test]
fn a03_a_job_enqueued_here_is_run_by_a_node_resque_worker() {
    let world = World::new();
    world.task("add", "");
    let mut peer = world.peer(ADD);
    peer.start_worker("peer:1", r#"["math"]"#);
    world.windlass(&["enqueue", "add", "--args", r#"[1,{"two":[3]}]"#]).json();
    let ran = peer.wait_ran("add");
    assert_eq!(ran["args"].to_string(), r#"[1,{"two":[3]}]"#);
    eventually("the job is counted", || world.counter("resque:stat:processed") == 1);
    peer.stop_worker("peer:1");
    assert_eq!(world.failed(), Vec::<String>::new());
}

#[test]
fn a05_exact_argument_texts_reach_the_handler_and_the_working_record() {
    let world = World::new();
    world.gated_task("hold", "");
    let mut peer = world.peer("{}");
    let daemon = world.daemon(&Settings::default());
    let worker = world.only_worker();
    let vectors =
        ["[{}]", "[[]]", "[null]", "[1700000000000123]", "[\"\\ud83d\"]", "[{\"ids\":[],\"big\":123456789012345680}]"];
    for (count, args) in vectors.into_iter().enumerate() {
        peer.queue("enqueue", &format!(r#"["math","hold",{args}]"#));
        let begun = world.wait_begun(count + 1);
        assert_eq!(begun[count].args(), args);
        let record = world.text(&["GET", &format!("resque:worker:{worker}")]).expect("a running job is on record");
        let payload = format!(r#"{{"class":"hold","queue":"math","args":{args}}}"#);
        assert!(record.ends_with(&format!(r#""payload":{payload}}}"#)), "{record}\nmust end with\n{payload}");
        world.open("hold");
        world.wait_ended(count + 1);
        world.shut("hold");
    }
    daemon.stop();
}

#[test]
fn a07_arguments_may_be_missing_or_no_array() {
    let world = World::new();
    world.task("x", "");
    let given = [
        (r#"{"class":"x"}"#, "[]"),
        (r#"{"class":"x","args":null}"#, "[]"),
        (r#"{"class":"x","args":{}}"#, "[{}]"),
        (r#"{"class":"x","args":"s"}"#, r#"["s"]"#),
        (r#"{"args":[7],"extra":{"kept":true},"class":"x"}"#, "[7]"),
    ];
    for (payload, _) in given {
        world.push("math", payload);
    }
    let daemon = world.daemon(&Settings::default());
    let ended = world.wait_ended(given.len());
    let seen: Vec<_> = ended.iter().map(|run| run.args()).collect();
    assert_eq!(seen, given.map(|(_, args)| args));
    assert!(ended.iter().all(|run| run.queue() == "math"), "a job belongs to the queue it was popped from");
    daemon.stop();
    assert_eq!(world.counter("resque:stat:processed"), 5);
    assert_eq!(world.failed(), Vec::<String>::new());
}

#[test]
fn a08_what_is_no_job_fails_verbatim_and_stops_nobody() {
    let world = World::new();
    world.task("x", "");
    let deep = format!("{}{}", "[".repeat(1100), "]".repeat(1100));
    let deep_job = format!(r#"{{"class":"x","queue":"math","args":{deep}}}"#);
    let given = ["{bad", "null", r#""str""#, "[1,2]", &deep, &deep_job, "", r#"{"args":[1]}"#];
    for payload in given {
        world.push("math", payload);
    }
    world.push("math", r#"{"class":"x","queue":"math","args":["good"]}"#);
    let daemon = world.daemon(&Settings::default());
    let ended = world.wait_ended(1);
    assert_eq!(ended[0].args(), r#"["good"]"#);
    eventually("all are settled", || world.counter("resque:stat:processed") == 1);
    let failed = world.failed();
    assert_eq!(failed.len(), given.len(), "{failed:#?}");
    for (payload, record) in given.iter().zip(&failed) {
        let record: serde_json::Value = serde_json::from_str(record).unwrap_or_else(|_| {
            // Too deep for this reader: the text itself must be there.
            assert!(record.contains(payload), "{record} must hold {payload}");
            serde_json::Value::Null
        });
        if let Some(text) = record["payload"]["args"][0].as_str().filter(|_| record["payload"]["class"] != "x") {
            assert_eq!(text, *payload, "the record holds the original text");
        } else if !record.is_null() {
            panic!("the record must hold the text of what is no job: {record}");
        }
    }
    assert_eq!(world.queued("math"), Vec::<String>::new());
    let worker = world.only_worker();
    assert_eq!(world.int(&["EXISTS", &format!("resque:worker:{worker}")]), 0);
    daemon.stop();
}

#[test]
fn a09_arguments_that_are_no_array_are_one_argument() {
    let world = World::new();
    world.task("add", "");
    let mut peer = world.peer("{}");
    for args in ["5", r#""scalar""#, r#"{"a":1}"#, "null"] {
        world.windlass(&["enqueue", "add", "--args", args]).json();
        peer.queue("enqueue", &format!(r#"["math","add",{args}]"#));
        let queued = world.queued("math");
        assert_eq!(queued[0], format!(r#"{{"class":"add","queue":"math","args":[{args}]}}"#));
        assert_eq!(queued[0], queued[1], "ours first, node-resque's second, of {args}");
        world.redis(&["DEL", "resque:queue:math"]);
    }
}

#[test]
fn a11_queues_are_emptied_in_their_order_and_each_from_its_head() {
    let world = World::new();
    world.task("x", "");
    let mut peer = world.peer("{}");
    for n in 1..=3 {
        for queue in ["low", "high", "middle"] {
            peer.queue("enqueue", &format!(r#"["{queue}","x",["{queue}{n}"]]"#));
        }
    }
    let daemon = world.daemon(&Settings { queues: r#"["high","middle","low"]"#, ..Settings::default() });
    let order: Vec<_> = world.wait_ended(9).iter().map(|run| run.args()).collect();
    let expected = ["high", "middle", "low"].map(|queue| [1, 2, 3].map(|n| format!(r#"["{queue}{n}"]"#)));
    assert_eq!(order, expected.concat());
    daemon.stop();
}

#[test]
fn a12_all_queues_are_taken_in_the_order_of_their_code_units() {
    let world = World::new();
    world.task("x", "");
    let mut peer = world.peer("{}");
    for queue in ["math", "alpha", "Zed", "é", "😀", "\u{ffff}"] {
        peer.queue("enqueue", &format!(r#"["{queue}","x",["{queue}"]]"#));
    }
    let daemon = world.daemon(&Settings { queues: r#"["*"]"#, ..Settings::default() });
    let order: Vec<_> = world.wait_ended(6).iter().map(|run| run.queue()).collect();
    // JavaScript sorts by UTF-16 code units, where the surrogates of an emoji stand before U+FFFF.
    assert_eq!(order, ["Zed", "alpha", "math", "é", "😀", "\u{ffff}"]);
    daemon.stop();
}

#[test]
fn g08_inputs_are_checked_and_filled_in_when_a_job_is_enqueued() {
    let world = World::new();
    let inputs = "[inputs.a]\nrequired = true\n[inputs.b]\ndefault = 5\ntype = \"integer\"\n";
    world.task("reg", inputs);
    world.windlass(&["enqueue", "reg", "--args", r#"{"a":1,"q":[]}"#]).json();
    let mut peer = world.peer("{}");
    assert_eq!(peer.queue("queued", r#"["math",0,-1]"#)[0]["args"], serde_json::json!([{"a": 1, "q": [], "b": 5}]));
    for (args, said) in [
        (&["enqueue", "reg"][..], "\"a\" is a required input for task reg"),
        (
            &["enqueue", "reg", "--args", r#"{"a":1,"b":"x"}"#, "--in", "1h"],
            "a string is not a valid value for \"b\" in task reg, which takes an integer",
        ),
    ] {
        let refused = world.windlass(args);
        assert!(refused.code == Some(64) && refused.said().contains(said), "{refused:?}");
    }
    assert_eq!((world.queued("math").len(), world.int(&["EXISTS", "resque:delayed_queue_schedule"])), (1, 0));
    // What others enqueue is run as it is.
    peer.queue("enqueue", r#"["math","reg",[{}]]"#);
    let daemon = world.daemon(&Settings::default());
    world.wait_ended(2);
    daemon.stop();
}
