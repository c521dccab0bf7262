use super::*;
use crate::task::handler_spec::{OutputMode, RpcSpec};

#[test]
fn an_rpc_handler_is_read_with_all_its_keys() {
    let (dir, task, warnings) = good(
        "name = \"t\"\nfrequency = \"1m\"\n[run]\nrpc = [\"./work\", \"--to\", \"{to}\", \"{\\\"a\\\":1}\"]\nprocesses = 2\n\
         depth = 16\nmax_jobs = 1000\nmaxRss = \"256MB\"\nstart_timeout = \"3s\"\nenv = { A = \"1\" }\ncwd = \"..\"\n\
         retry_later = \"1m\"\nretry_later_limit = 3",
    );
    let HandlerSpec::Rpc(spec) = task.handler else { panic!("{:?}", task.handler) };
    let expected = RpcSpec {
        argv: vec![dir.path().join("work").display().to_string(), "--to".into(), "{to}".into(), "{\"a\":1}".into()],
        process: ProcessSettings {
            cwd: dir.path().join(".."),
            env: [("A".to_owned(), "1".to_owned())].into(),
            trusted: Some(Arc::new(Owners::with([]))),
            env_files: EnvFiles::new(Some(&Arc::new(Owners::with([]))), Some(&Arc::new(Owners::with([]))), None),
            ..ProcessSettings::default()
        },
        processes: 2,
        depth: 16,
        max_jobs: Some(1000),
        max_rss: Some(256_000_000),
        start_timeout: Duration::from_secs(3),
        output: OutputMode::Log,
        later: RetryLater { delay: Duration::from_secs(60), limit: 3 },
    };
    assert_eq!(spec, expected);
    let words = "a.toml:4:26: run.rpc: is no placeholder here, where a process serves many jobs; it stays as it is";
    assert_eq!(warnings, [words]);

    let (_dir, task, _) = good("name = \"t\"\n[run]\nrpc = [\"./work\"]");
    let HandlerSpec::Rpc(spec) = task.handler else { panic!("{:?}", task.handler) };
    assert_eq!((spec.processes, spec.depth, spec.max_jobs, spec.max_rss), (1, 1, None, None));
    assert_eq!((spec.start_timeout, spec.later), (Duration::from_secs(10), RetryLater::default()));
}

#[test]
fn each_mistake_of_an_rpc_handler_is_told_with_its_place() {
    for (lines, message) in [
        (
            "rpc = \"./work\"",
            "3:7: run.rpc: expected a list: the program and its arguments (no shell is asked) (found \"./work\")",
        ),
        ("rpc = []", "3:7: run.rpc: expected a program (found an empty list)"),
        ("rpc = [\"./work\", 1]", "3:18: run.rpc: expected a string (found 1)"),
        ("rpc = [\"./work\", \"a\\u0000\"]", "3:18: run.rpc: must not hold NUL"),
        ("rpc = [\"./work\"]\nprocesses = 0", "4:13: run.processes: expected a whole number from 1 to 10000 (found 0)"),
        ("rpc = [\"./work\"]\ndepth = 0", "4:9: run.depth: expected a whole number from 1 to 10000 (found 0)"),
        ("rpc = [\"./work\"]\nmax_rss = 256", "4:11: run.max_rss: expected a size of at least 1MiB (found 256)"),
        (
            "rpc = [\"./work\"]\noutput = \"discard\"",
            "4:10: run.output: expected \"log\" or \"file\" (found \"discard\")",
        ),
        ("exec = [\"./work\"]\ndepth = 2", "4:1: run.depth: goes with rpc only"),
        ("exec = [\"./work\"]\nrpc = [\"./work\"]", "2:1: run: expected exactly one handler (found exec and rpc)"),
    ] {
        let text = format!("name = \"t\"\n[run]\n{lines}");
        assert_eq!(bad(&text), [format!("a.toml:{message}")], "{text}");
    }
    assert!(bad("name = \"t\"\n[run]\nrpc = [\"./gone\"]")[0].contains("expected a program that exists"));
    assert_eq!(
        bad("name = \"t\"\nrpc = [\"./work\"]\n[run]\nbuiltin = \"noop\""),
        ["a.toml:2:1: rpc: belongs to the handler: write it below [run]"]
    );
}
